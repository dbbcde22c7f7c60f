"""How long a step takes, by hand on small networks."""

import numpy as np
import pytest
from hand_mapped import connection, population, program_of
from priced import FREE, NANO, SPIKES, priced, trace_of, two_neurons

from astrodeploy.costs import estimate
from astrodeploy.ir import Input, Population

# ---- latency -----------------------------------------------------------------------------------------


def test_a_core_takes_the_sum_of_its_events():
    program = two_neurons(priced())
    e = estimate(program, trace_of(program, SPIKES))
    steps = [8 + 3 + 17, 4 + 8 + 2 * 3 + 2 * 17 + 13 + 11, 2 * 8, 2 * 4]
    assert e.latency_seconds.typical == pytest.approx(sum(steps) * NANO)
    assert e.latency_seconds.low == pytest.approx(sum(steps) / 2 * NANO)
    assert e.bounds == {"busiest core": 1.0, "busiest link": 0.0, "barrier": 0.0}


def test_sending_may_overlap_receiving():
    program = two_neurons(priced(overlaps=True))
    e = estimate(program, trace_of(program, SPIKES))
    steps = [max(8, 3 + 17), max(4 + 8 + 13 + 11, 2 * 3 + 2 * 17), 2 * 8, 2 * 4]
    assert e.latency_seconds.typical == pytest.approx(sum(steps) * NANO)


def test_a_step_lasts_as_long_as_its_busiest_core():
    program = two_neurons(priced(), cores={0: ["a"], 1: ["b"]})
    e = estimate(program, trace_of(program, SPIKES))
    a, b = [4 + 3 + 17, 8 + 3 + 17 + 13 + 11, 8, 4], [4, 4 + 3 + 17, 8, 4]
    assert e.latency_seconds.typical == pytest.approx(sum(map(max, a, b)) * NANO)
    assert e.slowest_core == 0


def test_the_barrier_is_the_least_time_of_a_step():
    program = two_neurons(priced(barrier=(20.0,)))
    e = estimate(program, trace_of(program, SPIKES))
    assert e.latency_seconds.typical == pytest.approx((28 + 76 + 20 + 20) * NANO)
    assert e.bounds["barrier"] == pytest.approx(40 / 144)
    after = estimate(program, trace_of(program, SPIKES), timing="barrier-after")
    assert after.latency_seconds.typical == pytest.approx((28 + 76 + 16 + 8 + 4 * 20) * NANO)
    assert after.bounds["barrier"] == pytest.approx(80 / 208)


@pytest.mark.parametrize(
    ("cores", "typical"), [({0: ["a", "b"]}, 200), ({0: ["a"], 3: ["b"]}, 200), ({0: ["a"], 4: ["b"]}, 300)]
)
def test_the_barrier_grows_with_the_tiles_in_use(cores, typical):
    program = two_neurons(priced(barrier=(200.0, 400.0), tiles=(1, 3)), cores=cores)
    e = estimate(program, rates=0.0, steps=1)
    assert e.latency_seconds.typical == pytest.approx((1 + 2) * typical * NANO)
    (constant,) = (c for c in e.constants if c.name == "time_per_barrier_ns")
    assert (constant.low, constant.typical, constant.high) == (typical / 2, typical, typical * 2)


def fan(cores, board):
    """4 inputs, each to 3 layers of one neuron."""
    layers = [population(name, 1) for name in "abc"]
    return program_of(
        [Population("input", (4,), Input()), *layers],
        [connection("input", name, np.ones((1, 4))) for name in "abc"],
        cores,
        board,
    )


def test_links_are_counted_along_the_row_then_along_the_column():
    board = priced(**FREE | {"time_per_message_on_link_ns": 5.0})
    # tiles: core 4 (1, 0), core 8 (0, 1), core 12 (1, 1); to the last along the row, then down
    e = estimate(fan({4: ["a"], 8: ["b"], 12: ["c"]}, board), rates=1.0, steps=1)
    assert e.latency_seconds.typical == pytest.approx(2 * 4 * 5 * NANO)  # a's and c's share a link
    assert e.bounds["busiest link"] == 1
    e = estimate(fan({4: ["a"], 8: ["b"], 0: ["c"]}, board), rates=1.0, steps=1)
    assert e.latency_seconds.typical == pytest.approx(4 * 5 * NANO)


def test_the_last_message_has_the_longest_way_before_it():
    board = priced(
        **FREE
        | {
            "time_per_message_on_link_ns": 5.0,
            "time_per_hop_east_west_ns": 7.0,
            "time_per_hop_north_south_ns": 9.0,
        }
    )
    e = estimate(fan({12: ["a", "b", "c"]}, board), rates=1.0, steps=1)
    assert e.latency_seconds.typical == pytest.approx((3 * 4 * 5 + 7 + 9) * NANO)
    assert estimate(fan({12: ["a", "b", "c"]}, board), rates=0.0, steps=1).latency_seconds.typical == 0
