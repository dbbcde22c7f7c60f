"""Which inputs a box of a convolution's outputs reads, by arithmetic along each axis; no synapse is listed."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import scipy.sparse

from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring import Conv
from astrodeploy.runs import Entries

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Axis:
    """One spatial axis: output o reads input o * stride - padding + k * dilation through cell k.

    What ranges of outputs read is found once for each; inputs count from the first one that a range reads.
    """

    inputs: int
    reads: IntArray  # (outputs, cells), -1 where a cell lies in the padding
    pixels: dict[tuple[int, int], int] = field(default_factory=dict)
    known: dict[tuple[int, int], tuple[int, IntArray]] = field(default_factory=dict)

    def taps(self, start: int, stop: int) -> IntArray:
        """How many of the outputs start..stop read each input through each cell: (inputs in between, cells)."""
        return self._found(start, stop)[1]

    def first(self, start: int, stop: int) -> int:
        """The first input that the outputs start..stop read."""
        return self._found(start, stop)[0]

    def _found(self, start: int, stop: int) -> tuple[int, IntArray]:
        if (start, stop) not in self.known:
            reads = self.reads[start:stop]
            cells, inside = reads.shape[1], reads >= 0
            first = int(reads.min(initial=self.inputs, where=inside))
            width = max(0, int(reads.max(initial=-1)) + 1 - first)
            places = ((reads - first) * cells + np.arange(cells))[inside]
            taps = np.bincount(places, minlength=width * cells).reshape(width, cells)
            self.known[start, stop] = first if width else 0, taps
        return self.known[start, stop]

    def read(self, start: int, stop: int) -> int:
        """How many inputs the outputs start..stop read; found once for each range."""
        if (start, stop) not in self.pixels:
            self.pixels[start, stop] = int(np.count_nonzero(self.taps(start, stop).any(1)))
        return self.pixels[start, stop]

    def entries(self, start: int, stop: int, cells: Array, reach: int, most: int) -> IntArray:
        """Run-length entries in which each input's synapses to the outputs start..stop lie: (inputs in between,).

        `cells` says which cells of the kernel have a weight, (cells,).
        """
        first, taps = self._found(start, stop)
        reads = np.where(cells, self.reads[start:stop], -1)
        starts = np.concatenate([[0], np.cumsum((reads >= 0).sum(1))])
        entries = Entries(len(taps), reach, most)
        entries.add(starts, reads[reads >= 0], np.arange(stop - start), first)
        return entries.counts

    def matrix(self) -> "scipy.sparse.csr_array":
        """Which output reads which input: (outputs, inputs) of ones."""
        output, cell = np.nonzero(self.reads >= 0)
        return scipy.sparse.csr_array(
            (np.ones(output.size), (output, self.reads[output, cell])), (len(self.reads), self.inputs)
        )


def _axis(inputs: int, outputs: int, cells: int, stride: int, padding: int, dilation: int) -> Axis:
    reads = np.arange(outputs)[:, None] * stride - padding + np.arange(cells) * dilation
    return Axis(inputs, np.where((reads >= 0) & (reads < inputs), reads, -1))


class ReceptiveFields:
    """The receptive fields of a convolution. A box holds a range of channels and one of every spatial axis."""

    def __init__(self, conv: Conv) -> None:
        self.conv = conv
        self.outputs = conv.output_shape
        self.cells = prod(conv.values.shape[2:])
        self.axes = [
            _axis(*each)
            for each in zip(
                conv.input_shape[1:],
                self.outputs[1:],
                conv.values.shape[2:],
                conv.stride,
                conv.padding,
                conv.dilation,
                strict=True,
            )
        ]

    def pixels(self, box: Ranges) -> int:
        """Input positions that the box reads, whatever their channel."""
        return prod(axis.read(*each) for axis, each in zip(self.axes, box[1:], strict=True))

    def outputs_of(self, channels: tuple[int, int]) -> IntArray:
        """How many of a range of output channels each input channel feeds: (input channels,)."""
        inside = np.zeros(self.outputs[0], np.int64)
        inside[slice(*channels)] = 1
        by_group = inside.reshape(self.conv.groups, -1).sum(1)
        return np.asarray(np.repeat(by_group, self.conv.values.shape[1]))

    def filter_synapses(self, box: Ranges) -> tuple[IntArray, IntArray]:
        """Source neurons that the box reads, ascending, and how many of its synapses each has, zeros too."""
        taps = [axis.taps(*each).sum(1) for axis, each in zip(self.axes, box[1:], strict=True)]
        factors = [self.outputs_of(box[0]), *taps]
        used = [np.flatnonzero(each) for each in factors]
        values = _outer([each[at] for each, at in zip(factors, used, strict=True)])
        firsts = [0, *self._firsts(box)]
        return self._sources([at + first for at, first in zip(used, firsts, strict=True)]), values.ravel()

    def window(self, box: Ranges) -> IntArray:
        """The source neurons between the first and the last that the box reads along each axis, ascending."""
        taps = [axis.taps(*each) for axis, each in zip(self.axes, box[1:], strict=True)]
        along = [
            np.arange(first, first + len(each)) for first, each in zip(self._firsts(box), taps, strict=True)
        ]
        return self._sources([np.arange(self.conv.input_shape[0]), *along])

    def _firsts(self, box: Ranges) -> list[int]:
        return [axis.first(*each) for axis, each in zip(self.axes, box[1:], strict=True)]

    def _sources(self, along: list[IntArray]) -> IntArray:
        return np.asarray(np.ravel_multi_index(np.ix_(*along), self.conv.input_shape).ravel())

    def nonzero_synapses(self, box: Ranges) -> IntArray:
        """How many synapses of the box whose weight is not 0 every source neuron of its window has."""
        counts: Array = self._nonzero_cells(box[0])
        for axis, each in zip(self.axes, box[1:], strict=True):
            counts = np.tensordot(counts, axis.taps(*each), (1, 1))  # (channels, cells left, inputs done)
        return np.asarray(counts.ravel())

    def _nonzero_cells(self, channels: tuple[int, int]) -> IntArray:
        """Weights that are not 0 in a range of output channels: (input channels, *cells)."""
        filters = self.conv.values != 0
        filters[: channels[0]] = filters[channels[1] :] = False
        by_group = filters.reshape(self.conv.groups, -1, *filters.shape[1:]).sum(1)
        return np.asarray(by_group.reshape(-1, *filters.shape[2:]))

    def entries(self, box: Ranges, reach: int, most: int) -> IntArray:
        """Run-length entries of every source neuron of the box's window, each within a line of outputs."""
        last = self.axes[-1]
        patterns, found = self._lines(box[0])  # a line of the kernel's cells is one of few patterns
        each = [last.entries(*box[-1], cells, reach, most) for cells in patterns]
        counts: Array = found @ np.array(each).reshape(len(patterns), -1)
        if (
            len(self.axes) > 1
        ):  # (channels, cells, inputs): through each cell so many lines of outputs read a line
            counts = np.einsum("yk,ckx->cyx", self.axes[0].taps(*box[1]), counts)
        return np.asarray(counts.ravel())

    def _lines(self, channels: tuple[int, int]) -> tuple[Array, IntArray]:
        """Which weights along the last axis are not 0: all patterns, (patterns, cells), and how often they occur.

        The latter in a range of output channels, (input channels, *cells of the other axes, patterns).
        """
        filters = self.conv.values != 0
        patterns, found = np.unique(filters.reshape(-1, filters.shape[-1]), axis=0, return_inverse=True)
        found = found.reshape(filters.shape[:-1])[slice(*channels)]
        group = np.arange(*channels) * self.conv.groups // self.outputs[0]
        read, others = filters.shape[1], prod(filters.shape[2:-1])
        place = (group[:, None] * read + np.arange(read))[..., None] * others + np.arange(others)
        where = place.reshape(found.shape) * len(patterns) + found
        shape = (self.conv.input_shape[0], *filters.shape[2:-1], len(patterns))
        return patterns, np.bincount(where.ravel(), minlength=prod(shape)).reshape(shape)

    def gathered(self, values: Array) -> FloatArray:
        """Values (rows, sources), summed over the receptive field of every output: (rows, targets)."""
        groups, rows = self.conv.groups, len(values)
        planes: Array = values.reshape(rows * groups, -1, *self.conv.input_shape[1:]).sum(1)
        for axis in self.axes:
            planes = np.moveaxis(planes, 1, -1)
            along = (axis.matrix() @ planes.reshape(-1, axis.inputs).T).T
            planes = along.reshape(*planes.shape[:-1], -1)
        every = np.broadcast_to(
            planes.reshape(rows, groups, 1, -1),
            (rows, groups, self.outputs[0] // groups, prod(self.outputs[1:])),
        )
        return np.asarray(every.reshape(rows, -1))


def _outer(factors: list[IntArray]) -> IntArray:
    product = factors[0]
    for each in factors[1:]:
        product = product[..., None] * each
    return product
