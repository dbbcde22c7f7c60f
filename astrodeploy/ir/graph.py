"""The network: populations and connections, immutable, with a stable text form."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from math import prod

import numpy as np

from astrodeploy.brief import listed, plural, shape_text, short
from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import Astrocyte, Compartments, Input, Node, RateEncoder
from astrodeploy.ir.readout import ReadOut, read_of, said, usual_after, words_of
from astrodeploy.ir.wiring import Conv, Dense, Wiring

ROLES = ("input", "neurons", "astrocytes")


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one node; a population of depth k answers x[:, t] in step t + k of the chip.

    role  what it is in the network, of ROLES: said where the network is made, and kept by all passes. Where
          nobody says it, it is what its node means (`Node.role`). It decides what is counted and shown as
          astrocytes, never what is computed
    """

    name: str
    shape: tuple[int, ...]
    node: Node
    depth: int = 0
    role: str = ""

    def __post_init__(self) -> None:
        if not self.role:
            object.__setattr__(self, "role", self.node.role)

    def __repr__(self) -> str:
        return (
            f"<Population {short(self.name)}: {shape_text(self.shape)} of {self.node!r}, depth {self.depth}>"
        )

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
        """Whether its role is that of astrocytes."""
        return self.role == "astrocytes"

    @property
    def keeps_time(self) -> bool:
        """Whether it sends once a window, by its own clock, and not when something arrives."""
        return isinstance(self.node, Compartments) and self.node.kind.keeps_time


@dataclass(frozen=True, eq=False)
class Connection:
    """Weighted messages from one population to one port of another.

    `wiring` holds the weights and says which neurons they connect: float64 before `quantise` and int8
    after; then a message m adds (weight * m) * 2**exponent. `lag` is the delay in the model's own time,
    `delay` that on the chip (0 until `retime`, then at least 1; one of more than 1 that stands there before is
    kept).
    """

    source: str
    target: str
    port: str
    wiring: Wiring
    exponent: int = 0
    lag: int = 0
    delay: int = 0

    def __repr__(self) -> str:
        return f"<Connection {short(self.name)}: {self.wiring!r}, lag {self.lag}, delay {self.delay}>"

    @property
    def name(self) -> str:
        """Readable name, unique in a Graph."""
        return f"{self.source} -> {self.target}.{self.port}{f' {self.lag:+d}' if self.lag else ''}"

    @property
    def weight(self) -> Array:
        """The weights as an array (target size, source size); for small networks."""
        return self.wiring.matrix()


@dataclass(frozen=True, eq=False)
class Graph:
    """A network and its time step.

    outputs  the populations that are read out
    readout  how: the "count" of spikes over a sample; of a membrane the "last" value, "mean" or "max"; of messages
             that carry numbers, or of what `after` makes of every step, the "sum" or one of these. One word for each
             output, separated by commas, or one for all that hold numbers, beside which spikes are counted;
             "" for the usual ones (`ir.readout`)
    before   what the host computes of every stimulus, before the network gets it
    after    what the host computes of every step's messages of the one output
    """

    dt: float
    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    outputs: tuple[str, ...]
    readout: str = ""
    before: HostStage | None = None
    after: HostStage | None = None

    def __repr__(self) -> str:
        layers = listed(f"{p.name} {shape_text(p.shape)}" for p in self.populations)
        host = "".join(f", ordinary layers {where} it" for where, _ in self.stages())
        return (
            f"<Graph in {'integers' if self.is_integer else 'floats'}: {plural(len(self.populations), 'population')}, "
            f"{plural(len(self.connections), 'connection')}, dt {self.dt:g} s, {self.readout} of "
            f"{listed(self.outputs)}{host}\n layers: {layers}>"
        )

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
    def inputs(self) -> tuple[Population, ...]:
        """The populations that are fed from outside."""
        return tuple(p for p in self.populations if p.is_input)

    @property
    def input(self) -> Population:
        """The population that is fed from outside; the first where there are several."""
        return self.inputs[0]

    @property
    def output(self) -> str:
        """The population that is read out; the first where there are several."""
        return self.outputs[0]

    @property
    def read_outs(self) -> dict[str, ReadOut]:
        """How each output is read, by its name. Raises InputError where an output is no population."""
        nodes = [self[name].node for name in self.outputs]
        if self.after is not None:
            how = self.readout or usual_after(self.after)
            return {self.output: ReadOut("host", how, ", ".join(self.after.operators))}
        words = words_of(self.readout, nodes)
        read = [ReadOut(read_of(node), how) for node, how in zip(nodes, words, strict=False)]
        return dict(zip(self.outputs, read, strict=False))

    @property
    def encoder(self) -> RateEncoder | None:
        """The encoder, where the network has one."""
        node = self.input.node
        return node if isinstance(node, RateEncoder) else None

    @property
    def depth(self) -> int:
        """Steps between a stimulus and the last population's answer."""
        return max(p.depth for p in self.populations)

    @property
    def is_integer(self) -> bool:
        """Whether any population is one of integers already: before `quantise` none of a trained network is."""
        return any(isinstance(p.node, Compartments) for p in self.populations)

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

    def stages(self) -> Iterator[tuple[str, HostStage]]:
        """What the host computes: "before" and "after" the network, where there is something."""
        yield from ((n, s) for n, s in (("before", self.before), ("after", self.after)) if s is not None)

    def text(self) -> str:
        """Stable text form: one line a population, one a connection."""
        readout = said([each.how for each in self.read_outs.values()])
        lines = [f"graph dt={self.dt:g}s output={','.join(self.outputs)} readout={readout}"]
        lines += [f"  host {name}: {stage.text}" for name, stage in self.stages()]
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
        left_out = node.unused() if isinstance(node, Astrocyte) else frozenset()
        parts = [f"{k}={_scalar_text(v)}" for k, v in node.scalars().items() if k not in left_out]
        parts += [f"{k}={array_text(v)}" for k, v in node.arrays().items() if k not in left_out]
        what = type(node).__name__
    if population.role != node.role:
        parts.append(f"role={population.role}")
    shape = "x".join(str(n) for n in population.shape)
    return f"{population.name}: {what}[{shape}] depth={population.depth} {' '.join(parts)}".rstrip()


def _connection_text(connection: Connection) -> str:
    wiring = connection.wiring
    shape = "x".join(str(n) for n in wiring.values.shape)
    shift = f" *2^{connection.exponent}" if connection.exponent else ""
    pattern = "" if isinstance(wiring, Dense) else f" {type(wiring).__name__}"
    if isinstance(wiring, Conv):
        pattern += "".join(f" {k}={v}" for k, v in wiring.settings().items() if k != "input_shape")
    return (
        f"{connection.name}:{pattern} {wiring.values.dtype}[{shape}] {array_text(wiring.values)}{shift}"
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
