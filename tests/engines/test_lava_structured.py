"""Lava's own Conv and Sparse say what our wirings say, and all kinds run in Lava as in the other engines."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from float_networks import compiled, cuba, lif
from networks import differences, population, random_kind
from random_wirings import (
    GRADED,
    SPIKES,
    random_conv,
    random_pool,
    random_sparse,
    stimulus,
    structured_job,
    structured_network,
    weights,
    wire,
)

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.engines.fast import fast
from astrodeploy.engines.lava import engine, lava
from astrodeploy.engines.lava.stock import stock_lif, stock_synapses
from astrodeploy.engines.oracle import oracle
from astrodeploy.ir import Connection, Graph, Input, Population, verify
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool

LISTENER = {"du": 4096, "threshold": (1 << 17) - 1}  # its u is what arrives, times 64
WHOLE = {"du": 4096, "dv": 0, "threshold": 40}
STEPS = 9


def listeners(rng, inputs, wirings):
    """Every wiring of an input into a stock LIF of its own, whose u shows what arrives."""
    populations, connections = list(inputs), []
    for i, (source, wiring) in enumerate(wirings):
        target = population(f"p{i}", "lif", wiring.shape[0], **LISTENER)
        populations.append(target)
        connections.append(wire(rng, source, target, "current", wiring, share=3))  # u does not wrap
    graph = Graph(1e-3, tuple(populations), tuple(replace(c, lag=0) for c in connections), ("p0",))
    verify(graph)
    each = structured_job(rng, graph, rows=2, steps=STEPS)
    return replace(each, reset_every=0, record=frozenset((c.target, "u") for c in connections))


def arrivals(each, connection):
    """What numpy makes of a connection's expanded matrix: (rows, steps, targets)."""
    sent = each.spikes[connection.source].astype(object)
    totals = sent @ connection.wiring.matrix().T.astype(object)
    factor = 2 ** abs(connection.exponent)
    totals = totals * factor if connection.exponent >= 0 else totals // factor
    late = np.zeros_like(totals)
    late[:, connection.delay :] = totals[:, : STEPS - connection.delay]
    return late


def heard(each):
    """How many connections each of Lava's processes carried, after checking all that arrived against numpy."""
    network = each.program.network
    recorded = lava(each)
    assert all(stock_lif(network[c.target], network, STEPS) for c in network.connections)
    for connection in network.connections:
        expected = arrivals(each, connection)
        assert np.any(expected != 0)
        assert np.array_equal(recorded.states[connection.target, "u"], expected << ALIGNMENT), connection
    return Counter(stock_synapses(c, network[c.source]) for c in network.connections)


