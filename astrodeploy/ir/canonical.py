"""The one form of a network, so that the same network always gives the same Program."""

from dataclasses import replace

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.nodes import Compartments, Node
from astrodeploy.ir.readout import said


def canonical(graph: Graph) -> Graph:
    """The same network: populations by distance from the input, then by name; arrays float64; read-outs in words.

    Weights of integer populations stay what they are. Raises InputError where a connection names no population.
    """
    order = _distances(graph)
    populations = sorted(graph.populations, key=lambda p: (order[p.name], p.name))
    rank = {p.name: i for i, p in enumerate(populations)}
    integer = {p.name for p in populations if isinstance(p.node, Compartments)}
    connections = sorted(graph.connections, key=lambda c: (rank[c.target], rank[c.source], c.port, c.lag))
    return replace(
        graph,
        dt=float(graph.dt),
        readout=_words(graph),
        populations=tuple(replace(p, node=_spread(p)) for p in populations),
        connections=tuple(c if c.target in integer else _in_floats(c) for c in connections),
    )


def _words(graph: Graph) -> str:
    """How the outputs are read, said for each; as it was said where an output does not exist, which `verify` tells."""
    if not set(graph.outputs) <= set(graph.layers):
        return graph.readout
    return said([each.how for each in graph.read_outs.values()])


def _in_floats(connection: Connection) -> Connection:
    wiring = connection.wiring
    return replace(connection, wiring=wiring.with_values(wiring.values.astype(np.float64)))


def flattened(graph: Graph) -> Graph:
    """The same network with one dimension a population."""
    populations = tuple(reshaped(p, (p.size,)) for p in graph.populations)
    return replace(graph, populations=populations)


def reshaped(population: Population, shape: tuple[int, ...]) -> Population:
    """The same neurons in another shape of the same size."""
    arrays = {k: a.reshape(shape) for k, a in population.node.arrays().items() if a.size == population.size}
    return replace(population, shape=shape, node=replace(population.node, **arrays))  # type: ignore[type-var]


def _spread(population: Population) -> Node:
    wide = {
        name: np.broadcast_to(array, population.shape) if array.size == 1 else array
        for name, array in population.node.arrays().items()
    }
    return replace(population.node, **wide)  # type: ignore[type-var]


def _distances(graph: Graph) -> dict[str, int]:
    """Connections between the input and every population, by breadth-first search."""
    names = set(graph.layers)
    for each in graph.connections:
        if not {each.source, each.target} <= names:
            raise InputError(f"the connection {each.name} names a population that does not exist")
    distance = {p.name: 0 for p in graph.populations if p.is_input}
    frontier = list(distance)
    while frontier:
        frontier = _next(graph.connections, frontier, distance)
    return {name: distance.get(name, len(names)) for name in names}


def _next(connections: tuple[Connection, ...], frontier: list[str], distance: dict[str, int]) -> list[str]:
    found = []
    for each in connections:
        if each.source in frontier and each.target not in distance:
            distance[each.target] = distance[each.source] + 1
            found.append(each.target)
    return found
