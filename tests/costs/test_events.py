"""Events, counted by hand and by a slow witness."""

from itertools import pairwise

import numpy as np
import pytest
from hand_mapped import board_of_toys, connection, population, program_of
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy.arithmetic import ticks
from astrodeploy.costs.activity import Expected, Recorded
from astrodeploy.costs.events import EVENTS, core_events, count_events
from astrodeploy.costs.placed import SYNAPTIC
from astrodeploy.ir import Input, Population
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool
from astrodeploy.synapses import store


def pair(weight=((1,),)):
    """One input neuron, one neuron, one synapse."""
    size = np.shape(weight)
    return program_of(
        [Population("input", (size[1],), Input()), population("layer", size[0])],
        [connection("input", "layer", weight)],
    )


def closed_loop(size=20, seed=0, target="toy"):
    """Layers of which some are cut in two, on cores of several tiles (and chips)."""
    rng = np.random.default_rng(seed)
    pool = np.zeros((3, size), np.int8)
    pool[np.arange(size) % 3, np.arange(size)] = 1
    half = size // 2
    cores = {3: ["astro", ("out", (0, 2))], 5: [("layer", (half, size))], 15: [("out", (2, 5))]}
    if half:
        cores[0] = [("layer", (0, half))]
    if target != "toy":
        cores = {{3: 3, 5: 16 + 9, 15: 48 + 13, 0: 32}[k]: v for k, v in cores.items()}
    sparse = rng.integers(1, 9, (5, size)) * (rng.random((5, size)) < 0.3)
    return program_of(
        [
            Population("input", (6,), Input()),
            population("layer", size, "modulated_lif"),
            population("astro", 3, "astrocyte", depth=2, period=4),
            population("out", 5, depth=2),
        ],
        [
            connection("input", "layer", rng.integers(1, 9, (size, 6))),
            connection("layer", "out", Sparse.of(sparse.astype(np.int8))),
            connection("layer", "astro", pool, "activity"),
            connection("astro", "layer", pool.T, "modulation", delay=2),
        ],
        cores,
        target,
    )


def convolutions(seed=0):
    """Two convolutions, of which some filters hold zeros, and a dense layer, cut into boxes."""
    rng = np.random.default_rng(seed)
    first = Conv(rng.integers(-9, 9, (3, 2, 3, 3)).astype(np.int8), (2, 7, 8), (1, 1), (0, 1), (1, 1))
    second = Conv(rng.integers(-1, 2, (6, 1, 2, 2)).astype(np.int8), (3, 5, 8), (2, 2), (0, 0), (1, 1), 3)
    cores = {
        0: [("first", (0, 3), (0, 2), (0, 8))],
        2: [("first", (0, 2), (2, 5), (0, 4)), ("first", (0, 2), (2, 5), (4, 8))],
        7: [("first", (2, 3), (2, 5), (0, 8)), ("second", (0, 2), (0, 2), (0, 4))],
        9: [("second", (2, 6), (0, 2), (0, 3))],
        14: [("second", (2, 6), (0, 2), (3, 4)), "out"],
    }
    return program_of(
        [
            Population("input", (2, 7, 8), Input()),
            population("first", (3, 5, 8)),
            population("second", (6, 2, 4), depth=2),
            population("out", 30, depth=3),
        ],
        [
            connection("input", "first", first),
            connection("first", "second", second),
            connection("second", "out", rng.integers(1, 9, (30, 48))),
        ],
        cores,
    )


def spikes_of(program, rows, steps, seed=1, rate=0.2):
    rng = np.random.default_rng(seed)
    return {p.name: (rng.random((rows, steps, p.size)) < rate) * 7 for p in program.network.populations}


# ---- a slow witness: one message at a time -----------------------------------------------------------


def held(shape, cut):
    """The neurons of a box, one by one."""
    inside = lambda place: all(a <= i < b for i, (a, b) in zip(place, cut.ranges, strict=True))
    return [n for n, place in enumerate(np.ndindex(*shape)) if inside(place)]


def stored(wiring, encoding):
    """Which synapses are stored: (targets, sources)."""
    if encoding == "dense":
        return np.ones(wiring.shape, bool)
    if encoding == "convolution":
        wiring = wiring.with_values(np.ones_like(wiring.values))
    return wiring.matrix() != 0


