"""What the float network did on calibration data: per layer, how large everything became."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from astrodeploy.engines.recording import Recording
from astrodeploy.engines.reference import flat, given, simulate
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Graph, Input, Population
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.nodes import LIF, Membrane

NEURON_STEPS = 20_000_000  # of all samples together: some seconds, and some hundred megabytes
MOST_SAMPLES = 128
EXTENTS = ("drive", "trace", "output")  # states that an Extent is of
MESSAGES = 1_000_000  # that a layer's usual ones are found among


@dataclass(frozen=True)
class Seen:
    """The largest magnitudes of a layer in the float network, over neurons, steps and samples.

    membrane  of v above the reset value, before any reset
    current   of u, all that the synapses add to v in a step
    message   of what it sent
    usual     of all but one in a thousand of its messages that are not zero
    """

    membrane: float
    current: float
    message: float
    usual: float


@dataclass(frozen=True)
class Extent:
    """The largest magnitudes of astrocytes that carry a signal: drive of a window, state, f of it, message."""

    drive: float
    state: float
    output: float
    message: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """A run of the float network in its own time, every sample from rest.

    stimulus   by input, (samples, steps, size): the integers that it sends
    recording  every layer's messages, and v and u of the neurons
    extents    of astrocytes that carry a signal
    offered    samples that there were; a few of them, evenly spaced, were run
    """

    stimulus: Mapping[str, Array]
    recording: Recording
    seen: Mapping[str, Seen]
    offered: int
    extents: Mapping[str, Extent] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples that were run."""
        return len(next(iter(self.stimulus.values())))

    @property
    def steps(self) -> int:
        """Steps of a sample."""
        return int(next(iter(self.stimulus.values())).shape[1])

    def messages(self, source: str, unit: float) -> Array:
        """What a layer sent, in integers of which 1 stands for `unit`; not held to any width."""
        if source in self.stimulus:
            return self.stimulus[source]
        sent = self.recording.spikes[source]
        return sent if unit == 1 and sent.dtype.kind in "iub" else np.rint(sent / unit).astype(np.int64)


def affordable(graph: Graph, steps: int, offered: int) -> int:
    """How many samples to run: some, and few of a large network."""
    neurons = sum(p.size for p in graph.populations)
    return int(np.clip(NEURON_STEPS // (neurons * steps), 1, min(offered, MOST_SAMPLES)))


def evenly(offered: int, wanted: int) -> Array:
    """Indices of so many samples from first to last."""
    return np.unique(np.linspace(0, offered - 1, wanted).round().astype(np.int64))


def look(graph: Graph, stimulus: Mapping[str, Array], offered: int) -> Calibration:
    """Run the float network on what its inputs send, (samples, steps, size) each."""
    names = [p.name for p in graph.populations if isinstance(p.node, Membrane)]
    record = frozenset((name, state) for name in names for state in ("v", "u"))
    carriers = [p.name for p in graph.populations if isinstance(p.node, Astrocyte) and not p.node.modulates]
    record |= {(name, state) for name in carriers for state in EXTENTS}
    meant = {p.name: given(p, stimulus[p.name]) for p in graph.inputs}
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is named below
        recording = simulate(graph, meant, record=record)
    seen = {name: _seen(graph, graph[name], recording) for name in names}
    extents = {name: _extent(name, recording) for name in carriers}
    return Calibration(stimulus, recording, seen, offered, extents)


def _extent(name: str, recording: Recording) -> Extent:
    values = [*(recording.states[name, state] for state in EXTENTS), recording.spikes[name]]
    if not all(np.all(np.isfinite(each)) for each in values):
        raise UnsupportedError(
            f"{name} leaves the range of float64 on the calibration data: make what arrives at it smaller"
        )
    return Extent(*map(_largest, values))


def _seen(graph: Graph, population: Population, recording: Recording) -> Seen:
    name = population.name
    u = recording.states[name, "u"]
    v = _before_reset(graph, population, recording.states[name, "v"], u)
    sent = recording.spikes[name]
    return Seen(_largest(v), _largest(u), _largest(sent), _usual(sent))


def _usual(sent: Array) -> float:
    few = np.abs(sent.ravel()[:: max(1, sent.size // MESSAGES)])
    return float(np.quantile(few[few > 0], 0.999)) if np.any(few) else 0.0


def _largest(values: Array) -> float:
    return float(max(-values.min(initial=0), values.max(initial=0)))


def _before_reset(graph: Graph, population: Population, v: FloatArray, u: FloatArray) -> FloatArray:
    """v as the step left it, above the reset value: what the chip's v reaches before it is reset."""
    node, size = population.node, population.size
    assert isinstance(node, Membrane)
    leak, origin = flat(node.leak(graph.dt), size), flat(node.v_reset, size)
    rest = flat(node.v_leak, size) - (origin if node.sends == "spikes" else 0)
    before = np.concatenate([np.broadcast_to(rest, (len(v), 1, size)), v[:, :-1]], axis=1)
    constant = leak * rest
    if isinstance(node, LIF):  # of a CubaLIF the bias is a part of the current
        constant = constant + flat(node.drive(graph.dt), size) * flat(node.bias, size)
    return np.asarray(before * (1 - leak) + u + constant)


def is_graded(population: Population) -> bool:
    """Whether an input sends more than spikes."""
    node = population.node
    return isinstance(node, Input) and (node.low, node.high) != (0, 1)
