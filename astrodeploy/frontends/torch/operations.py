"""Operations of a forward (`x + y`, `x.flatten(1)`, ...) that are linear: what each makes of Signals."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import scipy.sparse
import torch

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.layers import convolution, finite, pooled, rearranged, weighted
from astrodeploy.frontends.torch.signals import Signal, concatenated
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.wiring import Sparse

BATCH = 2  # how many samples stand for the batch where an operation asks for its size
Operation = Callable[..., Any]


def _number(value: Any) -> Any:
    return constant(value) if isinstance(value, torch.Tensor) else value


def _add(where: str, left: Any, right: Any, alpha: float = 1.0) -> Any:
    right = _scaled(right, alpha) if isinstance(right, Signal) else _number(right) * alpha
    if isinstance(left, Signal) and isinstance(right, Signal):
        return left.plus(right)
    signal, shift = (left, right) if isinstance(left, Signal) else (right, _number(left))
    return signal if np.all(shift == 0) else signal.raised(shift)


def _subtract(where: str, left: Any, right: Any, alpha: float = 1.0) -> Any:
    return _add(where, left, right, -alpha)


def _multiply(where: str, left: Any, right: Any) -> Any:
    if isinstance(left, Signal) and isinstance(right, Signal):
        raise UnsupportedError(
            f"the operation 'mul'{where} multiplies two signals, which the synapses of a chip can't: "
            "astrodeploy.nn.Astrocyte does, fed with left=... and right=...; gains are what AstrocyteLayer is for"
        )
    signal, factor = (left, right) if isinstance(left, Signal) else (right, left)
    return _scaled(signal, _number(factor))


def _divide(where: str, left: Any, right: Any) -> Any:
    if not isinstance(left, Signal) or isinstance(right, Signal):
        raise UnsupportedError(f"the operation 'div'{where} divides by a signal, which is not linear")
    return _scaled(left, 1.0 / np.asarray(_number(right), np.float64))


def _negative(where: str, signal: Signal) -> Any:
    return _scaled(signal, -1.0)


def _scaled(signal: Signal, factor: Any) -> Signal:
    return signal if np.all(np.asarray(factor) == 1) else signal.scaled(np.asarray(factor, np.float64))


def _concatenate(where: str, tensors: Any, dim: int = 0, axis: int | None = None) -> Any:
    along = dim if axis is None else axis
    ranks = {1 + len(t.shape) for t in tensors if t.shape is not None}
    if along in (0, *(-r for r in ranks)):
        raise UnsupportedError(
            f"the operation 'cat'{where} puts samples side by side: give dim=1 for channels"
        )
    return concatenated(tensors, along)


def _passing(where: str, signal: Signal, *_arguments: Any, **_settings: Any) -> Any:
    return signal


def _filled(value: float) -> Operation:
    """A constant of a signal's shape, whatever the signal."""

    def fill(where: str, signal: Signal, **_settings: Any) -> Any:
        if signal.shape is None:
            raise InputError(
                f"the operation that makes a constant{where} needs the input's shape: give input_shape"
            )
        return Signal((), signal.shape, np.full(signal.size, value))

    return fill


def _size(where: str, signal: Signal, dim: int | None = None) -> Any:
    if dim == 0:
        return BATCH
    if signal.shape is None:
        return (BATCH, -1) if dim is None else -1
    shape = (BATCH, *signal.shape)
    return shape if dim is None else shape[dim]


def _rank(where: str, signal: Signal) -> Any:
    return 1 + len(signal.shape or (0,))


def _average(
    where: str,
    signal: Signal,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *rest: Any,
    **named: Any,
) -> Any:
    settings = dict(zip(("ceil_mode", "count_include_pad", "divisor_override"), rest, strict=False)) | named
    kernel, step, pad = (_pair(each) for each in (kernel_size, stride or kernel_size, padding))
    return pooled(
        f"the operation 'avg_pool2d'{where}",
        signal,
        (kernel, step, pad),
        settings.get("divisor_override"),
        settings.get("ceil_mode", False),
        settings.get("count_include_pad", True),
    )


