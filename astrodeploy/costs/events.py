"""What happens on the cores: synaptic operations, updates and messages, per core and step.

    synaptic_operations  one per stored synapse of an axon whose message arrives
    active_updates       neurons that a message reached in the step, or that ran their window list
    inactive_updates     all others
    window_updates       window lists run (beside the active update of the same step)
    messages_sent        one per message, connection and box of the target that it reaches
    messages_received    the same, where and when they arrive; the input's messages come from outside
    hops_east_west, hops_north_south   tiles that arriving messages crossed, from the first tile on
                                       for the input's; booked where they arrive

A message still under way at the end of a run is sent and not received. Events belong to the layer that
they end in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse

from astrodeploy.arithmetic import ticks
from astrodeploy.chip import Chip
from astrodeploy.ir import Compartments, Population
from astrodeploy.ir.arrays import Array, FloatArray
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
ARRIVING = ("synaptic_operations", "messages_received", "hops_east_west", "hops_north_south")


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
        total = np.zeros((self.steps, population.size))
        for row in range(self.runs):
            hit = np.zeros((self.steps, population.size), np.bool_)
            for each in into:
                c = each.connection
                sent = self.spikes[c.source][row].reshape(self.steps, -1) != 0
                before = sent[: max(0, self.steps - c.delay)].astype(np.float32)
                hit[c.delay :] |= each.gathered(before) > 0
            total += hit
        return total

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
            log_silence += self.later(each.gathered(silent), each.connection.delay)
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
    placed = _placed(program, chip or program.chip)
    tallies: list[Tally] = []
    for population in program.network.populations:
        if not population.is_input:
            into = placed.into[population.name]
            tallies += _updates(placed, activity, population, [each.stored for each in into])
            for each in into:
                tallies += _traffic(placed, activity, each)
    return tallies


_known: "WeakKeyDictionary[Program, _Placed]" = WeakKeyDictionary()


def _placed(program: Program, chip: Chip) -> "_Placed":
    """Found once for a Program on its chip."""
    known = _known.get(program)
    if known is None or known.chip is not chip:
        known = _known[program] = _Placed(program, chip)
    return known


@dataclass(frozen=True, eq=False)
class _Wired:
    """A connection on its cores: what one message of a source neuron causes on each, (cores, sources).

    copies  messages that leave a source neuron for one, (sources,)
    """

    stored: Stored
    caused: Mapping[str, "scipy.sparse.csr_array"]
    copies: FloatArray


class _Placed:
    """The network on its cores."""

    def __init__(self, program: Program, chip: Chip) -> None:
        self.cores, self.chip, self.graph = program.cores, chip, program.network
        self.members = {p.name: self._members(p) for p in self.graph.populations}
        self.into: dict[str, list[_Wired]] = {p.name: [] for p in self.graph.populations}
        for c in self.graph.connections:
            self.into[c.target].append(self._wired(store(c, self.graph[c.target].shape, chip)))

    def slices(self, population: str) -> Iterator[tuple[int, Slice]]:
        """Boxes of a population, with the position of their core in `Program.cores`."""
        for position, core in enumerate(self.cores):
            for cut in core.slices:
                if cut.population == population:
                    yield position, cut

    def _members(self, population: Population) -> "scipy.sparse.csr_array":
        """Which neuron lies on which core: (cores, size) of ones."""
        held = [(i, cut.neurons(population.shape)) for i, cut in self.slices(population.name)]
        return _matrix([(i, at, np.ones(at.size)) for i, at in held], (len(self.cores), population.size))

    def by_core(self, population: str, values: FloatArray) -> FloatArray:
        """Values (steps, size) of a population, summed over each core's neurons: (cores, steps)."""
        return np.asarray(self.members[population] @ values.T)

    def _tiles(self, population: str) -> FloatArray:
        """The column and the row of the tile of every neuron, (2, size); 0, 0 outside the cores."""
        tiles = np.array([self.chip.tile(core.index) for core in self.cores], np.float64).reshape(-1, 2)
        return np.asarray((self.members[population].T @ tiles).T)

    def _wired(self, stored: Stored) -> _Wired:
        c = stored.connection
        sources = self.graph[c.source].size
        origin, copies = self._tiles(c.source), np.zeros(sources)
        parts: dict[str, list[_Row]] = {event: [] for event in ARRIVING}
        for position, cut in self.slices(c.target):
            senders, synapses = stored.synapses(cut)
            copies[senders] += 1
            tile = np.array(self.chip.tile(self.cores[position].index))[:, None]
            across, along = np.abs(origin[:, senders] - tile)
            for event, each in zip(ARRIVING, (synapses, np.ones(senders.size), across, along), strict=True):
                parts[event].append((position, senders, each))
        shape = (len(self.cores), sources)
        return _Wired(stored, {event: _matrix(rows, shape) for event, rows in parts.items()}, copies)


_Row = tuple[int, Array, Array]  # core, columns, values


def _matrix(rows: list[_Row], shape: tuple[int, int]) -> "scipy.sparse.csr_array":
    """A sparse matrix of rows; those of one core are added up."""
    columns = np.concatenate([np.zeros(0, np.int64), *(at for _, at, _ in rows)])
    values = np.concatenate([np.zeros(0), *(each for _, _, each in rows)])
    cores = np.repeat([i for i, _, _ in rows], [at.size for _, at, _ in rows]).astype(np.int64)
    return scipy.sparse.csr_array((values, (cores, columns)), shape)


def _updates(
    placed: _Placed, activity: Activity, population: Population, into: list[Stored]
) -> Iterator[Tally]:
    """Active, inactive and window updates of a population."""
    clock = activity.clock(population)[:, None]
    reached = activity.reached(population, into)
    active = placed.by_core(population.name, reached + (activity.runs - reached) * clock)
    neurons = placed.members[population.name].sum(1)[:, None] * float(activity.runs)
    for event, counts in (
        ("active_updates", active),
        ("inactive_updates", neurons - active),
        ("window_updates", neurons * clock.T),
    ):
        yield Tally(event, population.name, "", counts)


def _traffic(placed: _Placed, activity: Activity, wired: _Wired) -> Iterator[Tally]:
    """What a connection's messages cause where they are sent and where they arrive."""
    c = wired.stored.connection
    sent = activity.messages(placed.graph[c.source])
    arrived = activity.later(sent, c.delay)
    total = {event: np.asarray(matrix @ arrived.T) for event, matrix in wired.caused.items()}
    total["messages_sent"] = placed.by_core(c.source, sent * wired.copies)
    for event, counts in total.items():
        if np.any(counts):
            yield Tally(event, c.target, c.name, counts)
