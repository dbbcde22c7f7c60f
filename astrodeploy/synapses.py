"""How a connection's weights lie in a core's memory: which synapses are stored, and in how many bits.

An axon is a way into one core. Its synapses are stored as entries of a header and up to
`synapses_per_entry` synapses; n of them take

    dense    entries * (header + index) + n * (weight + delay)    every neuron of the box, zeros too
    sparse   entries * header + n * (weight + delay + index)      only where the weight is not 0

rounded up to whole words; nothing without synapses. The delay takes bits only where it is longer than
the one step that every message takes. In both encodings every source neuron has an axon of its own.
Source: NxTF `optimization.py` (Loihi 1).

    convolution   the filters of the box's output channels, once: a dense list for each input channel, of
                  (output channels fed) * (cells of the kernel) synapses; and `convolution_axon_bits` for
                  each input axon, rounded up to whole words

Here an input axon is a pixel, not a neuron: as in NxTF's shared-weight convolution a population axon
carries all channels of a pixel, and the message says which; the axon's own bits say where the pixel
lies among the filters and the neurons. A message still leaves its neuron through an output axon of its
own. The formula is derived from NxTF's account of lists and population axons; no source prints it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse

from astrodeploy.chip import Chip
from astrodeploy.ir import Compartments, Connection, Population
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.wiring import Conv, Dense, Wiring
from astrodeploy.program import Slice
from astrodeploy.receptive_fields import ReceptiveFields

Encoding = Literal["dense", "sparse", "convolution"]
PREFERRED: tuple[Encoding, ...] = ("sparse", "convolution", "dense")  # at equal cost: fewer operations first


def _whole_words(bits: IntArray, chip: Chip) -> IntArray:
    word = chip.synapses.word_bits.value
    return -(-bits // word) * word


def _entries(synapses: IntArray, chip: Chip) -> IntArray:
    return -(-synapses // chip.synapses.synapses_per_entry.value)


def _synapse_bits(delay: int, chip: Chip) -> int:
    return chip.widths.weight_bits.value + (chip.synapses.delay_bits.value if delay > 1 else 0)


def dense_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many neighbouring synapses each, zero weights among them."""
    n = np.asarray(synapses, np.int64)
    head = chip.synapses.entry_header_bits.value + chip.synapses.index_bits.value
    return _whole_words(_entries(n, chip) * head + n * _synapse_bits(delay, chip), chip)


