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
Populations that only the lowered network has, such as the neuron that sends a bias, have no distance.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from astrodeploy.answers import UNDECIDED, answers, checked_labels
from astrodeploy.brief import listed
from astrodeploy.engines import Plan
from astrodeploy.engines.idealised import Counts, as_on_the_chip, over_the_integers, over_the_reals
from astrodeploy.engines.readout import read_out
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.engines.reference import flat, reference
from astrodeploy.ir import Compartments, Population
from astrodeploy.ir.nodes import Array, FloatArray, Membrane, carries_signal
from astrodeploy.quantisation.rounding import uncentred


@dataclass(frozen=True)
class Cause:
    """What one cause changes.

    spikes       spikes of one simulation that the other does not have in that step, both ways
    share        of all spikes that either has, 0..1
    predictions  samples whose prediction changes, of `samples`
    undecided    samples for which the second of the two has no answer
    accuracy     share of samples that the second of the two recognises; None without labels
    membrane     root mean square of the membranes' difference, in units of the threshold above reset
    """

    name: str
    spikes: int
    share: float
    predictions: int
    samples: int
    membrane: float
    accuracy: float | None = None
    undecided: int = 0


@dataclass(frozen=True)
class Gap:
    """What one cause changes in one layer: `spikes`, `share` and `membrane` as in `Cause`."""

    name: str
    spikes: int
    share: float
    membrane: float


@dataclass(frozen=True)
class First:
    """Where a layer of the Program first sends another spike than in the float network; step is the chip's."""

    sample: int
    step: int
    neuron: int


@dataclass(frozen=True)
class LayerDistance:
    """One layer's part in the distance.

    causes   in the order of the chain; `total` is euler against program
    spikes   sent in the float network (euler), and `on_chip` by the Program
    counts   the differences of every neuron's count in every sample, summed, by the float spikes; of a
             membrane that is sent, the root mean square error of v by that of its value
    first    the first spike that differs; None without one
    """

    name: str
    causes: tuple[Gap, ...]
    total: Gap
    spikes: int
    on_chip: int
    counts: float
    first: First | None


@dataclass(frozen=True)
class Distance:
    """The causes in order, all together (euler against program), and the values that were bounded.

    bounded   population -> {"saturate": values held at a width's edge, "wrap": values wrapped}
    layers    the same layer by layer
    exact     accuracy of the first simulation of the chain; None without labels
    """

    causes: tuple[Cause, ...]
    total: Cause
    bounded: Mapping[str, Mapping[str, int]]
    layers: tuple[LayerDistance, ...] = ()
    exact: float | None = None

    def __repr__(self) -> str:
        causes = listed(f"{each.name} {each.share:.2%}" for each in self.causes)
        return f"<Distance from float: {self.total.share:.2%} of the spikes; {causes}; {len(self.layers)} layers>"

    @property
    def text(self) -> str:
        """In a line what quantisation changed: predictions, spikes, and the accuracy where there are labels."""
        total = self.total
        told = f"{_changed(total.predictions, total.samples)}, {total.share:.1%} of the spikes differ"
        if total.undecided:
            told += f", {total.undecided} of {total.samples} undecided"
        if total.accuracy is None or not self.causes or self.causes[0].accuracy is None:
            return told
        return f"{told}, accuracy {total.accuracy:.1%} after {self.causes[0].accuracy:.1%}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        bounded = {name: dict(counts) for name, counts in self.bounded.items()}
        return {
            "causes": [asdict(c) for c in self.causes],
            "total": asdict(self.total),
            "bounded": bounded,
            "layers": [asdict(each) for each in self.layers],
            "exact_accuracy": self.exact,
        }


def _changed(changed: int, samples: int) -> str:
    """In words whether a network still predicts what the float network does."""
    if not changed:
        return f"predicts as the float network does for all {samples} samples"
    return f"PREDICTIONS CHANGED: {changed} of {samples} differ from the float network's"


CAUSES = ("time discretisation", "rounding of parameters", "rounding of states", "saturation and wrap")
TOTAL = "all but time discretisation"


def distance(plan: Plan, labels: Array | None = None) -> Distance:
    """Run the chain on a batch; with labels (samples,) every stage's accuracy is told.

    A sample that is undecided on one side only has changed, and is never right. Raises UnsupportedError where
    the float network can't be run, InputError for labels that do not fit.
    """
    if labels is not None:
        labels = checked_labels(labels, plan.samples, _classes(plan), plan.steps)
    job = replace(plan.job, record=plan.job.record | {(p.name, "v") for p in _neurons(plan.job)})
    counts: Counts = {}
    chain = [reference(job, "exact"), reference(job), over_the_reals(_uncentred(job))]
    chain += [over_the_integers(job), as_on_the_chip(job, counts)]
    chain[2:] = [_in_the_models_numbers(job, each) for each in chain[2:]]
    links = [_Link(name, plan, *pair) for name, pair in zip(CAUSES, pairwise(chain), strict=True)]
    total = _Link(TOTAL, plan, chain[1], chain[4])
    return Distance(
        causes=tuple(link.cause(labels) for link in links),
        total=total.cause(labels),
        bounded={name: dict(+each) for name, each in counts.items() if each.total()},
        layers=tuple(_layer(p, links, total) for p in _neurons(plan.job)),
        exact=_accuracy(_predictions(plan, chain[0]), labels),
    )


def _neurons(job: Job) -> list[Population]:
    """The float populations that have their counterpart on the chip, without gain control."""
    populations = job.program.reference.populations
    compared = [p for p in populations if isinstance(p.node, Membrane) or carries_signal(p.node)]
    return [p for p in compared if p.name in job.program.layers]


