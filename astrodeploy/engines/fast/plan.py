"""What is prepared once for a network: its groups in the order in which they run, and their arrays."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from astrodeploy.compartments.kind import Kind
from astrodeploy.engines.fast import source
from astrodeploy.engines.fast.cache import load
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.verify import message_range
from astrodeploy.ir.wiring import Dense

SPARSE_BELOW = 0.15  # share of weights that are not 0, below which rows are stored without their zeros


@dataclass(frozen=True, eq=False)
class Synapses:
    """One connection, by source neuron: the weights of neuron i are values[starts[i] : starts[i + 1]].

    `columns` holds their target neurons; it is empty where every row is whole.
    """

    connection: Connection
    starts: IntArray
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.int8]
    graded: bool

    @property
    def wiring(self) -> IntArray:
        """Delay in steps, and how far sums are shifted left and right."""
        exponent = self.connection.exponent
        return np.array([self.connection.delay, max(exponent, 0), max(-exponent, 0)], np.int64)


@dataclass(frozen=True, eq=False)
class Cells:
    """One population: parameters (parameters, size), rest (states, size), fast (states,) flags."""

    population: Population
    kind: Kind
    period: int
    parameters: IntArray
    rest: IntArray
    fast: npt.NDArray[np.uint8]
    tables: IntArray
    inputs: tuple[Synapses, ...]


@dataclass(frozen=True, eq=False)
class Group:
    """Populations that run step by step together, because they form loops; else a single one."""

    cells: tuple[Cells, ...]
    kernel: Callable[..., None]


_plans: "WeakKeyDictionary[Graph, tuple[Group, ...]]" = WeakKeyDictionary()


def plan(network: Graph) -> tuple[Group, ...]:
    """The groups of an integer network; sources stand before their targets. Raises EngineError."""
    if network not in _plans:
        _plans[network] = tuple(_group(network, names) for names in components(network))
    return _plans[network]


def components(network: Graph) -> list[list[str]]:
    """Strongly connected components without the input, sources before targets."""
    index = {name: i for i, name in enumerate(network.layers)}
    reaches = np.eye(len(index), dtype=bool)
    for c in network.connections:
        reaches[index[c.source], index[c.target]] = True
    for k in range(len(index)):
        reaches |= np.outer(reaches[:, k], reaches[k])
    ancestors = reaches.sum(0)  # a source that is not in a loop with its target has fewer
    first = (reaches & reaches.T).argmax(0)  # of the same component
    found: dict[int, list[str]] = {}
    for i in sorted(range(len(index)), key=lambda i: (ancestors[i], first[i], i)):
        if not network.populations[i].is_input:
            found.setdefault(int(first[i]), []).append(network.layers[i])
    return list(found.values())


def _group(network: Graph, names: Iterable[str]) -> Group:
    cells = tuple(_cells(network, network[name]) for name in names)
    members = [
        source.Member(c.kind, tuple(source.Input(s.connection.port, s.graded) for s in c.inputs))
        for c in cells
    ]
    load(source.helpers())
    return Group(cells, load(source.generate(members)).run)


def _cells(network: Graph, population: Population) -> Cells:
    node = population.node
    assert isinstance(node, Compartments)
    kind, n = node.kind, population.size
    return Cells(
        population=population,
        kind=kind,
        period=node.period,
        parameters=_stack([node.parameters[k] for k in kind.parameters], n),
        rest=_stack([node.initial[k] for k in kind.states], n),
        fast=np.array([not s.slow for s in kind.states.values()], np.uint8),
        tables=np.array([v for table in kind.tables.values() for v in table], np.int64),
        inputs=tuple(_synapses(network, c) for c in network.into(population.name)),
    )


def _stack(arrays: list[IntArray], size: int) -> IntArray:
    return np.array(arrays, np.int64).reshape(len(arrays), size)


def _synapses(network: Graph, connection: Connection) -> Synapses:
    wiring = connection.wiring
    graded = source.is_graded(message_range(network[connection.source]))
    if isinstance(wiring, Dense) and np.count_nonzero(wiring.values) >= SPARSE_BELOW * wiring.values.size:
        rows: Array = np.ascontiguousarray(wiring.values.T)
        starts = np.arange(len(rows) + 1) * rows.shape[1]
        columns, values = np.zeros(0, np.int32), rows.ravel()
    else:
        by_source = wiring.sparse.tocsc()
        by_source.eliminate_zeros()
        starts, columns, values = by_source.indptr, by_source.indices.astype(np.int32), by_source.data
        if not values.size:  # a pattern without weights: rows without a synapse, but not whole ones
            columns, values = np.zeros(1, np.int32), np.zeros(1, np.int8)
    weights = np.require(values, np.int8, ["C", "W"])
    return Synapses(connection, starts.astype(np.int64), columns, weights, graded)
