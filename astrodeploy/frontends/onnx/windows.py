"""ONNX's convolutions and averages: windows over one or two spatial dimensions."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError
from astrodeploy.frontends.onnx.node import Node, spatial, spread
from astrodeploy.frontends.onnx.signals import SYNAPSES, Builder, Refusal, Shape, Signal, conv, sized
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.wiring import Sparse


def convolution(node: Node, build: Builder) -> Signal:
    """A correlation with constant filters, over one or two dimensions."""
    x, weight = node.signal(), node.constant(1, "filters")
    dims = spatial(x)
    if weight.ndim != dims + 2 or list(node.get("kernel_shape", weight.shape[2:])) != list(weight.shape[2:]):
        raise Refusal(f"has filters of shape {weight.shape} for an input of {dims} spatial dimensions")
    window = _Window.of(node, x.shape[1:], weight.shape[2:])
    wiring = window.conv(weight, x.shape, int(node.get("group", 1)))
    y = build.mapped(x, wiring, wiring.output_shape, node.layer)
    if node.given(2) is None:
        return y
    bias = node.constant(2, "biases").ravel()
    return y.shifted(spread(bias.reshape(-1, *[1] * dims), y.shape))


@dataclass(frozen=True)
class _Window:
    """Where a window of an input reads; what is padded before and behind may differ."""

    kernel: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    behind: Shape

    @classmethod
    def of(cls, node: Node, size: Shape, kernel: Shape) -> "_Window":
        dims = len(size)
        ones = [1] * dims
        stride, dilation = (tuple(node.get(key, ones)) for key in ("strides", "dilations"))
        if {len(stride), len(dilation), len(kernel)} != {dims} or min(*stride, *dilation, *kernel) < 1:
            raise Refusal(f"needs strides, dilations and a kernel of {dims} positive numbers each")
        pads = cls._pads(node, size, kernel, stride, dilation)
        if len(pads) != 2 * dims or min(pads) < 0:
            raise Refusal(f"needs {2 * dims} pads of at least 0, not {list(pads)}")
        return cls(tuple(kernel), stride, dilation, tuple(pads[:dims]), tuple(pads[dims:]))

    @staticmethod
    def _pads(node: Node, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> list[int]:
        how = node.get("auto_pad", "NOTSET")
        if how in ("NOTSET", ""):
            return list(node.get("pads", [0] * 2 * len(size)))
        if how == "VALID":
            return [0] * 2 * len(size)
        if how not in ("SAME_UPPER", "SAME_LOWER"):
            raise Refusal(f"has the unknown auto_pad {how!r}")
        needed = [
            max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        less, more = [n // 2 for n in needed], [n - n // 2 for n in needed]
        return less + more if how == "SAME_UPPER" else more + less

    def conv(self, values: Array, shape: Shape, groups: int) -> Any:
        """The convolution of these filters; unequal pads make them longer by zeros on the side that has less."""
        padding = tuple(max(pair) for pair in zip(self.before, self.behind, strict=True))
        longer = [(0, 0), (0, 0)]
        for less, more, d in zip(self.before, self.behind, self.dilation, strict=True):
            if (more - less) % d:
                raise Refusal(f"pads unequally, {less} and {more}, beside a dilation of {d}: make them equal")
            longer.append((max(0, more - less) // d, max(0, less - more) // d))
        if prod(n + a + b for n, (a, b) in zip(values.shape, longer, strict=True)) > SYNAPSES:
            raise Refusal("pads too far")
        try:
            return conv(np.pad(values, longer), shape, self.stride, padding, self.dilation, groups)
        except InputError as error:
            raise Refusal(f"does not fit its input: {error}") from error


def average_pool(node: Node, build: Builder) -> Signal:
    """The mean of every window; where padding does not count, of what lies inside."""
    x = node.signal()
    spatial(x)
    window = _Window.of(node, x.shape[1:], tuple(node.get("kernel_shape", ())))
    if node.get("ceil_mode", 0):
        _check_ceil(window, x.shape[1:])
    return _pooled(x, build, window, bool(node.get("count_include_pad", 0)))


def global_average_pool(node: Node, build: Builder) -> Signal:
    """The mean of every channel."""
    x = node.signal()
    dims = spatial(x)
    ones, zeros = (1,) * dims, (0,) * dims
    return _pooled(x, build, _Window(x.shape[1:], ones, ones, zeros, zeros), True)


def reduce_mean(node: Node, build: Builder) -> Signal:
    """The mean over all spatial dimensions."""
    x = node.signal()
    rank = 1 + len(x.shape)
    axes = node.integers(1, "axes") if node.given(1) is not None else list(node.get("axes", ()))
    if sorted(a % rank for a in axes) != list(range(2, rank)) or rank < 3:
        raise Refusal(f"averages over the axes {axes} of {rank}: only over all spatial ones is compiled")
    y = global_average_pool(node, build)
    return y if node.get("keepdims", 1) else y.reshaped(y.shape[:1])


def _pooled(x: Signal, build: Builder, window: _Window, counts_padding: bool) -> Signal:
    channels, cells = x.shape[0], prod(window.kernel)
    if cells * channels > SYNAPSES:
        raise Refusal("has a kernel that is too large")
    wiring: Any = window.conv(np.full((channels, 1, *window.kernel), 1 / cells), x.shape, channels)
    shape = wiring.output_shape
    if not counts_padding and any((*window.before, *window.behind)):
        share = wiring.deliver(np.ones(x.size))
        if share.min() <= 0:
            raise Refusal("has windows that lie in the padding altogether")
        wiring = wiring.scaled(1 / share)
    return build.mapped(x, wiring, shape, x.name)


def pad(node: Node, build: Builder) -> Signal:
    """Zeros around a signal."""
    x = node.signal()
    rank = 1 + len(x.shape)
    pads = node.integers(1, "pads") if node.given(1) is not None else list(node.get("pads", ()))
    value = node.constant(2, "padding") if node.given(2) is not None else np.array(node.get("value", 0.0))
    axes = node.integers(3, "axes") if node.given(3) is not None else list(range(rank))
    if (
        len(pads) != 2 * len(axes)
        or min(pads) < 0
        or node.get("mode", "constant") != "constant"
        or value.any()
    ):
        raise Refusal("pads otherwise than with constant zeros")
    widths = [(0, 0)] * rank
    for axis, before, behind in zip(axes, pads, pads[len(axes) :], strict=False):
        widths[axis % rank] = (before, behind)
    if widths[0] != (0, 0):
        raise Refusal("pads the batch")
    shape = sized(tuple(n + a + b for n, (a, b) in zip(x.shape, widths[1:], strict=True)))
    if shape == x.shape:
        return x
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths[1:], strict=True))
    places = np.arange(prod(shape)).reshape(shape)[inside].ravel()
    ones = (np.ones(x.size), (places, np.arange(x.size)))
    wiring = Sparse.of(scipy.sparse.coo_array(ones, shape=(prod(shape), x.size)))
    return build.mapped(x, wiring, shape, x.name)


def _check_ceil(window: _Window, size: Shape) -> None:
    for n, k, s, d, a, b in zip(
        size, window.kernel, window.stride, window.dilation, window.before, window.behind, strict=True
    ):
        if (n + a + b - d * (k - 1) - 1) % s:
            raise Refusal(
                "rounds its size up (ceil_mode=1) to windows that are not whole, which is not compiled"
            )