def _reduced(name: str) -> Operation:
    """The sum or mean over dimensions, as a method of tensors takes them."""

    def reduce(where: str, signal: Signal, dim: Any = None, keepdim: bool = False) -> Any:
        what = f"the operation '{name}'{where}"
        if signal.shape is None:
            raise InputError(f"{what} needs the shape of the input: give input_shape (--input-shape)")
        rank = len(signal.shape) + 1
        axes = set() if dim is None else {int(d) % rank for d in np.atleast_1d(dim)}
        if not axes or 0 in axes:
            raise UnsupportedError(
                f"{what} is over the samples of the batch too: name the dimensions, without 0"
            )
        kept = tuple(1 if i + 1 in axes else n for i, n in enumerate(signal.shape))
        targets = np.broadcast_to(np.arange(prod(kept)).reshape(kept), signal.shape).ravel()
        factor = prod(kept) / signal.size if name == "mean" else 1.0
        entries = (np.full(signal.size, factor), (targets, np.arange(signal.size)))
        wiring = Sparse.of(scipy.sparse.csr_array(entries, shape=(prod(kept), signal.size)))
        shape = kept if keepdim else tuple(n for i, n in enumerate(kept) if i + 1 not in axes)
        if not shape:
            raise UnsupportedError(f"{what} leaves a sample without a dimension: give keepdim=True")
        return signal.through(wiring, shape, None, what)

    return reduce


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _linear(where: str, signal: Signal, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    path = f"the operation 'linear'{where}"
    numbers, shift = finite(path, weight=weight, bias=bias)
    assert numbers is not None
    return weighted(path, signal, numbers, shift)


def _product(where: str, left: Any, right: Any) -> Any:
    if not isinstance(left, Signal) or isinstance(right, Signal) or right.ndim != 2:
        raise UnsupportedError(
            f"the operation 'matmul'{where} is not a signal times a matrix (inputs, outputs) that the module holds"
        )
    return _linear(where, left, right.T)


def _convolution(dimensions: int) -> Operation:
    """torch.nn.functional.conv1d or conv2d, by way of the module of the same settings."""
    kind = torch.nn.Conv1d if dimensions == 1 else torch.nn.Conv2d
    names = ("stride", "padding", "dilation", "groups")

    def convolve(where: str, signal: Signal, weight: Any, bias: Any = None, *rest: Any, **named: Any) -> Any:
        settings = dict(zip(names, rest, strict=False)) | named
        channels = weight.shape[1] * settings.get("groups", 1)
        kernel = tuple(weight.shape[2:])
        module = kind(channels, len(weight), kernel, bias=bias is not None, **settings)
        module.weight = torch.nn.Parameter(weight)
        module.bias = None if bias is None else torch.nn.Parameter(bias)
        return convolution(f"the operation 'conv{dimensions}d'{where}", module, signal)

    return convolve


def _moving(name: str) -> Operation:
    """An operation that moves values around, by its name as a method of tensors."""

    def move(where: str, signal: Signal, *arguments: Any, **settings: Any) -> Any:
        what = f"the operation '{name}'{where}"
        if signal.shape is None and name not in RESHAPING:
            raise InputError(f"{what} needs the shape of the input: give input_shape (--input-shape)")

        def operation(values: torch.Tensor) -> torch.Tensor:
            moved: torch.Tensor = getattr(values, name)(*arguments, **settings)
            return moved

        return rearranged(what, operation, signal)

    return move


RESHAPING = ("flatten", "reshape", "view", "unsqueeze", "squeeze", "unflatten")
MOVING = (*RESHAPING, "expand", "permute", "transpose", "movedim", "flip", "narrow", "__getitem__")
PASSING = (
    "contiguous",
    "detach",
    "clone",
    "float",
    "double",
    "to",
    "dropout",
    "identity",
    "type_as",
    "requires_grad_",
)

OPERATIONS: dict[str, Operation] = {
    **{name: _moving(name) for name in MOVING},
    **dict.fromkeys(PASSING, _passing),
    **dict.fromkeys(("add", "iadd", "add_"), _add),
    **dict.fromkeys(("sub", "isub", "sub_", "subtract"), _subtract),
    **dict.fromkeys(("mul", "imul", "mul_", "multiply"), _multiply),
    **dict.fromkeys(("div", "truediv", "itruediv", "div_", "divide"), _divide),
    **dict.fromkeys(("neg", "negative"), _negative),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    "ones_like": _filled(1.0),
    "zeros_like": _filled(0.0),
    "linear": _linear,
    "matmul": _product,
    "conv1d": _convolution(1),
    "conv2d": _convolution(2),
    "avg_pool2d": _average,
    "sum": _reduced("sum"),
    "mean": _reduced("mean"),
    "size": _size,
    "dim": _rank,
    "getitem": _moving("__getitem__"),
}
SIZES = ("size", "dim")  # what tells of a tensor's shape, not of its values


def is_linear(name: str, tensors: int) -> bool:
    """Whether an operation on so many tensors that depend on the input is one of these."""
    products = ("matmul", "mul", "imul", "mul_", "multiply", "div", "truediv", "itruediv", "div_", "divide")
    return name in OPERATIONS and not (name in products and tensors > 1)


def constant(value: torch.Tensor) -> Array:
    """A tensor that the module holds, as numbers."""
    return np.asarray(value.detach().cpu(), np.float64)
