"""The doctor really runs every engine, and says what is wrong with one that does not work."""

import numpy as np
import pytest

from astrodeploy import doctor
from astrodeploy.engines import ENGINES, engine_named
from astrodeploy.errors import EngineError


@pytest.fixture
def few(monkeypatch):
    """Those that start at once."""
    monkeypatch.setattr(doctor, "ENGINES", dict.fromkeys(("oracle", "fast", "reference")))


def test_every_engine_is_examined(monkeypatch):
    asked = []

    def ask(name):
        asked.append(name)
        return engine_named("oracle")

    monkeypatch.setattr(doctor, "engine_named", ask)
    assert [finding.engine for finding in doctor.examine()] == list(ENGINES)
    assert asked == ["oracle", *ENGINES]


def test_two_neurons_really_fire():
    program = doctor.two_neurons()
    trace = program.run(np.ones((1, 40, 1)), engine="oracle")
    assert trace.spikes["first"].sum() > 10
    assert trace.spikes["second"].sum() > 5


def test_engines_that_work_say_their_spikes(few):
    findings = {finding.engine: finding for finding in doctor.examine()}
    assert list(findings) == ["oracle", "fast", "reference"]
    assert all(finding.works for finding in findings.values())
    assert findings["fast"].text.startswith(findings["oracle"].text.split(";")[0])
    assert "numba" in findings["fast"].text
    assert all(finding.seconds > 0 for finding in findings.values())


def test_an_engine_that_is_missing(few, monkeypatch):
    def missing(_job):
        raise EngineError("Lava's environment is missing: make it")

    monkeypatch.setattr("astrodeploy.engines.fast.fast", missing)
    findings = {finding.engine: finding for finding in doctor.examine()}
    assert (findings["fast"].works, findings["fast"].text) == (
        False,
        "Lava's environment is missing: make it",
    )
    assert findings["reference"].works


def test_an_engine_that_is_wrong_is_found_by_the_oracle(few, monkeypatch):
    fast = engine_named("fast")

    def wrong(job):
        recording = fast(job)
        recording.spikes["second"][0, 9, 0] ^= 1
        return recording

    monkeypatch.setattr("astrodeploy.engines.fast.fast", wrong)
    findings = {finding.engine: finding for finding in doctor.examine()}
    assert not findings["fast"].works
    assert findings["fast"].text.startswith(
        "differs from the oracle: second.spikes, sample 0, step 9, neuron 0"
    )
