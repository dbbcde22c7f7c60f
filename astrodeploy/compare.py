"""Does every engine say the same? Comparison bit for bit, the first divergence, and the float witnesses."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from astrodeploy import arguments
from astrodeploy.distance import Distance, distance
from astrodeploy.engines import Plan, engine_named, make_plan, require_floats
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.engines.reference import flat, reference
from astrodeploy.errors import EngineError, InputError
from astrodeploy.ir import Compartments, Graph
from astrodeploy.ir.nodes import Array, Membrane
from astrodeploy.program import Program

INTEGER_ENGINES = ("oracle", "fast", "lava")
NEAR_THRESHOLD = 1e-9  # a membrane so close to its threshold may fall on either side of it


class Recorded(Protocol):
    """A Recording or a Trace: arrays (rows or samples, steps, ...) by layer, and by layer and state."""

    @property
    def spikes(self) -> Mapping[str, Array]:
        """Messages sent, by layer."""

    @property
    def states(self) -> Mapping[StateName, Array]:
        """States after each step, by layer and state."""


@dataclass(frozen=True)
class Divergence:
    """One value that differs: `what` is "spikes" or a state's name; step is the chip's, neuron is flat."""

    layer: str
    sample: int
    step: int
    neuron: int
    what: str
    left: float
    right: float

    def __str__(self) -> str:
        return (
            f"{self.layer}.{self.what}, sample {self.sample}, step {self.step}, neuron {self.neuron}: "
            f"{self.left:.17g} and {self.right:.17g}"
        )


@dataclass(frozen=True)
class Comparison:
    """Two engines on one stimulus.

    spikes     messages that the left one sent, each compared; values: all entries, also the silent ones
    states     state values compared
    differing  entries that differ, spikes and states together
    excused    float engines only: differences that a membrane within 1e-9 of its threshold began
    """

    left: str
    right: str
    spikes: int
    values: int
    states: int
    differing: int
    first_divergence: Divergence | None
    excused: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs, apart from what is excused."""
        return self.differing == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"equal": self.equal}


def compare(
    left: Recorded, right: Recorded, names: tuple[str, str] = ("left", "right"), states: bool = True
) -> Comparison:
    """Compare bit for bit; the first divergence is that of the earliest sample, step, layer and neuron.

    Layers count in the left one's order, in a layer its states before its spikes. Both must hold the
    same layers, and states unless `states` is False. Raises InputError where they do not.
    """
    pairs = _pairs(left, right, names, states)
    spikes = [each for each in pairs if each.what == "spikes"]
    return Comparison(
        left=names[0],
        right=names[1],
        spikes=sum(int(np.count_nonzero(each.left)) for each in spikes),
        values=sum(each.left.size for each in spikes),
        states=sum(each.left.size for each in pairs if each.what != "spikes"),
        differing=sum(int(np.count_nonzero(each.left != each.right)) for each in pairs),
        first_divergence=_first(pairs),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    layer: str
    what: str
    left: Array
    right: Array


def _pairs(left: Recorded, right: Recorded, names: tuple[str, str], states: bool) -> list[_Pair]:
    """What is to be compared, in causal order; arrays as (samples, steps, size)."""
    mine, theirs = _arrays(left, states), _arrays(right, states)
    if unmatched := sorted(set(mine) ^ set(theirs)):
        layer, what = unmatched[0]
        has, lacks = names if unmatched[0] in mine else names[::-1]
        raise InputError(f"{has} recorded {layer}.{what} and {lacks} did not: record the same in both")
    pairs = []
    for (layer, what), array in mine.items():
        other = theirs[layer, what]
        if array.shape != other.shape:
            raise InputError(
                f"{layer}.{what} has shape {array.shape} in {names[0]} and {other.shape} in {names[1]}: "
                "run both on the same stimulus"
            )
        flattened = (*array.shape[:2], -1)
        pairs.append(_Pair(layer, what, array.reshape(flattened), other.reshape(flattened)))
    return pairs


def _arrays(recorded: Recorded, states: bool) -> dict[tuple[str, str], Array]:
    found: dict[tuple[str, str], Array] = {}
    for layer, spikes in recorded.spikes.items():
        if states:
            found |= {key: array for key, array in recorded.states.items() if key[0] == layer}
        found[layer, "spikes"] = spikes
    return found


def _first(pairs: list[_Pair]) -> Divergence | None:
    found: list[tuple[tuple[int, int, int, int], _Pair]] = []
    for order, pair in enumerate(pairs):
        differs = pair.left != pair.right
        if differs.any():
            sample, step, neuron = (int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape))
            found.append(((sample, step, order, neuron), pair))
    if not found:
        return None
    (sample, step, _, neuron), pair = min(found, key=lambda each: each[0])
    values = [float(side[sample, step, neuron]) for side in (pair.left, pair.right)]
    return Divergence(pair.layer, sample, step, neuron, pair.what, *values)


