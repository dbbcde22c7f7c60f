"""What happens on the cores: synaptic operations, updates, spikes and messages, per core and step.

    synaptic_operations_dense, ..._sparse, ..._convolution
                         one per weight other than 0 that a message meets, under the encoding of its connection;
                         a run-length list is a sparse one. Zeros that are stored are none (as PilotNet-LIF's
                         benchmark on Loihi 2 counts, and NeuroBench)
    active_updates       neurons that a message reached in the step by such a weight, that are not at rest again
                         since (`rest.py`), or that ran their window list
    inactive_updates     all others
    window_updates       window lists run (beside the active update of the same step)
    spikes               neurons that fired, or sent a graded message
    messages_sent        what they sent: one per connection and box of targets that it goes to (`placed.py`)
    messages_received    the same at the cores that they go to, the input's with them
    input_messages       of these, those of the input, which no core sent
    hops_east_west, hops_north_south, chip_crossings
                         tiles and borders between chips that messages crossed, booked where they are received

As on the chip, a message is received, and its synapses worked through, in the step in which it is sent,
whatever its delay: it waits at the neurons that it goes to, which it reaches `delay` steps later. Events
belong to the layer that they end in; spikes to the layer that fired.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from astrodeploy.costs.activity import Activity, Recorded
from astrodeploy.costs.placed import OUTSIDE, SYNAPTIC, Placed, Wired, placed
from astrodeploy.costs.routes import CHUNK, Links, Ways
from astrodeploy.ir import Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.program import Program

EVENTS = (
    *dict.fromkeys(SYNAPTIC.values()),
    "active_updates",
    "inactive_updates",
    "window_updates",
    "spikes",
    "messages_sent",
    "messages_received",
    "input_messages",
    "hops_east_west",
    "hops_north_south",
    "chip_crossings",
)


@dataclass(frozen=True, eq=False)
class Tally:
    """How often one thing happened to one layer, through one connection (or "").

    cores   positions in `Program.cores`, each once
    counts  (cores, moments)
    """

    event: str
    layer: str
    connection: str
    cores: IntArray
    counts: FloatArray

    def total(self, repeats: FloatArray) -> "Total":
        """Over moments that stand for so many steps each."""
        return Total(self.event, self.layer, self.connection, self.cores, self.counts @ repeats)


@dataclass(frozen=True, eq=False)
class Total:
    """The same over all moments: `counts` is (cores,)."""

    event: str
    layer: str
    connection: str
    cores: IntArray
    counts: FloatArray

    def __add__(self, other: "Total") -> "Total":
        return replace(self, counts=self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class Counted:
    """All that happened: on the cores, and on the ways between them.

    messages  on every way of `links`, (ways, moments); None where there are none
    """

    placed: Placed
    tallies: tuple[Tally, ...]
    links: Links | None
    messages: FloatArray


def core_events(program: Program, spikes: Mapping[str, Array], reset_every: int = 0) -> dict[str, Array]:
    """Events per core and step, summed over the batch: name -> (cores, steps) int64.

    `spikes` holds every population's messages, (rows, steps, size or *shape), a row from rest each; a
    stream is one long row, with resets every so many steps.
    """
    counted = count_events(program, Recorded(spikes, reset_every))
    shape = (len(program.cores), next(iter(spikes.values())).shape[1])
    total = {event: np.zeros(shape) for event in EVENTS}
    for each in counted.tallies:
        total[each.event][each.cores] += each.counts
    return {event: np.rint(counts).astype(np.int64) for event, counts in total.items()}


def count_events(program: Program, activity: Activity) -> Counted:
    """Every event of a Program, by layer, connection, core and moment."""
    return Counting(placed(program)).of(activity)


class Counting:
    """Counts the events of a network on its cores; what does not depend on the activity is found once."""

    def __init__(self, on_cores: Placed) -> None:
        self.placed = on_cores
        self._wired = list(on_cores.wired)
        ways = [Ways.of(on_cores, each) for each in self._wired]
        self._links = Links(on_cores.board, ways) if ways else None
        self._sums = [_sums(wired, way) for wired, way in zip(self._wired, ways, strict=True)]

    @property
    def numbers(self) -> int:
        """About how many numbers a moment takes: of the tallies, of rows of messages, and of neurons."""
        cores, layers = self.placed.cores, len(self.placed.slices)
        rows = sum(int(each.senders.size) for each in self._wired)
        largest = max(p.size for p in self.placed.graph.populations)
        return cores * (4 * layers + len(EVENTS) * len(self._wired)) + 4 * rows + 4 * largest

    def of(self, activity: Activity) -> Counted:
        """Every event by layer, connection, core and moment."""
        tallies: list[Tally] = []
        for population in self.placed.graph.populations:
            if not population.is_input:
                tallies += _neurons(self.placed, activity, population)
        messages = np.zeros((0 if self._links is None else self._links.count, activity.repeats.size))
        for number in range(len(self._wired)):
            tallies += self._traffic(number, activity, messages)
        kept = tuple(each for each in tallies if np.any(each.counts))
        return Counted(self.placed, kept, self._links, messages)

    def _traffic(self, number: int, activity: Activity, messages: FloatArray) -> Iterator[Tally]:
        """What a connection's messages cause at the cores; they are added to those on the ways."""
        assert self._links is not None
        wired, of_way, sums = self._wired[number], self._links.rows(number), self._sums[number]
        c, into, moments = wired.stored.connection, wired.by_receiver, activity.repeats.size
        source = self.placed.graph[c.source]
        counts = [np.zeros((keys.size, moments)) for _, keys, _ in sums]
        operations = np.zeros((into.keys.size, moments))
        size = max(1, CHUNK // max(1, wired.senders.size, source.size))
        for part in (slice(start, start + size) for start in range(0, moments, size)):
            sent = activity.sent(source, wired.messages, part)
            messages[:, part] += of_way @ sent
            for (_, _, matrix), found in zip(sums, counts, strict=True):
                found[:, part] = matrix @ sent
            operations[:, part] = into.matrix @ activity.sent(source, wired.synapses, part)
        for (event, keys, _), found in zip(sums, counts, strict=True):
            yield Tally(event, c.target, c.name, keys, found)
        yield Tally(wired.operation, c.target, c.name, into.keys, operations)


def _neurons(on_cores: Placed, activity: Activity, population: Population) -> Iterator[Tally]:
    """Updates and spikes of a population."""
    name, members = population.name, on_cores.members[population.name]
    clock = activity.clock(population)
    awake = activity.active(population, members, on_cores.into[name])
    neurons = members.matrix.sum(1)[:, None] * float(activity.runs)
    active = awake + (neurons - awake) * clock
    for event, counts in (
        ("active_updates", active),
        ("inactive_updates", neurons - active),
        ("window_updates", neurons * clock),
        ("spikes", activity.spikes(population, members)),
    ):
        yield Tally(event, name, "", members.keys, counts)


def _sums(wired: Wired, ways: Ways) -> "list[tuple[str, IntArray, scipy.sparse.csr_array]]":
    """What a row of messages counts for: event, cores, and the matrix (cores, rows)."""
    into = wired.by_receiver
    across, along = ways.hops
    from_outside = np.asarray(wired.senders == OUTSIDE, np.float64)
    weights = {
        "messages_received": np.ones(from_outside.size),
        "input_messages": from_outside,
        "hops_east_west": across,
        "hops_north_south": along,
        "chip_crossings": ways.crossings,
    }
    received = [(event, into.keys, into.weighted(each)) for event, each in weights.items() if np.any(each)]
    return [("messages_sent", wired.by_sender.keys, wired.by_sender.matrix), *received]
