"""Steps of a long inference that are alike, counted and not listed: how many there are costs nothing.

Runs follow each other, so a run is a cycle of `steps`. In it a source is shown for some steps at a stretch, and what
matters to a neuron is how many of the last steps could have brought it a message. Along the cycle that number
stands still, grows by 1 a step or shrinks by 1 a step, and changes its course in few places: `Arrivals.breaks`
gives these, and those where its first five bits change.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astrodeploy.ir.arrays import Array, IntArray

BITS = 5  # of a number of steps that are told apart
MOST_STEPS = 1 << 53  # whole numbers that float64 still counts
LEVELS = np.concatenate(
    [np.arange(1 << BITS), *((np.arange(1 << (BITS - 1), 1 << BITS) << r) for r in range(1, 53 - BITS + 2))]
)


@dataclass(frozen=True)
class Shown:
    """A stretch of a cycle: `window` steps from step `begin` on, and so in every cycle of `steps`."""

    steps: int
    begin: int
    window: int

    def at(self, step: IntArray) -> Array:
        """Whether steps lie in it."""
        return np.asarray((step - self.begin) % self.steps < self.window)

    def before(self, step: IntArray) -> IntArray:
        """How many steps of the stretch come before a step, from some step on."""
        cycles, within = np.divmod(step - self.begin, self.steps)
        return np.asarray(cycles * self._length + np.minimum(within, self._length))

    @property
    def _length(self) -> int:
        return min(self.window, self.steps)

    @property
    def ends(self) -> tuple[int, int]:
        """Where it begins, and where it is over."""
        return self.begin, self.begin + self._length


@dataclass(frozen=True)
class Arrivals:
    """In how many of the last `lasts` steps and this one messages of `source` could arrive, none before `reset`."""

    source: Shown
    lasts: int
    reset: int

    def at(self, step: IntArray) -> IntArray:
        """Of large numbers the first BITS bits, so that few steps differ."""
        found = self._exactly(step)
        rounding = np.maximum(np.frexp(found)[1] - BITS, 0)
        return np.asarray(found >> rounding << rounding)

    def _exactly(self, step: IntArray) -> IntArray:
        since = (step - self.reset) % self.source.steps
        first = step - np.minimum(self.lasts, since)
        return self.source.before(step + 1) - self.source.before(first)

    @cached_property
    def breaks(self) -> IntArray:
        """Steps at which it changes, among others."""
        steps, (begin, end) = self.source.steps, self.source.ends
        lasts = min(self.lasts, steps)
        turns = np.array([self.reset, self.reset + lasts, begin, end, begin + lasts, end + lasts])
        edges = np.unique(np.concatenate([[0, steps], (turns[:, None] + np.arange(-1, 2)).ravel() % steps]))
        first, last = edges[:-1], edges[1:] - 1
        each = zip(first, self._exactly(first), self._exactly(last), strict=True)
        return np.concatenate([edges[:-1], *(_level_changes(*run) for run in each)])


def _level_changes(step: int, start: int, stop: int) -> IntArray:
    """Where a number that goes from `start` at a step to `stop`, by 1 a step, passes one of LEVELS."""
    low, high = sorted((start, stop))
    passed = LEVELS[np.searchsorted(LEVELS, low, "right") : np.searchsorted(LEVELS, high, "right")]
    return np.asarray(step + (passed - start if stop > start else start - passed + 1))


def alike(steps: int, rows: "list[Shown | Arrivals]") -> tuple[IntArray, IntArray]:
    """The first step of every group of steps in which all rows are the same, and how many are in it."""
    breaks = [row.breaks if isinstance(row, Arrivals) else np.array(row.ends) % steps for row in rows]
    first = np.unique(np.concatenate([[0], *breaks]))
    lasting = np.diff(first, append=steps)
    told = np.stack([row.at(first) for row in rows])
    _, index, which = np.unique(told, axis=1, return_index=True, return_inverse=True)
    counts = np.zeros(index.size, np.int64)
    np.add.at(counts, which.ravel(), lasting)
    return first[index], counts
