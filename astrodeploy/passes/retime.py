"""retime: from the model's own time to the chip's, where every edge takes at least one step.

A population of depth k lives k steps late: its local time is the chip's minus k. An edge from u to v
whose lag in the model is l then takes l + depth(v) - depth(u) steps on the chip. The least depths for
which every edge takes at least one step are longest paths from the input. Loops keep the sum of their
delays, so that feedback means what it meant; one whose lags add up to less than its number of edges
can't be kept and is refused.

The method is retiming (Leiserson and Saxe, Algorithmica 6, 1991).
"""

from dataclasses import dataclass, replace

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Graph
from astrodeploy.ir.nodes import Constant
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Retime:
    """Give every population its depth and every connection its delay on the chip."""

    name = "retime"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft on the chip's clock; its reference is in the model's own time."""
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
        return replace(draft, graph=graph, reference=draft.reference or draft.graph), (answer, *notes)


def least_depths(graph: Graph) -> dict[str, int]:
    """Least depth of every population (Bellman-Ford). Raises UnsupportedError that names a loop."""
    depths = dict.fromkeys(graph.layers, 0)
    cause: dict[str, str] = {}
    for _ in range(len(depths) + 1):
        late = [c for c in graph.connections if depths[c.target] < depths[c.source] + 1 - c.lag]
        if not late:
            return depths | _constants(graph, depths)
        for c in late:
            depths[c.target] = max(depths[c.target], depths[c.source] + 1 - c.lag)
            cause[c.target] = c.source
    raise UnsupportedError(
        f"the loop {' -> '.join(_loop(cause, late[0].target))} takes fewer steps in the model than it has "
        "edges: on the chip every edge takes one; give it that delay in the model too"
    )


def _constants(graph: Graph, depths: dict[str, int]) -> dict[str, int]:
    """Neurons that always fire start as late as their targets allow: their messages then wait least."""
    constants = [p.name for p in graph.populations if isinstance(p.node, Constant)]
    return {
        name: min((depths[c.target] + c.lag - 1 for c in graph.out_of(name)), default=0) for name in constants
    }


def _loop(cause: dict[str, str], start: str) -> list[str]:
    """A cycle of causes, in the direction in which spikes travel."""
    seen = [start]
    while (before := cause[seen[-1]]) not in seen:
        seen.append(before)
    loop = [*seen[seen.index(before) :], before]
    return loop[::-1]
