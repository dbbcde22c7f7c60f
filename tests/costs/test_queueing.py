"""Messages that wait for each other: one flow by hand, many against eigenvalues of the whole matrix."""

import numpy as np
import pytest
from hand_mapped import board_of_toys, connection, population, program_of
from priced import NANO, priced, spread, trace_of

from astrodeploy.costs import estimate
from astrodeploy.costs.activity import Recorded
from astrodeploy.costs.placed import OUTSIDE, placed
from astrodeploy.costs.prices import Prices
from astrodeploy.costs.queueing import waiting
from astrodeploy.ir import Input, Population


def test_one_flow_by_hand():
    program = program_of(
        [Population("input", (1,), Input()), population("a", 5), population("b", 3, depth=2)],
        [connection("a", "b", np.ones((3, 5)))],
        {0: ["a"], 12: ["b"]},  # tiles (0, 0) and (1, 1): 2 hops, 3 links
        priced(barrier=(100.0,)),
    )
    e = estimate(program, rates={"input": 0, "a": 1, "b": 0}, steps=1, timing="queueing")
    each = 17 + 3 * 3  # ns to take one in: a message and three sparse operations
    through = 5 * each / 4 + 8 * each
    cores = 5 * (4 + 11 + 13) + 5 * each
    updates = 5 * 4 + 3 * 8  # of the two steps in which nothing is sent; in one of them b is reached
    whole = (through**4 + cores**4) ** 0.25 + updates + 3 * 100
    assert e.latency_seconds.typical == pytest.approx(whole * NANO)
    assert e.bounds["busiest core"] == pytest.approx(1 - 3 * 100 / whole)


def test_a_silent_step_lasts_as_long_as_the_updates_and_the_barrier():
    program = spread(priced(barrier=(100.0,)))
    e = estimate(program, rates=0.0, steps=1, timing="queueing")
    assert e.latency_seconds.typical == pytest.approx((1 + 2) * (17 * 4 + 100) * NANO)


def way(board, start, stop):
    """The links of a message's way: out of its core, and into every tile."""
    (x, y), (to_x, to_y) = board.tiles(np.array([start, stop])).T.tolist()
    yield "out", start
    while (x, y) != (to_x, to_y):
        step = (int(np.sign(to_x - x)), 0) if x != to_x else (0, int(np.sign(to_y - y)))
        x, y = x + step[0], y + step[1]
        yield x, y, *step


@pytest.mark.parametrize("board", [None, board_of_toys()])
def test_the_time_is_that_of_the_largest_eigenvalue(board):
    program = spread(priced(board=board))
    rng = np.random.default_rng(3)
    spikes = {p.name: rng.random((1, 4, p.size)) < 0.4 for p in program.network.populations}
    on_cores, activity = placed(program), Recorded(spikes)
    prices = Prices(program.chip.cost(), program.board, on_cores.tiles_used, on_cores.chips_used)
    found = waiting(on_cores, activity, prices).through["typical"]
    index = [core.index for core in program.cores]
    for step in range(4):
        flows = {}
        for wired in on_cores.wired:
            sent = spikes[wired.stored.connection.source][0, step].astype(float)
            rows = zip(
                wired.senders,
                wired.receivers,
                wired.messages.matrix @ sent,
                wired.synapses.matrix @ sent,
                strict=True,
            )
            price = 2 if wired.stored.encoding == "dense" else 3
            for sender, receiver, messages, operations in rows:
                start = 0 if sender == OUTSIDE else index[sender]
                key = ("input" if sender == OUTSIDE else sender, receiver)
                links = list(way(program.board, start, index[receiver]))
                links[0] = ("out", key[0])
                old = flows.get(key, (0, 0, links))
                flows[key] = (old[0] + messages, old[1] + 17 * messages + price * operations, links)
        names = sorted({link for *_, links in flows.values() for link in links}, key=str)
        uses = np.array([[link in links for *_, links in flows.values()] for link in names], float)
        m, taken = (np.array([flow[i] for flow in flows.values()]) for i in (0, 1))
        stages = uses.sum(0)
        values, vectors = np.linalg.eigh(uses @ np.diag(m / stages / (stages + 1)) @ uses.T)
        held = m * (uses.T @ np.abs(vectors[:, -1])) / stages
        of_all = taken.sum() / m.sum()
        of_waiting = (held * np.divide(taken, m, where=m > 0, out=np.zeros_like(taken))).sum() / held.sum()
        assert found[step] == pytest.approx(values[-1] * max(of_all, of_waiting) + 8 * of_all, rel=1e-4)


def test_more_messages_wait_longer():
    program = spread(priced())
    times = [
        estimate(program, rates=r, steps=1, timing="queueing").latency_seconds.typical
        for r in (0.0, 0.1, 0.5, 1)
    ]
    assert times == sorted(times) and times[0] < times[-1]


def test_a_counted_run_waits_too():
    program = spread(priced())
    spikes = {p.name: np.ones((2, 3, p.size)) for p in program.network.populations}
    waits = estimate(program, trace_of(program, spikes), timing="queueing")
    assert (
        waits.latency_seconds.typical > estimate(program, trace_of(program, spikes)).latency_seconds.typical
    )
