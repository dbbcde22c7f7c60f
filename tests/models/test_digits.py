"""The two digit networks, trained shortly on scikit-learn's digits: from train.py to Programs of both chips."""

import subprocess
import sys

import numpy as np
import pytest

import astrodeploy as ad
from astrodeploy.resources import data_folder

DIGITS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("digits")
    script = data_folder("models") / "digits" / "train.py"
    command = [sys.executable, "-W", "ignore", str(script), "--out", str(made), "--epochs", "3"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return made


@pytest.mark.parametrize(("name", "least"), [("convolutional", 0.5), ("recurrent", 0.3)])
@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_all_of_it_runs_on_the_chip_and_reads_the_same_digits(folder, name, least, target):
    with np.load(folder / f"{name}_test.npz") as digits:
        x, y = digits["x"][:DIGITS], digits["y"][:DIGITS]
    program = ad.compile(folder / f"{name}.pt", target)
    assert program.network.before is program.network.after is None
    exact, chip = program.run(x, "reference"), program.run(x)
    assert exact.accuracy(y) > least
    assert np.mean(exact.predictions == chip.predictions) > 0.9
    assert sum(int(each.sum()) for each in chip.spikes.values()) > 1000


def test_a_quarter_of_the_digits_is_held_back(folder):
    for name in ("convolutional", "recurrent"):
        with np.load(folder / f"{name}_train.npz") as train, np.load(folder / f"{name}_test.npz") as test:
            assert (len(train["x"]), len(test["x"])) == (1348, 449) == (len(train["y"]), len(test["y"]))
