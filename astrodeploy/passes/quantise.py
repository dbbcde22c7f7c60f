"""quantise: from the float network to integers of the chip's formats.

A neuron becomes v' = v (4096 - dv) / 4096 + u + bias with v measured from v_reset, and u = drive
(weighted input): the factors are folded into the weights. How many integers make 1.0 of v, and the
weights' exponents, are a layer's Scale: from its numbers where they are whole already, from calibration
data where there are any, else from the worst case, in which no accumulator overflows whatever the input.
Everything that is rounded or saturated is noted with its share and error. Layers with astrocytes take the
worst case always: their gains may go where no data were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.arithmetic import DECAY_UNITY
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import KINDS, Range
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Input, Population
from astrodeploy.ir.nodes import Constant, Membrane, Node, SigmaDelta
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.quantise_astrocytes import quantised_astrocytes
from astrodeploy.passes.quantise_sigma_delta import MESSAGE as SIGMA_DELTA_MESSAGE
from astrodeploy.passes.quantise_sigma_delta import quantised_sigma_delta
from astrodeploy.passes.quantise_signals import message_unit, quantised_signals
from astrodeploy.quantisation.balance import balanced
from astrodeploy.quantisation.choose import MESSAGE_MARGIN, chosen
from astrodeploy.quantisation.grid import on_grid
from astrodeploy.quantisation.layer import Layer, layer_of, sent_by
from astrodeploy.quantisation.rounding import Part, rounded
from astrodeploy.quantisation.scales import worst_case


@dataclass(frozen=True)
class Quantise:
    """Choose scales and exponents, and round weights, thresholds, decays and biases."""

    name = "quantise"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with an integer network. Raises UnsupportedError where a format can't hold a value."""
        parts: dict[str, Part] = {}
        ordered, ahead = _senders_first(draft)
        for population in ordered:
            parts[population.name] = _part(draft, population, parts, ahead)
        done = [parts[name] for name in draft.graph.layers]
        integer = replace(
            draft.graph,
            populations=tuple(part.population for part in done),
            connections=tuple(c for part in done for c in part.connections),
        )
        scales = {name: part.scale for name, part in parts.items() if part.scale is not None}
        return replace(draft, graph=integer, scales=scales), tuple(n for part in done for n in part.notes)


def _senders_first(draft: Draft) -> tuple[list[Population], dict[str, float]]:
    """The populations, each after those whose membranes it hears: their scales say what these mean.

    Around a loop of membranes, calibration data say what the messages of one are to mean, by its name.
    """
    graph, waiting = draft.graph, list(draft.graph.populations)
    ordered: list[Population] = []
    ahead: dict[str, float] = {}
    while waiting:
        senders = {p.name for p in waiting if _sends_values(p.node)} - set(ahead)
        ready = [p for p in waiting if not senders & {c.source for c in graph.into(p.name)}]
        if not ready:
            looped = next(p for p in waiting if p.name in senders)
            ahead[looped.name] = _unit_ahead(draft, looped)
        ordered += ready
        waiting = [p for p in waiting if p not in ready]
    return ordered, ahead


def _sends_values(node: Node) -> bool:
    """Whether what a message of 1 means is known only once the population is quantised."""
    if isinstance(node, Astrocyte):
        return not node.modulates
    return getattr(node, "sends", "spikes") != "spikes"


def _unit_ahead(draft: Draft, population: Population) -> float:
    """What a message of a population is to mean before it is quantised."""
    if isinstance(population.node, Astrocyte):
        return message_unit(
            draft.graph, population, population.node, draft.calibration, Formats.of(draft.chip)
        )
    if draft.calibration is None:
        raise UnsupportedError(
            f"{population.name} sends its membrane around a loop, so that what its messages mean depends on "
            "itself: compile it with calibration data (--calibrate, calibrate=), which say how large it becomes"
        )
    seen = draft.calibration.seen[population.name].message
    return (MESSAGE_MARGIN * seen or 1.0) / sent_by(population, Formats.of(draft.chip)).high


def _part(draft: Draft, population: Population, done: Mapping[str, Part], ahead: Mapping[str, float]) -> Part:
    node, graph, limits = population.node, draft.graph, Formats.of(draft.chip)

    def source(name: str) -> tuple[float, Range]:
        fixed = SIGMA_DELTA_MESSAGE if isinstance(graph[name].node, SigmaDelta) else 1.0
        unit = done[name].unit if name in done else ahead.get(name, fixed)
        return unit, sent_by(done[name].population if name in done else graph[name], limits)

    if isinstance(node, Membrane):
        layer = layer_of(graph, population, node, source, limits.membrane)
        return _neurons(draft, layer, ahead.get(population.name))
    if isinstance(node, Astrocyte) and node.modulates:
        return Part(*quantised_astrocytes(graph, population, node, limits))
    if isinstance(node, Astrocyte):
        return quantised_signals(graph, population, node, source, draft.calibration, limits)
    if isinstance(node, SigmaDelta):
        unit_of = lambda name: source(name)[0]  # noqa: E731
        return Part(*quantised_sigma_delta(graph, population, node, unit_of, limits), SIGMA_DELTA_MESSAGE)
    if isinstance(node, Constant):
        return Part(_always_on(population), (), ())
    return Part(population, (), (), 1 / node.unit if isinstance(node, Input) else 1.0)


def _neurons(draft: Draft, layer: Layer, unit: float | None) -> Part:
    """A layer at the Scale that was given, that its numbers have, that data or the worst case ask for."""
    limits = Formats.of(draft.chip)
    if (given := draft.scales.get(layer.name)) is not None:
        return rounded(layer, replace(given, origin="given"), limits)
    if unit is None and (scale := on_grid(layer, limits, draft.unity)) is not None:
        return rounded(layer, scale, limits)
    if draft.calibration is None or layer.gains is not None or not layer.synapses:
        scale = worst_case(layer, limits)
        return rounded(layer, scale, limits, balanced(layer, scale, limits))
    part, note = chosen(layer, draft.calibration, limits, unit)
    return replace(part, notes=(*part.notes, note))


def _always_on(population: Population) -> Population:
    """Neurons that a bias makes fire in every step."""
    kind, n = KINDS["lif"], population.size
    values = {"du": DECAY_UNITY, "dv": DECAY_UNITY - 1, "threshold": 0, "bias": 1}
    node = Compartments(
        kind=kind,
        parameters={k: np.full(n, v) for k, v in values.items()},
        initial={k: np.zeros(n, np.int64) for k in kind.states},
    )
    return replace(population, node=node)
