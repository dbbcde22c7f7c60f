"""A batch costs the mean of its samples, whatever the pieces that it is looked at in."""

from dataclasses import replace

import numpy as np
import pytest
from hand_mapped import board_of_toys, connection, population, program_of
from hypothesis import given, settings
from hypothesis import strategies as st
from priced import closed_loop, priced, spread, trace_of

from astrodeploy.costs import TIMINGS, activity, estimate
from astrodeploy.costs.activity import Recorded
from astrodeploy.costs.events import Counting
from astrodeploy.costs.placed import placed
from astrodeploy.engines import CARRIED
from astrodeploy.ir import Input, Population, RateEncoder

BUSY = {"time_per_hop_east_west_ns": 7.0, "time_per_message_on_link_ns": 40.0}  # so that links count too


def sampled(program, rows, steps, seed):
    """A Trace of samples that differ in how much they send, and where; a few are silent."""
    rng = np.random.default_rng(seed)
    sent = {}
    for p in program.network.populations:
        rates = rng.choice([0.0, 0.1, 0.8], (rows, 1, p.size))
        sent[p.name] = rng.random((rows, steps + program.depth, p.size)) < rates
    return trace_of(program, sent, steps=steps)


def only(trace, row):
    """One sample of a Trace."""
    spikes = {name: each[row : row + 1] for name, each in trace.spikes.items()}
    return replace(trace, spikes=spikes, outputs=trace.outputs[row : row + 1])


def numbers(found):
    """All numbers of an Estimate that a batch has the mean of, by level where there are levels."""
    spans = [found.energy_joules, found.latency_seconds, found.steps_seconds, *found.by_layer.values()]
    spans += [found.parts[name] for name in ("operations", "static", "step overhead")]
    return np.array([*(level for s in spans for level in (s.low, s.typical, s.high)), *found.events.values()])


def assert_mean(program, trace, timing):
    each = [numbers(estimate(program, only(trace, row), timing=timing)) for row in range(trace.samples)]
    np.testing.assert_allclose(numbers(estimate(program, trace, timing=timing)), np.mean(each, 0), rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 999), st.sampled_from(TIMINGS))
def test_a_batch_costs_the_mean_of_its_samples(rows, steps, seed, timing):
    program = spread(priced(barrier=(100.0,), **BUSY))
    assert_mean(program, sampled(program, rows, steps, seed), timing)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(0, 999), st.sampled_from(TIMINGS))
def test_on_several_chips_too(rows, seed, timing):
    program = spread(priced(barrier=(100.0,), board=board_of_toys(2, 2), **BUSY))
    moved = replace(
        program, cores=tuple(replace(c, index=i) for c, i in zip(program.cores, (0, 20, 40, 63), strict=True))
    )
    assert_mean(moved, sampled(moved, rows, 4, seed), timing)


@pytest.mark.parametrize("engine", ["fast", "oracle"])
def test_of_an_engines_trace(engine):
    program = closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0)))
    x = np.random.default_rng(0).random((7, 3)) * [[1], [0], [0.5], [1], [0], [0.2], [1]]
    assert_mean(program, program.run(x, engine=engine), "largest")


def test_samples_that_load_other_cores_take_as_long_together_as_one_by_one():
    """Four blocks of inputs, each to a core of its own: the mean over the samples has no busiest core."""
    weight = np.kron(np.eye(4), np.ones((5, 6)))
    program = program_of(
        [Population("input", (24,), Input()), population("a", 20)],
        [connection("input", "a", weight)],
        {i: [("a", (5 * i, 5 * i + 5))] for i in range(4)},
        priced(),
    )
    sent = np.zeros((4, 3, 24))
    for i in range(4):
        sent[i, :2, 6 * i : 6 * i + 6] = 1
    found = estimate(program, trace_of(program, {"input": sent, "a": np.zeros((4, 3, 20))}))
    update, reached = 5 * 4, 5 * 8
    message = 6 * (17 + 5 * 3)
    assert found.latency_seconds.typical == pytest.approx(
        (update + message + reached + message + reached) * 1e-9
    )


