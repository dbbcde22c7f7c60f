"""Ordinary torch modules that a chip's synapses can do: what each makes of a Signal.

Modules of spikingjelly's `layer`, which derive from torch's, are these too.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import scipy.sparse
import torch

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.signals import Shape, Signal
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool

Layer = Callable[[str, Any, Signal], Signal]
PASSING = (torch.nn.Identity, torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.Dropout2d)


def numpy(tensor: torch.Tensor) -> Array:
    """A tensor's numbers in float64."""
    return np.asarray(tensor.detach().cpu(), np.float64)


def finite(path: str, **tensors: torch.Tensor | None) -> list[Array | None]:
    """Tensors' numbers in float64. Raises InputError for NaN and infinity."""
    if any(tensor is not None and torch.nn.parameter.is_lazy(tensor) for tensor in tensors.values()):
        raise InputError(f"{path} has no weights yet: run the module once, so that they are made")
    found = [None if tensor is None else numpy(tensor) for tensor in tensors.values()]
    for name, array in zip(tensors, found, strict=True):
        if array is not None and not np.all(np.isfinite(array)):
            raise InputError(f"{path}.{name} holds NaN or infinite values: train or repair it first")
    return found


def linear(path: str, module: torch.nn.Linear, signal: Signal) -> Signal:
    """A Linear over the last dimension."""
    weight, bias = finite(path, weight=module.weight, bias=module.bias)
    assert weight is not None
    return weighted(path, signal, weight, bias)


def weighted(path: str, signal: Signal, weight: Array, bias: Array | None) -> Signal:
    """Weights (outputs, inputs) over the last dimension."""
    outputs, inputs = weight.shape
    shape = _shape(signal := signal.known_as((inputs,)))
    if shape[-1] != inputs:
        raise InputError(f"{path} takes {inputs} inputs, {_before(signal)} has {_text(shape)}")
    rows = prod(shape[:-1])
    wiring: Dense | Sparse = Dense(weight)
    if rows > 1:
        wiring = Sparse.of(scipy.sparse.kron(scipy.sparse.eye_array(rows), weight, format="csr"))
    per_value = None if bias is None else np.tile(bias, rows)
    return signal.through(wiring, (*shape[:-1], outputs), per_value, path)


def convolution(path: str, module: Any, signal: Signal) -> Signal:
    """A Conv1d or Conv2d."""
    shape = spatial(path, signal, len(module.kernel_size))
    if module.in_channels != shape[0]:
        raise InputError(f"{path} takes {module.in_channels} channels, {_before(signal)} has {_text(shape)}")
    wiring, bias = convolved(path, module, shape)
    return signal.through(wiring, wiring.output_shape, bias, path)


def convolved(path: str, module: Any, shape: Shape) -> tuple[Conv, Array | None]:
    """A Conv1d or Conv2d on (channels, *spatial): its wiring, and its bias per value."""
    if module.padding_mode != "zeros" and any(np.ravel(module._reversed_padding_repeated_twice)):
        raise UnsupportedError(f"{path} pads by {module.padding_mode!r}: supported is padding with zeros")
    weight, bias = finite(path, weight=module.weight, bias=module.bias)
    assert weight is not None
    weight, padding = _padded(path, module, weight)
    wiring = Conv(weight, shape, tuple(module.stride), padding, tuple(module.dilation), module.groups)
    return wiring, None if bias is None else np.repeat(bias, prod(wiring.output_shape[1:]))


