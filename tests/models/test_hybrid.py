"""The hybrid network: from train.py to Programs that every engine runs alike, and the parts of its study."""

import json
import subprocess
import sys

import nir
import numpy as np
import pytest
import torch
from model_modules import modules_of

import astrodeploy as ad
from astrodeploy.nn import carry, unroll
from astrodeploy.resources import data_folder

DIGITS = 10
FOLDER = data_folder("models") / "hybrid"


@pytest.fixture(scope="module")
def hybrid():
    """Its modules, by name."""
    with modules_of("hybrid") as modules:
        yield modules


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hybrid")
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(FOLDER / "train.py"),
        "--out",
        str(folder),
        "--epochs",
        "3",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with np.load(folder / "test.npz") as digits:
        return folder / "model.pt", digits["x"], digits["y"]


def test_every_engine_agrees_on_a_stream_of_digits(trained):
    model, x, _ = trained
    program = ad.compile(model, target="loihi2")
    verification = ad.verify(program, x[:DIGITS], carry=("astrocytes",))
    assert verification.equal
    assert verification.not_run == {}
    assert [c.right for c in verification.comparisons] == ["fast", "lava"]
    assert all(c.spikes > 1000 and c.states > 50_000 for c in verification.comparisons)
    assert verification.brian2.differing == 0
    assert verification.brian2.spikes > 1000


def test_float_and_quantised_recognise_most_digits_alive_and_frozen(trained):
    model, x, y = trained
    alive, frozen = ad.compile(model), ad.compile(model, target="loihi1", freeze_astrocytes=True)
    runs = [
        alive.run(x[:100], engine=engine, carry=("astrocytes",)) for engine in ("torch", "reference", "fast")
    ]
    runs += [frozen.run(x[:100], engine=engine) for engine in ("torch", "fast")]
    assert min(run.accuracy(y[:100]) for run in runs) > 0.7
    assert np.array_equal(runs[0].predictions, runs[1].predictions)
    gains = runs[2].spikes["hidden_astrocytes"]
    assert len(np.unique(gains[gains != 0])) > 10  # the astrocytes were at work


def test_checkpoint_and_nir_give_the_same_program(hybrid, trained, tmp_path):
    model, _, _ = trained
    document = ad.export(model, tmp_path / "model.nir")
    assert hybrid["chip"].same_but_recipe(ad.compile(model), ad.compile(document))


def test_the_nir_file_says_that_it_runs_at_rest(trained, tmp_path):
    model, _, _ = trained
    said = nir.read(ad.export(model, tmp_path / "model.nir")).metadata["astrodeploy"]
    assert json.loads(said)["core"] == "runs at rest"


# ---- the network over all steps at once ----------------------------------------------------------------


