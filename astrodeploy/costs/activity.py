"""What the neurons send: counted in a run, or expected from rates.

Both say it by moments: steps, or for rates all the steps of an inference that are alike. What takes the time of
the busiest core is not known of a sum over samples: `pieces` gives the moments of every sample by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse

from astrodeploy.arithmetic import ticks
from astrodeploy.costs.moments import Arrivals, Shown, alike
from astrodeploy.costs.placed import Groups, Incidence, Wired
from astrodeploy.costs.rest import FOREVER, always_awake, awake_after
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

HELD = 1 << 23  # numbers of a run that are looked at together
CERTAIN = -1e6  # the logarithm of the chance that a neuron of rate 1 is silent


class Activity(Protocol):
    """What was sent, or is expected to be: summed over the runs of a batch."""

    @property
    def runs(self) -> int:
        """Runs in the sums."""

    @property
    def repeats(self) -> FloatArray:
        """For how many steps of a run every moment stands, (moments,)."""

    def sent(self, population: Population, by: Incidence, moments: slice) -> FloatArray:
        """What a population's messages count in every row, (rows, moments)."""

    def spikes(self, population: Population, on: Groups) -> FloatArray:
        """Neurons of every core that send a message, (cores, moments)."""

    def active(self, population: Population, on: Groups, into: Sequence[Wired]) -> FloatArray:
        """Neurons of every core that are not at rest (`rest.py`), (cores, moments)."""

    def clock(self, population: Population) -> FloatArray:
        """How often (moments,), 0..1, the window list runs."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Activity counted in a run: population -> what it sent, (rows, steps, size or shape).

    As an Activity it is the sum over its rows; `pieces` has every row by itself.

    reset_every  steps after which states are cleared within a row, one step later per depth; 0: never
    """

    messages: Mapping[str, Array]
    reset_every: int = 0

    @property
    def runs(self) -> int:
        """Rows of the batch."""
        return int(next(iter(self.messages.values())).shape[0])

    @property
    def steps(self) -> int:
        """Steps of each row: every step is a moment."""
        return int(next(iter(self.messages.values())).shape[1])

    @property
    def repeats(self) -> FloatArray:
        """1 each."""
        return np.ones(self.steps)

    def pieces(self, numbers: int) -> "Iterator[Piece]":
        """The whole run in order, in pieces that take little memory where a moment takes so many numbers."""
        most = max(1, HELD // numbers)
        if self.steps <= most:
            rows = most // self.steps
            for start in range(0, self.runs, rows):
                yield Piece(self, range(start, min(start + rows, self.runs)), range(self.steps), {})
            return
        for row in range(self.runs):
            last: dict[str, IntArray] = {}
            for start in range(0, self.steps, most):
                yield Piece(self, range(row, row + 1), range(start, min(start + most, self.steps)), last)

    @cached_property
    def _sums(self) -> dict[str, FloatArray]:
        return {}

    def _sent(self, population: Population, moments: slice) -> FloatArray:
        """Messages (size, moments), summed over the rows: kept, unless there is but one."""
        sent, name = self.messages[population.name], population.name
        if self.runs == 1:
            return _columns(sent[0, moments])
        if name not in self._sums:
            self._sums[name] = np.zeros((population.size, self.steps))
            size = max(1, HELD // max(1, self.steps * population.size))
            for start in range(0, self.runs, size):
                counts = np.count_nonzero(sent[start : start + size], axis=0)
                self._sums[name] += counts.reshape(self.steps, -1).T
        return self._sums[name][:, moments]

    def sent(self, population: Population, by: Incidence, moments: slice) -> FloatArray:
        """What was counted."""
        return np.asarray(by.matrix @ self._sent(population, moments))

    def spikes(self, population: Population, on: Groups) -> FloatArray:
        """What was counted."""
        found = [
            on.matrix @ self._sent(population, slice(w.start, w.stop)) for w in self._windows(population)
        ]
        return np.concatenate(found, axis=1)

    def active(self, population: Population, on: Groups, into: Sequence[Wired]) -> FloatArray:
        """Row by row, as two messages may reach the same neuron."""
        waking, total = Waking(self, population, into), np.zeros((on.keys.size, self.steps))
        for row in range(self.runs):
            last = waking.never
            for w in self._windows(population):
                total[:, w.start : w.stop] += on.matrix @ waking.awake(row, w, last).T
        return total

    def _windows(self, population: Population) -> Iterator[range]:
        """Its steps, few at a time where the population is large."""
        size = max(1, HELD // max(1, population.size))
        for start in range(0, self.steps, size):
            yield range(start, min(start + size, self.steps))

    def clock(self, population: Population) -> FloatArray:
        """1 where the window list runs, else 0."""
        return clocked(population, range(self.steps))


@dataclass(frozen=True, eq=False)
class Piece:
    """Some rows of a run and some of their steps: every step of every row is a moment of its own.

    last  population -> when each of its neurons was last reached: what the pieces of a row hand on. So they are
          looked at one after the other, and once
    """

    run: Recorded
    rows: range
    steps: range
    last: dict[str, IntArray]
    runs: int = 1

    @property
    def repeats(self) -> FloatArray:
        """1 each."""
        return np.ones(len(self.rows) * len(self.steps))

    def _sent(self, population: Population, moments: slice) -> FloatArray:
        """Messages (size, moments)."""
        sent = self.run.messages[population.name]
        sent = sent[self.rows.start : self.rows.stop, self.steps.start : self.steps.stop]
        return _columns(sent.reshape(self.repeats.size, -1)[moments])

    def sent(self, population: Population, by: Incidence, moments: slice) -> FloatArray:
        """What was counted."""
        return np.asarray(by.matrix @ self._sent(population, moments))

    def spikes(self, population: Population, on: Groups) -> FloatArray:
        """What was counted."""
        return np.asarray(on.matrix @ self._sent(population, slice(None)))

    def active(self, population: Population, on: Groups, into: Sequence[Wired]) -> FloatArray:
        """Row by row."""
        waking, name = Waking(self.run, population, into), population.name
        found = []
        for row in self.rows:
            last = self.last[name] if self.steps.start else waking.never
            found.append(waking.awake(row, self.steps, last))
            self.last[name] = last
        return np.asarray(on.matrix @ np.concatenate(found).T.astype(np.float32))

    def clock(self, population: Population) -> FloatArray:
        """1 where the window list runs, else 0."""
        return np.tile(clocked(population, self.steps), len(self.rows))


class Waking:
    """When the neurons of a population are not at rest."""

    def __init__(self, run: Recorded, population: Population, into: Sequence[Wired]) -> None:
        self.run, self.population, self.into = run, population, into
        self.lasts, self.always = awake_after(population), always_awake(population)

    @property
    def never(self) -> IntArray:
        """When the neurons were last reached, before a row begins: (size,)."""
        return np.full(self.population.size, -FOREVER, np.int32)

    def awake(self, row: int, steps: range, last: IntArray) -> Array:
        """Whether each neuron is active, (steps, size); `last` is that of the step before, and brought up to date."""
        reached = self._reached(row, steps)
        if np.any(self.lasts):
            reached = self._kept_awake(reached, steps, last)
        return reached | self.always

    def _reached(self, row: int, steps: range) -> Array:
        """Whether a message that arrives has a weight other than 0 for a neuron, (steps, size)."""
        hit = np.zeros((len(steps), self.population.size), np.bool_)
        for each in self.into:
            c = each.stored.connection
            first, stop = max(0, steps.start - c.delay), max(0, steps.stop - c.delay)
            if first < stop:
                sent = self.run.messages[c.source][row, first:stop]
                arriving = (sent != 0).reshape(stop - first, -1).astype(np.float32)
                hit[len(steps) - len(arriving) :] |= each.gathered(arriving) > 0
        return hit

    def _kept_awake(self, reached: Array, steps: range, last: IntArray) -> Array:
        """Whether a neuron was reached in the last steps, and not reset since."""
        step = np.arange(steps.start, steps.stop, dtype=np.int32)[:, None]
        found = np.where(reached, step, np.int32(-FOREVER))
        found[0] = np.maximum(found[0], last)
        np.maximum.accumulate(found, axis=0, out=found)
        last[:] = found[-1]
        every, depth = self.run.reset_every, self.population.depth
        begun = step - (step - depth) % every if every else np.int32(0)
        return np.asarray((step - found <= self.lasts) & (found >= begun))


def _columns(sent: Array) -> FloatArray:
    """1 for every message of (steps, size or shape), as (size, steps)."""
    return np.ascontiguousarray((sent != 0).reshape(len(sent), -1).T, np.float64)


def clocked(population: Population, steps: range) -> FloatArray:
    """1 where the window list runs, else 0: (steps,)."""
    node = population.node
    if not isinstance(node, Compartments) or node.kind.window is None:
        return np.zeros(len(steps))
    return np.array([bool(ticks(s, population.depth, node.period)) for s in steps], np.float64)


@dataclass(frozen=True, eq=False)
class Expected:
    """Activity assumed, not counted.

    Each neuron sends with its layer's rate in the `window` steps from its depth on, independently of
    all others; what keeps its own time once a period. A run is followed by the next one: what is under way at its end
    arrives in its beginning.
    """

    rates: Mapping[str, float]
    steps: int
    window: int
    graph: Graph
    runs: int = 1

    def pieces(self, numbers: int) -> "Iterator[Expected]":
        """Itself: steps that are alike are one moment."""
        yield self

    def _shown(self, population: Population, later: int = 0) -> Shown:
        """In which steps a population sends, or what it sent so much earlier arrives."""
        window = self.steps if population.keeps_time else self.window
        return Shown(self.steps, population.depth + later, window)

    def _arrivals(self, connection: Connection, lasts: int) -> Arrivals:
        """In how many of the last steps of a sample, this one with them, messages could arrive."""
        source = self._shown(self.graph[connection.source], connection.delay)
        return Arrivals(source, lasts, self.graph[connection.target].depth)

    @cached_property
    def _moments(self) -> tuple[IntArray, FloatArray]:
        """The first step of every moment, and how many steps are like it."""
        rows: list[Shown | Arrivals] = [self._shown(p) for p in self.graph.populations]
        for c in self.graph.connections:
            rows += [self._arrivals(c, int(n)) for n in np.unique(awake_after(self.graph[c.target]))]
        first, counts = alike(self.steps, rows)
        return first, counts.astype(np.float64)

    @property
    def repeats(self) -> FloatArray:
        """Steps that are alike."""
        return self._moments[1]

    def rate(self, population: Population) -> FloatArray:
        """Messages of a neuron, (moments,)."""
        shown = self._shown(population).at(self._moments[0])
        return np.where(shown, np.float64(self.known(population.name)), 0.0)

    def sent(self, population: Population, by: Incidence, moments: slice) -> FloatArray:
        """The mean."""
        return by.totals[:, None] * self.rate(population)[moments]

    def spikes(self, population: Population, on: Groups) -> FloatArray:
        """The mean."""
        return np.outer(on.matrix.sum(1), self.rate(population))

    def active(self, population: Population, on: Groups, into: Sequence[Wired]) -> FloatArray:
        """The mean: neurons with equal numbers of synapses are active alike."""
        lasts = awake_after(population).astype(np.float64)
        kinds, which = _alike(
            [lasts, always_awake(population) * 1.0, *(self._fan(w, population) for w in into)]
        )
        silence = np.zeros((len(kinds), self.repeats.size))
        silence[kinds[:, 1] > 0] = CERTAIN
        for fan, each in zip(kinds.T[2:], into, strict=True):
            c = each.stored.connection
            with np.errstate(divide="ignore"):
                silent = max(float(np.log1p(-self.known(c.source))), CERTAIN)
            for kept in np.unique(lasts):
                same = kinds[:, 0] == kept
                arrivals = self._arrivals(c, int(kept)).at(self._moments[0])
                silence[same] += np.outer(fan[same] * silent, arrivals)
        here = scipy.sparse.csr_array(
            (np.ones(which.size), which, np.arange(which.size + 1)), (which.size, len(kinds))
        )
        return np.asarray((on.matrix @ here) @ -np.expm1(silence))

    def known(self, name: str) -> float:
        """Messages of a neuron in a step in which its population sends."""
        population = self.graph[name]
        return float(self.clock(population)[0]) if population.keeps_time else self.rates[name]

    @staticmethod
    def _fan(wired: Wired, population: Population) -> FloatArray:
        """Synapses that end in every neuron."""
        ones = np.ones((1, wired.stored.connection.wiring.shape[1]), np.float32)
        return np.broadcast_to(wired.gathered(ones)[0].astype(np.float64), population.size)

    def clock(self, population: Population) -> FloatArray:
        """Once a period, spread over all steps."""
        node = population.node
        period = node.period if isinstance(node, Compartments) else 0
        return np.full(self.repeats.size, 1 / period if period else 0.0)


def _alike(fans: Sequence[FloatArray]) -> tuple[FloatArray, Array]:
    """The different combinations of values (n, len(fans)), and which of them every neuron has."""
    which = np.zeros(fans[0].size, np.int64)
    for fan in fans:
        values, place = np.unique(fan, return_inverse=True)
        which = np.unique(which * values.size + place, return_inverse=True)[1]
    first = np.unique(which, return_index=True)[1]
    return np.stack([fan[first] for fan in fans], axis=1), which
