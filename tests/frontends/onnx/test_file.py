"""ONNX files: whole networks against torch and onnxruntime, and what is damaged or not to be trusted."""

from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx_models import RNG, by_graph, by_runtime, check, convolutional, exported, model, numbers

import astrodeploy as ad
from astrodeploy.errors import AstrodeployError, InputError
from astrodeploy.frontends.onnx.file import from_onnx, read_onnx
from astrodeploy.host import model_of

W = {"w": numbers(4, 4)}


# ---- whole networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [9, 13, 17, 20])
def test_a_convolutional_network_is_what_torch_and_onnxruntime_compute(opset):
    module = convolutional()
    each = exported(module, (1, 8, 8), opset)
    graph = check(each, (1, 8, 8))
    assert [type(c.wiring).__name__ for c in graph.connections] == ["Conv", "Conv", "Dense"]
    assert graph.after is not None
    assert graph.after.operators == ("Softmax",)
    x = RNG.uniform(-1, 1, (5, 1, 8, 8))
    with torch.no_grad():
        wanted = module[:-1].double()(torch.from_numpy(x)).numpy()
    bare = exported(convolutional()[:-1], (1, 8, 8), opset)
    assert np.abs(by_graph(bare, x)[0] - wanted).max() < 1e-6  # weights folded in float32 by the exporter


def test_a_format_later_than_onnxruntime_is_read():
    each = exported(convolutional()[:-1], (1, 8, 8), 17)
    x = RNG.uniform(-1, 1, (3, 1, 8, 8))
    wanted = by_graph(each, x)[0]
    each.ir_version = onnx.IR_VERSION  # what onnx writes unless told otherwise
    assert np.array_equal(by_graph(each, x)[0], wanted)
    assert each.ir_version == onnx.IR_VERSION


def test_a_branch_and_a_join_are_one_sum():
    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(4, 5), torch.nn.Linear(5, 5)

        def forward(self, x):
            y = torch.relu(self.first(x))
            return torch.relu(self.second(y) - y)

    graph = check(exported(Residual(), (4,)))
    assert graph.layers == ("x", "first", "second")
    assert graph[graph.output].node.sends == "rectified"


def test_a_layer_is_called_as_its_weights_are():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(1, 2, 3)
            self.norm = torch.nn.BatchNorm2d(2)
            self.classify = torch.nn.Linear(2, 3)

        def forward(self, x):
            x = torch.relu(self.norm(self.conv1(x)))
            return self.classify(x.mean((2, 3)))

    assert check(exported(Named(), (1, 6, 6)), (1, 6, 6)).layers == ("x", "conv1", "classify")


def test_several_inputs_and_outputs():
    each = model(
        [
            ("Gemm", ["x", "w"], ["h"], {}),
            ("Gemm", ["z", "v"], ["k"], {}),
            ("Add", ["h", "k"], ["s"], {}),
            ("Relu", ["s"], ["y"], {}),
            ("Gemm", ["y", "w2"], ["y2"], {}),
        ],
        {"w": numbers(4, 3), "v": numbers(2, 3), "w2": numbers(3, 2)},
        outputs=("y", "y2"),
    )
    each.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["rows", 2]))
    graph = from_onnx(each, "net.onnx").graph
    assert [p.name for p in graph.inputs] == ["x", "z"]
    assert [graph[n].node.sends for n in graph.outputs] == ["rectified", "membrane"]


# ---- files --------------------------------------------------------------------------------------------


def written(each, path):
    path.write_bytes(each.SerializeToString())
    return path


def test_what_was_assumed_is_said(tmp_path):
    path = written(exported(convolutional(), (1, 8, 8)), tmp_path / "net.onnx")
    texts = [str(each) for each in read_onnx(path).findings]
    assert any("dt = 0.001 s" in text for text in texts)
    assert any("the host computes, after the network: 4 -> 4: Softmax" in text for text in texts)
    reading = read_onnx(path, dt=0.01)
    assert reading.graph.dt == 0.01
    assert not any("dt" in str(each) for each in reading.findings)
    program = ad.compile(path, calibrate=np.random.default_rng(0).random((3, 1, 8, 8)))
    assert any("dt = 0.001 s" in note.text for note in program.passes[0].notes)


def test_what_a_file_holds_and_no_operator_uses_is_said():
    plain = [("MatMul", ["x", "w"], ["y"], {})]
    each = model(plain, W | {"spare": numbers(3)})
    each.metadata_props.add(key="author", value="me")
    told = [str(found) for found in from_onnx(each, "net").findings]
    assert "the tensor 'spare' is used by no operator: it is not read" in told
    assert "the file has metadata (author), which are not read" in told
    assert not [text for text in map(str, from_onnx(model(plain, W), "net").findings) if "not read" in text]


def test_an_operator_of_another_domain_is_none_of_onnx():
    each = model([("Relu", ["x"], ["y"], {"domain": "com.example"})])
    with pytest.raises(AstrodeployError, match=r"Relu \(n0\) is of the domain com.example"):
        from_onnx(each, "net")


def test_without_calibration_the_command_is_told(tmp_path):
    path = written(exported(convolutional(), (1, 8, 8)), tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"takes numbers.*--calibrate data\.npz"):
        ad.compile(path)


