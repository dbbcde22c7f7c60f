"""Joules and seconds of one inference, from counted or expected events and the chip's costs.

    energy   sum of events * energy per event                 "operations", the dynamic part
           + cores in use * steps * energy per core and step  "step overhead"
           + static power * latency                           "static"
           + the embedded processors' power * latency         "host processors"
           + the same power * the time of ordinary layers     "ordinary layers"
    latency  sum over steps of max(busiest core, barrier); a core's time is the sum of its events' times

An update costs in proportion to the operations of its kind, beside those of the plain LIF, which the
chips' numbers were measured with; window lists cost on their own clock only. Every number is a range:
low, typical and high are each computed throughout with the costs of that name. What ordinary layers take
before and after the network is measured on this machine, and stands beside the latency. Time on links, and in
the host's input and output, is not in the model; with a batch, a step's busiest core is that of the
mean over the batch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.chip import Chip, Cost, operation_count
from astrodeploy.compartments import KINDS
from astrodeploy.costs.events import EVENTS, Activity, Expected, Recorded, Tally, count_events
from astrodeploy.engines.stimulus import is_memoryless
from astrodeploy.errors import InputError
from astrodeploy.host import measured
from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.nodes import Array, FloatArray
from astrodeploy.program import Program
from astrodeploy.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

LEVELS = ("low", "typical", "high")
PICOJOULE = 1e-12
NANOSECOND = 1e-9
MILLIWATT = 1e-3

# what an event costs: its energy and its time, as the chip's file calls them
ENERGY = {
    "synaptic_operations": "energy_per_synaptic_operation_pJ",
    "active_updates": "energy_per_active_update_pJ",
    "inactive_updates": "energy_per_inactive_update_pJ",
    "window_updates": "energy_per_active_update_pJ",
    "messages_received": "energy_per_message_pJ",
    "hops_east_west": "energy_per_hop_east_west_pJ",
    "hops_north_south": "energy_per_hop_north_south_pJ",
}
TIME = {
    "synaptic_operations": "time_per_synaptic_operation_ns",
    "active_updates": "time_per_active_update_ns",
    "inactive_updates": "time_per_inactive_update_ns",
    "window_updates": "time_per_active_update_ns",
    "messages_sent": "time_per_message_sent_ns",
    "messages_received": "time_per_message_received_ns",
}


@dataclass(frozen=True)
class Span:
    """A number as a range; `typical` is the best single value."""

    low: float
    typical: float
    high: float

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, other: "Span | float") -> "Span":
        if isinstance(other, Span):
            return Span(self.low * other.low, self.typical * other.typical, self.high * other.high)
        return Span(self.low * other, self.typical * other, self.high * other)


NOTHING = Span(0.0, 0.0, 0.0)


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans."""
    return sum(spans, NOTHING)


@dataclass(frozen=True)
class Constant:
    """A number of the chip that the estimate rests on; the unit stands at the end of the name."""

    name: str
    low: float
    typical: float
    high: float
    source: str
    quality: str


@dataclass(frozen=True)
class Estimate:
    """What one inference costs.

    energy_joules    all parts together
    latency_seconds  from the first step of a sample to its last answer; in a stream, per sample
    parts            joules: "operations", "step overhead", "static", "host processors", and "ordinary layers"
                     where the host computes some: assumed, at the power of the host processors
    host_seconds     that those layers take for one inference, measured on this machine; 0 without any.
                     The latency does not hold it
    by_layer         joules of the operations, of a layer's neurons and of what arrives at them
    by_core          the same by core index
    astrocyte_joules joules of the operations that astrocytes cause: theirs, those of all connections
                     into and out of them, and what a modulated neuron computes beyond a plain LIF
    astrocyte_share  their part of the operations' typical joules, 0..1
    events           events of one inference
    steps            steps of one inference
    basis            how the events were found: "counted" in a run, or "assumed" from a rate
    basis_text       the same in a sentence
    constants        every number of the chip that went in
    """

    target: str
    energy_joules: Span
    latency_seconds: Span
    parts: Mapping[str, Span]
    by_layer: Mapping[str, Span]
    by_core: Mapping[int, Span]
    astrocyte_joules: Span
    astrocyte_share: float
    host_seconds: float
    events: Mapping[str, float]
    steps: int
    basis: str
    basis_text: str
    constants: tuple[Constant, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self) | {"by_core": {str(k): asdict(v) for k, v in self.by_core.items()}}


