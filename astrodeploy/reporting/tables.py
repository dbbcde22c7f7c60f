"""The rows of the report's tables, as plain records; the template decides how they look."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from astrodeploy.chip import Chip, operation_count
from astrodeploy.compartments.text import kind_text
from astrodeploy.engines import FLOAT_ENGINES
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.program import Core, Program
from astrodeploy.reporting.evidence import Evidence
from astrodeploy.synapses import store, weights
from astrodeploy.trace import Trace


def kind_name(population: Population) -> str:
    """The name of a population's node or compartment kind."""
    node = population.node
    return node.kind.name if isinstance(node, Compartments) else type(node).__name__


def synapses(connection: Connection) -> int:
    """Weights that are not zero."""
    return weights(connection.wiring)


@dataclass(frozen=True)
class Layer:
    """A population: what it is, and what its neurons compute on each of their clocks."""

    name: str
    kind: str
    role: str
    shape: str
    neurons: int
    synapses: int
    step_operations: int
    window_operations: int


def layers(network: Graph) -> list[Layer]:
    """One record a population, in the network's order; synapses are those that end in it."""
    return [_layer(network, population) for population in network.populations]


def _layer(network: Graph, population: Population) -> Layer:
    kind = population.node.kind if isinstance(population.node, Compartments) else None
    return Layer(
        name=population.name,
        kind=kind_name(population),
        role=role(network, population),
        shape=" × ".join(str(n) for n in population.shape),
        neurons=population.size,
        synapses=sum(synapses(c) for c in network.into(population.name)),
        step_operations=operation_count(kind.step) if kind else 0,
        window_operations=operation_count(kind.window) if kind else 0,
    )


def role(network: Graph, population: Population) -> str:
    """ "input" | "astrocytes" | "output" | "neurons"."""
    if population.is_input:
        return "input"
    if population.is_astrocyte:
        return "astrocytes"
    return "output" if population.name == network.output else "neurons"


@dataclass(frozen=True)
class Wire:
    """A connection, its weights and its time."""

    source: str
    target: str
    port: str
    synapses: int
    density: float
    exponent: int
    least: float
    largest: float
    lag: int
    delay: int
    stored: str


def wires(network: Graph, chip: Chip) -> list[Wire]:
    """One record a connection."""
    return [
        Wire(
            source=c.source,
            target=c.target,
            port=c.port,
            synapses=synapses(c),
            density=synapses(c) / np.prod(c.wiring.shape),
            exponent=c.exponent,
            least=float(c.wiring.values.min()),
            largest=float(c.wiring.values.max()),
            lag=c.lag,
            delay=c.delay,
            stored=store(c, network[c.target].shape, chip).encoding,
        )
        for c in network.connections
    ]


@dataclass(frozen=True)
class Tick:
    """When a population acts, in steps of the chip."""

    name: str
    depth: int
    delays_in: tuple[tuple[str, int], ...]
    delays_out: tuple[tuple[str, int], ...]
    window: str
    period: int


def ticks(network: Graph, steps: int) -> list[Tick]:
    """One record a population; `steps` of one sample give the windows of the fast ones."""
    return [
        Tick(
            name=p.name,
            depth=p.depth,
            delays_in=tuple((c.source, c.delay) for c in network.into(p.name)),
            delays_out=tuple((c.target, c.delay) for c in network.out_of(p.name)),
            window=f"{p.depth}…{p.depth + (_period(p) or steps) - 1}",
            period=_period(p) or 1,
        )
        for p in network.populations
    ]


def _period(population: Population) -> int:
    return population.node.period if isinstance(population.node, Compartments) else 0


def neuron_programs(network: Graph) -> dict[str, str]:
    """Readable text of every compartment kind in use."""
    kinds = [p.node.kind for p in network.populations if isinstance(p.node, Compartments)]
    return {kind.name: kind_text(kind) for kind in kinds}


# ---- cores -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """One load of a core against its limit."""

    name: str
    core: int
    load: int
    limit: int

    @property
    def share(self) -> float:
        """Part of the limit that is in use, 0..1."""
        return self.load / self.limit if self.limit else 0.0


def loads(core: Core) -> list[Load]:
    """All loads of a core."""
    return [Load(name, core.index, load, core.limits[name]) for name, load in core.loads.items()]


def fullest(program: Program) -> list[Load]:
    """Of each resource, the load of the core that is closest to its limit."""
    every = [load for core in program.cores for load in loads(core)]
    names = dict.fromkeys(load.name for load in every)
    return [max((load for load in every if load.name == name), key=lambda load: load.share) for name in names]


# ---- runs --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One engine's run."""

    engine: str
    numbers: str
    samples: int
    accuracy: float | None
    messages: Mapping[str, float]
    versions: str
    undecided: str


def runs(evidence: Evidence) -> list[Run]:
    """One record a run; messages are the mean per sample and layer."""
    return [
        Run(
            engine=trace.engine,
            numbers="float" if trace.engine in FLOAT_ENGINES else "integer",
            samples=trace.samples,
            accuracy=evidence.accuracy(trace),
            messages=_messages(trace),
            versions=", ".join(f"{name} {version}" for name, version in trace.versions.items()),
            undecided=trace.answers.text,
        )
        for trace in evidence.runs
    ]


def _messages(trace: Trace) -> dict[str, float]:
    return {name: sent / trace.samples for name, sent in trace.messages.items()}
