"""Sums over boxes of an array, each in constant time."""

from functools import cached_property
from itertools import product

import numpy as np

from astrodeploy.ir.arrays import Array
from astrodeploy.program import Slice


class Sums:
    """The sums of an array over any box of it: from cumulative sums (Crow 1984)."""

    def __init__(self, values: Array) -> None:
        self.values = values
        self._alike = values.item(0) if values.size and not any(values.strides) else None

    @cached_property
    def _sums(self) -> Array:
        sums = np.pad(self.values, [(1, 0)] * self.values.ndim)
        for axis in range(sums.ndim):
            sums = sums.cumsum(axis)
        return np.ascontiguousarray(sums)

    @cached_property
    def _corners(self) -> list[tuple[int, tuple[int, ...]]]:
        """The sign of every corner of a box, and which end of each range it lies on."""
        ends = product((0, 1), repeat=self.values.ndim)
        return [((-1) ** (self.values.ndim - sum(corner)), corner) for corner in ends]

    def within(self, cut: Slice) -> float:
        """The sum over a box."""
        if self._alike is not None:
            return float(self._alike) * cut.size
        at, ranges = self._sums.item, cut.ranges
        corners = (
            sign * at(tuple([r[c] for r, c in zip(ranges, ends, strict=True)]))
            for sign, ends in self._corners
        )
        return float(sum(corners))
