"""Several inputs and outputs, graded input, and membranes that are read out, through `run` and its Trace."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import DT, cuba, edge, graph, lif, several_inputs

import astrodeploy as ad
from astrodeploy.engines import make_plan
from astrodeploy.errors import InputError, StimulusError
from astrodeploy.ir import Graph, Input, Population
from astrodeploy.ir.plain import fingerprint
from astrodeploy.verification import verify


def two_by_two():
    """x -> a -> spikes; x, y -> b, a membrane; two outputs."""
    rng = np.random.default_rng(0)
    populations = (
        Population("x", (4,), Input()),
        Population("y", (2, 3), Input(-64, 64, 32.0)),
        Population("a", (5,), lif()),
        Population("spiking", (3,), lif(tau=5 * DT)),
        Population("membrane", (2,), cuba(sends="membrane", v_leak=0.25, bias=0.3)),
    )
    edges = (
        edge("x", "a", rng.normal(1, 3, (5, 4))),
        edge("a", "spiking", rng.normal(1, 3, (3, 5))),
        edge("a", "membrane", rng.normal(0, 1, (2, 5))),
        edge("y", "membrane", rng.normal(0, 1, (2, 6))),
    )
    return Graph(DT, populations, edges, ("membrane", "spiking"), "last")


def stimulus(samples=3, steps=20):
    rng = np.random.default_rng(1)
    x = (rng.random((samples, steps, 4)) < 0.3).astype(np.uint8)
    return {"x": x, "y": rng.integers(-64, 65, (samples, steps, 2, 3)) / 32}


@pytest.fixture(scope="module")
def program():
    return ad.compile(two_by_two())


@pytest.mark.parametrize("engine", ["oracle", "fast", "reference", "brian2"])
def test_outputs_by_name_and_the_trace_that_is_read_back(engine, program, tmp_path):
    trace = program.run(stimulus(), engine=engine, probes=("membrane.v",))
    assert list(trace.outputs) == ["membrane", "spiking"]
    assert trace.samples == 3
    assert trace.outputs["membrane"].shape == (3, 2)
    assert trace.outputs["spiking"].dtype == np.int64
    depth = program.network["spiking"].depth
    np.testing.assert_array_equal(trace.outputs["spiking"], trace.spikes["spiking"][:, depth:].sum(1))
    unit = 1.0 if engine in ("reference", "brian2") else program.network["membrane"].node.units["v"]
    np.testing.assert_allclose(trace.outputs["membrane"], trace.states["membrane", "v"][:, -1] / unit)
    assert np.array_equal(trace.predictions, trace.outputs["membrane"].argmax(1))
    assert trace.accuracy(trace.predictions) == 1.0
    again = ad.Trace.load(trace.save(tmp_path / "run.trace"))
    assert list(again.outputs) == ["membrane", "spiking"]
    for name in again.outputs:
        np.testing.assert_array_equal(again.outputs[name], trace.outputs[name])
        assert again.outputs[name].dtype == trace.outputs[name].dtype


def test_a_membrane_is_read_in_the_models_own_numbers(program):
    chip, meant = (
        program.run(stimulus(), engine=engine).outputs["membrane"] for engine in ("fast", "reference")
    )
    np.testing.assert_allclose(chip, meant, atol=0.03 * np.abs(meant).max())
    assert np.ptp(meant) > 0.1


def test_engines_agree_on_several_inputs_and_outputs(program):
    found = verify(program, stimulus(), engines=("oracle", "fast", "brian2"))
    assert found.equal
    assert found.brian2.equal
    assert "membrane.bias" in program.layers
    assert "membrane.bias" not in program.reference.layers
    assert found.distance.total.samples == 3
    assert 0 < found.distance.total.membrane < 0.2


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("sends", ["membrane", "rectified"])
def test_what_is_made_of_a_membrane_over_its_window(readout, sends):
    node = lif(v_leak=-0.3, sends=sends)
    net = graph(3, [Population("n", (2,), node)], [edge("x", "n", [[2.0, -3, 1], [-2, -2, -2]])])
    program = ad.compile(replace(net, readout=readout))
    x = (np.random.default_rng(0).random((4, 15, 3)) < 0.4).astype(np.uint8)
    for engine in ("oracle", "reference"):
        trace = program.run(x, engine=engine, probes=("n.v",))
        unit = program.network["n"].node.units["v"] if engine == "oracle" else 1.0
        v = trace.states["n", "v"][:, 1:] / unit
        v = np.maximum(v, 0) if sends == "rectified" else v
        expected = {"last": v[:, -1], "mean": v.mean(1), "max": v.max(1)}[readout]
        np.testing.assert_allclose(trace.outputs, expected, atol=1e-12)
        assert np.ptp(trace.outputs) > 0.01


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_samples_do_not_know_each_other_and_a_stream_is_its_samples(engine, program):
    given = stimulus(samples=3)
    together = program.run(given, engine=engine)
    padded = {k: np.pad(v, ((0, 0), (0, program.depth)) + ((0, 0),) * (v.ndim - 2)) for k, v in given.items()}
    alone = [program.run({k: v[i : i + 1] for k, v in padded.items()}, engine=engine) for i in range(3)]
    stream = program.run(given, engine=engine, carry=("astrocytes",))
    for name in ("a", "spiking"):
        depth = program.network[name].depth
        for i in range(3):
            inside = slice(depth, 20)
            np.testing.assert_array_equal(alone[i].spikes[name][0, inside], together.spikes[name][i, inside])
            inside = slice(depth, depth + 20)
            np.testing.assert_array_equal(alone[i].spikes[name][0, inside], stream.spikes[name][i, inside])


def test_every_pattern_bias_and_lag_on_the_integer_engines():
    """The network of the Brian2 test, compiled: convolutions, pools, lists, one-to-one; graded input."""
    given = several_inputs(np.random.default_rng(2))
    program = ad.compile(given.program.reference)
    x = {"camera": given.spikes["camera"].reshape(2, 40, 2, 6, 5), "sensor": given.spikes["sensor"] / 16}
    found = verify(program, x, engines=("oracle", "fast"))
    assert found.equal
    assert found.comparisons[0].spikes > 1000
    names = {type(c.wiring).__name__ for c in program.network.connections}
    assert {"Conv", "Dense", "Sparse"} <= names
    chip, meant = (program.run(x, engine=engine).outputs["c"] for engine in ("fast", "reference"))
    assert np.abs(chip - meant).mean() < 0.25 * np.abs(meant).mean()


def test_a_program_with_all_this_is_read_back_whole(program, tmp_path):
    again = ad.Program.load(program.save(tmp_path / "net.astro"))
    assert again.fingerprint == program.fingerprint
    assert fingerprint(again.reference) == fingerprint(program.reference)
    assert again.network.outputs == ("membrane", "spiking")
    assert again.network.readout == again.reference.readout == "last,count"
    assert dict(again.read_states) == {"membrane": "v"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g["x"], "the stimulus is for x, the inputs are x, y: give one array for each by its name"),
        (lambda g: g | {"z": g["x"]}, "the stimulus is for x, y, z, the inputs are x, y"),
        (lambda g: g | {"y": g["y"][:2]}, "the inputs differ in their samples and steps"),
        (lambda g: g | {"y": g["y"] * 1.5}, r"this Program was compiled for -2\.\.2: scale it"),
        (lambda g: g | {"y": np.full_like(g["y"], np.nan)}, "holds NaN or infinite values"),
        (lambda g: g | {"y": g["y"][..., 0]}, r"has shape \(3, 20, 2\), needed is \(batch, steps, 2, 3\)"),
        (lambda g: g | {"x": g["x"] * 2}, "must hold spikes, 0 or 1"),
    ],
)
def test_stimuli_that_do_not_fit(change, message, program):
    with pytest.raises((StimulusError, InputError), match=message):
        make_plan(program, change(stimulus()))


def test_labels_are_counted_by_sample(program):
    with pytest.raises(InputError, match="there are 2 labels for 3 samples"):
        program.run(stimulus(), engine="oracle").accuracy(np.zeros(2))
