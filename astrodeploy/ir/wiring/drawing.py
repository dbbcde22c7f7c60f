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


@numba.njit(cache=True, inline="always")
def _drawn(key, synapse, width, numbers):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A place below `width` and a number below `numbers`, for a synapse by its own number."""
    bits = _mixed(key + GOLDEN * (np.uint64(synapse) + np.uint64(1)))
    place = ((bits >> HALF) * np.uint64(width)) >> HALF
    return np.int64(place), np.int64(((bits & LOW) * np.uint64(numbers)) >> HALF)


@numba.njit(cache=True)
def draw(targets, starts, ends, numbers, seed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """For every target and part of its window a source and a number below `numbers`: (targets * parts,) each.

    The k-th part of target i is starts[i] + ends[k]..ends[k + 1].
    """
    parts, key = ends.size - 1, _mixed(np.uint64(seed) + GOLDEN)
    sources = np.empty(targets.size * parts, np.int32)
    drawn = np.empty(targets.size * parts, np.int32)
    at = 0
    for i in range(targets.size):
        for k in range(parts):
            place, drawn[at] = _drawn(key, targets[i] * parts + k, ends[k + 1] - ends[k], numbers)
            sources[at] = starts[i] + ends[k] + place
            at += 1
    return sources, drawn


@numba.njit(cache=True)
def sums(targets, ends, values, seed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Every target's positive values, summed, and its negative ones, summed without their sign."""
    parts, key = ends.size - 1, _mixed(np.uint64(seed) + GOLDEN)
    positive, negative = np.zeros(targets, values.dtype), np.zeros(targets, values.dtype)
    for i in range(targets):
        for k in range(parts):
            _, number = _drawn(key, i * parts + k, ends[k + 1] - ends[k], values.size)
            positive[i] += max(values[number], 0)
            negative[i] += max(-values[number], 0)
    return positive, negative
