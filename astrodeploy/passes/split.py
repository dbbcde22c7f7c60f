"""split: a fan-in that is too large for one core is added up in parts, on chips with graded messages.

The sources of a connection are divided; neurons on other cores add up what comes from each part, exactly,
and send their sums in the next step. The layer and all that follows it answer later by that step (two,
where the sum is shifted down after it: it must be whole before that), which its depth records.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse

from astrodeploy.compartments import Range
from astrodeploy.compartments.partial_sum import partial_sum
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import IntArray
from astrodeploy.ir.verify import arrivals, message_range, shifted
from astrodeploy.ir.wiring import OneToOne, Sparse
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.retime import loop_text, relaxed
from astrodeploy.program import Note, Slice
from astrodeploy.synapses import Stored, store

FAN_IN = ("synaptic_memory_bits", "input_axons")  # loads that grow with it
NEW = -1  # the delay of a connection that is not timed yet


@dataclass(frozen=True)
class Split:
    """Give partial sums to every layer one of whose neurons has more inputs than a core can hold."""

    name = "split"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with partial sums. Raises DoesNotFit where a loop has no time for them."""
        if draft.chip.widths.message_bits.value == 0:
            return draft, ()
        graph, notes = draft.graph, []
        for population in draft.graph.populations:
            for each in _too_large(draft, population):
                graph, note = _divided(draft, graph, each)
                notes.append(note)
        if not notes:
            return draft, ()
        _sums_have_room(graph, notes)
        return replace(draft, graph=_retimed(graph, notes)), tuple(notes)


def _too_large(draft: Draft, population: Population) -> list[Stored]:
    """Connections to be divided so that every neuron of a population fits a core, the largest first."""
    limits = draft.chip.core_limits
    stored = [store(c, population.shape, draft.chip) for c in draft.graph.into(population.name)]
    asked = {each.connection.name: _asked(each) for each in stored}
    divided: list[Stored] = []
    for each in sorted(stored, key=lambda s: -int(asked[s.connection.name].max(initial=0))):
        totals = sum(asked.values(), np.zeros((len(FAN_IN), population.size), np.int64))
        if all(np.all(total <= limits[k]) for k, total in zip(FAN_IN, totals, strict=True)):
            break
        divided.append(each)
        parts = len(_bounds(draft, each.connection))
        asked[each.connection.name] = np.full_like(totals, parts) * _unit(draft)[:, None]
    return divided


