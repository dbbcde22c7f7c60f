"""Do two runs say the same? Bit for bit, or as two float engines can; and the first place where they do not."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from astrodeploy.engines.recording import Recording, StateName
from astrodeploy.engines.reference import flat
from astrodeploy.errors import InputError
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.nodes import Array, Membrane

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
    left: Recording,
    right: Recording,
    graph: Graph,
    names: tuple[str, str] = ("left", "right"),
    states: bool = True,
) -> Comparison:
    """Compare what two float engines' neurons and astrocytes sent, and every state, unless `states` is False.

    Spikes must fall in the same step. Numbers (membranes, gains, the astrocytes' states) count as equal
    within 1e-9, of themselves where they are above 1: two engines add the same numbers in another order,
    which costs about 1e-16 a step, and a fault of the equations shows in far larger places. A difference of
    spikes is excused where the neuron that stayed silent was within 1e-9 of its threshold; both must have
    recorded the states "v" for that. What follows in the same row is then excused too: from there on the
    two are different stories.
    """
    layers = [p.name for p in graph.populations if isinstance(p.node, Membrane | Astrocyte)]
    pairs = [_settled(each, graph) for each in _pairs(_of(left, layers), _of(right, layers), names, states)]
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
