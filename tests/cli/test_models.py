"""The commands models and train."""

import json
import sys
from pathlib import Path

import pytest

from astrodeploy import cli
from astrodeploy.cli import models

TRAIN = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("-o", "--out", type=pathlib.Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--epochs", type=int, default=5)
options = parser.parse_args()
options.out.mkdir(parents=True)
(options.out / "told").write_text(f"{options.seed} {options.epochs}")
sys.exit(3 if options.seed == 13 else 0)
"""


@pytest.fixture
def systems(tmp_path, monkeypatch):
    """Two systems, one of which is trained, in place of the package's."""
    for name, trained in (("one", True), ("two", False)):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(f"# System {name}\n\ntext\n")
        (folder / "model.py").write_text("")
        if trained:
            (folder / "train.py").write_text(TRAIN)
    monkeypatch.setattr(models, "data_folder", lambda name: tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["astrodeploy", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_systems_are_listed(systems, monkeypatch, capsys):
    assert run(monkeypatch, "models", "--json") == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["one"]["title"] == "System one" and found["one"]["trained"]
    assert not found["two"]["trained"]
    assert run(monkeypatch, "models") == 0
    assert "nothing to train" in capsys.readouterr().out


def test_training_runs_the_systems_own_script(systems, monkeypatch):
    assert run(monkeypatch, "train", "one", "--seed", "5", "--epochs", "2") == 0
    assert (systems / "build" / "one" / "told").read_text() == "5 2"
    assert run(monkeypatch, "train", "one", "-o", "elsewhere") == 0
    assert (systems / "elsewhere" / "told").read_text() == "7 5"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["train", "three"], 2, "there is no reference system 'three'; there are one, two"),
        (["train", "two"], 2, "there is nothing to train in two"),
        (["train", "one", "--seed", "13"], 1, ""),
        (["train", "one", "--epochs", "many"], 2, ""),
    ],
)
def test_wrong_use_is_one_sentence(systems, monkeypatch, capsys, arguments, code, why):
    assert run(monkeypatch, *arguments) == code
    assert why in " ".join(capsys.readouterr().err.split())


def test_the_package_has_its_systems(monkeypatch, capsys):
    assert run(monkeypatch, "models", "--json") == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"hybrid", "digits"} <= set(found)
    assert all(Path(each["readme"]).name == "README.md" for each in found.values())
