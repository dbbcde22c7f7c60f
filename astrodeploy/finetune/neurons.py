"""One population of the integer network on torch tensors, with what arrives at it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from astrodeploy.arithmetic import ALIGNMENT, execute
from astrodeploy.compartments import Range
from astrodeploy.compartments.lif import GAIN_UNITY
from astrodeploy.errors import UnsupportedError
from astrodeploy.finetune.places import Place, folded, scale_of
from astrodeploy.finetune.straight_through import floored, functions, rounded, rounded_bias
from astrodeploy.finetune.trained import Trained
from astrodeploy.finetune.wirings import delivery
from astrodeploy.ir import Compartments, Connection, CubaLIF, Graph, Population
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.numbers import BIAS, BiasFormat
from astrodeploy.quantisation.layer import Layer

Sent = dict[str, list[Tensor]]


@dataclass(frozen=True, eq=False)
class Frame:
    """What all populations of a simulation share.

    graph    the float network as it was quantised to `network`
    places   where its weights stand there
    weights  range of a weight on the chip
    chip     whether to compute with the chip's numbers of bits
    bias     what a bias may be on the chip
    """

    trained: Trained
    graph: Graph
    network: Graph
    places: Mapping[str, Place]
    weights: Range
    chip: bool
    bias: BiasFormat = BIAS

    def tensor(self, array: Array) -> Tensor:
        """An array in the type of the trained numbers."""
        return torch.tensor(array, dtype=self.trained.dtype)

    def own(self, name: str) -> Population | None:
        """The population of the float network, where it has it."""
        return self.graph[name] if name in self.graph.layers else None


class Neurons:
    """A population: its states (batch, size) in integers of the chip, held in floats.

    Its weights and biases follow the trained ones where the float network has them. All else is as in
    the integer network, or without the chip's rounding as exact as in the float network.
    """

    def __init__(self, population: Population, frame: Frame) -> None:
        node = population.node
        assert isinstance(node, Compartments)
        if node.kind.window is not None:
            raise UnsupportedError(f"{population.name} computes in windows, which fine-tuning does not run")
        self.name, self.depth, self.frame, self.step = (
            population.name,
            population.depth,
            frame,
            node.kind.step,
        )
        self.numbers = {k: frame.tensor(v) for k, v in node.parameters.items()}
        self.rest = {k: frame.tensor(v) for k, v in node.initial.items()}
        self.inputs = tuple(node.kind.inputs)
        self.bias = None
        own = frame.own(self.name)
        if own is not None and isinstance(own.node, Membrane):
            layer, scale = folded(frame.graph, own, own.node), scale_of(population)
            self.bias = _Bias.of(own, layer, self.numbers, scale, frame)
            if not frame.chip:
                self._make_exact(layer, scale)
        reach = self.numbers["threshold"] * 2.0**ALIGNMENT if "threshold" in self.numbers else torch.ones(1)
        self.functions = functions(reach.clamp(min=1).to(frame.trained.dtype), frame.chip)
        self.arrivals = [_Arrivals(c, frame) for c in frame.network.into(self.name) if c.port == "current"]

    def _make_exact(self, layer: Layer, scale: float) -> None:
        """Exchange what was rounded for what it was rounded from."""
        exact = {"du": layer.du, "dv": layer.dv}
        exact |= {"bias": layer.bias * scale, "modulated_bias": layer.modulated_bias * scale}
        if layer.spikes:
            exact["threshold"] = layer.threshold * scale / (1 << ALIGNMENT)
        self.numbers |= {k: self.frame.tensor(v) for k, v in exact.items() if k in self.numbers}
        self.rest["v"] = self.frame.tensor(layer.rest * scale)
        if layer.gains is not None:
            self.rest["gain"] = self.frame.tensor(layer.gains * GAIN_UNITY)

    def start(self, rows: int) -> None:
        """Rest, with the trained numbers as they are now."""
        self.states = {name: each.expand(rows, -1) for name, each in self.rest.items()}
        self.nothing = torch.zeros_like(next(iter(self.states.values())))
        self.parameters = self.numbers | (self.bias.now() if self.bias else {})
        for each in self.arrivals:
            each.start()

    def advance(self, step: int, sent: Sent) -> Tensor:
        """One step, counted from the population's first; the messages sent, (batch, size)."""
        arrived = dict.fromkeys(self.inputs, self.nothing)
        for each in self.arrivals:
            if 0 <= step - each.lag < len(sent[each.source]):
                arrived["current"] = arrived["current"] + each.deliver(sent[each.source][step - each.lag])
        registers = execute(self.step.operations, self.states, self.parameters, arrived, {}, self.functions)
        self.states = self.states | {name: registers[r] for name, r in self.step.stores.items()}
        return next((registers[r] for r in self.step.sends.values()), self.nothing)


def lag_of(connection: Connection, network: Graph) -> int:
    """Steps of the model that a connection takes, each population counting from its first; of relays also < 0."""
    return connection.delay + network[connection.source].depth - network[connection.target].depth


@dataclass(frozen=True, eq=False)
class _Bias:
    """A bias of the chip that follows a trained one: integer = (bias - as quantised) * unit + integer then."""

    key: str
    population: Population
    unit: Tensor
    then: Tensor
    integer: Tensor
    frame: Frame

    @classmethod
    def of(
        cls,
        own: Population,
        layer: Layer,
        numbers: Mapping[str, Tensor],
        scale: float,
        frame: Frame,
    ) -> "_Bias | None":
        """None where there is nothing to follow: no bias, or one that is a synapse."""
        node = own.node
        if not isinstance(node, Membrane) or isinstance(node, CubaLIF) or frame.trained.bias(own) is None:
            return None
        key = "bias" if layer.gains is None else "modulated_bias"
        then = np.broadcast_to(node.bias.ravel(), (own.size,))
        return cls(key, own, frame.tensor(layer.factor * scale), frame.tensor(then), numbers[key], frame)

    def now(self) -> dict[str, Tensor]:
        """The parameter of the kind."""
        value = self.frame.trained.bias(self.population)
        assert value is not None
        exact = (value - self.then) * self.unit + self.integer
        return {self.key: rounded_bias(exact, self.frame.bias) if self.frame.chip else exact}


class _Arrivals:
    """One connection of the integer network: its weights are fixed, or follow trained ones."""

    def __init__(self, connection: Connection, frame: Frame) -> None:
        self.source, self.exponent = connection.source, connection.exponent
        self.lag = lag_of(connection, frame.network)
        self.frame, self.fixed = frame, frame.tensor(connection.wiring.values)
        self.map = delivery(connection.wiring)
        self.place = frame.places.get(connection.name)
        if self.place is not None:
            self.ratio, self.offset = frame.tensor(self.place.ratio), frame.tensor(self.place.offset)

    def start(self) -> None:
        """Take the trained weights as they are now, rounded and held within the chip's range."""
        self.weights = self.fixed
        if self.place is not None:
            exact = self.place.values(self.frame.trained) * self.ratio
            low, high = self.frame.weights.low, self.frame.weights.high
            self.weights = rounded((exact + self.offset).clamp(low, high)) if self.frame.chip else exact

    def deliver(self, messages: Tensor) -> Tensor:
        """Totals (batch, targets) of messages (batch, sources)."""
        totals: Tensor = self.map(self.weights, messages)
        return floored(totals, self.exponent) if self.frame.chip else totals * 2.0**self.exponent
