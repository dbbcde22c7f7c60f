"""Engines, and `run`: from a batch to a Trace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from astrodeploy.engines.recording import Engine, Job, Recording, StateName
from astrodeploy.errors import InputError, StimulusError
from astrodeploy.ir import Compartments, Input, Population, RateEncoder
from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program
from astrodeploy.trace import Trace

# Each lives in a module of its own, imported when it is asked for: some of them are heavy.
ENGINES: dict[str, str] = {
    "fast": "astrodeploy.engines.fast",
    "oracle": "astrodeploy.engines.oracle",
    "lava": "astrodeploy.engines.lava",
    "brian2": "astrodeploy.engines.brian2",
    "reference": "astrodeploy.engines.reference",
    "torch": "astrodeploy.engines.torch",
}
CARRIED = ("astrocytes",)


def engine_named(name: str) -> Engine:
    """The engine of that name. Raises InputError with the list of names."""
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    loaded: Engine = getattr(import_module(ENGINES[name]), name)
    return loaded


@dataclass(frozen=True)
class Plan:
    """A batch laid out on the chip's clock: the Job, and how to read samples out of its rows.

    steps is the length of one sample; in a stream all samples lie in one row, one after the other.
    """

    job: Job
    samples: int
    steps: int
    stream: bool

    def fold(self, array: Array, depth: int, shape: tuple[int, ...]) -> Array:
        """(rows, steps, size) of a population as (samples, steps, *shape), as Trace has it."""
        if self.stream:
            array = self._windows(array, depth)
        return array.reshape(*array.shape[:2], *shape)

    def _windows(self, array: Array, depth: int) -> Array:
        inside = array[0, depth : depth + self.samples * self.steps]
        tail = self.job.program.depth
        folded = np.zeros((self.samples, self.steps + tail, array.shape[2]), array.dtype)
        folded[:, depth : depth + self.steps] = inside.reshape(self.samples, self.steps, -1)
        return folded


def make_plan(
    program: Program,
    x: Any,
    steps: int | None = None,
    carry: tuple[str, ...] = (),
    record: frozenset[StateName] = frozenset(),
) -> Plan:
    """Encode and lay out a batch.

    x is (batch, steps, *input shape), 0 or 1; or (batch, *input shape) values with an encoder, where
    `steps` may change how long each is shown. Raises StimulusError, InputError.
    """
    if unknown := sorted(set(carry) - set(CARRIED)):
        raise InputError(f"what can be carried is {', '.join(CARRIED)}, not {', '.join(unknown)}")
    if carry and program.reset_every:
        raise InputError("the Program resets itself within a run (reset_every): it can't carry state too")
    spikes = {p.name: _sent(program, p, array, steps) for p, array in _by_input(program, x)}
    shapes = {each.shape[:2] for each in spikes.values()}
    if len(shapes) > 1:
        raise StimulusError(f"the inputs differ in their samples and steps: {sorted(shapes)}")
    samples, length = shapes.pop()
    if carry:
        spikes = {name: each.reshape(1, samples * length, -1) for name, each in spikes.items()}
    if carry or program.network.encoder:
        spikes = {name: np.pad(each, ((0, 0), (0, program.depth), (0, 0))) for name, each in spikes.items()}
    reset_every = program.reset_every or next(iter(spikes.values())).shape[1]
    if carry:
        reset_every = length
    job = Job(program, spikes, reset_every, record | _read_out(program))
    return Plan(job, samples, length, bool(carry))


def _by_input(program: Program, x: Any) -> Iterator[tuple[Population, Array]]:
    """Every input population with its part of the stimulus."""
    inputs = program.network.inputs
    given = x if isinstance(x, Mapping) else {inputs[0].name: x}
    if set(given) != {p.name for p in inputs}:
        raise StimulusError(
            f"the stimulus is for {', '.join(map(str, given))}, the inputs are "
            f"{', '.join(p.name for p in inputs)}: give one array for each by its name"
        )
    for population in inputs:
        try:
            yield population, np.asarray(given[population.name])
        except ValueError as error:
            raise StimulusError(f"the stimulus is no array: {error}") from error


def _sent(program: Program, population: Population, x: Array, steps: int | None) -> Array:
    """What an input sends, (samples, steps, size) integers."""
    if isinstance(population.node, RateEncoder):
        return np.ascontiguousarray(_encoded(population, population.node, x, steps), np.uint8)
    assert isinstance(population.node, Input)
    return _given(population, population.node, x, steps)


def _read_out(program: Program) -> frozenset[StateName]:
    """The states that are read out: of outputs that send their membrane, v."""
    return frozenset((name, "v") for name in program.membranes)


def _encoded(population: Population, encoder: RateEncoder, x: Array, steps: int | None) -> Array:
    from astrodeploy.encoders import encode_rate

    _check_shape(population, x, ("batch",))
    if steps is not None and steps < 1:
        raise StimulusError(f"steps must be at least 1, not {steps}")
    return encode_rate(x, steps or encoder.steps, encoder.seed)


def _given(population: Population, node: Input, x: Array, steps: int | None) -> Array:
    _check_shape(population, x, ("batch", "steps"))
    if steps is not None and steps != x.shape[1]:
        raise StimulusError(f"the stimulus has {x.shape[1]} steps, asked for are {steps}: leave steps out")
    x = x.reshape(*x.shape[:2], -1)
    if (node.low, node.high, node.unit) == (0, 1, 1.0):
        if not np.all((x == 0) | (x == 1)):
            raise StimulusError(
                "the stimulus must hold spikes, 0 or 1: this Program has no encoder, and was not compiled for "
                "graded input (compile it with --calibrate and such a stimulus)"
            )
        return np.ascontiguousarray(x, np.uint8)
    if not np.all(np.isfinite(x)):
        raise StimulusError("the stimulus holds NaN or infinite values")
    sent = np.rint(np.asarray(x, np.float64) * node.unit)
    if sent.min() < node.low or sent.max() > node.high:
        raise StimulusError(
            f"the stimulus reaches {x.min():g}..{x.max():g}, this Program was compiled for "
            f"{node.low / node.unit:g}..{node.high / node.unit:g}: scale it, or compile with a wider --calibrate"
        )
    return np.ascontiguousarray(sent, np.int32)


def _check_shape(population: Population, x: Array, leading: tuple[str, ...]) -> None:
    shape = population.shape
    wanted = f"({', '.join([*leading, *map(str, shape)])})"
    if x.dtype.kind not in "biuf":
        raise StimulusError(f"the stimulus must hold numbers, not {x.dtype}; its shape is to be {wanted}")
    if x.shape[len(leading) :] != shape or x.ndim != len(leading) + len(shape):
        raise StimulusError(f"the stimulus has shape {x.shape}, needed is {wanted}")
    if 0 in x.shape:
        raise StimulusError(f"the stimulus is empty: its shape is {x.shape}, needed is {wanted}")


def probed(program: Program, probes: tuple[str, ...]) -> frozenset[StateName]:
    """The states that probes name: "layer.state", or "layer" for all of its states."""
    found: set[StateName] = set()
    for probe in probes:
        matches = {
            (p.name, state)
            for p in program.network.populations
            if isinstance(p.node, Compartments)
            for state in p.node.kind.states
            if probe in (p.name, f"{p.name}.{state}")
        }
        if not matches:
            raise InputError(f"there is no state {probe!r} to probe; try {', '.join(_probes(program))}")
        found |= matches
    return frozenset(found)


def _probes(program: Program) -> list[str]:
    nodes = [(p.name, p.node) for p in program.network.populations]
    return [f"{n}.{s}" for n, node in nodes if isinstance(node, Compartments) for s in node.kind.states]


def run(
    program: Program,
    x: Any,
    engine: str = "fast",
    steps: int | None = None,
    probes: tuple[str, ...] = (),
    carry: tuple[str, ...] = (),
) -> Trace:
    """Run a batch and return its Trace.

    x       (batch, steps, *input shape) spikes, or (batch, *input shape) values with an encoder
    engine  "fast" | "oracle" | "lava" | "brian2" | "reference" | "torch"; the last three run the float
            network, on the same clock
    steps   how long each sample is shown, with an encoder
    probes  states to record: "layer" or "layer.state"
    carry   ("astrocytes",) runs the batch as one stream in order; () starts every sample from rest

    Without an encoder a run of n steps records n steps of every layer; with one, or in a stream,
    `program.depth` more. Raises StimulusError, InputError, EngineError.
    """
    run_job = engine_named(engine)
    plan = make_plan(program, x, steps, carry, probed(program, probes))
    start = perf_counter()
    recording = run_job(plan.job)
    return trace_of(plan, recording, engine, perf_counter() - start)


def trace_of(plan: Plan, recording: Recording, engine: str, seconds: float) -> Trace:
    """Fold a Recording into a Trace: samples, outputs, event counts."""
    from astrodeploy.costs.events import core_events

    program = plan.job.program
    network = program.network
    sent = dict(recording.spikes) | _added(plan.job, recording)
    spikes = {p.name: plan.fold(sent[p.name], p.depth, p.shape) for p in network.populations}
    states = {
        (name, state): plan.fold(array, network[name].depth, network[name].shape)
        for (name, state), array in recording.states.items()
    }
    return Trace(
        engine=engine,
        program=program.fingerprint,
        steps=plan.steps,
        stream=plan.stream,
        spikes=spikes,
        states=states,
        outputs=read_out(plan, recording),
        events=core_events(program, sent),
        seconds=seconds,
        versions=_versions() | dict(recording.versions),
    )


def _added(job: Job, recording: Recording) -> dict[str, Array]:
    """What populations sent that only the chip has, when a float engine ran: those without inputs always fire."""
    network = job.program.network
    missing = [p for p in network.populations if p.name not in recording.spikes]
    fires = {p.name: not any(True for _ in network.into(p.name)) for p in missing}
    return {p.name: np.full((job.rows, job.steps, p.size), fires[p.name], np.uint8) for p in missing}


def read_out(plan: Plan, recording: Recording) -> Any:
    """What the read-out says: (samples, *output shape), or by name where there are several outputs."""
    read = {name: _read(plan, recording, name) for name in plan.job.program.network.outputs}
    return next(iter(read.values())) if len(read) == 1 else read


def _read(plan: Plan, recording: Recording, name: str) -> Array:
    """One output over its window: spikes are counted, membranes read as the network says."""
    network = plan.job.program.network
    output = network[name]
    is_membrane = name in plan.job.program.membranes
    sent = recording.states[name, "v"] if is_membrane else recording.spikes[name]
    window = plan.fold(sent, output.depth, output.shape)[:, output.depth : output.depth + plan.steps]
    if not is_membrane:
        return np.asarray(window.sum(1, dtype=np.int64))
    node = output.node
    unit = node.units["v"] if isinstance(node, Compartments) and window.dtype.kind == "i" else 1.0
    reduced = {"last": window[:, -1], "mean": window.mean(1), "max": window.max(1)}
    return np.asarray(reduced.get(network.readout, window[:, -1]) / unit)


def _versions() -> dict[str, str]:
    from importlib.metadata import version
    from platform import python_version

    return {"astrodeploy": version("astrodeploy"), "numpy": version("numpy"), "python": python_version()}