def _padded(path: str, module: Any, weight: Array) -> tuple[Array, Shape]:
    """Filters and padding; where a side needs one zero more than the other, the filters get it."""
    if not isinstance(module.padding, str):
        return weight, tuple(module.padding)
    if module.padding == "valid":
        return weight, (0,) * len(module.kernel_size)
    total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(n % 2 and d > 1 for n, d in zip(total, module.dilation, strict=True)):
        raise UnsupportedError(f"{path} pads its two sides unequally: give padding as numbers")
    wider = [(0, 0), (0, 0), *((n % 2, 0) for n in total)]
    return np.pad(weight, wider), tuple((n + 1) // 2 for n in total)


def spatial(path: str, signal: Signal, dimensions: int) -> Shape:
    """The shape (channels, *spatial) of what a module over space reads. Raises InputError."""
    if signal.shape is None:
        raise InputError(
            f"{path} does not tell its input's shape: give input_shape, (channels, *spatial), on the "
            "command line --input-shape 1,8,8"
        )
    if len(signal.shape) != dimensions + 1:
        raise InputError(
            f"{path} takes (channels, {', '.join(['height', 'width'][-dimensions:])}), "
            f"{_before(signal)} has {_text(signal.shape)}"
        )
    return signal.shape


def average(path: str, module: Any, signal: Signal) -> Signal:
    """An AvgPool1d or AvgPool2d; with divisor_override=1 a sum."""
    dimensions = 1 if isinstance(module, torch.nn.AvgPool1d) else 2
    kernel, padding = _several(module.kernel_size, dimensions), _several(module.padding, dimensions)
    stride = _several(module.stride, dimensions)
    return pooled(
        path,
        signal,
        (kernel, stride, padding),
        divisor=getattr(module, "divisor_override", None),
        ceil_mode=module.ceil_mode,
        count_padding=module.count_include_pad,
    )


def pooled(
    path: str,
    signal: Signal,
    window: tuple[Shape, Shape, Shape],
    divisor: int | None = None,
    ceil_mode: bool = False,
    count_padding: bool = True,
) -> Signal:
    """Pooling over a window (kernel, stride, padding) by sums, divided by its size or by `divisor`."""
    kernel, stride, padding = window
    shape = spatial(path, signal, len(kernel))
    over = [(n + 2 * p - k) % s for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)]
    if ceil_mode and any(over):
        raise UnsupportedError(f"{path} rounds its output's size up: supported is ceil_mode=False")
    unpadded = divisor is None and not count_padding and any(padding)
    wiring = pool(shape, kernel, stride, padding, 1 / (1 if unpadded else divisor or prod(kernel)))
    pooling = signal.through(wiring, wiring.output_shape, None, path)
    if not unpadded:
        return pooling
    inside = wiring.deliver(np.ones(prod(shape)))
    return pooling.scaled((1 / inside).reshape(wiring.output_shape))


def power_pool(path: str, module: Any, signal: Signal) -> Signal:
    """An LPPool of norm 1, which is a sum."""
    if module.norm_type != 1:
        raise UnsupportedError(f"{path} pools by norm {module.norm_type}: supported is norm_type=1, a sum")
    dimensions = 1 if isinstance(module, torch.nn.LPPool1d) else 2
    kernel = _several(module.kernel_size, dimensions)
    stride = kernel if module.stride is None else _several(module.stride, dimensions)
    return pooled(path, signal, (kernel, stride, (0,) * dimensions), 1, module.ceil_mode)


def adaptive(path: str, module: Any, signal: Signal) -> Signal:
    """An AdaptiveAvgPool whose outputs divide its input evenly."""
    dimensions = 1 if isinstance(module, torch.nn.AdaptiveAvgPool1d) else 2
    shape = spatial(path, signal, dimensions)
    wanted = [n if m is None else m for n, m in zip(shape[1:], _wanted(module, dimensions), strict=True)]
    if any(n % m for n, m in zip(shape[1:], wanted, strict=True)):
        raise UnsupportedError(f"{path} divides {_text(shape[1:])} into {_text(wanted)} unequal windows")
    kernel = tuple(n // m for n, m in zip(shape[1:], wanted, strict=True))
    return pooled(path, signal, (kernel, kernel, (0,) * dimensions))


def _wanted(module: Any, dimensions: int) -> tuple[int | None, ...]:
    size = module.output_size
    return tuple(size) if isinstance(size, tuple | list) else (size,) * dimensions


def normalised(path: str, module: Any, signal: Signal) -> Signal:
    """A BatchNorm in eval mode: a factor and a constant per channel."""
    if module.training:
        raise UnsupportedError(
            f"{path} is in training mode, where it depends on the batch: call module.eval() first"
        )
    if module.running_mean is None:
        raise UnsupportedError(f"{path} keeps no running statistics, so that it depends on the batch")
    shape = _shape(signal.known_as((module.num_features,)))
    signal = signal.known_as(shape)
    if shape[0] != module.num_features or len(shape) > 3:
        raise InputError(f"{path} takes {module.num_features} channels, {_before(signal)} has {_text(shape)}")
    gain, shift, mean, variance = finite(
        path,
        weight=module.weight,
        bias=module.bias,
        running_mean=module.running_mean,
        running_var=module.running_var,
    )
    assert mean is not None and variance is not None
    factor = (1.0 if gain is None else gain) / np.sqrt(variance + module.eps)
    constant = (0.0 if shift is None else shift) - mean * factor
    wide = prod(shape[1:])
    return signal.through(OneToOne(np.repeat(factor, wide)), shape, np.repeat(constant, wide), path)


def flatten(path: str, module: torch.nn.Flatten, signal: Signal) -> Signal:
    """A Flatten; of an input whose shape nobody knows yet nothing changes."""
    return rearranged(path, module.forward, signal)


def rearranged(path: str, operation: Callable[[torch.Tensor], torch.Tensor], signal: Signal) -> Signal:
    """What an operation that moves values around, in every sample alike, makes of (batch, *shape)."""
    if signal.shape is None:
        return signal
    size = signal.size
    try:
        moved = operation(torch.arange(2 * size).reshape(2, *signal.shape))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{path} does not take values of shape {_text(signal.shape)}: {str(error).splitlines()[0]}"
        ) from error
    if not moved.numel():
        raise InputError(f"{path} leaves nothing of values of shape {_text(signal.shape)}")
    if not (moved.ndim and len(moved) == 2 and torch.equal(moved[1], moved[0] + size)):
        raise UnsupportedError(f"{path} moves values from one sample of the batch to another")
    return signal.selected(moved[0].numpy())


