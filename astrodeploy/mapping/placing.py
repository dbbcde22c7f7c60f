"""Cores to positions on the mesh: short ways for what is sent often.

The cost of a placement is, for every message of a step, its hops and chip crossings, each weighted by its energy; what
comes from outside enters at the first tile. Cores start in the order of the layers and are exchanged, two
at a time or with a free position, by simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220,
1983): unlike a dense quadratic assignment it takes time in proportion to the pairs of cores that talk,
and handles chips, positions and the outside alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse

from astrodeploy.chip import Board
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.mapping.cutting import Network
from astrodeploy.program import Core

TRIES_PER_CORE = 400
HOT, COLD = 0.3, 1e-3  # temperatures, beside the mean cost of a core
LEAST_ENERGY = 1e-3  # pJ, where a hop or a crossing costs nothing: ways are kept short all the same


@dataclass(frozen=True, eq=False)
class Talk:
    """Messages per step between cores, by their position in the list of cores.

    between  (cores, cores), from row to column
    outside  what each core gets from outside, (cores,)
    """

    between: "scipy.sparse.csr_array"
    outside: FloatArray


def talk(network: Network, cores: Sequence[Core]) -> Talk:
    """Who sends to whom how often, by the network's traffic."""
    n = len(cores)
    homes = _homes(network, cores)
    outside = np.zeros(n)
    rows, columns, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for position, core in enumerate(cores):
        sent = np.zeros(n + 1)  # the last one: from outside
        for cut in core.slices:
            for stored in network.into(cut.population):
                source = stored.connection.source
                sources = stored.synapses(cut)[0]
                rates = network.work.traffic.rates[source]
                sent += np.bincount(homes[source][sources], rates[sources], minlength=n + 1)
        outside[position] = sent[n]
        senders = np.flatnonzero(sent[:n])
        rows.append(senders)
        columns.append(np.full(senders.size, position))
        values.append(sent[senders])
    ends = np.concatenate(rows), np.concatenate(columns)
    return Talk(scipy.sparse.csr_array((np.concatenate(values), ends), shape=(n, n)), outside)


def _homes(network: Network, cores: Sequence[Core]) -> dict[str, IntArray]:
    """The core of every neuron, by population; one beyond the last for the inputs."""
    homes = {p.name: np.full(p.size, len(cores), np.int64) for p in network.graph.populations}
    for position, core in enumerate(cores):
        for cut in core.slices:
            homes[cut.population][cut.neurons(network.graph[cut.population].shape)] = position
    return homes


@dataclass(frozen=True, eq=False)
class Ways:
    """What ways cost: every position's tile (2, positions) and chip (2, positions), and energies in pJ."""

    tiles: IntArray
    chips: IntArray
    energies: FloatArray  # east-west, north-south, crossing

    @classmethod
    def of(cls, board: Board, positions: IntArray) -> "Ways":
        """The ways between some positions of a board."""
        model = board.chip.cost()
        hops = (model.energy_per_hop_east_west_pJ, model.energy_per_hop_north_south_pJ)
        crossing = board.crossing.energy_per_crossing_pJ.typical if board.crossing else 0.0
        energies = np.array([*(each.typical for each in hops), crossing])
        chips = board.chip_places(board.chip_of(positions))
        return cls(board.tiles(positions), chips, np.maximum(energies, LEAST_ENERGY))


