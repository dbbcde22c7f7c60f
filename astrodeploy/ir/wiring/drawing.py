"""Draws that depend on nothing but their number: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), as a counter."""

import numba
import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@numba.njit(cache=True, inline="always")
def _mixed(state):  # type: ignore[no-untyped-def]  # pragma: no cover
    """64 bits that look random."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@numba.njit(cache=True)
def draw(targets, starts, ends, numbers, seed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """For every target and part of its window a source and a number below `numbers`: (targets * parts,) each.

    The k-th part of target i is starts[i] + ends[k]..ends[k + 1].
    """
    parts = ends.size - 1
    widths = np.diff(ends).astype(np.uint64)
    sources = np.empty(targets.size * parts, np.int32)
    drawn = np.empty(targets.size * parts, np.int32)
    most, key, at = np.uint64(numbers), _mixed(np.uint64(seed) + GOLDEN), 0
    for i in range(targets.size):
        first = np.uint64(targets[i]) * np.uint64(parts) + np.uint64(1)
        for k in range(parts):
            bits = _mixed(key + GOLDEN * (first + np.uint64(k)))
            offset = ((bits >> HALF) * widths[k]) >> HALF
            sources[at] = starts[i] + ends[k] + np.int64(offset)
            drawn[at] = np.int64(((bits & LOW) * most) >> HALF)
            at += 1
    return sources, drawn
