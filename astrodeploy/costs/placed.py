"""A network on its cores: who lies where, and what one message of every neuron causes at which core.

A message is one use of an output axon: a neuron that fires sends one for every connection and box of targets
in which it has a stored synapse, as `partition` counts axons. Two boxes of a population on one core are
two messages, as they are two axons in that core's memory. A synaptic operation is a weight other than 0 that a
message meets: zeros that lie in a dense list or a shared filter are no operation, and reach no neuron.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse

from astrodeploy.ir import Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring import Dense, Sparse, Wiring
from astrodeploy.program import Program, Slice
from astrodeploy.synapses import Stored, store

SYNAPTIC = {  # by the encoding that a connection is stored in
    "dense": "synaptic_operations_dense",
    "sparse": "synaptic_operations_sparse",
    "runlength": "synaptic_operations_sparse",
    "convolution": "synaptic_operations_convolution",
}
FILLED = 4  # of so many numbers of a matrix at least one is not 0, if it is held as an array
OUTSIDE = -1  # the core of what lies on none: the input


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows that belong together: `keys` of the groups, ascending, and the matrix (groups, rows) that adds them."""

    keys: IntArray
    matrix: "scipy.sparse.csr_array"

    @classmethod
    def of(cls, keys: IntArray) -> "Groups":
        """Of rows by their key; rows whose key is OUTSIDE belong to no group."""
        rows = np.flatnonzero(keys != OUTSIDE)
        found, group = np.unique(keys[rows], return_inverse=True)
        ones = np.ones(rows.size)
        return cls(found, scipy.sparse.csr_array((ones, (group, rows)), (found.size, keys.size)))

    def weighted(self, weights: Array) -> "scipy.sparse.csr_array":
        """The matrix that adds rows times their weights, (rows,)."""
        return self.matrix.multiply(weights[None, :]).tocsr()


@dataclass(frozen=True, eq=False)
class Incidence:
    """How often one message of every source neuron counts in every row.

    totals  (rows,) summed over the sources
    listed  gives the matrix (rows, sources), which rates can do without
    """

    totals: FloatArray
    listed: "Callable[[], scipy.sparse.csr_array]"

    @cached_property
    def matrix(self) -> "scipy.sparse.csr_array | FloatArray":
        """(rows, sources); as an array where that is quicker and takes little more."""
        found = self.listed()
        if found.nnz * FILLED < found.shape[0] * found.shape[1]:
            return found
        return np.asarray(found.toarray(), np.float64)