def _asked(stored: Stored) -> IntArray:
    """What every neuron alone asks of a core for a connection: memory bits and input axons, (2, neurons)."""
    size, word = stored.connection.wiring.shape[0], stored.chip.synapses.word_bits.value
    if stored.encoding in ("dense", "convolution"):  # all alike, or at most what one in the middle asks
        middle = tuple((n // 2, n // 2 + 1) for n in stored.shape)
        load = stored.load(Slice(stored.connection.target, middle))
        return np.repeat([[load.bits], [load.input_axons]], size, axis=1)
    ones = np.ones((1, stored.connection.wiring.shape[1]), np.float32)
    axons = stored.gathered(ones)[0].astype(np.int64)  # each in a word of its own
    return np.stack([axons * word, axons])


def _synapses(connection: Connection) -> tuple[IntArray, IntArray, IntArray]:
    """Target, source and weight of every synapse whose weight is not 0."""
    listed = connection.wiring.sparse.tocoo()
    kept = listed.data != 0
    return listed.row[kept], listed.col[kept], listed.data[kept]


def _unit(draft: Draft) -> IntArray:
    """What a synapse of its own takes: bits and axons."""
    return np.array([draft.chip.synapses.word_bits.value, 1])


def _bounds(draft: Draft, connection: Connection) -> list[tuple[int, int]]:
    """Ranges of the sources, nearly equal, in none of which a neuron has more inputs than a core can hold."""
    room = _room(draft, connection)
    targets, sources, _ = _synapses(connection)
    size, count = connection.wiring.shape[1], 1
    while count < size:
        edges = np.arange(count + 1) * size // count
        part = np.searchsorted(edges, sources, side="right") - 1
        most = int(np.bincount(targets * count + part, minlength=1).max())
        if most <= room:
            break
        count = min(size, max(count + 1, count * most // room))
    return list(pairwise(i * size // count for i in range(count + 1)))


def _room(draft: Draft, connection: Connection) -> int:
    """How many synapses of their own a core can hold. Raises DoesNotFit, with the limit, where that is none."""
    limits = draft.chip.core_numbers
    room: list[int] = []
    for name, unit in zip(FAN_IN, map(int, _unit(draft)), strict=True):
        if limits[name].value < unit:
            raise DoesNotFit(
                f"{connection.name}: one synapse alone takes {unit} of a core's {name}, the limit is "
                f"{limits[name].value}{limits[name].doubt}: choose a chip whose cores hold more"
            )
        room.append(limits[name].value // unit)
    return min(room)


def _divided(draft: Draft, graph: Graph, stored: Stored) -> tuple[Graph, Note]:
    """The network with a connection in parts."""
    whole = stored.connection
    target = graph[whole.target]
    parts = list(_partial_sums(draft, graph, whole))
    ends = [population for population, _ in parts]
    added = [c for _, c in parts]
    last = ends
    if whole.exponent < 0:  # rounds down: once, after all has been added up
        reach = [message_range(each) for each in ends]
        total = _adder(f"{_stem(whole)}.sum", target, sum(r.low for r in reach), sum(r.high for r in reach))
        added += [_one_to_one(each, total.name, "current", 0) for each in ends]
        last, ends = [total], [*ends, total]
    added += [_one_to_one(each, whole.target, whole.port, whole.exponent) for each in last]
    kept = [c for c in graph.connections if c.name != whole.name]
    late = 1 + (whole.exponent < 0)
    limits, asked = draft.chip.core_numbers, _asked(stored).max(1).tolist()
    needed = ", ".join(
        f"{k} {n} of {limits[k].value}{limits[k].doubt}" for k, n in zip(FAN_IN, asked, strict=True)
    )
    text = (
        f"{whole.wiring.shape[1]} sources, of which a neuron alone asks {needed} of a core: added up in {len(parts)} "
        f"part{'s' * (len(parts) > 1)}, by {len(ends) * target.size} neurons more; {target.name} answers {late} "
        f"step{'s' * (late > 1)} later"
    )
    divided = replace(graph, populations=(*graph.populations, *ends), connections=(*kept, *added))
    return divided, Note(whole.name, text, {"parts": len(parts), "steps": late})


def _partial_sums(draft: Draft, graph: Graph, whole: Connection) -> list[tuple[Population, Connection]]:
    """A population for every part of the sources, and what it hears."""
    target, message = graph[whole.target], message_range(graph[whole.source])
    targets, sources, weights = _synapses(whole)
    wirings = []
    for start, stop in _bounds(draft, whole):
        inside = (sources >= start) & (sources < stop)
        ends = targets[inside], sources[inside]
        wirings.append(Sparse.of(scipy.sparse.csr_array((weights[inside], ends), shape=whole.wiring.shape)))
    bounds = [wiring.bounds(message.low, message.high) for wiring in wirings]
    reach = [(min(0, int(low.min())), max(0, int(high.max()))) for low, high in bounds]
    if _fits_rounded(graph, whole, reach):
        reach = [_one_kind(reach)] * len(reach)
    adders = [_adder(f"{_stem(whole)}.part-{i}", target, *each) for i, each in enumerate(reach, start=1)]
    return [
        (adder, replace(whole, target=adder.name, port="current", wiring=wiring, exponent=0))
        for adder, wiring in zip(adders, wirings, strict=True)
    ]


def _one_kind(reach: list[tuple[int, int]]) -> tuple[int, int]:
    """A range of whole bits that holds all: one kind of neurons for all parts."""
    bits = max(max(high, -1 - low).bit_length() for low, high in reach)
    return -(1 << bits), (1 << bits) - 1


def _fits_rounded(graph: Graph, whole: Connection, reach: list[tuple[int, int]]) -> bool:
    """Whether the port could take what parts of one kind could send, beside all else that it hears."""
    node = graph[whole.target].node
    assert isinstance(node, Compartments), whole.target
    low, high = (each * len(reach) for each in _one_kind(reach))
    total, declared = arrivals(graph, whole.target, whole.port), node.kind.inputs[whole.port].range
    low, high = shifted(low, whole.exponent), shifted(high, whole.exponent)
    return declared.contains(Range(total.low + low, total.high + high))


def _stem(whole: Connection) -> str:
    """The beginning of the names of a connection's partial sums, of which no other has the same."""
    port = "" if whole.port == "current" else f".{whole.port}"
    return f"{whole.target}.{whole.source}{port}{f'.lag-{whole.lag}' * bool(whole.lag)}"


def _adder(name: str, target: Population, low: int, high: int) -> Population:
    """Neurons that add up what comes for each neuron of a population."""
    return replace(target, name=name, node=Compartments(partial_sum(Range(low, high)), {}, {}, 0))


def _one_to_one(source: Population, target: str, port: str, exponent: int) -> Connection:
    return Connection(source.name, target, port, OneToOne(np.ones(source.size, np.int8)), exponent, delay=NEW)


def _sums_have_room(graph: Graph, notes: list[Note]) -> None:
    """Raise DoesNotFit where the ranges of the parts together exceed what their target can take."""
    for population in graph.populations:
        ports = population.node.kind.inputs if isinstance(population.node, Compartments) else {}
        for name, port in ports.items():
            total = arrivals(graph, population.name, name)
            if not port.range.contains(total):
                raise DoesNotFit(
                    f"{_told(notes)}; {population.name}.{name} might then receive {total} in a step, its accumulator "
                    f"holds {port.range}: use fewer inputs or smaller weights"
                )


def _told(notes: list[Note]) -> str:
    return "; ".join(f"{each.subject}: {each.text}" for each in notes)


def _retimed(graph: Graph, notes: list[Note]) -> Graph:
    """Later by as little as the new connections need; what is timed already keeps its meaning."""
    meant = replace(graph, connections=tuple(replace(c, lag=max(0, c.delay)) for c in graph.connections))
    later, loop = relaxed(meant)
    if loop:
        raise DoesNotFit(
            f"{_told(notes)}; the loop {loop_text(loop)} has no step to spare for that: give its neurons fewer "
            "inputs, or the loop a longer delay"
        )
    return replace(
        graph,
        populations=tuple(replace(p, depth=p.depth + later[p.name]) for p in graph.populations),
        connections=tuple(
            replace(c, delay=m.lag + later[c.target] - later[c.source])
            for c, m in zip(graph.connections, meant.connections, strict=True)
        ),
    )