def _several(value: int | tuple[int, ...], dimensions: int) -> Shape:
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    return given * dimensions if len(given) == 1 else given


def _shape(signal: Signal) -> Shape:
    assert signal.shape is not None, "known_as was called"
    return signal.shape


def _before(signal: Signal) -> str:
    sources = {str(t.source) for t in signal.terms if isinstance(t.source, str)}
    return f"{sources.pop()} before it" if len(sources) == 1 else "what is before it"


def _text(shape: Any) -> str:
    return "x".join(str(n) for n in shape)


def layer_of(module: torch.nn.Module) -> Layer | None:
    """What a module's type makes of a Signal; None for what is none of LAYERS."""
    kind = type(module)
    for each in kind.__mro__:
        if each.__module__.startswith("spikingjelly.") and each.__name__ in SPIKINGJELLY:
            return SPIKINGJELLY[each.__name__]
        if each in LAYERS:
            return LAYERS[each]
    return None


def scaler(path: str, module: Any, signal: Signal) -> Signal:
    """The factor that spikingjelly's ann2snn puts before and after neurons."""
    (factor,) = finite(path, scale=module.scale)
    assert factor is not None
    return signal.scaled(factor)


def channel_scaler(path: str, module: Any, signal: Signal) -> Signal:
    """The same with a factor for each channel, or one for all."""
    (factor,) = finite(path, scale=module.scale)
    assert factor is not None
    if not factor.ndim:
        return signal.scaled(factor)
    shape = _shape(signal.known_as((factor.size,)))
    axis = range(1 + len(shape))[module.channel_dim]
    if axis == 0 or shape[axis - 1] != factor.size:
        raise InputError(f"{path} has {factor.size} factors, {_before(signal)} has {_text(shape)}")
    return signal.known_as(shape).scaled(factor.reshape(-1, *[1] * (len(shape) - axis)))


def _passing(path: str, module: torch.nn.Module, signal: Signal) -> Signal:
    return signal


LAYERS: dict[type[torch.nn.Module], Layer] = {
    torch.nn.Linear: linear,
    torch.nn.Conv1d: convolution,
    torch.nn.Conv2d: convolution,
    torch.nn.AvgPool1d: average,
    torch.nn.AvgPool2d: average,
    torch.nn.AdaptiveAvgPool1d: adaptive,
    torch.nn.AdaptiveAvgPool2d: adaptive,
    torch.nn.LPPool1d: power_pool,
    torch.nn.LPPool2d: power_pool,
    torch.nn.BatchNorm1d: normalised,
    torch.nn.BatchNorm2d: normalised,
    torch.nn.Flatten: flatten,
    torch.nn.Unflatten: flatten,
    **dict.fromkeys(PASSING, _passing),
}

SPIKINGJELLY: dict[str, Layer] = {  # by name, so that nobody has to have it
    "Dropout": _passing,
    "Dropout2d": _passing,
    "VoltageHook": _passing,
    "VoltageScaler": scaler,
    "ChannelVoltageScaler": channel_scaler,
}
