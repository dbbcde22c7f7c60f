"""What is trained of a float network: its weights and the biases that it has."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from astrodeploy.ir import Connection, Graph, Population
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.wiring import Conv, Sparse


class Trained(torch.nn.Module):
    """The trained numbers of a Graph: the weights of every connection of neurons, and the biases that it has.

    Each tensor is kept in units of its own root mean square, so that one learning rate suits all. A bias
    that is the same all over a channel stays one number a channel.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype) -> None:
        super().__init__()
        self.start, self.dtype = graph, dtype
        self.units: dict[str, float] = {}
        self.values: dict[str, torch.nn.Parameter] = {}
        for connection in graph.connections:
            if connection.port == "current":
                self._add(connection.name, connection.wiring.values, dtype)
        for population in graph.populations:
            if isinstance(population.node, Membrane) and np.any(population.node.bias):
                self._add(population.name, _tied(population, population.node.bias), dtype)

    def _add(self, name: str, values: Array, dtype: torch.dtype) -> None:
        unit = float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0
        self.units[name] = unit
        self.values[name] = torch.nn.Parameter(torch.tensor(values / unit, dtype=dtype))
        self.register_parameter(f"value{len(self.values)}", self.values[name])

    def weights(self, connection: Connection) -> Tensor:
        """Weights of a connection, in the shape of its wiring's values."""
        return self.values[connection.name] * self.units[connection.name]

    def bias(self, population: Population) -> Tensor | None:
        """Biases (size,) of a population, None where it has none."""
        if population.name not in self.values:
            return None
        value = self.values[population.name] * self.units[population.name]
        return value.expand(population.shape).reshape(-1)

    def graph(self) -> Graph:
        """The network with the numbers as they are now."""
        populations = tuple(self._population(p) for p in self.start.populations)
        connections = tuple(
            replace(c, wiring=c.wiring.with_values(_array(self.weights(c)))) if c.name in self.values else c
            for c in self.start.connections
        )
        return replace(self.start, populations=populations, connections=connections)

    def _population(self, population: Population) -> Population:
        bias = self.bias(population)
        if bias is None:
            return population
        assert isinstance(population.node, Membrane)
        node = replace(population.node, bias=_array(bias).reshape(population.shape))
        return replace(population, node=node)


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy().astype(np.float64)
    return array


def _tied(population: Population, bias: FloatArray) -> FloatArray:
    """(channels, 1, ...) where all neurons of a channel share their bias, else the population's shape."""
    spread = np.broadcast_to(bias, population.shape)
    by_channel = spread.reshape(population.shape[0], -1)
    if len(population.shape) > 1 and np.all(by_channel == by_channel[:, :1]):
        return by_channel[:, 0].reshape(-1, *[1] * (len(population.shape) - 1))
    return spread


def untied(graph: Graph, network: Graph) -> Graph:
    """The Graph with every filter that the chip can't share written as a list of synapses."""
    integer = {c.name: c for c in network.connections}
    connections = tuple(
        replace(c, wiring=Sparse.of(c.wiring.sparse))
        if isinstance(c.wiring, Conv) and c.name in integer and isinstance(integer[c.name].wiring, Sparse)
        else c
        for c in graph.connections
    )
    return replace(graph, connections=connections)
