"""lava-dl's average layer, which the host computes."""

from math import prod

import numpy as np

from astrodeploy.ir.host import HostStage

OPSET = 20
IR_VERSION = 9


def group_means(shape: tuple[int, ...], groups: int) -> HostStage:
    """The mean of every group of neighbouring neurons, as a stage."""
    from onnx import TensorProto, helper, numpy_helper

    size = prod(shape)
    share = np.repeat(np.eye(groups, dtype=np.float32), size // groups, axis=0) * groups / size
    flat = np.array([-1, size], np.int64)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *each])
        for name, each in (("sent", shape), ("mean", (groups,)))
    ]
    nodes = [
        helper.make_node("Reshape", ["sent", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "share"], ["mean"]),
    ]
    tensors = [
        numpy_helper.from_array(share.astype(np.float32), "share"),
        numpy_helper.from_array(flat, "flat"),
    ]
    graph = helper.make_graph(nodes, "means", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return HostStage(model.SerializeToString(), shape, (groups,), tuple(node.op_type for node in nodes))
