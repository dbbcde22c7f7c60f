"""The tripartite synapse: Brian2 against arithmetic written anew, the calcium curve's exponent, the reduced compartment."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from model_modules import modules_of

import astrodeploy as ad
from astrodeploy.nn import Astrocyte, unroll
from astrodeploy.resources import data_folder

FOLDER = data_folder("models") / "tripartite"


@pytest.fixture(scope="module")
def tripartite():
    """Its modules, by name."""
    with modules_of("tripartite") as modules:
        yield modules


# ---- the full model ------------------------------------------------------------------------------------


def stepped(spikes, luck, dse, pulsed, written, astrocyte_every):
    """The model in plain numbers (uM, s, mV), one model a column: calcium at each step's end."""
    models = len(dse)
    v, ag, glu, tonic, slow = (np.zeros(models) for _ in range(5))
    ip3, ca, h = np.full(models, 0.16), np.full(models, 0.071006), np.full(models, 0.7791)
    fired, reached = np.full(models, -10), np.zeros(models, bool)
    calcium = np.empty(luck.shape)
    for t in range(len(luck)):
        if t % 300 == 0:
            reached |= ca >= 0.3
            glu = glu + 0.01 * reached
        if t % astrocyte_every == 0:
            esp = pulsed * slow + written * 55e3 * tonic
        release = (luck[t] < np.clip(0.3 * (1 + (-1000 * ag * dse + esp) / 100), 0, 1)) & (spikes[t] > 0)
        ready = t - fired > 2
        if t % astrocyte_every == 0:
            dt = astrocyte_every * 1e-3
            er = 2 - 1.185 * ca
            q = 1.049 * (ip3 + 0.13) / (ip3 + 0.9434)
            channel = 6 * (ip3 / (ip3 + 0.13) * ca / (ca + 0.08234) * h) ** 3 * er
            changes = (
                (0.16 - ip3) / 7 + 0.5 * ag,
                channel + 0.11 * er - 0.8 * ca**2 / (0.01 + ca**2),
                0.2 * (q - (q + ca) * h),
                -glu / 0.1,
                10 * (ca >= 0.3) - tonic / 0.1,
                (55e3 * glu - slow) / 40,
            )
            states = (ip3, ca, h, glu, tonic, slow)
            ip3, ca, h, glu, tonic, slow = (x + dt * d for x, d in zip(states, changes, strict=True))
        v = np.where(ready, (v + release * 1.2 * 6650 / 60) * np.exp(-1 / 60), v)
        ag = ag * np.exp(-1e-3 / 10)
        fires = (v >= 9) & (t - fired >= 2)
        fired, ag, v = np.where(fires, t, fired), ag + 0.0008 * fires, np.where(fires, 0, v)
        calcium[t] = ca
    return calcium


def test_brian2_solves_the_same_equations_as_plain_numbers(tripartite):
    model, windows = tripartite["model"], 36
    names = ["no feedback", "DSE", "DSE and eSP", "DSE and eSP as written"]
    rates = np.full((1, len(names)), 40.0)
    np.random.seed(1)
    recording = model.simulate(rates, names, seed=3, windows=windows)
    assert np.random.rand() == np.random.RandomState(1).rand()  # what Brian2 draws from is left as it was
    spikes, luck = model.presynaptic(rates[0], windows * model.WINDOW, np.random.default_rng(3))
    every = partial(
        stepped, spikes, luck, np.array([0, 1, 1, 1]), np.array([0, 0, 1, 0]), np.array([0, 0, 0, 1])
    )
    expected = every(astrocyte_every=10)[model.WINDOW - 1 :: model.WINDOW]
    assert recording.calcium.max(0).min() > 0.3  # eSP was on
    assert np.ptp(recording.calcium[-1]) > 0.05  # and the variants went different ways
    np.testing.assert_allclose(recording.calcium, expected, atol=1e-9)
    assert (recording.arrived == spikes.reshape(windows, model.WINDOW, -1).sum(1)).all()


