"""ONNX's operators on shapes, and on constants alone.

A shape as ONNX sees it starts with the batch; where the network asks for it (`Shape`), the batch is 0,
which in a Reshape means "as it is".
"""

from collections.abc import Callable
from math import prod

import numpy as np

from astrodeploy.frontends.onnx.node import FLOAT_TYPES, Node
from astrodeploy.frontends.onnx.signals import SYNAPSES, Builder, Refusal, Shape, Signal
from astrodeploy.ir.arrays import Array

RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


def reshape(node: Node, build: Builder) -> Signal:
    """The same numbers in the shape that `new_shape` says."""
    x = node.signal()
    return x.reshaped(new_shape(node, x.shape))


def new_shape(node: Node, shape: Shape) -> Shape:
    """What Flatten, Reshape, Squeeze and Unsqueeze make of a sample's shape."""
    rank = 1 + len(shape)
    if node.operator == "Flatten":
        if int(node.get("axis", 1)) % rank != 1:
            raise Refusal(f"flattens at the axis {node.get('axis', 1)}, which mixes the samples of a batch")
        return (prod(shape),)
    if node.operator == "Reshape":
        return _as_asked(node, shape)
    axes = node.integers(1, "axes") if node.given(1) is not None else [int(a) for a in node.get("axes", ())]
    if node.operator == "Squeeze":
        gone = {a % rank for a in axes} or {i + 1 for i, n in enumerate(shape) if n == 1}
        if 0 in gone or any(shape[a - 1] != 1 for a in gone):
            raise Refusal(f"takes away the axes {axes} of a batch of {shape}")
        return tuple(n for i, n in enumerate(shape) if i + 1 not in gone)
    new = sorted(a % (rank + len(axes)) for a in axes)
    if 0 in new or len(set(new)) != len(new):
        raise Refusal(f"adds the axes {axes} to a batch of {shape}")
    longer = list(shape)
    for axis in new:
        longer.insert(axis - 1, 1)
    return tuple(longer)


def _as_asked(node: Node, shape: Shape) -> Shape:
    asked = node.integers(1, "shape")
    mixes = Refusal(f"gives a batch of {shape} the shape {asked}, which mixes its samples")
    if len(asked) < 2 or (node.get("allowzero", 0) and 0 in asked):
        raise mixes
    first, rest = asked[0], asked[1:]
    if any(n == 0 and i >= len(shape) for i, n in enumerate(rest)):
        raise mixes
    rest = [shape[i] if n == 0 else n for i, n in enumerate(rest)]
    if rest.count(-1) == 1 and first != -1:
        known = -prod(rest)
        rest = [prod(shape) // known if n == -1 and known > 0 else n for n in rest]
    if min(rest) < 1 or prod(rest) != prod(shape) or first not in (-1, 0, node.batch or -1):
        raise mixes
    return tuple(rest)


# ---- constants -------------------------------------------------------------------------------------


def folded(node: Node) -> Array:
    """What an operator makes of constants alone."""
    if node.operator not in FOLDED:
        raise Refusal("computes with constants in a way that is not known: simplify the file first")
    arrays = [np.asarray(each) for each in node.inputs if each is not None]
    try:
        result = np.asarray(FOLDED[node.operator](node, arrays))
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise Refusal(f"can't be computed of its constants: {error}") from error
    return result


def _bounded(*shapes: Shape) -> None:
    if prod(np.broadcast_shapes(*shapes)) > SYNAPSES:
        raise Refusal(f"gives a constant of more than {SYNAPSES} numbers")


def _concat(node: Node, arrays: list[Array]) -> Array:
    if sum(a.size for a in arrays) > SYNAPSES:
        raise Refusal(f"gives a constant of more than {SYNAPSES} numbers")
    return np.concatenate([np.atleast_1d(a) for a in arrays], int(node.get("axis", 0)))


def _gather(node: Node, arrays: list[Array]) -> Array:
    values, index = arrays
    if index.size * max(1, values.size) > SYNAPSES:
        raise Refusal(f"gives a constant of more than {SYNAPSES} numbers")
    return np.take(values, index, int(node.get("axis", 0)))


def _of_numbers(compute: Callable[[Array, Array], Array]) -> Callable[[Node, list[Array]], Array]:
    def result(node: Node, arrays: list[Array]) -> Array:
        a, b = arrays
        if a.dtype.kind != "f" or b.dtype.kind != "f":
            raise Refusal("computes with the numbers of a shape: export the network with fixed shapes")
        _bounded(a.shape, b.shape)
        with np.errstate(all="ignore"):
            return compute(a, b)

    return result


def _reshaped(node: Node, arrays: list[Array]) -> Array:
    value = arrays[0]
    axes = tuple(int(n) for n in (arrays[1].ravel() if len(arrays) > 1 else node.get("axes", ())))
    if node.operator == "Reshape":
        return value.reshape([value.shape[i] if n == 0 else n for i, n in enumerate(axes)])
    if node.operator == "Unsqueeze":
        return np.expand_dims(value, axes)
    return np.squeeze(value, axes or None)


def _cast(node: Node, arrays: list[Array]) -> Array:
    to = int(node.get("to", 1))
    if to in FLOAT_TYPES:
        return arrays[0].astype(np.float64)
    if to in (6, 7) and np.all(np.isfinite(arrays[0])):
        return arrays[0].astype(np.int64)
    raise Refusal(f"turns a constant into numbers of type {to}")


FOLDED: dict[str, Callable[[Node, list[Array]], Array]] = {
    "Identity": lambda node, arrays: arrays[0],
    "Transpose": lambda node, arrays: np.transpose(arrays[0], node.get("perm", None)),
    "Cast": _cast,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Concat": _concat,
    "Gather": _gather,
    "Add": _of_numbers(np.add),
    "Sub": _of_numbers(np.subtract),
    "Mul": _of_numbers(np.multiply),
    "Div": _of_numbers(np.divide),
}


def shaped(node: Node, shape: Shape) -> Array:
    """What `Shape` says of a signal: the batch is 0."""
    whole = np.array([0, *shape], np.int64)
    return whole[int(node.get("start", 0)) : node.get("end", None)]


def stored(node: Node) -> Array:
    """A Constant's value."""
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            return np.asarray(node.attributes[key])
    raise Refusal("holds no numbers")
