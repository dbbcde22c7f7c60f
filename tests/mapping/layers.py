"""Networks of plain layers, and what a mapping of them takes, for the tests of mapping."""

import numpy as np
from networks import connection, network, population

from astrodeploy.chip import Board, load_chip
from astrodeploy.ir import Connection, Graph, Input, Population, verify
from astrodeploy.ir.wiring import Conv
from astrodeploy.mapping.cutting import Network
from astrodeploy.mapping.traffic import traffic


def dense(*sizes):
    """A chain of fully connected layers."""
    rng = np.random.default_rng(7)
    names = ["x", *(f"layer{i}" for i in range(1, len(sizes)))]
    populations = [
        population(n, "lif", s, depth=i + 1)
        for i, (n, s) in enumerate(zip(names[1:], sizes[1:], strict=True))
    ]
    pairs = zip(names, names[1:], sizes, sizes[1:], strict=False)
    return network(
        sizes[0], populations, [connection(a, b, rng.integers(1, 9, (t, s))) for a, b, s, t in pairs]
    )


def convolutional(channels, side, layers):
    """A chain of 3 x 3 convolutions that keep their shape."""
    rng = np.random.default_rng(7)
    shape = (channels, side, side)
    populations, connections = [Population("x", shape, Input())], []
    for i in range(layers):
        made = population(f"conv{i}", "lif", channels * side * side, depth=i + 1)
        populations.append(Population(made.name, shape, made.node, made.depth))
        filters = rng.integers(1, 5, (channels, channels, 3, 3)).astype(np.int8)
        wiring = Conv(filters, shape, (1, 1), (1, 1), (1, 1), 1)
        connections.append(Connection(populations[-2].name, made.name, "current", wiring, delay=1))
    graph = Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))
    verify(graph)
    return graph


def board(chip, model=None, **limits):
    """A chip alone, with another cost model or other limits."""
    made = load_chip(chip)
    changed = {k: getattr(made.limits, k).model_copy(update={"value": v}) for k, v in limits.items()}
    alone = Board.of(made.model_copy(update={"limits": made.limits.model_copy(update=changed)}))
    return alone if model is None else alone.with_cost_model(model)


def wired(graph, on):
    """The network as loads, with stated traffic."""
    return Network(graph, on.chip, traffic(graph, None))


def busiest(network, mapping):
    """Picoseconds of the busiest core, pipeline by pipeline, from the boxes themselves."""
    loads = lambda cut: network.loads(cut, mapping.cutter.fan_outs[cut.population], paced=True)
    return max(
        sum(loads(cut)[key] for cut in each.slices) for each in mapping.bins for key in network.work.keys
    )
