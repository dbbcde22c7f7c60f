"""split: a fan-in that is too large for one core is added up in parts, on chips with graded messages.

The sources of a connection are divided; neurons on other cores add up what comes from each part, exactly,
and send their sums in the next step. The layer and all that follows it answer later by that step (two,
where the sum is shifted down after it: it must be whole before that), which its depth records.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse

from astrodeploy.compartments import Range
from astrodeploy.compartments.partial_sum import partial_sum
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.verify import message_range
from astrodeploy.ir.wiring import OneToOne, Sparse
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.retime import least_depths
from astrodeploy.program import Note, Slice
from astrodeploy.synapses import Stored, store

FAN_IN = ("synaptic_memory_bits", "input_axons")  # loads that grow with it
NEW = -1  # the delay of a connection that is not timed yet


@dataclass(frozen=True)
class Split:
    """Give partial sums to every layer one of whose neurons has more inputs than a core can hold."""

    name = "split"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with partial sums. Raises UnsupportedError where a loop has no time for them."""
        if draft.chip.widths.message_bits.value == 0:
            return draft, ()
        graph, notes = draft.graph, []
        for population in draft.graph.populations:
            for each in _too_large(draft, population):
                graph, note = _divided(draft, graph, each)
                notes.append(note)
        return (replace(draft, graph=_retimed(graph)), tuple(notes)) if notes else (draft, ())


def _too_large(draft: Draft, population: Population) -> list[Stored]:
    """Connections to be divided so that every neuron of a population fits a core, the largest first."""
    graph, chip = draft.graph, draft.chip
    stored = [store(c, population.shape, chip) for c in graph.into(population.name)]
    if not stored:
        return []
    neuron = _largest_neuron(population, stored)
    loads = {each.connection.name: _fan_in(each, neuron) for each in stored}
    divided: list[Stored] = []
    for each in sorted(stored, key=lambda s: -max(loads[s.connection.name])):
        totals = [sum(load) for load in zip(*loads.values(), strict=True)]
        if all(total <= chip.core_limits[k] for k, total in zip(FAN_IN, totals, strict=True)):
            break
        divided.append(each)
        count = _parts(draft, each, neuron)
        loads[each.connection.name] = (count * chip.synapses.word_bits.value, count)
    return divided


def _largest_neuron(population: Population, stored: list[Stored]) -> Slice:
    """The box of the neuron with most inputs."""
    fan_in = sum((each.connection.wiring.fan_in for each in stored), np.zeros(population.size, np.int64))
    place = np.unravel_index(int(np.argmax(fan_in)), population.shape)
    return Slice(population.name, tuple((int(i), int(i) + 1) for i in place))


def _fan_in(stored: Stored, neuron: Slice) -> tuple[int, int]:
    load = stored.load(neuron)
    return load.bits, load.input_axons


def _parts(draft: Draft, stored: Stored, neuron: Slice) -> int:
    """Into how many parts a connection is divided: one neuron's part then fits a core."""
    limits = draft.chip.core_limits
    axons = stored.load(neuron).input_axons
    word = draft.chip.synapses.word_bits.value
    most = min(limits["input_axons"], limits["synaptic_memory_bits"] // (2 * word))  # entries of two words
    return -(-axons // most)


def _divided(draft: Draft, graph: Graph, stored: Stored) -> tuple[Graph, Note]:
    """The network with a connection in parts."""
    whole = stored.connection
    target = graph[whole.target]
    parts = list(_partial_sums(draft, graph, stored))
    ends = [population for population, _ in parts]
    added = [c for _, c in parts]
    if whole.exponent < 0:  # rounds down: once, after all has been added up
        total = _adder(f"{whole.target}.{whole.source}.sum", target, _sum(map(message_range, ends)))
        added += [_one_to_one(each, total.name, "current", 0) for each in ends]
        last, ends = [total], [*ends, total]
    else:
        last = ends
    added += [_one_to_one(each, whole.target, whole.port, whole.exponent) for each in last]
    kept = [c for c in graph.connections if c.name != whole.name]
    late = 1 + (whole.exponent < 0)
    text = (
        f"{whole.wiring.shape[1]} sources are more than a core can hold: added up in {len(parts)} parts, by "
        f"{len(parts) * target.size} neurons more; {target.name} answers {late} step{'s' * (late > 1)} later"
    )
    divided = replace(graph, populations=(*graph.populations, *ends), connections=(*kept, *added))
    return divided, Note(whole.name, text, {"parts": len(parts), "steps": late})


def _partial_sums(draft: Draft, graph: Graph, stored: Stored) -> Iterator[tuple[Population, Connection]]:
    """A population for every part of the sources, and what it hears."""
    whole = stored.connection
    target, sources = graph[whole.target], whole.wiring.shape[1]
    count = _parts(draft, stored, _largest_neuron(target, [stored]))
    message = message_range(graph[whole.source])
    synapses = whole.wiring.sparse.tocoo()
    for number, (start, stop) in enumerate(pairwise(i * sources // count for i in range(count + 1)), start=1):
        inside = (synapses.col >= start) & (synapses.col < stop) & (synapses.data != 0)
        ends = synapses.row[inside], synapses.col[inside]
        wiring = Sparse.of(scipy.sparse.csr_array((synapses.data[inside], ends), shape=synapses.shape))
        low, high = wiring.bounds(message.low, message.high)
        reach = Range(min(0, int(low.min())), max(0, int(high.max())))
        part = _adder(f"{whole.target}.{whole.source}.part-{number}", target, reach)
        yield part, replace(whole, target=part.name, port="current", wiring=wiring, exponent=0)


def _adder(name: str, target: Population, reach: Range) -> Population:
    """Neurons that add up what comes for each neuron of a population."""
    return replace(target, name=name, node=Compartments(partial_sum(reach), {}, {}, 0))


def _one_to_one(source: Population, target: str, port: str, exponent: int) -> Connection:
    return Connection(source.name, target, port, OneToOne(np.ones(source.size, np.int8)), exponent, delay=NEW)


def _sum(ranges: Iterator[Range]) -> Range:
    lows, highs = zip(*((each.low, each.high) for each in ranges), strict=True)
    return Range(sum(lows), sum(highs))


def _retimed(graph: Graph) -> Graph:
    """Later by as little as the new connections need; what is timed already keeps its meaning."""
    meant = replace(graph, connections=tuple(replace(c, lag=max(0, c.delay)) for c in graph.connections))
    try:
        later = least_depths(meant)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"a fan-in is too large for a core, and its partial sums take a step: {error}"
        ) from error
    return replace(
        graph,
        populations=tuple(replace(p, depth=p.depth + later[p.name]) for p in graph.populations),
        connections=tuple(
            replace(c, delay=m.lag + later[c.target] - later[c.source])
            for c, m in zip(graph.connections, meant.connections, strict=True)
        ),
    )
