"""Who is connected to whom, and with which weights: the pattern of a Connection.

    Dense     every source to every target
    OneToOne  neuron i to neuron i
    Conv      a convolution over one or two spatial dimensions, its filters shared; pooling is one too
    Sparse    a list of synapses

A pattern is a linear map from messages (..., sources) to totals (..., targets). `values` holds its
numbers, each once: float64 before `quantise` and int8 after. Populations of several dimensions are
flattened in C order.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, FloatArray, IntArray, frozen

Spatial = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Wiring(ABC):
    """Base of all patterns."""

    values: Array

    def __post_init__(self) -> None:
        for each in fields(self):
            if isinstance(value := getattr(self, each.name), np.ndarray):
                object.__setattr__(self, each.name, frozen(value))

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(targets, sources)."""

    @cached_property
    @abstractmethod
    def sparse(self) -> "scipy.sparse.csr_array":
        """The map as a sparse matrix (targets, sources); zero weights of the pattern stay stored."""

    @abstractmethod
    def scaled(self, factor: FloatArray) -> "Wiring":
        """The map with every target's total multiplied by its factor (targets,)."""

    @property
    def fan_in(self) -> IntArray:
        """Synapses that end in every target: (targets,)."""
        return np.diff(self.sparse.indptr)

    @property
    def synapses(self) -> int:
        """Pairs of neurons that the pattern connects."""
        return int(self.fan_in.sum())

    def with_values(self, values: Array) -> Self:
        """The same pattern with other numbers."""
        if np.shape(values) != self.values.shape:
            raise ValueError(f"the pattern holds {self.values.shape} numbers, given are {np.shape(values)}")
        return replace(self, values=values)

    def matrix(self) -> Array:
        """The map as an array (targets, sources); for small networks."""
        dense: Array = self.sparse.toarray()
        return dense

    def deliver(self, messages: Array) -> Array:
        """Totals (..., targets) of messages (..., sources), in the type of the messages."""
        rows = messages.reshape(-1, self.shape[1])
        totals: Array = (self.sparse.astype(messages.dtype, copy=False) @ rows.T).T
        return totals.reshape(*messages.shape[:-1], self.shape[0])

    def bounds(self, low: float, high: float) -> tuple[Array, Array]:
        """Least and largest total of every target for messages within low..high, which contains 0."""
        positive, negative = self._signed_sums
        return low * positive - high * negative, high * positive - low * negative

    @cached_property
    def _signed_sums(self) -> tuple[Array, Array]:
        """Every target's positive weights, summed, and its negative ones, summed without their sign."""
        wide = self.values.astype(np.int64 if self.values.dtype.kind == "i" else np.float64)
        ones = np.ones(self.shape[1], wide.dtype)
        parts = (self.with_values(np.maximum(each, 0)).deliver(ones) for each in (wide, -wide))
        positive, negative = parts
        return positive, negative

    def settings(self) -> dict[str, Any]:
        """The pattern's description without its arrays, as plain data."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in found.items()
            if not isinstance(v, np.ndarray)
        }

    def arrays(self) -> dict[str, Array]:
        """The pattern's arrays by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in found.items() if isinstance(v, np.ndarray)}


@dataclass(frozen=True, eq=False)
class Dense(Wiring):
    """All to all: `values` is (targets, sources)."""

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        targets, sources = self.values.shape
        return targets, sources

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        targets, sources = self.shape
        columns = np.tile(np.arange(sources, dtype=np.int32), targets)
        starts = np.arange(targets + 1, dtype=np.int64) * sources
        return scipy.sparse.csr_array((self.values.ravel(), columns, starts), shape=self.shape)

    def matrix(self) -> Array:  # noqa: D102
        return self.values

    def deliver(self, messages: Array) -> Array:  # noqa: D102
        return np.asarray(messages @ self.values.T.astype(messages.dtype, copy=False))

    def scaled(self, factor: FloatArray) -> "Dense":  # noqa: D102
        return self.with_values(self.values * factor[:, None])

    @property
    def fan_in(self) -> IntArray:  # noqa: D102
        targets, sources = self.values.shape
        return np.full(targets, sources)

    @property
    def synapses(self) -> int:  # noqa: D102
        return self.values.size


@dataclass(frozen=True, eq=False)
class OneToOne(Wiring):
    """Neuron i to neuron i: `values` is (neurons,)."""

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.values.size, self.values.size

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        n = self.values.size
        return scipy.sparse.csr_array((self.values, np.arange(n), np.arange(n + 1)), shape=self.shape)

    def deliver(self, messages: Array) -> Array:  # noqa: D102
        return np.asarray(messages * self.values.astype(messages.dtype, copy=False))

    def scaled(self, factor: FloatArray) -> "OneToOne":  # noqa: D102
        return self.with_values(self.values * factor)


@dataclass(frozen=True, eq=False)
class Sparse(Wiring):
    """A list of synapses by target: those of target i are starts[i]..starts[i + 1].

    values   (synapses,)
    columns  (synapses,) their source neurons, ascending within a target
    starts   (targets + 1,)
    """

    columns: IntArray
    starts: IntArray
    sources: int

    @classmethod
    def of(cls, matrix: Any) -> "Sparse":
        """Of a scipy sparse matrix or an array (targets, sources); zeros are left out."""
        csr = scipy.sparse.csr_array(matrix, copy=True)
        csr.sum_duplicates()
        csr.eliminate_zeros()
        csr.sort_indices()
        return cls(csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64), csr.shape[1])

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.starts.size - 1, self.sources

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        return scipy.sparse.csr_array((self.values, self.columns, self.starts), shape=self.shape)

    def scaled(self, factor: FloatArray) -> "Sparse":  # noqa: D102
        return self.with_values(self.values * np.repeat(factor, np.diff(self.starts)))


