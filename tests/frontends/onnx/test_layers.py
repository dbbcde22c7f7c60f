"""ONNX's operators one after the other: each against onnxruntime, and why some are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnx_models import RNG, by_graph, by_runtime, check, model, numbers

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.onnx import layers as onnx_layers
from astrodeploy.frontends.onnx.file import from_onnx
from astrodeploy.ir.wiring import Conv

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
