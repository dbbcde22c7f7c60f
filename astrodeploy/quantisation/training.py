"""The chip's rounding for training: float weights as they will be once they are integers.

With scales that stay (`scales_of` a Program), a weight w becomes clip(round(w / step), low, high) * step:
`grids` gives step, low and high, for a straight-through estimator in any framework, and `fake_quantised`
does it to a whole network. Compiled at the same scales (`Draft.scales`), these are the chip's weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.chip import Chip
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Range
from astrodeploy.ir import Compartments, Graph, Input, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import Membrane
from astrodeploy.program import Program
from astrodeploy.quantisation.layer import layer_of, sent_by
from astrodeploy.quantisation.scales import MESSAGE_SHIFT, Scale


@dataclass(frozen=True, eq=False)
class Grid:
    """The weights that a connection can have on the chip: whole multiples low..high of `step`.

    step   in the float network's numbers and the shape of the wiring's values; infinite where a weight
           has no effect
    """

    step: FloatArray
    allowed: Range

    def nearest(self, weights: FloatArray) -> FloatArray:
        """The weights of the grid next to float ones."""
        found: FloatArray = np.zeros_like(weights)
        np.divide(weights, self.step, out=found, where=np.isfinite(self.step))
        held = np.clip(np.rint(found), self.allowed.low, self.allowed.high)
        return np.where(
            np.isfinite(self.step), held * np.where(np.isfinite(self.step), self.step, 0), weights
        )


def scales_of(program: Program) -> dict[str, Scale]:
    """The Scale of every layer of neurons of a Program, without the directions of coarse roundings."""
    return {
        p.name: _scale(program, p)
        for p in program.reference.populations
        if isinstance(p.node, Membrane) and p.name in program.network.layers
    }


def _scale(program: Program, population: Population) -> Scale:
    made = program.network[population.name]
    assert isinstance(made.node, Compartments)
    assert isinstance(population.node, Membrane)
    membrane = made.node.units["v"]
    shift = made.node.parameters.get("message_shift")
    rest = np.rint(np.broadcast_to(population.node.v_leak.ravel(), (made.size,)) * membrane)
    return Scale(
        membrane=membrane,
        exponents={c.name: c.exponent for c in program.network.into(made.name) if c.port == "current"},
        shift=MESSAGE_SHIFT if shift is None else int(shift[0]),
        centred=shift is not None and bool(np.any(made.node.initial["v"] != rest)),
        origin="given",
    )


def grids(graph: Graph, scales: Mapping[str, Scale], chip: Chip) -> dict[str, Grid]:
    """The grid of every connection into a layer with a Scale; `graph` is the Program's reference."""
    found: dict[str, Grid] = {}
    limits = Formats.of(chip)
    for population in graph.populations:
        scale, node = scales.get(population.name), population.node
        if scale is None or not isinstance(node, Membrane):
            continue
        bare = replace(node, bias=np.zeros_like(node.bias))
        layer = layer_of(graph, population, bare, lambda name: _source(graph[name], scales, limits))
        for each in layer.synapses:
            wiring = each.connection.wiring
            per_weight = wiring.with_values(np.ones_like(wiring.values)).scaled(layer.factor * each.unit)
            with np.errstate(divide="ignore"):
                unit = 2.0 ** scale.exponents[each.name] * (1 << ALIGNMENT) / scale.membrane
                step = unit / np.abs(per_weight.values)
            found[each.name] = Grid(np.asarray(step), limits.weight)
    return found


def _source(population: Population, scales: Mapping[str, Scale], limits: Formats) -> tuple[float, Range]:
    """What a message of 1 means, and what may be sent."""
    node, scale = population.node, scales.get(population.name)
    if isinstance(node, Input):
        return 1 / node.unit, sent_by(population, limits)
    graded = isinstance(node, Membrane) and node.sends != "spikes" and scale is not None
    return (scale.unit if graded and scale is not None else 1.0), sent_by(population, limits)


def fake_quantised(graph: Graph, scales: Mapping[str, Scale], chip: Chip) -> Graph:
    """The float network with its weights on the chip's grids, at scales that stay."""
    known = grids(graph, scales, chip)
    return replace(
        graph,
        connections=tuple(
            replace(c, wiring=c.wiring.with_values(known[c.name].nearest(c.wiring.values)))
            if c.name in known
            else c
            for c in graph.connections
        ),
    )
