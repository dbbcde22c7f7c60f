"""Comparison: the exact first divergence, what is excused, engines that did not run, distance by cause."""

from dataclasses import replace

import networks
import numpy as np
import pytest
from float_networks import DT, compiled, cuba, edge, graph, job, lif, random_closed_loop

import astrodeploy as ad
from astrodeploy.compare import Divergence, compare, compare_near_threshold
from astrodeploy.distance import distance
from astrodeploy.engines import ENGINES, make_plan
from astrodeploy.engines.idealised import as_on_the_chip, over_the_integers, over_the_reals
from astrodeploy.engines.oracle import oracle
from astrodeploy.engines.recording import Recording
from astrodeploy.engines.reference import reference
from astrodeploy.errors import EngineError, InputError
from astrodeploy.ir import Population
from astrodeploy.ir.wiring import Dense
from astrodeploy.verification import _float_states, verify

CAUSES = ["time discretisation", "rounding of parameters", "rounding of states", "saturation and wrap"]


def recording(rng, rows=3, steps=8):
    spikes = {
        name: (rng.random((rows, steps, size)) < 0.4).astype(np.int32) for name, size in (("p", 4), ("q", 5))
    }
    states = {
        ("p", "v"): rng.integers(-99, 99, (rows, steps, 4)),
        ("q", "v"): rng.integers(-99, 99, (rows, steps, 5)),
    }
    return Recording(spikes, states)


def changed(original, places):
    copy = Recording(
        {k: v.copy() for k, v in original.spikes.items()}, {k: v.copy() for k, v in original.states.items()}
    )
    for layer, what, place in places:
        (copy.spikes[layer] if what == "spikes" else copy.states[layer, what])[place] += 1
    return copy


def closed_loop(seed=0, samples=3, steps=20):
    rng = np.random.default_rng(seed)
    program = compiled(random_closed_loop(rng))
    return program, (rng.random((samples, steps, 12)) < 0.3).astype(np.uint8)


def test_equal_recordings_and_what_was_compared():
    left = recording(np.random.default_rng(0))
    found = compare(left, changed(left, []), ("oracle", "fast"))
    assert found.equal
    assert found.first_divergence is None
    assert (found.left, found.right, found.differing, found.excused) == ("oracle", "fast", 0, 0)
    assert found.spikes == sum(int(s.sum()) for s in left.spikes.values()) > 50
    assert (found.values, found.states) == (3 * 8 * 9, 3 * 8 * 9)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (("q", "spikes", (0, 5, 2)), ("p", "v", (1, 0, 0))),  # the earlier sample
        (("q", "spikes", (1, 2, 4)), ("p", "v", (1, 3, 0))),  # then the earlier step
        (("p", "spikes", (1, 2, 3)), ("q", "v", (1, 2, 0))),  # then the earlier layer
        (("q", "v", (1, 2, 3)), ("q", "spikes", (1, 2, 0))),  # then the state before the spikes it caused
        (("q", "v", (1, 2, 3)), ("q", "v", (1, 2, 4))),  # then the earlier neuron
    ],
)
def test_the_first_divergence_is_exact(first, later):
    left = recording(np.random.default_rng(1))
    found = compare(left, changed(left, [later, first]))
    layer, what, place = first
    before = (left.spikes[layer] if what == "spikes" else left.states[layer, what])[place]
    assert not found.equal
    assert found.differing == 2
    assert found.first_divergence == Divergence(layer, *place, what, float(before), float(before + 1))
    assert str(found.first_divergence).startswith(
        f"{layer}.{what}, sample {place[0]}, step {place[1]}, neuron"
    )


def test_layers_of_any_shape_are_compared_flat():
    left = Recording({"p": np.zeros((1, 2, 2, 3), int)}, {})
    right = Recording({"p": left.spikes["p"].copy()}, {})
    right.spikes["p"][0, 1, 1, 0] = 1
    assert compare(left, right).first_divergence == Divergence("p", 0, 1, 3, "spikes", 0.0, 1.0)


