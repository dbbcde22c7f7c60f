"""The end of an ONNX network, which only the host can compute, as a model of its own."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.frontends.onnx.shapes import RESHAPES
from astrodeploy.frontends.onnx.signals import Refusal, Shape, Signal
from astrodeploy.ir.host import HostStage

if TYPE_CHECKING:
    from onnx import NodeProto

FLOAT32 = 1
IR_VERSION = 8
ROWS = "rows"


def leading_to(output: str, nodes: Sequence["NodeProto"]) -> "list[NodeProto]":
    """Those of the nodes that an output depends on, in their order."""
    needed, found = {output}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            found.append(node)
            needed |= set(node.input)
    return found[::-1]


def cut_of(nodes: Sequence["NodeProto"], values: Mapping[str, Any]) -> str:
    """The name of the one value that the nodes take from the network. Raises Refusal where there are more."""
    taken = {name for node in nodes for name in node.input if isinstance(values.get(name), Signal)}
    if len(taken) != 1:
        raise Refusal(f"is computed by the host, which takes one value of the network, not {sorted(taken)}")
    return str(taken.pop())


def host_layers(
    nodes: Sequence["NodeProto"],
    values: Mapping[str, Any],
    ends: tuple[str, str],
    shapes: Mapping[str, Shape],
    opset: int,
) -> HostStage:
    """The nodes as one model in float32, with a free number of rows.

    ends    names of its input and its output
    values  what is known of all names: arrays of the constants
    shapes  of one sample, of the ends and of every reshaped value
    """
    from onnx import TensorProto, helper, numpy_helper

    tensors: dict[str, TensorProto] = {}
    made = []
    for node in nodes:
        if node.op_type in RESHAPES:
            target = f"{node.output[0]} as a shape"
            tensors[target] = numpy_helper.from_array(
                np.array([0, *shapes[node.output[0]]], np.int64), target
            )
            made.append(helper.make_node("Reshape", [node.input[0], target], [node.output[0]]))
            continue
        made.append(_in_float32(node))
        for name in node.input:
            if isinstance(array := values.get(name), np.ndarray):
                plain = array.astype(np.float32) if array.dtype.kind == "f" else array
                tensors[name] = numpy_helper.from_array(np.ascontiguousarray(plain), name)
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [ROWS, *shapes[name]]) for name in ends
    )
    graph = helper.make_graph(made, "host", [first], [last], list(tensors.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    operators = tuple(node.op_type for node in made)
    return HostStage(model.SerializeToString(deterministic=True), shapes[ends[0]], shapes[ends[1]], operators)


def _in_float32(node: "NodeProto") -> "NodeProto":
    """A node for float32; a cast between kinds of floats turns to nothing."""
    from onnx import NodeProto, helper

    if node.op_type in ("Cast", "Dropout"):
        return helper.make_node("Identity", [node.input[0]], [node.output[0]])
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.ClearField("doc_string")
    del copy.metadata_props[:]
    return copy
