"""The check of every export: the module and its Graph must do the same, layer by layer and in what comes out."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from astrodeploy.encoders import encode_rate
from astrodeploy.engines.recording import Recording
from astrodeploy.errors import StimulusError, UnsupportedError
from astrodeploy.frontends.torch.held import refuse_counting
from astrodeploy.frontends.torch.host_cut import cut
from astrodeploy.frontends.torch.running import Run, in_float64, run_module
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.nodes import Array, Membrane, carries_signal

WINDOWS = 3  # of the slowest astrocyte, so that a changed gain is part of the check
LEAST_STEPS = 32
BATCH = 4
AMPLITUDES = (1.0, 4.0, 16.0)  # of random input: a larger one where a layer stayed silent
MEMBRANE_ERROR = 1e-9  # float64's rounding over a run, as a share of the largest membrane
HOST_ERROR = 1e-6


def check_export(module: torch.nn.Module, graph: Graph, sample: Any = None) -> int:
    """Run both in float64 on the same input and return the number of messages compared.

    Every layer must send the same spikes, or the same membranes within 1e-9, and the outputs must be
    the forward's. A difference is excused where the membrane that began it lies within 1e-9 of its
    threshold. Raises UnsupportedError that names the first layer, step and neuron where they differ,
    and StimulusError for a sample of the wrong shape.
    """
    steps = max(
        [LEAST_STEPS, *(WINDOWS * p.node.period for p in graph.populations if isinstance(p.node, Astrocyte))]
    )
    if sample is not None:
        compared, _ = _checked(module, graph, _fitting(graph, np.asarray(sample)), steps)
        return compared
    compared = 0
    for amplitude in AMPLITUDES[: 1 if graph.encoder else None]:
        compared, active = _checked(module, graph, amplitude * _random_input(graph, steps), steps)
        if active:
            break
    return compared


def _checked(module: torch.nn.Module, graph: Graph, x: Array, steps: int) -> tuple[int, bool]:
    """Messages compared on one stimulus, and whether every spiking layer sent some."""
    from astrodeploy.engines.reference import simulate

    double = in_float64(module)
    x = np.array(x, np.float32 if graph.encoder else np.float64)
    run = run_module(double, graph, x, steps if graph.encoder else None)
    refuse_counting(double, run.changed)
    stimulus = _before(double, graph, x)
    if graph.encoder:
        stimulus = encode_rate(stimulus, steps, graph.encoder.seed)
    stimulus = stimulus.reshape(*stimulus.shape[:2], -1)
    ours = simulate(graph, stimulus, record=frozenset((name, "v") for name in graph.layers))
    spiking = {p.name for p in graph.populations if _spikes(p.node)}
    compared = _compare_spikes(run.recording, ours, graph, spiking) if spiking else 0
    rows = _alike(run.recording, ours, spiking)
    compared += _compare_membranes(run.recording, ours, graph, rows)
    _compare_outputs(double, run, ours, graph, rows)
    return compared, all(np.any(ours.spikes[name]) for name in spiking)


def _spikes(node: Any) -> bool:
    return isinstance(node, Membrane) and node.sends == "spikes"


def _compare_spikes(theirs: Recording, ours: Recording, graph: Graph, spiking: set[str]) -> int:
    from astrodeploy.compare import compare_near_threshold

    layers = replace(graph, populations=tuple(p for p in graph.populations if p.name in spiking))
    comparison = compare_near_threshold(theirs, ours, layers, ("torch", "the exported network"), states=False)
    if first := comparison.first_divergence:
        raise UnsupportedError(
            f"the export check failed: {first.layer} differs from the torch module first in step {first.step} "
            f"(sample {first.sample}, neuron {first.neuron}): torch sends {first.left:g}, the exported network "
            f"{first.right:g}; the module's forward does what the export can't say"
        )
    return comparison.values


def _alike(theirs: Recording, ours: Recording, spiking: set[str]) -> Array:
    """The rows in which all spikes are the same, without an excused difference."""
    rows = np.ones(len(next(iter(ours.spikes.values()))), bool)
    for name in spiking:
        rows &= (theirs.spikes[name] == ours.spikes[name]).all((1, 2))
    return rows


def _compare_membranes(theirs: Recording, ours: Recording, graph: Graph, rows: Array) -> int:
    compared = 0
    for p in graph.populations:
        if carries_signal(p.node) or (isinstance(p.node, Membrane) and not _spikes(p.node)):
            left, right = theirs.spikes[p.name][rows], ours.spikes[p.name][rows]
            compared += left.size
            _close(left, right, MEMBRANE_ERROR, p.name)
    return compared


def _compare_outputs(double: torch.nn.Module, run: Run, ours: Recording, graph: Graph, rows: Array) -> None:
    """What the forward gives against the outputs of the Graph, and what the host makes of them."""
    for name, given in zip(graph.outputs, run.outputs, strict=True):
        sent = ours.spikes[name].astype(np.float64)
        error = MEMBRANE_ERROR
        if graph.after is not None:
            sent, error = _after(double, graph, sent, graph[name].shape), HOST_ERROR
        if sent.shape != given.shape:
            raise UnsupportedError(
                f"the export check failed: the forward gives {given.shape[2]} values a step, the exported network "
                f"{sent.shape[2]}"
            )
        _close(given[rows], sent[rows], error, "the output")


def _close(left: Array, right: Array, error: float, name: str) -> None:
    """Raise UnsupportedError where numbers differ by more than a share of the largest."""
    far = np.abs(left - right) > error * max(1.0, np.abs(right).max(initial=0.0))
    if far.any():
        sample, step, neuron = (int(i) for i in np.unravel_index(int(far.argmax()), far.shape))
        raise UnsupportedError(
            f"the export check failed: {name} differs from the torch module first in step {step} (sample {sample}, "
            f"neuron {neuron}): torch gives {left[sample, step, neuron]:g}, the exported network "
            f"{right[sample, step, neuron]:g}; the module's forward does what the export can't say"
        )


# ---- input and host stages -------------------------------------------------------------------------


def _before(double: torch.nn.Module, graph: Graph, x: Array) -> Array:
    """What the chip's input is given of x."""
    if graph.before is None:
        return x
    parts = cut(double)
    assert parts.before is not None
    if graph.encoder:
        return _applied(parts.module(parts.before), x).astype(np.float32)
    flat = _applied(parts.module(parts.before), x.reshape(-1, *graph.before.inputs))
    return flat.reshape(*x.shape[:2], *flat.shape[1:])


