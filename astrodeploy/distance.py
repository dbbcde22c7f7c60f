"""How far a Program is from the float network that it means, and what causes the distance.

The same stimulus goes through a chain of simulations; each takes one thing more into account:

    exact       the float network, its equations solved exactly over every step
    euler       forward Euler, as trained                               -> time discretisation
    dequantised the Program's own operations over the reals: a shift
                divides, nothing is rounded or bounded                  -> rounding of parameters
    unbounded   integers, of any size                                   -> rounding of states
    program     the Program                                             -> saturation and wrap

Each difference is that of two neighbours in the chain; one spike more or less changes what follows, so
that they do not add up. How the Program runs without rounding or widths: `engines/idealised.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from astrodeploy.engines import Plan
from astrodeploy.engines.idealised import Counts, as_on_the_chip, over_the_integers, over_the_reals
from astrodeploy.engines.readout import read_out
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.engines.reference import flat, reference
from astrodeploy.ir import Population
from astrodeploy.ir.nodes import Array, FloatArray, Membrane


@dataclass(frozen=True)
class Cause:
    """What one cause changes.

    spikes       spikes of one simulation that the other does not have in that step, both ways
    share        of all spikes that either has, 0..1
    predictions  samples whose prediction changes, of `samples`
    membrane     root mean square of the membranes' difference, in units of the threshold above reset
    """

    name: str
    spikes: int
    share: float
    predictions: int
    samples: int
    membrane: float


@dataclass(frozen=True)
class Distance:
    """The causes in order, all together (euler against program), and the values that were bounded.

    bounded   population -> {"saturate": values held at a width's edge, "wrap": values wrapped}
    """

    causes: tuple[Cause, ...]
    total: Cause
    bounded: Mapping[str, Mapping[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        bounded = {name: dict(counts) for name, counts in self.bounded.items()}
        return {"causes": [asdict(c) for c in self.causes], "total": asdict(self.total), "bounded": bounded}


def distance(plan: Plan) -> Distance:
    """Run the chain on a batch. Raises UnsupportedError where the float network can't be run."""
    job = replace(plan.job, record=frozenset((p.name, "v") for p in _neurons(plan.job)))
    counts: Counts = {}
    exact, euler = reference(job, "exact"), reference(job)
    dequantised = over_the_reals(job)
    unbounded, program = over_the_integers(job), as_on_the_chip(job, counts)
    chain = [
        _cause("time discretisation", plan, exact, euler),
        _cause("rounding of parameters", plan, euler, dequantised),
        _cause("rounding of states", plan, dequantised, unbounded),
        _cause("saturation and wrap", plan, unbounded, program),
    ]
    bounded = {name: dict(+each) for name, each in counts.items() if each.total()}
    return Distance(tuple(chain), _cause("all but time discretisation", plan, euler, program), bounded)


def _neurons(job: Job) -> list[Population]:
    """The float populations of neurons that have their counterpart on the chip."""
    populations = job.program.reference.populations
    return [p for p in populations if isinstance(p.node, Membrane) and p.name in job.program.layers]


def _cause(name: str, plan: Plan, left: Recording, right: Recording) -> Cause:
    differing = either = values = 0
    squares = 0.0
    for population in _neurons(plan.job):
        a, b = (_spikes(plan.job, population, each) for each in (left, right))
        differing += int(np.sum(a != b))
        either += int(np.sum(a | b))
        gap = _membrane(plan.job, population, left) - _membrane(plan.job, population, right)
        squares += float(np.sum(gap**2))
        values += gap.size
    changed = _predictions(plan, left) != _predictions(plan, right)
    return Cause(
        name=name,
        spikes=differing,
        share=differing / max(1, either),
        predictions=int(np.sum(changed)),
        samples=plan.samples,
        membrane=float(np.sqrt(squares / max(1, values))),
    )


def _spikes(job: Job, population: Population, recording: Recording) -> Array:
    """Who spiked when; nobody in a population that sends its membrane."""
    assert isinstance(population.node, Membrane)
    sent = _from_first_step(job, population, recording.spikes[population.name])
    return np.asarray((sent != 0) & (population.node.sends == "spikes"))


def _membrane(job: Job, population: Population, recording: Recording) -> FloatArray:
    """v above reset, in thresholds above reset; that of a neuron without a threshold as it is."""
    node = population.node
    assert isinstance(node, Membrane)
    threshold = flat(node.reach, population.size)
    states = _from_first_step(job, population, recording.states[population.name, "v"])
    return np.asarray(states, np.float64) / threshold


def _from_first_step(job: Job, population: Population, array: Array) -> Array:
    """What a population did from its first step on: before it the chip's neurons run, the model's do not."""
    return array[:, job.program.network[population.name].depth :]


def _predictions(plan: Plan, recording: Recording) -> Array:
    read = read_out(plan, recording)
    first = next(iter(read.values())) if isinstance(read, dict) else read
    return np.asarray(first.reshape(plan.samples, -1).argmax(1))
