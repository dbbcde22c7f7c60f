"""Several chips: crossings, interfaces, idle chips, and the same mapping on another board."""

import pytest
from hand_mapped import board_of_toys, connection, population, program_of
from priced import FREE, MILLI, NANO, PICO, SPIKES, assert_span, priced, trace_of, two_neurons

from astrodeploy.chip import Board, load_chip, load_target
from astrodeploy.costs import estimate
from astrodeploy.errors import DoesNotFit, InputError
from astrodeploy.ir import Input, Population

# ---- boards ------------------------------------------------------------------------------------------


def test_chips_of_a_board():
    toys = priced(barrier=(100.0,), board=board_of_toys(2, 2))
    # chip 0, core 4: tile (1, 0). chip 3, core 8: tile (2, 3). One way: 1 east, 3 south, over two borders
    program = two_neurons(toys, cores={4: ["a"], 56: ["b"]})
    e = estimate(program, trace_of(program, SPIKES))
    assert (e.chips, e.idle_chips) == (2, 2)
    assert e.events["chip_crossings"] == 2
    assert e.events["hops_east_west"] == 2 + 1  # the input's go to chip 0 from its own corner
    assert e.events["hops_north_south"] == 3
    assert_span(e.operations["chip_crossings"], 2 * 50 * PICO, 2 * 100 * PICO, 2 * 200 * PICO)
    assert e.parts["static"].typical == pytest.approx(2 * 10 * MILLI * 400e-9)
    assert e.parts["host processors"].typical == pytest.approx(2 * 1 * MILLI * 400e-9)
    assert e.idle_chips_joules.typical == pytest.approx(2 * 10 * MILLI * 400e-9)
    assert e.energy_joules.typical == pytest.approx(sum(part.typical for part in e.parts.values()))
    assert "crossing.energy_per_crossing_pJ" in [c.name for c in e.constants]


def test_inputs_enter_at_the_chip_that_they_go_to():
    program = two_neurons(priced(board=board_of_toys(2, 2)), cores={48: ["a"], 63: ["b"]})
    e = estimate(program, trace_of(program, SPIKES))
    assert e.events["hops_east_west"] == e.events["hops_north_south"] == 1
    assert e.events["chip_crossings"] == 0
    assert (e.chips, e.idle_chips) == (1, 3)


def test_rows_of_a_chip_share_the_interface_to_the_next():
    toys = priced(board=board_of_toys(2, 1), **FREE)
    program = program_of(
        [Population("input", (1,), Input()), *(population(name, 1) for name in "abcd")],
        [connection("a", "c", [[1]]), connection("b", "d", [[1]])],
        {4: ["a"], 12: ["b"], 16: ["c"], 24: ["d"]},  # tiles (1, 0), (1, 1) | (2, 0), (2, 1)
        toys,
    )
    e = estimate(program, rates=1.0, steps=1)
    # two messages on the interface, 6 ns each (typical), and 40 ns for the crossing
    assert e.latency_seconds.typical == pytest.approx((2 * 6 + 40) * NANO)


def test_another_board_of_the_chip_takes_the_mapping():
    program = two_neurons("toy", cores={4: ["a"], 9: ["b"]})
    board = board_of_toys(2, 2)
    e = estimate(program, rates=0.5, steps=4, board=board)
    assert (e.target, e.idle_chips) == ("toys", 3)
    assert set(e.by_core) == {4, 9}
    few = board.arrangement.chips.model_copy(update={"value": 5})
    small = board.model_copy(
        update={"arrangement": board.arrangement.model_copy(update={"usable_cores_per_chip": few})}
    )
    assert set(estimate(program, rates=0.5, steps=4, board=small).by_core) == {0, 1}
    wide = two_neurons(board, cores={60: ["a"], 9: ["b"]})
    back = estimate(wide, rates=0.5, steps=4, board=load_target("toy"))
    assert back.by_core[1].typical == pytest.approx(back.by_layer["a"].typical)  # a has the later place


def test_a_board_that_does_not_do():
    program = program_of(
        [population("a", 30)], [], {i: [("a", (i, i + 1))] for i in range(30)}, board_of_toys()
    )
    with pytest.raises(DoesNotFit, match="the mapping uses 30 cores, toy has 16"):
        estimate(program, rates=0.1, board=load_target("toy"))
    with pytest.raises(
        InputError, match="compiled for toy, loihi2 carries loihi2: compile the network for loihi2"
    ):
        estimate(program, rates=0.1, board=Board.of(load_chip("loihi2")))