def _after(double: torch.nn.Module, graph: Graph, sent: Array, shape: tuple[int, ...]) -> Array:
    """What the host makes of every step's messages, (rows, steps, values)."""
    parts = cut(double)
    assert parts.after is not None
    given = _applied(parts.module(parts.after), sent.reshape(-1, *shape))
    return given.reshape(*sent.shape[:2], -1)


def _applied(stage: torch.nn.Module, x: Array) -> Array:
    with torch.no_grad():
        y = stage(torch.from_numpy(np.asarray(x, np.float64)))
    return np.asarray(y.numpy(), np.float64)


def _random_input(graph: Graph, steps: int) -> Array:
    generator = np.random.default_rng(0)
    if graph.before is not None:
        leading = (BATCH,) if graph.encoder else (BATCH, steps)
        return generator.normal(size=(*leading, *graph.before.inputs))
    shape = graph.input.shape
    if graph.encoder:
        return generator.random((BATCH, *shape), np.float32)
    rates = np.linspace(0.1, 0.9, BATCH).reshape(BATCH, *[1] * (1 + len(shape)))
    return (generator.random((BATCH, steps, *shape)) < rates).astype(np.float64)


def _fitting(graph: Graph, sample: Array) -> Array:
    leading = ("batch",) if graph.encoder else ("batch", "steps")
    shape = graph.input.shape if graph.before is None else graph.before.inputs
    wanted = f"({', '.join([*leading, *map(str, shape)])})"
    if sample.dtype.kind not in "biuf" or sample.shape[len(leading) :] != shape or not sample.size:
        raise StimulusError(f"the sample is {sample.dtype} {sample.shape}, needed are numbers {wanted}")
    return sample
