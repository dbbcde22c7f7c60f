"""Clearing the chips between two samples."""

from dataclasses import replace

import numpy as np
import pytest
from hand_mapped import board_of_toys, connection, population, program_of
from priced import SPIKES, assert_span, closed_loop, cost, priced, trace_of, two_neurons

from astrodeploy.chip import Reset, load_chip
from astrodeploy.costs import estimate, what_if
from astrodeploy.ir import LIF, Input, Population, RateEncoder

MICRO, MILLI = 1e-6, 1e-3
PART = "clearing between samples"


def cleared(board=None, energy=3.0, time=5.0):
    """Toys that say what clearing costs: microjoules a chip, microseconds a core."""
    board = board or priced(barrier=(100.0,))
    reset = Reset(energy_per_chip_uJ=cost(energy), time_per_core_us=cost(time))
    return board.model_copy(update={"chip": board.chip.model_copy(update={"reset": reset})})


def test_a_chip_is_cleared_once_an_inference_by_its_cores_in_use():
    program = two_neurons(cleared(), cores={0: ["a"], 1: ["b"]})
    e = estimate(program, trace_of(program, SPIKES))
    assert_span(e.parts[PART], 1.5 * MICRO, 3 * MICRO, 6 * MICRO)
    assert_span(e.clearing_seconds, 2 * 2.5 * MICRO, 2 * 5 * MICRO, 2 * 10 * MICRO)
    assert_span(e.steps_seconds, 200e-9, 400e-9, 800e-9)
    assert e.latency_seconds == e.steps_seconds + e.clearing_seconds
    assert (
        e.clearing_text
        == "between two samples the chip is cleared, 2 cores one after another, while no step runs"
    )


def test_parts_stay_apart_and_power_lasts_as_long_as_both():
    program = two_neurons(cleared())
    e, bare = (
        estimate(each, trace_of(each, SPIKES)) for each in (program, two_neurons(priced(barrier=(100.0,))))
    )
    assert list(e.parts) == ["operations", "step overhead", PART, "static", "host processors"]
    assert e.parts["operations"] == bare.parts["operations"]
    assert e.parts["step overhead"] == bare.parts["step overhead"]
    assert e.parts["static"].typical == pytest.approx(10 * MILLI * (400e-9 + 5 * MICRO))
    assert e.parts["host processors"].typical == pytest.approx(1 * MILLI * (400e-9 + 5 * MICRO))
    assert e.energy_joules.typical == pytest.approx(sum(part.typical for part in e.parts.values()))
    assert e.inferences_per_second.typical == pytest.approx(1 / e.latency_seconds.typical)
    assert e.power_watts.typical * e.latency_seconds.typical == pytest.approx(e.energy_joules.typical)
    assert e.bounds == bare.bounds  # of the steps


def test_a_chip_that_says_nothing_gets_no_term_and_the_estimate_says_so():
    e = estimate(two_neurons(), rates=0.1)
    assert PART not in e.parts and e.clearing_seconds.high == 0 and e.latency_seconds == e.steps_seconds
    assert e.clearing_text == (
        "what clearing the chip between two samples costs is not in the estimate: toy has no table [reset]"
    )
    assert not [c for c in e.constants if c.name.startswith("reset.")]


def test_chips_are_cleared_side_by_side():
    board = cleared(priced(barrier=(100.0,), board=board_of_toys(2, 2)))
    layers = [population(name, 1) for name in "abc"]
    program = program_of(
        [Population("input", (1,), Input()), *layers], [], {0: ["a"], 1: ["b"], 16: ["c"]}, board
    )
    e = estimate(program, rates=0.0)
    assert e.chips == 2 and e.parts[PART].typical == pytest.approx(2 * 3 * MICRO)
    assert e.clearing_seconds.typical == pytest.approx(2 * 5 * MICRO)  # of the fuller chip
    assert "the 2 chips are cleared, up to 2 cores one after another, while" in e.clearing_text


def test_every_sample_of_a_batch_and_of_a_stream_is_cleared_for():
    program = replace(closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0))), board=cleared())
    x = np.random.default_rng(0).random((4, 3))
    for carry in ((), ("astrocytes",)):
        e = estimate(program, program.run(x, carry=carry))
        assert e.parts[PART].typical == pytest.approx(3 * MICRO)
        assert e.clearing_seconds.typical == pytest.approx(5 * MICRO * len(program.cores))


def test_a_run_that_resets_itself_is_cleared_in_every_window():
    program = replace(two_neurons(cleared()), reset_every=3)
    assert estimate(program, rates=0.1, steps=6).clearing_seconds.typical == pytest.approx(2 * 5 * MICRO)
    e = estimate(program, rates=0.1, steps=7)
    assert e.clearing_seconds.typical == pytest.approx(3 * 5 * MICRO)
    assert e.clearing_text.endswith("1 core, while no step runs; that is done 3 times an inference")


def test_a_network_without_memory_is_not_cleared():
    program = two_neurons(cleared())
    one = np.ones(1)
    node = LIF(
        tau=program.reference.dt * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one, bias=0 * one
    )
    neurons = [p if p.is_input else replace(p, node=node) for p in program.reference.populations]
    program = replace(program, reference=replace(program.reference, populations=tuple(neurons)))
    e = estimate(program, rates=0.1)
    assert PART not in e.parts and "keeps no state from step to step" in e.clearing_text


def test_constants_and_cases_hold_it():
    program = two_neurons("loihi1")
    found = what_if(program, trace_of(program, SPIKES), vary={"model": ["sana-fe"], "board": ["kapoho-bay"]})
    reset = load_chip("loihi1").reset
    for e in (found.base, *(case.estimate for case in found.cases)):
        assert e.clearing_seconds.typical == pytest.approx(reset.time_per_core_us.typical * MICRO)
        assert e.parts[PART].typical == pytest.approx(5.94 * MICRO)
    names = {c.name: c for c in found.base.constants}
    assert names["reset.energy_per_chip_uJ"].quality == "published"
    assert names["reset.time_per_core_us"].source == reset.time_per_core_us.source
    plain = found.to_dict()
    assert plain["clearing_seconds"]["typical"] == plain["what_if"][0]["clearing_seconds"]["typical"]


def test_clearing_takes_as_long_whatever_the_cores_hold():
    few, many = (
        program_of(
            [Population("input", (3,), Input()), population("layer", n)],
            [connection("input", "layer", np.ones((n, 3)))],
            {0: ["layer"]},
            "loihi1",
        )
        for n in (1, 900)
    )
    found = [estimate(each, rates=0.1, steps=4) for each in (few, many)]
    assert found[0].clearing_seconds == found[1].clearing_seconds
    assert found[0].parts["operations"].typical < found[1].parts["operations"].typical
