"""What the linear nodes of NIR compute: each an affine map of signals (sources,) to (targets,).

A signal that comes in another form than a node asks for is fitted where there is one way to do it: a
dimension of 1 more or less, flattening, transposed weights. Everything of that kind is a finding.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError
from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.limits import MOST_NEURONS, MOST_SYNAPSES
from astrodeploy.frontends.nir.nodes import Factor, Filter, Flatten, Matrix, NirNode, Pool, Shape
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, Wiring, pool


@dataclass(frozen=True, eq=False)
class AffineMap:
    """y = wiring x + constant; `shape` is that of y. No wiring: y = x, in another shape."""

    shape: Shape
    wiring: Wiring | None = None
    constant: FloatArray | None = None


class Misfit(Exception):
    """A node that can't take what it gets; its text goes on after the node's name."""


def affine_map(node: NirNode, incoming: Shape, findings: Findings) -> AffineMap:
    """The map of a linear node for a signal of that shape. Raises Misfit."""
    try:
        if isinstance(node, Matrix):
            made = _matrix(node, incoming, findings)
        elif isinstance(node, Filter):
            made = _filter(node, incoming, findings)
        elif isinstance(node, Pool):
            made = _pool(node, incoming, findings)
        elif isinstance(node, Factor):
            made = _factor(node, incoming, findings)
        elif isinstance(node, Flatten):
            made = AffineMap(_flattened(node, incoming, findings))
        else:
            made = AffineMap(incoming)
    except InputError as error:
        raise Misfit(f"can't be computed: {error}") from error
    return made


def check_size(shape: Shape) -> None:
    """Raise Misfit for more neurons than fit a machine."""
    if prod(shape) > MOST_NEURONS:
        raise Misfit(f"has the shape {shape}: more than {MOST_NEURONS} neurons do not fit this machine")


# ---- Linear, Affine --------------------------------------------------------------------------------------


def _matrix(node: Matrix, incoming: Shape, findings: Findings) -> AffineMap:
    if prod(node.weight.shape[:-2]) > 1:
        return _stacked(node, incoming)
    weight: FloatArray = node.weight.reshape(node.weight.shape[-2:])
    size, last = prod(incoming), incoming[-1]
    if weight.shape[1] == size:
        _say_flattened(node, incoming, findings)
        return AffineMap((weight.shape[0],), Dense(weight), _bias(node, weight.shape[0]))
    if weight.shape[1] == last:
        positions = incoming[:-1]
        findings.note(
            node.name, f"gets {incoming} and is used at each of its {prod(positions)} positions alike"
        )
        return _repeated(node, weight, positions)
    if weight.shape[0] == size and (node.bias is None or node.bias.size in (1, weight.shape[1])):
        findings.warn(
            node.name, f"has a weight of {weight.shape}, which fits only transposed: it was transposed"
        )
        return AffineMap((weight.shape[1],), Dense(weight.T), _bias(node, weight.shape[1]))
    raise Misfit(
        f"has a weight of shape {weight.shape}, needed is (targets, {size}) for what it gets, {incoming}"
    )


def _say_flattened(node: NirNode, incoming: Shape, findings: Findings) -> None:
    if sum(n > 1 for n in incoming) > 1:
        findings.note(node.name, f"gets {incoming} and takes it flattened")


def _bias(node: Matrix | Filter, size: int) -> FloatArray | None:
    bias = node.bias
    if bias is None:
        return None
    if bias.size not in (1, size):
        raise Misfit(f"has a bias of {bias.size} numbers, needed are {size}")
    return np.broadcast_to(bias.ravel(), (size,))


def _repeated(node: Matrix, weight: FloatArray, positions: Shape) -> AffineMap:
    count, targets = prod(positions), weight.shape[0]
    shape = (*positions, targets)
    check_size(shape)
    _check_synapses(count * weight.size)
    wiring = Sparse.of(scipy.sparse.kron(scipy.sparse.eye_array(count), weight, "csr"))
    bias = _bias(node, targets)
    return AffineMap(shape, wiring, None if bias is None else np.tile(bias, count))


def _stacked(node: Matrix, incoming: Shape) -> AffineMap:
    """Weights with leading dimensions: one matrix a position."""
    *leading, targets, sources = node.weight.shape
    count, shape = prod(leading), (*leading, targets)
    if prod(incoming) != count * sources:
        raise Misfit(
            f"has a weight of shape {node.weight.shape}, needed is {(*leading, sources)} as what it gets, {incoming}"
        )
    blocks = scipy.sparse.block_diag(list(node.weight.reshape(count, targets, sources)), "csr")
    return AffineMap(shape, Sparse.of(blocks), _bias(node, count * targets))


def _check_synapses(count: int) -> None:
    if count > MOST_SYNAPSES:
        raise Misfit(
            f"takes {count} synapses when it is written out, more than {MOST_SYNAPSES}: use fewer neurons"
        )


# ---- Conv, Pool ------------------------------------------------------------------------------------------


def _filter(node: Filter, incoming: Shape, findings: Findings) -> AffineMap:
    n = node.weight.ndim - 2
    shape = _image(node, incoming, n, node.weight.shape[1] * node.groups, node.input_shape, findings)
    if node.input_shape is not None and node.input_shape != shape[1:]:
        findings.warn(
            node.name, f"says its input is {node.input_shape}, and gets {shape[1:]}: taken is what it gets"
        )
    weight, dilation, padding = node.weight, node.dilation, node.padding
    if isinstance(padding, str):
        weight, padding, dilation = _same(node, shape)
    wiring = Conv(weight, shape, node.stride, padding, dilation, node.groups)
    check_size(wiring.output_shape)
    bias = _bias(node, weight.shape[0])
    constant = None if bias is None else np.repeat(bias, prod(wiring.output_shape[1:]))
    return AffineMap(wiring.output_shape, wiring, constant)


def _image(
    node: NirNode, incoming: Shape, n: int, channels: int, spatial: Shape | None, findings: Findings
) -> Shape:
    """The incoming signal as (channels, *spatial)."""
    if len(incoming) == n + 1:
        return incoming
    if len(incoming) == n and channels == 1:
        findings.note(node.name, f"gets {incoming} without channels: taken as one channel")
        return (1, *incoming)
    if len(incoming) == n + 2 and incoming[0] == 1:
        findings.note(node.name, f"gets {incoming} with a batch: it is left out")
        return incoming[1:]
    if spatial is not None and prod(incoming) == channels * prod(spatial):
        findings.note(node.name, f"gets {incoming}, taken as its own {(channels, *spatial)}")
        return (channels, *spatial)
    raise Misfit(f"gets a signal of shape {incoming}, needed are (channels, *{n} spatial dimensions)")


def _same(node: Filter, shape: Shape) -> tuple[FloatArray, Shape, Shape]:
    """Filters, padding and dilation with which the output is as large as the input.

    Where the padding is odd, torch gives the right side one more: a zero before the filter does the same.
    """
    if set(node.stride) != {1}:
        raise Misfit(f"has the padding 'same' with the stride {node.stride}: give the padding in numbers")
    spans = [d * (k - 1) for d, k in zip(node.dilation, node.weight.shape[2:], strict=True)]
    if any(span % 2 for span in spans):
        _check_synapses(prod(node.weight.shape[:2]) * prod(span + 2 for span in spans))
    weight, padding, dilation = node.weight, [], []
    for axis, (span, gap) in enumerate(zip(spans, node.dilation, strict=True), 2):
        if span % 2:
            weight = _spread_out(weight, axis, gap)
        padding.append(span - span // 2)
        dilation.append(1 if span % 2 else gap)
    return weight, tuple(padding), tuple(dilation)


def _spread_out(weight: FloatArray, axis: int, gap: int) -> FloatArray:
    """The same filter of dilation 1, and a zero before it."""
    shape = list(weight.shape)
    shape[axis] = gap * (shape[axis] - 1) + 2
    made = np.zeros(shape)
    taps = [slice(None)] * weight.ndim
    taps[axis] = slice(1, None, gap)
    made[tuple(taps)] = weight
    return made


def _pool(node: Pool, incoming: Shape, findings: Findings) -> AffineMap:
    shape = _image(node, incoming, 2, 1, None, findings)
    _check_synapses(shape[0] * prod(node.kernel))
    weight = 1 / prod(node.kernel) if node.kind == "AvgPool2d" else 1.0
    wiring = pool(shape, node.kernel, node.stride, node.padding, weight)
    check_size(wiring.output_shape)
    return AffineMap(wiring.output_shape, wiring)


# ---- Scale, Flatten --------------------------------------------------------------------------------------


def _factor(node: Factor, incoming: Shape, findings: Findings) -> AffineMap:
    scale = spread(node.name, "scale", node.scale, incoming, findings)
    return AffineMap(incoming, OneToOne(scale.ravel()))


def spread(name: str, key: str, values: FloatArray, shape: Shape, findings: Findings) -> FloatArray:
    """A parameter in its neurons' shape. Raises Misfit where there is no one way to do it."""
    if values.shape == shape:
        return values
    if values.size == 1:
        return np.broadcast_to(values.reshape(()), shape)
    if values.size == prod(shape) and agree(values.shape, shape):
        findings.note(name, f"has its {key} in the shape {values.shape}, taken as {shape}")
        return values.reshape(shape)
    channels = values.ndim == 1 and values.size == shape[0] and values.size not in shape[1:]
    if channels or (values.ndim == len(shape) and _stretches(values.shape, shape)):
        findings.note(name, f"has its {key} in the shape {values.shape}, spread over {shape}")
        wide = values.reshape(-1, *[1] * (len(shape) - 1)) if channels else values
        return np.broadcast_to(wide, shape)
    raise Misfit(f"has its {key} in the shape {values.shape}, needed is one number or {shape}")


def _stretches(narrow: Shape, wide: Shape) -> bool:
    return all(a in (1, b) for a, b in zip(narrow, wide, strict=True))


def agree(a: Shape, b: Shape) -> bool:
    """Whether two shapes hold the same signal: dimensions of 1 aside they are the same, or one is flat."""
    if prod(a) != prod(b):
        return False
    bare = [[n for n in shape if n > 1] for shape in (a, b)]
    return bare[0] == bare[1] or min(len(bare[0]), len(bare[1])) <= 1


def _flattened(node: Flatten, incoming: Shape, findings: Findings) -> Shape:
    start, end = (n + len(incoming) if n < 0 else n for n in (node.start, node.end))
    if not 0 <= start <= end < len(incoming):
        findings.note(
            node.name,
            f"joins the dimensions {node.start} to {node.end} of {incoming}: there is nothing to join",
        )
        return incoming
    return (*incoming[:start], prod(incoming[start : end + 1]), *incoming[end + 1 :])
