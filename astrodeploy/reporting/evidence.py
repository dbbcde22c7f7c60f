"""What a report stands on: runs, reference, verification, estimate; and why something is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from astrodeploy.compartments import KINDS
from astrodeploy.costs import Estimate, estimate
from astrodeploy.engines import FLOAT_ENGINES, run
from astrodeploy.errors import EngineError, InputError, UnsupportedError
from astrodeploy.frontends.stimulus import count, part
from astrodeploy.ir import Compartments, Population
from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program
from astrodeploy.trace import Trace
from astrodeploy.verification import INTEGER_ENGINES, Verification, verify

DEFAULT_RATE = 0.1  # messages per neuron and step, where nothing was run
CHECKED_SAMPLES = 4
NAMED_SAMPLES = 10  # where engines are named: the oracle is slow
MOST_CHECKED_SAMPLES = 16
CHECKED_NEURON_STEPS = 200_000  # what the oracle does in some seconds

Rates = float | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Order:
    """What was asked for: the arguments of `report`.

    file, file_sha256  what the file of x is called, and the hash of all that it holds (`recipe.content_hash`)
    """

    program: Program
    x: Any = None
    labels: Array | None = None
    carry: tuple[str, ...] = ()
    rates: Rates | None = None
    steps: int | None = None
    verification: Verification | None = None
    traces: tuple[Trace, ...] = ()
    samples: int | None = None
    engines: tuple[str, ...] = ()
    file: str = "samples.npz"
    file_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was found.

    runs      all Traces, the one that figures and costs come from first
    checked   samples of the verification that was made for the report, 0 where it was handed in
    missing   what the report leaves out ("runs", "reference", "verification") -> why
    """

    order: Order
    runs: tuple[Trace, ...]
    estimate: Estimate
    verification: Verification | None
    checked: int
    missing: Mapping[str, str]

    @property
    def main(self) -> Trace | None:
        """The run that figures and costs come from."""
        return next((t for t in self.runs if t.engine in INTEGER_ENGINES), None)

    @property
    def reference(self) -> Trace | None:
        """A run of the float network on the same stimulus."""
        main = self.main
        return next(
            (
                t
                for t in self.runs
                if main is not None
                and t.engine in FLOAT_ENGINES
                and t.output.shape == main.output.shape
                and (t.stream, t.steps) == (main.stream, main.steps)
            ),
            None,
        )

    @property
    def changed(self) -> tuple[int, int] | None:
        """How many predictions differ between the Program and the float network, and of how many samples.

        Of all samples that both ran on; without such runs of those that were verified. None where there is no
        float network, or nothing ran.
        """
        main, reference = self.main, self.reference
        if main is not None and reference is not None:
            return int(np.sum(main.predictions != reference.predictions)), main.samples
        distance = None if self.verification is None else self.verification.distance
        return None if distance is None else (distance.total.predictions, distance.total.samples)

    def accuracy(self, trace: Trace) -> float | None:
        """Share of a run's samples that it recognised, 0..1; None without labels."""
        labels = self.order.labels
        return None if labels is None else trace.accuracy(labels[: trace.samples])


def gather(order: Order) -> Evidence:
    """Run, verify and estimate what was not handed in. Raises InputError and its kinds."""
    _check(order)
    missing: dict[str, str] = {}
    runs = _runs(order, missing)
    main = next((t for t in runs if t.engine in INTEGER_ENGINES), None)
    if main is not None and order.labels is not None and order.x is not None:
        main.accuracy(order.labels)  # labels that do not fit are found before anything is verified
    rates = DEFAULT_RATE if order.rates is None else order.rates
    cost = (
        estimate(order.program, rates=rates, steps=order.steps)
        if main is None
        else estimate(order.program, main)
    )
    verification, checked = _verification(order, main, missing)
    evidence = Evidence(order, runs, cost, verification, checked, missing)
    for trace in runs:
        evidence.accuracy(trace)  # labels that do not fit are found before anything is drawn
    return evidence


def log_gain_probes(program: Program) -> tuple[str, ...]:
    """Probes of all astrocytes that keep a log gain."""
    return tuple(f"{p.name}.log_gain" for p in program.network.populations if keeps_log_gain(p))


