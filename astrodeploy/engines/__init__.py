"""Engines, and `run`: from a batch to a Trace."""

from dataclasses import dataclass
from importlib import import_module
from time import perf_counter

import numpy as np
import numpy.typing as npt

from astrodeploy.engines.recording import Engine, Job, Recording, StateName
from astrodeploy.errors import InputError, StimulusError
from astrodeploy.ir import Compartments
from astrodeploy.ir.nodes import Array
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
    x: npt.ArrayLike,
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
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise StimulusError(f"the stimulus is no array: {error}") from error
    spikes = _encoded(program, x, steps) if program.network.encoder else _given(program, x, steps)
    samples, length, size = spikes.shape
    if carry:
        spikes = spikes.reshape(1, samples * length, size)
    if carry or program.network.encoder:
        spikes = np.pad(spikes, ((0, 0), (0, program.depth), (0, 0)))
    reset_every = program.reset_every or (length if carry else spikes.shape[1])
    job = Job(program, np.ascontiguousarray(spikes, np.uint8), reset_every, record)
    return Plan(job, samples, length, bool(carry))


def _encoded(program: Program, x: Array, steps: int | None) -> Array:
    from astrodeploy.encoders import encode_rate

    encoder = program.network.encoder
    assert encoder is not None
    _check_shape(program, x, ("batch",))
    if steps is not None and steps < 1:
        raise StimulusError(f"steps must be at least 1, not {steps}")
    return encode_rate(x, steps or encoder.steps, encoder.seed)


def _given(program: Program, x: Array, steps: int | None) -> Array:
    _check_shape(program, x, ("batch", "steps"))
    if steps is not None and steps != x.shape[1]:
        raise StimulusError(f"the stimulus has {x.shape[1]} steps, asked for are {steps}: leave steps out")
    if not np.all((x == 0) | (x == 1)):
        raise StimulusError("the stimulus must hold spikes, 0 or 1: this Program has no encoder")
    return x.reshape(*x.shape[:2], -1)


def _check_shape(program: Program, x: Array, leading: tuple[str, ...]) -> None:
    wanted = f"({', '.join([*leading, *map(str, program.input_shape)])})"
    if x.dtype.kind not in "biuf":
        raise StimulusError(f"the stimulus must hold numbers, not {x.dtype}; its shape is to be {wanted}")
    if x.shape[len(leading) :] != program.input_shape or x.ndim != len(leading) + len(program.input_shape):
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
    x: npt.ArrayLike,
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
    spikes = {p.name: plan.fold(recording.spikes[p.name], p.depth, p.shape) for p in network.populations}
    states = {
        (name, state): plan.fold(array, network[name].depth, network[name].shape)
        for (name, state), array in recording.states.items()
    }
    output = network[network.output]
    window = spikes[output.name][:, output.depth : output.depth + plan.steps]
    return Trace(
        engine=engine,
        program=program.fingerprint,
        steps=plan.steps,
        stream=plan.stream,
        spikes=spikes,
        states=states,
        outputs=window.sum(1, dtype=np.int64),
        events=core_events(program, recording.spikes),
        seconds=seconds,
        versions=_versions() | dict(recording.versions),
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version
    from platform import python_version

    return {"astrodeploy": version("astrodeploy"), "numpy": version("numpy"), "python": python_version()}
