"""How long a step takes.

    busiest core  the events of every core times their times; sending (updates, spikes, messages) and receiving
                  (messages, synaptic operations) added, or the longer of them where the cost model lets them
                  overlap
    busiest link  the messages on the busiest link between two tiles, or interface between two chips, times
                  the time of one on it; and the longest way that a message goes, as the last one
                  still has its way before it
    barrier       in which all cores agree that the step is over, by the number of tiles in use

The busiest of a step is that of every sample by itself, as samples run one after the other: a batch takes the mean
of what its samples take. These are put together in one of three ways:

    largest        the largest of the three
    barrier-after  the larger of core and link, and the barrier after it: SANA-FE's `simple` timing model
    queueing       the busiest core and messages that wait for each other on the links (`queueing.py`), and the
                   barrier after them: near to SANA-FE's default timing model
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astrodeploy.chip import LEVELS
from astrodeploy.costs.activity import Activity
from astrodeploy.costs.events import Counted, Tally
from astrodeploy.costs.prices import RECEIVING, SENDING, Prices
from astrodeploy.costs.queueing import Waiting, waiting
from astrodeploy.costs.routes import Transport, transport
from astrodeploy.costs.spans import NANOSECOND, Span
from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import FloatArray

TIMINGS = ("largest", "barrier-after", "queueing")
BOUNDS = ("busiest core", "busiest link", "barrier")


@dataclass(frozen=True, eq=False)
class Pace:
    """How long a run takes, or a piece of it; pieces add up.

    spent  nanoseconds under what the steps wait for, by level: (BOUNDS,)
    busy   typical nanoseconds that every core is busy, (cores,)
    """

    spent: Mapping[str, FloatArray]
    busy: FloatArray

    def __add__(self, other: "Pace") -> "Pace":
        spent = {level: each + other.spent[level] for level, each in self.spent.items()}
        return Pace(spent, self.busy + other.busy)

    @property
    def seconds(self) -> Span:
        """Of the run."""
        return Span(*(float(self.spent[level].sum()) * NANOSECOND for level in LEVELS))

    @property
    def bounds(self) -> dict[str, float]:
        """What the steps wait for -> its part of the typical time, 0..1."""
        typical = self.spent["typical"]
        whole = float(typical.sum())
        return {k: float(part) / whole if whole else 0.0 for k, part in zip(BOUNDS, typical, strict=True)}

    @property
    def slowest(self) -> int:
        """The position of the core that is busiest in the run as a whole; -1 without any."""
        return int(self.busy.argmax()) if self.busy.size else -1


def check_timing(timing: str) -> None:
    """Raises InputError for a timing that there is not."""
    if timing not in TIMINGS:
        raise InputError(f"there is no timing {timing!r}: choose one of {', '.join(TIMINGS)}")


@dataclass(frozen=True, eq=False)
class Clock:
    """The time of what was counted. `weight` is what a tally's event costs beside the price of one.

    Every moment is one of a single run, or the mean of runs that are alike: of a sum over different runs nobody
    knows which core was the busiest in each.
    """

    counted: Counted
    activity: Activity
    prices: Prices
    weight: Callable[[Tally], float]
    timing: str

    def pace(self) -> Pace:
        """How long it takes."""
        repeats = self.activity.repeats
        spent = {level: self._spent(level) @ repeats for level in LEVELS}
        return Pace(spent, np.sum(self._busy("typical"), axis=0) @ repeats)

    def _spent(self, level: str) -> FloatArray:
        """Nanoseconds of every moment under what it waits for, (BOUNDS, moments)."""
        barrier = np.full(self.activity.repeats.size, getattr(self.prices.barrier, level))
        sending, receiving = self._busy(level)
        if self.timing == "queueing":
            sent, received = sending.max(0, initial=0.0), receiving.max(0, initial=0.0)
            return np.stack([*self._waited(sent, received, level), barrier])
        overlaps = self.prices.model.sending_overlaps_receiving
        busy = np.maximum(sending, receiving) if overlaps else sending + receiving
        core, link = busy.max(0, initial=0.0), self._link(level)
        if self.timing == "largest":
            return _longest(core, link, barrier)
        return np.asarray(_longest(core, link) + np.stack([0 * core, 0 * core, barrier]))

    def _waited(self, sent: FloatArray, received: FloatArray, level: str) -> FloatArray:
        """What the steps wait for before the barrier, by the longer of core and link: (2, moments)."""
        whole = self._waiting.step(sent, received, level)
        cores_are_longer = sent + received >= self._waiting.through[level]
        return np.stack([whole * cores_are_longer, whole * ~cores_are_longer])

    def _busy(self, level: str) -> tuple[FloatArray, FloatArray]:
        """Nanoseconds (cores, moments) in which every core sends, and receives."""
        sending, receiving = np.zeros((2, self.counted.placed.cores, self.activity.repeats.size))
        for each in self.counted.tallies:
            into = sending if each.event in SENDING else receiving if each.event in RECEIVING else None
            if into is not None:
                price = float(getattr(self.prices.time(each.event), level)) * self.weight(each)
                into[each.cores] += each.counts * price
        return sending, receiving

    def _link(self, level: str) -> FloatArray:
        if self._transport is None:
            return np.zeros(self.activity.repeats.size)
        return self._transport.time(self.prices.model, self.prices.board, level)

    @cached_property
    def _transport(self) -> Transport | None:
        if self.counted.links is None:
            return None
        return transport(self.counted.links, self.counted.messages, self.prices.model)

    @cached_property
    def _waiting(self) -> Waiting:
        return waiting(self.counted.placed, self.activity, self.prices)


def _longest(*terms: FloatArray) -> FloatArray:
    """The longest of the first of BOUNDS in every moment, under its name: (BOUNDS, moments)."""
    given = np.stack(terms)
    longest = given.argmax(0)[None]
    spent = np.zeros((len(BOUNDS), given.shape[1]))
    np.put_along_axis(spent, longest, np.take_along_axis(given, longest, 0), 0)
    return spent
