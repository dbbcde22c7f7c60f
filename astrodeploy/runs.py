"""Runs of synapses that lie close to each other, and the run-length entries that they take."""

import numba
import numpy as np

from astrodeploy.ir.arrays import IntArray


class Entries:
    """Entries of so many axons, counted while their synapses are gone through.

    An entry holds at most `most` synapses, each at most `reach` places after the one before it.
    """

    def __init__(self, axons: int, reach: int, most: int) -> None:
        self.counts = np.zeros(axons, np.int64)
        self._reach, self._most = reach, most
        self._last = np.zeros(axons, np.int64)
        self._filled = np.zeros(axons, np.int64)

    def add(self, axons: IntArray, places: IntArray) -> None:
        """Take in synapses; the places of each axon ascend."""
        _add(axons, places, self._reach, self._most, self.counts, self._last, self._filled)


@numba.njit(cache=True)
def _add(axons, places, reach, most, counts, last, filled):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(axons.size):
        axon, place = axons[i], places[i]
        if filled[axon] == 0 or filled[axon] == most or place - last[axon] > reach:
            counts[axon] += 1
            filled[axon] = 0
        filled[axon] += 1
        last[axon] = place
