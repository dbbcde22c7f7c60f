"""Brian2 says what the float reference says: spike for spike, over streams with the closed loop."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from float_networks import (
    astrocyte,
    compiled,
    cuba,
    edge,
    float_job,
    gain_control,
    graph,
    job,
    lif,
    random_closed_loop,
    settings_job,
    several_inputs,
)

import astrodeploy.engines.brian2.engine as engine
from astrodeploy.engines.brian2 import brian2
from astrodeploy.engines.reference import reference
from astrodeploy.errors import EngineError
from astrodeploy.ir import Population
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.wiring import Dense

NEURONS = ("a", "b", "c")


def network(seed, spikes=(2, 60), reset_every=15):
    rng = np.random.default_rng(seed)
    program = compiled(random_closed_loop(rng))
    return job(program, rng.random((*spikes, program.network.input.size)) < 0.3, reset_every)


@pytest.mark.parametrize(("seed", "reset_every"), [(0, 15), (2, 0), (3, 20)])
def test_same_spikes_and_states_as_the_reference(seed, reset_every):
    given = network(seed, reset_every=reset_every)
    ours, theirs = reference(given), brian2(given)
    for name in NEURONS:
        assert ours.spikes[name].sum() > 20
        np.testing.assert_array_equal(theirs.spikes[name], ours.spikes[name])
    assert np.ptp(ours.states["astro", "log_gain"]) > 0.1
    np.testing.assert_allclose(theirs.spikes["astro"], ours.spikes["astro"], rtol=1e-12)
    assert set(theirs.states) == set(ours.states) == given.record
    for key, array in ours.states.items():
        np.testing.assert_allclose(theirs.states[key], array, atol=1e-12)
    assert theirs.versions["brian2"]


def test_rows_do_not_touch_each_other_however_many_run_at_once(monkeypatch):
    given = network(4, spikes=(2, 12), reset_every=0)
    together = brian2(given)
    monkeypatch.setattr(engine, "SYNAPSES_AT_ONCE", 1)
    alone = brian2(given)
    assert {k: v.shape for k, v in alone.states.items()} == {k: v.shape for k, v in together.states.items()}
    for name in NEURONS:
        np.testing.assert_array_equal(alone.spikes[name], together.spikes[name])


@pytest.mark.parametrize("change", ["weight", "delay", "astrocyte"])
def test_a_mutated_network_is_found(change):
    given = network(5, spikes=(1, 40))
    program = given.program
    if change == "weight":
        mutated = [
            replace(c, wiring=Dense(c.weight + 0.2)) if c.name == "b -> c.current" else c
            for c in edges(given)
        ]
        program = replace(program, reference=replace(program.reference, connections=tuple(mutated)))
    elif change == "delay":
        chip = program.network
        later = [replace(c, delay=c.delay + 1) if c.name == "a -> b.current" else c for c in chip.connections]
        program = replace(program, network=replace(chip, connections=tuple(later)))
    else:
        astro = program.reference["astro"]
        faster = replace(astro, node=replace(astro.node, rate=4.5))
        program = replace(program, reference=program.reference.with_population(faster))
    theirs, ours = brian2(replace(given, program=program)), reference(given)
    assert any(np.any(theirs.spikes[name] != ours.spikes[name]) for name in NEURONS)


def edges(given):
    return given.program.reference.connections


def test_silence_and_populations_without_input():
    populations = [Population("n", (2,), lif(bias=1.3)), Population("m", (1,), cuba())]
    driven = compiled(graph(2, populations, [edge("x", "n", np.eye(2)), edge("x", "m", [[1.0, 1.0]])]))
    connections = driven.reference.connections[:1]
    given = job(
        replace(driven, reference=replace(driven.reference, connections=connections)), np.zeros((1, 30, 2))
    )
    ours, theirs = reference(given), brian2(given)
    assert ours.spikes["n"].sum() > 0
    assert not theirs.spikes["m"].any()
    np.testing.assert_array_equal(theirs.spikes["n"], ours.spikes["n"])


def test_a_gain_that_is_delayed_beyond_its_period_is_refused():
    astro, *loop = gain_control("n", np.zeros(32, int), astrocyte([0.0], period=4), mean=False)
    loop[1] = replace(loop[1], lag=5)
    layer = Population("n", (32,), lif())
    program = compiled(graph(1, [layer, astro], [edge("x", "n", np.ones((32, 1))), *loop]))
    message = r"astro -> n\.modulation \+5 delays gains by 5 steps, its astrocytes send every 4"
    with pytest.raises(EngineError, match=message):
        brian2(job(program, np.ones((1, 5, 1))))


def test_a_connection_that_the_program_lacks_takes_what_the_depths_say():
    given = network(6, spikes=(1, 40))
    chip = replace(given.program.network, connections=given.program.network.connections[1:])
    found = brian2(replace(given, program=replace(given.program, network=chip)))
    for name in NEURONS:
        np.testing.assert_array_equal(found.spikes[name], reference(given).spikes[name])


# ---- every setting of a membrane -------------------------------------------------------------------


def agree(given, least=20):
    """Both engines on a job: every spike, and all states and messages to 12 digits."""
    ours, theirs = reference(given), brian2(given)
    graph = given.program.reference
    spikes = 0
    for population in graph.populations:
        name, node = population.name, population.node
        if not isinstance(node, Membrane):
            continue
        if node.sends == "spikes":
            np.testing.assert_array_equal(theirs.spikes[name], ours.spikes[name], name)
            spikes += int(ours.spikes[name].sum())
        else:
            assert np.ptp(ours.spikes[name]) > 0.1
            np.testing.assert_allclose(theirs.spikes[name], ours.spikes[name], rtol=1e-11, atol=1e-12)
    assert set(theirs.states) == set(ours.states)
    for key, array in ours.states.items():
        np.testing.assert_allclose(theirs.states[key], array, rtol=1e-11, atol=1e-12, err_msg=str(key))
    assert spikes >= least
    return ours


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
@pytest.mark.parametrize("reset", ["value", "subtract", "none"])
@pytest.mark.parametrize(("comparison", "refractory"), [(">", 0), (">=", 3)])
def test_every_setting_of_a_neuron(integrator, reset, comparison, refractory):
    rng = np.random.default_rng(len(integrator) + len(reset) + refractory)
    settings = {
        "integrator": integrator,
        "reset": reset,
        "comparison": comparison,
        "refractory": refractory,
    }
    agree(settings_job(rng, settings, reset_every=int(rng.choice([0, 17]))), least=100)


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
def test_neurons_without_leak_among_others(integrator):
    rng = np.random.default_rng(4)
    for tau in (np.inf, np.where(np.arange(6) % 2, np.inf, 7e-3)):
        node = lif(tau=tau, r=rng.uniform(100, 300, 6), v_leak=0.0, integrator=integrator, reset="subtract")
        net = graph(5, [Population("n", (6,), node)], [edge("x", "n", rng.normal(0.3, 1, (6, 5)))])
        agree(float_job(net, rng.random((2, 50, 5)) < 0.4, reset_every=20))


@pytest.mark.parametrize(("comparison", "fires"), [(">", 0), (">=", 1)])
def test_at_its_threshold_a_neuron_fires_where_it_is_asked_to(comparison, fires):
    node = lif(tau=np.inf, r=1000.0, comparison=comparison)  # 1000 / s for 1 ms: exactly 1 a step
    net = graph(1, [Population("n", (1,), node)], [edge("x", "n", [[1.0]])])
    found = brian2(float_job(net, np.array([1, 0, 0]).reshape(1, 3, 1)))
    assert found.spikes["n"].ravel().tolist() == [0, fires, 0]
    assert found.states["n", "v"].ravel().tolist() == [0, 1 - fires, 1 - fires]


@pytest.mark.parametrize("sends", ["membrane", "rectified"])
@pytest.mark.parametrize("seed", [0, 1])
def test_membranes_that_are_sent_arrive_as_they_were_sent(sends, seed):
    """Along paths of several delays, into neurons and membranes, back to themselves, over resets."""
    rng = np.random.default_rng(seed)
    sender = lif(v_leak=rng.uniform(-0.5, 0.5, 4), bias=rng.normal(0, 0.3, 4), sends=sends)
    nodes = [Population("m", (4,), sender), Population("a", (5,), lif()), Population("b", (3,), cuba())]
    nodes.append(Population("li", (2,), cuba(sends="membrane", bias=0.2, integrator="exponential")))
    edges = [
        edge("x", "m", rng.normal(0, 2, (4, 6))),
        edge("m", "a", rng.normal(0.5, 3, (5, 4))),
        edge("x", "a", rng.normal(0.5, 3, (5, 6))),
        edge("a", "b", rng.normal(0.5, 1, (3, 5))),
        edge("m", "b", rng.normal(0, 1, (3, 4))),
        edge("m", "b", rng.normal(0, 1, (3, 4)), lag=4),
        edge("m", "m", rng.normal(0, 0.5, (4, 4)), lag=1),
        edge("li", "a", rng.normal(0, 1, (5, 2)), lag=3),
        edge("b", "li", rng.normal(0, 1, (2, 3))),
    ]
    given = float_job(graph(6, nodes, edges), rng.random((3, 60, 6)) < 0.3, reset_every=25)
    assert given.program.network["b"].depth > 2
    agree(given)


def test_several_inputs_graded_ones_and_every_pattern():
    rng = np.random.default_rng(8)
    given = several_inputs(rng)
    graph = given.program.reference
    assert {type(c.wiring).__name__ for c in graph.connections} == {"Dense", "Conv", "Sparse", "OneToOne"}
    assert {type(p.node).__name__ for p in graph.populations} >= {"Input", "Constant", "LIF", "CubaLIF"}
    agree(given)


def test_what_brian2_can_not_say_is_refused_by_name():
    given = network(5, spikes=(1, 4))
    program = replace(given.program, reference=given.program.network)
    with pytest.raises(
        EngineError, match="a is a Compartments, which is not said in Brian2: leave brian2 out"
    ):
        brian2(replace(given, program=program))


def test_brian2_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(EngineError, match=r"Brian2 can't be imported: .*brian2"):
        brian2(network(7, spikes=(1, 2)))


def test_settings_are_as_before():
    import brian2 as library

    before = library.prefs["codegen.target"], library.get_device(), library.defaultclock.dt
    brian2(network(8, spikes=(1, 3)))
    assert (library.prefs["codegen.target"], library.get_device(), library.defaultclock.dt) == before


LEAVES_NOTHING = """
import logging, os, signal, sys, tempfile, warnings
from pathlib import Path
before = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
from astrodeploy.engines.brian2.runtime import runtime
with runtime():
    pass
assert (sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning) == before
assert not logging.getLogger("py.warnings").handlers
assert not list(Path(tempfile.gettempdir()).glob("brian_*")), os.listdir(tempfile.gettempdir())
"""


def test_the_import_leaves_no_files_and_no_handlers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(LEAVES_NOTHING)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"TMPDIR": str(temporary), "PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(temporary.glob("brian_*"))
