"""The float reference: by hand, against Norse, against a direct loop of the closed loop."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from float_networks import (
    DT,
    astrocyte,
    compiled,
    cuba,
    edge,
    gain_control,
    graph,
    job,
    lif,
    random_closed_loop,
    varied,
)

from astrodeploy.engines.recording import Job
from astrodeploy.engines.reference import evaluation_order, reference, simulate
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.ir import CubaLIF, Graph, Input, Population
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.nodes import COMPARISONS, RESETS, Constant


def layer(node, weight):
    """One population `n` behind the input."""
    weight = np.asarray(weight, np.float64)
    return graph(weight.shape[1], [Population("n", (len(weight),), node)], [edge("x", "n", weight)])


def everything(*names):
    return frozenset((n, s) for n in names for s in ("v", "u", "gain", "count", "trace", "log_gain"))


def test_lif_by_hand():
    node = lif(tau=2 * DT, r=2.0, v_leak=0.25, v_threshold=1.0, v_reset=-0.5, bias=0.125)
    spikes = np.array([1, 0, 1, 1]).reshape(1, 4, 1)
    found = simulate(layer(node, [[0.5]]), spikes, record=everything("n"))
    # v: 0.25 -> .25+.5(.25-.25+2*.625)=.875 -> .875+.5(-.625+.25)=.6875 -> .6875+.5(-.4375+1.25)=1.09375: spike
    # -> -0.5 -> -.5+.5(.75+1.25)=.5
    assert found.spikes["n"].ravel().tolist() == [0, 0, 1, 0]
    assert found.states["n", "v"].ravel().tolist() == [1.375, 1.1875, 0.0, 1.0]
    assert found.states["n", "u"].ravel().tolist() == [0.5, 0.0, 0.5, 0.5]


def test_the_threshold_itself_is_no_spike():
    node = lif(tau=DT, v_threshold=1.0)
    assert not simulate(layer(node, [[1.0]]), np.ones((1, 3, 1))).spikes["n"].any()


def test_cuba_lif_by_hand():
    node = cuba(tau=2 * DT, tau_syn=4 * DT, w_in=4.0, v_threshold=0.9)
    found = simulate(layer(node, [[1.0]]), np.array([1, 0, 1]).reshape(1, 3, 1), record=everything("n"))
    # i: 1 -> .75 -> 1.5625;  v: .5 -> .5+.5(-.5+.75)=.625 -> .625+.5(-.625+1.5625)=1.09375: spike
    assert found.states["n", "v"].ravel().tolist() == [0.5, 0.625, 0.0]
    assert found.states["n", "u"].ravel().tolist() == [0.5, 0.375, 0.78125]
    assert found.spikes["n"].ravel().tolist() == [0, 0, 1]


@pytest.mark.parametrize("cell", ["LIFBoxCell", "LIFCell"])
def test_norse_spikes_in_the_same_steps(cell):
    import norse.torch as norse
    import torch

    rng = np.random.default_rng(3)
    weight, spikes = rng.normal(0.1, 0.5, (7, 9)), rng.random((4, 80, 9)) < 0.3
    tensor = lambda value: torch.tensor(value, dtype=torch.float64)
    shared = {
        "v_leak": tensor(0.05),
        "v_th": tensor(0.8),
        "v_reset": tensor(-0.1),
        "tau_mem_inv": tensor(120.0),
    }
    given = {"tau": 1 / 120.0, "v_leak": 0.05, "v_threshold": 0.8, "v_reset": -0.1}
    if cell == "LIFBoxCell":
        module, node = norse.LIFBoxCell(norse.LIFBoxParameters(**shared), dt=DT), lif(**given)
    else:
        shared["tau_syn_inv"] = tensor(250.0)
        module = norse.LIFCell(norse.LIFParameters(**shared), dt=DT)
        node = cuba(**given, tau_syn=1 / 250.0, w_in=1 / (250.0 * DT))
    state, theirs, membranes = None, [], []
    for step in range(80):
        z, state = module(tensor(spikes[:, step] @ weight.T), state)
        theirs.append(z.detach().numpy())
        membranes.append(state.v.detach().numpy())
    ours = simulate(layer(node, weight), spikes, record=everything("n"))
    assert ours.spikes["n"].sum() > 50
    np.testing.assert_array_equal(ours.spikes["n"], np.stack(theirs, 1))
    np.testing.assert_allclose(ours.states["n", "v"] - 0.1, np.stack(membranes, 1), atol=1e-12)


def written_out(node, weight, recurrent, spikes):
    """One population by hand, a neuron at a time: v, and the messages."""
    size, (rows, steps, _) = len(weight), spikes.shape
    p = {k: np.broadcast_to(a, size) for k, a in node.arrays().items()}
    share = lambda tau: 1 - np.exp(-DT / tau) if node.integrator == "exponential" else DT / tau
    membranes, sent = (np.zeros((rows, steps, size)) for _ in range(2))
    for row in range(rows):
        v, i, wait = p["v_leak"].copy(), np.zeros(size), np.zeros(size)
        for t, n in np.ndindex(steps, size):
            before = sent[row, t - 1] if t else np.zeros(size)
            current = weight[n] @ spikes[row, t] + recurrent[n] @ before + p["bias"][n]
            if isinstance(node, CubaLIF):
                fall = share(p["tau_syn"][n])
                current = i[n] = (1 - fall) * i[n] + fall * p["w_in"][n] * current
            tau, r, low, threshold = (p[k][n] for k in ("tau", "r", "v_reset", "v_threshold"))
            target = p["v_leak"][n] + r * current
            new = v[n] + DT * r * current if tau == np.inf else v[n] + share(tau) * (target - v[n])
            if node.sends != "spikes":
                v[n] = membranes[row, t, n] = new
                sent[row, t, n] = max(new, 0) if node.sends == "rectified" else new
            elif wait[n]:
                wait[n] -= 1
            else:
                v[n] = new
                if new > threshold or (node.comparison == ">=" and new == threshold):
                    sent[row, t, n], wait[n] = 1, node.refractory
                    v[n] = {"value": low, "subtract": new - (threshold - low), "none": new}[node.reset]
            if node.sends == "spikes":
                membranes[row, t, n] = v[n] - low
    return membranes, sent


VARIANTS = [
    {"integrator": i, "reset": r, "comparison": c, "refractory": n}
    for i, r, c, n in product(["euler", "exponential"], RESETS, COMPARISONS, [0, 1, 3])
] + [{"integrator": i, "sends": s} for i, s in product(["euler", "exponential"], ["membrane", "rectified"])]


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda each: "-".join(map(str, each.values())))
@pytest.mark.parametrize("kind", ["lif", "cuba"])
@pytest.mark.parametrize("leaking", [True, False])
def test_every_variant_is_the_loop_written_out(kind, settings, leaking):
    rng = np.random.default_rng(len(str(settings)))
    given = varied(rng, 4, **settings)
    given["bias"] = rng.normal(0.1, 0.2, 4)
    if not leaking:
        given |= {"tau": np.where(np.arange(4) % 2, np.inf, given["tau"]), "r": rng.uniform(50, 300, 4)}
    node = lif(**given) if kind == "lif" else cuba(**given, tau_syn=rng.uniform(1, 6, 4) * DT)
    weight, recurrent = rng.normal(0.4, 0.8, (4, 5)), rng.normal(0, 0.2, (4, 4))
    recurrent = recurrent if leaking else recurrent * 0.01
    edges = [edge("x", "n", weight), edge("n", "n", recurrent, lag=1)]
    net = graph(5, [Population("n", (4,), node)], edges)
    spikes = rng.random((2, 40, 5)) < 0.3
    found = simulate(net, spikes, record=everything("n"))
    membranes, sent = written_out(node, weight, recurrent, spikes)
    np.testing.assert_allclose(found.states["n", "v"], membranes, rtol=1e-9, atol=1e-9)
    if node.sends == "spikes":
        assert 5 < sent.sum() < sent.size
        np.testing.assert_array_equal(found.spikes["n"], sent)
    else:
        np.testing.assert_allclose(found.spikes["n"], sent, rtol=1e-9, atol=1e-9)


def test_a_neuron_at_its_threshold_fires_where_it_is_asked_to():
    for comparison, fires in ((">", False), (">=", True)):
        node = lif(tau=DT, comparison=comparison)
        assert simulate(layer(node, [[1.0]]), np.ones((1, 3, 1))).spikes["n"].all() == fires


def test_several_inputs_constants_and_lags_by_hand():
    """x + 2 y two steps late + 0.5 from a neuron that always fires, without memory."""
    node = lif(tau=DT, sends="membrane")
    populations = (
        Population("x", (1,), Input()),
        Population("y", (1,), Input(-8, 8, 4.0)),
        Population("one", (1,), Constant()),
        Population("n", (1,), node),
    )
    edges = (
        edge("x", "n", [[1.0]]),
        edge("y", "n", [[2.0]], lag=2),
        edge("one", "n", [[0.5]]),
    )
    net = Graph(DT, populations, edges, ("n",), "last")
    x, y = np.array([[1, 0, 0, 1]])[..., None], np.array([[1.0, 2, 3, 4]])[..., None]
    found = simulate(net, {"x": x, "y": y}, record=everything("n"))
    assert found.spikes["n"].ravel().tolist() == [1.5, 0.5, 2.5, 5.5]
    assert found.states["n", "v"].ravel().tolist() == [1.5, 0.5, 2.5, 5.5]
    assert found.spikes["one"].ravel().tolist() == [1, 1, 1, 1]


def test_closed_loop_is_the_loop_written_out():
    rng = np.random.default_rng(5)
    weight, domains = rng.normal(0.6, 0.8, (6, 10)), np.array([0, 1, 0, 1, 2, 2])
    node = astrocyte([0.3, -0.2, 0.0], period=3, decay=0.4, rate=2.0, set_point=0.0)
    astro, *loop = gain_control("n", domains, node, mean=True)
    net = graph(10, [Population("n", (6,), lif(bias=0.05)), astro], [edge("x", "n", weight), *loop])
    spikes = rng.random((1, 60, 10)) < 0.4

    v, pooled, trace, log_gain = np.zeros(6), np.zeros(3), np.zeros(3), node.log_gain.copy()
    gain, sent, on_the_way, expected = 2.0 ** log_gain[domains], np.zeros(6), None, []
    for step in range(60):
        gain = gain if on_the_way is None else on_the_way[domains]
        pooled += [sent.mean() - sent[domains == d].mean() for d in range(3)]
        on_the_way = None
        if (step + 1) % 3 == 0:
            trace += 0.4 * (pooled / 3 - trace)
            log_gain = np.clip(log_gain + 2.0 * trace, -2, 2)
            on_the_way, pooled = 2.0**log_gain, np.zeros(3)
        v += 0.1 * (gain * (weight @ spikes[0, step] + 0.05) - v)
        sent = (v > 1) * 1.0
        v[v > 1] = 0
        expected.append((sent, gain.copy(), log_gain.copy()))

    found = simulate(net, spikes, record=everything("n", "astro"))
    assert found.spikes["n"].sum() > 20
    assert np.ptp(found.states["astro", "log_gain"]) > 0.5
    np.testing.assert_array_equal(found.spikes["n"][0], [s for s, _, _ in expected])
    np.testing.assert_allclose(found.states["n", "gain"][0], [g for _, g, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(found.states["astro", "log_gain"][0], [a for _, _, a in expected], atol=1e-12)


def test_the_gain_at_rest_is_the_astrocytes_and_1_without_one():
    astro, *loop = gain_control("n", np.array([0, 1, 1]), astrocyte([1.0, -1.0]), mean=False)
    loop[1] = edge("astro", "n", [[1, 0], [0, 1], [0, 0]], "modulation", lag=1)
    net = graph(2, [Population("n", (3,), lif()), astro], [edge("x", "n", np.ones((3, 2))), *loop])
    assert resting_gains(net)["n"].tolist() == [2.0, 0.5, 1.0]


def test_without_astrocytes_a_stream_is_its_samples_one_by_one():
    rng = np.random.default_rng(7)
    net = random_closed_loop(rng)
    kept = tuple(c for c in net.connections if "astro" not in (c.source, c.target))
    net = replace(net, populations=net.populations[:-1], connections=kept)
    spikes = rng.random((5, 15, 12)) < 0.3
    alone = simulate(net, spikes)
    stream = simulate(net, spikes.reshape(1, 75, 12), reset_every=15)
    for name in ("a", "b", "c"):
        assert alone.spikes[name].any()
        np.testing.assert_array_equal(
            stream.spikes[name].reshape(alone.spikes[name].shape), alone.spikes[name]
        )


def test_a_reset_keeps_slow_states_and_what_is_under_way_to_them():
    astro, *loop = gain_control("n", np.zeros(2, int), astrocyte([0.0], period=4), mean=False)
    node = lif(tau=DT, v_threshold=0.5)
    net = graph(1, [Population("n", (2,), node), astro], [edge("x", "n", [[1.0], [1.0]]), *loop])
    found = simulate(net, np.ones((1, 8, 1)), reset_every=3, record=everything("n", "astro"))
    # every step sends; counted one step later; the count of step 3 came from before the reset
    assert found.states["astro", "count"][0, :, 0].tolist() == [0, -1, -2, 0, -1, -2, -3, 0]
    assert found.states["n", "gain"][0, 3, 0] == 1.0
    assert 0 < found.states["n", "gain"][0, 4, 0] < 1.0
    assert found.states["n", "gain"][0, 6, 0] == found.states["n", "gain"][0, 4, 0]


def test_on_the_chips_clock_every_population_is_late_by_its_depth():
    rng = np.random.default_rng(11)
    program = compiled(random_closed_loop(rng))
    spikes = rng.random((2, 40, 12)) < 0.3
    given = job(program, spikes, reset_every=20)
    chip = reference(given)
    model = simulate(program.reference, spikes, reset_every=20, record=given.record)
    assert program.depth == 3
    for name in ("a", "b", "c", "astro"):
        depth = program.network[name].depth
        assert not chip.spikes[name][:, :depth].any()
        np.testing.assert_array_equal(chip.spikes[name][:, depth:], model.spikes[name][:, : 40 - depth])
    late, rest = chip.states["c", "v"], program.reference["c"].node
    np.testing.assert_array_equal(late[:, 3:], model.states["c", "v"][:, :37])
    np.testing.assert_array_equal(late[:, :3], np.broadcast_to(rest.v_leak - rest.v_reset, late[:, :3].shape))
    assert set(chip.states) == given.record


@pytest.mark.parametrize("tau_syn", [3 * DT, 10 * DT, 25 * DT])
def test_the_exponential_integrator_is_the_limit_of_small_steps(tau_syn):
    fine = 800
    for node in (lif(r=0.9, v_leak=0.1, bias=0.2), cuba(tau_syn=tau_syn, w_in=1.5, v_leak=0.1)):
        node = replace(node, v_threshold=np.asarray(9.0))
        coarse = layer(node, [[1.0]])
        spikes = np.array([1, 1, 0, 1, 0, 0]).reshape(1, 6, 1)
        exact = simulate(coarse, spikes, record=everything("n"), integrator="exact").states["n", "v"]
        many = simulate(replace(coarse, dt=DT / fine), np.repeat(spikes, fine, 1), record=everything("n"))
        np.testing.assert_allclose(exact, many.states["n", "v"][:, fine - 1 :: fine], atol=2e-4)
        euler = simulate(coarse, spikes, record=everything("n")).states["n", "v"]
        assert np.abs(euler - exact).max() > 2e-3


def test_an_integrator_without_leak_survives_the_exponential():
    node = lif(tau=DT * 2.0**40, r=2.0**40, v_threshold=9.0)
    found = simulate(layer(node, [[0.5]]), np.ones((1, 10, 1)), record=everything("n"), integrator="exact")
    np.testing.assert_allclose(found.states["n", "v"].ravel(), np.arange(1, 11) / 2, rtol=1e-9)


def test_populations_are_evaluated_after_those_that_reach_them():
    net = random_closed_loop(np.random.default_rng(0))
    order = evaluation_order(net)
    assert sorted(order) == ["a", "astro", "b", "c"]
    assert order.index("a") < order.index("b") < order.index("c")


def test_a_loop_that_takes_no_time_is_refused_by_name():
    a, b = Population("a", (1,), lif()), Population("b", (1,), lif())
    edges = [edge("x", "a", [[1]]), edge("a", "b", [[1]]), edge("b", "a", [[1]])]
    with pytest.raises(
        UnsupportedError, match=r"the loop (a -> b -> a|b -> a -> b) takes no time.*lag of at least 1"
    ):
        simulate(graph(1, [a, b], edges), np.ones((1, 2, 1)))


def test_an_unknown_integrator_is_refused():
    with pytest.raises(InputError, match="no integrator 'midpoint'; there are own, exact"):
        simulate(layer(lif(), [[1.0]]), np.ones((1, 2, 1)), integrator="midpoint")


def test_an_integer_network_is_refused():
    program = compiled(layer(lif(), [[1.0]]))
    with pytest.raises(UnsupportedError, match="n is a Compartments, which the float engine does not run"):
        reference(Job(replace(program, reference=program.network), {"x": np.ones((1, 2, 1), np.uint8)}))
