"""Host stages at work: ordinary layers as ONNX models, run by onnxruntime on the CPU.

A model is data that may come from anybody: what reaches beyond it (other files, operators of others'
making, loops) and what would not fit into memory is refused before onnxruntime sees it. One call runs
one sample, so that a sample's numbers never depend on those that it is run with.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.errors import EngineError, InputError, StimulusError
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.host import HostStage

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

STANDARD_DOMAINS = ("", "ai.onnx")
MODEL_BYTES = 1 << 30
VALUES = 1 << 26  # numbers in one tensor, of one sample
TIMED_RUNS, TIMED_ROWS = 5, 64


# ---- running ---------------------------------------------------------------------------------------


def run_stage(stage: HostStage, array: Array, threads: int = 1) -> FloatArray:
    """The stage's outputs (rows, *outputs), float64, of its inputs (rows, *inputs), read as float32.

    Raises StimulusError where the inputs do not fit, InputError where the model is unfit to be run,
    EngineError where onnxruntime fails.
    """
    if array.dtype.kind not in "biuf" or array.shape[1:] != stage.inputs or array.ndim < 1:
        raise StimulusError(
            f"the host's stage takes numbers of shape {_rows(stage.inputs)}, given are {array.dtype} {array.shape}"
        )
    session = _session(stage.onnx, threads)
    rows = np.ascontiguousarray(array, np.float32)
    try:
        (result,) = session.run(None, {session.get_inputs()[0].name: rows})
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise EngineError(f"onnxruntime can't run the host's stage: {one_line(error)}") from error
    if np.shape(result) != (len(rows), *stage.outputs):
        raise InputError(
            f"the host's stage gave {np.shape(result)}, it is described as giving {_rows(stage.outputs)}"
        )
    return np.asarray(result, np.float64)


def by_sample(stage: HostStage, samples: Array) -> tuple[FloatArray, float]:
    """A stage's outputs (samples, rows, *outputs) of (samples, rows, *inputs), and the seconds it took."""
    if len(samples) == 0:
        raise StimulusError(f"the stimulus is empty: its shape is {samples.shape}")
    prepare(stage)
    start = perf_counter()
    results = np.stack([run_stage(stage, sample) for sample in samples])
    return results, perf_counter() - start


def measured(stages: Iterable[tuple[HostStage, int]]) -> float:
    """Seconds that stages take on this machine for so many rows each: the median of a few runs on zeros.

    Of more than TIMED_ROWS rows as many are timed, and the others take as long each.
    """
    seconds = 0.0
    for stage, count in stages:
        timed = min(count, TIMED_ROWS)
        zeros = np.zeros((1, timed, *stage.inputs), np.float32)
        median = float(np.median([by_sample(stage, zeros)[1] for _ in range(TIMED_RUNS)]))
        seconds += median * (count / timed)
    return seconds


def prepare(stage: HostStage) -> None:
    """Load a stage's model, so that its first run takes no longer than the others. Raises InputError."""
    _session(stage.onnx, 1)


def mixes_rows(stage: HostStage) -> bool:
    """Whether what a stage gives for a row depends on the rows beside it. Raises what `run_stage` does."""
    rows = np.random.default_rng(0).standard_normal((3, *stage.inputs))
    alone = np.concatenate([run_stage(stage, row[None]) for row in rows])
    return not np.allclose(run_stage(stage, rows), alone, rtol=1e-4, atol=1e-5, equal_nan=True)


@lru_cache(maxsize=16)
def _session(model: bytes, threads: int) -> Any:
    proto = model_of(model, "the host's stage")
    check_sizes(proto, "the host's stage")
    session = session_of(model, "the host's stage", threads)
    ends = [[each.type for each in side] for side in (session.get_inputs(), session.get_outputs())]
    if ends != [["tensor(float)"]] * 2:
        raise InputError(f"the host's stage must take and give one tensor of float32, it has {ends}")
    return session


