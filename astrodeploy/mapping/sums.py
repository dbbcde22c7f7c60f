"""Sums over boxes of an array, each in constant time."""

from functools import cached_property

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
    def _steps(self) -> list[int]:
        """How far apart neighbours along each axis lie."""
        return [step // self._sums.itemsize for step in self._sums.strides]

    def within(self, cut: Slice) -> float:
        """The sum over a box."""
        if self._alike is not None:
            return float(self._alike) * cut.size
        added, taken = [0], list[int]()
        for (start, stop), step in zip(cut.ranges, self._steps, strict=True):
            low, high = start * step, stop * step
            added, taken = (
                [at + high for at in added] + [at + low for at in taken],
                [at + low for at in added] + [at + high for at in taken],
            )
        at = self._sums.item
        return float(sum(map(at, added)) - sum(map(at, taken)))