def test_a_whole_digit_is_what_unrolling_gives_spikes_and_gradients(hybrid):
    torch.manual_seed(0)
    model = hybrid["model"].Hybrid(3, 20, domain=8)
    model.hidden.log_gain.uniform_(-1, 1)
    x = torch.rand(6, 20)
    gradients = []
    for spikes in (
        unroll(model, x, hybrid["model"].STEPS)[0].sum(1),
        hybrid["whole"].counts(model, x),
    ):
        model.zero_grad()
        (spikes**2).mean().backward()
        gradients.append(
            (spikes.detach(), model.expand.weight.grad.clone(), model.classify.weight.grad.clone())
        )
    assert gradients[0][0].sum() > 50
    assert torch.equal(gradients[0][0], gradients[1][0])
    for step_by_step, at_once in zip(gradients[0][1:], gradients[1][1:], strict=True):
        assert step_by_step.abs().max() > 0.01
        torch.testing.assert_close(at_once, step_by_step, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("period", [7, 24, 64])
def test_a_stream_is_what_the_module_gives_digit_by_digit(hybrid, period):
    torch.manual_seed(period)
    model = hybrid["model"].Hybrid(3, 20, domain=8, period=period, rate=3.0)
    model.hidden.log_gain.uniform_(-1, 1)
    x, state, expected = torch.rand(20, 3, 20), None, []
    with torch.no_grad():
        for digits in x:
            spikes, state = unroll(model, digits, hybrid["model"].STEPS, carry(state))
            expected.append(spikes.sum(1))
    stream = hybrid["whole"].Stream.at_rest(model, 3)
    found = hybrid["whole"].stream_counts(model, x, stream)
    assert torch.equal(found, torch.stack(expected))
    torch.testing.assert_close(stream.log_gain, state[1].log_gain, rtol=1e-4, atol=1e-4)
    assert (stream.log_gain - model.hidden.log_gain).abs().max() > 0.1


# ---- digits and noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_digits_put_aside_are_in_no_study(hybrid, name):
    data = hybrid["data"]
    kept, aside = data.for_study(name), data.for_study(name, choosing=True)
    assert len(kept) + len(aside) == len(data.load(name)) == {"digits": 1797, "mnist": 8000}[name]
    assert aside.x.min() >= 0 and aside.x.max() <= 1
    pictures = {each.tobytes() for each in kept.x}
    assert sum(each.tobytes() in pictures for each in aside.x) == 0
    few = data.few(kept, 3, np.random.default_rng(0))
    assert np.bincount(few.y).tolist() == [3] * 10


def test_the_demo_in_the_study_takes_no_digit_that_was_chosen_on(hybrid, monkeypatch):
    data, study, given = hybrid["data"], hybrid["study"], []

    def trained(seed, digits, held_back):
        given.append((digits, held_back))
        raise InterruptedError

    monkeypatch.setattr(study, "trained", trained)
    with pytest.raises(InterruptedError):
        study._demo(0)
    ((digits, held_back),) = given
    chosen_on = {each.tobytes() for each in data.for_study("digits", choosing=True).x}
    assert held_back == 300
    assert not any(each.tobytes() in chosen_on for each in digits.x)


def test_training_divides_the_digits_that_it_is_given(hybrid):
    data, train = hybrid["data"], hybrid["train"]
    digits = data.for_study("digits")
    _, learnt, held_back = train.trained(0, digits, 1000, epochs=1)
    assert (len(learnt), len(held_back)) == (297, 1000)
    parts = [{each.tobytes() for each in part.x} for part in (learnt, held_back)]
    assert parts[0] | parts[1] == {each.tobytes() for each in digits.x} and not parts[0] & parts[1]


def test_noise_is_as_much_as_its_level_says(hybrid):
    data, x = hybrid["data"], np.full((400, 28, 28), 0.25, np.float32)
    for level in data.LEVELS:
        rng = np.random.default_rng(0)
        hidden = data.occlusion(x, level, rng) == 0
        assert abs(hidden.mean() - level) < 0.02
        first = hidden[0]  # a full rectangle
        rows, columns = first.any(1), first.any(0)
        assert first.sum() == rows.sum() * columns.sum()
        struck = data.impulse(x, level, rng)
        assert abs((struck != 0.25).mean() - level) < 0.01
        assert abs((struck == 1).mean() - level / 2) < 0.01
        blurred = data.gaussian(x + 0.25, level, rng)
        assert blurred.min() >= 0 and blurred.max() <= 1
        inside = np.abs(blurred - 0.5) < 0.499
        assert abs(inside.mean() - _within(0.499 / level)) < 0.01
        every = data.combined(x, level, rng)
        assert abs((every == 1).mean() - level / 4) < 0.03


def _within(sigmas):
    from math import erf, sqrt

    return erf(sigmas / sqrt(2))


def test_streams_hold_the_same_digits_and_noise_only_where_they_say(hybrid):
    comparison, data = hybrid["comparison"], hybrid["data"]
    _, test = data.put_aside(data.for_study("digits"), 300, 0)
    streams = comparison.noisy_streams(test, np.random.default_rng(0))
    assert streams.shape == (300, 17, 8, 8)
    assert np.array_equal(streams[:, 0], test.x)
    for part in (slice(0, 50), slice(250, 300)):
        assert np.array_equal(streams[part], np.repeat(test.x[part, None], 17, 1))
    assert np.all((streams[50:250, 1:] != test.x[50:250, None]).any((0, 2, 3)))
    right = comparison.right_in_blocks(np.repeat(test.y[:, None], 17, 1), test.y)
    assert np.array_equal(right, np.full((17, 12), 25))


# ---- what it is compared with --------------------------------------------------------------------------


def test_the_nearest_digit_by_brute_force(hybrid):
    rng = np.random.default_rng(1)
    train = hybrid["data"].Digits(rng.random((30, 4, 4), np.float32), np.arange(30) % 10)
    x = rng.random((5, 3, 4, 4), np.float32)
    expected = [[train.y[((train.x - each) ** 2).sum((1, 2)).argmin()] for each in row] for row in x]
    found = hybrid["baselines"].nearest(train, torch.from_numpy(x.reshape(5, 3, 16)))
    assert np.array_equal(found, expected)


def test_normalisation_undoes_what_shifts_and_stretches_every_unit(hybrid):
    baselines, data = hybrid["baselines"], hybrid["data"]
    torch.manual_seed(0)
    network = baselines.Ann(16)
    network.expand.bias.data.zero_()
    train = data.Digits(np.random.default_rng(0).random((4000, 4, 4), np.float32), np.zeros(4000, int))
    x, _ = data.tensors(train)
    plain, bright = network(x)[:, None], 3 * x[:, None]
    assert (network(bright) - plain).abs().mean() > 0.1
    assert (baselines.normalised(network, train, bright) - plain).abs().max() < 0.05
    running = baselines.normalised_running(network, train, bright)[200:]
    assert (running - plain[200:]).abs().mean() < 0.4 * (network(bright) - plain)[200:].abs().mean()


def test_gains_set_by_a_batch_bring_activities_together(hybrid):
    comparison, whole = hybrid["comparison"], hybrid["whole"]
    torch.manual_seed(0)
    model = hybrid["model"].Hybrid(3, 20, domain=1)
    x = torch.rand(300, 2, 20)
    answers = comparison.set_by_batch(model, x)
    assert answers.shape == (300, 2, 10)
    rest = torch.stack([whole.counts(model, cell) for cell in x.unbind(1)], 1)
    clean = [*range(50), *range(250, 300)]
    assert torch.equal(answers[clean], rest[clean])
    assert not torch.equal(answers[50:250], rest[50:250])
    current = model.expand(whole.encoded(model, x[50:250, 0]))
    before, after = (
        whole.hidden_spikes(model, current, gain).mean((0, 1))
        for gain in (model.hidden.log_gain, comparison.gain_of_batch(model, current))
    )
    assert after.std() < 0.5 * before.std()


# ---- tables and picture --------------------------------------------------------------------------------


def _results(hybrid, seeds):
    scores, comparison, data = hybrid["scores"], hybrid["comparison"], hybrid["data"]
    rng = np.random.default_rng(0)
    engine = {"digits": 3, "spikes": 5, "states": 7, "differing": 0, "excused": 0}
    cost = {"energy": [1e-6] * 3, "operations": 1e-6, "latency": [1e-6] * 3, "astrocytes": 0.2, "cores": 7}
    chip = {
        "same from nir": True,
        "bits": {"fast": engine, "lava": None, "brian2": engine},
        "with": cost,
        "without": cost,
    }
    networks = {"digits": chip, "mnist": chip, "demo": chip}
    return [
        {
            "seed": seed,
            "right": {
                name: {
                    shots: {
                        m: rng.integers(0, 26, (17, 12)).tolist()
                        for m in scores.MODELS
                        if shots == comparison.MAIN or m not in (scores.ON_CHIP, scores.BATCH_HYBRID)
                    }
                    for shots in comparison.SHOTS
                }
                for name in data.SIDES
            },
            "chip": networks,
            "agreeing": {name: [1.0, 0.5] for name in networks},
            "demo": {"trained on": 1234, "accuracy": {"clean": {"torch": 0.9, "chip": 0.8}}},
        }
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_tables_say_what_was_measured(hybrid, seeds):
    results = json.loads(json.dumps(_results(hybrid, seeds)))
    text, figure = hybrid["study"].present(results)
    right = np.array([each["right"]["mnist"]["10"]["ANN"] for each in results])[:, 7, 2:10]
    mean = 100 * right.mean() / 25
    row = next(
        line for line in text.splitlines() if line.startswith("| impulse 50 %") and f"{mean:.1f} ±" in line
    )
    assert row
    assert (
        "not run" in text
        and f": {seeds} seed" in text
        and "on 1,234 digits" in text
        and "0 of 36" in text.replace("0 of 12 ", "0 of 36 ")
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") > 3 for line in lines)
    assert len(figure.axes) == 16
    assert all(len(axis.lines) == len(axis.collections) == 10 for axis in figure.axes[:8])


def test_what_is_said_of_the_chip_is_measured_on_it(hybrid):
    scores, results = hybrid["scores"], _results(hybrid, 2)
    for each in results:
        right = each["right"]["digits"]["10"]
        right[scores.ON_CHIP] = np.full((17, 12), 25).tolist()
        right[scores.FROZEN] = np.full((17, 12), 20).tolist()
    lines = hybrid["tables"].written(results).splitlines()
    line = next(each for each in lines if "adapting, on loihi2, against frozen" in each)
    assert "digits +20.0 ± 0.0 (2/2)" in line
    worth = lines.index("### What adapting on the chip is worth")
    frozen = next(each for each in lines[worth:] if each.startswith("| hybrid, gains frozen"))
    assert frozen.startswith("| hybrid, gains frozen | +20.0 ± 0.0 (2/2) |")


def test_paired_differences_are_taken_seed_by_seed(hybrid):
    first, second = np.array([50.0, 60.0, 70.0]), np.array([49.0, 58.0, 71.0])
    assert hybrid["tables"]._difference(first, second) == "+0.7 ± 1.5 (2/3)"
    assert hybrid["tables"]._difference(first, None) == "-"
