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
    gain_control,
    graph,
    job,
    lif,
    random_closed_loop,
)

import astrodeploy.engines.brian2 as engine
from astrodeploy.engines.brian2 import brian2
from astrodeploy.engines.reference import reference
from astrodeploy.errors import EngineError
from astrodeploy.ir import Population

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
            replace(c, weight=c.weight + 0.2) if c.name == "b -> c.current" else c for c in edges(given)
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
    message = r"astro -> n\.modulation delays gains by 5 steps, its astrocytes send every 4"
    with pytest.raises(EngineError, match=message):
        brian2(job(program, np.ones((1, 5, 1))))


def test_a_connection_that_the_program_lacks_is_refused():
    given = network(6)
    chip = replace(given.program.network, connections=given.program.network.connections[1:])
    with pytest.raises(EngineError, match=r"x -> a\.current is in the float network but not in the Program"):
        brian2(replace(given, program=replace(given.program, network=chip)))


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
from astrodeploy.engines.brian2 import _runtime
with _runtime():
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