def test_the_luckiest_draw_of_a_step_releases_as_its_spikes_would_one_by_one(tripartite):
    rate = 100.0
    spikes, luck = tripartite["model"].presynaptic(np.array([rate]), 200_000, np.random.default_rng(5))
    assert spikes.mean() == pytest.approx(10 * rate * 1e-3, rel=0.01)
    assert (luck[spikes == 0] > 1).all()
    for n in (1, 2, 3):
        for probability in (0.1, 0.5, 0.9):
            share = (luck[spikes == n] < probability).mean()
            assert share == pytest.approx(1 - (1 - probability) ** n, abs=0.01)


def test_units_are_those_of_the_quantities_and_one_release_fires_the_neuron(tripartite):
    import brian2 as b

    values = tripartite["model"].constants(b)
    jump = values["R_m"] * values["I_injected"] * values["pulse"] / values["tau_m"]
    assert jump > values["v_threshold"]
    assert float(values["r_AG"] * values["pulse"] / b.umolar) == pytest.approx(0.8e-3)
    assert b.have_same_dimensions(values["v_ER"], values["r_C"] * values["c_0"])


def test_calcium_grows_with_the_fourth_root_of_the_rate_under_dse(tripartite):
    """Over 300 windows, 77 s, the last 50 s of them; the exponent then varies by 0.01 from seed to seed."""
    rates = np.array([tripartite["study"].ROUND], float)
    means = tripartite["model"].simulate(rates, ["DSE"] * rates.size, seed=11, windows=300).mean(50)
    slope, _ = np.polyfit(np.log(rates[0]), np.log(means), 1)
    assert slope == pytest.approx(0.25, abs=0.02)


@pytest.mark.slow
def test_calcium_grows_with_the_fourth_root_of_the_rate_under_dse_and_faster_with_esp(tripartite):
    study = tripartite["study"]
    names = [name for name in ("DSE", "DSE and eSP", "no feedback") for _ in study.ROUND]
    rates = np.tile(np.array(study.ROUND, float), (1, 3))
    means = tripartite["model"].simulate(rates, names, seed=11, windows=800).mean(100).reshape(3, -1)
    slopes = [np.polyfit(np.log(study.ROUND), np.log(each), 1)[0] for each in means]
    assert slopes == pytest.approx([0.25, 0.45, 0.485], abs=0.02)
    below, above = means[1][[3, 4]]  # 5 and 7 Hz
    assert above > 1.8 * below
    assert means[0].max() < 0.3  # without eSP mean calcium stays below the threshold


# ---- the reduced compartment -----------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["identity", "exp2", "log2", "power", "sigmoid", "tanh"])
def test_the_compartment_is_the_compilers_astrocyte(tripartite, output):
    reduced = tripartite["reduced"]
    unit = reduced.SlowUnit(4, 0.2, 0.3, 0.05, output, 0.25, 2.0)
    arrived = np.random.default_rng(2).poisson(3.0, (6, 2))
    astrocyte = Astrocyte(1, period=4, decay=0.2, drive=0.3, offset=0.05, output=output, exponent=0.25)
    spikes = np.zeros((2, 24, 1), np.float32)
    spikes[:, ::4, 0] = arrived.T
    sent, _ = unroll(astrocyte, torch.from_numpy(spikes))
    np.testing.assert_allclose(unit.calcium(arrived).T, 2 * sent[:, 3::4, 0], rtol=1e-5)


def test_the_state_settles_at_the_rate_with_the_time_constant(tripartite):
    reduced, model = tripartite["reduced"], tripartite["model"]
    unit = reduced.unit(10.0, 1.0, 2.0, "power", 0.25, 0.1)
    a_second = 20 * model.SYNAPSES * model.window_seconds()  # spikes of a window at 20 Hz
    states = unit.states(np.full((1000, 1), a_second))
    assert states[-1, 0] == pytest.approx(22)
    assert unit.seconds == pytest.approx(10)
    assert states[round(10 / model.window_seconds()) - 1, 0] / 22 == pytest.approx(1 - np.exp(-1), abs=0.01)
    assert unit.calcium(np.full((1000, 1), a_second))[-1, 0] == pytest.approx(0.1 * 22**0.25)


