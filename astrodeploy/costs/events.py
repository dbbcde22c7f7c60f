"""What happens on the cores: synaptic operations, updates and messages, per core and step.

    synaptic_operations  one per stored synapse of an axon whose message arrives
    active_updates       neurons that a message reached in the step, or that ran their window list
    inactive_updates     all others
    window_updates       window lists run (beside the active update of the same step)
    messages_sent        one per message, connection and range of the target that it reaches
    messages_received    the same, where and when they arrive; the input's messages come from outside
    hops_east_west, hops_north_south   tiles that arriving messages crossed, from the first tile on
                                       for the input's; booked where they arrive

A message still under way at the end of a run is sent and not received. Events belong to the layer that
they end in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from astrodeploy.arithmetic import ticks
from astrodeploy.chip import Chip
from astrodeploy.ir import Compartments, Population
from astrodeploy.ir.nodes import Array, FloatArray
from astrodeploy.program import Program, Slice
from astrodeploy.synapses import Stored, store

EVENTS = (
    "synaptic_operations",
    "active_updates",
    "inactive_updates",
    "window_updates",
    "messages_sent",
    "messages_received",
    "hops_east_west",
    "hops_north_south",
)


@dataclass(frozen=True, eq=False)
class Tally:
    """How often one thing happened to one layer, through one connection (or "") : (cores, steps)."""

    event: str
    layer: str
    connection: str
    counts: FloatArray


class Activity(Protocol):
    """What was sent, or is expected to be: summed over the runs of a batch."""

    @property
    def runs(self) -> int:
        """Runs in the sums."""

    @property
    def steps(self) -> int:
        """Steps of each run."""

    def messages(self, population: Population) -> FloatArray:
        """Messages (steps, size) of every neuron of a population."""

    def later(self, values: FloatArray, delay: int) -> FloatArray:
        """What was sent (steps, ...) in the steps in which it arrives."""

    def reached(self, population: Population, into: list[Stored]) -> FloatArray:
        """Runs (steps, size) in which a neuron has a stored synapse of a message that arrives."""

    def clock(self, population: Population) -> FloatArray:
        """How often (steps,), 0..1, the window list runs in a step."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Activity counted in a run: population -> what it sent, (rows, steps, size or shape)."""

    spikes: Mapping[str, Array]

    @property
    def runs(self) -> int:
        """Rows of the batch."""
        return int(next(iter(self.spikes.values())).shape[0])

    @property
    def steps(self) -> int:
        """Steps of each row."""
        return int(next(iter(self.spikes.values())).shape[1])

    def messages(self, population: Population) -> FloatArray:
        """Messages (steps, size), summed over the rows."""
        sent = np.count_nonzero(self.spikes[population.name], axis=0)
        return np.asarray(sent, np.float64).reshape(self.steps, -1)

    def later(self, values: FloatArray, delay: int) -> FloatArray:
        """The values `delay` steps later; what leaves the run is lost."""
        arrived = np.zeros_like(values)
        arrived[delay:] = values[: max(0, self.steps - delay)]
        return arrived

    def reached(self, population: Population, into: list[Stored]) -> FloatArray:
        """Rows (steps, size) in which a message reaches a neuron."""
        matrices = [_reach_matrix(each) for each in into]
        total = np.zeros((self.steps, population.size))
        for row in range(self.runs):
            hit = np.zeros((self.steps, population.size))
            for each, matrix in zip(into, matrices, strict=True):
                c = each.connection
                sent = self.spikes[c.source][row, : max(0, self.steps - c.delay)] != 0
                hit[c.delay :] += sent.reshape(len(sent), matrix.shape[0]).astype(np.float32) @ matrix
            total += hit > 0
        return total

    def clock(self, population: Population) -> FloatArray:
        """1 where the window list runs, else 0."""
        node = population.node
        if not isinstance(node, Compartments) or node.kind.window is None:
            return np.zeros(self.steps)
        return np.array(
            [bool(ticks(s, population.depth, node.period)) for s in range(self.steps)], np.float64
        )


def _reach_matrix(stored: Stored) -> Any:
    """Which target a source reaches: (source, target), or (source, 1) where each reaches all."""
    if stored.encoding == "dense":
        return np.ones((stored.connection.wiring.shape[1], 1), np.float32)
    return (stored.connection.wiring.sparse != 0).astype(np.float32).T.tocsr()


