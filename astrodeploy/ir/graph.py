"""The network: populations and connections, immutable, with a stable text form."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from math import prod

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.nodes import Array, Astrocyte, Compartments, Input, Node, RateEncoder, frozen


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one node; a population of depth k answers x[:, t] in step t + k of the chip."""

    name: str
    shape: tuple[int, ...]
    node: Node
    depth: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    @property
    def is_input(self) -> bool:
        """Whether its spikes come from outside or from an encoder."""
        return isinstance(self.node, Input | RateEncoder)

    @property
    def is_astrocyte(self) -> bool:
        """Whether it is a slow population of astrocytes."""
        if isinstance(self.node, Compartments):
            return self.node.kind.window is not None
        return isinstance(self.node, Astrocyte)


@dataclass(frozen=True, eq=False)
class Connection:
    """Weighted messages from every neuron of `source` to one port of `target`.

    `weight` is (target size, source size), float64 before `quantise` and int8 after; then a message m
    adds (weight * m) * 2**exponent. `lag` is the delay in the model's own time, `delay` that on the
    chip (0 until `retime`, then at least 1).
    """

    source: str
    target: str
    port: str
    weight: Array
    exponent: int = 0
    lag: int = 0
    delay: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen(self.weight))

    @property
    def name(self) -> str:
        """Readable name, unique in a Graph."""
        return f"{self.source} -> {self.target}.{self.port}"


@dataclass(frozen=True, eq=False)
class Graph:
    """A network and its time step. `output` names the population whose spike counts are read out."""

    dt: float
    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    output: str

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise InputError(f"there is no population {name!r}; there are {', '.join(self.layers)}")

    @property
    def layers(self) -> tuple[str, ...]:
        """The populations' names."""
        return tuple(p.name for p in self.populations)

    @property
    def input(self) -> Population:
        """The one population that is fed from outside."""
        return next(p for p in self.populations if p.is_input)

    @property
    def encoder(self) -> RateEncoder | None:
        """The encoder, where the network has one."""
        node = self.input.node
        return node if isinstance(node, RateEncoder) else None

    @property
    def depth(self) -> int:
        """Steps between a stimulus and the last population's answer."""
        return max(p.depth for p in self.populations)

    def into(self, name: str) -> Iterator[Connection]:
        """Connections that end in a population."""
        return (c for c in self.connections if c.target == name)

    def out_of(self, name: str) -> Iterator[Connection]:
        """Connections that start in a population."""
        return (c for c in self.connections if c.source == name)

    def with_population(self, population: Population) -> "Graph":
        """The same network with one population exchanged for its namesake."""
        exchanged = tuple(population if p.name == population.name else p for p in self.populations)
        return replace(self, populations=exchanged)

    def text(self) -> str:
        """Stable text form: one line a population, one a connection."""
        lines = [f"graph dt={self.dt:g}s output={self.output}"]
        lines += [f"  {_population_text(p)}" for p in self.populations]
        lines += [f"  {_connection_text(c)}" for c in self.connections]
        return "\n".join(lines) + "\n"


def _population_text(population: Population) -> str:
    node = population.node
    if isinstance(node, Compartments):
        parts = [f"{k}={array_text(v)}" for k, v in node.parameters.items()]
        parts += [f"{k}0={array_text(v)}" for k, v in node.initial.items() if np.any(v)]
        if node.period:
            parts.append(f"period={node.period}")
        what = node.kind.name
    else:
        parts = [f"{k}={_scalar_text(v)}" for k, v in node.scalars().items()]
        parts += [f"{k}={array_text(v)}" for k, v in node.arrays().items()]
        what = type(node).__name__
    shape = "x".join(str(n) for n in population.shape)
    return f"{population.name}: {what}[{shape}] depth={population.depth} {' '.join(parts)}".rstrip()


def _connection_text(connection: Connection) -> str:
    shape = "x".join(str(n) for n in connection.weight.shape)
    shift = f" *2^{connection.exponent}" if connection.exponent else ""
    return (
        f"{connection.name}: {connection.weight.dtype}[{shape}] {array_text(connection.weight)}{shift}"
        f" lag={connection.lag} delay={connection.delay}"
    )


def _scalar_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def array_text(array: Array) -> str:
    """A uniform array's value, else its range and the first digits of its content's hash."""
    if array.size == 0:
        return "empty"
    low, high = array.min(), array.max()
    if low == high:
        return f"{low:.9g}"
    digest = sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:8]
    return f"{low:.6g}..{high:.6g}#{digest}"
