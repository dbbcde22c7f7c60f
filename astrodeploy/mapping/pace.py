"""How many cores to use: as few as hold the network, or as many as make its step fastest."""

from dataclasses import dataclass
from math import inf

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
    worthwhile = len(bins) <= FEW and len(bins) > _least(network, cutter)
    if worthwhile or len(bins) > available:
        closer = filled(network, cutter)
        bins = closer if len(closer) < len(bins) else bins
    return Mapping(bins, cutter)


def _least(network: Network, cutter: Cutter) -> int:
    """Fewer cores can't hold all that there is."""
    loads = [cutter.loads(cut) for strips in cutter.strips.values() for cut in strips]
    return max(
        -(-sum(each[k] for each in loads) // max(1, limit)) for k, limit in network.chip.core_limits.items()
    )


def fastest(network: Network, board: Board) -> Mapping:
    """The fewest cores with which a step is as short as it gets: never shorter than the barrier.

    Twice as many cores take about half the time, so that what a pace needs says which one to try next.
    """
    mapping = fewest(network, board.cores)
    if len(mapping.bins) > board.cores:
        return mapping
    tiles = -(-board.cores // network.chip.limits.cores_per_tile.value)
    shortest, longest = (
        barrier * PICOSECONDS for barrier in (_barrier(network, 1), _barrier(network, tiles))
    )
    fast = pace = max(busiest_core_at_least(network, board.cores), shortest)
    slow, best = inf, mapping
    for _ in range(TRIES):
        tried = _paced(network, board.cores, pace)
        used = len(tried.bins) if tried else board.cores * 2
        if tried and used <= board.cores:
            slow, best = pace, tried
        else:
            fast = pace
        if slow <= SLACK * max(fast, longest):
            break
        pace = min(max(pace * used / board.cores, SLACK * fast), slow / SLACK)
    return best


def _barrier(network: Network, tiles: int) -> float:
    return network.work.model.time_per_barrier_ns.at(tiles)[1]


def _paced(network: Network, available: int, pace: float) -> Mapping | None:
    """Cores none of which takes longer than a pace, however many; None where a neuron alone does."""
    step_ps = round(pace)
    try:
        cutter = settled(network, available, step_ps)
        return Mapping(plain(network, cutter), cutter, step_ps)
    except DoesNotFit:
        return None