def test_recordings_of_different_shape_or_content_are_refused():
    left = recording(np.random.default_rng(2))
    with pytest.raises(InputError, match=r"q\.spikes has shape \(3, 8, 5\) in left and \(2, 8, 5\) in right"):
        compare(left, Recording(left.spikes | {"q": left.spikes["q"][:2]}, left.states))
    with pytest.raises(InputError, match=r"oracle recorded q\.v and fast did not: record the same"):
        compare(left, Recording(left.spikes, {("p", "v"): left.states["p", "v"]}), ("oracle", "fast"))


# ---- float engines ---------------------------------------------------------------------------------


def at_threshold(off):
    """Two float recordings of one neuron that differ in step 2 and 4; in 2 the silent one is `off` its threshold."""
    net = graph(1, [Population("n", (1,), lif(v_reset=-0.5))], [edge("x", "n", [[1.0]])])
    spikes, other = np.zeros((2, 6, 1), int), np.zeros((2, 6, 1), int)
    spikes[1, [2, 4]], v = 1, np.zeros((2, 6, 1))
    other_v = v.copy()
    other_v[1, 2] = 1.5 + off
    left, right = Recording({"n": spikes}, {("n", "v"): v}), Recording({"n": other}, {("n", "v"): other_v})
    return left, right, net


def test_a_difference_at_the_threshold_is_excused_with_what_follows():
    found = compare_near_threshold(*at_threshold(-1e-12))
    assert (found.equal, found.differing, found.excused) == (True, 0, 3)  # two spikes, and the membrane
    assert found.first_divergence is None


def test_a_difference_away_from_the_threshold_is_not():
    left, right, net = at_threshold(-1e-8)
    found = compare_near_threshold(left, right, net)
    assert (found.equal, found.differing, found.excused) == (False, 3, 0)
    assert found.first_divergence == Divergence("n", 1, 2, 0, "v", 0.0, 1.5 - 1e-8)


def test_an_excuse_holds_for_its_row_only():
    left, right, net = at_threshold(0.0)
    left.spikes["n"][0, 5] = 1
    found = compare_near_threshold(left, right, net)
    assert (found.differing, found.excused) == (1, 3)
    assert found.first_divergence == Divergence("n", 0, 5, 0, "spikes", 1.0, 0.0)


def test_a_spike_at_the_threshold_excuses_no_state_of_another_neuron():
    left, right, net = at_threshold(0.0)
    wide = [
        Recording(
            {"n": np.repeat(each.spikes["n"], 2, 2)}, {("n", "v"): np.repeat(each.states["n", "v"], 2, 2)}
        )
        for each in (left, right)
    ]
    net = graph(1, [Population("n", (2,), net["n"].node)], [edge("x", "n", [[1.0], [1.0]])])
    wide[1].spikes["n"][..., 1], wide[1].states["n", "v"][..., 1] = wide[0].spikes["n"][..., 1], 0.0
    assert compare_near_threshold(*wide, net).equal
    wide[1].states["n", "v"][1, 2, 1] = 1e-6
    found = compare_near_threshold(*wide, net)
    assert not found.equal
    assert (found.excused, found.differing) == (0, 4)


def with_state(name, off):
    """Two float recordings of a closed loop; one state of the second is `off` in step 8 of its last row."""
    program, x = closed_loop()
    given = replace(job(program, x, 20), record=_float_states(program.reference))
    ours = reference(given)
    states = {key: array.copy() for key, array in ours.states.items()}
    states[name][-1, 8] += off
    return ours, Recording(ours.spikes, states), program.reference


