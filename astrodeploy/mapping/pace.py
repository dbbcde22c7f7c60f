"""How many cores to use: as few as hold the network, or as many as make its step fastest."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from operator import truediv

from astrodeploy.chip import Board
from astrodeploy.errors import DoesNotFit
from astrodeploy.mapping.bound import busiest_core_at_least
from astrodeploy.mapping.cutting import Cutter, Network
from astrodeploy.mapping.packing import Bin, filled, plain, settled
from astrodeploy.mapping.work import PICOSECONDS

FEW = 128  # cores that are worth being filled to the last gap
SLACK = 1.01  # a step so much longer than the best one that was found is as good
TRIES = 12  # to find the best pace


@dataclass(frozen=True, eq=False)
class Mapping:
    """Cores and what lies on them; `step_ps` is the pace that they were cut for, if any."""

    bins: list[Bin]
    cutter: Cutter
    step_ps: int | None = None


def fewest(network: Network, available: int) -> Mapping:
    """As few cores as first fit finds, with whole boxes or, where they are few, filled to the last gap."""
    cutter = settled(network, available)
    bins = plain(network, cutter)
    least = _least(network, cutter)
    worthwhile = least < len(bins) <= FEW
    if worthwhile or least <= available < len(bins):
        bins = min(bins, _filled(network, cutter) or bins, key=len)
    return Mapping(bins, cutter)


def _filled(network: Network, cutter: Cutter) -> list[Bin]:
    """Cores filled to the last gap; none where fan-outs grow so that a box does not fit any more."""
    try:
        return filled(network, cutter)
    except DoesNotFit:
        return []


def _least(network: Network, cutter: Cutter) -> int:
    """Fewer cores can't hold all that there is."""
    loads = [cutter.loads(cut) for strips in cutter.strips.values() for cut in strips]
    return max(
        -(-sum(each[k] for each in loads) // max(1, limit)) for k, limit in network.chip.core_limits.items()
    )


def fastest(network: Network, board: Board) -> Mapping:
    """The fewest cores with which a step is as short as it gets.

    A step takes the busiest core's pace or the barrier, which grows with the tiles in use. No step is shorter
    than where the bound of the one meets the other: the search begins there. Half the pace takes about twice
    as many cores, so that what a pace needs says which one to try next.
    """
    best = fewest(network, board.cores)
    if len(best.bins) > board.cores:
        return best
    pace = _shortest(network, board, lambda cores: busiest_core_at_least(network, cores))
    fast, slow, shortest = pace, inf, inf
    tried: Mapping | None = None
    for _ in range(TRIES):
        tried = _paced(network, board.cores, pace, tried)
        used = len(tried.bins) if tried else 2 * board.cores
        barrier = _barrier(network, board, used)
        if tried and used <= board.cores and max(pace, barrier) < shortest / SLACK:
            best, shortest = tried, max(pace, barrier)
        if used <= board.cores and barrier <= SLACK * pace:
            slow = pace
        else:
            fast = pace
        promised = _shortest(network, board, partial(truediv, pace * used))
        if slow <= SLACK * fast:
            break
        pace = _between(SLACK * fast, slow / SLACK, promised)
    return best


def _between(fast: float, slow: float, promised: float) -> float:
    """The pace that is promised, or one in the middle where that is known to be too fast or too slow."""
    if slow == inf:
        return max(fast, promised)
    return promised if fast < promised < slow else (fast * slow) ** 0.5


def _shortest(network: Network, board: Board, busiest: Callable[[int], float]) -> float:
    """Picoseconds of the shortest step, where so many cores are so busy: more help until the barrier takes longer."""
    few, many = 1, board.cores
    while few < many:
        middle = (few + many) // 2
        if busiest(middle) > _barrier(network, board, middle):
            few = middle + 1
        else:
            many = middle
    return max(busiest(few), _barrier(network, board, max(1, few - 1)))


def _barrier(network: Network, board: Board, cores: int) -> float:
    """Picoseconds of the barrier of so many cores, close together."""
    tiles = -(-cores // network.chip.limits.cores_per_tile.value)
    chips = -(-cores // board.cores_per_chip)
    return board.barrier(network.work.model, chips).at(tiles)[1] * PICOSECONDS


def _paced(network: Network, available: int, pace: float, last: Mapping | None) -> Mapping | None:
    """Cores none of which takes longer than a pace, however many; None where a neuron alone does."""
    step_ps = round(pace)
    try:
        cutter = settled(network, available, step_ps, last.cutter.ways if last else None)
        return Mapping(plain(network, cutter), cutter, step_ps)
    except DoesNotFit:
        return None