@dataclass(frozen=True, eq=False)
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


def after(second: Wiring, first: Wiring) -> Wiring:
    """The map that does `first`, then `second`. Raises ValueError where their sizes do not fit."""
    if second.shape[1] != first.shape[0]:
        raise ValueError(f"a map of {second.shape[1]} inputs follows one of {first.shape[0]} outputs")
    if isinstance(first, OneToOne) and isinstance(second, OneToOne):
        return OneToOne(second.values * first.values)
    if isinstance(second, OneToOne):
        return first.scaled(second.values)
    if isinstance(first, OneToOne) and np.all(first.values == first.values[0]):
        return second.with_values(second.values * first.values[0])
    if isinstance(first, Conv) and isinstance(second, Conv) and second.input_shape == first.output_shape:
        joined = conv_after_pool(second, first) or _pool_after_conv(second, first)
        if joined is not None:
            return joined
    product = second.sparse @ first.sparse
    if isinstance(second, Dense) and isinstance(first, Dense):
        return Dense(product.toarray())
    return Dense(product.toarray()) if isinstance(second, Dense) else Sparse.of(product)


def conv_after_pool(second: Conv, first: Conv) -> Conv | None:
    """A convolution after a pool of cells that lie side by side: one of larger filters."""
    kernel = first.values.shape[2:]
    uniform = first.groups == first.values.shape[0] == first.input_shape[0] and np.all(
        first.values == first.values.flat[0]
    )
    side_by_side = first.stride == kernel and not any(first.padding) and set(second.dilation) == {1}
    whole = all(n % k == 0 for n, k in zip(first.input_shape[1:], kernel, strict=True))
    if not (uniform and side_by_side and whole and set(first.dilation) == {1}):
        return None
    values = second.values * first.values.flat[0]
    for axis, k in enumerate(kernel):
        values = np.repeat(values, k, axis=axis + 2)
    return Conv(
        values,
        first.input_shape,
        tuple(s * k for s, k in zip(second.stride, kernel, strict=True)),
        tuple(p * k for p, k in zip(second.padding, kernel, strict=True)),
        second.dilation,
        second.groups,
    )


def _pool_after_conv(second: Conv, first: Conv) -> Conv | None:
    """One filter a channel, without padding, after a convolution: a convolution of larger filters."""
    by_channel = second.groups == second.values.shape[0] == second.input_shape[0]
    if not by_channel or any(second.padding) or {*second.dilation, *first.dilation} != {1}:
        return None
    steps, window, kernel = first.stride, second.values.shape[2:], first.values.shape[2:]
    if any(s > k and w > 1 for s, k, w in zip(steps, kernel, window, strict=True)):
        return None  # its filters would have holes
    size = tuple((w - 1) * s + k for w, s, k in zip(window, steps, kernel, strict=True))
    values = np.zeros((*first.values.shape[:2], *size))
    for cell in np.ndindex(*window):
        corner = tuple(slice(c * s, c * s + k) for c, s, k in zip(cell, steps, kernel, strict=True))
        factor = second.values[(slice(None), 0, *cell)].reshape(-1, *[1] * (first.values.ndim - 1))
        values[(slice(None), slice(None), *corner)] += factor * first.values
    stride = tuple(a * b for a, b in zip(steps, second.stride, strict=True))
    return Conv(values, first.input_shape, stride, first.padding, first.dilation, first.groups)


def together(a: Wiring, b: Wiring) -> Wiring:
    """The sum of two maps of the same shape."""
    if isinstance(a, Dense) or isinstance(b, Dense):
        return Dense(a.matrix() + b.matrix())
    if isinstance(a, OneToOne) and isinstance(b, OneToOne):
        return OneToOne(a.values + b.values)
    return Sparse.of(a.sparse + b.sparse)


WIRINGS: dict[str, type[Wiring]] = {each.__name__: each for each in (Dense, OneToOne, Sparse, Conv)}


def from_parts(name: str, settings: dict[str, Any], arrays: dict[str, Array]) -> Wiring:
    """Read back what `settings` and `arrays` gave. Raises InputError for an unknown pattern."""
    if name not in WIRINGS:
        raise InputError(f"the pattern {name!r} is unknown; known are {', '.join(WIRINGS)}")
    plain: dict[str, Any] = {
        k: tuple(int(n) for n in v) if isinstance(v, list) else int(v) for k, v in settings.items()
    }
    wiring = WIRINGS[name](**arrays, **plain)
    if isinstance(wiring, Sparse):
        _check_sparse(wiring)
    needed = {Dense: "targets, sources", OneToOne: "neurons,"}.get(type(wiring), "")
    if needed and wiring.values.ndim != len(needed.split()):
        raise InputError(f"the pattern {name} needs weights ({needed}), not of shape {wiring.values.shape}")
    return wiring


def _check_sparse(wiring: Sparse) -> None:
    starts, columns = wiring.starts, wiring.columns
    flat = starts.ndim == columns.ndim == wiring.values.ndim == 1 and starts.size > 0
    flat = flat and starts.dtype.kind == columns.dtype.kind == "i"
    ordered = flat and starts[0] == 0 and np.all(np.diff(starts) >= 0)
    if not ordered or starts[-1] != columns.size or columns.size != wiring.values.size:
        raise InputError("a sparse pattern's starts do not fit its synapses")
    if wiring.columns.size and not (wiring.columns.min() >= 0 and wiring.columns.max() < wiring.sources):
        raise InputError(f"a sparse pattern names a source outside 0..{wiring.sources - 1}")
    target = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    if np.any((np.diff(columns) <= 0) & (np.diff(target) == 0)):
        raise InputError("a sparse pattern names a source twice: its sources must ascend within a target")
