"""What the neurons send: counted in a run, or expected from rates.

Both say it by moments: steps, or for rates all the steps of an inference that are alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse

from astrodeploy.arithmetic import ticks
from astrodeploy.costs.placed import Groups, Incidence, Wired
from astrodeploy.costs.rest import FOREVER, always_awake, awake_after
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

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

    @cached_property
    def _sums(self) -> dict[str, FloatArray]:
        return {}

    def _sent(self, population: Population) -> FloatArray:
        """Messages (size, steps), summed over the rows."""
        if population.name not in self._sums:
            sent = np.count_nonzero(self.messages[population.name], axis=0).reshape(self.steps, -1)
            self._sums[population.name] = np.ascontiguousarray(sent.T, np.float64)
        return self._sums[population.name]

    def sent(self, population: Population, by: Incidence, moments: slice) -> FloatArray:
        """What was counted."""
        return np.asarray(by.matrix @ self._sent(population)[:, moments])

    def spikes(self, population: Population, on: Groups) -> FloatArray:
        """What was counted."""
        return np.asarray(on.matrix @ self._sent(population))

    def active(self, population: Population, on: Groups, into: Sequence[Wired]) -> FloatArray:
        """Row by row, as two messages may reach the same neuron."""
        lasts, always = awake_after(population), always_awake(population)
        total = np.zeros((self.steps, population.size))
        for row in range(self.runs):
            awake = self._reached(row, population, into)
            if np.any(lasts):
                awake = self._kept_awake(awake, lasts, population.depth)
            total += awake | always
        return np.asarray(on.matrix @ total.T)

    def _reached(self, row: int, population: Population, into: Sequence[Wired]) -> Array:
        """Whether a message that arrives has a weight other than 0 for a neuron, (steps, size)."""
        hit = np.zeros((self.steps, population.size), np.bool_)
        for each in into:
            c = each.stored.connection
            sent = self.messages[c.source][row].reshape(self.steps, -1) != 0
            before = sent[: max(0, self.steps - c.delay)].astype(np.float32)
            hit[c.delay :] |= each.gathered(before) > 0
        return hit

    def _kept_awake(self, reached: Array, lasts: IntArray, depth: int) -> Array:
        """Whether a neuron was reached in the last steps, and not reset since."""
        step = np.arange(self.steps, dtype=np.int32)[:, None]
        last = np.maximum.accumulate(np.where(reached, step, np.int32(-FOREVER)), axis=0)
        begun = step - (step - depth) % self.reset_every if self.reset_every else np.int32(0)
        return np.asarray((step - last <= lasts) & (last >= begun))

    def clock(self, population: Population) -> FloatArray:
        """1 where the window list runs, else 0."""
        node = population.node
        if not isinstance(node, Compartments) or node.kind.window is None:
            return np.zeros(self.steps)
        return np.array(
            [bool(ticks(s, population.depth, node.period)) for s in range(self.steps)], np.float64
        )


@dataclass(frozen=True, eq=False)
class Expected:
    """Activity assumed, not counted.

    Each neuron sends with its layer's rate in the `window` steps from its depth on, independently of
    all others; astrocytes once a period. A run is followed by the next one: what is under way at its end
    arrives in its beginning.
    """

    rates: Mapping[str, float]
    steps: int
    window: int
    graph: Graph
    runs: int = 1

    def _shown(self, population: Population, later: int = 0) -> Array:
        """In which steps a population sends, or what it sent so much earlier arrives."""
        step = np.arange(self.steps)
        return (
            np.asarray((step - population.depth - later) % self.steps < self.window) | population.is_astrocyte
        )

    @cached_property
    def _moments(self) -> tuple[Array, FloatArray]:
        """The first step of every moment, and how many steps are like it."""
        rows = [self._shown(p) for p in self.graph.populations]
        for c in self.graph.connections:
            rows += [self._arrivals(c, lasts) for lasts in np.unique(awake_after(self.graph[c.target]))]
        _, first, counts = np.unique(np.stack(rows), axis=1, return_index=True, return_counts=True)
        return first, counts.astype(np.float64)

    def _arrivals(self, connection: Connection, lasts: int) -> IntArray:
        """In how many of the last steps of a sample, this one with them, messages could arrive: (steps,).

        Of large numbers the first five bits, so that few steps differ.
        """
        target, step = self.graph[connection.target], np.arange(self.steps)
        shown = self._shown(self.graph[connection.source], connection.delay)
        before = np.concatenate([[0], np.cumsum(np.tile(shown, 2))])
        since = (step - target.depth) % self.steps
        stop = step + self.steps + 1
        found = before[stop] - before[stop - 1 - np.minimum(lasts, since)]
        rounding = np.maximum(np.frexp(found)[1] - 5, 0)
        return np.asarray(found >> rounding << rounding)

    @property
    def repeats(self) -> FloatArray:
        """Steps that are alike."""
        return self._moments[1]

    def rate(self, population: Population) -> FloatArray:
        """Messages of a neuron, (moments,)."""
        shown = self._shown(population)[self._moments[0]]
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
                alike = kinds[:, 0] == kept
                silence[alike] += np.outer(
                    fan[alike] * silent, self._arrivals(c, int(kept))[self._moments[0]]
                )
        here = scipy.sparse.csr_array(
            (np.ones(which.size), which, np.arange(which.size + 1)), (which.size, len(kinds))
        )
        return np.asarray((on.matrix @ here) @ -np.expm1(silence))

    def known(self, name: str) -> float:
        """Messages of a neuron in a step in which its population sends."""
        population = self.graph[name]
        return float(self.clock(population)[0]) if population.is_astrocyte else self.rates[name]

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
