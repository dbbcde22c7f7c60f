"""retime: from the model's own time to the chip's, where every edge takes at least one step.

A population of depth k lives k steps late: its local time is the chip's minus k. An edge from u to v
whose lag in the model is l then takes l + depth(v) - depth(u) steps on the chip. The least depths for
which every edge takes at least one step are longest paths from the input. Loops keep the sum of their
delays, so that feedback means what it meant; one whose lags add up to less than its number of edges
can't be kept: it is refused, or where the user allows it one of its edges gets the longer lag, in what the
Program means too. A network of integers whose delays are stated has its time already: they become its lags.

The method is retiming (Leiserson and Saxe, Algorithmica 6, 1991).
"""

from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Connection, Graph
from astrodeploy.ir.nodes import Constant
from astrodeploy.ir.wiring import Wiring, together
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Retime:
    """Give every population its depth and every connection its delay on the chip."""

    name = "retime"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft on the chip's clock; its reference is in the model's own time."""
        draft, stated = _as_stated(draft)
        draft, longer = _lengthened(draft) if draft.allow_delay else (draft, [])
        depths = least_depths(draft.graph)
        populations = tuple(replace(p, depth=depths[p.name]) for p in draft.graph.populations)
        connections = tuple(
            replace(c, delay=c.lag + depths[c.target] - depths[c.source]) for c in draft.graph.connections
        )
        graph = replace(draft.graph, populations=populations, connections=connections)
        notes = [
            Note(c.name, f"waits {c.delay} steps, so that paths of unequal length meet", {"delay": c.delay})
            for c in connections
            if c.delay > max(1, c.lag)
        ]
        depth = graph[graph.output].depth
        answer = Note(graph.output, f"answers {depth} steps after its input", {"depth": depth})
        return replace(draft, graph=graph, reference=draft.reference or draft.graph), (
            answer,
            *stated,
            *longer,
            *notes,
        )


def _as_stated(draft: Draft) -> tuple[Draft, list[Note]]:
    """The draft with delays as lags, where somebody stated some in the network before it was timed.

    An integer network has to state at least 1 everywhere, so that 1 alone says nothing and the lags time
    it. One longer delay says that they all are the chip's: each is kept, between the depths as they are.
    """
    if all(c.delay <= 1 for c in draft.graph.connections):
        return draft, []
    timed = _timed(draft.graph)
    notes = [
        Note(c.name, f"waits {c.lag} steps, its lag, and not its shorter delay of {c.delay}", {"lag": c.lag})
        for c, old in zip(timed, draft.graph.connections, strict=True)
        if c.delay > 1 and c.lag == old.lag and c.lag > _stated(draft.graph, old)
    ]
    joined, more = _joined(timed)
    graph = replace(draft.graph, connections=joined)
    reference = draft.reference
    if reference is not None:
        reference = replace(reference, connections=_joined(_timed(reference))[0])
    return replace(draft, graph=graph, reference=reference), [*notes, *more]


def _timed(graph: Graph) -> list[Connection]:
    return [replace(c, lag=max(c.lag, _stated(graph, c))) for c in graph.connections]


def _joined(timed: list[Connection]) -> tuple[tuple[Connection, ...], list[Note]]:
    """Connections between the same ends that take as long now, as one: the sum of their weights."""
    found: dict[str, Connection] = {}
    notes = []
    for each in timed:
        if each.name in found:
            notes.append(Note(each.name, f"stands twice with {each.lag} steps: its weights are added up"))
        found[each.name] = _sum(found[each.name], each) if each.name in found else each
    return tuple(found.values()), notes


def _sum(one: Connection, other: Connection) -> Connection:
    """Both in one, of the first's delay. Raises UnsupportedError where it can't hold the sum of their weights."""
    if one.exponent != other.exponent:
        raise UnsupportedError(
            f"{one.name} stands twice with a delay of as many steps, and its weights have the exponents "
            f"{one.exponent} and {other.exponent}: give both the same exponent, or different delays"
        )
    kind = one.wiring.values.dtype
    if kind.kind == "f":
        return replace(one, wiring=together(one.wiring, other.wiring))
    wiring = together(_wide(one.wiring), _wide(other.wiring))  # a sum of int8 would wrap
    low, high = wiring.values.min(initial=0), wiring.values.max(initial=0)
    held = np.iinfo(kind)
    if low < held.min or high > held.max:
        raise UnsupportedError(
            f"{one.name} stands twice with a delay of as many steps, and its weights add up to {low}..{high}, "
            f"of which {held.min}..{held.max} fit: use smaller weights, or different delays"
        )
    return replace(one, wiring=wiring.with_values(wiring.values.astype(kind)))


def _wide(wiring: Wiring) -> Wiring:
    return wiring.with_values(wiring.values.astype(np.int64))


def _stated(graph: Graph, connection: Connection) -> int:
    """The lag of a connection with its delay, between populations of their depths."""
    return connection.delay - graph[connection.target].depth + graph[connection.source].depth


def _lengthened(draft: Draft) -> tuple[Draft, list[Note]]:
    """The draft with a longer lag on one edge of every loop that takes fewer steps than it has edges."""
    reference, notes = draft.reference or draft.graph, []
    while loop := relaxed(draft.graph)[1]:
        slowest = max(loop, key=lambda c: (c.lag, c.name))
        longer = slowest.lag + len(loop) - sum(c.lag for c in loop)
        draft = replace(draft, graph=_with_lag(draft.graph, slowest, longer))
        reference = _with_lag(reference, slowest, longer)
        ends = f"{slowest.source} -> {slowest.target}"
        text = f"closes the loop {loop_text(loop)}: it takes {longer} steps instead of {slowest.lag} (--allow-delay)"
        notes.append(Note(ends, text, {"lag": longer}))
    return replace(draft, reference=reference), notes


def _with_lag(graph: Graph, changed: Connection, lag: int) -> Graph:
    """The network with another lag of a connection; one that has that lag already takes its weights too."""
    key = (changed.source, changed.target, changed.port)
    alike = [
        c for c in graph.connections if (c.source, c.target, c.port) == key and c.lag in (changed.lag, lag)
    ]
    slower = replace(alike[0] if len(alike) == 1 else _sum(*alike), lag=lag)
    connections = (
        slower if c is alike[0] else c for c in graph.connections if c is alike[0] or c not in alike
    )
    return replace(graph, connections=tuple(connections))


def least_depths(graph: Graph) -> dict[str, int]:
    """Least depth of every population (Bellman-Ford). Raises UnsupportedError that names a loop."""
    depths, loop = relaxed(graph)
    if loop:
        raise UnsupportedError(
            f"the loop {loop_text(loop)} takes fewer steps in the model than it has edges: on the chip every edge "
            "takes one; give it that delay in the model too, or allow the longer one with --allow-delay "
            "(allow_delay=True)"
        )
    return depths


def relaxed(graph: Graph) -> tuple[dict[str, int], list[Connection]]:
    """Least depths, or a loop for which there are none."""
    depths = dict.fromkeys(graph.layers, 0)
    cause: dict[str, Connection] = {}
    late: list[Connection] = []
    for _ in range(len(depths) + 1):
        late = [c for c in graph.connections if depths[c.target] < depths[c.source] + 1 - c.lag]
        if not late:
            return depths | _constants(graph, depths), []
        for c in late:
            depths[c.target] = max(depths[c.target], depths[c.source] + 1 - c.lag)
            cause[c.target] = c
    return depths, _loop(cause, late[0].target)


def _constants(graph: Graph, depths: dict[str, int]) -> dict[str, int]:
    """Neurons that always fire start as late as their targets allow: their messages then wait least."""
    constants = [p.name for p in graph.populations if isinstance(p.node, Constant)]
    return {
        name: min((depths[c.target] + c.lag - 1 for c in graph.out_of(name)), default=0) for name in constants
    }


def _loop(cause: dict[str, Connection], start: str) -> list[Connection]:
    """A cycle of causes, in the direction in which spikes travel."""
    way: list[Connection] = []
    seen: list[str] = []
    name = start
    while name not in seen:
        seen.append(name)
        way.append(cause[name])
        name = cause[name].source
    return way[seen.index(name) :][::-1]


def loop_text(loop: list[Connection]) -> str:
    """The populations of a loop, in order."""
    return " -> ".join([loop[0].source, *(c.target for c in loop)])
