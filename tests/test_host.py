"""Host stages: exported from torch, run beside the network by every engine, costed, saved; and what is refused."""

import logging
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from float_networks import edge, graph, lif
from onnx import TensorProto, helper, numpy_helper
from onnx_models import exported, model

import astrodeploy as ad
from astrodeploy.cli.costs import show_estimate
from astrodeploy.costs import Span
from astrodeploy.encoders import encode_rate
from astrodeploy.errors import InputError, ProgramError, StimulusError, UnsupportedError
from astrodeploy.frontends.torch.host_export import stage_of
from astrodeploy.host import measured, run_stage
from astrodeploy.ir import Population, RateEncoder, verify
from astrodeploy.ir.host import HostStage
from astrodeploy.trace import Trace

RNG = np.random.default_rng(3)


def staged(module, inputs, outputs):
    """A stage of a torch module, exported the quick way."""
    each = exported(module, inputs)
    return HostStage(each.SerializeToString(), inputs, outputs, tuple(n.op_type for n in each.graph.node))


@pytest.fixture(scope="module")
def squash():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Sigmoid())


@pytest.fixture(scope="module")
def read():
    torch.manual_seed(2)
    return torch.nn.Linear(3, 2)


def network(encoder=True):
    """6 inputs, 3 neurons."""
    made = graph(6, [Population("a", (3,), lif())], [edge("x", "a", 3 * RNG.random((3, 6)))])
    node = RateEncoder(steps=8, seed=4)
    return made.with_population(replace(made["x"], node=node)) if encoder else made


@pytest.fixture(scope="module")
def program(squash, read):
    before, after = staged(squash, (5,), (6,)), staged(read, (3,), (2,))
    return ad.compile(replace(network(), before=before, after=after))


# ---- from torch ----------------------------------------------------------------------------------------


class Backbone(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3)
        self.norm.running_mean.normal_()
        self.spread = torch.nn.LayerNorm(3)

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        return torch.softmax(self.spread(x.mean((2, 3))), 1)


def test_a_module_becomes_a_stage_that_computes_the_same(capfd, caplog):
    module = Backbone().train()
    with caplog.at_level(logging.WARNING):
        stage = stage_of(module, (1, 6, 6))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert module.training
    assert module.norm.training
    assert (stage.inputs, stage.outputs) == ((1, 6, 6), (3,))
    assert stage.text.startswith("1x6x6 -> 3: Conv, Relu, MaxPool, ")
    x = RNG.standard_normal((7, 1, 6, 6))
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(x).float()).numpy()
    assert np.abs(run_stage(stage, x) - wanted).max() < 1e-6
    assert b".py" not in stage.onnx  # no trace of this machine's folders
    assert stage_of(module, (1, 6, 6)).onnx == stage.onnx


class Two(torch.nn.Module):
    def forward(self, x):
        return x, x


