"""Messages that wait for each other: a steady flow through links that hold what the receivers have not taken in.

Of a message that goes over h links between tiles, its core's way out, the h links and its receiver's way in each
hold a share, 1 / (h + 2), until the receiver has taken it in; and it waits for what stands on its route, over the
h + 1 stages that drain at once. What links hold feeds on what other links hold: the shortest time in which the
messages of a step get through is the largest eigenvalue of a matrix over the links,

    Q = d * largest eigenvalue of B diag(M / ((h + 1) (h + 2))) B'

with M the messages of a flow (from one core to another), B[link, flow] = 1 where the flow uses the link, and d the
time to take one message in: the mean over those that wait, or over all where that is more. The last message
finds the buffers half full, and the busiest receiver can begin when messages were made. With G and R the busiest
core's sending and receiving, and d over all messages,

    step = barrier + ((R + G)^4 + (Q + 8 d)^4)^(1/4)

The exponent, between a sum and the larger of the two, as neither hides the other whole, and the 8 of buffers of 16
were chosen on SANA-FE's default timing, which they meet within 15 % on 28 mappings; nothing else is fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse

from astrodeploy.chip import LEVELS
from astrodeploy.costs.activity import Activity
from astrodeploy.costs.placed import OUTSIDE, Placed, Wired
from astrodeploy.costs.prices import Prices
from astrodeploy.costs.routes import Ways
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

ROUNDS = 60  # of the power iteration, at most
STEADY = 1e-13  # what links hold changes by no more in a round, relative: it is found
BLEND, HALF_FULL = 4, 8
TINY = 1e-30


@dataclass(frozen=True)
class Waiting:
    """Nanoseconds of every moment, by level: (moments,).

    through  until all messages have got through, the last one with buffers half full before it
    """

    through: Mapping[str, FloatArray]

    def step(self, sent: FloatArray, received: FloatArray, level: str) -> FloatArray:
        """With the busiest core's sending and receiving, without the barrier."""
        blended = (sent + received) ** BLEND + self.through[level] ** BLEND
        return np.asarray(blended ** (1 / BLEND))


def waiting(on_cores: Placed, activity: Activity, prices: Prices) -> Waiting:
    """Of one run, or of the mean of runs that are alike."""
    wired = list(on_cores.wired)
    moments = activity.repeats.size
    if not wired:
        return Waiting({level: np.zeros(moments) for level in LEVELS})
    flows = _flows(on_cores)
    messages, taken = _traffic(on_cores, activity, prices, wired, flows)
    steady = flows.steady(messages)
    return Waiting({level: _through(messages, steady, each) for level, each in taken.items()})


def _through(messages: FloatArray, steady: tuple[FloatArray, FloatArray], taken: FloatArray) -> FloatArray:
    """Until all messages have got through, (moments,)."""
    eigenvalue, waiting = steady
    each = np.divide(taken, messages, out=np.zeros_like(taken), where=messages > 0)
    of_waiting = (waiting * each).sum(0) / np.maximum(waiting.sum(0), TINY)
    of_all = taken.sum(0) / np.maximum(messages.sum(0), TINY)
    return np.asarray(eigenvalue * np.maximum(of_waiting, of_all) + HALF_FULL * of_all)


