"""What a batch makes the inputs send: checked, through the host's ordinary layers, encoded, in integers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrodeploy import arguments
from astrodeploy.errors import StimulusError
from astrodeploy.host import by_sample
from astrodeploy.ir import LIF, Graph, Input, Population, RateEncoder
from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program


@dataclass(frozen=True, eq=False)
class Shown:
    """What an input sends, (samples, steps, size) integers.

    host_seconds  that ordinary layers before the network took
    """

    sent: Array
    host_seconds: float


def by_input(graph: Graph, x: Any) -> Iterator[tuple[Population, Array]]:
    """Every input population with its part of the stimulus. Raises StimulusError."""
    inputs = graph.inputs
    given = x if isinstance(x, Mapping) else {inputs[0].name: x}
    if set(given) != {p.name for p in inputs}:
        raise StimulusError(
            f"the stimulus is for {', '.join(map(str, given))}, the inputs are "
            f"{', '.join(p.name for p in inputs)}: give one array for each by its name"
        )
    for population in inputs:
        yield population, arguments.array(given[population.name])


def shown(program: Program, population: Population, x: Array, steps: int | None) -> Shown:
    """What an input sends of its part of the stimulus. Raises StimulusError."""
    node, shape = population.node, program.input_shape_of(population)
    values = isinstance(node, RateEncoder) or _lacks_steps(program.reference, node, x, shape, steps)
    _check_shape(shape, x, ("batch",) if values else ("batch", "steps"))
    if steps is not None and values:
        arguments.room(steps, len(x), (p.shape for p in program.network.populations))
    x, seconds = _through_host(program.network, x[:, None] if values else x)
    try:
        if isinstance(node, RateEncoder):
            return Shown(_encoded(node, x[:, 0], steps), seconds)
        assert isinstance(node, Input)
        sent = _given(node, x, None if values else steps)
    except StimulusError as error:
        if program.network.before is None:
            raise
        raise StimulusError(f"after the ordinary layers before the network: {error}") from error
    return Shown(np.repeat(sent, steps or 1, 1) if values else sent, seconds)


def axes(program: Program, x: Any, steps: int | None = None) -> str:
    """How the axes of a stimulus are read, in words; of several inputs, each. Raises StimulusError."""
    told = []
    for population, array in by_input(program.network, x):
        node, shape = population.node, program.input_shape_of(population)
        values = isinstance(node, RateEncoder) or _lacks_steps(program.reference, node, array, shape, steps)
        name = "x" if len(program.network.inputs) == 1 else f"x.{population.name}"
        leading, length = (("batch",), "") if values else (("batch", "steps"), f" of {array.shape[1]} steps")
        told.append(f"{name} is read as {_layout(shape, leading)}: {len(array)} samples{length}")
    return ", ".join(told)


def calibration_stimulus(graph: Graph, x: Any) -> dict[str, Array]:
    """Calibration data by input, as the network itself takes them: through the host's layers, with steps.

    Raises StimulusError.
    """
    found = {}
    for population, array in by_input(graph, x):
        shape = population.shape if graph.before is None else graph.before.inputs
        encoded = isinstance(population.node, RateEncoder)
        lacks_steps = _lacks_steps(graph, population.node, array, shape, None)
        if graph.before is not None:
            _check_shape(shape, array, ("batch",) if encoded or lacks_steps else ("batch", "steps"))
            array, _ = by_sample(graph.before, array[:, None] if encoded or lacks_steps else array)
            found[population.name] = array[:, 0] if encoded else array
        else:
            found[population.name] = array[:, None] if lacks_steps else array
    return found


def _lacks_steps(graph: Graph, node: Any, x: Array, shape: tuple[int, ...], steps: int | None) -> bool:
    """Whether x is (batch, *shape) for an input without an encoder, and it is clear how long it is shown.

    A network without memory needs one step; else `steps` says it, of numbers (a spike lasts one step).
    """
    if not isinstance(node, Input) or x.ndim != 1 + len(shape):
        return False
    return is_memoryless(graph) or (steps is not None and not _is_spikes(node))


def is_memoryless(graph: Graph) -> bool:
    """Whether every answer of the float network depends on the same step's stimulus only."""
    neurons = [p.node for p in graph.populations if not p.is_input]
    stateless = all(
        isinstance(n, LIF) and np.all(n.leak(graph.dt) == 1) and not n.refractory for n in neurons
    )
    return stateless and not any(c.lag for c in graph.connections)


def _is_spikes(node: Input) -> bool:
    return (node.low, node.high, node.unit) == (0, 1, 1.0)


def _through_host(graph: Graph, x: Array) -> tuple[Array, float]:
    """What the host's ordinary layers make of x (samples, steps, ...), and the seconds that it took."""
    return (x, 0.0) if graph.before is None else by_sample(graph.before, x)


def _encoded(encoder: RateEncoder, x: Array, steps: int | None) -> Array:
    from astrodeploy.encoders import encode_rate

    return np.ascontiguousarray(encode_rate(x, steps or encoder.steps, encoder.seed), np.uint8)


def _given(node: Input, x: Array, steps: int | None) -> Array:
    if steps is not None and steps != x.shape[1]:
        raise StimulusError(f"the stimulus has {x.shape[1]} steps, asked for are {steps}: leave steps out")
    x = x.reshape(*x.shape[:2], -1)
    if _is_spikes(node):
        if not np.all((x == 0) | (x == 1)):
            raise StimulusError(
                "the stimulus must hold spikes, 0 or 1: this Program has no encoder, and was not compiled for "
                "graded input (compile it with such a stimulus as --calibrate, calibrate=)"
            )
        return np.ascontiguousarray(x, np.uint8)
    if not np.all(np.isfinite(x)):
        raise StimulusError("the stimulus holds NaN or infinite values")
    sent = np.rint(np.asarray(x, np.float64) * node.unit)
    if sent.min() < node.low or sent.max() > node.high:
        raise StimulusError(
            f"the stimulus reaches {x.min():g}..{x.max():g}, this Program was compiled for "
            f"{node.low / node.unit:g}..{node.high / node.unit:g}: scale it, or compile with a "
            "wider --calibrate (calibrate=)"
        )
    return np.ascontiguousarray(sent, np.int32)


def _layout(shape: tuple[int, ...], leading: tuple[str, ...]) -> str:
    return f"({', '.join([*leading, *map(str, shape)])}{',' * (len(leading) + len(shape) == 1)})"


def _check_shape(shape: tuple[int, ...], x: Array, leading: tuple[str, ...]) -> None:
    wanted = _layout(shape, leading)
    if x.dtype.kind not in "biuf":
        raise StimulusError(f"the stimulus must hold numbers, not {x.dtype}; its shape is to be {wanted}")
    if x.shape[len(leading) :] != shape or x.ndim != len(leading) + len(shape):
        raise StimulusError(f"the stimulus has shape {x.shape}, needed is {wanted}")
    if 0 in x.shape:
        raise StimulusError(f"the stimulus is empty: its shape is {x.shape}, needed is {wanted}")
