"""What a network's astrocytes do at rest."""

from dataclasses import replace

import numpy as np

from astrodeploy.ir.graph import Graph
from astrodeploy.ir.nodes import Array, Astrocyte, Membrane


def resting_gains(graph: Graph) -> dict[str, Array]:
    """The gain of every neuron of each modulated population, with its astrocytes at rest; 1 without one."""
    gains: dict[str, Array] = {}
    for each in graph.connections:
        node = graph[each.source].node
        if each.port == "modulation" and isinstance(node, Astrocyte):
            gain = each.weight @ resting_output(node).reshape(-1)
            gains[each.target] = np.where(each.weight.any(1), gain, 1.0)
    return gains


def resting_output(node: Astrocyte) -> Array:
    """What gain control sends at rest."""
    return np.asarray(2.0**node.log_gain)


def without_astrocytes(graph: Graph) -> Graph:
    """The network with all gain control at rest for ever: the gains in the weights, no astrocytes for them."""
    controls = {p.name for p in graph.populations if isinstance(p.node, Astrocyte) and p.node.modulates}
    gains = resting_gains(graph)
    connections = tuple(
        replace(c, wiring=c.wiring.scaled(gains[c.target])) if c.target in gains else c
        for c in graph.connections
        if not {c.source, c.target} & controls
    )
    for name, gain in gains.items():
        population = graph[name]
        node = population.node
        if isinstance(node, Membrane):
            graph = graph.with_population(replace(population, node=replace(node, bias=node.bias * gain)))
    kept = tuple(p for p in graph.populations if p.name not in controls)
    return replace(graph, populations=kept, connections=connections)
