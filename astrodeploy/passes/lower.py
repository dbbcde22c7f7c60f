"""lower: what a chip can't do as it stands, in terms of what it can; the meaning stays.

A bias that enters a synaptic current has no place in a compartment: a neuron that fires in every step
sends it, with the biases as its weights. What comes before this pass is the network that a Program means.
"""

from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.ir import Connection, CubaLIF, Graph, Population
from astrodeploy.ir.nodes import Constant
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Lower:
    """Exchange what the chip lacks for what it has."""

    name = "lower"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with a network of what the chip has; its reference is the network as it was."""
        graph, notes = draft.graph, []
        for population in draft.graph.populations:
            node = population.node
            if isinstance(node, CubaLIF) and np.any(node.bias):
                graph = _with_bias_neuron(graph, population, node)
                notes.append(
                    Note(
                        population.name,
                        "its bias enters the synaptic current: a neuron that always fires sends it",
                    )
                )
        return replace(draft, graph=graph, reference=draft.graph), tuple(notes)


def _with_bias_neuron(graph: Graph, population: Population, node: CubaLIF) -> Graph:
    name = f"{population.name}.bias"
    while name in graph.layers:
        name += "_"
    weight = np.broadcast_to(node.bias.ravel(), (population.size,))[:, None]
    unbiased = replace(population, node=replace(node, bias=np.zeros_like(node.bias)))
    graph = graph.with_population(unbiased)
    return replace(
        graph,
        populations=(*graph.populations, Population(name, (1,), Constant(), role=population.role)),
        connections=(*graph.connections, Connection(name, population.name, "current", Dense(weight))),
    )