@pytest.mark.parametrize(
    "name", [("astro", s) for s in ("count", "trace", "log_gain")] + [("a", "gain"), ("b", "v")]
)
def test_states_of_astrocytes_and_gains_are_compared(name):
    assert compare_near_threshold(*with_state(name, 1e-12)).equal
    found = compare_near_threshold(*with_state(name, 1e-6))
    assert not found.equal
    assert (found.first_divergence.layer, found.first_divergence.what) == name
    assert (found.first_divergence.sample, found.first_divergence.step) == (2, 8)


def membranes(off):
    """Two float recordings of a neuron that sends its membrane, `off` one another in step 1."""
    net = graph(1, [Population("n", (1,), lif(sends="membrane"))], [edge("x", "n", [[1.0]])])
    v = np.array([[[0.5], [2000.0], [3.0]]])
    other = v + np.array([[[0.0], [off], [0.0]]])
    recordings = [Recording({"n": each}, {("n", "v"): each}) for each in (v, other)]
    return *recordings, net


@pytest.mark.parametrize(("off", "equal"), [(0.0, True), (1e-7, True), (1e-5, False)])
def test_membranes_that_are_sent_are_compared_by_their_value(off, equal):
    found = compare_near_threshold(*membranes(off))
    assert (found.equal, found.differing, found.excused) == (equal, 0 if equal else 2, 0)
    if not equal:
        assert found.first_divergence == Divergence("n", 0, 1, 0, "v", 2000.0, 2000.0 + off)


@pytest.mark.parametrize(
    "settings",
    [
        {"reset": "subtract", "comparison": ">=", "refractory": 2, "integrator": "exponential"},
        {"reset": "none"},
        {"tau": np.inf, "r": 200.0},
    ],
    ids=str,
)
def test_verify_takes_every_setting_and_what_only_the_chip_has(monkeypatch, settings):
    """A bias neuron is on the chip alone; a read-out that sends its membrane has no spikes to count."""
    other_engine(monkeypatch, oracle)
    rng = np.random.default_rng(3)
    populations = [
        Population("a", (6,), lif(**settings)),
        Population("b", (4,), cuba(bias=0.1)),
        Population("out", (3,), lif(sends="membrane", v_threshold=0.0)),
    ]
    edges = [
        edge("x", "a", rng.normal(0.5, 1, (6, 5))),
        edge("a", "b", rng.normal(0.3, 1, (4, 6))),
        edge("b", "out", rng.normal(0, 1, (3, 4))),
    ]
    program = ad.compile(graph(5, populations, edges))
    x = (rng.random((2, 40, 5)) < 0.4).astype(np.uint8)
    found = verify(program, x, engines=("oracle", "fast", "brian2"))
    assert set(program.layers) - set(program.reference.layers) == {"b.bias"}
    assert found.equal
    assert found.brian2.equal
    assert not found.not_run
    assert 0 < found.distance.total.share < 0.9
    assert np.isfinite(found.distance.total.membrane)


# ---- verify ----------------------------------------------------------------------------------------


def other_engine(monkeypatch, run):
    """Put a function in the place of the engine `fast`."""
    import astrodeploy.verification as module

    real = module.engine_named
    monkeypatch.setattr(module, "engine_named", lambda name: run if name == "fast" else real(name))


def test_verify_compares_all_spikes_and_all_states(monkeypatch):
    other_engine(monkeypatch, oracle)
    program, x = closed_loop()
    found = verify(program, x, engines=("oracle", "fast", "brian2"))
    (fast,) = found.comparisons
    assert found.equal
    assert found.first_divergence is None
    assert found.brian2.equal
    assert found.brian2.spikes > 20
    assert found.brian2.excused == 0
    assert not found.not_run
    sizes = {p.name: p.size for p in program.network.populations}
    moments = 3 * (20 + program.depth)
    assert fast.values == moments * sum(sizes.values())
    assert fast.states == moments * (3 * sizes["a"] + 2 * sizes["b"] + 2 * sizes["c"] + 3 * sizes["astro"])
    plain = found.to_dict()
    assert plain["equal"] is True
    assert plain["comparisons"][0]["states"] == fast.states
    assert [each["name"] for each in plain["distance"]["causes"]] == CAUSES


