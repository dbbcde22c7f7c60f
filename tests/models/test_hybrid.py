"""The demo's network, trained shortly: from model.pt to a Program that every engine runs alike."""

import subprocess
import sys

import numpy as np
import pytest

import astrodeploy as ad
from astrodeploy.resources import data_folder

DIGITS = 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hybrid")
    script = data_folder("models") / "hybrid" / "train.py"
    command = [sys.executable, "-W", "ignore", str(script), "--out", str(folder), "--epochs", "3"]
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


def test_checkpoint_and_nir_give_the_same_program(trained, tmp_path):
    model, _, _ = trained
    ad.export(model, tmp_path / "model.nir")
    folders = [
        ad.compile(source).save(tmp_path / name)
        for source, name in ((model, "a"), (tmp_path / "model.nir", "b"))
    ]
    files = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]
