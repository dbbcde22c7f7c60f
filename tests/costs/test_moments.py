"""Steps that are alike, against a list of all steps."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priced import closed_loop, priced, spread, two_neurons

from astrodeploy.costs import estimate
from astrodeploy.costs.moments import LEVELS, MOST_STEPS, Arrivals, Shown, alike
from astrodeploy.errors import InputError


def listed(shown):
    """Every step of two cycles: whether it lies in the stretch."""
    cycle = np.arange(shown.steps)
    return np.tile((cycle - shown.begin) % shown.steps < shown.window, 2)


def listed_arrivals(arrivals):
    """The same number step by step, with its first five bits."""
    steps, there = arrivals.source.steps, listed(arrivals.source)
    found = []
    for step in range(steps):
        kept = min(arrivals.lasts, (step - arrivals.reset) % steps)
        n = int(there[steps + step - kept : steps + step + 1].sum())
        rounding = max(0, n.bit_length() - 5)
        found.append(n >> rounding << rounding)
    return found


@st.composite
def stretches(draw, steps):
    return Shown(steps, draw(st.integers(0, 2 * steps)), draw(st.integers(1, steps)))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 300))
def test_steps_that_are_alike_are_those_of_the_list(data, steps):
    shown = [data.draw(stretches(steps)) for _ in range(2)]
    lasts = st.one_of(st.integers(0, 2 * steps), st.just(1 << 30))
    rows = [*shown, *(Arrivals(s, data.draw(lasts), data.draw(st.integers(0, 9))) for s in shown)]
    first, counts = alike(steps, rows)
    wanted = np.array([*(listed(s)[:steps] for s in shown), *map(listed_arrivals, rows[2:])])
    patterns, index, times = np.unique(wanted, axis=1, return_index=True, return_counts=True)
    assert first.tolist() == index.tolist() and counts.tolist() == times.tolist()
    np.testing.assert_array_equal(np.stack([row.at(first) for row in rows]), patterns)


def test_levels_are_numbers_of_five_bits():
    small = [n for n in range(1 << 12) if n == n >> max(0, n.bit_length() - 5) << max(0, n.bit_length() - 5)]
    assert LEVELS[: len(small)].tolist() == small
    assert np.all(np.diff(LEVELS) > 0) and LEVELS[-1] <= MOST_STEPS * 2


@pytest.mark.parametrize("make", [two_neurons, closed_loop, lambda: spread(priced(barrier=(9.0,)))])
def test_long_inferences_cost_in_proportion_and_take_no_time(make):
    program = make()
    start = time.perf_counter()
    tracemalloc.start()
    long, twice = (estimate(program, rates=0.1, steps=n) for n in (10**9, 2 * 10**9))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.perf_counter() - start < 10 and peak < 50e6  # hundredths of a second where nothing else runs
    assert long.steps == 10**9 + program.depth
    for a, b in ((long.latency_seconds, twice.latency_seconds), (long.energy_joules, twice.energy_joules)):
        assert b.typical == pytest.approx(2 * a.typical, rel=1e-6)
    short = estimate(program, rates=0.1, steps=10**6)
    assert long.energy_joules.typical == pytest.approx(1000 * short.energy_joules.typical, rel=1e-3)


def test_more_steps_than_can_be_counted_are_refused():
    with pytest.raises(InputError, match=f"^steps can be at most {MOST_STEPS - 2} here, not {10**30}$"):
        estimate(two_neurons(), rates=0.1, steps=10**30)
