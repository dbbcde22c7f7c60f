"""Neurons that are active because what reached them has not decayed yet, or because of a bias."""

import numpy as np
import pytest
from hand_mapped import connection, population, program_of
from hypothesis import given
from hypothesis import strategies as st

from astrodeploy.costs.activity import Expected, Recorded
from astrodeploy.costs.events import count_events
from astrodeploy.costs.rest import FOREVER, always_awake, awake_after
from astrodeploy.ir import Input, Population


def network(inputs=3, size=4, delay=1, **parameters):
    weight = np.triu(np.ones((size, inputs)))  # the last targets have fewer sources
    return program_of(
        [Population("input", (inputs,), Input()), population("layer", size, **parameters)],
        [connection("input", "layer", weight, delay=delay)],
    )


def active(program, activity):
    (counts,) = (t.counts for t in count_events(program, activity).tallies if t.event == "active_updates")
    return counts[0]


@given(st.integers(1, 131071), st.integers(2, 4095))
def test_a_decay_lasts_as_long_as_whole_numbers_do(threshold, factor):
    (found,) = awake_after(population("a", 1, threshold=threshold, du=4096, dv=factor))
    left, steps = threshold << 6, 0
    while left:
        left, steps = (left * (4096 - factor)) >> 12, steps + 1
    assert abs(found - steps) <= max(6, 0.25 * steps)


def test_current_and_membrane_last_one_after_the_other():
    lasts = lambda **given: awake_after(population("a", 1, threshold=100, **given))[0]
    assert lasts(du=4096, dv=4096) == 0
    assert lasts(du=1024, dv=4096) == lasts(du=4096, dv=1024) > 10
    assert lasts(du=1024, dv=1024) == 2 * lasts(du=1024, dv=4096)
    assert lasts(du=4096, dv=0) == FOREVER
    assert not awake_after(population("a", 2, "astrocyte", period=4)).any()


def test_what_the_engine_holds_is_what_counts():
    program = program_of(
        [Population("input", (1,), Input()), population("layer", 1, threshold=9, dv=600)],
        [connection("input", "layer", [[9]])],
    )
    x = np.zeros((1, 60, 1))
    x[0, 2] = 1
    trace = program.run(x, engine="oracle", probes=("layer.v",))
    held = trace.states["layer", "v"][0, :, 0] != 0  # after each step
    updated = held | np.roll(held, 1)
    counted = active(program, Recorded(trace.spikes)).astype(bool)
    assert 10 < held.sum() < 50
    assert np.abs(np.flatnonzero(updated) - np.flatnonzero(counted)[: updated.sum()]).max() == 0
    assert abs(int(updated.sum()) - int(counted.sum())) <= 4


@pytest.mark.parametrize(("dv", "reset_every"), [(0, 0), (0, 5), (2000, 0), (2000, 7), (4096, 0)])
def test_active_neurons_one_by_one(dv, reset_every):
    program = network(dv=dv, threshold=1, delay=2)
    layer = program.network["layer"]
    (lasts,) = set(awake_after(layer).tolist())
    rng = np.random.default_rng(4)
    sent = rng.random((3, 40, 3)) < 0.05
    found = active(program, Recorded({"input": sent, "layer": np.zeros((3, 40, 4))}, reset_every))
    expected = np.zeros(40)
    for row in range(3):
        for target in range(4):
            left = -1  # steps that it stays awake
            for step in range(40):
                if reset_every and (step - layer.depth) % reset_every == 0:
                    left = -1
                if step >= 2 and sent[row, step - 2, target:].any():
                    left = lasts
                expected[step] += left >= 0
                left -= 1
    np.testing.assert_array_equal(found, expected)


def test_a_bias_keeps_awake():
    program = network(dv=4096, bias=3)
    assert always_awake(program.network["layer"]).all()
    silent = Recorded({"input": np.zeros((2, 3, 3)), "layer": np.zeros((2, 3, 4))})
    assert active(program, silent).tolist() == [8, 8, 8]
    assert np.all(active(program, Expected({"input": 0.0, "layer": 0.0}, 5, 5, program.network)) == 4)
    modulated = population("a", 2, "modulated_lif", modulated_bias=1)
    assert always_awake(modulated).all() and not always_awake(population("a", 2)).any()


@pytest.mark.parametrize("dv", [0, 1500, 4096])
def test_expected_neurons_are_the_mean_of_many_runs(dv):
    program = network(dv=dv, threshold=1)
    activity = Expected({"input": 0.05, "layer": 0.0}, 24, 24, program.network)
    rng = np.random.default_rng(5)
    sent = rng.random((3000, 25, 3)) < 0.05
    counted = active(program, Recorded({"input": sent, "layer": np.zeros((3000, 25, 4))}))[1:] / 3000
    expected = active(program, activity)  # its last message arrives in step 0
    assert float(expected @ activity.repeats) == pytest.approx(counted.sum(), rel=0.03)


def test_long_runs_have_few_moments():
    program = network(dv=0)
    activity = Expected({"input": 0.001, "layer": 0.0}, 4000, 4000, program.network)
    assert activity.repeats.sum() == 4000 and activity.repeats.size < 250
    alike = active(program, activity)
    reached = 1 - 0.999 ** (np.array([3, 2, 1])[:, None] * np.arange(1, 4001))
    assert float(alike @ activity.repeats) == pytest.approx(reached.sum(), rel=0.02)