def tile_of(program, core):
    """Column and row of a tile on the board."""
    limits, board = program.chip.limits, program.board
    chip, place = divmod(core, limits.cores.value)
    row, column = divmod(place // limits.cores_per_tile.value, limits.tiles_x.value)
    chip_row, chip_column = divmod(chip, board.arrangement.columns.value)
    return chip_column * limits.tiles_x.value + column, chip_row * limits.tiles_y.value + row


def walk(start, stop):
    """The tiles of a message's way, one after the other: along the row, then along the column."""
    x, y = start
    yield x, y
    while (x, y) != stop:
        if x != stop[0]:
            x += 1 if stop[0] > x else -1
        else:
            y += 1 if stop[1] > y else -1
        yield x, y


def witnessed(program, spikes):
    """Events by name, and what every link carries: (from, to) -> (steps,)."""
    chip, graph = program.chip, program.network
    size = np.array([chip.limits.tiles_x.value, chip.limits.tiles_y.value])
    rows, steps = next(iter(spikes.values())).shape[:2]
    counts = {e: np.zeros((len(program.cores), steps), int) for e in EVENTS}
    reached = {p.name: np.zeros((rows, steps, p.size), bool) for p in graph.populations}
    links = {}
    slices = [(i, s) for i, core in enumerate(program.cores) for s in core.slices]
    neurons = {s: held(graph[s.population].shape, s) for _, s in slices}
    home = {(s.population, n): i for i, s in slices for n in neurons[s]}
    for c in graph.connections:
        encoding = store(c, graph[c.target].shape, chip).encoding
        linked, met = stored(c.wiring, encoding), c.wiring.matrix() != 0
        for row, step, neuron in np.argwhere(spikes[c.source] != 0).tolist():
            for i, cut in (each for each in slices if each[1].population == c.target):
                if not any(linked[n, neuron] for n in neurons[cut]):
                    continue
                hit = [n for n in neurons[cut] if met[n, neuron]]
                sender = home.get((c.source, neuron))
                if sender is None:
                    counts["input_messages"][i, step] += 1
                    first = program.cores[i].index // chip.limits.cores.value * chip.limits.cores.value
                else:
                    counts["messages_sent"][sender, step] += 1
                    first = program.cores[sender].index
                counts["messages_received"][i, step] += 1
                counts[SYNAPTIC[encoding]][i, step] += len(hit)
                way = list(walk(tile_of(program, first), tile_of(program, program.cores[i].index)))
                for a, b in pairwise(way):
                    counts["hops_east_west" if a[1] == b[1] else "hops_north_south"][i, step] += 1
                    if tuple(a // size) != tuple(b // size):
                        counts["chip_crossings"][i, step] += 1
                        a, b = tuple(a // size), ("chip", *(b // size))
                    links.setdefault((a, b), np.zeros(steps))[step] += 1
                if step + c.delay < steps:
                    reached[c.target][row, step + c.delay, hit] = True
    for (name, neuron), i in home.items():
        node = graph[name].node
        counts["spikes"][i] += (spikes[name][:, :, neuron] != 0).sum(0)
        for row in range(rows):
            for step in range(steps):
                tick = node.kind.window is not None and ticks(step, graph[name].depth, node.period)
                counts["window_updates"][i, step] += tick
                active = reached[name][row, step, neuron] or tick
                counts["active_updates" if active else "inactive_updates"][i, step] += 1
    return counts, links


def assert_same(program, spikes):
    counted, (witness, links) = core_events(program, spikes), witnessed(program, spikes)
    for event in EVENTS:
        np.testing.assert_array_equal(counted[event], witness[event], event)
        assert counted[event].dtype == np.int64
    found = count_events(program, Recorded(spikes))
    inner, outer = found.links.loads(found.messages)
    chips = [v for (_, b), v in links.items() if b[0] == "chip"]
    tiles = [v for (_, b), v in links.items() if b[0] != "chip"]
    for loads, expected in ((inner, tiles), (outer, chips)):
        assert sorted(map(tuple, loads[loads.any(1)])) == sorted(map(tuple, expected))
    return witness


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
    assert_same(program, spikes_of(program, rows, steps, seed, rate))


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3])
def test_events_in_boxes_are_those_of_a_slow_witness(rate):
    program = convolutions()
    encodings = [
        store(c, program.network[c.target].shape, program.chip).encoding for c in program.network.connections
    ]
    assert encodings == ["convolution", "convolution", "dense"]
    assert_same(program, spikes_of(program, 2, 5, 3, rate))


@settings(max_examples=5, deadline=None)
@given(st.integers(2, 20), st.integers(0, 99), st.sampled_from([(2, 2), (4, 1), (1, 4)]))
def test_events_on_a_board_are_those_of_a_slow_witness(size, seed, arrangement):
    program = closed_loop(size, seed, board_of_toys(*arrangement))
    witness = assert_same(program, spikes_of(program, 2, 3, seed, 0.5))
    assert witness["chip_crossings"].any()


def test_one_synapse_by_hand():
    spikes = {"input": np.array([[[1], [0], [1], [1]]]), "layer": np.array([[[0], [1], [0], [0]]])}
    events = core_events(pair(), spikes)
    assert events["synaptic_operations_sparse"].tolist() == [[1, 0, 1, 1]]  # in the step in which it is sent
    assert events["messages_received"].tolist() == events["input_messages"].tolist() == [[1, 0, 1, 1]]
    assert events["active_updates"].tolist() == [[0, 1, 0, 1]]  # one step later
    assert events["inactive_updates"].tolist() == [[1, 0, 1, 0]]
    assert events["spikes"].tolist() == [[0, 1, 0, 0]]
    assert events["messages_sent"].tolist() == [[0, 0, 0, 0]]  # nothing listens to the layer
    for none in ("window_updates", "hops_east_west", "chip_crossings", "synaptic_operations_dense"):
        assert not events[none].any()


def test_a_message_goes_to_every_box_once():
    program = program_of(
        [population("a", 2), population("b", 4, depth=2)],
        [connection("a", "b", np.ones((4, 2)))],
        {0: ["a"], 1: [("b", (0, 1)), ("b", (1, 3))], 12: [("b", (3, 4))]},
    )
    events = core_events(program, {"a": np.array([[[1, 0], [1, 1]]]), "b": np.zeros((1, 2, 4))})
    assert events["messages_sent"][0].tolist() == [3, 6]
    assert events["messages_received"].tolist() == [[0, 0], [2, 4], [1, 2]]
    assert events["synaptic_operations_sparse"].tolist() == [[0, 0], [3, 6], [1, 2]]
    assert events["hops_east_west"].tolist() == [[0, 0], [0, 0], [1, 2]]  # core 12: the tile at (1, 1)
    assert events["hops_north_south"].tolist() == [[0, 0], [0, 0], [1, 2]]


def test_shaped_layers_count_like_flat_ones():
    program = closed_loop(12)
    spikes = spikes_of(program, 2, 6)
    shaped = spikes | {"layer": spikes["layer"].reshape(2, 6, 3, 4)}
    for event, counts in core_events(program, spikes).items():
        np.testing.assert_array_equal(counts, core_events(program, shaped)[event])


def test_weights_of_0_are_no_operations_and_reach_no_neuron():
    full = np.ones((30, 12), int)
    full[0, :] = 0  # 29 synapses an axon, each with its distance, still take more bits than 30 without
    full[:, 3] = 0
    spikes = {"input": np.ones((1, 2, 12), int), "layer": np.zeros((1, 2, 30), int)}
    dense, sparse = (core_events(pair(weight), spikes) for weight in (full, np.eye(30, 12)))
    assert dense["synaptic_operations_dense"].tolist() == [[29 * 11] * 2]
    assert dense["messages_received"].tolist() == [[12, 12]]  # each has an axon, whatever its weights
    assert dense["active_updates"].tolist() == [[0, 29]]
    assert sparse["synaptic_operations_sparse"].tolist() == [[12, 12]]
    assert not dense["synaptic_operations_sparse"].any() and not sparse["synaptic_operations_dense"].any()


def wirings(draw):
    """A pattern of any kind and its populations' shapes, of whose weights some are 0."""
    rng, zeros = (
        np.random.default_rng(draw(st.integers(0, 999))),
        draw(st.sampled_from([0.0, 0.2, 0.6, 0.95])),
    )
    weights = lambda *shape: (rng.integers(1, 9, shape) * (rng.random(shape) >= zeros)).astype(np.int8)
    kind = draw(st.sampled_from(["dense", "sparse", "one to one", "convolution", "grouped", "pooled"]))
    side = draw(st.integers(4, 7))
    if kind == "dense":
        return (40,), (30,), Dense(weights(30, 40))
    if kind == "sparse":
        return (40,), (30,), Sparse.of(weights(30, 40) * (rng.random((30, 40)) < 0.3).astype(np.int8))
    if kind == "one to one":
        return (30,), (30,), OneToOne(weights(30))
    if kind == "pooled":
        wiring = pool((3, side, side), (2, 2), (2, 2), (0, 0)).with_values(weights(3, 1, 2, 2))
    else:
        groups, stride = (2 if kind == "grouped" else 1), draw(st.sampled_from([(1, 1), (2, 1)]))
        wiring = Conv(weights(6, 4 // groups, 3, 2), (4, side, side), stride, (1, 0), (1, 1), groups)
    return wiring.input_shape, wiring.output_shape, wiring


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.sampled_from([0.05, 0.5, 1.0]))
def test_operations_are_the_weights_other_than_0_that_messages_meet(data, delay, rate):
    inputs, shape, wiring = wirings(data.draw)
    cut = shape[0] // 2
    boxes = [("layer", (a, b), *((0, n) for n in shape[1:])) for a, b in ((0, cut), (cut, shape[0]))]
    program = program_of(
        [Population("input", inputs, Input()), population("layer", shape, depth=delay)],
        [connection("input", "layer", wiring, delay=delay)],
        {2: boxes[:1], 9: boxes[1:]},
    )
    spikes = spikes_of(program, 2, 6, 5, rate)
    met = (spikes["input"].reshape(2, 6, -1) != 0) @ (wiring.matrix() != 0).T.astype(int)  # by target
    counted = core_events(program, spikes)
    found = sum(counts for event, counts in counted.items() if event.startswith("synaptic_operations"))
    half = cut * int(np.prod(shape[1:]))
    np.testing.assert_array_equal(found, [met[..., :half].sum((0, 2)), met[..., half:].sum((0, 2))])
    arrived = np.zeros_like(met)
    arrived[:, delay:] = met[:, : 6 - delay]
    np.testing.assert_array_equal(counted["active_updates"].sum(0), (arrived > 0).sum((0, 2)))
    expected = totals(program, Expected({"input": 1.0, "layer": 0.0}, 1, 1, program.network))
    total = sum(n for event, n in expected.items() if event.startswith("synaptic_operations"))
    assert total == np.count_nonzero(wiring.matrix())


# ---- expected events ---------------------------------------------------------------------------------


def totals(program, activity):
    """Events of one run."""
    found = dict.fromkeys(EVENTS, 0.0)
    for tally in count_events(program, activity).tallies:
        found[tally.event] += float((tally.counts @ activity.repeats).sum())
    return found


def assert_mean(program, rates, extra=None, rows=400, steps=40):
    expected = totals(program, Expected(rates, 8, 8, program.network))
    rng = np.random.default_rng(5)
    spikes = {n: rng.random((rows, steps, program.network[n].size)) < rate for n, rate in rates.items()}
    counted = core_events(program, spikes | (extra or {}))
    for event in EVENTS:
        mean = counted[event][:, 8:].sum() / rows / (steps - 8) * 8
        assert mean == pytest.approx(expected[event], rel=0.03), event


def test_expected_events_are_the_mean_of_many_runs():
    program = closed_loop(20, 3, board_of_toys())
    clock = np.array([bool(ticks(s, 2, 4)) for s in range(40)])
    astro = np.broadcast_to(clock[None, :, None] * 256, (400, 40, 3))
    assert_mean(program, {"input": 0.3, "layer": 0.1, "out": 0.2}, {"astro": astro})


def test_expected_events_in_boxes_are_the_mean_of_many_runs():
    assert_mean(convolutions(), {"input": 0.1, "first": 0.05, "second": 0.1, "out": 0.2}, rows=100)


def test_alike_steps_are_one_moment():
    program = convolutions()
    rates = {"input": 0.1, "first": 0.05, "second": 0.1, "out": 0.2}
    short, long = Expected(rates, 13, 10, program.network), Expected(rates, 1003, 1000, program.network)
    assert short.repeats.sum() == 13 and long.repeats.sum() == 1003
    assert long.repeats.size == short.repeats.size < 10
    few, many = totals(program, short), totals(program, long)
    for event in ("spikes", "messages_sent", "synaptic_operations_convolution"):
        assert many[event] == pytest.approx(100 * few[event])


def test_a_rate_of_one_is_never_silent():
    program = pair()
    tallies = count_events(program, Expected({"input": 1.0, "layer": 0.0}, 3, 3, program.network)).tallies
    (active,) = [t.counts for t in tallies if t.event == "active_updates"]
    assert np.all(active == 1)