def session_of(model: bytes, name: str, threads: int = 1) -> Any:
    """An onnxruntime session of a model that was checked, on the CPU. Raises InputError."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what goes wrong is raised; its chatter is not for the user
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise InputError(f"onnxruntime can't load {name}: {one_line(error)}") from error


def _rows(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['rows', *map(str, shape)])})"


# ---- reading what may be anybody's -----------------------------------------------------------------


def model_of(content: bytes, name: str) -> "ModelProto":
    """An ONNX model from its bytes, which holds all that it needs.

    `name` is what error messages call it. Raises InputError.
    """
    import onnx

    if len(content) > MODEL_BYTES:
        raise InputError(f"{name} has {len(content)} bytes, more than the {MODEL_BYTES} that are read")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own
        raise InputError(f"{name} is no ONNX model, or a damaged one: {one_line(error)}") from error
    if not model.graph.node:
        raise InputError(f"{name} is no ONNX model, or one without a single operator")
    if findings := list(dict.fromkeys(_foreign(model))):
        raise InputError(f"{name} {'; '.join(findings)}")
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's own, and what protobuf raises
        raise InputError(f"{name} is no valid ONNX model: {one_line(error)}") from error
    return model


def _foreign(model: "ModelProto") -> Iterator[str]:
    """What a model brings or needs beyond the standard operators and its own tensors."""
    domains = {each.domain for each in model.opset_import} | {each.domain for each in model.graph.node}
    for domain in sorted(domains - set(STANDARD_DOMAINS)):
        used = sorted({node.op_type for node in model.graph.node if node.domain == domain})
        if used:
            yield f"uses operators of {domain!r} ({', '.join(used)}): only ONNX's own are run"
    if model.functions:
        yield f"defines functions of its own ({model.functions[0].name!r}): inline them first"
    if model.graph.sparse_initializer:
        yield "holds sparse tensors, which are not read"
    for tensor in _tensors(model.graph):
        if tensor.external_data or tensor.data_location == 1:  # EXTERNAL
            yield f"keeps {tensor.name!r} in another file: save it as one file (external_data=False)"
    for node in model.graph.node:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            yield f"has the operator {node.op_type} ({node.name or node.output[0]}), which runs a graph within"


def _tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (t for t in (attribute.t, *attribute.tensors) if t.ByteSize())


def check_sizes(model: "ModelProto", name: str) -> None:
    """Raise InputError unless every tensor's size, for one sample, is known beforehand and not huge."""
    import onnx

    single = onnx.ModelProto()
    single.CopyFrom(model)
    stored = {tensor.name for tensor in single.graph.initializer}
    for each in (each for each in single.graph.input if each.name not in stored):
        if not each.type.tensor_type.shape.dim:
            raise InputError(f"{name}: its input {each.name!r} needs a shape with a first dimension for rows")
        each.type.tensor_type.shape.dim[0].dim_value = 1
    del single.graph.value_info[:]
    for each in single.graph.output:
        each.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(
            single, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:  # the inference's own, and what protobuf raises
        raise InputError(f"{name} is no valid ONNX model: {one_line(error)}") from error
    known = {each.name: each for each in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in inferred.graph.node:
        _check_size(node, known, name)


def _check_size(node: "NodeProto", known: dict[str, Any], name: str) -> None:
    for output in filter(None, node.output):
        dims = list(known[output].type.tensor_type.shape.dim) if output in known else []
        has_shape = output in known and known[output].type.tensor_type.HasField("shape")
        if not has_shape or any(not d.HasField("dim_value") for d in dims):
            raise InputError(
                f"{name}: what {node.op_type} ({node.name or output}) gives has a size that depends on "
                "numbers, which is not run"
            )
        if prod(d.dim_value for d in dims) > VALUES:
            raise InputError(
                f"{name}: what {node.op_type} ({node.name or output}) gives has "
                f"{prod(d.dim_value for d in dims)} numbers a sample, the limit is {VALUES}"
            )


def one_line(error: BaseException) -> str:
    """A message that may be long, on one line."""
    return printable(" ".join(str(error).split()))[:300] or type(error).__name__


def printable(text: str) -> str:
    """A text of a file's, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