# ---- pieces -------------------------------------------------------------------------------------------


def delayed(dv=300, reset_every=0):
    """A loop of delays on two cores, in which neurons stay awake for a while."""
    rng = np.random.default_rng(2)
    program = program_of(
        [Population("input", (5,), Input()), population("a", 8, dv=dv), population("b", 6, depth=2, dv=4096)],
        [
            connection("input", "a", rng.integers(0, 3, (8, 5)), delay=3),
            connection("a", "b", rng.integers(0, 2, (6, 8))),
            connection("b", "a", rng.integers(0, 2, (8, 6)), delay=5),
        ],
        {0: [("a", (0, 4))], 9: [("a", (4, 8)), "b"]},
        priced(barrier=(10.0,), **BUSY),
    )
    return replace(program, reset_every=reset_every)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 25),
    st.integers(0, 999),
    st.sampled_from([0, 7]),
    st.sampled_from([40, 600, 4096]),
    st.integers(1, 40),
)
def test_pieces_of_any_size_count_the_same(rows, steps, seed, reset_every, dv, moments):
    program = delayed(dv, reset_every)
    spikes = sampled(program, rows, steps, seed).spikes
    run, counting = Recorded(spikes, reset_every), Counting(placed(program))
    length, whole = (
        steps + program.depth,
        {(t.event, t.layer, t.connection): t for t in counting.of(run).tallies},
    )
    summed = {key: np.zeros_like(t.counts) for key, t in whole.items()}
    pieces = []
    for piece in run.pieces(max(1, activity.HELD // moments)):
        pieces.append((piece.rows, piece.steps))
        for tally in counting.of(piece).tallies:
            folded = tally.counts.reshape(-1, len(piece.rows), len(piece.steps)).sum(1)
            summed[tally.event, tally.layer, tally.connection][:, piece.steps.start : piece.steps.stop] += (
                folded
            )
    for key, tally in whole.items():
        np.testing.assert_array_equal(summed[key], tally.counts, str(key))
    assert sum(len(r) * len(s) for r, s in pieces) == rows * length
    assert max(len(r) * len(s) for r, s in pieces) <= max(moments, 1)


def test_memory_does_not_grow_with_the_batch(monkeypatch):
    program = delayed()
    monkeypatch.setattr(activity, "HELD", 20 * Counting(placed(program)).numbers)
    trace = sampled(program, 60, 9, 1)
    held = []
    of = Counting.of
    monkeypatch.setattr(Counting, "of", lambda self, a: held.append(a.repeats.size) or of(self, a))
    found = estimate(program, trace)
    assert max(held) <= 20 and sum(held) == 60 * 11
    monkeypatch.undo()
    np.testing.assert_allclose(numbers(found), numbers(estimate(program, trace)), rtol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 12), st.integers(0, 99), st.integers(5, 60))
def test_a_stream_takes_as_long_as_its_one_row_shared_out(samples, seed, moments):
    program = closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0)))
    x = np.random.default_rng(seed).random((samples, 3))
    trace = program.run(x, carry=CARRIED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activity, "HELD", moments * Counting(placed(program)).numbers)
        found = estimate(program, trace)
    row = {n: row_of(program, trace, n) for n in trace.spikes}
    reset = replace(program, reset_every=6)
    one = estimate(reset, trace_of(reset, row))
    np.testing.assert_allclose(found.steps_seconds.typical * samples, one.steps_seconds.typical)
    np.testing.assert_allclose([*found.events.values()], np.array([*one.events.values()]) / samples)


def row_of(program, trace, name):
    """What a population sent in a stream, step by step."""
    depth, after = program.network[name].depth, program.depth - program.network[name].depth
    inside = trace.spikes[name][:, depth : depth + trace.steps].reshape(-1, program.network[name].size)
    return np.pad(inside, ((depth, after), (0, 0)))[None]