class TestConv:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_is_our_convolution_whatever_its_settings(self, seed):
        rng = np.random.default_rng(seed)
        image = Population("x", (4, 6, 7), SPIKES)
        line = Population("y", (6, 19), GRADED)
        wirings = [(source, random_conv(rng, source.shape, largest=500)) for source in [image, line] * 6]
        wirings += [(source, random_pool(rng, source.shape)) for source in [image, line]]
        assert heard(listeners(rng, [image, line], wirings)) == {"conv": 14}

    def test_of_more_groups_and_strides_than_8_bits_hold(self):
        rng = np.random.default_rng(5)
        many = Population("x", (260, 2, 2), SPIKES)
        long = Population("y", (1, 600), SPIKES)
        wirings = [
            (many, Conv(weights(rng, (260, 1, 2, 1)), many.shape, (1, 1), (0, 0), (1, 1), 260)),
            (long, Conv(weights(rng, (2, 1, 3)), long.shape, (140,), (130,), (150,))),
            (long, Conv(weights(rng, (1, 1, 300)), long.shape, (1,), (0,), (1,))),
        ]
        assert heard(listeners(rng, [many, long], wirings)) == {"conv": 3}

    def test_leaves_what_its_24_bits_would_wrap_to_sparse(self):
        rng = np.random.default_rng(6)
        wide = Population("x", (3, 5, 5), Input(-(1 << 20), 1 << 20))
        conv = Conv(np.full((2, 3, 3, 3), 127, np.int8), wide.shape, (1, 1), (1, 1), (1, 1))
        edge = Conv(np.array([7, -7, 3], np.int8).reshape(3, 1, 1, 1), wide.shape, (1, 1), (0, 0), (1, 1), 3)
        assert heard(listeners(rng, [wide], [(wide, conv), (wide, edge)])) == {"sparse": 1, "conv": 1}

    def test_the_edge_of_24_bits(self):
        conv = lambda w: Conv(np.array(w, np.int8).reshape(1, 1, 1), (1, 3), (1,), (0,), (1,))
        source = Population("x", (1, 3), Input(-(1 << 23) // 64, ((1 << 23) - 1) // 64))
        process = lambda w: stock_synapses(Connection("x", "p", "current", conv(w)), source)
        assert (process(64), process(65), process(-64)) == ("conv", "sparse", "sparse")


class TestSparse:
    def test_is_our_list_of_synapses(self):
        rng = np.random.default_rng(2)
        x, y = Population("x", (40,), SPIKES), Population("y", (50,), GRADED)
        wide = Population("z", (30,), Input(-(1 << 30), 1 << 30))
        wirings = [(s, random_sparse(rng, n, s.size)) for n in (1, 20, 70) for s in (x, y, wide)]
        wirings += [(s, OneToOne(weights(rng, (s.size,)))) for s in (x, y, wide)]
        wirings += [(s, Dense(weights(rng, (9, s.size)))) for s in (x, y, wide)]
        each = listeners(rng, [x, y, wide], wirings)
        assert {c.delay for c in each.program.network.connections} == {1, 2, 5}
        assert heard(each) == {"sparse": 12, "dense": 3}

    def test_the_longest_delay_and_a_list_without_synapses(self):
        rng = np.random.default_rng(3)
        x = Population("x", (5,), SPIKES)
        targets = [population(f"p{i}", "lif", 4, du=900, dv=30, threshold=9, depth=i) for i in range(3)]
        connections = (
            Connection("x", "p0", "current", random_sparse(rng, 4, 5), 2, 0, 64),
            Connection("x", "p1", "current", Sparse.of(np.zeros((4, 5), np.int8)), 0, 0, 3),
            Connection("x", "p2", "current", random_sparse(rng, 4, 5), 0, 2, 7),
        )
        graph = Graph(1e-3, (x, *targets), connections, ("p0",))
        each = structured_job(rng, graph, rows=2, steps=70)
        assert differences(oracle(each), lava(each))[0] == 0


VARIANTS = [
    Variant(gain, reset, comparison, refractory)
    for gain in (False, True)
    for reset in ("value", "subtract", "none")
    for comparison in (">", ">=")
    for refractory in (False, True)
] + [Variant(gain=gain, sends=sends) for gain in (False, True) for sends in ("membrane", "rectified")]


def agree(seed, kinds, engines=(lava,)):
    """Whether engines agree with the oracle on a random network that was alive."""
    rng = np.random.default_rng(seed)
    graph = structured_network(rng, kinds)
    each = structured_job(rng, graph)
    expected = oracle(each)
    assert sum(bool(np.any(expected.spikes[p.name])) for p in graph.populations) > len(kinds) // 2
    found = [differences(expected, run(each)) for run in engines]
    assert all(compared > 1000 for _, compared in found)
    return all(different == 0 for different, _ in found)


class TestKinds:
    @pytest.mark.parametrize("seed", range(4))
    def test_every_variant_on_every_wiring(self, seed):
        assert agree(seed, [neuron(v) for v in VARIANTS[seed::4]])

    def test_random_programs_on_every_wiring(self):
        assert agree(9, [random_kind(40), random_kind(41), random_kind(42), *KINDS.values()])

    def test_fast_agrees_too(self):
        kinds = [neuron(Variant(reset="subtract", comparison=">=", refractory=True)), KINDS["lif"]]
        assert agree(10, kinds, [fast, lava])

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(100, 112))
    def test_many_more(self, seed):
        rng = np.random.default_rng(seed)
        kinds = [neuron(v) for v in rng.choice(VARIANTS, 6, replace=False)]
        engines = [fast, lava] if seed % 4 == 0 else [lava]
        assert agree(seed, [*kinds, random_kind(seed), *KINDS.values()], engines)


class TestProgram:
    """A compiled convolutional network with two inputs, whose membranes are read out, on stock processes alone."""

    def program(self):
        rng = np.random.default_rng(8)
        first = Conv(rng.normal(0.8, 1.0, (4, 2, 3, 3)), (2, 9, 8), (2, 1), (1, 1), (1, 1))
        second = Conv(rng.normal(1.5, 2.0, (6, 2, 3, 2)), first.output_shape, (1, 1), (0, 0), (1, 1), 2)
        pooled = pool(second.output_shape, (3, 3), (3, 3), (0, 0), 5.0)
        read_out = Dense(rng.normal(0, 0.3, (3, pooled.shape[0])))
        populations = (
            Population("x", (2, 9, 8), Input()),
            Population("level", (3,), Input(-20, 20, 10.0)),
            Population("a", first.output_shape, lif(bias=0.1)),
            Population("b", second.output_shape, cuba()),
            Population("c", pooled.output_shape, lif()),
            Population("out", (3,), lif(sends="membrane")),
        )
        wirings = [("x", "a", first), ("a", "b", second), ("b", "c", pooled), ("c", "out", read_out)]
        wirings.append(("level", "out", OneToOne(np.array([1.0, -0.7, 0.3]))))
        connections = tuple(Connection(source, target, "current", w) for source, target, w in wirings)
        return compiled(Graph(1e-3, populations, connections, ("out",), "last"), reset_every=11)

    def test_runs_on_stock_processes_and_reads_the_same_membranes(self):
        program = self.program()
        network = program.network
        assert all(stock_lif(p, network, 25) for p in network.populations if not p.is_input)
        rng = np.random.default_rng(0)
        x = {"x": rng.random((2, 25, 2, 9, 8)) < 0.3, "level": rng.integers(-20, 21, (2, 25, 3)) / 10}
        ours, theirs = (program.run(x, engine=name, probes=("c.u",)) for name in ("oracle", "lava"))
        assert all(np.any(ours.spikes[name]) for name in ("a", "b", "c"))
        assert all(np.array_equal(ours.spikes[name], theirs.spikes[name]) for name in program.layers)
        assert all(np.array_equal(array, theirs.states[key]) for key, array in ours.states.items())
        assert set(ours.states) == set(theirs.states) == {("c", "u"), ("out", "v")}
        assert np.array_equal(ours.outputs, theirs.outputs)
        assert np.any(ours.outputs != 0)


class TestAtLeast:
    """A LIF that fires at its threshold, where v takes whole multiples of 64 only."""

    def graph(self, weight=1, **parameters):
        rng = np.random.default_rng(1)
        each = population("p", neuron(Variant(comparison=">=")), 5, **(WHOLE | parameters))
        values = rng.integers(-4, 8, (5, 3)) * weight
        wired = Connection("x", "p", "current", Dense(values.astype(np.int8)), 0, 0, 1)
        return Graph(1e-3, (Population("x", (3,), SPIKES), each), (wired,), ("p",))

    def test_runs_on_the_stock_lif(self):
        graph = self.graph(bias=64, initial={"v": 640})
        parameters = stock_lif(graph["p"], graph, steps=100)
        assert parameters is not None
        assert set(parameters["threshold"]) == {39}
        each = structured_job(np.random.default_rng(0), graph, rows=3, steps=60)
        expected = oracle(each)
        assert np.any(expected.states["p", "v"] == 39 << ALIGNMENT)  # just below
        assert np.count_nonzero(expected.spikes["p"]) > 20
        assert differences(expected, lava(each))[0] == 0

    @pytest.mark.parametrize(
        "parameters",
        [
            {"du": 4095},
            {"dv": 1},
            {"bias": 32},
            {"threshold": 0},
            {"initial": {"v": 1}},
            {"bias": -524_288},
            {"weight": 16},
        ],
    )
    def test_leaves_what_is_not_whole_or_may_reach_the_lower_limit(self, parameters):
        graph = self.graph(**parameters)
        steps = 200_000 if "weight" in parameters else 100
        assert stock_lif(graph["p"], graph, steps) is None


class TestLimits:
    def test_a_large_convolution_has_time(self):
        conv = Conv(np.ones((24, 3, 3, 3), np.int8), (3, 66, 200), (2, 2), (0, 0), (1, 1))
        target = population("p", "lif", conv.shape[0], **LISTENER)
        wired = Connection("x", "p", "current", conv, 0, 0, 1)
        graph = Graph(1e-3, (Population("x", (3, 66, 200), SPIKES), target), (wired,), ("p",))
        each = structured_job(np.random.default_rng(0), graph, rows=1, steps=100)
        # 0.06 s a step, measured
        assert 10 * 0.06 * 100 < engine.time_limit(each) - engine.START_SECONDS < 100 * 0.06 * 100


def test_stimuli_stay_within_their_range():
    rng = np.random.default_rng(0)
    sent = stimulus(rng, GRADED, (3, 50, 20))
    assert (sent.min(), sent.max()) >= (-300, 0)
    assert sent.max() > 900
