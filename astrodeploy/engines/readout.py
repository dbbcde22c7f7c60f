"""What the network says: its outputs over their windows, read out as the Graph asks for."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.engines.recording import Recording
from astrodeploy.host import by_sample, prepare
from astrodeploy.ir import Compartments
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import carries_signal

if TYPE_CHECKING:
    from astrodeploy.engines import Plan


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

    Where ordinary layers follow the network, the sum over the steps of what they make of its messages.
    """
    network = plan.job.program.network
    if network.after is not None:
        return by_sample(network.after, _window(plan, recording, network.output))[0].sum(1)
    read = {name: _read(plan, recording, name) for name in network.outputs}
    return next(iter(read.values())) if len(read) == 1 else read


def _read(plan: "Plan", recording: Recording, name: str) -> Array:
    """One output over its window: spikes are counted, membranes read as the network says."""
    window = _window(plan, recording, name)
    readout, program = plan.job.program.network.readout, plan.job.program
    if carries_signal(program.reference[name].node) and readout == "count":
        return np.asarray(window.sum(1))
    if name not in program.read_states and not carries_signal(program.reference[name].node):
        return np.asarray(window.sum(1, dtype=np.int64))
    reduced = {"last": window[:, -1], "mean": window.mean(1), "max": window.max(1)}
    return np.asarray(reduced.get(readout, window[:, -1]))


def _window(plan: "Plan", recording: Recording, name: str) -> Array:
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
