"""The astromorphic transformer: its equations, its two forms, its Programs, its study."""

import json
import subprocess
import sys
from dataclasses import replace

import nir
import numpy as np
import pytest
import torch
from model_modules import modules_of

import astrodeploy as ad
from astrodeploy.resources import data_folder

FOLDER = data_folder("models") / "transformer"
SHAPES = [
    {},
    {"causal": True},
    {"sigma": "outside"},
    {"sigma": "none", "alpha": 1.0, "astro": False, "places": True},
    {"sigma": "outside", "causal": True, "places": True},
    {"attention": "none", "places": True},
]


@pytest.fixture(scope="module")
def system():
    """Its modules, by name."""
    with modules_of("transformer") as modules:
        yield modules


@pytest.fixture(scope="module")
def digits(system):
    return system["train"].digits(5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformer")
    command = [sys.executable, str(FOLDER / "train.py"), "--out", str(folder), "--seed", "5", "--epochs", "2"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def program(files):
    return ad.compile(files / "model.pt", calibrate=_x(files / "calibrate.npz"))


def _x(path):
    with np.load(path) as archive:
        return archive["x"]


def _made(system, settings, dtype=torch.float64):
    torch.manual_seed(3)
    return system["model"].Parallel([settings]).to(dtype)


# ---- equations -------------------------------------------------------------------------------------------


def _phi(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def _attended(x, weights, alpha, scale, outside):
    """Eqs 8 to 17, token by token, for one digit's X (tokens, d)."""
    tokens = len(x)
    distance = np.array([[1 / (1 + abs(i - j)) for j in range(tokens)] for i in range(tokens)])
    basis = weights["basis"]
    astro = _phi(basis.T @ (basis @ distance @ basis.T)).T  # (m, tokens): eq 12
    hebbian, s = np.zeros((16, 16)), np.zeros(16)
    for t in range(tokens):
        h, v = _phi(x[t] @ weights["to_key"]), x[t] @ weights["to_value"]
        hebbian += np.outer(h, v) + np.outer(astro[:, t], v)  # eqs 9, 10
        s += h  # eq 13
    squashed = lambda a: 1 / (1 + np.exp(-a))
    hebbian = squashed(hebbian) / scale if outside else squashed(hebbian / scale)
    rows = []
    for t in range(tokens):
        q = _phi(x[t] @ weights["to_query"])
        rows.append(q @ hebbian / (q @ s**alpha))  # eqs 14 to 17
    return np.array(rows)


@pytest.mark.parametrize("sigma", ["inside", "outside"])
def test_the_attention_is_the_papers(system, sigma):
    settings = system["model"].Settings(sigma=sigma, scale=5.0)
    model = _made(system, settings)
    x = torch.randn(4, 8, 16, dtype=torch.float64)
    weights = {name: p[0].detach().numpy() for name, p in model.named_parameters()}
    expected = [_attended(each, weights, 0.25, 5.0, sigma == "outside") for each in x.numpy()]
    assert np.allclose(model.attended(x[None])[0].detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_one_step_after_the_other_gives_the_same_as_all_tokens_at_once(system, digits, settings):
    chosen = system["model"].Settings(**settings)
    model = _made(system, chosen)
    network = system["model"].deployed(model).double()
    x = torch.from_numpy(system["model"].steps_of(digits[1][:20].numpy(), chosen)).double()
    state, sums, outputs = None, 0, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            logits, state = network(x[:, t], state)
            outputs.append(logits)
        sums = sum(outputs)
        expected = model(digits[1][:20].double())[0]
    assert torch.allclose(sums / 8, expected, rtol=1e-5, atol=1e-6)
    silent = [t for t in range(x.shape[1]) if not x[0, t, -8:].any()]
    assert len(silent) == (0 if chosen.causal or chosen.attention == "none" else 8)
    assert not any(outputs[t].any() for t in silent)


def test_only_the_causal_form_ignores_what_is_to_come(system):
    x = torch.randn(1, 1, 8, 16, dtype=torch.float64)
    other = x.clone()
    other[..., 7, :] += 1
    for causal in (True, False):
        model = _made(system, replace(system["model"].Settings(), causal=causal))
        change = (model.attended(x) - model.attended(other)).abs().amax((0, 1, 3))
        assert change[7] > 1e-3
        assert (change[:7] == 0).all() == causal


def test_what_is_nothing_has_no_reciprocal_and_no_gradient(system):
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    y = system["model"].power(x, -1.0)
    assert y.tolist() == [0.0, 0.25]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, -0.0625]


def test_softmax_is_trained_and_not_deployed(system):
    model = _made(system, system["model"].Settings(attention="softmax"))
    with pytest.raises(ValueError, match="every token at once"):
        system["model"].deployed(model)


# ---- training ----------------------------------------------------------------------------------------------


def test_a_lane_is_trained_as_it_would_be_alone(system, digits):
    settings = system["model"].Settings(rate=1e-2)
    other = replace(settings, alpha=1.0, astro=False, rate=1e-3)
    train, (x, _, y, _) = system["train"].train, digits
    both, alone = (train(lanes, x[:128], y[:128], 2, epochs=2) for lanes in ([other, settings], [settings]))
    for one, two in zip(both.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(one[1], two[0], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(both.to_key[0], both.to_key[1])


def test_it_learns_and_the_chip_reads_as_it_does(system, files, program):
    with np.load(files / "test.npz") as archive:
        x, y = archive["x"], archive["y"]
    exact, chip = program.run(x, "reference"), program.run(x)
    assert exact.accuracy(y) > 0.4
    assert abs(chip.accuracy(y) - exact.accuracy(y)) <= system["tables"].TOLERANCE + 1e-9
    assert np.mean(exact.predictions == chip.predictions) > 0.97
    for name, most in {"calcium": 0.05, "reciprocal": 0.03, "hebbian": 0.05, "tokens": 0.05}.items():
        off = chip.spikes[name] / program.network[name].node.units["message"] - exact.spikes[name]
        assert np.sqrt(np.mean(off**2) / np.mean(exact.spikes[name] ** 2)) < most


# ---- programs ------------------------------------------------------------------------------------------------


def test_engines_agree(files, program):
    x = _x(files / "test.npz")[:2]
    found = ad.verify(program, x, engines=("oracle", "fast"))
    assert found.equal
    assert found.comparisons[0].spikes > 4000


@pytest.mark.slow
def test_lava_agrees(files, program):
    found = ad.verify(program, _x(files / "test.npz")[:1], engines=("fast", "lava"))
    assert found.equal or found.not_run


def test_checkpoint_and_nir_give_the_same_program(system, files, program, tmp_path):
    x = _x(files / "calibrate.npz")
    ad.export(files / "model.pt", tmp_path / "model.nir", sample=x)
    said = json.loads(nir.read(tmp_path / "model.nir").metadata["astrodeploy"])
    assert said["core"] == "parts only"
    assert system["study"].same_but_recipe(program, ad.compile(tmp_path / "model.nir", calibrate=x))


def test_nothing_is_sent_while_tokens_are_written(files, program):
    chip = program.run(_x(files / "test.npz")[:20])
    for name in ("query", "reciprocal", "tokens", "tail_norm", "tail_logits"):
        first = program.network[name].depth + 8
        assert not chip.spikes[name][:, :first].any()
        assert chip.spikes[name][:, first : first + 8].any()


@pytest.mark.parametrize(
    ("exponent", "near", "far"), [(0.25, 0.0005, 0.0005), (-1.0, 0.004, 0.06), (-0.5, 0.001, 0.002)]
)
def test_powers_on_the_chip_are_as_close_as_their_messages_allow(system, exponent, near, far):
    worst = system["study"].swept(exponent)
    assert worst["message"]["to 64"] < near
    assert worst["message"]["to 1000"] < far
    assert worst["message"]["to 1000"] < worst["cut"]["to 1000"] + 0.0005
    assert worst["value"]["to 1000"] < 0.0005


# ---- study ---------------------------------------------------------------------------------------------------


def test_every_arm_is_measured_with_and_without_positions(system, digits):
    few = tuple(each[:500] for each in digits)
    found = system["ablation"].ablation(0, few, epochs=1)
    assert len(found) == 2 * len(system["ablation"].ARMS)
    assert all(len(each["curve"]) == 1 and 0 < each["test"] < 1 for each in found.values())
    assert set(system["tables"].CLAIMED) <= set(found)
    assert set(system["tables"].SHOWN) <= set(found)
    assert {name for pair in system["tables"].PAIRS for name in pair} <= set(found)


def test_accuracy_and_epochs_are_of_the_rate_that_ends_best_on_validation_digits(system):
    soon = {"rate": 0.1, "curve": [0.9, 0.8], "test": 0.99}
    best = {"rate": 0.01, "curve": [0.7, 0.85], "test": 0.8}
    assert system["ablation"].chosen([soon, best]) is best


def _runs(*curves):
    return [{"curve": curve, "test": 0.9} for curve in curves]


def test_a_seed_that_does_not_arrive_counts(system):
    told = system["tables"]._epochs
    early, late, never = [0.9, 0.9, 0.9], [0.0, 0.0, 0.85], [0.0, 0.8, 0.8]
    assert told(_runs(early), 0.85) == "1, 1/1"
    assert told(_runs(early, late), 0.85) == "2 (1 to 3), 2/2"
    assert told(_runs(early, late, never), 0.85) == "3 (1 to > 3), 2/3"
    assert told(_runs(early, never), 0.85) == "> 3 (1 to > 3), 1/2"
    assert told(_runs(never, never), 0.85) == "> 3, 0/2"


def test_fewer_epochs_are_told_only_where_more_than_half_arrive_on_both_sides(system):
    fewer = system["tables"]._fewer
    early, late, never = [0.9, 0.9, 0.9, 0.9], [0.0, 0.0, 0.0, 0.9], [0.0] * 4
    assert fewer(_runs(early, early), _runs(late, late), 0.85) == ("75%", "2, 0 of 2")
    assert fewer(_runs(early, early), _runs(late, never), 0.85) == ("not told", "2, 0 of 2")
    assert fewer(_runs(early, never, late), _runs(late, never, early), 0.85) == ("0%", "1, 1 of 3")


def test_claimed_shares_are_the_papers(system):
    tables = system["tables"]
    assert tables._claimed(tables.FULL, tables.WITHOUT) == "27.3%, 59.5%"
    assert tables._claimed(tables.FULL, tables.LINEAR) == "70.4%, 79.1%"
    assert tables._claimed(tables.FULL, "no attention") == "-"


@pytest.mark.slow
def test_a_seed_is_plain_data_and_makes_tables_and_a_figure(system, monkeypatch):
    study, train = system["study"], system["train"].train
    monkeypatch.setattr(study, "train", lambda *given: train(*given, epochs=2))
    monkeypatch.setattr(study, "ablation", lambda *given: system["ablation"].ablation(*given, epochs=2))
    measured = json.loads(json.dumps(study.measure(1)))
    for count in (1, 2, 3):
        text, figure = study.present([measured] * count)
        assert "nan" not in text
        assert text.count(f"| {count} of {count} seeds | parts only |") == 3
    assert len(figure.axes) == 2
