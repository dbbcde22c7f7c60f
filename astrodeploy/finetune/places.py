"""Where the trained numbers stand in the integer network.

A weight w of the float network is the integer w * ratio of the chip; the ratios follow from the scale
and the exponent that `quantise` chose, and from the neuron's own factors.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.compartments import Range
from astrodeploy.errors import UnsupportedError
from astrodeploy.finetune.trained import Trained
from astrodeploy.ir import Compartments, Connection, CubaLIF, Graph, Input, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.wiring import Dense
from astrodeploy.quantisation.layer import Layer, layer_of

FOLLOWED = (
    1.0  # integers by which weights may differ from their exact values in the mean: rounding, and its mending
)
HALF = 0.5 + 1e-9


@dataclass(frozen=True, eq=False)
class Place:
    """A connection on the chip that follows trained values: integer = value * ratio + offset, rounded.

    The offset, below one where weights were rounded to the nearest, makes the integers those of the
    network as it was quantised, whatever decided on them. `name` is that of the trained values.
    """

    name: str
    values: Callable[[Trained], Tensor]
    ratio: FloatArray
    offset: FloatArray


def folded(graph: Graph, population: Population, node: Membrane) -> Layer:
    """A population's equation with all factors folded, without its synapses."""
    if isinstance(node, CubaLIF):  # whose bias is a synapse on the chip
        node = replace(node, bias=np.zeros_like(node.bias))
    alone = replace(graph, connections=tuple(c for c in graph.connections if c.port == "modulation"))
    return layer_of(alone, population, node, lambda source: (1.0, Range(0, 1)))


def scale_of(population: Population) -> float:
    """Integers of the chip that make 1.0 of a neuron's membrane."""
    assert isinstance(population.node, Compartments)
    return float(population.node.units["v"])


def places(graph: Graph, network: Graph, weights: Range) -> dict[str, Place]:
    """The connections of the integer network that follow trained values, by name.

    `weights` is the range of a weight on the chip. Raises UnsupportedError where the integers are not
    what the float network's weights say.
    """
    found = {}
    for made in network.connections:
        target = graph[made.target] if made.target in graph.layers else None
        if made.port != "current" or target is None or not isinstance(target.node, Membrane):
            continue
        factor = folded(graph, target, target.node).factor * scale_of(network[made.target])
        meant = _meant(graph, network, made)
        if meant is not None:
            unit = _message_unit(network[made.source])
            found[made.name] = Place(meant.name, _weights(meant), *_line(meant, made, factor * unit, weights))
        elif _is_bias(graph, network, made, target.node):
            bias = np.broadcast_to(target.node.bias.ravel(), (target.size,))[:, None]
            line = _line(replace(made, wiring=Dense(bias)), made, factor, weights)
            found[made.name] = Place(target.name, _biases(target), *line)
    return found


def _meant(graph: Graph, network: Graph, made: Connection) -> Connection | None:
    """The connection of the float network whose weights a connection on the chip holds.

    It is the namesake; or, where a long delay goes through relays, the one that ends like the last of them.
    """
    held = {c.name for c in network.connections}
    for each in graph.connections:
        ends_alike = (each.target, each.port, each.lag) == (made.target, made.port, made.lag)
        relayed = each.name not in held and made.source not in graph.layers
        if each.name == made.name or (ends_alike and relayed and each.wiring.shape == made.wiring.shape):
            return each
    return None


def _is_bias(graph: Graph, network: Graph, made: Connection, node: Membrane) -> bool:
    """Whether a connection holds the biases of a synaptic current, sent by a neuron that always fires."""
    added = made.source not in graph.layers and not any(True for _ in network.into(made.source))
    return added and isinstance(node, CubaLIF) and network[made.source].size == 1


def _weights(connection: Connection) -> Callable[[Trained], Tensor]:
    return lambda trained: trained.weights(connection)


def _biases(population: Population) -> Callable[[Trained], Tensor]:
    def values(trained: Trained) -> Tensor:
        bias = trained.bias(population)
        assert bias is not None
        return bias[:, None]

    return values


def _message_unit(population: Population) -> float:
    """What a message of 1 of a population of the integer network stands for in the float one."""
    node = population.node
    if isinstance(node, Input):
        return 1 / node.unit
    shift = node.parameters.get("message_shift") if isinstance(node, Compartments) else None
    return 1.0 if shift is None else float(2.0 ** shift[0] / scale_of(population))


def _line(
    connection: Connection, made: Connection, scale: FloatArray, weights: Range
) -> tuple[FloatArray, FloatArray]:
    """Integers per 1.0 of a float connection's weights, and the offset; in the shape of its values.

    `scale` (targets,) is what a weight of 1.0 adds to the membrane, in integers of the state.
    """
    wiring = connection.wiring
    if type(made.wiring) is not type(wiring):
        raise UnsupportedError(f"{made.name} is another pattern on the chip: it can't be fine-tuned")
    ones = wiring.with_values(np.ones_like(wiring.values, dtype=np.float64))
    ratio: FloatArray = ones.scaled(scale / (1 << ALIGNMENT) / 2.0**made.exponent).values
    exact = wiring.values * ratio
    error = made.wiring.values - np.clip(exact, weights.low, weights.high)
    if error.size and np.abs(error).mean() > FOLLOWED:
        raise UnsupportedError(f"{made.name} was quantised in a way that fine-tuning does not follow")
    # a weight that is rounded to the nearest, or held at the end of the range, needs no offset
    return ratio, np.where(np.abs(error) <= HALF, 0.0, made.wiring.values - exact)
