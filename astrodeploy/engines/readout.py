"""What the network says: its outputs over their windows, read out as the Graph asks for."""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.engines.recording import Recording
from astrodeploy.host import by_sample, prepare
from astrodeploy.ir import Compartments
from astrodeploy.ir.arrays import Array

if TYPE_CHECKING:
    from astrodeploy.engines import Plan

REDUCED: dict[str, Callable[[Array], Array]] = {  # of numbers (samples, steps, ...)
    "count": lambda spikes: spikes.sum(1, dtype=np.int64),
    "sum": lambda numbers: numbers.sum(1),
    "last": lambda numbers: numbers[:, -1],
    "mean": lambda numbers: numbers.mean(1),
    "max": lambda numbers: numbers.max(1),
}


def timed_read_out(plan: "Plan", recording: Recording) -> tuple[Any, float]:
    """`read_out`, and the seconds that ordinary layers after the network took."""
    after = plan.job.program.network.after
    if after is None:
        return read_out(plan, recording), 0.0
    prepare(after)
    start = perf_counter()
    return read_out(plan, recording), perf_counter() - start


def read_out(plan: "Plan", recording: Recording) -> Any:
    """What the read-out says: (samples, *output shape), or by name where there are several outputs.

    It is read as the Graph says (`Graph.read_outs`); where ordinary layers follow the network, what they make of
    every step's messages.
    """
    network = plan.job.program.network
    read = {}
    for name, each in network.read_outs.items():
        window = _window(plan, recording, name, each.how)
        numbers = window if network.after is None else by_sample(network.after, window)[0]
        read[name] = np.asarray(REDUCED[each.how](numbers))
    return next(iter(read.values())) if len(read) == 1 else read


def _window(plan: "Plan", recording: Recording, name: str, how: str) -> Array:
    """An output's spikes, or its membranes in the float network's numbers: (samples, steps, *shape)."""
    program = plan.job.program
    output = program.network[name]
    state = program.read_states.get(name)
    sent = recording.states[name, state] if state else recording.spikes[name]
    window = plan.fold(sent, output.depth, output.shape)[:, output.depth : output.depth + plan.steps]
    node = output.node
    if not state and isinstance(node, Compartments) and "message" in node.units and window.dtype.kind == "i":
        return np.asarray(window / node.units["message"])
    if not state:
        return window
    unit = node.units[state] if isinstance(node, Compartments) and window.dtype.kind == "i" else 1.0
    rectified = getattr(program.reference[name].node, "sends", "") == "rectified"
    return np.asarray(np.maximum(window, 0) / unit if rectified else window / unit)
