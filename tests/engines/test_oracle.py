"""The specification, by hand: what a step is, on networks small enough to follow."""

import numpy as np
import pytest
from networks import connection, job, network, population

from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import compartment, saturate, select
from astrodeploy.engines.oracle import oracle

WORD = Range.signed(24)
MOST = WORD.high


@compartment(
    states={"quick": State(WORD), "kept": State(WORD, 5, slow=True)},
    inputs={"fast": Port(Range.signed(18)), "slow": Port(Range.signed(18), slow=True)},
    outputs={"out": Port(Range(-999, 999))},
)
def counter(n):
    """Sums what arrives on either port, and sends it on."""
    n.quick = saturate(n.quick + n.fast, -MOST, MOST)
    n.kept = saturate(n.kept + n.slow, -MOST, MOST)
    n.out = saturate(n.fast + n.slow, -999, 999)


def window(n):
    n.out = n.count
    n.count = 0


@compartment(
    states={"count": State(WORD)},
    inputs={"i": Port(Range.signed(18))},
    outputs={"out": Port(WORD)},
    window=window,
)
def pool(n):
    """Counts, and sends its count at the end of every window."""
    n.count = saturate(n.count + n.i, -MOST, MOST)


def run(populations, connections, spikes, reset_every=0):
    """Spikes of one row, (steps,) of one input neuron or (steps, inputs)."""
    spikes = np.asarray(spikes).reshape(len(spikes), -1)
    graph = network(spikes.shape[1], populations, connections)
    return oracle(job(graph, spikes[None], reset_every=reset_every))


def sent(recording, name, neuron=0):
    return recording.spikes[name][0, :, neuron].tolist()


def state(recording, name, key, neuron=0):
    return recording.states[name, key][0, :, neuron].tolist()


def test_a_lif_by_hand():
    neuron = population("a", "lif", 1, du=2048, dv=1024, threshold=3, bias=1)
    recording = run([neuron], [connection("x", "a", [[2]])], [1, 1, 0, 0, 0, 0])
    # u: half of it goes a step, then 2 << 6 comes; v: a quarter goes, then u and the bias come; fires above 192
    assert state(recording, "a", "u") == [0, 128, 192, 96, 48, 24]
    assert state(recording, "a", "v") == [1, 128 + 1, 0, 97, 72 + 48 + 1, 90 + 24 + 1]
    assert sent(recording, "a") == [0, 0, 1, 0, 0, 0]
    assert sent(recording, "x") == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_a_message_arrives_its_delay_later(delay):
    recording = run(
        [population("a", counter, 1)], [connection("x", "a", [[7]], port="fast", delay=delay)], [1] + [0] * 5
    )
    assert sent(recording, "a") == [0] * delay + [7] + [0] * (5 - delay)


def test_graded_messages_pass_through_populations_in_any_order():
    late, early = population("late", counter, 1), population("early", counter, 1)
    edges = [
        connection("x", "early", [[3]], port="fast"),
        connection("early", "late", [[-2]], port="fast"),
        connection("late", "early", [[1]], port="slow", delay=2),
    ]
    recording = run([late, early], edges, [1, 0, 0, 0, 0, 0, 0, 0])
    assert sent(recording, "early") == [0, 3, 0, 0, -6, 0, 0, 12]
    assert sent(recording, "late") == [0, 0, -6, 0, 0, 12, 0, 0]


@pytest.mark.parametrize(("exponent", "expected"), [(0, -5), (2, -20), (-1, -3), (-2, -2), (-4, -1)])
def test_an_exponent_shifts_the_sum_of_a_connection_with_floor(exponent, expected):
    edge = connection("x", "a", [[-2, -3]], port="fast", exponent=exponent)
    recording = run([population("a", counter, 1)], [edge], [[1, 1], [0, 0]])
    assert sent(recording, "a") == [0, expected]


def test_connections_are_shifted_before_they_are_summed():
    nodes = [population("r", counter, 1), population("a", counter, 1)]
    edges = [
        connection("x", "r", [[1]], port="fast"),
        connection("x", "a", [[-1]], port="fast", exponent=-1, delay=2),
        connection("r", "a", [[-1]], port="fast", exponent=-1),
    ]
    assert sent(run(nodes, edges, [1, 0, 0]), "a") == [0, 0, -2]  # not (-1 - 1) >> 1


def test_a_window_ends_every_period_from_the_depth_on_and_then_sends():
    recording = run(
        [population("a", pool, 1, period=3, depth=1)], [connection("x", "a", [[1]], port="i")], [1] * 8
    )
    assert state(recording, "a", "count") == [0, 1, 2, 0, 1, 2, 0, 1]
    assert sent(recording, "a") == [0, 0, 0, 3, 0, 0, 3, 0]


def test_resets_clear_everything_at_the_depth_and_fast_states_after_each_window():
    nodes = [population("a", counter, 1, depth=2)]
    edges = [connection("x", "a", [[1]], port="fast")]
    recording = run(nodes, edges, [1] * 9, reset_every=3)
    assert state(recording, "a", "quick") == [0, 1, 1, 2, 3, 1, 2, 3, 1]
    assert state(recording, "a", "kept") == [5] * 9


def test_messages_from_before_a_reset_are_dropped_unless_the_port_is_slow():
    nodes = [population("a", counter, 1, depth=1)]
    fast = run(nodes, [connection("x", "a", [[1]], port="fast", lag=1)], [1] * 8, reset_every=3)
    slow = run(nodes, [connection("x", "a", [[1]], port="slow", lag=1)], [1] * 8, reset_every=3)
    assert state(fast, "a", "quick") == [0, 0, 1, 2, 0, 1, 2, 0]
    assert state(slow, "a", "kept") == [5, 5, 6, 7, 8, 9, 10, 11]


def test_every_row_starts_from_rest():
    graph = network(
        1, [population("a", counter, 1, initial={"quick": 9})], [connection("x", "a", [[1]], port="fast")]
    )
    recording = oracle(job(graph, [[[1], [1], [1]], [[0], [0], [0]]]))
    assert recording.states["a", "quick"][:, :, 0].tolist() == [[9, 10, 11], [9, 9, 9]]


def test_both_lists_see_what_arrives_and_the_window_sees_what_the_step_stored():
    def end(n):
        n.seen = saturate(n.i * 10 + n.last, -MOST, MOST)

    @compartment(
        states={"last": State(WORD), "seen": State(WORD)},
        inputs={"i": Port(Range(0, 7))},
        outputs={},
        window=end,
    )
    def both(n):
        n.last = n.i

    recording = run(
        [population("a", both, 1, period=1)], [connection("x", "a", [[3]], port="i")], [1, 0, 1, 0]
    )
    assert state(recording, "a", "seen") == [0, 33, 0, 33]


def test_stores_of_a_list_happen_together():
    @compartment(
        states={"a": State(Range(0, 1), 1), "b": State(Range(0, 1))}, inputs={"i": Port(Range(0, 1))}
    )
    def swap(n):
        a, b = n.a, n.b
        n.a = select(n.i, b, a)
        n.b = select(n.i, a, b)

    recording = run([population("s", swap, 1)], [connection("x", "s", [[1]], port="i")], [1, 1, 0, 0])
    assert state(recording, "s", "a") == [1, 0, 1, 1]
    assert state(recording, "s", "b") == [0, 1, 0, 0]


def test_only_states_asked_for_are_recorded():
    graph = network(1, [population("a", counter, 1)], [])
    assert oracle(job(graph, np.zeros((1, 2, 1)), record_all=False)).states == {}
