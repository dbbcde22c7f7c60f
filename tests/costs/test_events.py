"""Events, counted by hand and by a slow witness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy.arithmetic import ticks
from astrodeploy.chip import load_chip
from astrodeploy.compartments import KINDS
from astrodeploy.costs.events import EVENTS, Expected, core_events, count_events
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Dense
from astrodeploy.passes.base import Draft
from astrodeploy.passes.partition import Partition
from astrodeploy.program import Program
from astrodeploy.synapses import store


def population(name, size, kind="lif", depth=1, period=0):
    made = KINDS[kind]
    values = {k: np.full(size, max(0, r.low)) for k, r in made.parameters.items()}
    initial = {k: np.full(size, s.initial) for k, s in made.states.items()}
    return Population(name, (size,), Compartments(made, values, initial, period), depth)


def connection(source, target, weight, port="current", delay=1):
    return Connection(source, target, port, Dense(np.asarray(weight, np.int8)), delay=delay)


def program_of(populations, connections, target="toy"):
    graph = Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))
    draft, _ = Partition().apply(Draft(graph, load_chip(target)))
    return Program(graph, graph, draft.chip, draft.cores, ())


def pair(weight=((1,),), target="toy"):
    """One input neuron, one neuron, one synapse."""
    return program_of(
        [Population("input", (1,), Input()), population("layer", 1)],
        [connection("input", "layer", weight)],
        target,
    )


def closed_loop(size=20, seed=0):
    rng = np.random.default_rng(seed)
    pool = np.zeros((3, size), np.int8)
    pool[np.arange(size) % 3, np.arange(size)] = 1
    return program_of(
        [
            Population("input", (6,), Input()),
            population("layer", size, "modulated_lif"),
            population("astro", 3, "astrocyte", depth=2, period=4),
            population("out", 5, depth=2),
        ],
        [
            connection("input", "layer", rng.integers(1, 9, (size, 6))),
            connection("layer", "out", rng.integers(1, 9, (5, size)) * (rng.random((5, size)) < 0.3)),
            connection("layer", "astro", pool, "activity"),
            connection("astro", "layer", pool.T, "modulation", delay=2),
        ],
    )


def convolutions(seed=0):
    """Two convolutions, of which some filters hold zeros, and a dense layer, cut into boxes."""
    rng = np.random.default_rng(seed)
    first = Conv(rng.integers(-9, 9, (3, 2, 3, 3)).astype(np.int8), (2, 7, 8), (1, 1), (0, 1), (1, 1))
    second = Conv(rng.integers(-1, 2, (6, 1, 2, 2)).astype(np.int8), (3, 5, 8), (2, 2), (0, 0), (1, 1), 3)
    shapes = [(2, 7, 8), (3, 5, 8), (6, 2, 4), (5,)]
    names = ["input", "first", "second", "out"]
    populations = [Population("input", shapes[0], Input())]
    for depth, (name, shape) in enumerate(zip(names[1:], shapes[1:], strict=True), start=1):
        flat = population(name, int(np.prod(shape)), depth=depth)
        populations.append(Population(name, shape, flat.node, depth))
    wirings = [first, second, Dense(rng.integers(-9, 9, (5, 48)).astype(np.int8))]
    made = zip(names, names[1:], wirings, strict=False)
    return program_of(populations, [Connection(a, b, "current", w, delay=1) for a, b, w in made])


def spikes_of(program, rows, steps, seed=1, rate=0.2):
    rng = np.random.default_rng(seed)
    return {p.name: (rng.random((rows, steps, p.size)) < rate) * 7 for p in program.network.populations}


# ---- a slow witness: one message at a time -----------------------------------------------------------


def held(shape, cut):
    """The neurons of a box, one by one."""
    inside = lambda place: all(a <= i < b for i, (a, b) in zip(place, cut.ranges, strict=True))
    return [n for n, place in enumerate(np.ndindex(*shape)) if inside(place)]


def links(wiring, encoding):
    """Which synapses are stored: (targets, sources)."""
    if encoding == "dense":
        return np.ones(wiring.shape, bool)
    if encoding == "convolution":
        wiring = wiring.with_values(np.ones_like(wiring.values))
    return wiring.matrix() != 0


def witnessed(program, spikes):
    chip, graph = load_chip(program.target), program.network
    rows, steps = next(iter(spikes.values())).shape[:2]
    counts = {e: np.zeros((len(program.cores), steps), int) for e in EVENTS}
    reached = {p.name: np.zeros((rows, steps, p.size), bool) for p in graph.populations}
    slices = [(i, s) for i, core in enumerate(program.cores) for s in core.slices]
    neurons = {s: held(graph[s.population].shape, s) for _, s in slices}
    home = {(s.population, n): i for i, s in slices for n in neurons[s]}
    for c in graph.connections:
        linked = links(c.wiring, store(c, graph[c.target].shape, chip).encoding)
        for row, step, neuron in np.argwhere(spikes[c.source] != 0).tolist():
            for i, cut in (each for each in slices if each[1].population == c.target):
                hit = [n for n in neurons[cut] if linked[n, neuron]]
                if not hit:
                    continue
                if (c.source, neuron) in home:
                    counts["messages_sent"][home[c.source, neuron], step] += 1
                arrival = step + c.delay
                if arrival >= steps:
                    continue
                x, y = chip.tile(program.cores[i].index)
                origin = home.get((c.source, neuron))
                x0, y0 = (0, 0) if origin is None else chip.tile(program.cores[origin].index)
                counts["messages_received"][i, arrival] += 1
                counts["synaptic_operations"][i, arrival] += len(hit)
                counts["hops_east_west"][i, arrival] += abs(x - x0)
                counts["hops_north_south"][i, arrival] += abs(y - y0)
                reached[c.target][row, arrival, hit] = True
    for (name, neuron), i in home.items():
        node = graph[name].node
        for row in range(rows):
            for step in range(steps):
                tick = node.kind.window is not None and ticks(step, graph[name].depth, node.period)
                counts["window_updates"][i, step] += tick
                active = reached[name][row, step, neuron] or tick
                counts["active_updates" if active else "inactive_updates"][i, step] += 1
    return counts


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(0, 99),
    st.integers(1, 3),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_events_are_those_of_a_slow_witness(size, seed, rows, steps, rate):
    program = closed_loop(size, seed)
    spikes = spikes_of(program, rows, steps, seed, rate)
    counted, witness = core_events(program, spikes), witnessed(program, spikes)
    for event in EVENTS:
        np.testing.assert_array_equal(counted[event], witness[event], event)
        assert counted[event].dtype == np.int64


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3])
def test_events_in_boxes_are_those_of_a_slow_witness(rate):
    program = convolutions()
    assert len(program.cores) > 5
    encodings = [
        store(c, program.network[c.target].shape, program.chip).encoding for c in program.network.connections
    ]
    assert encodings == ["convolution", "convolution", "dense"]
    spikes = spikes_of(program, 2, 5, 3, rate)
    counted, witness = core_events(program, spikes), witnessed(program, spikes)
    for event in EVENTS:
        np.testing.assert_array_equal(counted[event], witness[event], event)


def test_expected_events_in_boxes_are_the_mean_of_many_runs():
    program = convolutions()
    sources = {p.name: p for p in program.network.populations}
    rates = {"input": 0.1, "first": 0.05, "second": 0.1, "out": 0.2}
    expected = dict.fromkeys(EVENTS, 0.0)
    for tally in count_events(program, Expected(rates, 8, 8, sources)):
        expected[tally.event] += tally.counts.sum()
    rng, rows, steps = np.random.default_rng(5), 100, 40
    spikes = {n: rng.random((rows, steps, sources[n].size)) < rate for n, rate in rates.items()}
    counted = core_events(program, spikes)
    for event in ("synaptic_operations", "messages_received", "active_updates", "hops_east_west"):
        mean = counted[event][:, 8:].sum() / rows / (steps - 8) * 8
        assert mean == pytest.approx(expected[event], rel=0.03), event


def test_one_synapse_by_hand():
    spikes = {"input": np.array([[[1], [0], [1], [1]]]), "layer": np.array([[[0], [1], [0], [0]]])}
    events = core_events(pair(), spikes)
    assert events["synaptic_operations"].tolist() == [[0, 1, 0, 1]]  # the last spike is still under way
    assert events["active_updates"].tolist() == [[0, 1, 0, 1]]
    assert events["inactive_updates"].tolist() == [[1, 0, 1, 0]]
    assert events["messages_received"].tolist() == [[0, 1, 0, 1]]
    assert events["messages_sent"].tolist() == [[0, 0, 0, 0]]  # nothing listens to the layer
    assert events["window_updates"].sum() == events["hops_east_west"].sum() == 0


def test_shaped_layers_count_like_flat_ones():
    program = closed_loop(12)
    spikes = spikes_of(program, 2, 6)
    shaped = spikes | {"layer": spikes["layer"].reshape(2, 6, 3, 4)}
    for event, counts in core_events(program, spikes).items():
        np.testing.assert_array_equal(counts, core_events(program, shaped)[event])


def test_zero_weights_cost_in_dense_only():
    full = np.ones((12, 12), int)
    full[0, :] = 0  # 11 synapses an axon still take more bits with their indices than 12 without
    layers = [Population("input", (12,), Input()), population("layer", 12)]
    spikes = {"input": np.ones((1, 2, 12), int), "layer": np.zeros((1, 2, 12), int)}
    dense = core_events(program_of(layers, [connection("input", "layer", full)]), spikes)
    sparse = core_events(program_of(layers, [connection("input", "layer", np.eye(12))]), spikes)
    assert dense["synaptic_operations"].tolist() == [[0, 144]]
    assert sparse["synaptic_operations"].tolist() == [[0, 12]]


def test_expected_events_are_the_mean_of_many_runs():
    program = closed_loop(20, 3)
    rates = {"input": 0.3, "layer": 0.1, "out": 0.2}
    sources = {p.name: p for p in program.network.populations}
    expected = dict.fromkeys(EVENTS, 0.0)
    for tally in count_events(program, Expected(rates, 8, 8, sources)):
        expected[tally.event] += tally.counts.sum()
    rng, rows, steps = np.random.default_rng(5), 400, 40
    spikes = {n: (rng.random((rows, steps, sources[n].size)) < rate) * 1 for n, rate in rates.items()}
    clock = [bool(ticks(s, 2, 4)) for s in range(steps)]
    spikes["astro"] = np.broadcast_to(np.array(clock)[None, :, None] * 256, (rows, steps, 3))
    counted = core_events(program, spikes)
    for event in (
        "synaptic_operations",
        "messages_received",
        "inactive_updates",
        "window_updates",
        "hops_east_west",
    ):
        mean = counted[event][:, 8:].sum() / rows / (steps - 8) * 8
        assert mean == pytest.approx(expected[event], rel=0.03), event


def test_a_rate_of_one_is_never_silent():
    program = pair()
    sources = {p.name: p for p in program.network.populations}
    tallies = count_events(program, Expected({"input": 1.0, "layer": 0.0}, 3, 3, sources))
    (active,) = [t.counts for t in tallies if t.event == "active_updates"]
    assert active.tolist() == [[1, 1, 1]]
