"""Batches, layers, cores and astrocytes, and what holds for every network."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priced import JOULES, PICO, SPIKES, assert_span, closed_loop, priced, spread, trace_of, two_neurons

from astrodeploy.chip import operation_count
from astrodeploy.compartments import KINDS
from astrodeploy.costs import estimate

# ---- batches, layers, cores --------------------------------------------------------------------------


def test_a_batch_gives_the_mean_of_its_samples():
    program = two_neurons()
    one = estimate(program, trace_of(program, SPIKES))
    both = {k: np.concatenate([v, np.zeros_like(v)]) for k, v in SPIKES.items()}
    e = estimate(program, trace_of(program, both))
    silent = 8 * 40 * PICO
    assert e.parts["operations"].typical == pytest.approx((one.parts["operations"].typical + silent) / 2)
    assert e.events["synaptic_operations_sparse"] == 1.5
    assert "2 samples" in e.basis_text


def test_larger_programs_cost_in_proportion_and_windows_on_their_clock():
    program = closed_loop()
    spikes = {"input": np.zeros((1, 8, 3)), "layer": np.zeros((1, 8, 4)), "astro": np.zeros((1, 8, 2))}
    e = estimate(program, trace_of(program, spikes))
    plain = operation_count(KINDS["lif"].step)
    modulated = operation_count(KINDS["modulated_lif"].step)
    step, window = operation_count(KINDS["astrocyte"].step), operation_count(KINDS["astrocyte"].window)
    assert e.events["window_updates"] == 2  # one tick, in step 5: windows of 4 from step 2 on
    layer = 8 * 4 * 40 * modulated / plain
    astro = ((8 - 1) * 2 * 40 + 2 * 80) * step / plain + 2 * 80 * window / plain
    assert e.by_layer["layer"].typical == pytest.approx(layer * PICO)
    assert e.by_layer["astro"].typical == pytest.approx(astro * PICO)
    # astrocytes cause their own updates and what a modulated neuron does beyond a plain one
    share = astro + layer * (modulated - plain) / modulated
    assert e.astrocyte_joules.typical == pytest.approx(share * PICO)
    assert e.astrocyte_share == pytest.approx(share / (layer + astro))


def test_connections_of_astrocytes_are_theirs():
    program = closed_loop()
    quiet = {"input": np.zeros((1, 8, 3)), "layer": np.zeros((1, 8, 4)), "astro": np.zeros((1, 8, 2))}
    pooled = quiet | {"layer": np.eye(8)[None, :, :4]}  # each neuron sends once: 4 operations in the pool
    told = quiet | {"astro": np.eye(8)[None, :, :2]}  # each astrocyte sends once, to 2 neurons
    rest, pool, gain = (estimate(program, trace_of(program, each)) for each in (quiet, pooled, told))
    assert pool.events["synaptic_operations_sparse"] == gain.events["synaptic_operations_sparse"] == 4
    assert pool.astrocyte_joules.typical > rest.astrocyte_joules.typical + 4 * 10 * PICO
    assert gain.astrocyte_joules.typical > rest.astrocyte_joules.typical + 4 * 10 * PICO
    assert gain.by_layer["layer"].typical > rest.by_layer["layer"].typical + 4 * 10 * PICO


def test_spikes_of_modulated_neurons_are_their_own():
    program = closed_loop()
    quiet = {"input": np.zeros((1, 8, 3)), "layer": np.zeros((1, 8, 4)), "astro": np.zeros((1, 8, 2))}
    busy = quiet | {"layer": np.eye(8)[None, :, :4]}
    board = priced(**{name: 0.0 for name in JOULES if "spike" not in name})
    found = [
        estimate(replace(program, board=board), trace_of(replace(program, board=board), x))
        for x in (quiet, busy)
    ]
    assert found[1].parts["operations"].typical == pytest.approx(4 * 13 * PICO)
    assert found[1].astrocyte_joules.typical == 0


def test_layers_cores_and_events_add_up_to_the_operations():
    e = estimate(spread(priced()), rates=0.2, steps=5)
    for level in ("low", "typical", "high"):
        dynamic = getattr(e.parts["operations"], level)
        for split in (e.by_layer, e.by_core, e.operations):
            assert sum(getattr(s, level) for s in split.values()) == pytest.approx(dynamic)
        whole = getattr(e.energy_joules, level)
        assert sum(getattr(s, level) for s in e.parts.values()) == pytest.approx(whole)
    assert set(e.by_core) == {0, 6, 9, 15}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0, 0.9), st.sampled_from(["largest", "barrier-after"]))
def test_more_activity_never_costs_less(seed, rate, timing):
    rng, program = np.random.default_rng(seed), spread(priced(barrier=(50.0,)))
    less = {p.name: rng.random((2, 6, p.size)) < rate for p in program.network.populations}
    more = {name: each | (rng.random(each.shape) < 0.2) for name, each in less.items()}
    assert_no_less(*(estimate(program, trace_of(program, x), timing=timing) for x in (less, more)))


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(*[st.floats(0, 1)] * 3),
    st.tuples(*[st.floats(0, 1)] * 3),
    st.sampled_from(["largest", "barrier-after"]),
)
def test_higher_rates_never_cost_less(rates, more, timing):
    program = spread(priced(barrier=(50.0,)))
    cases = [dict(zip(("input", "a", "b"), each, strict=True)) for each in (rates, map(max, rates, more))]
    assert_no_less(*(estimate(program, rates=each, steps=5, timing=timing) for each in cases))


def assert_no_less(less, more):
    for level in ("low", "typical", "high"):
        for what in ("energy_joules", "latency_seconds"):
            assert getattr(getattr(more, what), level) >= getattr(getattr(less, what), level) * (1 - 1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1), st.integers(1, 4))
def test_doubling_the_batch_changes_nothing(seed, rate, rows):
    rng, program = np.random.default_rng(seed), spread(priced(barrier=(50.0,)))
    once = {p.name: rng.random((rows, 6, p.size)) < rate for p in program.network.populations}
    twice = {name: np.concatenate([each, each]) for name, each in once.items()}
    one, two = (estimate(program, trace_of(program, x)) for x in (once, twice))
    for what in ("energy_joules", "latency_seconds"):
        assert_span(getattr(two, what), *vars(getattr(one, what)).values())
    assert two.events == pytest.approx(one.events)