@pytest.mark.parametrize("output", ["power", "tanh", "log2"])
def test_a_fit_finds_the_compartment_that_made_the_data(tripartite, output):
    reduced, model = tripartite["reduced"], tripartite["model"]
    gain = 0.06 if output == "tanh" else 1.0
    truth = reduced.unit(8.0, gain, 1.2 * gain, output, 0.3, 0.2)
    rates = np.repeat(reduced.staircases(4, 8, 4), 40, axis=0)
    arrived = np.random.default_rng(4).poisson(rates * model.SYNAPSES * model.window_seconds())
    recording = model.Recording(truth.calcium(arrived), arrived)
    found = reduced.fit(recording, output, settling=40)
    assert found.seconds == pytest.approx(8, rel=1e-3)
    assert (found.drive, found.offset, found.scale) == pytest.approx(
        (truth.drive, truth.offset, truth.scale), rel=0.01
    )
    if output == "power":
        assert found.exponent == pytest.approx(0.3, rel=1e-3)
        assert reduced.fit(recording, output, 40, exponent=0.25).exponent == 0.25


def test_the_chip_follows_the_compartment(tripartite):
    reduced, chip, model = (tripartite[name] for name in ("reduced", "chip", "model"))
    unit = reduced.unit(5.0, 1.0, 0.5, "power", 0.25, 0.12)
    rates = np.repeat(reduced.staircases(6, 4, 3), 15, axis=0)
    arrived = np.random.default_rng(6).poisson(rates * model.SYNAPSES * model.window_seconds())
    x = tripartite["compartment"].spikes_of(arrived)
    assert (arrived == x.reshape(3, len(arrived), -1).sum(2).T).all()
    program = ad.compile(
        tripartite["compartment"].Compartment(unit), dt=chip.DT, input_shape=(10,), calibrate=x
    )
    expected = unit.calcium(arrived[:, 2:])
    off = chip.calcium_of(program, program.run(x[2:]), unit) - expected
    assert np.abs(off).max() < 0.005 * np.ptp(expected)


def test_more_spikes_than_a_window_has_places_for_are_refused(tripartite):
    with pytest.raises(ValueError, match="places for 2560 spikes, not for 2561"):
        tripartite["compartment"].spikes_of(np.array([[2561]]))


# ---- the study -------------------------------------------------------------------------------------------


def test_the_exponents_of_a_power_law_are_its_own(tripartite):
    study = tripartite["study"]
    rates = np.array(study.RATES, float)
    found = study._exponents(np.where(rates > 0, 0.1 * np.maximum(rates, 1) ** 0.25, 1e-12))
    assert len(found) == 4
    assert [slope for slope, _ in found.values()] == pytest.approx([0.25] * 4)


def test_a_moving_mean_is_that_of_so_many_rows(tripartite):
    x = np.random.default_rng(0).normal(size=(20, 3))
    expected = [x[i : i + 6].mean(0) for i in range(15)]
    np.testing.assert_allclose(tripartite["study"].moving_mean(x, 6), expected)


@pytest.mark.slow
def test_a_short_study_is_measured_and_presented(tripartite, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    study = tripartite["study"]
    monkeypatch.setattr(study, "WINDOWS", 15)
    result = study.measure(1)
    for each in result["chip"].values():
        assert "fast" in each["engines"]["engines"]
        assert all(engine["differing"] == 0 for engine in each["engines"]["engines"].values())
    assert all(each["identical"] for each in result["chip"].values())
    text, figure = study.present([result, result])
    assert "2 seeds, mean" in text
    assert all(name in text for name in tripartite["model"].VARIANTS)
    assert len(figure.axes) == 4


@pytest.mark.slow
def test_the_script_writes_a_network_that_compiles(tmp_path):
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(FOLDER / "train.py"),
        "-o",
        str(tmp_path),
        "--windows",
        "8",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with np.load(tmp_path / "test.npz") as test, np.load(tmp_path / "calibrate.npz") as calibrate:
        program = ad.compile(tmp_path / "model.pt", "loihi2", calibrate=calibrate["x"])
        trace = program.run(test["x"])
    assert trace.spikes["astrocyte"].any()