def estimate(
    program: Program,
    x: "npt.ArrayLike | Trace | None" = None,
    *,
    rates: float | Mapping[str, float] | None = None,
    steps: int | None = None,
    chip: Chip | None = None,
) -> Estimate:
    """Energy and latency of one inference.

    x      a batch as `Program.run` takes it, which is run on the fast engine; or a Trace of this Program
    rates  without a run: messages per neuron and step, 0..1, of every layer or by layer's name
    steps  with rates: steps that a sample is shown; the encoder's own unless given, and 1 where there
           is no encoder
    chip   the Program's own unless given

    Raises InputError unless exactly one of x and rates is given, and where they don't fit the Program;
    ChipError for an unknown target.
    """
    if (x is None) == (rates is None):
        raise InputError("estimate needs either a batch (or a Trace), or rates=: give one of the two")
    if steps is not None and rates is None:
        raise InputError("steps= goes with rates=; a batch or a Trace brings its own number of steps")
    chip = chip or program.chip
    if rates is not None:
        return _assumed(program, chip, rates, steps)
    trace = x if isinstance(x, Trace) else program.run(np.asarray(x))
    return _counted(program, chip, trace)


# ---- where events come from --------------------------------------------------------------------------


def _counted(program: Program, chip: Chip, trace: Trace) -> Estimate:
    if trace.program != program.fingerprint:
        raise InputError("the Trace is of another Program: run this one, or load the Program that it names")
    samples = trace.samples
    spikes = unfolded(program, trace) if trace.stream else trace.spikes
    activity = Recorded(spikes)
    text = f"events counted in a run of {samples} sample{'s' * (samples != 1)} on {trace.engine}"
    return _Costing(program, chip, activity, samples, trace.host_seconds / samples).estimate("counted", text)


def unfolded(program: Program, trace: Trace) -> dict[str, Array]:
    """The one long row (1, steps, size) per layer that a stream's Trace was cut from."""
    rows: dict[str, Array] = {}
    for population in program.network.populations:
        spikes = trace.spikes[population.name].reshape(*trace.spikes[population.name].shape[:2], -1)
        window = spikes[:, population.depth : population.depth + trace.steps].reshape(-1, population.size)
        after = program.depth - population.depth
        rows[population.name] = np.pad(window, ((population.depth, after), (0, 0)))[None]
    return rows


def _assumed(program: Program, chip: Chip, rates: float | Mapping[str, float], steps: int | None) -> Estimate:
    firing = _rates(program, rates)
    network = program.network
    shown = steps if steps is not None else network.encoder.steps if network.encoder else 1
    if shown < 1:
        raise InputError(f"steps must be at least 1, not {shown}")
    waits = network.encoder or is_memoryless(program.reference)
    length = shown + program.depth if waits else shown
    told = ", ".join(f"{name} {rate:g}" for name, rate in firing.items())
    text = f"events assumed, not counted, for an inference of {length} steps; messages per neuron and step: {told}"
    activity = Expected(firing, length, shown, {p.name: p for p in network.populations})
    return _Costing(program, chip, activity, 1, _timed(network, shown)).estimate("assumed", text)


def _timed(network: Graph, steps: int) -> float:
    """Seconds that the ordinary layers of an inference take here, timed on zeros."""
    before = [] if network.before is None else [(network.before, 1 if network.encoder else steps)]
    after = [] if network.after is None else [(network.after, steps)]
    return measured([*before, *after])


def _rates(program: Program, rates: float | Mapping[str, float]) -> dict[str, float]:
    layers = [p.name for p in program.network.populations if not p.is_astrocyte]
    if not isinstance(rates, Mapping):
        rates = dict.fromkeys(layers, rates)
    if set(rates) != set(layers):
        raise InputError(f"rates are needed for {', '.join(layers)}, given are {', '.join(map(str, rates))}")
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise InputError(
                f"the rate of {name} must lie in 0..1 messages per neuron and step, not {rate:g}"
            )
    return {name: float(rates[name]) for name in layers}


