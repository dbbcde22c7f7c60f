"""The astrocyte-gated memory: its laws in float, what it is held against, and its way to the chip."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_modules import modules_of
from scipy.integrate import solve_ivp

import astrodeploy as ad
from astrodeploy.compartments.graded import WIDE
from astrodeploy.nn import unroll
from astrodeploy.resources import data_folder

FOLDER = data_folder("models") / "memory"
LAST = -1


@pytest.fixture(scope="module")
def memory():
    """Its modules, by name."""
    with modules_of("memory") as modules:
        yield modules


@pytest.fixture(scope="module")
def tiny(memory):
    """A memory of 8 patterns of 16 neurons, its cues with 3 wrong bits, and its setting."""
    setting = replace(memory["model"].Setting(16, 8), duration=3.0)
    patterns, cues, ranges = memory["train"].made(setting, 3, seed=1)
    return setting, patterns, cues, ranges


@pytest.fixture(scope="module")
def program(memory, tiny):
    setting, patterns, _, ranges = tiny
    module = memory["model"].Memory(patterns, setting)
    limits = memory["model"].stimulus(ranges, setting)
    return ad.compile(module, target="loihi2", calibrate=limits, input_shape=(16,))


# ---- laws ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "temperature"), [(1.0, 0.01), (0.5, 0.01), (5.0, 0.1), (1.0, 10.0)])
def test_the_lyapunov_function_never_rises(memory, sigma, temperature):
    model, dynamics = memory["model"], memory["dynamics"]
    setting = model.Setting(sigma=sigma, temperature=temperature, duration=2.0)
    rng = np.random.default_rng(0)
    patterns = model.random_patterns(rng, 4, 100, 30)
    cues = model.corrupted(rng, patterns[:, :2], 6)
    patterns = patterns.astype(np.float64)
    values = np.array(
        [dynamics.lyapunov(patterns, *s, setting) for s in dynamics.euler(patterns, cues, setting)]
    )
    assert len(values) == 2001
    assert np.diff(values, axis=0).max() <= 1e-10
    assert np.all(values[-1] < values[0] - 1)


@given(
    scores=st.lists(st.floats(0, 15), min_size=2, max_size=6),
    tau=st.floats(0.2, 5),
    temperature=st.floats(0.01, 3),
    wave=st.floats(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_the_replicator_is_a_bank_of_leaky_integrators(memory, scores, tau, temperature, wave):
    """tau p' = p (F - p.F), F = f - T log p, against tau z' = f - T z and p = softmax(z), for scores that change."""
    f = np.array(scores)

    def score(t):
        return f * (1 + 0.5 * np.sin(wave * t + np.arange(len(f))))

    def replicator(t, p):
        force = score(t) - temperature * np.log(p)
        return p * (force - p @ force) / tau

    def integrators(t, z):
        return (score(t) - temperature * z) / tau

    short = {"t_span": (0, 0.5), "method": "DOP853", "rtol": 1e-11, "atol": 1e-14}
    p = solve_ivp(replicator, y0=np.full(len(f), 1 / len(f)), **short).y[:, LAST]
    z = solve_ivp(integrators, y0=np.zeros(len(f)), **short).y[:, LAST]
    assert np.abs(p - memory["dynamics"].softmax(z)).max() < 5e-8


def test_the_gains_come_to_rest_at_the_softmax_of_the_scores(memory):
    scores, temperature = np.array([1.0, 2.0, 2.5, 0.0]), 0.7
    z = np.zeros(4)
    for _ in range(60_000):
        z += 1e-3 * (scores - temperature * z)
    expected = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
    assert np.allclose(memory["dynamics"].softmax(z), expected, rtol=0, atol=1e-12)


# ---- memories ------------------------------------------------------------------------------------------


def test_one_setting_for_each_cue_is_what_each_gives_alone(memory):
    model, dynamics = memory["model"], memory["dynamics"]
    rng = np.random.default_rng(3)
    patterns = model.random_patterns(rng, 2, 6, 10).astype(np.float64)
    cues = model.corrupted(rng, patterns[:, :2], 2).astype(np.float64)
    usual = model.Setting(duration=0.1)
    each = [replace(usual, sigma=2.0), replace(usual, tau_p=0.1, temperature=1.0)]
    *_, (together, _) = dynamics.euler(patterns, cues, each)
    for i, setting in enumerate(each):
        *_, (alone, _) = dynamics.euler(patterns, cues[:, i : i + 1], setting)
        assert np.allclose(together[:, i : i + 1], alone, rtol=0, atol=1e-13)


def test_binary_memories_go_downhill_to_where_no_neuron_wants_to_turn(memory):
    model, dynamics = memory["model"], memory["dynamics"]
    rng = np.random.default_rng(5)
    patterns = model.random_patterns(rng, 3, 12, 20).astype(np.float64)
    cues = model.corrupted(rng, patterns[:, :2], 5).astype(np.float64)
    for name, power in (("hopfield", 2), ("dense", 4)):
        found = dynamics.MEMORIES[name](patterns, cues, model.Setting(), rng)

        def energy(s, power=power):
            return -(np.einsum("rkn,rcn->rck", patterns, s) ** power).sum(-1)

        assert set(np.unique(found)) == {-1.0, 1.0}
        assert np.all(energy(found) <= energy(cues))
        for neuron in range(20):
            turned = found.copy()
            turned[:, :, neuron] *= -1
            assert np.all(energy(turned) >= energy(found) - 1e-9)


def test_softmax_and_nearest_retrieve_a_pattern(memory):
    model, dynamics = memory["model"], memory["dynamics"]
    rng = np.random.default_rng(6)
    patterns = model.random_patterns(rng, 5, 4, 40).astype(np.float64)
    cues = model.corrupted(rng, patterns[:, 2:3], 8).astype(np.float64)
    assert np.all((cues != patterns[:, 2:3]).sum(-1) == 8)
    for name in ("modern", "nearest", "gated"):
        found = dynamics.MEMORIES[name](patterns, cues, model.Setting(40, 4, duration=2.0), rng)
        assert np.all(dynamics.errors(found, patterns[:, 2:3]) == 0)


# ---- the network ---------------------------------------------------------------------------------------


def test_the_module_is_the_delayed_dynamics_and_retrieves(memory, tiny):
    setting, patterns, cues, _ = tiny
    module = memory["model"].Memory(patterns, setting).double()
    x = torch.from_numpy(memory["model"].stimulus(cues, setting)[:, : setting.steps]).double()
    gated, state = unroll(module, x)
    neurons, expected = memory["dynamics"].delayed(
        patterns[None].astype(float), cues[None].astype(float), setting
    )
    assert np.allclose(gated[:, LAST].numpy(), expected[0], rtol=0, atol=1e-5)  # 1 / tau is stored in float32
    assert np.allclose(state[0].numpy(), np.tanh(neurons[0]), rtol=0, atol=1e-6)
    assert np.all(memory["dynamics"].errors(neurons[0], patterns) == 0)


def test_every_engine_agrees_and_the_chip_retrieves(memory, tiny, program):
    setting, patterns, cues, _ = tiny
    x = memory["model"].stimulus(cues, setting)
    found = ad.verify(program, x[:1, :24], engines=("oracle", "fast", "lava"))
    assert found.equal
    assert found.not_run == {}
    assert all(each.spikes > 300 for each in found.comparisons)
    chip, exact = program.run(x), program.run(x, engine="reference")
    assert np.array_equal(chip.predictions, np.arange(8))
    late = setting.steps - 1 + program.network["neurons"].depth
    assert np.array_equal(np.sign(chip.spikes["neurons"][:, late]), patterns)
    unit = program.network["gated"].node.units["message"]
    assert np.abs(chip.spikes["gated"] / unit - exact.spikes["gated"]).max() < 0.5  # of overlaps up to 16


def test_gains_that_fall_below_their_range_stay_at_its_end(memory, tiny):
    setting, patterns, cues, ranges = tiny
    model = memory["model"]
    short, long = replace(setting, duration=1.0), replace(setting, duration=30.0)
    limits = model.stimulus(ranges, short)
    program = ad.compile(model.Memory(patterns, setting), "loihi2", calibrate=limits, input_shape=(16,))
    trace = program.run(model.stimulus(cues, long), probes=("gains.trace",))
    z = trace.states["gains", "trace"]
    sunk = (z == WIDE.low).any(1)
    assert sunk.sum() >= 8
    assert np.all(z[:, LAST][sunk] < WIDE.low // 2)  # and nothing wrapped
    octaves = z / program.network["gains"].node.units["trace"]
    most = setting.period * setting.dt / setting.tau_p * 16 / 2 * np.log2(np.e)  # of a period
    assert most * 0.95 < octaves.max() < most * 1.01
    assert np.all(octaves[:, 200:].max(2) > most * 0.9)  # the winner's stays where it is
    assert np.array_equal(trace.predictions, np.arange(8))


def test_a_checkpoint_and_nir_give_the_same_program(memory, tiny, tmp_path):
    setting, patterns, _, ranges = tiny
    limits = memory["model"].stimulus(ranges, setting)
    program, found = memory["chip"].compiled(patterns, setting, limits)
    assert found["nir"] == {"identical": True, "core": "parts only"}
    assert "gated" in program.layers


def test_another_size_keeps_the_pace_of_the_gains(memory):
    usual, large = memory["model"].Setting(), memory["model"].setting_for(600, 50)
    assert large.temperature / large.tau_p == pytest.approx(usual.temperature / usual.tau_p)
    assert 600 / large.tau_p == pytest.approx(30 / usual.tau_p)
    with pytest.raises(ValueError, match="not \\(100, 30\\)"):
        memory["model"].Memory(np.ones((3, 30)), usual)
    with pytest.raises(ValueError, match="at least 2"):
        memory["model"].Memory(np.ones((100, 30)), replace(usual, period=1))


def test_training_writes_what_compiles(memory, tmp_path, monkeypatch, capsys):
    options = ["--out", str(tmp_path), "--seed", "3", "--neurons", "16", "--patterns", "8"]
    monkeypatch.setattr(sys, "argv", ["train.py", *options])
    memory["train"].main()
    assert "100.0% of 8 cues" in capsys.readouterr().out
    with np.load(tmp_path / "test.npz") as test, np.load(tmp_path / "calibrate.npz") as limits:
        program = ad.compile(tmp_path / "model.pt", target="loihi2", calibrate=limits["x"])
        assert program.run(test["x"]).accuracy(test["y"]) == 1.0


def test_the_study_measures_and_presents(memory):
    study, chip = memory["study"], memory["chip"]
    plan = study.Plan(
        realisations=2,
        setting=memory["model"].Setting(16, 8, duration=0.2),
        flips=2,
        changes=(("sigma", (2.0,)), ("tau_x", (100.0,))),
        frozen_sigmas=(2.0,),
        temperatures=(0.01,),
        clocks=((2.0**-5, 4),),
        grid_neurons=10,
        grid_patterns=(2, 4),
        grid_flips=(1, 2, 3),
        cases=(chip.Case(16, 8, (3, 4), 4, 8, dt=0.05),),
    )
    results = [json.loads(json.dumps(study.measure(seed, plan), sort_keys=True)) for seed in (0, 1)]
    again = study.measure(0, replace(plan, cases=()))
    assert all(again[part] == results[0][part] for part in ("protocol", "grid"))
    text, figure = study.present(results)
    assert "2 seeds, mean ± standard deviation over seeds; 2 realisations a seed" in text
    assert "| gated, sigma = 2 |" in text
    assert "same Program, byte for byte but for its recipe, for 2 of 2 seeds" in text
    assert text.count(" 0 differing (2 of 2 seeds)") == 2
    assert len(figure.axes) == 6
