"""Small ONNX models, built by hand or exported from torch, and what Graph and onnxruntime make of them."""

import io
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from astrodeploy.engines.reference import simulate
from astrodeploy.frontends.onnx.file import from_onnx
from astrodeploy.host import run_stage

ROWS = "rows"


def model(nodes, tensors=(), shape=(4,), outputs=("y",), opset=17, elem=TensorProto.FLOAT, **more: Any):
    """A model with the input x (rows, *shape); `nodes` are (operator, inputs, outputs, attributes)."""
    made = [
        helper.make_node(op, list(inputs), list(outs), name=f"n{i}", **attributes)
        for i, (op, inputs, outs, attributes) in enumerate(nodes)
    ]
    x = helper.make_tensor_value_info("x", elem, [more.get("batch", ROWS), *shape])
    ends = [helper.make_tensor_value_info(name, elem, None) for name in outputs]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(tensors).items()]
    inputs = [
        x,
        *[helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in more.get("listed", ())],
    ]
    graph = helper.make_graph(made, "g", inputs, ends, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def exported(module: torch.nn.Module, shape: tuple[int, ...], opset: int = 17) -> onnx.ModelProto:
    """A torch module as ONNX with a free batch."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.rand(2, *shape),),
            content,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: ROWS}, "y": {0: ROWS}},
            opset_version=opset,
        )
    return onnx.load_model_from_string(content.getvalue())


def by_runtime(each: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime computes, all outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(each.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def convolutional(classes: int = 4) -> torch.nn.Module:
    """A small network with all of the usual layers, for (1, 8, 8)."""
    torch.manual_seed(5)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(4, 6, 3, stride=2, groups=2, dilation=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(6, classes),
        torch.nn.Softmax(1),
    )
    layers[1].running_mean.normal_()
    layers[1].running_var.uniform_(0.5, 2)
    return layers.eval()


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
