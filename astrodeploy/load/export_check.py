"""The check of every export: the module and its Graph must send the same spikes, layer by layer."""

from typing import Any

import numpy as np
import torch

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.nodes import Array
from astrodeploy.load.cells import CELLS
from astrodeploy.nn import AstrocyteLayer, unroll

MARGIN = 1e-9  # a membrane this close to its threshold may fall on either side of it
WINDOWS = 3  # of the slowest astrocyte, so that a changed gain is part of the check
LEAST_STEPS = 32
BATCH = 4


def check_export(module: torch.nn.Module, graph: Graph, sample: Any = None) -> int:
    """Run both in float64 on the same input and return the number of spikes compared.

    Raises UnsupportedError that names the first layer, step and neuron where they differ.
    """
    from astrodeploy.engines.reference import simulate

    steps = max(
        [LEAST_STEPS, *(WINDOWS * p.node.period for p in graph.populations if isinstance(p.node, Astrocyte))]
    )
    x = _random_input(graph, steps) if sample is None else np.asarray(sample)
    theirs, stimulus = _torch_spikes(module, graph, x, steps)
    names = [name for name in theirs if name in graph.layers]
    result = simulate(graph, stimulus, record=frozenset((name, "v") for name in names))
    for name in names:
        ours = result.spikes[name]
        for row, step, neuron in np.argwhere(ours != theirs[name])[:1]:
            raise UnsupportedError(
                f"the export check failed: {name} differs from the torch module first in step {step} "
                f"(sample {row}, neuron {neuron}): torch sends {theirs[name][row, step, neuron]:g}, "
                f"the exported network {ours[row, step, neuron]:g}; its forward does what the export can't say"
            )
    return sum(theirs[name].size for name in names)


def _random_input(graph: Graph, steps: int) -> Array:
    generator = np.random.default_rng(0)
    shape = graph.input.shape
    if graph.encoder:
        return generator.random((BATCH, *shape), np.float32)
    rates = np.linspace(0.1, 0.9, BATCH).reshape(BATCH, *[1] * (1 + len(shape)))
    return (generator.random((BATCH, steps, *shape)) < rates).astype(np.float64)


def _torch_spikes(
    module: torch.nn.Module, graph: Graph, x: Array, steps: int
) -> tuple[dict[str, Array], Array]:
    """Spikes of every layer of neurons by its name in the Graph, and the input's, (rows, steps, size)."""
    from copy import deepcopy

    from astrodeploy.encoders import encode_rate

    double = deepcopy(module).double().eval()
    seen: dict[str, list[torch.Tensor]] = {}
    for path, child in double.named_modules():
        if isinstance(child, (*CELLS, AstrocyteLayer)) and not path.endswith(".cell"):
            name = f"layer{path}" if path.isdigit() else path.replace(".", "_")
            child.register_forward_hook(
                lambda _m, _i, out, name=name: seen.setdefault(name, []).append(out[0])
            )
    with torch.no_grad():
        tensor = torch.from_numpy(np.array(x, np.float64))
        unroll(double, tensor.float().double() if graph.encoder else tensor, steps if graph.encoder else None)
    if encoder := graph.encoder:
        stimulus = encode_rate(x, steps, encoder.seed)
    else:
        stimulus = x.reshape(*x.shape[:2], -1)
    spikes = {k: torch.stack(v, 1).numpy().reshape(len(x), len(v), -1) for k, v in seen.items()}
    return spikes, stimulus
