"""Engines, and `run`: from a batch to a Trace."""

from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from astrodeploy import arguments
from astrodeploy.engines.readout import timed_read_out
from astrodeploy.engines.recording import Engine, Job, Recording, StateName
from astrodeploy.engines.stimulus import by_input, shown
from astrodeploy.errors import EngineError, InputError, StimulusError
from astrodeploy.ir import Compartments
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
FLOAT_ENGINES = ("reference", "brian2", "torch")
CARRIED = ("astrocytes",)


def engine_named(name: str) -> Engine:
    """The engine of that name. Raises InputError with the list of names."""
    if not isinstance(name, str) or name not in ENGINES:
        raise InputError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    loaded: Engine = getattr(import_module(ENGINES[name]), name)
    return loaded


def require_floats(program: Program, engine: str) -> None:
    """Raise EngineError where an engine runs float networks and the Program has none."""
    if engine in FLOAT_ENGINES and program.reference.is_integer:
        raise EngineError(
            f"{engine} runs the float network, and this Program was compiled from integers: choose fast, oracle "
            "or lava"
        )


@dataclass(frozen=True)
class Plan:
    """A batch laid out on the chip's clock: the Job, and how to read samples out of its rows.

    steps is the length of one sample, which takes `program.depth` more until its last layer has answered it;
    in a stream all samples lie in one row, one after the other, and those steps follow the last of them.
    host_seconds went by in ordinary layers before the network.
    """

    job: Job
    samples: int
    steps: int
    stream: bool
    host_seconds: float = 0.0

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
    `steps` may change how long each is shown, or for a graded input, where `steps` says it (1 for a
    network without memory). Raises StimulusError, InputError.
    """
    if steps is not None:
        arguments.whole("steps", steps, error=StimulusError)
    if unknown := sorted(set(arguments.names("carry", carry)) - set(CARRIED)):
        raise InputError(
            f"what can be carried is {', '.join(CARRIED)}, not {', '.join(unknown)}: carry that, or leave carry out"
        )
    if carry and program.reset_every:
        raise InputError("the Program resets itself within a run (reset_every): it can't carry state too")
    sent = {p.name: shown(program, p, array, steps) for p, array in by_input(program.network, x)}
    spikes = {name: each.sent for name, each in sent.items()}
    shapes = {each.shape[:2] for each in spikes.values()}
    if len(shapes) > 1:
        raise StimulusError(f"the inputs differ in their samples and steps: {sorted(shapes)}")
    samples, length = shapes.pop()
    if carry:
        spikes = {name: each.reshape(1, samples * length, -1) for name, each in spikes.items()}
    spikes = {name: np.pad(each, ((0, 0), (0, program.depth), (0, 0))) for name, each in spikes.items()}
    reset_every = program.reset_every or next(iter(spikes.values())).shape[1]
    if carry:
        reset_every = length
    job = Job(program, spikes, reset_every, record | _read_out(program))
    return Plan(job, samples, length, bool(carry), sum(each.host_seconds for each in sent.values()))


def _read_out(program: Program) -> frozenset[StateName]:
    """The states that are read out: of outputs that send their membrane, v."""
    return frozenset(program.read_states.items())


def probed(program: Program, probes: tuple[str, ...]) -> frozenset[StateName]:
    """The states that probes name: "layer.state", or "layer" for all of its states."""
    found: set[StateName] = set()
    for probe in arguments.names("probes", probes):
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

    x       (batch, steps, *input shape) spikes or numbers, or (batch, *input shape) values with an encoder
            or for a network without memory; where ordinary layers come first, what those take
    engine  "fast" | "oracle" | "lava" | "brian2" | "reference" | "torch"; the last three run the float
            network, on the same clock
    steps   how long each sample is shown, with an encoder
    probes  states to record: "layer" or "layer.state"
    carry   ("astrocytes",) runs the batch as one stream in order; () starts every sample from rest

    A sample of n steps takes n + `program.depth` steps of the chip, whatever its layers and its source: a layer
    of depth k answers the stimulus of step t in step t + k, so that the last layer answers all of it. The inputs
    are silent in the steps that are added. Raises StimulusError, InputError, EngineError.
    """
    run_job = engine_named(engine)
    require_floats(program, engine)
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
    outputs, after = timed_read_out(plan, recording)
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
        outputs=outputs,
        events=core_events(program, sent, plan.job.reset_every),
        seconds=seconds,
        host_seconds=plan.host_seconds + after,
        versions=_versions() | dict(recording.versions),
        readout=program.reference.read_outs,
        messages={p.name: _messages(program, p.name, spikes[p.name]) for p in network.populations},
    )


def _messages(program: Program, name: str, sent: Array) -> int:
    """How many messages a layer sent; none where it is read by its membrane and reaches no other layer."""
    silent = name in program.read_states and not any(True for _ in program.network.out_of(name))
    return 0 if silent else int(np.count_nonzero(sent))


def _added(job: Job, recording: Recording) -> dict[str, Array]:
    """What populations sent that only the chip has, when a float engine ran: those without inputs always fire."""
    network = job.program.network
    missing = [p for p in network.populations if p.name not in recording.spikes]
    fires = {p.name: not any(True for _ in network.into(p.name)) for p in missing}
    return {p.name: np.full((job.rows, job.steps, p.size), fires[p.name], np.uint8) for p in missing}


def _versions() -> dict[str, str]:
    from importlib.metadata import version
    from platform import python_version

    return {"astrodeploy": version("astrodeploy"), "numpy": version("numpy"), "python": python_version()}
