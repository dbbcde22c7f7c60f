"""Convolutions and pooling: filters that are shared by all positions."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring.base import Wiring
from astrodeploy.ir.wiring.lists import Sparse

Spatial = tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Conv(Wiring):
    """A correlation as torch's Conv1d and Conv2d compute it; sources and targets are (channels, *spatial).

    values  (out channels, in channels / groups, *kernel)
    """

    input_shape: Spatial
    stride: Spatial
    padding: Spatial
    dilation: Spatial
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if problem := self._problem():
            raise InputError(f"a convolution {problem}")

    def _problem(self) -> str:
        n = len(self.input_shape) - 1
        lengths = {len(self.stride), len(self.padding), len(self.dilation), self.values.ndim - 2}
        if n not in (1, 2) or lengths != {n}:
            return (
                f"needs one or two spatial dimensions everywhere, its input has {n}, its settings {lengths}"
            )
        if min(self.stride) < 1 or min(self.dilation) < 1 or min(self.padding) < 0 or self.groups < 1:
            return "needs a stride, dilation and groups of at least 1, and padding of at least 0"
        channels = self.input_shape[0]
        if channels % self.groups or self.values.shape[0] % self.groups:
            return f"of {self.groups} groups does not divide {channels} into {self.values.shape[0]} channels"
        if self.values.shape[1] * self.groups != channels:
            return f"takes {self.values.shape[1] * self.groups} channels, its input has {channels}"
        if min(self.values.shape) < 1 or min(self.output_shape) < 1:
            return f"of kernel {self.values.shape[2:]} has no output on an input of {self.input_shape[1:]}"
        return ""

    @property
    def output_shape(self) -> Spatial:
        """(out channels, *spatial)."""
        spatial = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.input_shape[1:],
                self.padding,
                self.dilation,
                self.values.shape[2:],
                self.stride,
                strict=True,
            )
        )
        return (self.values.shape[0], *spatial)

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return prod(self.output_shape), prod(self.input_shape)

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        outputs, inputs = self.values.shape[0], self.values.shape[1]
        position, cell = self._taps()  # of one output plane: where a tap reads, and which tap it is
        starts_of_plane = position[0]
        reads, taps = position[1], cell
        plane = prod(self.input_shape[1:])
        weight = self.values.reshape(outputs, inputs, -1)
        counts = np.diff(starts_of_plane)
        data, columns = [], []
        # by target, then by channel, then by tap: ascending columns within a target
        order = _by_target(counts, inputs)
        read = (np.arange(inputs)[:, None] * plane + reads[None, :]).ravel()[order]
        for out in range(outputs):
            columns.append(read + (out // (outputs // self.groups)) * inputs * plane)
            data.append(weight[out][:, taps].ravel()[order])
        starts = np.concatenate([[0], np.cumsum(np.tile(counts * inputs, outputs))])
        return scipy.sparse.csr_array(
            (np.concatenate(data), np.concatenate(columns), starts), shape=self.shape
        )

    @property
    def fan_in(self) -> IntArray:  # noqa: D102
        (starts, _), _ = self._taps()
        return np.tile(np.diff(starts) * self.values.shape[1], self.values.shape[0])

    def deliver(self, messages: Array) -> Array:
        """Totals cell by cell of the kernel; no synapse is listed."""
        kernel, outputs = self.values.shape[2:], self.output_shape
        planes = messages.reshape(-1, self.groups, self.values.shape[1], *self.input_shape[1:])
        filters = self.values.reshape(self.groups, -1, *self.values.shape[1:]).astype(messages.dtype)
        totals = np.zeros((len(planes), *filters.shape[:2], *outputs[1:]), messages.dtype)
        for cell in np.ndindex(*kernel):
            reads, lands = zip(*(self._reach(i, k) for i, k in enumerate(cell)), strict=True)
            part = planes[(..., *reads)]
            flat = filters[(..., *cell)] @ part.reshape(*part.shape[:3], prod(part.shape[3:]))
            totals[(..., *lands)] += flat.reshape(*flat.shape[:3], *part.shape[3:])
        return totals.reshape(*messages.shape[:-1], self.shape[0])

    def _reach(self, axis: int, cell: int) -> tuple[slice, slice]:
        """The inputs that a cell of the kernel reads along an axis, and the outputs that read them."""
        stride, size = self.stride[axis], self.input_shape[axis + 1]
        shift = cell * self.dilation[axis] - self.padding[axis]
        first = max(0, -(shift // stride))
        last = min(self.output_shape[axis + 1], (size - 1 - shift) // stride + 1)
        count = max(0, last - first)
        start = first * stride + shift if count else 0
        return slice(start, start + count * stride, stride), slice(first, first + count)

    def _taps(self) -> tuple[tuple[IntArray, IntArray], IntArray]:
        """For one output plane: starts by position, the input positions read, and the kernel cells."""
        axes = [
            self._axis(*each)
            for each in zip(
                self.input_shape[1:],
                self.output_shape[1:],
                self.values.shape[2:],
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        ]
        reads, inside, cells = axes[0]
        for n, kernel, (more, ok, cell) in zip(
            self.input_shape[2:], self.values.shape[3:], axes[1:], strict=True
        ):
            rows, columns = reads.shape[0] * more.shape[0], reads.shape[1] * more.shape[1]
            inside = (inside[:, None, :, None] & ok[None, :, None, :]).reshape(rows, columns)
            reads = (reads[:, None, :, None] * n + more[None, :, None, :]).reshape(rows, columns)
            cells = (cells[:, None] * kernel + cell[None, :]).ravel()
        starts = np.concatenate([[0], np.cumsum(inside.sum(1))])
        return (starts, reads[inside]), np.broadcast_to(cells, inside.shape)[inside]

    @staticmethod
    def _axis(
        size: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int
    ) -> tuple[IntArray, Array, IntArray]:
        reads = np.arange(outputs)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
        return reads, (reads >= 0) & (reads < size), np.arange(kernel)

    def scaled(self, factor: FloatArray) -> "Wiring":
        """The map with every target's total multiplied; one of filters only where a channel has one factor."""
        by_channel = factor.reshape(self.values.shape[0], -1)
        if np.all(by_channel == by_channel[:, :1]):
            return self.with_values(self.values * by_channel[:, 0].reshape(-1, *[1] * (self.values.ndim - 1)))
        return Sparse.of(self.sparse).scaled(factor)


def _by_target(counts: IntArray, channels: int) -> IntArray:
    """Positions in a (channel, tap) list, ordered by target, channel, tap."""
    target = np.repeat(np.arange(counts.size), counts)
    keys = np.tile(target, channels)
    return np.argsort(keys, kind="stable")


def pool(
    input_shape: Spatial, kernel: Spatial, stride: Spatial, padding: Spatial, weight: float = 1.0
) -> Conv:
    """Sum pooling as a convolution of one filter a channel; average pooling with weight 1 / prod(kernel)."""
    channels = input_shape[0]
    values = np.full((channels, 1, *kernel), weight)
    return Conv(values, input_shape, stride, padding, (1,) * len(kernel), channels)
