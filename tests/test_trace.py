"""A Trace: read-outs, accuracy, and its folder."""

import json
from dataclasses import replace

import numpy as np
import pytest
from float_networks import edge, graph, lif
from golden.eight import EIGHT
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy import storage
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.ir import Population


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
    assert trace.predictions.tolist() == [1, 0, -1, 2]  # the first of equals, and none where all are
    assert (trace.answers.ties, trace.answers.undecided) == (1, 1)
    assert trace.accuracy(np.array([1, 0, 0, 1])) == 0.5
    with pytest.raises(InputError, match="there are 3 labels for 4 samples$"):
        trace.accuracy(np.zeros(3))
    with pytest.raises(
        InputError, match="12 labels for 4 samples; a sample has as many steps: .* exchange its axes"
    ):
        trace.accuracy(np.zeros(12))


def test_how_it_was_read_and_what_was_sent_is_kept(traces, program, tmp_path):
    for trace in traces.values():
        assert trace.readout["readout"].text == "the count of its spikes"
        again = ad.Trace.load(trace.save(tmp_path / "run.trace"))
        assert (again.readout, again.messages) == (trace.readout, trace.messages)
        assert trace.messages == {name: np.count_nonzero(sent) for name, sent in trace.spikes.items()}


def test_a_trace_of_before_tells_messages_by_its_spikes(traces, tmp_path):
    trace = traces["integer"]
    folder = trace.save(tmp_path / "run.trace")
    content = storage.read_manifest(folder, "trace.json", "Trace")
    del content["readout"], content["messages"]
    (folder / "trace.json").unlink()
    storage.write_manifest(folder, "trace.json", content)
    again = ad.Trace.load(folder)
    assert (again.readout, again.messages) == ({}, trace.messages)
    assert np.array_equal(again.predictions, trace.predictions)


@pytest.mark.parametrize("engine", ["oracle", "reference", "torch"])
def test_a_layer_that_is_read_by_its_membrane_sends_nothing_on_any_engine(engine):
    net = graph(
        4,
        [Population("a", (3,), lif()), Population("out", (2,), lif(sends="membrane"))],
        [edge("x", "a", np.full((3, 4), 2.0)), edge("a", "out", np.ones((2, 3)))],
    )
    trace = ad.compile(net).run(np.ones((2, 20, 4)), engine=engine)
    assert np.abs(trace.outputs).max() > 0
    assert trace.messages["a"] > 0
    assert trace.messages["out"] == 0


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
        (lambda c: c.update(readout=["count"]), "is malformed"),
        (lambda c: c.update(readout={"readout": {"how": "count"}}), "is malformed"),
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


def test_a_trace_of_before_is_read_and_costed(tmp_path):
    """Plain spikes were not run until the last layer had answered, and neither read-out nor messages were told."""
    program = ad.compile(EIGHT["dense"].source(), "loihi2")
    whole = program.run(EIGHT["dense"].x())
    cut = {k: v[:, : whole.steps] for k, v in whole.spikes.items()}
    folder = replace(whole, spikes=cut, states={}, events={}).save(tmp_path / "old.trace")
    content = json.loads((folder / "trace.json").read_text())["content"]
    older = {k: v for k, v in content.items() if k not in ("readout", "messages")} | {"version": 2}
    (folder / "trace.json").unlink()
    storage.write_manifest(folder, "trace.json", older)
    trace = ad.Trace.load(folder)
    assert trace.steps == 20
    assert np.array_equal(trace.outputs, whole.outputs)
    assert trace.messages == {k: np.count_nonzero(v) for k, v in cut.items()}
    cost = ad.estimate(program, trace)
    assert cost.steps == 20
    assert cost.events["input_messages"] == ad.estimate(program, whole).events["input_messages"]
