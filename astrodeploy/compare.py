"""Does every engine say the same? Comparison bit for bit, the first divergence, and the float witnesses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from astrodeploy import arguments
from astrodeploy.brief import listed, short
from astrodeploy.distance import Distance, distance
from astrodeploy.engines import Plan, engine_named, make_plan, require_floats
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.engines.reference import flat, reference
from astrodeploy.errors import EngineError, InputError
from astrodeploy.ir import Astrocyte, Compartments, Graph
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
    return _counted(_pairs(left, right, names, states), names)


def _counted(pairs: "Sequence[_Pair]", names: tuple[str, str]) -> Comparison:
    """What was compared, and what differs."""
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


def _first(pairs: Sequence[_Pair]) -> Divergence | None:
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
    """Compare what two float engines' neurons and astrocytes sent, and every state that both recorded.

    Spikes must fall in the same step. Numbers (membranes, gains, the astrocytes' states) count as equal
    within 1e-9, of themselves where they are above 1: two engines add the same numbers in another order,
    which costs about 1e-16 a step, and a fault of the equations shows in far larger places. A difference of
    spikes is excused where the neuron that stayed silent was within 1e-9 of its threshold; both must have
    recorded the states "v" for that. What follows in the same row is then excused too: from there on the
    two are different stories.
    """
    layers = [p.name for p in graph.populations if isinstance(p.node, Membrane | Astrocyte)]
    pairs = [_settled(each, graph) for each in _pairs(_of(left, layers), _of(right, layers), names, True)]
    near = {name: _near(graph, name, left, right) for name in layers if _fires(graph, name)}
    excused = _excused(pairs, near)
    kept = [replace(p, right=np.where(e, p.left, p.right)) for p, e in zip(pairs, excused, strict=True)]
    return replace(
        _counted(kept, names),
        excused=sum(int(each.sum()) for each in excused),
    )


def _of(recording: Recording, layers: Sequence[str]) -> Recording:
    """What some layers sent, and their states."""
    states = {key: array for key, array in recording.states.items() if key[0] in layers}
    return Recording({name: recording.spikes[name] for name in layers}, states)


def _fires(graph: Graph, name: str) -> bool:
    node = graph[name].node
    return isinstance(node, Membrane) and node.sends == "spikes"


def _settled(pair: _Pair, graph: Graph) -> _Pair:
    """The pair with the right one's numbers as the left one's where they are close; spikes as they are."""
    if pair.what == "spikes" and _fires(graph, pair.layer):
        return pair
    close = np.abs(pair.left - pair.right) <= NEAR_THRESHOLD * np.maximum(1.0, np.abs(pair.left))
    return replace(pair, right=np.where(close, pair.left, pair.right))


def _near(graph: Graph, name: str, left: Recording, right: Recording) -> Array:
    """Whether the one that stayed silent was at its threshold, (rows, steps, size)."""
    node, size = graph[name].node, graph[name].size
    assert isinstance(node, Membrane)
    silent = np.where(left.spikes[name] == 0, left.states[name, "v"], right.states[name, "v"])
    return np.asarray(np.abs(silent - flat(node.reach, size)) <= NEAR_THRESHOLD)


def _excused(pairs: Sequence[_Pair], near: Mapping[str, Array]) -> list[Array]:
    """For each pair which of its differences are excused, (rows, steps, size)."""
    differs = [pair.left != pair.right for pair in pairs]
    fired = {p.layer: d for p, d in zip(pairs, differs, strict=True) if p.what == "spikes"}
    excused = [np.zeros_like(each) for each in differs]
    for row in range(len(differs[0]) if differs else 0):
        steps = [int(each[row].any(1).argmax()) for each in differs if each[row].any()]
        if not steps:
            continue
        place = (row, min(steps))
        if all(_explained(p, d[place], fired, near, place) for p, d in zip(pairs, differs, strict=True)):
            for mask, each in zip(excused, differs, strict=True):
                mask[row, min(steps) :] = each[row, min(steps) :]
    return excused


def _explained(
    pair: _Pair, differs: Array, fired: Mapping[str, Array], near: Mapping[str, Array], place: tuple[int, int]
) -> bool:
    """Whether what differs in a row's first such step is a spike at the threshold, or the state that it reset."""
    if not differs.any():
        return True
    if pair.layer not in near:
        return False
    excuse = near[pair.layer][place] if pair.what == "spikes" else fired[pair.layer][place]
    return bool(np.all(excuse[differs]))


# ---- verify ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    comparisons  the oracle against every other integer engine that ran: all messages and all states
    brian2       the float network in Brian2 against the float reference: all messages, membranes, gains and
                 the astrocytes' states; None where it was not asked for or could not run
    distance     the Program against the float network, by cause; None where there is none
    not_run      engines that were asked for and could not run, with the reason
    """

    comparisons: tuple[Comparison, ...]
    brian2: Comparison | None
    distance: Distance | None
    not_run: Mapping[str, str]

    def __repr__(self) -> str:
        pairs = [
            f"{c.left} = {c.right}" if c.equal else f"{c.left} differs from {c.right}"
            for c in self.comparisons
        ]
        first = "" if self.first_divergence is None else f"; first: {short(str(self.first_divergence), 240)}"
        return (
            f"<Verification: {'equal' if self.equal else 'not equal'}: {listed(pairs)}{first}; not run: "
            f"{listed(self.not_run)}\n {self.distance!r}>"
        )

    @property
    def equal(self) -> bool:
        """Whether at least two integer engines ran and agree in every bit, and Brian2, where it ran, with the float
        reference but for what is excused.
        """
        return bool(self.comparisons) and all(each.equal for each in self._held)

    @property
    def _held(self) -> tuple[Comparison, ...]:
        """All comparisons that decide."""
        return (*self.comparisons, *([] if self.brian2 is None else [self.brian2]))

    @property
    def first_divergence(self) -> Divergence | None:
        """That of the first pair of integer engines that differ; else that of Brian2."""
        return next((c.first_divergence for c in self._held if not c.equal), None)

    @property
    def faithful(self) -> bool | None:
        """Whether the Program predicts the same as the float network for every sample; None where there is none.

        Undecided is a prediction too. Spikes may differ nevertheless: `distance` tells how many.
        """
        return None if self.distance is None else self.distance.total.predictions == 0

    @property
    def text(self) -> str:
        """The verdict in a line: whether the engines agree, and whether the network is still itself."""
        engines = "equal" if self.equal else "NOT EQUAL"
        if not self.comparisons:
            engines = "NOT VERIFIED: no engine but the oracle ran"
        elif not self.equal and all(each.equal for each in self.comparisons):
            engines = "NOT EQUAL: Brian2 differs from the float reference"
        return engines + ("" if self.distance is None else f"; {self.distance.text}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `astrodeploy verify --json` prints it."""
        first = self.first_divergence
        return {
            "equal": self.equal,
            "faithful": self.faithful,
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
    is listed in `not_run` and decides nothing. Raises InputError for an engine that has no place here, StimulusError.
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
    witnessed = replace(job, record=_float_states(graph))
    recordings = [reference(witnessed), engine_named("brian2")(witnessed)]
    return compare_near_threshold(recordings[0], recordings[1], graph, ("reference", "brian2"))


def _float_states(graph: Graph) -> frozenset[StateName]:
    """The states in which two float engines are held against each other: all that change."""
    modulated = {c.target for c in graph.connections if c.port == "modulation"}
    found = set()
    for population in graph.populations:
        if isinstance(population.node, Membrane):
            found |= {
                (population.name, s)
                for s in ("v", "u", "gain")
                if s != "gain" or population.name in modulated
            }
        elif isinstance(population.node, Astrocyte):
            found |= {(population.name, s) for s in ("count", "trace", "log_gain")}
    return frozenset(found)


def _by_sample(plan: Plan, comparison: Comparison) -> Comparison:
    """In a stream, the first divergence's sample and step are those of a Trace, not of the one long row."""
    first = comparison.first_divergence
    if first is None or not plan.stream:
        return comparison
    local = max(0, first.step - plan.job.program.network[first.layer].depth)
    sample = min(local // plan.steps, plan.samples - 1)
    moved = replace(first, sample=sample, step=first.step - sample * plan.steps)
    return replace(comparison, first_divergence=moved)