def _traffic(
    on_cores: Placed,
    activity: Activity,
    prices: Prices,
    wired: Sequence[Wired],
    flows: "_Flows",
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Messages of every flow, and the nanoseconds that its receiver takes for them by level: (flows, moments)."""
    moments, everything = activity.repeats.size, slice(None)
    messages = np.zeros((flows.count, moments))
    taken = {level: np.zeros_like(messages) for level in LEVELS}
    for number, each in enumerate(wired):
        source = on_cores.graph[each.stored.connection.source]
        rows = flows.rows(number)
        sent = rows @ activity.sent(source, each.messages, everything)
        operations = rows @ activity.sent(source, each.synapses, everything)
        message, operation = prices.time("messages_received"), prices.time(each.operation)
        messages += sent
        for level in LEVELS:
            taken[level] += sent * getattr(message, level) + operations * getattr(operation, level)
    return messages, taken


class _Flows:
    """Pairs of a sender and a receiver, and the links that each goes over."""

    def __init__(self, on_cores: Placed, wired: Sequence[Wired]) -> None:
        # the input's messages leave by the way in of their chip
        senders = [
            np.where(w.senders == OUTSIDE, on_cores.cores + on_cores.chips[w.receivers], w.senders)
            for w in wired
        ]
        receivers = np.concatenate([w.receivers for w in wired])
        sender = np.concatenate(senders)
        key = sender * max(1, on_cores.cores) + receivers
        _, first, self._of_row = np.unique(key, return_index=True, return_inverse=True)
        self._starts = np.concatenate([[0], np.cumsum([w.receivers.size for w in wired])])
        ways = [Ways.of(on_cores, w) for w in wired]
        start, stop = (
            np.concatenate([getattr(w, end) for w in ways], axis=1)[:, first] for end in ("start", "stop")
        )
        self.count = first.size
        self.uses = _uses(sender[first], start, stop)
        self.hops = np.abs(stop - start).sum(0)[:, None]

    def rows(self, number: int) -> "scipy.sparse.csr_array":
        """The rows of a connection's messages that are part of every flow, (flows, rows)."""
        flow = self._of_row[self._starts[number] : self._starts[number + 1]]
        return scipy.sparse.csr_array(
            (np.ones(flow.size), (flow, np.arange(flow.size))), (self.count, flow.size)
        )

    def steady(self, messages: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The largest eigenvalue, (moments,), and the messages that wait, (flows, moments)."""
        eigenvalue, waiting = np.zeros(messages.shape[1]), np.zeros_like(messages)
        busy = np.flatnonzero(messages.any(axis=0))  # in steps without a message nothing waits
        eigenvalue[busy], waiting[:, busy] = self._steady(messages[:, busy])
        return eigenvalue, waiting

    def _steady(self, messages: FloatArray) -> tuple[FloatArray, FloatArray]:
        share = np.ones((self.uses.shape[0], messages.shape[1]))
        waiting = np.zeros_like(messages)
        for _ in range(ROUNDS):
            before = share / np.maximum(np.linalg.norm(share, axis=0), TINY)
            waiting = (self.uses.T @ before) * messages / (self.hops + 1)
            share = self.uses @ (waiting / (self.hops + 2))
            if np.all(
                np.abs(share - before * np.linalg.norm(share, axis=0)) <= STEADY * share.max(initial=0)
            ):
                break
        return np.linalg.norm(share, axis=0), waiting


_known: "WeakKeyDictionary[Placed, _Flows]" = WeakKeyDictionary()


def _flows(on_cores: Placed) -> _Flows:
    """The flows between the cores, found once."""
    if on_cores not in _known:
        _known[on_cores] = _Flows(on_cores, list(on_cores.wired))
    return _known[on_cores]


def _uses(sender: IntArray, start: IntArray, stop: IntArray) -> "scipy.sparse.csr_array":
    """(links, flows): a sender's way out, then the link into every tile on the way, along the row first."""
    (x0, y0), (x1, y1) = start, stop
    flow = np.arange(sender.size)
    along, of_along = _steps(x0, x1)
    across, of_across = _steps(y0, y1)
    columns = [np.stack([sender, flow * 0, flow * 0, flow * 0])]
    columns.append(np.stack([along, y0[of_along], _signs(x0, x1)[of_along], of_along * 0 + 1]))
    columns.append(np.stack([x1[of_across], across, _signs(y0, y1)[of_across], of_across * 0 + 2]))
    flows = np.concatenate([flow, of_along, of_across])
    links, link = np.unique(np.concatenate(columns, axis=1), axis=1, return_inverse=True)
    return scipy.sparse.csr_array((np.ones(flows.size), (link.ravel(), flows)), (links.shape[1], sender.size))


def _steps(start: IntArray, stop: IntArray) -> tuple[IntArray, Array]:
    """Every place that each way enters, one after the other, and which way it is of."""
    counts = np.abs(stop - start)
    of = np.repeat(np.arange(start.size), counts)
    step = np.arange(of.size) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    return start[of] + _signs(start, stop)[of] * step, of


def _signs(start: IntArray, stop: IntArray) -> IntArray:
    return np.asarray(np.sign(stop - start))
