"""The check of every export: the module and its Graph must send the same spikes, layer by layer."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from astrodeploy.encoders import encode_rate
from astrodeploy.engines.recording import Recording
from astrodeploy.errors import StimulusError, UnsupportedError
from astrodeploy.frontends.cells import CELLS
from astrodeploy.frontends.torch_module import layer_name
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.nodes import Array, Membrane
from astrodeploy.nn import AstrocyteLayer, unroll

WINDOWS = 3  # of the slowest astrocyte, so that a changed gain is part of the check
LEAST_STEPS = 32
BATCH = 4


def check_export(module: torch.nn.Module, graph: Graph, sample: Any = None) -> int:
    """Run both in float64 on the same input and return the number of spikes compared.

    A difference is excused where the membrane that began it lies within 1e-9 of its threshold.
    Raises UnsupportedError that names the first layer, step and neuron where they differ, and
    StimulusError for a sample of the wrong shape.
    """
    from astrodeploy.compare import compare_near_threshold
    from astrodeploy.engines.reference import simulate

    steps = max(
        [LEAST_STEPS, *(WINDOWS * p.node.period for p in graph.populations if isinstance(p.node, Astrocyte))]
    )
    x = _random_input(graph, steps) if sample is None else _checked(graph, np.asarray(sample))
    stimulus = encode_rate(x, steps, graph.encoder.seed) if graph.encoder else x.reshape(*x.shape[:2], -1)
    theirs = _torch_recording(module, graph, x, steps)
    ours = simulate(graph, stimulus, record=frozenset((name, "v") for name in graph.layers))
    comparison = compare_near_threshold(theirs, ours, graph, ("torch", "the exported network"))
    if first := comparison.first_divergence:
        raise UnsupportedError(
            f"the export check failed: {first.layer} differs from the torch module first in step {first.step} "
            f"(sample {first.sample}, neuron {first.neuron}): torch sends {first.left:g}, the exported network "
            f"{first.right:g}; the module's forward does what the export can't say"
        )
    return comparison.values


def _random_input(graph: Graph, steps: int) -> Array:
    generator = np.random.default_rng(0)
    shape = graph.input.shape
    if graph.encoder:
        return generator.random((BATCH, *shape), np.float32)
    rates = np.linspace(0.1, 0.9, BATCH).reshape(BATCH, *[1] * (1 + len(shape)))
    return (generator.random((BATCH, steps, *shape)) < rates).astype(np.float64)


def _checked(graph: Graph, sample: Array) -> Array:
    leading = ("batch",) if graph.encoder else ("batch", "steps")
    wanted = f"({', '.join([*leading, *map(str, graph.input.shape)])})"
    if (
        sample.dtype.kind not in "biuf"
        or sample.shape[len(leading) :] != graph.input.shape
        or not sample.size
    ):
        raise StimulusError(f"the sample is {sample.dtype} {sample.shape}, needed are numbers {wanted}")
    return sample


def _torch_recording(module: torch.nn.Module, graph: Graph, x: Array, steps: int) -> Recording:
    """Spikes and membranes (v - v_reset, as the reference has them) of every layer, (rows, steps, size)."""
    double = _in_float64(module)
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    inner = {f"{path}.cell" for path, child in double.named_modules() if isinstance(child, AstrocyteLayer)}
    for path, child in double.named_modules():
        if isinstance(child, (*CELLS, AstrocyteLayer)) and path not in inner:
            child.register_forward_hook(_recorder(seen.setdefault(layer_name(path), [])))
    tensor = torch.from_numpy(np.array(x, np.float64))
    tensor = tensor.float().double() if graph.encoder else tensor
    try:
        with torch.no_grad():
            unroll(double, tensor, steps if graph.encoder else None)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise UnsupportedError(
            f"the forward of {type(module).__name__} does not run on an input of shape {graph.input.shape}: it "
            f"must take (x, state), with None for the first state, and return (y, state); torch says: {error}"
        ) from error
    spikes: dict[str, Array] = {}
    states: dict[tuple[str, str], Array] = {}
    for p in graph.populations:
        if isinstance(p.node, Membrane):
            if not seen.get(p.name):
                raise UnsupportedError(f"the export check failed: {p.name} was never called in torch")
            z, v = (torch.stack(each, 1).numpy() for each in zip(*seen[p.name], strict=True))
            spikes[p.name] = z.reshape(len(x), z.shape[1], -1)
            states[p.name, "v"] = v.reshape(spikes[p.name].shape) - p.node.v_reset.reshape(-1)
    return Recording(spikes, states)


def _recorder(into: list[tuple[torch.Tensor, torch.Tensor]]) -> Callable[..., None]:
    """A forward hook that keeps a layer's spikes and membranes."""

    def record(_module: Any, _inputs: Any, output: Any) -> None:
        spikes, state = output
        into.append((spikes, getattr(state, "cell", state).v))

    return record


def _in_float64(module: torch.nn.Module) -> torch.nn.Module:
    """A copy for inference; Norse's parameters are no torch parameters, `double` leaves them as they are."""
    try:
        double = deepcopy(module).double().eval()
    except RuntimeError as error:
        raise UnsupportedError(
            f"{type(module).__name__} can't be copied for the export check: detach the tensors that its "
            f"cells' parameters were computed from (torch says: {error})"
        ) from error
    for child in double.modules():
        if isinstance(child, CELLS):
            wide = {k: v.double() for k, v in child.p._asdict().items() if isinstance(v, torch.Tensor)}
            child.p = child.p._replace(**wide)
    return double