# ---- float engines ---------------------------------------------------------------------------------


def compare_near_threshold(
    left: Recording, right: Recording, graph: Graph, names: tuple[str, str] = ("left", "right")
) -> Comparison:
    """Compare what two float engines' neurons sent; both must have recorded the states "v".

    Membranes that are sent count as equal within 1e-9. A difference of spikes is excused where the
    neuron that stayed silent was within 1e-9 of its threshold. What follows in the same row is then
    excused too: from there on the two are different stories.
    """
    neurons = {p.name: p.node for p in graph.populations if isinstance(p.node, Membrane)}
    theirs = {k: _settled(left.spikes[k], right.spikes[k], node) for k, node in neurons.items()}
    chosen = [Recording({k: left.spikes[k] for k in neurons}, left.states), Recording(theirs, right.states)]
    comparison = compare(chosen[0], chosen[1], names, states=False)
    differs = np.concatenate([chosen[0].spikes[k] != chosen[1].spikes[k] for k in neurons], 2)
    near = np.concatenate([_near(graph, k, chosen[0], chosen[1]) for k in neurons], 2)
    excused = np.zeros_like(differs)
    for row in np.flatnonzero(differs.any((1, 2))):
        step = int(differs[row].any(1).argmax())
        if near[row, step][differs[row, step]].all():
            excused[row, step:] = differs[row, step:]
    kept = [_keep(each, neurons, excused) for each in (chosen[0], chosen[1])]
    return replace(
        comparison,
        differing=comparison.differing - int(excused.sum()),
        excused=int(excused.sum()),
        first_divergence=_first(_pairs(kept[0], kept[1], names, states=False)),
    )


def _settled(left: Array, right: Array, node: Membrane) -> Array:
    """The right one's messages; of membranes those that are close to the left one's as they are there."""
    if node.sends == "spikes":
        return right
    close = np.abs(left - right) <= NEAR_THRESHOLD * np.maximum(1.0, np.abs(left))
    return np.where(close, left, right)


def _near(graph: Graph, name: str, left: Recording, right: Recording) -> Array:
    """Whether the one that stayed silent was at its threshold, (rows, steps, size)."""
    node, size = graph[name].node, graph[name].size
    assert isinstance(node, Membrane)
    silent = np.where(left.spikes[name] == 0, left.states[name, "v"], right.states[name, "v"])
    near = np.abs(silent - flat(node.reach, size)) <= NEAR_THRESHOLD
    return np.asarray(near & (node.sends == "spikes"))


def _keep(recording: Recording, neurons: Mapping[str, object], excused: Array) -> Recording:
    """The same spikes without those that are excused."""
    kept, start = {}, 0
    for name in neurons:
        spikes = recording.spikes[name]
        kept[name] = np.where(excused[:, :, start : start + spikes.shape[2]], 0, spikes)
        start += spikes.shape[2]
    return Recording(kept, {})


