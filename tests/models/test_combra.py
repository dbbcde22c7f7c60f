"""combra_loihi's astrocyte: from its numbers to Programs, its table, its answers to spikes, its study."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_modules import modules_of

import astrodeploy as ad
from astrodeploy.program import same_but_recipe
from astrodeploy.resources import data_folder

FOLDER = data_folder("models") / "combra"
PUBLIC = Path(__file__).parents[3] / "shared/data/combra/sic_table.csv"


@pytest.fixture(scope="module")
def combra():
    """Its modules, by name."""
    with modules_of("combra") as modules:
        yield modules


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("combra")
    command = [sys.executable, str(FOLDER / "train.py"), "--out", str(folder), "--seed", "3"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def test_four_compartments_on_one_core(combra):
    program = ad.compile(combra["model"].astrocyte(), "loihi1")
    (core,) = program.cores
    assert core.loads["compartments"] == 4
    kinds = {p.name: p.node.kind.name for p in program.network.populations if not p.is_input}
    assert kinds == {"receiver": "lif", "ip3": "lif", "sic": "sic"}


def test_a_checkpoint_and_a_function_give_the_same_program(files, combra, tmp_path):
    sources = {"file": files / "model.pt", "graph": combra["model"].astrocyte(100)}
    saved = [ad.compile(source, "loihi1").save(tmp_path / name) for name, source in sources.items()]
    assert same_but_recipe(*map(ad.Program.load, saved))
    default = ad.compile("model:astrocyte", "loihi1")
    assert default.fingerprint == ad.compile(combra["model"].astrocyte(20), "loihi1").fingerprint


def test_every_engine_agrees_on_poisson_trains(files):
    with np.load(files / "test.npz") as test:
        x = test["x"]
    assert x.shape == (3, 1500, 100)
    assert abs(x.mean() / 1e-3 - 20) < 1
    program = ad.compile(files / "model.pt", "loihi1")
    trace = program.run(x)
    assert (trace.spikes["ip3"].sum((1, 2)) >= 1).all()
    found = ad.verify(program, x[:1, :1100], ("oracle", "fast", "lava"))
    assert [(c.right, c.differing) for c in found.comparisons] == [("fast", 0), ("lava", 0)]
    assert found.comparisons[0].spikes > 1000


def test_the_table_is_the_public_one(combra):
    if not PUBLIC.exists():
        pytest.skip(f"the public table is not at {PUBLIC}")
    with PUBLIC.open() as file:
        rows = list(csv.DictReader(file))
    ours = {(b.weight, b.decay): (b.rate, b.window) for b in combra["model"].all_bursts()}
    assert len(ours) == 660
    key = lambda row: (int(row["ip3_to_sic_weight"]), int(float(row["sic_current_decay_fraction"]) * 4096))
    assert [ours[key(row)] for row in rows] == [
        (int(row["max_rate_hz"]), int(row["window_ms"])) for row in rows
    ]


def test_the_table_is_what_plain_arithmetic_gives(combra):
    model, study = combra["model"], combra["study"]
    assert list(model.all_bursts()) == study.emulated(*model.grid())
    firing = [each for each in model.all_bursts() if each.rate]
    assert all(each.window >= 0 for each in firing)
    assert {each.window for each in model.all_bursts() if not each.rate} == {-1}


def test_a_wanted_burst_is_found_and_made(combra):
    model = combra["model"]
    best = model.tuned(100, 400)
    assert best == model.Burst(20, 40, 104, 396)  # the defaults are the closest to a round wish
    program = ad.compile(model.astrocyte(100, sic_weight=60, sic_decay=80), "loihi1")
    x = np.ones((1, 2500, 100), np.uint8)
    spikes = program.run(x).spikes
    (first, second, *_) = np.flatnonzero(spikes["ip3"][0])
    alone = model.bursts(np.array([60]), np.array([80]))[0]
    assert model.measured(spikes["sic"][0, first : second + 1, 0])[1] == alone.window
    assert alone.rate > best.rate


def test_more_sensitive_to_ip3_is_sooner(combra):
    astrocyte = combra["model"].astrocyte
    x = combra["train"].poisson(np.random.default_rng(0), 1, 3000, 100, 20)
    counts = [
        int(ad.compile(astrocyte(100, ip3_weight=w), "loihi1").run(x).spikes["ip3"].sum())
        for w in (10, 20, 80)
    ]
    assert counts[0] < counts[1] < counts[2]


def test_the_study_is_plain_data_and_the_same_again(combra, monkeypatch):
    study = combra["study"]
    for name, value in {"SECONDS": 2, "TRIALS": 2, "VERIFIED_STEPS": 50, "SHOWN_STEPS": 1000}.items():
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(study, "_engines", lambda rng: ENGINES)
    results = [study.measure(seed) for seed in (1, 1, 2)]
    assert results[0] == results[1] == json.loads(json.dumps(results[0]))
    assert results[0]["protocols"] != results[2]["protocols"]
    assert results[0]["table"]["equal"] == 660
    assert results[0]["protocols"][2]["ip3"] >= 4
    text, figure = study.present([results[0], results[2]])
    assert "| 100 inputs at 20 Hz |" in text
    assert "lava: 14 messages and 16 states, 0 differing (2 of 2 seeds)" in text
    assert len(figure.axes) == 3


ENGINES = {
    "engines": {name: {"messages": 7, "states": 8, "differing": 0} for name in ("fast", "lava")},
    "not run": {},
}