def test_a_file_becomes_a_program_whose_engines_agree(tmp_path):
    path = written(exported(convolutional(), (1, 8, 8)), tmp_path / "net.onnx")
    x = np.random.default_rng(0).integers(0, 17, (12, 1, 8, 8)) / 16
    program = ad.compile(path, calibrate=x)
    wanted = by_runtime(onnx.load(path), x.astype(np.float32))[0]
    traces = {engine: program.run(x, engine=engine) for engine in ("reference", "fast", "oracle")}
    assert np.abs(traces["reference"].outputs - wanted).max() < 1e-6
    assert np.abs(traces["fast"].outputs - wanted).max() < 0.1
    assert np.array_equal(traces["fast"].outputs, traces["oracle"].outputs)
    for name in program.layers:
        assert np.array_equal(traces["fast"].spikes[name], traces["oracle"].spikes[name])
    assert np.array_equal(program.run(x[:, None]).outputs, traces["fast"].outputs)  # or shown for one step


def test_other_peoples_operators_and_files_are_refused(tmp_path):
    each = model([("Relu", ["x"], ["y"], {})])
    each.graph.node[0].domain = "com.microsoft"
    each.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(InputError, match=r"uses operators of 'com.microsoft' \(Relu\)"):
        read_onnx(written(each, tmp_path / "a.onnx"))
    each = model([("Gemm", ["x", "w"], ["y"], {})], W)
    tensor = each.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret.bin")
    with pytest.raises(InputError, match="keeps 'w' in another file"):
        read_onnx(written(each, tmp_path / "b.onnx"))
    inner = model([("Relu", ["x"], ["y"], {})]).graph
    each = model([("Relu", ["x"], ["y"], {})])
    each.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    with pytest.raises(InputError, match="has the operator If .*runs a graph within"):
        read_onnx(written(each, tmp_path / "c.onnx"))


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a model", b"PK\x03\x04"])
def test_what_is_no_model(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"net\.onnx is no ONNX model"):
        read_onnx(path)


def test_a_model_that_the_checker_refuses(tmp_path):
    each = model([("Relu", ["nowhere"], ["y"], {})])
    each.graph.output[0].type.tensor_type.shape.dim.add()
    with pytest.raises(InputError, match="is no valid ONNX model: .*nowhere") as caught:
        read_onnx(written(each, tmp_path / "net.onnx"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused_in_one_sentence(seed, tmp_path):
    rng = np.random.default_rng(seed)
    content = np.frombuffer(exported(convolutional(), (1, 8, 8)).SerializeToString(), np.uint8)
    path, read = tmp_path / "net.onnx", 0
    for _ in range(100):
        damaged = mutated(content, rng)
        path.write_bytes(damaged)
        try:
            read_onnx(path)
            read += 1
        except AstrodeployError as error:
            assert 0 < len(str(error)) < 5000
    assert read < 100


@pytest.mark.parametrize("seed", range(3))
def test_models_with_other_numbers_names_and_operators_in_them(seed):
    rng = np.random.default_rng(seed)
    for _ in range(80):
        each = altered(exported_once(), rng)
        try:
            from_onnx(model_of(each.SerializeToString(), "net.onnx"), "net.onnx")
        except AstrodeployError as error:
            assert str(error).startswith("net.onnx")


@cache
def exported_once():
    return exported(convolutional(), (1, 8, 8))


ODD = (0, -1, 1, 2, 3, 7, 1 << 31, (1 << 62) + 1)
OPERATORS = (
    "Relu",
    "Conv",
    "Gemm",
    "Flatten",
    "Softmax",
    "MatMul",
    "AveragePool",
    "Squeeze",
    "Concat",
    "Shape",
    "Pad",
)


def altered(whole, rng):
    """A model with one to three of its attributes, dimensions, operators and inputs exchanged."""
    each = onnx.ModelProto()
    each.CopyFrom(whole)
    for _ in range(rng.integers(1, 4)):
        node = each.graph.node[rng.integers(len(each.graph.node))]
        tensor = each.graph.initializer[rng.integers(len(each.graph.initializer))]
        what, odd = rng.integers(6), ODD[rng.integers(len(ODD))]
        attributes = [a for a in node.attribute if a.ints]
        if what == 0 and attributes:
            attributes[0].ints[rng.integers(len(attributes[0].ints))] = odd
        elif what == 1 and node.attribute:
            node.attribute[0].i = odd
        elif what == 2:
            node.op_type = OPERATORS[rng.integers(len(OPERATORS))]
        elif what == 3:
            tensor.dims[rng.integers(len(tensor.dims))] = odd
        elif what == 4:
            tensor.data_type = int(rng.integers(0, 24))
        else:
            node.input[rng.integers(len(node.input))] = rng.choice(["x", tensor.name, ""])
    return each


def mutated(content, rng):
    damaged = content.copy()
    what = rng.integers(4)
    if what == 0:
        damaged = damaged[: rng.integers(len(damaged))]
    elif what == 1:
        start = rng.integers(len(damaged))
        damaged = np.concatenate([damaged[:start], damaged[start + rng.integers(1, 40) :]])
    else:
        places = rng.integers(0, len(damaged), rng.integers(1, 12))
        damaged[places] = rng.integers(0, 256, len(places))
    return damaged.tobytes()