class Wired:
    """A connection on the cores.

    A row is a box of targets and a core that sends to it: `senders` and `receivers` are positions in
    `Program.cores`, OUTSIDE for the input's. A message counts once in `messages`, even where all weights that are
    stored for it are 0, and in `synapses` as many times as it meets a weight other than 0 in the box.
    """

    def __init__(self, stored: Stored, boxes: Sequence[tuple[int, Slice]], homes: IntArray) -> None:
        self.stored, self._boxes, self._homes = stored, boxes, homes
        rows = [(np.zeros(0, np.int64),) * 4]
        for position, cut in boxes:
            sources, _ = stored.synapses(cut)
            found, messages, synapses = _by_home(homes[sources], stored.operations(cut))
            rows.append((found, np.full(found.size, position), messages, synapses))
        senders, receivers, messages, synapses = (np.concatenate(each) for each in zip(*rows, strict=True))
        self.senders, self.receivers = senders, receivers
        self.messages = Incidence(messages.astype(np.float64), lambda: self._listed[0])
        self.synapses = Incidence(synapses.astype(np.float64), lambda: self._listed[1])

    @cached_property
    def _listed(self) -> "tuple[scipy.sparse.csr_array, scipy.sparse.csr_array]":
        """The matrices of messages and of synapses."""
        columns, values = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
        for _, cut in self._boxes:
            sources, _ = self.stored.synapses(cut)
            order = np.argsort(self._homes[sources], kind="stable")
            columns.append(sources[order].astype(np.int32))
            values.append(self.stored.operations(cut)[order].astype(np.float32))
        starts = np.concatenate([[0], np.cumsum(self.messages.totals.astype(np.int64))])
        at, counted = np.concatenate(columns), np.concatenate(values)
        shape = (self.senders.size, self._homes.size)
        once = scipy.sparse.csr_array((np.ones_like(counted), at, starts), shape)
        return once, scipy.sparse.csr_array((counted, at, starts), shape)

    @property
    def operation(self) -> str:
        """The event that a synaptic operation of it is."""
        return SYNAPTIC[self.stored.encoding]

    @cached_property
    def by_sender(self) -> Groups:
        """Rows of `messages` by the core that sends."""
        return Groups.of(self.senders)

    @cached_property
    def by_receiver(self) -> Groups:
        """Rows of `messages` by the core that receives."""
        return Groups.of(self.receivers)

    @cached_property
    def _is_full(self) -> bool:
        """Whether no weight that is stored is 0."""
        whole = self.stored.whole
        return int(self.stored.operations(whole).sum()) == int(self.stored.synapses(whole)[1].sum())

    @cached_property
    def _pattern(self) -> Wiring:
        """One where a weight is not 0."""
        wiring = self.stored.connection.wiring
        return wiring.with_values((wiring.values != 0).astype(np.float32))

    @cached_property
    def _zeros(self) -> Wiring:
        """One where a weight of a dense matrix is 0: few of them, else it would not be stored so."""
        weights = self.stored.connection.wiring.values
        return Sparse.of(scipy.sparse.csr_array((weights == 0).astype(np.float32)))

    def gathered(self, values: Array) -> Array:
        """Values (rows, sources), summed over each target's weights other than 0: (rows, targets), or (rows, 1)."""
        if self._is_full:
            return self.stored.gathered(values)
        if self.stored.encoding == "dense" and isinstance(self.stored.connection.wiring, Dense):
            return np.asarray(self.stored.gathered(values) - self._zeros.deliver(values))
        return self._pattern.deliver(values)


class Placed:
    """A Program's network on its cores, of which it uses so many."""

    def __init__(self, program: Program) -> None:
        self.board, self.graph, self.cores = program.board, program.network, len(program.cores)
        numbers = np.array([core.index for core in program.cores], np.int64)
        self.tiles = self.board.tiles(numbers)
        self.chips = self.board.chip_of(numbers)
        self.slices: dict[str, list[tuple[int, Slice]]] = {name: [] for name in self.graph.layers}
        for position, core in enumerate(program.cores):
            for cut in core.slices:
                self.slices[cut.population].append((position, cut))
        self.homes = {p.name: self._homes(p) for p in self.graph.populations}
        self.members = {name: Groups.of(homes) for name, homes in self.homes.items()}
        self.into: Mapping[str, list[Wired]] = {name: [] for name in self.graph.layers}
        for c in self.graph.connections:
            stored = store(c, self.graph[c.target].shape, self.board.chip)
            self.into[c.target].append(Wired(stored, self.slices[c.target], self.homes[c.source]))

    @property
    def wired(self) -> Iterator[Wired]:
        """All connections."""
        return (each for into in self.into.values() for each in into)

    @property
    def tiles_used(self) -> int:
        """Tiles with a core in use."""
        return int(np.unique(self.tiles, axis=1).shape[1])

    @property
    def chips_used(self) -> int:
        """Chips with a core in use."""
        return int(np.unique(self.chips).size)

    def _homes(self, population: Population) -> IntArray:
        """The core of every neuron, as its position in `Program.cores`."""
        homes = np.full(population.shape, OUTSIDE, np.int64)
        for position, cut in self.slices[population.name]:
            homes[cut.index] = position
        return homes.ravel()


def _by_home(homes: IntArray, counts: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The cores that neurons lie on, how many lie on each, and the sum of what they count."""
    first = homes.min(initial=np.iinfo(np.int64).max)
    spread, sums = np.bincount(homes - first), np.bincount(homes - first, counts)
    found = np.flatnonzero(spread)
    return found + first, spread[found], np.rint(sums[found]).astype(np.int64)


_known: "WeakKeyDictionary[Program, Placed]" = WeakKeyDictionary()


def placed(program: Program) -> Placed:
    """The network on its cores, found once for a Program."""
    if program not in _known:
        _known[program] = Placed(program)
    return _known[program]