def positions(board: Board, cores: int) -> IntArray:
    """As few tiles, and chips, as hold so many cores: those nearest to where messages come in."""
    per_chip, tile = board.cores_per_chip, board.chip.limits.cores_per_tile.value
    whole, rest = divmod(cores, per_chip)
    numbers = [board.core(chip, place) for chip in range(whole) for place in range(per_chip)]
    last = np.array([board.core(whole, place) for place in range(per_chip * bool(rest))], np.int64)
    if rest:
        far = board.tiles(last).sum(0)
        near = np.argsort(far, kind="stable")[: min(per_chip, -(-rest // tile) * tile)]
        numbers += np.sort(last[near]).tolist()
    return np.array(numbers, np.int64)


def placed(said: Talk, board: Board, seed: int = 0) -> IntArray:
    """The number on the board of every core, in the order of the cores."""
    cores = said.outside.size
    where = positions(board, cores)
    ways = Ways.of(board, where)
    start = np.arange(cores)
    if cores < 2:
        return np.asarray(where[start])
    both = scipy.sparse.csr_array(said.between + said.between.T)
    both.setdiag(0)
    both.eliminate_zeros()
    mean = _cost(both, said.outside, start, ways) / cores
    if mean == 0:
        return np.asarray(where[start])
    spots = _annealed(
        both.indptr.astype(np.int64),
        both.indices.astype(np.int64),
        both.data,
        said.outside,
        np.concatenate([ways.tiles, ways.chips]),
        ways.energies,
        start,
        TRIES_PER_CORE * cores,
        HOT * mean,
        COLD * mean,
        seed,
    )
    better = _cost(both, said.outside, spots, ways) < _cost(both, said.outside, start, ways)
    return np.asarray(where[spots if better else start])


def way_cost(said: Talk, board: Board, numbers: IntArray) -> float:
    """Picojoules of all ways in a step, of cores that lie at these numbers of the board."""
    both = scipy.sparse.csr_array(said.between + said.between.T)
    return _cost(both, said.outside, np.arange(len(numbers)), Ways.of(board, numbers))


def _cost(both: "scipy.sparse.csr_array", outside: FloatArray, spots: IntArray, ways: Ways) -> float:
    pairs = both.tocoo()
    a, b = spots[pairs.row], spots[pairs.col]
    between = pairs.data @ _distances(ways, a, b) / 2
    return float(between + outside @ _distances(ways, spots, None))


def _distances(ways: Ways, a: IntArray, b: IntArray | None) -> FloatArray:
    """Energy of the ways from a to b, or to the first tile of the first chip."""
    across, along = np.abs(ways.tiles[:, a] - (0 if b is None else ways.tiles[:, b]))
    crossed = np.abs(ways.chips[:, a] - (0 if b is None else ways.chips[:, b])).sum(0)
    return np.asarray(ways.energies @ np.stack([across, along, crossed]))


@numba.njit(cache=True)
def _way(places, energies, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    hops = energies[0] * abs(places[0, a] - places[0, b]) + energies[1] * abs(places[1, a] - places[1, b])
    return hops + energies[2] * (abs(places[2, a] - places[2, b]) + abs(places[3, a] - places[3, b]))


@numba.njit(cache=True)
def _at(indptr, indices, data, outside, places, energies, spots, core, spot, other):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cost of a core at a spot, without its ways to one other core."""
    inside = energies[0] * places[0, spot] + energies[1] * places[1, spot]
    cost = outside[core] * (inside + energies[2] * (places[2, spot] + places[3, spot]))
    for i in range(indptr[core], indptr[core + 1]):
        if indices[i] != other:
            cost += data[i] * _way(places, energies, spot, spots[indices[i]])
    return cost


@numba.njit(cache=True)
def _annealed(indptr, indices, data, outside, places, energies, start, tries, hot, cold, seed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The spot of every core after so many tries to exchange two."""
    np.random.seed(seed)
    spots = start.copy()
    held = np.full(places.shape[1], -1)
    for core in range(spots.size):
        held[spots[core]] = core
    for i in range(tries):
        heat = hot * (cold / hot) ** (i / tries)
        core, spot = np.random.randint(spots.size), np.random.randint(held.size)
        before, other = spots[core], held[spot]
        if spot == before:
            continue
        gain = _at(indptr, indices, data, outside, places, energies, spots, core, before, other)
        gain -= _at(indptr, indices, data, outside, places, energies, spots, core, spot, other)
        if other >= 0:
            gain += _at(indptr, indices, data, outside, places, energies, spots, other, spot, core)
            gain -= _at(indptr, indices, data, outside, places, energies, spots, other, before, core)
        if gain >= 0 or np.random.random() < np.exp(gain / heat):
            spots[core], held[spot] = spot, core
            held[before] = other
            if other >= 0:
                spots[other] = before
    return spots