def keeps_log_gain(population: Population) -> bool:
    """Whether a population has a state that is the logarithm of a gain."""
    return isinstance(population.node, Compartments) and population.node.kind == KINDS["astrocyte"]


def _check(order: Order) -> None:
    ran = order.x is not None or bool(order.traces)
    if ran and order.rates is not None:
        raise InputError("the report counts events in the run that it is given: leave rates= out")
    if order.labels is not None and not ran:
        raise InputError("labels= needs samples to compare them with: give x, or traces=")
    if order.carry and order.x is None:
        raise InputError("carry= says how x is run: give x, or leave carry= out")
    if order.samples is not None and order.samples < 0:
        raise InputError(f"samples= is how many samples to verify, 0 for none, not {order.samples}")
    if order.engines and (order.x is None or order.verification is not None or order.samples == 0):
        raise InputError(
            "engines= names what x is verified on: give x, and neither verification= nor samples=0"
        )
    for trace in order.traces:
        if trace.program != order.program.fingerprint:
            raise InputError(f"the Trace of {trace.engine} is of another Program: run this one")
    batches = {t.samples for t in order.traces if t.engine in INTEGER_ENGINES}
    if order.x is not None and batches and count(order.x) != max(batches):
        raise InputError(
            f"x has {count(order.x)} samples and the longest Trace {max(batches)}: give the x that was run"
        )


# ---- runs ------------------------------------------------------------------------------------------


def _runs(order: Order, missing: dict[str, str]) -> tuple[Trace, ...]:
    """All runs, the longest of an integer engine first."""
    runs = list(order.traces)
    if order.x is not None:
        if not any(t.engine in INTEGER_ENGINES for t in runs):
            runs.append(_run(order, order.x, "fast"))
        if not any(t.engine in FLOAT_ENGINES for t in runs):
            try:
                runs.append(_run(order, order.x, "reference"))
            except (UnsupportedError, EngineError) as error:
                missing["reference"] = str(error)
    if not any(t.engine in INTEGER_ENGINES for t in runs):
        missing["runs"] = "no samples were given, so nothing was run"
    return tuple(sorted(runs, key=_importance))


def _run(order: Order, x: Any, engine: str) -> Trace:
    probes = log_gain_probes(order.program)
    return run(order.program, x, engine=engine, steps=order.steps, probes=probes, carry=order.carry)


def _importance(trace: Trace) -> tuple[bool, int, bool]:
    return trace.engine not in INTEGER_ENGINES, -trace.samples, trace.engine != "fast"


# ---- verification ----------------------------------------------------------------------------------


def _verification(
    order: Order, main: Trace | None, missing: dict[str, str]
) -> tuple[Verification | None, int]:
    """The one that was handed in, or one of the first samples, and their number."""
    if order.verification is not None:
        return order.verification, 0
    if order.x is None or main is None:
        missing["verification"] = "no samples were given to run the engines on"
        return None, 0
    samples = _samples_to_check(order, main)
    if samples == 0:
        missing["verification"] = (
            "it was not asked for"
            if order.samples == 0
            else "the network is too large to be run on the oracle in passing: run verify, and hand in what it found"
        )
        return None, 0
    engines = order.engines or ("oracle", "fast")
    labels = order.labels
    try:
        found = verify(
            order.program,
            part(order.x, slice(samples)),
            engines,
            carry=order.carry,
            steps=order.steps,
            labels=None if labels is None else labels[:samples],
        )
    except UnsupportedError as error:
        missing["verification"] = str(error)
        return None, 0
    return found, samples


def _samples_to_check(order: Order, main: Trace) -> int:
    """As many as were asked for, else a few: enough for two windows of the slowest clock in a stream."""
    available = main.samples
    if order.samples is not None or order.engines:
        return min(NAMED_SAMPLES if order.samples is None else order.samples, available)
    network = order.program.network
    neurons = sum(p.size for p in network.populations if not p.is_input)
    slowest = max((p.node.period for p in network.populations if isinstance(p.node, Compartments)), default=0)
    wanted = max(CHECKED_SAMPLES, ceil(2 * slowest / main.steps) if main.stream else 0)
    affordable = CHECKED_NEURON_STEPS // (neurons * (main.steps + network.depth))
    return min(wanted, MOST_CHECKED_SAMPLES, affordable, available)
