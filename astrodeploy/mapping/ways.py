"""In how many strips a population of several dimensions may be cut, before each is cut by rows."""

from dataclasses import replace
from itertools import pairwise, product
from math import log, prod

from astrodeploy.program import Slice

PATIENCE = 6  # the search ends after as many ways that were no better,
PATIENCE_NEAR = 2  # or as many where the best way for similar loads is known
Way = tuple[int, ...]  # strips along each dimension but the rows


def ways_of(whole: Slice, known: Way | None) -> tuple[list[Way], int]:
    """In how many parts each dimension but the rows may be cut, and after how many fruitless ones to give up.

    Few parts first and single neurons last; but the one that is known to be best for similar loads, and its like.
    """
    across = [n for i, (_, n) in enumerate(whole.ranges) if i != 1]
    ways = sorted(product(*(_parts(n) for n in across)), key=lambda way: (prod(way), way))
    if known is None:
        return ways, PATIENCE
    return sorted(ways, key=lambda way: _unlike(way, known)), PATIENCE_NEAR


def _unlike(way: Way, other: Way) -> float:
    """How much finer or coarser a way of cutting is than another."""
    return sum(abs(log(a / b)) for a, b in zip(way, other, strict=True))


def strips_of(whole: Slice, way: Way) -> list[Slice]:
    """The strips that a way of cutting gives."""
    across = [n for i, (_, n) in enumerate(whole.ranges) if i != 1]
    parts = product(*(_divided(n, count) for n, count in zip(across, way, strict=True)))
    return [replace(whole, ranges=(each[0], whole.ranges[1], *each[1:])) for each in parts]


def _parts(n: int) -> list[int]:
    """Numbers of parts to try: 1, 2, 3, 4, 6, 8, 12, ... and n."""
    powers = [1 << i for i in range(n.bit_length())]
    return sorted({count for p in powers for count in (p, 3 * p // 2) if 1 <= count < n} | {n})


def _divided(n: int, count: int) -> list[tuple[int, int]]:
    """n in nearly equal parts."""
    return list(pairwise(i * n // count for i in range(count + 1)))