def sparse_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many synapses each, every one with the index of its neuron."""
    n = np.asarray(synapses, np.int64)
    each = _synapse_bits(delay, chip) + chip.synapses.index_bits.value
    return _whole_words(_entries(n, chip) * chip.synapses.entry_header_bits.value + n * each, chip)


def pixel_bits(pixels: int, chip: Chip) -> int:
    """Bits of the input axons of so many pixels, beside the filters of a convolution."""
    each, word = chip.synapses.convolution_axon_bits, chip.synapses.word_bits.value
    assert each is not None, chip.name
    return -(-pixels * each.value // word) * word


class Load(NamedTuple):
    """What a connection asks of a core for a box of its targets, and how many source neurons send to it."""

    bits: int
    input_axons: int
    sources: int


@dataclass(frozen=True, eq=False)
class Stored(ABC):
    """A connection in the encoding that takes fewest bits.

    shape  of the target population
    costs  bits that every encoding which the chip has would take, if all of it lay on one core
    """

    encoding: ClassVar[Encoding]
    connection: Connection
    shape: tuple[int, ...]
    chip: Chip
    costs: Mapping[Encoding, int]

    @abstractmethod
    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:
        """Source neurons with stored synapses in a box of targets, ascending; how many each has there."""

    @abstractmethod
    def load(self, cut: Slice) -> Load:
        """Memory and input axons that a box of targets takes."""

    @abstractmethod
    def gathered(self, values: FloatArray) -> FloatArray:
        """Values (rows, sources), summed over each target's stored synapses: (rows, targets).

        (rows, 1) where every target has the same.
        """


class DenseStored(Stored):
    """Every source has a synapse to every target."""

    encoding: ClassVar[Encoding] = "dense"

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        sources = self.connection.wiring.shape[1]
        return np.arange(sources), np.full(sources, cut.size, np.int64)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        sources = self.connection.wiring.shape[1]
        bits = sources * int(dense_bits(cut.size, self.connection.delay, self.chip))
        return Load(bits, sources, sources)

    def gathered(self, values: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(values.sum(1, keepdims=True))


class SparseStored(Stored):
    """Weights that are not 0."""

    encoding: ClassVar[Encoding] = "sparse"

    @cached_property
    def _fields(self) -> ReceptiveFields | None:
        return _fields(self.connection.wiring, self.shape)

    @cached_property
    def _rows(self) -> "scipy.sparse.csr_array":
        """One where a weight is not 0: (targets, sources)."""
        return (self.connection.wiring.sparse != 0).astype(np.float32)

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        counts = self._counts(cut)
        sources = np.flatnonzero(counts)
        return sources, counts[sources]

    def _counts(self, cut: Slice) -> IntArray:
        """Synapses of every source neuron in a box of targets, (sources,)."""
        wiring = self.connection.wiring
        if self._fields is not None:
            return self._fields.nonzero_synapses(cut.ranges)
        targets = cut.index[0] if len(cut.ranges) == 1 else cut.neurons(self.shape)
        if isinstance(wiring, Dense):
            return np.asarray(np.count_nonzero(wiring.values[targets], axis=0))
        return np.bincount(self._rows[targets].indices, minlength=wiring.shape[1])

    def load(self, cut: Slice) -> Load:  # noqa: D102
        alike = np.bincount(self._counts(cut))  # axons by their number of synapses
        each = sparse_bits(np.arange(alike.size), self.connection.delay, self.chip)
        axons = int(alike[1:].sum())
        return Load(int(alike @ each), axons, axons)

    def gathered(self, values: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray((self._rows @ values.T).T)


class ConvolutionStored(Stored):
    """The filters, once; zero weights among them."""

    encoding: ClassVar[Encoding] = "convolution"

    @cached_property
    def fields(self) -> ReceptiveFields:
        """The arithmetic of its receptive fields."""
        assert isinstance(self.connection.wiring, Conv), self.connection.name
        return ReceptiveFields(self.connection.wiring)

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        return self.fields.filter_synapses(cut.ranges)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        pixels = self.fields.pixels(cut.ranges)
        filters, channels = self._filters(cut.ranges[0])
        return Load(filters + pixel_bits(pixels, self.chip), pixels, pixels * channels)

    @cached_property
    def _known(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {}

    def _filters(self, outputs: tuple[int, int]) -> tuple[int, int]:
        """Bits of the filters of a range of output channels, and the input channels that they read."""
        if outputs not in self._known:
            lists = self.fields.outputs_of(outputs) * self.fields.cells
            bits = int(dense_bits(lists, self.connection.delay, self.chip).sum())
            self._known[outputs] = bits, int(np.count_nonzero(lists))
        return self._known[outputs]

    def gathered(self, values: FloatArray) -> FloatArray:  # noqa: D102
        return self.fields.gathered(values)


ENCODINGS: dict[Encoding, type[Stored]] = {
    each.encoding: each for each in (DenseStored, SparseStored, ConvolutionStored)
}


def store(connection: Connection, shape: tuple[int, ...], chip: Chip) -> Stored:
    """Choose the cheapest encoding of a connection to a population of that shape."""
    whole = Slice(connection.target, tuple((0, n) for n in shape))
    possible: list[Encoding] = ["dense", "sparse"]
    if chip.synapses.convolution_axon_bits is not None and _fields(connection.wiring, shape) is not None:
        possible.append("convolution")
    costs = {each: ENCODINGS[each](connection, shape, chip, {}).load(whole).bits for each in possible}
    cheapest = min(possible, key=lambda each: (costs[each], PREFERRED.index(each)))
    return ENCODINGS[cheapest](connection, shape, chip, costs)


def _fields(wiring: Wiring, shape: tuple[int, ...]) -> ReceptiveFields | None:
    """The receptive fields of a convolution whose targets have its own shape."""
    if isinstance(wiring, Conv) and wiring.output_shape == shape:
        return ReceptiveFields(wiring)
    return None


def weights(wiring: Wiring) -> int:
    """Synapses whose weight is not 0."""
    if isinstance(wiring, Conv):
        whole = ((0, wiring.output_shape[0]), *((0, n) for n in wiring.output_shape[1:]))
        return int(ReceptiveFields(wiring).nonzero_synapses(whole).sum())
    if isinstance(wiring, Dense):
        return int(np.count_nonzero(wiring.values))
    return int(np.count_nonzero(wiring.sparse.data))


def neuron_bits(population: Population) -> int:
    """Memory of one neuron: its states, and the parameters that differ from neuron to neuron."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    own = [name for name, values in node.parameters.items() if values.min() != values.max()]
    return node.kind.state_bits + sum(node.kind.parameters[name].bits for name in own)
