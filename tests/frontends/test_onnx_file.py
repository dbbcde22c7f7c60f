"""ONNX files: every operator against onnxruntime, what is refused and how, and what is damaged."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

sys.path.append(str(Path(__file__).parents[1]))
from onnx_models import by_runtime, convolutional, exported, model

import astrodeploy as ad
from astrodeploy.engines.reference import simulate
from astrodeploy.errors import AstrodeployError, InputError, UnsupportedError
from astrodeploy.frontends import onnx_layers
from astrodeploy.frontends.onnx_file import from_onnx, read_onnx
from astrodeploy.host import model_of, run_stage
from astrodeploy.ir.wiring import Conv

RNG = np.random.default_rng(11)
TOLERANCE = 1e-6  # of the largest output: onnxruntime computes in float32


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def by_graph(each, x, **options):
    """What the float Graph gives for a batch in its first step, all outputs."""
    graph = from_onnx(each, "net.onnx", **options).graph
    record = frozenset((name, "v") for name in graph.outputs)
    recording = simulate(graph, x.reshape(len(x), 1, -1).astype(np.float64), record=record)
    found = []
    for name in graph.outputs:
        sends = graph[name].node.sends
        sent = recording.states[name, "v"] if sends == "membrane" else recording.spikes[name]
        found.append(sent[:, 0].reshape(len(x), *graph[name].shape))
    return [run_stage(graph.after, found[0])] if graph.after else found


def check(each, shape=(4,), tolerance=TOLERANCE, **options):
    """The Graph gives what onnxruntime does, for a few samples."""
    x = RNG.uniform(-1, 1, (3, *shape)).astype(np.float32)
    wanted, found = by_runtime(each, x), by_graph(each, x, **options)
    assert len(wanted) == len(found)
    for a, b in zip(wanted, found, strict=True):
        assert a.size == b.size
        worst = np.abs(a.reshape(len(x), -1) - b.reshape(len(x), -1)).max()
        assert worst <= tolerance * max(1.0, np.abs(a).max())
    return from_onnx(each, "net.onnx", **options).graph


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


# ---- one operator after the other ----------------------------------------------------------------


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [(3,), (1, 3), (1,), ()])
def test_gemm(transposed, bias):
    weight = numbers(3, 4) if transposed else numbers(4, 3)
    attributes = {"alpha": 0.5, "beta": -2.0, "transB": transposed}
    check(model([("Gemm", ["x", "w", "b"], ["y"], attributes)], {"w": weight, "b": numbers(*bias)}))


def test_matmul_and_add_over_the_last_dimension():
    check(
        model(
            [("MatMul", ["x", "w"], ["h"], {}), ("Add", ["b", "h"], ["y"], {})],
            {"w": numbers(4, 3), "b": numbers(3)},
        )
    )
    check(model([("MatMul", ["x", "w"], ["y"], {})], {"w": numbers(4, 3)}, shape=(2, 3, 4)), (2, 3, 4))


@st.composite
def convolutions(draw):
    dims = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 2]))
    size = [draw(st.integers(5, 8)) for _ in range(dims)]
    kernel = [draw(st.integers(1, 3)) for _ in range(dims)]
    attributes = {
        "strides": [draw(st.integers(1, 3)) for _ in range(dims)],
        "group": groups,
    }
    how = draw(st.sampled_from(["none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "dilated"]))
    if how == "pads":
        attributes["pads"] = [draw(st.integers(0, 2)) for _ in range(2 * dims)]
    elif how == "dilated":
        attributes["dilations"] = [2] * dims
        attributes["pads"] = [1] * 2 * dims
    elif how != "none":
        attributes["auto_pad"] = how
    return (2, *size), (4, 2 // groups, *kernel), attributes


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolutions(case):
    shape, filters, attributes = case
    tensors = {"w": numbers(*filters), "b": numbers(filters[0])}
    graph = check(model([("Conv", ["x", "w", "b"], ["y"], attributes)], tensors, shape=shape), shape)
    assert isinstance(graph.connections[0].wiring, Conv)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [1, 2]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    ],
)
def test_average_pools_alone_and_beside_convolutions(attributes):
    shape = (2, 6, 6)
    check(model([("AveragePool", ["x"], ["y"], attributes)], shape=shape), shape)
    filters = {"w": numbers(3, 2, 3, 3), "v": numbers(2, 3, 2, 2)}
    nodes = [
        ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1]}),
        ("AveragePool", ["a"], ["b"], attributes),
        ("Conv", ["b", "v"], ["y"], {}),
    ]
    check(model(nodes, filters, shape=shape), shape)
    nodes.insert(1, ("Relu", ["a"], ["r"], {}))
    nodes[2] = ("AveragePool", ["r"], ["b"], attributes)
    check(model(nodes, filters, shape=shape), shape)


def test_a_pool_of_a_convolution_keeps_shared_filters():
    nodes = [
        ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("AveragePool", ["a"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ]
    graph = check(model(nodes, {"w": numbers(3, 2, 3, 3)}, shape=(2, 11, 9)), (2, 11, 9))
    assert isinstance(graph.connections[0].wiring, Conv)
    assert graph.layers == ("x", "n0")


def test_means_over_all_positions():
    for shape in ((3, 5), (3, 4, 5)):
        check(model([("GlobalAveragePool", ["x"], ["y"], {})], shape=shape), shape)
        axes = list(range(-len(shape) + 1, 0))
        check(model([("ReduceMean", ["x"], ["y"], {"axes": axes, "keepdims": 0})], shape=shape), shape)
        nodes = [("ReduceMean", ["x", "a"], ["y"], {})]
        check(model(nodes, {"a": np.array(axes)}, shape=shape, opset=18), shape)


@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 4, 4)])
def test_batch_normalisation_is_folded(shape):
    tensors = {"s": numbers(3), "b": numbers(3), "m": numbers(3), "v": np.abs(numbers(3)) + 0.1}
    graph = check(
        model([("BatchNormalization", ["x", *tensors], ["y"], {"epsilon": 0.01})], tensors, shape=shape),
        shape,
    )
    assert len(graph.populations) == 2


def test_normalised_pixels_before_a_padded_convolution():
    """(x - mean) / std by channel becomes part of the filters; the bias at the edge differs, and is kept."""
    tensors = {"m": numbers(2, 1, 1), "d": np.array([[[2.0]], [[0.5]]], np.float32), "w": numbers(4, 1, 3, 3)}
    nodes = [
        ("Sub", ["x", "m"], ["a"], {}),
        ("Div", ["a", "d"], ["b"], {}),
        ("Conv", ["b", "w"], ["c"], {"pads": [1, 1, 1, 1], "group": 2}),
        ("Relu", ["c"], ["y"], {}),
    ]
    graph = check(model(nodes, tensors, shape=(2, 5, 5)), (2, 5, 5))
    assert isinstance(graph.connections[0].wiring, Conv)


def test_sums_and_factors():
    tensors = {"a": numbers(4), "b": numbers(1, 4), "w": numbers(4, 4)}
    nodes = [
        ("Mul", ["a", "x"], ["p"], {}),
        ("Sub", ["b", "p"], ["q"], {}),
        ("Gemm", ["x", "w"], ["r"], {}),
        ("Sub", ["q", "r"], ["s"], {}),
        ("Add", ["s", "x"], ["t"], {}),
        ("Add", ["t", "t"], ["u"], {}),
        ("Mul", ["a", "b"], ["ab"], {}),
        ("Add", ["u", "ab"], ["y"], {}),
    ]
    graph = check(model(nodes, tensors))
    assert len(graph.connections) == 1


def test_padding_of_its_own():
    nodes = [("Pad", ["x", "p"], ["a"], {}), ("Conv", ["a", "w"], ["y"], {})]
    tensors = {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "w": numbers(2, 2, 3, 3)}
    check(model(nodes, tensors, shape=(2, 5, 5)), (2, 5, 5))


def test_shapes_that_change_nothing():
    nodes = [
        ("Dropout", ["x"], ["a"], {}),
        ("Identity", ["a"], ["b"], {}),
        ("Unsqueeze", ["b", "axis"], ["c"], {}),
        ("Squeeze", ["c", "axis"], ["d"], {}),
        ("Reshape", ["d", "shape"], ["e"], {}),
        ("Flatten", ["e"], ["f"], {}),
        ("Cast", ["f"], ["g"], {"to": TensorProto.FLOAT}),
        ("Gemm", ["g", "w"], ["y"], {}),
    ]
    tensors = {"axis": np.array([1]), "shape": np.array([0, 2, -1]), "w": numbers(4, 3)}
    graph = check(model(nodes, tensors))
    assert len(graph.populations) == 2


def test_a_batch_that_the_file_fixes_and_a_shape_that_is_asked_for():
    fixed = [("Reshape", ["x", "shape"], ["a"], {}), ("Gemm", ["a", "w"], ["y"], {})]
    each = model(fixed, {"shape": np.array([1, 4]), "w": numbers(4, 3)}, shape=(2, 2), batch=1)
    assert from_onnx(each, "net.onnx").graph["x"].shape == (2, 2)
    asked = [
        ("Shape", ["x"], ["s"], {}),
        ("Gather", ["s", "zero"], ["n"], {}),
        ("Unsqueeze", ["n", "axes"], ["n1"], {}),
        ("Concat", ["n1", "rest"], ["shape"], {"axis": 0}),
        ("Reshape", ["x", "shape"], ["a"], {}),
        ("Gemm", ["a", "w"], ["y"], {}),
    ]
    tensors = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "w": numbers(4, 3)}
    check(model(asked, tensors, shape=(2, 2)), (2, 2))


def test_constants_may_be_nodes_inputs_and_halves():
    weight = numbers(4, 3)
    value = numpy_helper.from_array(weight, "w")
    check(model([("Constant", [], ["w"], {"value": value}), ("Gemm", ["x", "w"], ["y"], {})]))
    listed = model([("MatMul", ["x", "w"], ["y"], {})], {"w": weight}, listed=[value], opset=7)
    assert [p.name for p in from_onnx(listed, "net.onnx").graph.inputs] == ["x"]
    check(listed)
    half = model(
        [("Cast", ["w16"], ["w"], {"to": TensorProto.FLOAT}), ("Gemm", ["x", "w"], ["y"], {})],
        {"w16": weight.astype(np.float16)},
    )
    check(half)
    whole = model(
        [("Gemm", ["x", "w"], ["y"], {})], {"w": weight.astype(np.float16)}, elem=TensorProto.FLOAT16
    )
    x = RNG.uniform(-1, 1, (3, 4)).astype(np.float16)
    assert np.abs(by_graph(whole, x)[0] - by_runtime(whole, x)[0]).max() < 0.01


def test_the_end_that_only_the_host_can_compute():
    nodes = [
        ("Gemm", ["x", "w"], ["a"], {}),
        ("Sigmoid", ["a"], ["b"], {}),
        ("Mul", ["b", "k"], ["c"], {}),
        ("Reshape", ["c", "s"], ["d"], {}),
        ("Softmax", ["d"], ["y"], {"axis": 2}),
    ]
    tensors = {"w": numbers(4, 6), "k": numbers(6), "s": np.array([-1, 2, 3])}
    graph = check(model(nodes, tensors))
    assert graph.after is not None
    assert graph.after.operators == ("Sigmoid", "Mul", "Reshape", "Softmax")
    assert (graph.after.inputs, graph.after.outputs) == ((6,), (2, 3))


def test_an_open_shape_is_asked_for():
    each = model([("GlobalAveragePool", ["x"], ["y"], {})], shape=(2, "h", "w"))
    with pytest.raises(UnsupportedError, match="open shape .*input_shape"):
        from_onnx(each, "net.onnx")
    check(each, (2, 3, 5), input_shape=(2, 3, 5))


# ---- what is refused ---------------------------------------------------------------------------------


def test_everything_that_is_not_compiled_is_named_at_once():
    nodes = [
        ("MaxPool", ["x"], ["a"], {"kernel_shape": [2, 2]}),
        ("Conv", ["a", "w"], ["b"], {}),
        ("LeakyRelu", ["b"], ["c"], {}),
        ("Erf", ["c"], ["y"], {}),
    ]
    with pytest.raises(UnsupportedError) as caught:
        from_onnx(model(nodes, {"w": numbers(1, 1, 2, 2)}, shape=(1, 6, 6)), "net.onnx")
    text = str(caught.value)
    assert "3 errors" in text
    for line in ("MaxPool (n0) is not compiled", "AveragePool", "LeakyRelu (n2) is not", "Erf (n3) is not"):
        assert line in text


W = {"w": numbers(4, 4)}
REFUSED = {
    "transA": ([("Gemm", ["x", "w"], ["y"], {"transA": 1})], W, "Gemm.*transA=1.*mixes the samples"),
    "weights": ([("MatMul", ["x", "x"], ["y"], {})], {}, "MatMul.*needs constant weights"),
    "product": ([("Mul", ["x", "x"], ["y"], {})], {}, "Mul.*multiplies two values"),
    "batch": ([("Reshape", ["x", "s"], ["y"], {})], {"s": np.array([-1])}, "Reshape.*mixes its samples"),
    "head": (
        [("Tanh", ["x"], ["a"], {}), ("Gemm", ["a", "w"], ["y"], {})],
        W,
        r"Gemm \(n1\) follows Tanh \(n0\), which the host",
    ),
    "constant": ([("Relu", ["w"], ["y"], {}), ("Relu", ["x"], ["z"], {})], W, "Relu.*simplify"),
    "nan": ([("Gemm", ["x", "w"], ["y"], {})], {"w": np.full((4, 4), np.nan, np.float32)}, "NaN or infinite"),
    "misfit": (
        [("MatMul", ["x", "w"], ["y"], {})],
        {"w": numbers(3, 3)},
        "takes 3 numbers a sample, it gets 4",
    ),
    "zero": ([("Div", ["x", "w"], ["y"], {})], {"w": np.zeros(4, np.float32)}, "divides by 0"),
    "rows": ([("Add", ["x", "w"], ["y"], {})], W, "joins a constant of shape"),
    "type": ([("Cast", ["x"], ["y"], {"to": TensorProto.INT64})], {}, "numbers of type 7, not float"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_compiled_says_why(name):
    nodes, tensors, text = REFUSED[name]
    with pytest.raises(UnsupportedError, match=text):
        from_onnx(model(nodes, tensors), "net.onnx")


def test_a_softmax_over_the_batch_is_refused():
    nodes = [("Gemm", ["x", "w"], ["a"], {}), ("Softmax", ["a"], ["y"], {"axis": 0})]
    with pytest.raises(UnsupportedError, match=r"host \(4 -> 4: Softmax\), and would mix the samples"):
        from_onnx(model(nodes, W), "net.onnx")


def test_a_network_that_was_misread_is_not_accepted(monkeypatch):
    misread = lambda node, build: node.signal().scaled(2 * np.ones(4))
    monkeypatch.setitem(onnx_layers.LAYERS, "Identity", misread)
    nodes = [("Identity", ["x"], ["a"], {}), ("Gemm", ["a", "w"], ["y"], {})]
    with pytest.raises(UnsupportedError, match="differs from what onnxruntime computes, by"):
        from_onnx(model(nodes, W), "net.onnx")


IMAGES = {
    "ceil": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, "ceil_mode"),
    "dilated": ("Conv", {"dilations": [2, 2], "pads": [0, 0, 1, 1]}, "pads unequally"),
    "axes": ("ReduceMean", {"axes": [1]}, "only over all spatial ones"),
    "flatten": ("Flatten", {"axis": 2}, "mixes the samples"),
    "kernel": ("Conv", {"kernel_shape": [5, 5]}, "has filters of shape"),
    "empty": ("Conv", {"strides": [0, 1]}, "positive numbers"),
    "huge": ("Conv", {"pads": [0, 0, 1 << 40, 1 << 40]}, "pads too far"),
    "padded": ("Conv", {"pads": [1 << 20] * 4}, "numbers a sample; allowed are 1 to"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_windows_that_can_not_be_compiled_say_why(name):
    operator, attributes, text = IMAGES[name]
    inputs = ["x", "w"] if operator == "Conv" else ["x"]
    each = model([(operator, inputs, ["y"], attributes)], {"w": numbers(1, 1, 3, 3)}, shape=(1, 5, 5))
    with pytest.raises(UnsupportedError, match=text):
        from_onnx(each, "net.onnx")


@pytest.mark.parametrize("opset", [6, 21])
def test_opsets_beyond_those_that_are_read(opset):
    with pytest.raises(UnsupportedError, match="opset .*; read are 7 to 20"):
        from_onnx(model([("Relu", ["x"], ["y"], {})], opset=opset), "net.onnx")


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
    assert "dt = 0.001 s" in str(program.passes[0])


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
    steps = program.run(np.repeat(x[:, None], program.depth + 1, 1))  # or as many steps as it takes
    assert np.abs(steps.outputs - traces["fast"].outputs).max() < 1e-12


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
