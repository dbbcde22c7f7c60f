"""How a connection's weights lie in a core's memory: which synapses are stored, in how many bits, in how many axons.

    dense        every source neuron's synapses to all neurons of the box, zeros too
    sparse       those whose weight is not 0, each with the index of its neuron
    runlength    the same, each with the distance from the one before it
    convolution  the filters of the box's output channels, once

What each takes stands in `formulas.py`; `store` chooses the one that takes fewest bits. In all but the last,
every source neuron has an axon of its own into the core; of a convolution every pixel has one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.formulas import (
    dense_bits,
    least_run_length_bits,
    pixel_bits,
    run_length_bits,
    run_length_formulas,
    skip_widths,
    sparse_bits,
)
from astrodeploy.ir import Compartments, Connection, Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring import Conv, Dense, Random, Wiring
from astrodeploy.positions import Positions, Runs
from astrodeploy.program import Slice
from astrodeploy.receptive_fields import ReceptiveFields

Encoding = Literal["dense", "sparse", "runlength", "convolution"]
PREFERRED: tuple[Encoding, ...] = (
    "sparse",
    "runlength",
    "convolution",
    "dense",
)  # at equal cost: simple entries
SAMPLE = 1 << 18  # and few operations first. Of larger patterns, so many synapses decide about run-length


class Load(NamedTuple):
    """What a connection asks of a core for a box of its targets.

    sources  source neurons that send to the box
    words    of memory that the largest list of synapses takes: the chip may limit an axon's
    """

    bits: int
    input_axons: int
    sources: int
    words: int


@dataclass(frozen=True, eq=False)
class Stored(ABC):
    """A connection in one encoding; of those that `store` gives, the one that takes fewest bits.

    shape  of the target population
    costs  bits that the encodings which were weighed would take, if all of it lay on one core
    given  its positions, where they are known
    known_skip  the width of a distance in run-length entries, where it is known
    """

    encoding: ClassVar[Encoding]
    connection: Connection
    shape: tuple[int, ...]
    chip: Chip
    costs: Mapping[Encoding, int] = field(default_factory=dict)
    given: Positions | None = field(default=None, repr=False)
    known_skip: int | None = None

    @cached_property
    def positions(self) -> Positions:
        """Where its weights are not 0."""
        return self.given or Positions(self.connection.wiring, self.shape)

    @property
    def is_open(self) -> bool:
        """Whether the chip has the encoding, and it may be the cheapest, as far as `costs` are known."""
        return True

    @property
    def whole(self) -> Slice:
        """The box of all targets."""
        return Slice(self.connection.target, tuple((0, n) for n in self.shape))

    def words(self, bits: int) -> int:
        """Words of memory."""
        return bits // self.chip.synapses.word_bits.value

    @abstractmethod
    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:
        """Source neurons with stored synapses in a box of targets, ascending; how many each has there."""

    def operations(self, cut: Slice) -> IntArray:
        """Synapses whose weight is not 0 that each of the sources of `synapses` has in the box.

        Those are worked through: of a list that holds zeros, the chip counts only what it adds.
        """
        sources, _ = self.synapses(cut)
        adding, counts = self.positions.axons(cut)
        found = np.zeros(sources.size, np.int64)
        found[np.searchsorted(sources, adding)] = counts
        return found

    @abstractmethod
    def load(self, cut: Slice) -> Load:
        """Memory and input axons that a box of targets takes; a larger box never takes less."""

    @abstractmethod
    def gathered(self, values: Array) -> FloatArray:
        """Values (rows, sources), summed over each target's stored synapses: (rows, targets).

        (rows, 1) where every target has the same.
        """


class DenseStored(Stored):
    """Every source has a synapse to every target."""

    encoding: ClassVar[Encoding] = "dense"

    @property
    def is_open(self) -> bool:
        """False where not even one target would fit a core."""
        return self.connection.wiring.shape[1] <= self.chip.limits.input_axons_per_core.value

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        sources = self.connection.wiring.shape[1]
        return np.arange(sources), np.full(sources, cut.size, np.int64)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        sources = self.connection.wiring.shape[1]
        each = int(dense_bits(cut.size, self.connection.delay, self.chip))
        return Load(sources * each, sources, sources, self.words(each))

    def gathered(self, values: Array) -> FloatArray:  # noqa: D102
        return np.asarray(values.sum(1, keepdims=True))


class SparseStored(Stored):
    """Weights that are not 0."""

    encoding: ClassVar[Encoding] = "sparse"

    @cached_property
    def _ones(self) -> Wiring:
        """One where a weight is not 0."""
        wiring = self.connection.wiring
        return wiring.with_values((wiring.values != 0).astype(np.float32))

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        return self.positions.axons(cut)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        alike = np.bincount(self.positions.axons(cut)[1], minlength=1)  # axons by their number of synapses
        each = sparse_bits(np.arange(alike.size), self.connection.delay, self.chip)
        axons = int(alike[1:].sum())
        return Load(int(alike @ each), axons, axons, self.words(int(each[-1])))

    def gathered(self, values: Array) -> FloatArray:  # noqa: D102
        return self._ones.deliver(values)


class RunLengthStored(SparseStored):
    """Weights that are not 0, by their distances: `skip_bits` is the width of a distance."""

    encoding: ClassVar[Encoding] = "runlength"

    @property
    def is_open(self) -> bool:
        """False where even without a wide gap it would be no cheaper, or where it is not on a sample."""
        if not skip_widths(self.chip):
            return False
        least = int(least_run_length_bits(self._sampled[1], self.connection.delay, self.chip).sum())
        return self._beats(least) and self._beats(self._on_sample(self.skip_bits))

    def _beats(self, bits: int) -> bool:
        """Whether it would be chosen if the sampled sources' synapses took so many bits."""
        _, counts = self._sampled
        share = counts.size / max(1, self.positions.axons(self.whole)[0].size)
        sparse = int(sparse_bits(counts, self.connection.delay, self.chip).sum())
        return bits < sparse and all(bits <= share * cost for cost in self.costs.values())

    @cached_property
    def _sampled(self) -> tuple[IntArray, IntArray]:
        """Source neurons with about SAMPLE synapses in all, spread at random; how many each has."""
        sources, counts = self.positions.axons(self.whole)
        share = SAMPLE / max(1, int(counts.sum()))
        if share >= 1:
            return sources, counts
        size = max(1, int(share * counts.size))
        chosen = np.sort(np.random.default_rng(0).choice(counts.size, size, replace=False))
        return sources[chosen], counts[chosen]

    @cached_property
    def skip_bits(self) -> int:
        """The width of a distance with which the sampled sources take fewest bits."""
        if self.known_skip is not None:
            return self.known_skip
        return min(skip_widths(self.chip), key=self._on_sample)

    @cached_property
    def _sampled_runs(self) -> Runs:
        return self.positions.runs(self.whole, self._sampled[0])

    def _on_sample(self, skip_bits: int) -> int:
        return int(self._bits(self._sampled[1], self._sampled_runs, skip_bits).sum())

    def _bits(self, counts: IntArray, runs: Runs, skip_bits: int) -> IntArray:
        """Bits of axons whose numbers of synapses and runs are known."""
        entries = {
            name: runs(1 << skip_bits, formula.synapses_per_entry.value)
            for name, formula in run_length_formulas(self.chip).items()
        }
        return run_length_bits(counts, entries, skip_bits, self.connection.delay, self.chip)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        sources, counts = self.positions.axons(cut)
        each = self._bits(counts, self.positions.runs(cut), self.skip_bits)
        return Load(int(each.sum()), sources.size, sources.size, self.words(int(each.max(initial=0))))