def _in_the_models_numbers(job: Job, recording: Recording) -> Recording:
    """A simulation of the Program with the messages that carry a signal as numbers of the float network."""
    meant = dict(recording.spikes)
    for population in job.program.network.populations:
        node = population.node
        if isinstance(node, Compartments) and "message" in node.units:
            meant[population.name] = recording.spikes[population.name] / node.units["message"]
    return replace(recording, spikes=meant)


def _uncentred(job: Job) -> Job:
    """The job without the half messages that centre roundings: over the reals nothing is rounded."""
    network = job.program.network
    for population in _neurons(job):
        meant = population.node
        if isinstance(meant, Membrane):
            network = network.with_population(uncentred(network[population.name], meant))
    return replace(job, program=replace(job.program, network=network))


@dataclass(frozen=True, eq=False)
class _Link:
    """Two neighbours of the chain."""

    name: str
    plan: Plan
    left: Recording
    right: Recording

    def cause(self, labels: Array | None) -> Cause:
        """All layers together."""
        counted = [self.counted(p) for p in _neurons(self.plan.job)]
        differing, either, squares, values = (sum(each) for each in zip(*counted, strict=True))
        left, right = (_predictions(self.plan, each) for each in (self.left, self.right))
        return Cause(
            name=self.name,
            spikes=int(differing),
            share=differing / max(1, either),
            predictions=int(np.sum(left != right)),
            samples=self.plan.samples,
            membrane=float(np.sqrt(squares / max(1, values))),
            accuracy=_accuracy(right, labels),
            undecided=int(np.sum(right == UNDECIDED)),
        )

    def gap(self, population: Population) -> Gap:
        """One layer."""
        differing, either, squares, values = self.counted(population)
        share, membrane = differing / max(1, either), float(np.sqrt(squares / max(1, values)))
        return Gap(self.name, int(differing), share, membrane)

    def counted(self, population: Population) -> tuple[float, float, float, float]:
        """Spikes that differ, spikes of either, squares of the membranes' differences, and their number."""
        job = self.plan.job
        a, b = (_spikes(job, population, each) for each in (self.left, self.right))
        gap = _membrane(job, population, self.left) - _membrane(job, population, self.right)
        return int(np.sum(a != b)), int(np.sum(a | b)), float(np.sum(gap**2)), gap.size


def _layer(population: Population, links: list[_Link], total: _Link) -> LayerDistance:
    plan, job = total.plan, total.plan.job
    meant, found = (_spikes(job, population, each) for each in (total.left, total.right))
    return LayerDistance(
        name=population.name,
        causes=tuple(link.gap(population) for link in links),
        total=total.gap(population),
        spikes=int(meant.sum()),
        on_chip=int(found.sum()),
        counts=_count_error(population, total, meant, found),
        first=_first(plan, population, meant != found),
    )


def _count_error(population: Population, total: _Link, meant: Array, found: Array) -> float:
    plan = total.plan
    if not _spiking(population):
        size = float(np.square(_membrane(plan.job, population, total.left)).mean())
        return float(total.gap(population).membrane / np.sqrt(size)) if size else 0.0
    steps = plan.steps if plan.stream else meant.shape[1]
    starts = np.arange(0, meant.shape[1], steps)
    counts = [np.add.reduceat(each, starts, axis=1, dtype=np.int64) for each in (meant, found)]
    return float(np.abs(counts[0] - counts[1]).sum() / max(1, meant.sum()))


def _first(plan: Plan, population: Population, differs: Array) -> First | None:
    """The earliest in time; of those in one step, that of the first sample and neuron."""
    places = np.argwhere(np.swapaxes(differs, 0, 1))
    if not len(places):
        return None
    step, sample, neuron = (int(each) for each in places[0])
    depth = plan.job.program.network[population.name].depth
    if plan.stream:
        sample = min(step // plan.steps, plan.samples - 1)
        step -= sample * plan.steps
    return First(sample, step + depth, neuron)


def _accuracy(predictions: Array, labels: Array | None) -> float | None:
    return None if labels is None else float(np.mean(predictions == labels))


def _spikes(job: Job, population: Population, recording: Recording) -> Array:
    """Who spiked when; nobody in a population that sends its membrane."""
    sent = _from_first_step(job, population, recording.spikes[population.name])
    return np.asarray((sent != 0) & _spiking(population))


def _spiking(population: Population) -> bool:
    return isinstance(population.node, Membrane) and population.node.sends == "spikes"


def _membrane(job: Job, population: Population, recording: Recording) -> FloatArray:
    """v above reset, in thresholds above reset; that of a neuron without a threshold as it is.

    Of an astrocyte that carries a signal, what it sends.
    """
    node = population.node
    if not isinstance(node, Membrane):
        return np.asarray(_from_first_step(job, population, recording.spikes[population.name]), np.float64)
    threshold = flat(node.reach, population.size)
    states = _from_first_step(job, population, recording.states[population.name, "v"])
    return np.asarray(states, np.float64) / threshold


def _from_first_step(job: Job, population: Population, array: Array) -> Array:
    """What a population did from its first step on: before it the chip's neurons run, the model's do not."""
    return array[:, job.program.network[population.name].depth :]


def _predictions(plan: Plan, recording: Recording) -> Array:
    read, graph = read_out(plan, recording), plan.job.program.reference
    first = next(iter(read.values())) if isinstance(read, dict) else read
    return answers(first, graph.read_outs[graph.output].sent).classes


def _classes(plan: Plan) -> int:
    """Values that the first output has for a sample."""
    network = plan.job.program.network
    return network[network.output].size if network.after is None else prod(network.after.outputs)