# ---- what they cost ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Costing:
    """Events of some inferences on a chip, and their cost."""

    program: Program
    chip: Chip
    activity: Activity
    inferences: int
    host_seconds: float

    def estimate(self, basis: str, text: str) -> Estimate:
        tallies = count_events(self.program, self.activity, self.chip)
        steps = self.activity.runs * self.activity.steps / self.inferences
        operations = [(each, self._energy(each)) for each in tallies]
        latency = self._latency(tallies)
        dynamic = total(span for _, span in operations)
        parts = {
            "operations": dynamic,
            "step overhead": self._cost("energy_per_core_step_pJ")
            * (PICOJOULE * steps * len(self.program.cores)),
            "static": self._cost("static_power_per_chip_mW") * MILLIWATT * latency,
            "host processors": self._cost("host_power_per_chip_mW") * MILLIWATT * latency,
        }
        if self.program.network.before or self.program.network.after:
            parts["ordinary layers"] = self._cost("host_power_per_chip_mW") * (MILLIWATT * self.host_seconds)
        astrocytes = total(span * self._due_to_astrocytes(each) for each, span in operations)
        return Estimate(
            target=self.chip.name,
            energy_joules=total(parts.values()),
            latency_seconds=latency,
            parts=parts,
            by_layer=self._by_layer(operations),
            by_core=self._by_core(tallies),
            astrocyte_joules=astrocytes,
            astrocyte_share=astrocytes.typical / dynamic.typical if dynamic.typical else 0.0,
            host_seconds=self.host_seconds,
            events={e: self._count(e, tallies) for e in EVENTS},
            steps=round(steps),
            basis=basis,
            basis_text=text,
            constants=tuple(_constants(self.chip)),
        )

    def _cost(self, name: str) -> Span:
        cost: Cost = getattr(self.chip.costs, name)
        return Span(cost.low, cost.typical, cost.high)

    def _count(self, event: str, tallies: list[Tally]) -> float:
        return sum(float(t.counts.sum()) for t in tallies if t.event == event) / self.inferences

    def _energy(self, tally: Tally) -> Span:
        """Joules of a tally, per inference."""
        if tally.event not in ENERGY:
            return NOTHING
        weight = self._weight(tally) * float(tally.counts.sum()) / self.inferences
        return self._cost(ENERGY[tally.event]) * (weight * PICOJOULE)

    def _weight(self, tally: Tally) -> float:
        """Cost of an update beside one of the plain LIF: by its operations; 1 for all other events."""
        if not tally.event.endswith("_updates"):
            return 1.0
        node = self.program.network[tally.layer].node
        assert isinstance(node, Compartments)
        done = node.kind.window if tally.event == "window_updates" else node.kind.step
        return operation_count(done) / operation_count(KINDS["lif"].step)

    def _by_layer(self, operations: list[tuple[Tally, Span]]) -> dict[str, Span]:
        layers = [p.name for p in self.program.network.populations if not p.is_input]
        return {name: total(span for each, span in operations if each.layer == name) for name in layers}

    def _by_core(self, tallies: list[Tally]) -> dict[int, Span]:
        joules = dict.fromkeys((core.index for core in self.program.cores), NOTHING)
        for each in tallies:
            if each.event in ENERGY:
                cost = self._cost(ENERGY[each.event]) * (self._weight(each) * PICOJOULE / self.inferences)
                for core, count in zip(self.program.cores, each.counts.sum(1).tolist(), strict=True):
                    joules[core.index] += cost * count
        return joules

    def _latency(self, tallies: list[Tally]) -> Span:
        """Seconds of an inference: in every step the busiest core, or the barrier where that is longer."""
        barrier = self._cost("time_per_barrier_ns")
        shape = (len(self.program.cores), self.activity.steps)
        seconds = []
        for level in LEVELS:
            busy = np.zeros(shape)
            for each in tallies:
                if each.event in TIME:
                    busy += self._busy(each, level)
            per_step = np.maximum(busy.max(0, initial=0.0), getattr(barrier, level))
            runs = self.activity.runs / self.inferences
            seconds.append(float(per_step.sum()) * runs * NANOSECOND)
        return Span(*seconds)

    def _busy(self, tally: Tally, level: str) -> FloatArray:
        """Nanoseconds (cores, steps) of a tally in the mean run."""
        each = float(getattr(self._cost(TIME[tally.event]), level))
        busy: FloatArray = tally.counts * (each * self._weight(tally) / self.activity.runs)
        return busy

    def _due_to_astrocytes(self, tally: Tally) -> float:
        """The part of a tally, 0..1, that is there because of astrocytes."""
        graph = self.program.network
        layer = graph[tally.layer]
        if layer.is_astrocyte:
            return 1.0
        if tally.connection:
            return float(
                any(
                    c.name == tally.connection and graph[c.source].is_astrocyte
                    for c in graph.into(layer.name)
                )
            )
        modulated = any(graph[c.source].is_astrocyte for c in graph.into(layer.name))
        return _beyond_lif(layer) if modulated else 0.0


def _beyond_lif(layer: Population) -> float:
    """The part of a kind's operations that the plain LIF does not have."""
    assert isinstance(layer.node, Compartments)
    own, plain = operation_count(layer.node.kind.step), operation_count(KINDS["lif"].step)
    return max(0, own - plain) / own if own else 0.0


def _constants(chip: Chip) -> Iterator[Constant]:
    for name, cost in chip.costs:
        yield Constant(name, cost.low, cost.typical, cost.high, cost.source, cost.quality)