@pytest.mark.parametrize("carry", [(), ("astrocytes",)])
def test_verify_names_the_first_divergence(monkeypatch, carry):
    program, x = closed_loop()
    depth = program.network["c"].depth
    place = (0, 2 * 20 + depth + 7, 1) if carry else (2, 7 + depth, 1)

    def wrong(given):
        found = oracle(given)
        found.states["c", "v"][place] += 1
        found.states["c", "v"][place[0], place[1] + 1 :] += 3
        return found

    other_engine(monkeypatch, wrong)
    found = verify(program, x, engines=("fast",), carry=carry)
    first = found.first_divergence
    assert not found.equal
    assert (first.layer, first.what, first.sample, first.step, first.neuron) == ("c", "v", 2, 7 + depth, 1)
    assert first.right == first.left + 1
    assert found.to_dict()["first_divergence"]["sample"] == 2


def test_an_engine_that_did_not_run_is_said_and_makes_nothing_equal(monkeypatch):
    def missing(given):
        raise EngineError("it hung")

    other_engine(monkeypatch, missing)
    program, x = closed_loop()
    found = verify(program, x, engines=("oracle", "fast"))
    assert not found.equal
    assert found.not_run == {"fast": "it hung"}
    assert found.to_dict()["brian2"] is None


def test_brian2_has_its_own_line_and_counts(monkeypatch):
    program, x = closed_loop()
    heavier = [replace(c, wiring=Dense(c.weight + 0.5)) for c in program.reference.connections[:1]]
    other = replace(program.reference, connections=(*heavier, *program.reference.connections[1:]))
    other_engine(monkeypatch, oracle)

    def foreign(given):
        return reference(replace(given, program=replace(given.program, reference=other)))

    import astrodeploy.verification as module

    real = module.engine_named
    monkeypatch.setattr(module, "engine_named", lambda name: foreign if name == "brian2" else real(name))
    found = verify(program, x, engines=("oracle", "fast", "brian2"))
    assert found.comparisons[0].equal
    assert not found.brian2.equal
    assert not found.equal
    assert found.first_divergence == found.brian2.first_divergence
    assert found.brian2.states > 3 * 20 * 20


@pytest.mark.parametrize("steps", [10, 48])  # one window over, and several
def test_a_fault_in_brian2s_astrocytes_makes_verify_fail(monkeypatch, steps):
    other_engine(monkeypatch, oracle)
    program, x = closed_loop(samples=2, steps=steps)
    astro = program.reference["astro"]
    turned = replace(astro, node=replace(astro.node, rate=-astro.node.rate))
    other = replace(program, reference=program.reference.with_population(turned))

    import astrodeploy.engines.brian2 as home

    real = home.brian2
    assert verify(program, x, engines=("fast", "brian2"), carry=("astrocytes",)).equal
    monkeypatch.setattr(home, "brian2", lambda given: real(replace(given, program=other)))
    found = verify(program, x, engines=("fast", "brian2"), carry=("astrocytes",))
    assert not found.equal
    assert found.brian2.first_divergence.layer == "astro"
    assert found.brian2.first_divergence.what == "log_gain"


def test_where_brian2_can_not_run_it_does_not_decide(monkeypatch):
    import astrodeploy.verification as module

    def missing(given):
        raise EngineError("it is not installed")

    real = module.engine_named
    monkeypatch.setattr(module, "engine_named", lambda name: missing if name == "brian2" else real(name))
    program, x = closed_loop()
    found = verify(program, x, engines=("fast", "brian2"))
    assert (found.equal, found.brian2) == (True, None)
    assert found.not_run == {"brian2": "it is not installed"}


def test_verify_refuses_engines_that_have_no_place_there():
    program, x = closed_loop()
    assert "torch" in ENGINES
    with pytest.raises(InputError, match="verify compares oracle, fast, lava and brian2, not torch"):
        verify(program, x, engines=("oracle", "torch"))


