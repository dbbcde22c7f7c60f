"""A Trace: read-outs, accuracy, and its folder."""

from dataclasses import replace

import numpy as np
import pytest
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy import storage
from astrodeploy.errors import InputError, ProgramError


@pytest.fixture(scope="module")
def program():
    return ad.compile(Hybrid())


@pytest.fixture(scope="module")
def traces(program):
    x = values(samples=5)
    return {
        "integer": program.run(x, engine="oracle", probes=("hidden.v", "hidden_astrocytes")),
        "float": program.run(x, engine="reference", probes=("readout",)),
        "stream": program.run(x, engine="oracle", carry=("astrocytes",)),
    }


def same(one, two):
    assert (one.engine, one.program, one.steps, one.stream) == (
        two.engine,
        two.program,
        two.steps,
        two.stream,
    )
    assert (one.seconds, one.versions) == (two.seconds, two.versions)
    for name in ("spikes", "states", "events"):
        left, right = getattr(one, name), getattr(two, name)
        assert list(left) == list(right)
        assert all(np.array_equal(left[k], right[k]) and left[k].dtype == right[k].dtype for k in left)
    assert np.array_equal(one.outputs, two.outputs)


@pytest.mark.parametrize("name", ["integer", "float", "stream"])
def test_a_trace_is_read_back_whole(name, traces, tmp_path):
    path = traces[name].save(tmp_path / "run.trace")
    assert sorted(p.name for p in path.iterdir()) == ["arrays.safetensors", "trace.json"]
    same(traces[name], ad.Trace.load(str(path)))


def test_what_a_trace_holds(traces, program):
    trace = traces["integer"]
    assert (trace.engine, trace.steps, trace.stream, trace.program) == (
        "oracle",
        12,
        False,
        program.fingerprint,
    )
    assert trace.spikes["hidden"].shape == (5, 14, 12)
    assert set(trace.states) == {
        ("hidden", "v"),
        *[("hidden_astrocytes", s) for s in ("count", "trace", "log_gain")],
    }
    assert trace.outputs.shape == (5, 4)
    assert np.array_equal(trace.outputs, trace.spikes["readout"][:, 2:14].sum(1))
    assert set(np.unique(trace.spikes["readout"])) == {0, 1}
    assert trace.spikes["hidden_astrocytes"].max() > 1
    assert {"astrodeploy", "numpy", "python"} <= set(trace.versions)
    assert trace.seconds > 0


def test_predictions_and_accuracy(traces):
    trace = replace(traces["integer"], outputs=np.array([[1, 3, 3], [5, 0, 0], [0, 0, 0], [0, 1, 2]]))
    assert trace.predictions.tolist() == [1, 0, 0, 2]  # the first of equals
    assert trace.accuracy(np.array([1, 0, 1, 1])) == 0.5
    with pytest.raises(InputError, match="there are 3 labels for 4 samples"):
        trace.accuracy(np.zeros(3))


def test_outputs_of_several_dimensions_are_flat_classes(traces):
    trace = replace(traces["integer"], outputs=np.array([[[0, 0], [7, 1]]]))
    assert trace.predictions.tolist() == [2]


def test_a_flipped_byte_is_noticed(traces, tmp_path):
    folder = traces["integer"].save(tmp_path / "run.trace")
    rng = np.random.default_rng(0)
    for name in ("trace.json", "arrays.safetensors"):
        content = (folder / name).read_bytes()
        for place in [0, len(content) - 1, *rng.integers(0, len(content), 40)]:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            (folder / name).write_bytes(flipped)
            with pytest.raises(ProgramError, match="was changed|holds .*, its trace.json lists"):
                ad.Trace.load(folder)
        (folder / name).write_bytes(content)
    same(ad.Trace.load(folder), traces["integer"])


def test_folders_that_are_no_trace(program, tmp_path):
    with pytest.raises(ProgramError, match="none is no Trace folder"):
        ad.Trace.load(tmp_path / "none")
    saved = program.save(tmp_path / "net.astro")
    with pytest.raises(ProgramError, match="net.astro is no Trace: it has no trace.json"):
        ad.Trace.load(saved)
    with pytest.raises(ProgramError, match="net.astro exists and is not ours to replace"):
        ad.compile(Chain()).run(spikes(), engine="oracle").save(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(version=9),
            "is a astrodeploy trace of version 9; this astrodeploy reads up to 2",
        ),
        (lambda c: c.pop("engine"), "is malformed .*: run the Program again"),
        (lambda c: c["layers"].append("more"), "is malformed"),
        (lambda c: c.update(states=[["hidden"]]), "is malformed"),
        (lambda c: c.update(steps=None), "is malformed"),
    ],
)
def test_content_that_makes_no_trace(change, message, traces, tmp_path):
    folder = traces["integer"].save(tmp_path / "run.trace")
    content = storage.read_manifest(folder, "trace.json", "Trace")
    change(content)
    (folder / "trace.json").unlink()
    storage.write_manifest(folder, "trace.json", content)
    with pytest.raises(ProgramError, match=message):
        ad.Trace.load(folder)
