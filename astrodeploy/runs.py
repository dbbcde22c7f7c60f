"""Runs of synapses that lie close to each other, and the run-length entries that they take."""

import numpy as np

from astrodeploy.ir.arrays import IntArray


def entries(axons: IntArray, places: IntArray, reach: int, most: int, count: int) -> IntArray:
    """Entries of every axon, (count,), of synapses that are sorted by axon and place.

    An entry holds at most `most` synapses, each at most `reach` places after the one before it.
    """
    if not axons.size:
        return np.zeros(count, np.int64)
    begins = (np.diff(axons, prepend=-1) != 0) | (np.diff(places, prepend=places[0]) > reach)
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=axons.size)
    return np.bincount(axons[starts], weights=-(-lengths // most), minlength=count).astype(np.int64)
