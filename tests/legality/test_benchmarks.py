"""Larger networks than every test's: the ones that mappings are compared on, legal for the independent checker."""

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif
from legality.checker import violations

import astrodeploy as ad
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv


def dense_network(inputs, *sizes):
    rng, sources = np.random.default_rng(0), (inputs, *sizes[:-1])
    names = ["x", *(f"l{i}" for i in range(len(sizes)))]
    layers = zip(names[:-1], names[1:], sources, sizes, strict=True)
    edges = [edge(a, b, rng.normal(0, 1 / np.sqrt(m), (n, m))) for a, b, m, n in layers]
    return graph(inputs, [Population(b, (n,), lif()) for b, n in zip(names[1:], sizes, strict=True)], edges)


@pytest.mark.parametrize(
    ("target", "pack", "most"),
    [("loihi1", "fewest", 12), ("loihi1", "fastest", 128), ("kapoho-bay", "fastest", 256)],
)
def test_the_dense_benchmark(target, pack, most, tmp_path):
    program = ad.compile(dense_network(784, 1024, 512, 10), target, pack=pack)
    assert len(program.cores) <= most
    assert violations(program.save(tmp_path / "program")) == []


@pytest.mark.slow
@pytest.mark.parametrize("pack", ["fewest", "fastest"])
def test_a_network_of_the_size_of_pilotnet(pack, tmp_path):
    rng = np.random.default_rng(0)
    populations, connections = [Population("x", (3, 66, 200), Input())], []
    strides = [(24, (2, 2), (0, 0)), (36, (2, 2), (0, 0)), (48, (2, 2), (0, 0)), (64, (2, 1), (1, 0)), (64, (1, 1), (0, 0))]  # fmt: skip
    for i, (outputs, stride, padding) in enumerate(strides):
        source = populations[-1]
        conv = Conv(rng.normal(0, 1, (outputs, source.shape[0], 3, 3)), source.shape, stride, padding, (1, 1))
        populations.append(Population(f"conv{i}", conv.output_shape, lif()))
        connections.append(Connection(source.name, f"conv{i}", "current", conv))
    for i, n in enumerate((100, 50, 10, 1)):
        source = populations[-1]
        populations.append(Population(f"fc{i}", (n,), lif()))
        connections.append(edge(source.name, f"fc{i}", rng.normal(0, 0.1, (n, source.size))))
    program = ad.compile(Graph(DT, tuple(populations), tuple(connections), ("fc3",)), "loihi2", pack=pack)
    assert violations(program.save(tmp_path / "program")) == []
