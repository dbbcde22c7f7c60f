"""pace: the fewest cores, and the fastest step, beside what no mapping can do better than."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping.layers import board, busiest, convolutional, dense, wired

from astrodeploy.errors import DoesNotFit
from astrodeploy.mapping import pace
from astrodeploy.mapping.bound import busiest_core_at_least
from astrodeploy.mapping.pace import FEW, Inference, fastest, fewest, sparing
from astrodeploy.mapping.work import PICOSECONDS

BENCHMARK = (784, 1024, 512, 10)


def test_the_benchmark_network_takes_at_most_12_cores_of_loihi1():
    on = board("loihi1")
    assert len(fewest(wired(dense(*BENCHMARK), on), on.cores).bins) <= 12


@pytest.mark.parametrize("model", ["davies-2018", "sana-fe"])
def test_the_benchmark_network_is_within_a_tenth_of_the_bound(model):
    on = board("loihi1", model)
    network = wired(dense(*BENCHMARK), on)
    mapping = fastest(network, on)
    barrier = network.work.model.time_per_barrier_ns.at(32)[1] * PICOSECONDS
    bound = max(busiest_core_at_least(network, on.cores), barrier)
    assert len(mapping.bins) <= on.cores
    assert busiest(network, mapping) <= mapping.step_ps
    assert bound <= max(mapping.step_ps, barrier) <= 1.1 * bound


def test_the_bound_is_that_of_a_layer_by_hand():
    """One layer on loihi1 by Davies: 100 sources, 64 neurons; a core of n neurons takes n times the same."""
    on = board("loihi1")
    network = wired(dense(100, 64), on)
    neuron = 10 * 3.5 + 8.4  # 100 sources that send with 0.1; nothing decays, so that all stay active
    for cores in (1, 8, 64, 128):
        expected = max(neuron, 64 * neuron / cores) * PICOSECONDS
        assert busiest_core_at_least(network, cores) == pytest.approx(expected, rel=1e-3)


def test_a_step_that_the_barrier_sets_takes_the_fewest_cores():
    on = board("loihi1")
    network = wired(dense(4, 6), on)  # 6 neurons: half of the barrier's 113 ns
    mapping = fastest(network, on)
    assert len(mapping.bins) == len(fewest(network, on.cores).bins) == 1


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=4),
    st.sampled_from(
        [("loihi1", "davies-2018"), ("loihi1", "sana-fe"), ("loihi2", "pilotnet"), ("toy", "toy")]
    ),
    st.integers(4, 64),
)
def test_a_fast_mapping_keeps_its_pace_and_never_beats_the_bound(sizes, target, cores):
    chip, model = target
    on = board(chip, model, **({} if chip == "toy" else {"cores": cores}))
    network = wired(dense(*(min(s, 90) if chip == "toy" else s for s in sizes)), on)
    few, fast = fewest(network, on.cores), fastest(network, on)
    if len(few.bins) > on.cores:
        return
    assert len(fast.bins) <= on.cores
    assert busiest(network, fast) >= 0.999 * busiest_core_at_least(network, on.cores)
    if fast.step_ps is not None:
        assert busiest(network, fast) <= fast.step_ps


def test_twice_the_cores_take_about_half_the_time():
    on, twice = board("loihi2", cores=32), board("loihi2", cores=64)
    graph = convolutional(8, 24, 3)
    slow, fast = (busiest(wired(graph, each), fastest(wired(graph, each), each)) for each in (on, twice))
    assert 0.45 <= fast / slow <= 0.7


# ---- whole inferences, where the chip is cleared core by core --------------------------------------------


def whole(network, on, mapping, inference):
    """Picoseconds of an inference, by hand."""
    cores = len(mapping.bins)
    barrier = network.work.model.time_per_barrier_ns.at(-(-cores // 4))[1] * PICOSECONDS
    clearing = on.chip.reset.time_per_core_us.typical * 1e6 * min(cores, on.cores_per_chip)
    return inference.steps * max(busiest(network, mapping), barrier) + inference.clearings * clearing


def test_clearing_keeps_a_short_inference_on_few_cores_and_a_long_one_spreads():
    on = board("loihi1")
    network = wired(dense(*BENCHMARK), on)
    few, steps = len(fewest(network, on.cores).bins), len(fastest(network, on).bins)
    counts = [len(fastest(network, on, Inference(n, 1, "so many")).bins) for n in (20, 10**4, 10**7)]
    assert counts[0] == few < counts[1] <= counts[2] == steps


def test_what_was_compared_is_told():
    on = board("loihi1")
    told = fastest(wired(dense(*BENCHMARK), on), on, Inference(20, 1, "stated")).compared
    assert told.startswith("the shortest of inferences of 20 steps (stated) and clearing: ")
    assert " ms with 12, " in told or " ms with 11, " in told or " ms with 10, " in told
    assert told.endswith(" cores")


@pytest.mark.parametrize("inference", [None, Inference(20, 0, "memoryless")])
def test_without_clearing_the_step_alone_counts(inference):
    on = board("loihi1")
    network = wired(dense(100, 200), on)
    assert len(fastest(network, on, inference).bins) == len(fastest(network, on).bins) > 10


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=4),
    st.integers(1, 10**6),
    st.integers(1, 5),
    st.integers(4, 64),
)
def test_an_inference_takes_no_longer_than_on_the_fewest_cores_or_with_the_shortest_step(
    sizes, steps, clearings, cores
):
    on = board("loihi1", "davies-2018", cores=cores)
    network, inference = wired(dense(*sizes), on), Inference(steps, clearings, "")
    few = fewest(network, on.cores)
    if len(few.bins) > on.cores:
        return
    best, *others = (
        whole(network, on, m, inference) for m in (fastest(network, on, inference), few, fastest(network, on))
    )
    assert best <= min(others) * (1 + 1e-9)


# ---- fewest ----------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=2, max_size=4), st.integers(0, 1), st.integers(1, 40))
def test_the_fewest_are_never_more_than_the_fastest(sizes, clearings, steps):
    on = board("toy", input_axons_per_core=96, output_axons_per_core=24)
    network, inference = wired(dense(*sizes), on), Inference(steps, clearings, "")
    try:
        few = sparing(network, on, inference)
    except DoesNotFit:
        assume(False)
    assert len(few.bins) <= len(fewest(network, on.cores).bins)
    if len(few.bins) <= FEW:
        assert len(few.bins) <= len(fastest(network, on, inference).bins)


def test_small_boxes_may_lie_on_fewer_cores(monkeypatch):
    on = board("loihi1")
    network = wired(dense(100, 200), on)
    few, spread = fewest(network, on.cores), fastest(network, on)
    assert len(sparing(network, on).bins) == len(few.bins) == 1
    monkeypatch.setattr(pace, "fewest", lambda *_: spread)  # as if whole boxes took so many
    monkeypatch.setattr(pace, "fastest", lambda *_: few)
    assert sparing(network, on) is few
