"""How many cores to use: as few as hold the network, or as many as make an inference fastest.

More cores make a step shorter, until the barrier between them takes longer. But a chip whose file says what clearing it
between two samples takes is cleared core by core, which more cores make longer: there the whole inference counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from operator import truediv

from astrodeploy.chip import Board
from astrodeploy.errors import DoesNotFit
from astrodeploy.mapping.bound import busiest_core_at_least
from astrodeploy.mapping.cutting import Cutter, Network
from astrodeploy.mapping.packing import Bin, fan_outs, filled, plain, settled
from astrodeploy.mapping.work import PICOSECONDS

FEW = 128  # cores that are worth being filled to the last gap
SLACK = 1.01  # a step so much longer than the best one that was found is as good
TRIES = 12  # to find the best pace
MICROSECONDS = 1e6  # a picosecond


@dataclass(frozen=True, eq=False)
class Mapping:
    """Cores and what lies on them.

    step_ps   the pace that they were cut for, if any
    compared  what whole inferences would take, where mappings were compared by that; "" else
    """

    bins: list[Bin]
    cutter: Cutter
    step_ps: int | None = None
    compared: str = ""


@dataclass(frozen=True)
class Inference:
    """What the time of an inference is made of, beside that of a step.

    steps      of it, from the first one to the last answer
    clearings  how often the chips are cleared for it
    text       where the steps come from, in a few words
    """

    steps: int
    clearings: int
    text: str


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


def sparing(network: Network, board: Board, inference: Inference | None = None) -> Mapping:
    """The fewest cores of all that are found, those of `fastest` among them: small boxes may lie closer together.

    Where whole boxes take many cores, `fewest` is not doubted: to look further would take long.
    """
    few = fewest(network, board.cores)
    if not 1 < len(few.bins) <= FEW:
        return few
    return min(few, fastest(network, board, inference), key=lambda each: len(each.bins))


def fastest(network: Network, board: Board, inference: Inference | None = None) -> Mapping:
    """The fewest cores with which a step is as short as it gets; or with `inference`, all of one with clearing."""
    if inference is None or not inference.clearings or board.chip.reset is None:
        return _shortest_step(network, board)
    return _shortest_inference(network, board, inference)


def _shortest_inference(network: Network, board: Board, inference: Inference) -> Mapping:
    """Of the fewest cores, those with the shortest step, and some in between, what takes least time as a whole.

    In between: half the pace again and again, as long as that helps. Of two that take as long, that of fewer cores.
    """
    few = fewest(network, board.cores)
    if len(few.bins) > board.cores:
        return few
    tried = [few, *_halved(network, board, inference, few), _shortest_step(network, board)]
    times = [_inference_ps(network, board, inference, each) for each in tried]
    best = min(range(len(tried)), key=lambda i: (times[i], len(tried[i].bins)))
    told = {
        len(each.bins): f"{ps * 1e-9:.4g} ms with {len(each.bins)}"
        for each, ps in zip(tried, times, strict=True)
    }
    text = f"the shortest of inferences of {inference.steps} steps ({inference.text}) and clearing"
    return replace(tried[best], compared=f"{text}: {', '.join(told[n] for n in sorted(told))} cores")


def _halved(network: Network, board: Board, inference: Inference, few: Mapping) -> Iterator[Mapping]:
    """Mappings of half the pace, and half of that, while an inference gets shorter."""
    least, last = _inference_ps(network, board, inference, few), few
    pace = _busiest_ps(network, few) / 2
    for _ in range(TRIES):
        tried = _paced(network, board.cores, pace, last)
        if tried is None or len(tried.bins) > board.cores:
            return
        yield tried
        if (time := _inference_ps(network, board, inference, tried)) >= least:
            return
        least, last, pace = time, tried, pace / 2


def _inference_ps(network: Network, board: Board, inference: Inference, mapping: Mapping) -> float:
    """Picoseconds of all steps, and of clearing the fullest chip: they are filled one after the other."""
    assert board.chip.reset is not None
    cores = len(mapping.bins)
    step = max(_busiest_ps(network, mapping), _barrier(network, board, cores))
    each = board.chip.reset.time_per_core_us.typical * MICROSECONDS
    return inference.steps * step + inference.clearings * each * min(cores, board.cores_per_chip)


def _busiest_ps(network: Network, mapping: Mapping) -> float:
    """Picoseconds that the busiest core takes of a step."""
    found = fan_outs(network, mapping.bins)
    loads = [
        [network.loads(cut, found[cut.population], paced=True) for cut in each.slices]
        for each in mapping.bins
    ]
    return max(sum(load[key] for load in core) for core in loads for key in network.work.keys)


def _shortest_step(network: Network, board: Board) -> Mapping:
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
