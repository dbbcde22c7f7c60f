"""A layer as quantisation sees it: neurons whose equation has all factors folded into few numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from astrodeploy.arithmetic import DECAY_UNITY
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Kind, Range
from astrodeploy.compartments.lif import MESSAGE, Variant, neuron
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Connection, CubaLIF, Graph, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.verify import message_range
from astrodeploy.ir.wiring import Wiring

GAIN_EXCESS = 1.0025  # the chip's power of two, a quadratic, is at most 0.25 % above the true one


@dataclass(frozen=True, eq=False)
class Synapses:
    """A connection with the layer's factors in its weights: what a message of 1 adds to u.

    `unit` is what a message of 1 means in the float network, `messages` what its source may send.
    """

    connection: Connection
    weights: Wiring
    unit: float
    messages: Range

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons with v' = v (4096 - dv) / 4096 + u + bias, u' = u (4096 - du) / 4096 + synapses.

    v is measured from the reset value (from 0 without a threshold); all arrays are (neurons,) in
    the float network's numbers, the decays per 4096. The gain of astrocytes multiplies the synapses and
    `modulated_bias`: `gains` are those at rest, None without astrocytes, `largest_gain` is their bound.
    """

    population: Population
    node: Membrane
    factor: FloatArray  # of the weighted input
    dv: FloatArray
    du: FloatArray
    threshold: FloatArray
    rest: FloatArray
    bias: FloatArray
    modulated_bias: FloatArray
    synapses: tuple[Synapses, ...]
    modulation: tuple[Connection, ...]
    gains: FloatArray | None
    largest_gain: float
    heard: bool
    message: Range  # what its membrane may be on its way to other neurons

    @property
    def name(self) -> str:
        """The population's name."""
        return self.population.name

    @property
    def spikes(self) -> bool:
        """Whether it has a threshold."""
        return self.node.sends == "spikes"

    @property
    def sends_membrane(self) -> bool:
        """Whether its membrane goes to other neurons, in few bits."""
        return not self.spikes and self.heard

    @property
    def kind(self) -> Kind:
        """Its compartment kind; a membrane that only the read-out sees is a LIF that never spikes."""
        if not self.spikes and not self.heard:
            return neuron(Variant(gain=self.gains is not None))
        node = self.node
        refractory = node.refractory > 0
        message = MESSAGE if self.spikes else self.message
        return neuron(
            Variant(self.gains is not None, node.reset, node.comparison, refractory, node.sends, message)
        )


def layer_of(
    graph: Graph,
    population: Population,
    node: Membrane,
    source: Callable[[str], tuple[float, Range]],
    message: Range = MESSAGE,
) -> Layer:
    """Fold a population; `source` tells what a message of 1 of a population means, and all it may send.

    `message` is what its own membrane may be on its way to others.

    Raises UnsupportedError for a bias that `lower` should have moved.
    """
    name, size = population.name, population.size
    flat = {key: spread(array, size) for key, array in node.arrays().items()}
    leak, factor = spread(node.leak(graph.dt), size), spread(node.drive(graph.dt), size)
    spikes = node.sends == "spikes"
    origin = flat["v_reset"] if spikes else np.zeros(size)
    gains = resting_gains(graph).get(name)
    bias, modulated_bias = leak * (flat["v_leak"] - origin), factor * flat["bias"]
    if gains is None:
        bias, modulated_bias = bias + modulated_bias, np.zeros(size)
    fall = np.ones(size)
    if isinstance(node, CubaLIF):
        if np.any(flat["bias"]):
            raise UnsupportedError(f"{name} has a bias in its synaptic current: the pass lower comes first")
        fall = spread(node.fall(graph.dt), size)
        factor = factor * fall * flat["w_in"]
    return Layer(
        population=population,
        node=node,
        factor=factor,
        dv=leak * DECAY_UNITY,
        du=fall * DECAY_UNITY,
        threshold=flat["v_threshold"] - origin if spikes else np.zeros(size),
        rest=flat["v_leak"] - origin,
        bias=bias,
        modulated_bias=modulated_bias,
        synapses=tuple(
            _synapses(c, factor, *source(c.source)) for c in graph.into(name) if c.port == "current"
        ),
        modulation=tuple(c for c in graph.into(name) if c.port == "modulation"),
        gains=gains,
        largest_gain=_largest_gain(graph, name),
        heard=any(True for _ in graph.out_of(name)),
        message=message,
    )


def _synapses(connection: Connection, factor: FloatArray, unit: float, messages: Range) -> Synapses:
    return Synapses(connection, connection.wiring.scaled(factor * unit), unit, messages)


def spread(array: FloatArray, size: int) -> FloatArray:
    """A parameter, scalar or of the population's shape, as (size,)."""
    return np.broadcast_to(array.ravel(), (size,))


def _largest_gain(graph: Graph, name: str) -> float:
    astrocytes = [graph[c.source].node for c in graph.into(name) if c.port == "modulation"]
    highest = [2.0**node.high for node in astrocytes if isinstance(node, Astrocyte)]
    return float(max([1.0, *(GAIN_EXCESS * gain for gain in highest)]))


def sent_by(population: Population, limits: Formats) -> Range:
    """What a population may send once it is quantised; 0, no message, is always part of it."""
    node = population.node
    if isinstance(node, Membrane):
        return Variant(sends=node.sends, message=limits.membrane).sent
    if isinstance(node, Astrocyte) and not node.modulates:
        return limits.signal
    return message_range(population) if isinstance(node, Compartments) or population.is_input else Range(0, 1)
