"""Fine-tuning on real digits: what a coarse chip loses comes back, the same on every run, and errors are told."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import astrodeploy as ad
from astrodeploy.cli import main
from astrodeploy.errors import InputError, StimulusError, UnsupportedError
from astrodeploy.finetune.training import Progress, Settings, tune
from astrodeploy.frontends.torch.checkpoint import write_checkpoint
from astrodeploy.ir import LIF, Connection, Graph, Population, RateEncoder
from astrodeploy.ir.nodes import gain_astrocyte
from astrodeploy.ir.wiring import Dense
from astrodeploy.resources import data_folder

STEPS, HIDDEN, CLASSES = 6, 48, 10


def neurons(n, bias=0.0, sends="spikes"):
    numbers = {"tau": 4e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": bias}
    return LIF(**{k: np.full(n, v) for k, v in numbers.items()}, sends=sends)


def untrained(seed=0):
    """Digits -> 48 LIF -> 10 membranes, with random weights."""
    rng = np.random.default_rng(seed)
    return Graph(
        1e-3,
        (
            Population("x", (64,), RateEncoder(STEPS, 1)),
            Population("h", (HIDDEN,), neurons(HIDDEN, bias=0.2)),
            Population("o", (CLASSES,), neurons(CLASSES, sends="membrane")),
        ),
        (
            Connection("x", "h", "current", Dense(rng.normal(0, 0.7, (HIDDEN, 64)))),
            Connection("h", "o", "current", Dense(rng.normal(0, 0.3, (CLASSES, HIDDEN)))),
        ),
        ("o",),
        "mean",
    )


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


@pytest.fixture(scope="module")
def trained(digits):
    """A network that the finest chip runs well."""
    x, y = digits
    return tune(untrained(), x[:800], y[:800], Settings(epochs=5, learning_rate=5e-2)).graph


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """A chip like loihi2 whose weights have 3 bits."""
    text = (data_folder("targets") / "loihi2" / "chip.toml").read_text()
    assert "weight_bits = { value = 8" in text
    path = tmp_path_factory.mktemp("coarse") / "coarse.toml"
    path.write_text(
        text.replace("weight_bits = { value = 8", "weight_bits = { value = 3").replace('"loihi2"', '"coarse"')
    )
    return path


def accuracy(graph, target, digits):
    x, y = digits
    return ad.compile(graph, target).run(x[1200:]).accuracy(y[1200:])


def test_it_trains_through_the_chip_from_nothing(trained, digits):
    assert accuracy(untrained(), "loihi2", digits) < 0.3
    assert accuracy(trained, "loihi2", digits) > 0.8


def test_what_coarse_weights_lose_comes_back(trained, coarse, digits):
    x, y = digits
    fine, before = (accuracy(trained, target, digits) for target in ("loihi2", coarse))
    tuning = tune(trained, x[:800], y[:800], Settings(coarse, epochs=4, learning_rate=1e-2))
    after = accuracy(tuning.graph, coarse, digits)
    assert before < fine - 0.03
    assert after > before + (fine - before) / 2
    assert tuning.held_back == 160
    assert [e.number for e in tuning.epochs] == [0, 1, 2, 3, 4]
    assert tuning.kept == max(tuning.epochs, key=lambda e: (e.accuracy, -e.loss))


def test_the_same_seed_gives_the_same_network(digits):
    x, y = digits
    settings = Settings(epochs=1, learning_rate=1e-2, seed=4)
    first, second = (tune(untrained(), x[:200], y[:200], settings) for _ in range(2))
    other = tune(untrained(), x[:200], y[:200], replace(settings, seed=5))
    assert first.epochs == second.epochs
    assert first.graph.text() == second.graph.text() != other.graph.text()


def test_a_network_that_gets_worse_is_returned_as_it_came(trained, digits):
    x, y = digits
    tuning = tune(trained, x[:300], y[:300], Settings(epochs=1, learning_rate=1000.0))
    assert tuning.epochs[1].accuracy < tuning.epochs[0].accuracy
    assert tuning.kept.number == 0
    assert tuning.graph.text() == ad.load(trained).text()


def test_without_samples_held_back_the_last_epoch_is_kept(trained, digits):
    x, y = digits
    tuning = tune(trained, x[:300], y[:300], Settings(epochs=2, learning_rate=1000.0, held_back=0.0))
    assert tuning.held_back == 0
    assert tuning.kept is tuning.epochs[2]
    assert tuning.kept.accuracy < tuning.epochs[0].accuracy


def test_progress_and_the_public_function(digits):
    x, y = digits
    seen: list[Progress] = []
    tune(untrained(), x[:100], y[:100], Settings(epochs=2, batch=40), seen.append)
    assert [(p.done, p.total) for p in seen] == [(1, 4), (2, 4), (2, 4), (3, 4), (4, 4), (4, 4)]
    assert [p.last.number for p in seen] == [0, 0, 1, 1, 1, 2]
    graph = ad.fine_tune(untrained(), x[:100], y[:100], "loihi2", epochs=1, calibrate=x[:20])
    assert graph.layers == ("x", "h", "o")


def test_the_topology_stays(digits):
    x, y = digits
    graph = untrained()
    weights = graph.connections[0].wiring.values * (np.random.default_rng(0).random((HIDDEN, 64)) < 0.5)
    from astrodeploy.ir.wiring import Sparse

    sparse = replace(graph.connections[0], wiring=Sparse.of(weights))
    graph = replace(graph, connections=(sparse, graph.connections[1]))
    tuned = ad.fine_tune(graph, x[:200], y[:200], epochs=1, learning_rate=0.1)
    before, after = (next(c for c in g.connections if c.source == "x").wiring for g in (graph, tuned))
    assert np.array_equal(before.columns, after.columns)
    assert not np.allclose(before.values, after.values)


def test_bad_settings_and_data(digits):
    x, y = digits
    for settings, message in (
        ({"epochs": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "must be a positive number"),
        ({"learning_rate": float("nan")}, "must be a positive number"),
        ({"held_back": 1.0}, "at least 0 and below 1"),
        ({"held_back": -0.1}, "at least 0 and below 1"),
    ):
        with pytest.raises(InputError, match=message):
            Settings(**settings)
    for labels, message in (
        (y[:10], "one label a sample"),
        (y[:20] + 1, r"whole numbers in 0\.\.9"),
        (y[:20] + 0.5, r"whole numbers in 0\.\.9"),
    ):
        with pytest.raises(StimulusError, match=message):
            tune(untrained(), x[:20], labels, Settings())
    with pytest.raises(StimulusError, match="at least 2 samples"):
        tune(untrained(), x[:1], y[:1], Settings())
    with pytest.raises(StimulusError, match="shape"):
        tune(untrained(), x[:20, :60], y[:20], Settings())


def test_networks_that_can_not_be_tuned(digits):
    x, y = digits
    graph = untrained()
    two = replace(graph, outputs=("o", "h"))
    with pytest.raises(UnsupportedError, match="the outputs o, h: fine-tuning needs the one"):
        tune(two, x[:20], y[:20], Settings())


def test_astrocytes_stay_at_rest_and_are_said_so(digits):
    x, y = digits
    graph = untrained()
    node = gain_astrocyte(4, 0.1, 0.5, 0.1, -2.0, 2.0, np.array([0.3]))
    loop = (
        Connection("h", "glia", "activity", Dense(np.full((1, HIDDEN), -1 / HIDDEN)), lag=1),
        Connection("glia", "h", "modulation", Dense(np.ones((HIDDEN, 1))), lag=1),
    )
    graph = replace(
        graph,
        populations=(*graph.populations, Population("glia", (1,), node)),
        connections=(*graph.connections, *loop),
    )
    tuning = tune(graph, x[:200], y[:200], Settings(epochs=1, learning_rate=2e-2))
    assert tuning.notes == ("glia: gains stayed at rest while training",)
    assert "glia" in tuning.graph.layers
    frozen = tune(graph, x[:200], y[:200], Settings("loihi1", epochs=1, freeze_astrocytes=True))
    assert "glia" not in frozen.graph.layers


def test_the_command(tmp_path, capsys, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    x, y = digits
    write_checkpoint(untrained(), Path("net.pt"))
    np.savez("data.npz", x=x[:120], y=y[:120])
    command = [
        "astrodeploy",
        "fine-tune",
        "net.pt",
        "--data",
        "data.npz",
        "--epochs",
        "2",
        "--learning-rate",
        "0.02",
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--calibrate", "data.npz"])
    with pytest.raises(SystemExit, match="0"):
        main()
    shown = capsys.readouterr().out
    assert "on 24 samples held back" in shown
    assert shown.count("kept") == 1
    assert "--target loihi2 --calibrate data.npz" in shown
    assert ad.compile("net.tuned.pt").run(x[:2]).outputs.shape == (2, CLASSES)
    monkeypatch.setattr(sys, "argv", [*command, "--json", "-o", "other.pt"])
    with pytest.raises(SystemExit, match="0"):
        main()
    facts = json.loads(capsys.readouterr().out)
    assert [e["number"] for e in facts["epochs"]] == [0, 1, 2]
    assert facts["path"] == "other.pt"
    np.savez("unlabelled.npz", x=x[:20])
    monkeypatch.setattr(sys, "argv", ["astrodeploy", "fine-tune", "net.pt", "--data", "unlabelled.npz"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "holds no y" in capsys.readouterr().err
