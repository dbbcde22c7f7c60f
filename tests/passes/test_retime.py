"""retime: depths are longest paths, every edge takes a step, unequal paths meet, loops keep their delay."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif, random_closed_loop
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import astrodeploy as ad
from astrodeploy.chip import load_target
from astrodeploy.compartments import KINDS
from astrodeploy.engines.reference import simulate
from astrodeploy.errors import DoesNotFit, UnsupportedError
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.nodes import Constant
from astrodeploy.ir.wiring import Dense, OneToOne, Sparse
from astrodeploy.passes.base import Draft
from astrodeploy.passes.retime import Retime


def retimed(each):
    draft, notes = Retime().apply(Draft(each, load_target("loihi2")))
    assert draft.reference is each
    return draft.graph, notes


def network(size, wires, lags=None):
    """Populations p0.. of two neurons, wired by (source, target); -1 is the input."""
    name = lambda i: "x" if i < 0 else f"p{i}"
    lags = lags or [0] * len(wires)
    edges = [edge(name(s), name(t), np.eye(2), lag=lag) for (s, t), lag in zip(wires, lags, strict=True)]
    return graph(2, [Population(f"p{i}", (2,), lif()) for i in range(size)], edges)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_depths_are_longest_paths(data):
    size = data.draw(st.integers(1, 7))
    pairs = [(s, t) for t in range(size) for s in range(-1, t)]
    wires = data.draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    lags = data.draw(st.lists(st.integers(0, 3), min_size=len(wires), max_size=len(wires)))
    made, _ = retimed(network(size, wires, lags))
    paths = dict.fromkeys(range(-1, size), 0)  # the longest, an edge of lag l counting 1 - l, never below 0
    for target in range(size):
        arriving = [paths[s] + 1 - lag for (s, t), lag in zip(wires, lags, strict=True) if t == target]
        paths[target] = max([0, *arriving])
    assert [p.depth for p in made.populations] == list(paths.values())
    for c in made.connections:
        assert c.delay >= 1
        assert made[c.source].depth + c.delay == made[c.target].depth + c.lag


@pytest.mark.parametrize("seed", range(4))
def test_loops_keep_their_delays(seed):
    original = random_closed_loop(np.random.default_rng(seed))
    made, _ = retimed(original)
    assert min(c.delay for c in made.connections) == 1
    delay = {(c.source, c.target): c.delay for c in made.connections}
    lag = {(c.source, c.target): c.lag for c in original.connections}
    for loop in ([("a", "astro"), ("astro", "a")], [("b", "b")], [("a", "b"), ("b", "a")]):
        assert sum(delay[each] for each in loop) == sum(lag[each] for each in loop)


@pytest.mark.parametrize(
    ("wires", "lags", "loop"),
    [
        ([(-1, 0), (0, 0)], [0, 0], "p0 -> p0"),
        ([(-1, 0), (0, 1), (1, 0)], [0, 0, 0], "(p0 -> p1 -> p0|p1 -> p0 -> p1)"),
        ([(-1, 0), (0, 1), (1, 0)], [0, 0, 1], "(p0 -> p1 -> p0|p1 -> p0 -> p1)"),
        ([(-1, 0), (0, 1), (1, 2), (2, 1), (2, 3)], [0, 0, 1, 0, 0], "(p1 -> p2 -> p1|p2 -> p1 -> p2)"),
        ([(-1, 0), (0, 1), (1, 2), (2, 0), (2, 3)], [0, 0, 2, 0, 0], "p[012] -> p[012] -> p[012] -> p[012]"),
    ],
)
def test_loops_of_less_delay_than_edges_are_refused_by_name(wires, lags, loop):
    size = max(max(wire) for wire in wires) + 1
    with pytest.raises(
        UnsupportedError, match=f"the loop {loop} takes fewer steps in the model than it has edges"
    ):
        ad.compile(network(size, wires, lags))


def test_a_loop_of_enough_delay_is_taken():
    made, _ = retimed(network(2, [(-1, 0), (0, 1), (1, 0)], [0, 0, 2]))
    assert [c.delay for c in made.connections] == [1, 1, 1]


def test_what_is_reported():
    _made, notes = retimed(network(3, [(-1, 0), (0, 1), (-1, 1), (1, 2), (0, 2)]))
    assert [(n.subject, n.text, dict(n.values)) for n in notes] == [
        ("p2", "answers 3 steps after its input", {"depth": 3}),
        ("x -> p1.current", "waits 2 steps, so that paths of unequal length meet", {"delay": 2}),
        ("p0 -> p2.current", "waits 2 steps, so that paths of unequal length meet", {"delay": 2}),
    ]
    shallow = replace(network(2, [(-1, 0), (0, 1)]), outputs=("p0",))
    assert retimed(shallow)[1][0].text == "answers 1 steps after its input"


def test_spikes_of_a_skip_connection_meet_on_the_chip():
    """b needs both paths in the same step; with tau = dt nothing is remembered, so that 0.7 + 0.7 > 1 alone."""
    memoryless = lif(tau=DT)
    populations = [Population(name, (3,), memoryless) for name in ("a", "b")]
    edges = [edge("x", "a", np.eye(3) * 2), edge("x", "b", np.eye(3) * 0.7), edge("a", "b", np.eye(3) * 0.7)]
    made = graph(3, populations, edges)
    program = ad.compile(made)
    x = (np.random.default_rng(0).random((2, 40, 3)) < 0.3).astype(np.uint8)
    trace = program.run(x, engine="oracle")
    assert (program.network["a"].depth, program.network["b"].depth, program.depth) == (1, 2, 2)
    float_spikes = simulate(made, x).spikes
    for name, depth in (("a", 1), ("b", 2)):
        answers = trace.spikes[name][:, depth : depth + 40]
        assert np.array_equal(answers, x)
        assert np.array_equal(answers, float_spikes[name])


def test_neurons_that_always_fire_start_when_they_are_needed():
    """Their messages wait one step, whatever the depth of their target; a lag of the model is kept."""
    ones = (Population("one", (1,), Constant()), Population("two", (1,), Constant()))
    made = network(3, [(-1, 0), (0, 1), (1, 2)])
    edges = (edge("one", "p2", np.ones((2, 1))), edge("two", "p0", np.ones((2, 1)), lag=2))
    made = replace(made, populations=(*made.populations, *ones), connections=(*made.connections, *edges))
    result, notes = retimed(made)
    assert [result[name].depth for name in ("p0", "p2", "one", "two")] == [1, 3, 2, 2]
    assert [c.delay for c in result.connections] == [1, 1, 1, 1, 1]
    assert [n.subject for n in notes] == ["p2"]


def test_one_that_several_need_starts_with_the_first():
    made = network(3, [(-1, 0), (0, 1), (1, 2)])
    edges = tuple(edge("one", name, np.ones((2, 1))) for name in ("p2", "p1"))
    one = Population("one", (1,), Constant())
    made = replace(made, populations=(*made.populations, one), connections=(*made.connections, *edges))
    result, _ = retimed(made)
    assert result["one"].depth == 1
    assert [c.delay for c in result.connections[-2:]] == [2, 1]


def test_several_inputs_meet():
    """Both inputs are at depth 0; the one that is near waits for the one that is far."""
    made = network(2, [(-1, 0), (0, 1)])
    made = replace(
        made,
        populations=(*made.populations, Population("y", (2,), Input())),
        connections=(*made.connections, edge("y", "p1", np.eye(2))),
    )
    result, _ = retimed(made)
    assert [result[name].depth for name in ("x", "y", "p0", "p1")] == [0, 0, 1, 2]
    assert [c.delay for c in result.connections] == [1, 1, 2]


# ---- loops that may take longer ----------------------------------------------------------------------------


def allowed(each):
    draft, notes = Retime().apply(Draft(each, load_target("loihi2"), allow_delay=True))
    return draft, [(n.subject, n.text) for n in notes if "closes the loop" in n.text]


@pytest.mark.parametrize(
    ("wires", "lags", "longer"),
    [
        ([(-1, 0), (0, 0)], [0, 0], {("p0", "p0"): 1}),
        ([(-1, 0), (0, 1), (1, 0)], [0, 0, 1], {("p1", "p0"): 2}),
        ([(-1, 0), (0, 1), (1, 2), (2, 0)], [0, 0, 0, 1], {("p2", "p0"): 3}),
        ([(-1, 0), (0, 1), (1, 0), (1, 2), (2, 0)], [0, 0, 1, 0, 1], {("p1", "p0"): 2, ("p2", "p0"): 3}),
        ([(-1, 0), (0, 1), (1, 0)], [0, 0, 2], {}),
    ],
)
def test_loops_get_the_longer_delay_where_that_is_allowed(wires, lags, longer):
    size = max(max(wire) for wire in wires) + 1
    made = network(size, wires, lags)
    draft, said = allowed(made)
    changed = {
        (new.source, new.target): new.lag
        for old, new in zip(made.connections, draft.reference.connections, strict=True)
        if old.lag != new.lag
    }
    assert changed == longer
    assert sorted(subject for subject, _ in said) == sorted(f"{s} -> {t}" for s, t in longer)
    assert [c.lag for c in draft.graph.connections] == [c.lag for c in draft.reference.connections]
    assert min(c.delay for c in draft.graph.connections) == 1


def test_what_is_said_about_a_longer_loop():
    _, said = allowed(network(2, [(-1, 0), (0, 1), (1, 0)], [0, 0, 1]))
    text = "closes the loop p1 -> p0 -> p1: it takes 2 steps instead of 1 (--allow-delay)"
    other = "closes the loop p0 -> p1 -> p0: it takes 2 steps instead of 1 (--allow-delay)"
    assert said in ([("p1 -> p0", text)], [("p1 -> p0", other)])


def test_a_longer_lag_that_is_taken_already_adds_up():
    made = network(2, [(-1, 0), (0, 1), (1, 0), (1, 0)], [0, 0, 1, 2])
    draft, _ = allowed(made)
    (back,) = draft.graph.out_of("p1")
    assert (back.lag, back.delay) == (2, 1)
    assert np.array_equal(back.weight, 2 * np.eye(2))


def test_a_program_with_a_longer_loop_means_that_loop():
    """The float network that the Program is held against has the longer delay too."""
    memoryless = lif(tau=DT)
    populations = [Population(name, (3,), memoryless) for name in ("a", "b")]
    edges = [
        edge("x", "a", np.eye(3) * 2),
        edge("a", "b", np.eye(3) * 2),
        edge("b", "a", -4 * np.eye(3), lag=1),
    ]
    made = graph(3, populations, edges)
    with pytest.raises(UnsupportedError, match="allow the longer one with --allow-delay"):
        ad.compile(made)
    program = ad.compile(made, allow_delay=True)
    assert [c.lag for c in program.reference.connections if c.source == "b"] == [2]
    x = (np.random.default_rng(0).random((2, 40, 3)) < 0.6).astype(np.uint8)
    fast, in_float = program.run(x), program.run(x, engine="reference")
    for name in ("a", "b"):
        assert fast.spikes[name].any()
        assert np.array_equal(fast.spikes[name], in_float.spikes[name])


# ---- networks of integers --------------------------------------------------------------------------------


def repeaters(size, wires, delays, lags):
    """Integer neurons p0.. that fire at every spike, wired by (source, target); -1 is the input."""
    name = lambda i: "x" if i < 0 else f"p{i}"
    settings = {"threshold": 10, "du": 4096, "dv": 4096, "bias": 0}
    parameters = {key: np.full(1, value) for key, value in settings.items()}
    rest = {key: np.full(1, state.initial) for key, state in KINDS["lif"].states.items()}
    node = Compartments(KINDS["lif"], parameters, rest)
    populations = [Population("x", (1,), Input()), *(Population(f"p{i}", (1,), node) for i in range(size))]
    connections = [
        Connection(name(s), name(t), "current", OneToOne(np.full(1, 64, np.int8)), lag=lag, delay=delay)
        for (s, t), delay, lag in zip(wires, delays, lags, strict=True)
    ]
    return Graph(DT, tuple(populations), tuple(connections), (f"p{size - 1}",))


def arrivals(size, wires, steps):
    """The step in which every neuron fires first, where a wire takes so many steps."""
    first = {-1: 0}
    for target in range(size):
        arriving = [first[s] + n for (s, t), n in zip(wires, steps, strict=True) if t == target]
        first[target] = min(arriving)
    return [first[i] for i in range(size)]


@st.composite
def trees(draw):
    """A network in which every neuron is reached."""
    size = draw(st.integers(1, 5))
    pairs = [(s, t) for t in range(size) for s in range(-1, t)]
    wires = [(draw(st.integers(-1, t - 1)), t) for t in range(size)]
    wires = list(dict.fromkeys([*wires, *draw(st.lists(st.sampled_from(pairs), max_size=4))]))
    number = lambda low, high: draw(
        st.lists(st.integers(low, high), min_size=len(wires), max_size=len(wires))
    )
    return size, wires, number(1, 9), number(0, 4)


@settings(max_examples=40, deadline=None)
@given(trees(), st.sampled_from(["loihi1", "loihi2"]))
def test_stated_delays_of_integers_are_what_a_spike_takes(tree, chip):
    size, wires, delays, lags = tree
    stated = any(delay > 1 for delay in delays)
    program = ad.compile(repeaters(size, wires, delays, lags), chip)
    x = np.zeros((1, 60, 1), np.int8)
    x[0, 3] = 1
    spikes = program.run(x).spikes
    taken = [int(spikes[f"p{i}"][0, :, 0].argmax()) - 3 for i in range(size)]
    longer = [max(delay, lag) for delay, lag in zip(delays, lags, strict=True)]
    if stated:
        assert taken == arrivals(size, wires, longer)
        assert {(c.source, c.target): c.delay for c in program.network.connections} == {
            ("x" if s < 0 else f"p{s}", f"p{t}"): n for (s, t), n in zip(wires, longer, strict=True)
        }
    depths = [program.network[f"p{i}"].depth for i in range(size)]
    assert [n - d for n, d in zip(taken, depths, strict=True)] == arrivals(
        size, wires, longer if stated else lags
    )
    told = [n.text for report in program.passes for n in report.notes if "its shorter delay" in n.text]
    assert len(told) == sum(lag > delay > 1 for delay, lag in zip(delays, lags, strict=True))


def test_a_network_that_is_timed_already_stays_as_it_is():
    once = ad.compile(
        repeaters(4, [(-1, 0), (0, 1), (1, 2), (-1, 2), (2, 3), (3, 1)], [1] * 6, [0, 0, 0, 0, 1, 4])
    )
    again = ad.compile(once.network)
    assert max(c.delay for c in once.network.connections) > 1
    assert again.network.text() == once.network.text()


def test_a_delay_beyond_the_chips_is_refused_by_name():
    with pytest.raises(DoesNotFit, match="x -> p0.current.* has a delay of 70 steps, loihi2 allows 63"):
        ad.compile(repeaters(1, [(-1, 0)], [70], [0]))


def twice(one, other, first=(2, 0), second=(2, 1), exponents=(0, 0)):
    """An integer network of which the input reaches one population twice: weights, (delay, lag) and exponents."""
    kind, size = KINDS["lif"], one.shape[0]
    values = {"du": 4096, "dv": 410, "threshold": 20, "bias": 0}
    node = Compartments(
        kind=kind,
        parameters={k: np.full(size, v) for k, v in values.items()},
        initial={k: np.zeros(size, np.int64) for k in kind.states},
    )
    connections = [
        Connection("x", "p", "current", wiring, exponent, lag=lag, delay=delay)
        for wiring, (delay, lag), exponent in zip((one, other), (first, second), exponents, strict=True)
    ]
    populations = (Population("x", (one.shape[1],), Input()), Population("p", (size,), node))
    return Graph(DT, populations, tuple(connections), ("p",))


@pytest.mark.parametrize("pattern", [Dense, lambda w: Sparse.of(csr_array(w))], ids=["dense", "sparse"])
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_connections_that_take_as_long_are_one_of_the_sum_of_their_weights(pattern, data):
    seed = data.draw(st.integers(0, 1 << 30))
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-128, 128, (2, 3, 4))
    b = np.clip(b, -128 - np.minimum(a, 0), 127 - np.maximum(a, 0)).astype(np.int8)
    a = a.astype(np.int8)
    draft, notes = Retime().apply(Draft(twice(pattern(a), pattern(b)), load_target("loihi2")))
    (joined,) = draft.graph.connections
    np.testing.assert_array_equal(np.asarray(joined.wiring.matrix()), a.astype(int) + b)
    assert joined.wiring.values.dtype == np.int8
    assert any("stands twice" in note.text for note in notes)


def test_connections_that_take_as_long_send_what_their_sum_sends():
    rng = np.random.default_rng(3)
    a, b = rng.integers(-40, 60, (2, 3, 4)).astype(np.int8)
    x = (rng.random((2, 30, 4)) < 0.4).astype(np.int64)
    both = ad.compile(twice(Dense(a), Dense(b)), "loihi2").run(x).spikes["p"]
    apart = twice(Dense(a + b), Dense(a))
    one = ad.compile(replace(apart, connections=apart.connections[:1]), "loihi2").run(x).spikes["p"]
    assert both.sum() > 0
    np.testing.assert_array_equal(both, one)


def test_sums_of_weights_that_do_not_fit_are_refused_by_name():
    wide = Dense(np.full((2, 2), 100, np.int8))
    with pytest.raises(UnsupportedError, match=r"stands twice .* add up to 0..200, of which -128..127 fit"):
        ad.compile(twice(wide, wide), "loihi2")
    with pytest.raises(UnsupportedError, match="exponents 0 and 1: give both the same exponent"):
        ad.compile(twice(wide, wide, exponents=(0, 1)), "loihi2")
