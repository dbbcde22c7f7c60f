"""What was read from an ONNX file against onnxruntime, on random numbers, before it is accepted."""

from typing import TYPE_CHECKING

import numpy as np

from astrodeploy.engines.reference import simulate
from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.onnx.host import IR_VERSION
from astrodeploy.host import check_sizes, one_line, run_stage, session_of
from astrodeploy.ir import Graph
from astrodeploy.ir.arrays import Array

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-3  # largest difference as part of the largest output: float32 may lose that much in depth
TOLERANCE_HALF = 5e-2  # with numbers of 16 bits
SAMPLES = 2


def check_against_runtime(model: "ModelProto", graph: Graph, name: str, batch: int) -> None:
    """Raise UnsupportedError unless the Graph gives what onnxruntime does; `batch` is what the file fixes, or 0."""
    check_sizes(model, name)
    rng = np.random.default_rng(0)
    rows = batch or SAMPLES
    given = {p.name: rng.uniform(-1, 1, (rows, p.size)) for p in graph.inputs}
    wanted = _by_runtime(model, graph, given, name)
    found = _by_graph(graph, given)
    for a, b in zip(wanted, found, strict=True):
        tolerance = TOLERANCE if a.dtype.itemsize > 2 else TOLERANCE_HALF
        expected = a.reshape(rows, -1).astype(np.float64)
        largest = max(1.0, float(np.abs(expected).max(initial=0.0)))
        worst = float(np.abs(expected - b.reshape(rows, -1)).max(initial=0.0)) / largest
        if not worst <= tolerance:
            raise UnsupportedError(
                f"{name} was read as a network that differs from what onnxruntime computes, by {worst:.3g} of the "
                f"largest output (allowed is {tolerance:g}): it holds what is not understood here"
            )


def _by_runtime(model: "ModelProto", graph: Graph, given: dict[str, Array], name: str) -> list[Array]:
    from onnx import helper

    session = session_of(_in_old_format(model), name)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    feeds = {}
    for each, (population, x) in zip(inputs, given.items(), strict=True):
        tensor = each.type.tensor_type
        shape = (len(x), *graph[population].shape) if len(tensor.shape.dim) > 1 else (len(x),)
        feeds[each.name] = x.reshape(shape).astype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    try:
        return [np.asarray(each) for each in session.run(None, feeds)]
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise UnsupportedError(f"onnxruntime can't run {name}: {one_line(error)}") from error


def _in_old_format(model: "ModelProto") -> bytes:
    """The model in the oldest format that has its operators: onnxruntime refuses those later than itself."""
    from onnx import ModelProto, helper

    needed = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = min(model.ir_version, max(needed, IR_VERSION))
    return bytes(copy.SerializeToString())


def _by_graph(graph: Graph, given: dict[str, Array]) -> list[Array]:
    record = frozenset((name, "v") for name in graph.outputs)
    recording = simulate(graph, {name: x[:, None] for name, x in given.items()}, record=record)
    found = []
    for name in graph.outputs:
        v = recording.states[name, "v"][:, 0]
        found.append(np.maximum(v, 0) if getattr(graph[name].node, "sends", "") == "rectified" else v)
    if graph.after is None:
        return found
    return [run_stage(graph.after, found[0].reshape(-1, *graph.after.inputs))]
