"""Small ONNX models, built by hand or exported from torch."""

import io
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

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
