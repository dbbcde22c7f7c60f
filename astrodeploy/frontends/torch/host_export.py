"""From ordinary torch layers to a host stage: exported to ONNX, and accepted only if it computes the same."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.errors import UnsupportedError
from astrodeploy.host import mixes_rows, one_line, run_stage
from astrodeploy.ir.host import HostStage

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

    from astrodeploy.ir.arrays import Array

TOLERANCE = 1e-5  # largest difference from torch, as part of the largest output (or of 1)
CHECKED_ROWS = (3, 1, 2)
OPSET = 20


def stage_of(module: "torch.nn.Module", input_shape: tuple[int, ...]) -> HostStage:
    """A module without state in time as a host stage, as it computes in eval mode.

    input_shape is that of one sample. The stage is run against torch on random inputs, in batches of
    several sizes: it must give the same within TOLERANCE, and a row's result must not depend on the
    other rows. Raises UnsupportedError where torch can't export the module, or the two differ.
    """
    name = type(module).__name__
    training = [each for each in module.modules() if each.training]
    try:
        module.eval()
        model = _exported(module, input_shape, name)
        stage = _described(model, module, input_shape, name)
        _check(stage, module, name)
    finally:
        for each in training:
            each.training = True
    return stage


def _exported(module: "torch.nn.Module", input_shape: tuple[int, ...], name: str) -> "ModelProto":
    """By torch's tracing exporter, or where that fails by its newer one, which takes seconds and more modules."""
    import torch

    example = torch.rand(2, *input_shape)
    with _silence():
        try:
            return _bare(_traced(module, example))
        except Exception:
            try:
                return _bare(_captured(module, example))
            except Exception as error:  # the exporter's own, and whatever the module raises
                raise UnsupportedError(
                    f"{name} can't be exported to ONNX for the host, on an input of shape "
                    f"{tuple(example.shape)}: {one_line(_root(error))}"
                ) from error


def _traced(module: "torch.nn.Module", example: "torch.Tensor") -> "ModelProto":
    import onnx
    import torch

    content: Any = io.BytesIO()  # which this exporter takes, whatever its annotation says
    torch.onnx.export(
        module,
        (example,),
        content,
        dynamo=False,
        opset_version=OPSET,
        dynamic_axes={"inputs": {0: "rows"}, "outputs": {0: "rows"}},
        input_names=["inputs"],
        output_names=["outputs"],
    )
    return onnx.load_model_from_string(content.getvalue())


def _captured(module: "torch.nn.Module", example: "torch.Tensor") -> "ModelProto":
    import torch

    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        input_names=["inputs"],
        output_names=["outputs"],
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _root(error: BaseException) -> BaseException:
    """What the exporter's summary was caused by."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Neither warnings nor progress from the exporter: what matters is checked, or raised."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _bare(model: "ModelProto") -> "ModelProto":
    """The model without notes on how it was made, which name this machine's folders."""
    graph = model.graph
    for each in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del each.metadata_props[:]
        each.ClearField("doc_string")
    return model


def _described(
    model: "ModelProto", module: "torch.nn.Module", input_shape: tuple[int, ...], name: str
) -> HostStage:
    import torch

    with torch.no_grad():
        outputs = module(torch.rand(2, *input_shape))
    if not isinstance(outputs, torch.Tensor) or outputs.dtype != torch.float32 or len(outputs) != 2:
        raise UnsupportedError(f"{name} must give one tensor of float32 with a row for every row it takes")
    return HostStage(
        onnx=model.SerializeToString(deterministic=True),
        inputs=tuple(input_shape),
        outputs=tuple(outputs.shape[1:]),
        operators=tuple(node.op_type for node in model.graph.node),
    )


def _check(stage: HostStage, module: "torch.nn.Module", name: str) -> None:
    rng = np.random.default_rng(0)
    for rows in CHECKED_ROWS:
        inputs = rng.standard_normal((rows, *stage.inputs)).astype(np.float32)
        worst = _difference(run_stage(stage, inputs), _by_torch(module, inputs))
        if not worst <= TOLERANCE:
            raise UnsupportedError(
                f"{name} computes something else in ONNX than in torch: they differ by {worst:.3g} of the "
                f"largest output, allowed is {TOLERANCE:g}"
            )
    if mixes_rows(stage):
        raise UnsupportedError(
            f"{name} mixes the samples of a batch: on the host every sample is computed alone"
        )


def _by_torch(module: "torch.nn.Module", inputs: "Array") -> "Array":
    import torch

    with torch.no_grad():
        result: Array = module(torch.from_numpy(inputs)).numpy()
    return result


def _difference(a: "Array", b: "Array") -> float:
    """The largest difference, as part of the largest value (or of 1); infinite where either is not finite."""
    if a.shape != b.shape or not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0) / max(1.0, np.abs(b).max(initial=0.0)))
