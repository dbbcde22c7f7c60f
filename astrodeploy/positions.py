"""Where the weights of a pattern are not 0, box by box: how many, and in how many run-length entries.

Only the sources that send to a box are looked at, and large boxes are listed in pieces: what a box takes
of time and memory does not grow with the network.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from astrodeploy.ir.arrays import Array, IntArray, frozen
from astrodeploy.ir.wiring import Conv, Dense, Wiring
from astrodeploy.program import Slice
from astrodeploy.receptive_fields import ReceptiveFields
from astrodeploy.runs import Entries, counted, some

FAR = 1 << 32  # between two lines: beyond the reach of any entry
PIECE = 1 << 20  # synapses that are listed at a time
Runs = Callable[[int, int], IntArray]  # reach, most synapses an entry -> entries of every axon
Axons = tuple[IntArray, IntArray]  # source neurons, ascending, and how many synapses each has


class Listed(NamedTuple):
    """The synapses of some targets, each at its place: those of the i-th are sources[starts[i]:starts[i + 1]]."""

    starts: IntArray
    sources: IntArray
    places: IntArray


@dataclass(frozen=True, eq=False)
class Positions:
    """The synapses whose weight is not 0, of a pattern that ends in a population of that shape."""

    wiring: Wiring
    shape: tuple[int, ...]
    _last: dict[Slice, Listed] = field(default_factory=dict, repr=False)
    _last_axons: dict[Slice, Axons] = field(default_factory=dict, repr=False)

    @cached_property
    def fields(self) -> ReceptiveFields | None:
        """The receptive fields of a convolution whose targets have its own shape: no synapse is listed."""
        if isinstance(self.wiring, Conv) and self.wiring.output_shape == self.shape:
            return ReceptiveFields(self.wiring)
        return None

    def axons(self, cut: Slice) -> Axons:
        """Source neurons with synapses in a box of targets, and how many each has there."""
        if cut.size == self.wiring.shape[0]:
            return self._all
        if cut not in self._last_axons:
            found = self._axons(cut)
            self._last_axons.clear()
            self._last_axons[cut] = found
        return self._last_axons[cut]

    @cached_property
    def _all(self) -> Axons:
        sources, counts = self._axons(Slice("", tuple((0, n) for n in self.shape)))
        return frozen(sources), frozen(counts)

    def _axons(self, cut: Slice) -> Axons:
        if self.fields is not None:
            return _used(self.fields.window(cut.ranges), self.fields.nonzero_synapses(cut.ranges))
        first, stop = self._window(cut)
        counts = np.zeros(stop - first, np.int64)
        for piece in self._listed(cut):
            counted(piece.sources, first, counts)
        return _used(np.arange(first, stop), counts)

    def runs(self, cut: Slice, chosen: IntArray | None = None) -> Runs:
        """Run-length entries of the sources that send to a box of targets, or of a few of them (ascending)."""
        sources = self.axons(cut)[0] if chosen is None else chosen
        if (fields := self.fields) is not None:
            places = np.searchsorted(fields.window(cut.ranges), sources)
            return lambda reach, most: fields.entries(cut.ranges, reach, most)[places]
        first, stop = self._window(cut)
        pieces: list[Listed] | None = None
        if chosen is not None:
            pieces = list(self._only(cut, chosen))

        def count(reach: int, most: int) -> IntArray:
            entries = Entries(stop - first, reach, most)
            for piece in self._listed(cut) if pieces is None else pieces:
                entries.add(*piece, first)
            return entries.counts[sources - first]

        return count

    def _only(self, cut: Slice, chosen: IntArray) -> Iterator[Listed]:
        """The synapses of a few sources."""
        wanted = np.zeros(self.wiring.shape[1], np.bool_)
        wanted[chosen] = True
        for piece in self._listed(cut):
            yield _kept(piece, wanted[piece.sources])

    def _window(self, cut: Slice) -> tuple[int, int]:
        """A range of sources that holds all that send to a box."""
        if cut not in self._last:
            pieces = self._listed(cut)
            first = next(pieces)
            if next(pieces, None) is not None:
                return 0, self.wiring.shape[1]
            self._last.clear()
            self._last[cut] = first
        sources = self._last[cut].sources
        return (int(sources.min()), int(sources.max()) + 1) if sources.size else (0, 0)

    def _listed(self, cut: Slice) -> Iterator[Listed]:
        """All synapses of a box, in pieces; places count from its first neuron, and leave a gap after a line."""
        if cut in self._last:
            yield self._last[cut]
            return
        flat, line = len(cut.ranges) == 1, cut.ranges[-1][1] - cut.ranges[-1][0]
        neurons = None if flat else cut.neurons(self.shape)
        begin = cut.ranges[0][0]
        for start in range(0, cut.size, self._piece):
            stop = min(start + self._piece, cut.size)
            places = np.arange(start, stop)
            targets = slice(begin + start, begin + stop) if neurons is None else neurons[start:stop]
            yield self._synapses(targets, places if flat else places + places // line * FAR)

    @cached_property
    def _piece(self) -> int:
        """Targets that are listed at a time."""
        return max(1, PIECE * self.wiring.shape[0] // max(1, self.wiring.synapses))

    def _synapses(self, targets: slice | IntArray, places: IntArray) -> Listed:
        """The synapses of targets that lie at these places."""
        if isinstance(self.wiring, Dense):
            kept = self.wiring.values[targets] != 0
            starts = np.concatenate([[0], np.cumsum(np.count_nonzero(kept, axis=1))])
            return Listed(starts, np.nonzero(kept)[1], places)
        starts, sources, weights = self.wiring.rows(targets)
        return _kept(Listed(starts, sources, places), weights != 0)


def _kept(piece: Listed, kept: Array) -> Listed:
    """Some of the synapses."""
    if np.all(kept):
        return piece
    return Listed(*some(piece.starts, piece.sources, kept), piece.places)


def _used(sources: IntArray, counts: IntArray) -> Axons:
    used = np.flatnonzero(counts)
    return sources[used], counts[used]