# ---- verify ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    comparisons  the oracle against every other integer engine that ran: all messages and all states
    brian2       the float network in Brian2 against the float reference; never part of `equal`
    distance     the Program against the float network, by cause; None where there is none
    not_run      engines that were asked for and could not run, with the reason
    """

    comparisons: tuple[Comparison, ...]
    brian2: Comparison | None
    distance: Distance | None
    not_run: Mapping[str, str]

    @property
    def equal(self) -> bool:
        """Whether at least two integer engines ran and agree in every bit."""
        return bool(self.comparisons) and all(each.equal for each in self.comparisons)

    @property
    def first_divergence(self) -> Divergence | None:
        """That of the first pair of integer engines that differ."""
        return next((c.first_divergence for c in self.comparisons if not c.equal), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `astrodeploy verify --json` prints it."""
        first = self.first_divergence
        return {
            "equal": self.equal,
            "comparisons": [each.to_dict() for each in self.comparisons],
            "first_divergence": None if first is None else asdict(first),
            "brian2": None if self.brian2 is None else self.brian2.to_dict(),
            "distance": None if self.distance is None else self.distance.to_dict(),
            "not_run": dict(self.not_run),
        }


def verify(
    program: Program,
    x: Any,
    engines: tuple[str, ...] = ("oracle", "fast", "lava", "brian2"),
    carry: tuple[str, ...] = (),
    steps: int | None = None,
    labels: Array | None = None,
) -> Verification:
    """Run a batch on several engines and hold them against each other; `x` as in `astrodeploy.engines.run`.

    With labels (samples,) the distance tells the accuracy of every simulation in its chain. A network that
    was compiled from integers has no float network: then neither Brian2 nor the distance is there.

    The oracle always runs: it is what the integer engines are held against. An engine that can't run
    is listed in `not_run`. Raises InputError for an engine that has no place here, StimulusError.
    """
    engines = arguments.names("engines", engines)
    _require_comparable(engines)
    plan = make_plan(program, x, steps, carry, _all_states(program))
    oracle = engine_named("oracle")(plan.job)
    comparisons: list[Comparison] = []
    brian2 = None
    not_run: dict[str, str] = {}
    for name in engines:
        try:
            if name == "brian2":
                require_floats(program, "brian2")
                brian2 = _by_sample(plan, _brian2(plan.job))
            elif name != "oracle":
                recording = engine_named(name)(plan.job)
                comparisons.append(_by_sample(plan, compare(oracle, recording, ("oracle", name))))
        except EngineError as error:
            not_run[name] = str(error)
    found = None if program.reference.is_integer else distance(plan, labels)
    return Verification(tuple(comparisons), brian2, found, not_run)


def _require_comparable(engines: tuple[str, ...]) -> None:
    if unknown := sorted(set(engines) - {*INTEGER_ENGINES, "brian2"}):
        raise InputError(
            f"verify compares {', '.join(INTEGER_ENGINES)} and brian2, not {', '.join(unknown)}: name engines of these"
        )
    if not {"fast", "lava"} & set(engines):
        raise InputError(
            "verify holds integer engines against the oracle: name fast or lava too, "
            f"not only {', '.join(engines) or 'none'}"
        )


def _all_states(program: Program) -> frozenset[StateName]:
    return frozenset(
        (population.name, state)
        for population in program.network.populations
        if isinstance(population.node, Compartments)
        for state in population.node.kind.states
    )


def _brian2(job: Job) -> Comparison:
    graph = job.program.reference
    membranes = replace(job, record=frozenset((name, "v") for name in graph.layers))
    recordings = [reference(membranes), engine_named("brian2")(membranes)]
    return compare_near_threshold(recordings[0], recordings[1], graph, ("reference", "brian2"))


def _by_sample(plan: Plan, comparison: Comparison) -> Comparison:
    """In a stream, the first divergence's sample and step are those of a Trace, not of the one long row."""
    first = comparison.first_divergence
    if first is None or not plan.stream:
        return comparison
    local = max(0, first.step - plan.job.program.network[first.layer].depth)
    sample = min(local // plan.steps, plan.samples - 1)
    moved = replace(first, sample=sample, step=first.step - sample * plan.steps)
    return replace(comparison, first_divergence=moved)
