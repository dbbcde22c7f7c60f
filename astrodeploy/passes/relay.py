"""relay: a delay longer than the chip's goes through populations that send every spike on.

A relay fires in the step in which a spike arrives, so that delays add up: what is meant stays exactly. Changes
of a value are sent on by neurons that sum them up and send every change of the sum. Other graded messages can't
be relayed; their delay stays, and is a violation.
"""

from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.ir import LIF, Connection, Graph, Population
from astrodeploy.ir.nodes import Input, Membrane, Node, RateEncoder, SigmaDelta
from astrodeploy.ir.wiring import OneToOne
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Relay:
    """Cut long delays into those that the chip has."""

    name = "relay"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with relays, and a note for each connection that goes through some."""
        longest = draft.chip.limits.maximal_delay_steps.value
        graph, notes = draft.graph, []
        for each in draft.graph.connections:
            hops = (each.delay - 1) // longest if longest else 0
            if hops and _relay_of(draft.graph, draft.graph[each.source]) is not None:
                graph = _relayed(graph, each, hops, longest)
                text = f"waits {each.delay} steps, through {hops} relay{'s' * (hops > 1)} of {longest} each"
                notes.append(Note(each.name, text, {"delay": each.delay, "relays": hops}))
        return replace(draft, graph=graph), tuple(notes)


def _relay_of(graph: Graph, source: Population) -> Node | None:
    """What sends on the messages of a population; None where nothing does."""
    node, one = source.node, np.ones(source.shape)
    if isinstance(node, SigmaDelta):
        return SigmaDelta(0 * one, 0 * one, activation="none")
    spikes = isinstance(node, RateEncoder) or (isinstance(node, Membrane) and node.sends == "spikes")
    if spikes or (isinstance(node, Input) and (node.low, node.high) == (0, 1)):
        return LIF(
            tau=graph.dt * one, r=one, v_leak=0 * one, v_threshold=one / 2, v_reset=0 * one, bias=0 * one
        )
    return None


def _relayed(graph: Graph, long: Connection, hops: int, longest: int) -> Graph:
    source = graph[long.source]
    for hop in range(1, hops + 1):
        graph, source = _hop(graph, source, f"{long.source}.relay-{hop}", longest)
    last = replace(long, source=source.name, delay=long.delay - hops * longest)
    return replace(graph, connections=tuple(last if c is long else c for c in graph.connections))


def _hop(graph: Graph, source: Population, name: str, delay: int) -> tuple[Graph, Population]:
    """A relay of a population; the one that is there already, where another connection needs it too."""
    if name in graph.layers:
        return graph, graph[name]
    node = _relay_of(graph, source)
    assert node is not None, source.name
    role = "neurons" if source.is_input else source.role
    relay = Population(name, source.shape, node, source.depth, role)
    link = Connection(source.name, name, "current", OneToOne(np.ones(source.size)), delay=delay)
    populations, connections = (*graph.populations, relay), (*graph.connections, link)
    return replace(graph, populations=populations, connections=connections), relay