# ---- distance --------------------------------------------------------------------------------------


def exact_program():
    """A network whose every parameter the chip's formats hold exactly: weights n / 254, 1 - k = 3 / 4."""
    node = lif(tau=4 * DT, r=4.0)
    edges = [
        edge("x", "n", np.array([[127, 40, -30], [64, 90, 1]]) / 254),
        edge("n", "m", np.array([[127, 99]]) / 254),
    ]
    return compiled(graph(3, [Population("n", (2,), node), Population("m", (1,), node)], edges))


def test_what_is_exact_has_no_distance_but_the_rounding_of_states():
    x = (np.random.default_rng(0).random((4, 50, 3)) < 0.4).astype(np.uint8)
    found = distance(make_plan(exact_program(), x))
    time, parameters, states, widths = found.causes
    assert [each.name for each in found.causes] == CAUSES
    assert time.spikes > 0
    assert 0 < time.share < 1
    assert (parameters.spikes, parameters.share, parameters.predictions) == (0, 0.0, 0)
    assert parameters.membrane < 1e-12
    assert 0 < states.membrane < 1e-2
    assert (widths.spikes, widths.membrane) == (0, 0.0)
    assert found.total.samples == 4
    assert found.total.membrane == pytest.approx(states.membrane)
    assert not found.bounded


def test_saturation_is_told_from_rounding():
    program = exact_program()
    n = program.network["n"]
    deaf = {"threshold": np.full(2, (1 << 17) - 1), "bias": np.full(2, -(1 << 19)), "dv": np.zeros(2)}
    node = replace(n.node, parameters=n.node.parameters | deaf)
    program = replace(program, network=program.network.with_population(replace(n, node=node)))
    found = distance(make_plan(program, np.zeros((1, 40, 3), np.uint8)))
    widths = found.causes[3]
    assert widths.membrane > 0.1
    assert set(found.bounded) == {"n"}
    assert found.bounded["n"]["saturate"] > 10
    assert found.to_dict()["bounded"] == {"n": {"saturate": found.bounded["n"]["saturate"]}}


def test_rounded_parameters_are_seen():
    program = exact_program()
    first, *others = program.network.connections
    off = replace(first, wiring=Dense(first.weight + np.int8(9)))
    program = replace(program, network=replace(program.network, connections=(off, *others)))
    x = (np.random.default_rng(0).random((4, 50, 3)) < 0.4).astype(np.uint8)
    assert distance(make_plan(program, x)).causes[1].spikes > 0


@pytest.mark.parametrize("seed", range(8))
def test_the_machine_on_the_chips_integers_is_the_oracle(seed):
    rng = np.random.default_rng(seed)
    kinds = [networks.KINDS["lif"], networks.KINDS["modulated_lif"], networks.KINDS["astrocyte"]]
    kinds.append(networks.random_kind(seed))
    given = networks.random_job(rng, networks.random_network(rng, kinds, networks.random_wires(rng, kinds)))
    counts = {}
    machine, expected = as_on_the_chip(given, counts), oracle(given)
    assert compare(expected, machine).equal
    assert set(counts) == {p.name for p in given.program.network.populations if not p.is_input}


def test_where_no_width_bounds_the_unbounded_machine_is_the_same():
    program, x = closed_loop(steps=60)
    given = job(program, x)
    assert compare(as_on_the_chip(given, {}), over_the_integers(given)).equal


def test_over_the_reals_a_gain_is_the_power_of_two():
    program, x = closed_loop(steps=60)
    found = over_the_reals(job(program, x))
    sent = found.spikes["astro"] != 0
    assert sent.sum() > 20
    np.testing.assert_allclose(
        found.spikes["astro"][sent] / 256, 2.0 ** found.states["astro", "log_gain"][sent], rtol=1e-12
    )
