"""One layer alone on integers, fed with what its sources sent in the float network: how far is it off?"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from astrodeploy import arithmetic
from astrodeploy.engines.idealised import OPERATIONS as OPERATIONS_OF_THE_CHIP
from astrodeploy.engines.idealised import Counts, Functions, counting, with_widths_named
from astrodeploy.ir import Compartments, Connection
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.quantisation.layer import Layer, Synapses
from astrodeploy.quantisation.rounding import Part
from astrodeploy.quantisation.seen import Calibration

VALUES = 1_500_000  # neurons x steps x samples of one trial
OPERATIONS = 400_000_000  # synapses x steps x samples of one trial


@dataclass(frozen=True)
class Outcome:
    """How far a layer is from float, with the same input.

    error      of spikes: the sum of the differences of every neuron's count in every sample, by the
               float network's spikes; of membranes: the root mean square error by that of the value
    saturated  share of v that met its width
    wrapped    values of u that did
    clipped    share of messages that were too large for their bits
    """

    error: float
    saturated: float = 0.0
    wrapped: int = 0
    clipped: float = 0.0


@dataclass(frozen=True, eq=False)
class Bench:
    """What trials of a layer share: the samples, and what arrives from its sources in them."""

    layer: Layer
    calibration: Calibration
    rows: IntArray

    @classmethod
    def of(cls, layer: Layer, calibration: Calibration) -> "Bench":
        """As many samples as a trial of a second or so takes."""
        synapses = sum(each.weights.synapses for each in layer.synapses)
        steps = calibration.steps
        most = min(VALUES // (layer.population.size * steps), OPERATIONS // max(1, synapses * steps))
        wanted = int(np.clip(most, 1, calibration.samples))
        rows = np.unique(np.linspace(0, calibration.samples - 1, wanted).round().astype(np.int64))
        return cls(layer, calibration, rows)

    @property
    def values(self) -> int:
        """Neurons x steps x samples."""
        return len(self.rows) * self.calibration.steps * self.layer.population.size

    @property
    def operations(self) -> int:
        """Synapses x steps x samples."""
        synapses = sum(each.weights.synapses for each in self.layer.synapses)
        return len(self.rows) * self.calibration.steps * synapses

    @cached_property
    def delivered(self) -> tuple[FloatArray, ...]:
        """What every connection's source sends, when it is delivered: (rows, steps, sources)."""
        return tuple(self._late(each) for each in self.layer.synapses)

    def _late(self, each: Synapses) -> FloatArray:
        sent = self.calibration.messages(each.connection.source, each.unit)[self.rows]
        late, lag = np.zeros(sent.shape), max(0, each.connection.lag)
        late[:, lag:] = np.clip(sent, each.messages.low, each.messages.high)[:, : sent.shape[1] - lag]
        return late

    def arrived(self, connections: tuple[Connection, ...]) -> IntArray:
        """What comes in, (rows, steps, neurons)."""
        total = np.zeros((len(self.rows), self.calibration.steps, self.layer.population.size), np.int64)
        for connection, late in zip(connections, self.delivered, strict=False):
            # in float64, which holds these sums exactly and multiplies much faster
            came = connection.wiring.deliver(late).astype(np.int64)
            total += came << connection.exponent if connection.exponent >= 0 else came >> -connection.exponent
        return total

    def outcome(self, part: Part, count: bool = False) -> Outcome:
        """Run an integer layer and compare; what met a width is counted where it is asked for."""
        run = _run(part, self.arrived(part.connections), count)
        return replace(run.bounded, error=self._error(part, run))

    def _error(self, part: Part, run: "_Run") -> float:
        name, recording = self.layer.name, self.calibration.recording
        if self.layer.spikes:
            meant = recording.spikes[name][self.rows].sum(1)
            return float(np.abs(run.sent.sum(1) - meant).sum() / max(1, meant.sum()))
        if self.layer.sends_membrane:
            return _relative(run.sent * part.unit, recording.spikes[name][self.rows])
        assert part.scale is not None
        return _relative(run.v / part.scale.membrane, recording.states[name, "v"][self.rows])


def _relative(found: Array, meant: Array) -> float:
    size = float(np.sqrt(np.mean(np.square(meant, dtype=np.float64))))
    return float(np.sqrt(np.mean(np.square(found - meant, dtype=np.float64)))) / (size or 1.0)


@dataclass(frozen=True, eq=False)
class _Run:
    """Messages and v of every step, (rows, steps, neurons), and how much widths bounded."""

    sent: IntArray
    v: IntArray
    bounded: Outcome


FAST: Functions = OPERATIONS_OF_THE_CHIP | {
    "select": np.where,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "saturate": np.clip,
}


def _run(part: Part, arrived: IntArray, count: bool) -> _Run:
    node = part.population.node
    assert isinstance(node, Compartments)
    rows, steps, size = arrived.shape
    counts: Counts = {}
    functions = counting(counts, "layer") if count else FAST
    step = with_widths_named(node.kind.step) if count else node.kind.step
    states = {k: np.tile(array, (rows, 1)) for k, array in node.initial.items()}
    sent, v = np.zeros(arrived.shape, np.int64), np.zeros(arrived.shape, np.int64)
    for t in range(steps):
        registers = arithmetic.execute(
            step.operations, states, node.parameters, {"current": arrived[:, t]}, {}, functions
        )
        states = {k: np.broadcast_to(registers[r], (rows, size)) for k, r in step.stores.items()}
        for register in step.sends.values():
            sent[:, t] = registers[register]
        v[:, t] = states["v"]
    return _Run(sent, v, _bounded(part, v, counts.get("layer", Counter())))


def _bounded(part: Part, v: IntArray, counts: "Counter[str]") -> Outcome:
    assert isinstance(part.population.node, Compartments)
    if part.scale is None or (port := part.population.node.kind.outputs.get("message")) is None:
        return Outcome(0.0, counts["saturate"] / v.size, counts["wrap"])
    messages = v >> part.scale.shift
    beyond = int(np.count_nonzero(messages > port.range.high))
    if port.range.low < 0:
        beyond += int(np.count_nonzero(messages < port.range.low))
    saturated = max(0, counts["saturate"] - beyond)
    return Outcome(0.0, saturated / v.size, counts["wrap"], beyond / v.size)