class ConvolutionStored(Stored):
    """The filters, once; zero weights among them."""

    encoding: ClassVar[Encoding] = "convolution"

    @property
    def is_open(self) -> bool:  # noqa: D102
        return self.chip.synapses.convolution_axon_bits is not None and self.positions.fields is not None

    @property
    def fields(self) -> ReceptiveFields:
        """The arithmetic of its receptive fields."""
        assert self.positions.fields is not None, self.connection.name
        return self.positions.fields

    def synapses(self, cut: Slice) -> tuple[IntArray, IntArray]:  # noqa: D102
        return self.fields.filter_synapses(cut.ranges)

    def load(self, cut: Slice) -> Load:  # noqa: D102
        pixels = self.fields.pixels(cut.ranges)
        filters, channels, longest = self._filters(cut.ranges[0])
        return Load(filters + pixel_bits(pixels, self.chip), pixels, pixels * channels, self.words(longest))

    @cached_property
    def _known(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        return {}

    def _filters(self, outputs: tuple[int, int]) -> tuple[int, int, int]:
        """Bits of the filters of a range of output channels, input channels that they read, the longest's bits."""
        if outputs not in self._known:
            lists = self.fields.outputs_of(outputs) * self.fields.cells
            bits = dense_bits(lists, self.connection.delay, self.chip)
            self._known[outputs] = int(bits.sum()), int(np.count_nonzero(lists)), int(bits.max())
        return self._known[outputs]

    def gathered(self, values: Array) -> FloatArray:  # noqa: D102
        return self.fields.gathered(values)


ENCODINGS: dict[Encoding, type[Stored]] = {  # run-length last: it is weighed only where it may win
    each.encoding: each for each in (DenseStored, SparseStored, ConvolutionStored, RunLengthStored)
}


class _Choice(NamedTuple):
    """What is found for a connection once; it holds nothing that keeps the connection alive."""

    shape: tuple[int, ...]
    chip: Chip
    encoding: Encoding
    costs: Mapping[Encoding, int]
    skip: int | None


_choices: "WeakKeyDictionary[Connection, _Choice]" = WeakKeyDictionary()


def store(connection: Connection, shape: tuple[int, ...], chip: Chip) -> Stored:
    """Choose the cheapest encoding of a connection to a population of that shape."""
    found = _choices.get(connection)
    if found is None or found.shape != shape or found.chip is not chip:
        found = _choices[connection] = _choice(connection, shape, chip)
    return ENCODINGS[found.encoding](connection, shape, chip, found.costs, known_skip=found.skip)


def _choice(connection: Connection, shape: tuple[int, ...], chip: Chip) -> _Choice:
    costs: dict[Encoding, int] = {}
    weighed: dict[Encoding, Stored] = {}
    positions = Positions(connection.wiring, shape)
    for encoding, kind in ENCODINGS.items():
        each = kind(connection, shape, chip, costs, positions)
        if each.is_open:
            costs[encoding], weighed[encoding] = each.load(each.whole).bits, each
    best = min(costs, key=lambda encoding: (costs[encoding], PREFERRED.index(encoding)))
    chosen = weighed[best]
    skip = chosen.skip_bits if isinstance(chosen, RunLengthStored) else None
    return _Choice(shape, chip, best, costs, skip)


def weights(wiring: Wiring) -> int:
    """Synapses whose weight is not 0."""
    if isinstance(wiring, Conv):
        whole = ((0, wiring.output_shape[0]), *((0, n) for n in wiring.output_shape[1:]))
        return int(ReceptiveFields(wiring).nonzero_synapses(whole).sum())
    if isinstance(wiring, Dense):
        return int(np.count_nonzero(wiring.values))
    if isinstance(wiring, Random):
        return int(wiring.with_values(wiring.values != 0).deliver(np.ones(wiring.sources, np.int64)).sum())
    return int(np.count_nonzero(wiring.sparse.data))


def neuron_bits(population: Population) -> int:
    """Memory of one neuron: its states, and the parameters that differ from neuron to neuron."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    own = [name for name, values in node.parameters.items() if values.min() != values.max()]
    return node.kind.state_bits + sum(node.kind.parameters[name].bits for name in own)


def compartments_of(population: Population, chip: Chip) -> int:
    """Compartments of a core that one neuron takes."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    return chip.compartments_of(node.kind)