class Noisy(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand(3)


REFUSED = {
    "batch": (torch.nn.Softmax(0), "Softmax mixes the samples of a batch"),
    "two": (Two(), "Two must give one tensor of float32"),
    "random": (Noisy(), "Noisy computes something else in ONNX than in torch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_modules_that_can_not_be_stages_say_why(name):
    module, text = REFUSED[name]
    with pytest.raises(UnsupportedError, match=text):
        stage_of(module, (3,))


@pytest.mark.slow  # torch's newer exporter takes seconds
def test_what_tracing_can_not_export_goes_to_the_newer_exporter():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    stage = stage_of(layer, (3, 8))
    x = RNG.standard_normal((2, 3, 8)).astype(np.float32)
    with torch.no_grad():
        assert np.abs(run_stage(stage, x) - layer.eval()(torch.from_numpy(x)).numpy()).max() < 1e-5
    with pytest.raises(UnsupportedError, match="Embedding can't be exported .* shape .2, 3.: .*indices"):
        stage_of(torch.nn.Embedding(4, 2), (3,))


# ---- in a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["oracle", "fast", "reference", "torch"])
def test_ordinary_layers_before_and_after_the_network(engine, program, squash, read):
    x = RNG.standard_normal((9, 5)).astype(np.float32)
    trace = program.run(x, engine=engine)
    with torch.no_grad():
        sent = encode_rate(squash(torch.from_numpy(x)).numpy(), 8, 4)
        counted = trace.spikes["a"][:, 1:9].sum(1)
        wanted = counted @ read.weight.numpy().T.astype(float) + 8 * read.bias.numpy().astype(float)
    assert program.input_shape == (5,)
    assert np.mean(trace.spikes["x"][:, :8] == sent) > 0.99  # a value may round across its threshold
    assert counted.sum() > 0
    assert np.abs(trace.outputs - wanted).max() < 1e-5
    assert np.array_equal(trace.predictions, wanted.argmax(1))
    assert trace.host_seconds > 0


def test_a_sample_does_not_know_those_beside_it(program):
    x = RNG.standard_normal((9, 5))
    together, alone = program.run(x), program.run(x[3:5])
    assert np.array_equal(together.spikes["a"][3:5], alone.spikes["a"])
    assert np.array_equal(together.outputs[3:5], alone.outputs)


def test_engines_are_held_against_each_other_behind_the_host(program):
    x = RNG.standard_normal((3, 5))
    verification = ad.verify(program, x, engines=("oracle", "fast"))
    assert verification.equal
    assert verification.distance.total.samples == 3


def test_without_an_encoder_the_host_works_on_every_step():
    class Above(torch.nn.Module):
        def forward(self, x):
            return (x.mean(2) > 0).float()

    program = ad.compile(replace(network(encoder=False), before=staged(Above(), (6, 4), (6,))))
    x = RNG.standard_normal((2, 10, 6, 4))
    trace = program.run(x)
    assert np.array_equal(trace.spikes["x"][:, :10], x.mean(3) > 0)
    with pytest.raises(StimulusError, match=r"needed is \(batch, steps, 6, 4\)"):
        program.run(x[:, 0])


def test_values_that_the_network_can_not_take(squash):
    program = ad.compile(replace(network(), before=staged(squash[0], (5,), (6,))))
    with pytest.raises(StimulusError, match="after the ordinary layers before the network: .* takes 0..1"):
        program.run(10 * RNG.standard_normal((4, 5)))
    with pytest.raises(StimulusError, match=r"shape \(4, 6\), needed is \(batch, 5\)"):
        program.run(np.ones((4, 6)))


def test_a_membrane_read_by_the_host_is_in_the_networks_numbers(read):
    made = graph(6, [Population("a", (3,), lif(sends="membrane"))], [edge("x", "a", RNG.random((3, 6)))])
    program = ad.compile(replace(made, after=staged(read, (3,), (2,))))
    x = RNG.random((4, 12, 6)) < 0.3
    fast, reference = program.run(x), program.run(x, engine="reference")
    assert np.abs(fast.outputs - reference.outputs).max() < 0.05 * np.abs(reference.outputs).max()


# ---- kept and costed -----------------------------------------------------------------------------------


def test_a_program_keeps_its_stages_as_files(program, tmp_path):
    path = program.save(tmp_path / "net.astro")
    assert {"before.onnx", "after.onnx"} <= {p.name for p in path.iterdir()}
    loaded = ad.load_program(path) if hasattr(ad, "load_program") else type(program).load(path)
    assert loaded.fingerprint == program.fingerprint
    x = RNG.standard_normal((3, 5))
    assert np.array_equal(loaded.run(x).outputs, program.run(x).outputs)
    onnx.checker.check_model(onnx.load(path / "before.onnx"))
    (path / "after.onnx").write_bytes(b"else")
    with pytest.raises(ProgramError, match="was changed"):
        type(program).load(path)


def test_a_trace_keeps_the_hosts_time(program, tmp_path):
    trace = program.run(RNG.standard_normal((3, 5)))
    assert Trace.load(trace.save(tmp_path / "trace")).host_seconds == trace.host_seconds


def test_the_cut_and_its_cost_are_told(program, tmp_path):
    trace = program.run(RNG.standard_normal((3, 5)))
    cost = ad.estimate(program, trace)
    assert cost.host_seconds == pytest.approx(trace.host_seconds / 3)
    assert cost.host_joules is None and "energy is not known" in cost.host_text
    assert cost.to_dict()["host_joules"] is None and cost.to_dict()["host_text"] == cost.host_text
    assert cost.energy_joules.high == pytest.approx(sum(part.high for part in cost.parts.values()))
    assert ad.estimate(program, rates=0.1).host_seconds > 0
    text = ad.report(program, RNG.standard_normal((3, 5)), path=tmp_path / "r.html").read_text()
    assert "Ordinary layers before the network stay on the host" in text
    assert "5 -&gt; 6: Gemm, Sigmoid" in text
    assert "measured on the machine" in text and "Their energy is not known" in text
    assert "Latency per inference, chip alone" in text and "Energy per inference, chip alone" in text
    plain = ad.estimate(ad.compile(network()), rates=0.1)
    assert plain.host_seconds == 0
    assert plain.host_text == "" and plain.host_joules == Span(0, 0, 0)


def test_the_command_says_what_is_the_chips_alone(program, capsys):
    show_estimate(ad.estimate(program, rates=0.1))
    told = capsys.readouterr().out
    for what in ("energy", "latency", "inferences, one after the other", "power then"):
        assert f"{what}, chip alone" in told
    assert "energy not known" in told and "ordinary layers run on the host" in " ".join(told.split())
    show_estimate(ad.estimate(ad.compile(network()), rates=0.1))
    assert "alone" not in capsys.readouterr().out


def test_the_time_of_many_steps_is_that_of_a_few_times_as_many(program):
    assert (
        ad.estimate(program, rates=0.1, steps=10**9).host_seconds
        > 1e6 * ad.estimate(program, rates=0.1).host_seconds
    )


def test_time_is_measured_for_rows(read):
    assert 0 < measured([(staged(read, (3,), (2,)), 50)]) < 1


def test_stages_fit_the_network_beside_them(squash, read):
    with pytest.raises(InputError, match=r"layers before it give \(6,\), its input is \(4,\)"):
        verify(replace(graph(4, [Population("a", (3,), lif())], []), before=staged(squash, (5,), (6,))))
    with pytest.raises(InputError, match=r"layers after it take \(3,\), its output is \(2,\)"):
        verify(replace(graph(4, [Population("a", (2,), lif())], []), after=staged(read, (3,), (2,))))


# ---- anybody's models ----------------------------------------------------------------------------------


def stage(nodes, tensors=(), outputs=(4,), **more):
    each = model(nodes, tensors, **more)
    for n in ("rows", *outputs):
        dim = each.graph.output[0].type.tensor_type.shape.dim.add()
        dim.dim_param = str(n)
    return HostStage(each.SerializeToString(), (4,), outputs, tuple(n[0] for n in nodes))


def shapes_of(value):
    return {"s": np.array(value, np.int64)}


HOSTILE = {
    "huge": (
        [("Expand", ["x", "s"], ["y"], {})],
        shapes_of([1 << 40, 4]),
        "has 4398046511104 numbers a sample",
    ),
    "tiled": (
        [("Tile", ["x", "s"], ["a"], {}), ("Tile", ["a", "s"], ["y"], {})],
        shapes_of([1 << 15, 1 << 15]),
        "numbers a sample, the limit is",
    ),
    "unknown": (
        [("NonZero", ["x"], ["i"], {}), ("Cast", ["i"], ["y"], {"to": 1})],
        {},
        r"NonZero \(n0\) gives has a size that depends",
    ),
    "doubles": ([("Cast", ["x"], ["y"], {"to": 11})], {}, "one tensor of float32"),
    "opset": ([("Frobnicate", ["x"], ["y"], {})], {}, "No Op registered for Frobnicate"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_models_that_are_unfit_are_not_run(name):
    nodes, tensors, text = HOSTILE[name]
    made = stage(nodes, tensors)
    if name == "doubles":
        each = onnx.load_model_from_string(made.onnx)
        each.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
        made = replace(made, onnx=each.SerializeToString())
    with pytest.raises(InputError, match=text):
        run_stage(made, np.zeros((1, 4)))


def test_models_that_reach_beyond_themselves_are_not_run():
    foreign = model([("Relu", ["x"], ["y"], {})])
    foreign.graph.node[0].domain = "evil.example"
    foreign.opset_import.append(helper.make_opsetid("evil.example", 1))
    with pytest.raises(InputError, match="uses operators of 'evil.example'"):
        run_stage(HostStage(foreign.SerializeToString(), (4,), (4,), ()), np.zeros((1, 4)))
    outside = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    each = model([("Constant", [], ["w"], {"value": outside}), ("MatMul", ["x", "w"], ["y"], {})])
    with pytest.raises(InputError, match="keeps 'w' in another file"):
        run_stage(HostStage(each.SerializeToString(), (4,), (4,), ()), np.zeros((1, 4)))
    with pytest.raises(InputError, match="the host's stage is no ONNX model"):
        run_stage(HostStage(b"\x08nonsense", (4,), (4,), ()), np.zeros((1, 4)))


def test_a_stage_that_is_described_wrongly():
    relu = stage([("Relu", ["x"], ["y"], {})])
    assert np.array_equal(run_stage(relu, np.array([[-1, 0, 1, 2]])), [[0, 0, 1, 2]])
    with pytest.raises(
        StimulusError, match=r"takes numbers of shape \(rows, 4\), given are float64 \(1, 3\)"
    ):
        run_stage(relu, np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"gave \(1, 4\), it is described as giving \(rows, 5\)"):
        run_stage(replace(relu, outputs=(5,)), np.zeros((1, 4)))