@dataclass(frozen=True, eq=False)
class Expected:
    """Activity assumed, not counted.

    Each neuron sends with its layer's rate in the `window` steps from its depth on, independently of
    all others; astrocytes once a period. A run is followed by the next one: what leaves it at its end
    arrives in its beginning.
    """

    rates: Mapping[str, float]
    steps: int
    window: int
    sources: Mapping[str, Population]
    runs: int = 1

    def messages(self, population: Population) -> FloatArray:
        """Expected messages (steps, size)."""
        if population.is_astrocyte:
            rate = self.clock(population)
        else:
            shown = (np.arange(self.steps) - population.depth) % self.steps < self.window
            rate = np.where(shown, self.rates[population.name], 0.0)
        return np.repeat(rate[:, None], population.size, axis=1)

    def later(self, values: FloatArray, delay: int) -> FloatArray:
        """The values `delay` steps later, around the end."""
        return np.roll(values, delay, axis=0)

    def reached(self, population: Population, into: list[Stored]) -> FloatArray:
        """Probability (steps, size) that a message reaches a neuron."""
        log_silence = np.zeros((self.steps, population.size))
        for each in into:
            sent = self.messages(self.sources[each.connection.source])
            with np.errstate(divide="ignore"):
                silent = np.maximum(np.log1p(-sent), -1e6)  # a rate of 1 is never silent
            log_silence += self.later(silent @ _reach_matrix(each), each.connection.delay)
        return -np.expm1(log_silence)

    def clock(self, population: Population) -> FloatArray:
        """Once a period, spread over all steps."""
        node = population.node
        period = node.period if isinstance(node, Compartments) else 0
        return np.full(self.steps, 1 / period if period else 0.0)


def core_events(program: Program, spikes: Mapping[str, Array], chip: Chip | None = None) -> dict[str, Array]:
    """Events per core and step, summed over the batch: name -> (cores, steps) int64.

    `spikes` holds every population's messages, (rows, steps, size or *shape), a row from rest each; a
    stream is one long row. Raises ChipError where the Program's target is unknown and no chip given.
    """
    tallies = count_events(program, Recorded(spikes), chip)
    shape = (len(program.cores), next(iter(spikes.values())).shape[1])
    total = {event: np.zeros(shape) for event in EVENTS}
    for each in tallies:
        total[each.event] += each.counts
    return {event: np.rint(counts).astype(np.int64) for event, counts in total.items()}


def count_events(program: Program, activity: Activity, chip: Chip | None = None) -> list[Tally]:
    """Every event of a Program, by layer, connection, core and step. Raises ChipError."""
    placed = _Placed(program, chip or program.chip)
    tallies: list[Tally] = []
    for population in program.network.populations:
        if not population.is_input:
            tallies += _updates(placed, activity, population)
            for stored in placed.into(population.name):
                tallies += _traffic(placed, activity, stored)
    return tallies


class _Placed:
    """The network on its cores."""

    def __init__(self, program: Program, chip: Chip) -> None:
        self.cores, self.chip, self.graph = program.cores, chip, program.network
        self.stored = [store(c, chip) for c in program.network.connections]

    def into(self, population: str) -> list[Stored]:
        return [each for each in self.stored if each.connection.target == population]

    def slices(self, population: str) -> Iterator[tuple[int, Slice]]:
        """Ranges of a population, with the position of their core in `Program.cores`."""
        for position, core in enumerate(self.cores):
            for cut in core.slices:
                if cut.population == population:
                    yield position, cut

    def by_core(self, population: str, values: FloatArray) -> FloatArray:
        """Values (steps, size) of a population, summed over each core's neurons: (cores, steps)."""
        total = np.zeros((len(self.cores), len(values)))
        for position, cut in self.slices(population):
            total[position] += values[:, cut.start : cut.stop].sum(1)
        return total

    def distances(self, population: str, position: int) -> tuple[FloatArray, FloatArray]:
        """Tiles east-west and north-south from each neuron of a source (size,) to a core."""
        column, row = self.chip.tile(self.cores[position].index)
        origin = np.zeros((2, self.graph[population].size))
        for home, cut in self.slices(population):
            x, y = self.chip.tile(self.cores[home].index)
            origin[:, cut.start : cut.stop] = [[x], [y]]
        return np.abs(origin[0] - column), np.abs(origin[1] - row)


def _updates(placed: _Placed, activity: Activity, population: Population) -> Iterator[Tally]:
    """Active, inactive and window updates of a population."""
    clock = activity.clock(population)[:, None]
    reached = activity.reached(population, placed.into(population.name))
    active = reached + (activity.runs - reached) * clock
    window = np.broadcast_to(activity.runs * clock, active.shape)
    for event, values in (
        ("active_updates", active),
        ("inactive_updates", activity.runs - active),
        ("window_updates", window),
    ):
        yield Tally(event, population.name, "", placed.by_core(population.name, values))


def _traffic(placed: _Placed, activity: Activity, stored: Stored) -> Iterator[Tally]:
    """What a connection's messages cause where they are sent and where they arrive."""
    c = stored.connection
    sent = activity.messages(placed.graph[c.source])
    shape = (len(placed.cores), activity.steps)
    total = {event: np.zeros(shape) for event in EVENTS}
    copies = np.zeros(sent.shape[1])
    for position, cut in placed.slices(c.target):
        synapses = stored.synapses(cut.start, cut.stop).astype(np.float64)
        reaches = (synapses > 0).astype(np.float64)
        copies += reaches
        across, along = placed.distances(c.source, position)
        for event, each in (
            ("synaptic_operations", synapses),
            ("messages_received", reaches),
            ("hops_east_west", reaches * across),
            ("hops_north_south", reaches * along),
        ):
            total[event][position] += activity.later(sent @ each, c.delay)
    total["messages_sent"] = placed.by_core(c.source, sent * copies)
    for event, counts in total.items():
        if np.any(counts):
            yield Tally(event, c.target, c.name, counts)
