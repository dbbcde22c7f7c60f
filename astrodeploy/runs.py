"""Synapses counted: how many an axon has, and the run-length entries that they take."""

import numba
import numpy as np

from astrodeploy.ir.arrays import Array, IntArray


def counted(sources: IntArray, first: int, counts: IntArray) -> None:
    """Add every synapse to the count of its source, of which the first is that of source number `first`."""
    _count(sources, first, counts)


def some(starts: IntArray, sources: IntArray, kept: Array) -> tuple[IntArray, IntArray]:
    """Those synapses that are kept: the starts of each target's, and the sources."""
    upto, found = _some(starts, sources, kept, np.count_nonzero(kept))
    return upto, found


class Entries:
    """Entries of so many axons, counted while their synapses are gone through, target by target.

    An entry holds at most `most` synapses, each at most `reach` places after the one before it.
    """

    def __init__(self, axons: int, reach: int, most: int) -> None:
        self.counts = np.zeros(axons, np.int64)
        self._reach, self._most = reach, most
        self._last = np.zeros(axons, np.int64)
        self._filled = np.zeros(axons, np.int64)

    def add(self, starts: IntArray, sources: IntArray, places: IntArray, first: int) -> None:
        """Take in the synapses of some targets: those of the i-th, at places[i], are starts[i]..starts[i + 1].

        Places ascend; axon 0 is that of source number `first`.
        """
        state = self.counts, self._last, self._filled
        _add(starts, sources, places, first, self._reach, self._most, *state)


@numba.njit(cache=True)
def _count(sources, first, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(sources.size):
        counts[sources[i] - first] += 1


@numba.njit(cache=True)
def _some(starts, sources, kept, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    found, upto, at = np.empty(count, sources.dtype), np.zeros(starts.size, np.int64), 0
    for target in range(starts.size - 1):
        for i in range(starts[target], starts[target + 1]):
            if kept[i]:
                found[at] = sources[i]
                at += 1
        upto[target + 1] = at
    return upto, found


@numba.njit(cache=True)
def _add(starts, sources, places, first, reach, most, counts, last, filled):  # type: ignore[no-untyped-def]  # pragma: no cover
    for target in range(places.size):
        place = places[target]
        for i in range(starts[target], starts[target + 1]):
            axon = sources[i] - first
            if filled[axon] == 0 or filled[axon] == most or place - last[axon] > reach:
                counts[axon] += 1
                filled[axon] = 0
            filled[axon] += 1
            last[axon] = place
