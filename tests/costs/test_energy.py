"""Energy, by hand on small networks."""

import numpy as np
import pytest
from hand_mapped import connection, population, program_of
from priced import JOULES, MILLI, NANO, PICO, SECONDS, SPIKES, assert_span, priced, trace_of, two_neurons

from astrodeploy.costs import Span, estimate
from astrodeploy.errors import ChipError, InputError
from astrodeploy.ir import Input, Population
from astrodeploy.ir.wiring import Conv

# ---- energy ------------------------------------------------------------------------------------------


def test_energy_of_two_neurons_by_hand():
    program = two_neurons(priced())
    e = estimate(program, trace_of(program, SPIKES))
    expected = {
        "synaptic_operations_sparse": 3 * 3,
        "active_updates": 3 * 7,
        "inactive_updates": 5 * 6,
        "spikes": 13,
        "messages_sent": 17,
        "messages_received": 3 * 19,
        "input_messages": 2 * 17,  # as if a core had sent them
    }
    assert list(e.operations) == list(expected)
    for event, picojoules in expected.items():
        assert_span(e.operations[event], picojoules / 2 * PICO, picojoules * PICO, picojoules * 2 * PICO)
    operations = sum(expected.values())
    assert_span(e.parts["operations"], operations / 2 * PICO, operations * PICO, operations * 2 * PICO)
    assert_span(e.parts["step overhead"], 4 * 15.5 * PICO, 4 * 31 * PICO, 4 * 62 * PICO)
    # a: 2 operations, 2 active, 2 inactive, a spike, 2 received and handed in; b: 1, 1, 3, and a's message
    assert e.by_layer["a"].typical == pytest.approx((2 * 3 + 2 * 7 + 2 * 6 + 13 + 2 * 19 + 2 * 17) * PICO)
    assert e.by_layer["b"].typical == pytest.approx((3 + 7 + 3 * 6 + 19 + 17) * PICO)
    assert e.by_core[0].typical == pytest.approx(operations * PICO)
    assert (e.steps, e.basis, e.target, e.model, e.timing) == (4, "counted", "toy", "toy", "largest")
    assert (e.cores, e.chips, e.idle_chips, e.slowest_core) == (1, 1, 0, 0)
    assert e.basis_text == "events counted in a run of 1 sample on hand"
    assert e.astrocyte_share == 0 and e.astrocyte_joules == Span(0, 0, 0)


def test_static_and_host_power_last_as_long_as_the_inference():
    program = two_neurons(priced(barrier=(100.0,)))
    e = estimate(program, trace_of(program, SPIKES))
    assert_span(e.latency_seconds, 4 * 50 * NANO, 4 * 100 * NANO, 4 * 200 * NANO)  # the barrier is longer
    assert_span(e.parts["static"], 5 * MILLI * 200e-9, 10 * MILLI * 400e-9, 20 * MILLI * 800e-9)
    assert_span(e.parts["host processors"], 0, 1 * MILLI * 400e-9, 2 * MILLI * 800e-9)
    assert e.energy_joules.typical == pytest.approx(sum(part.typical for part in e.parts.values()))
    assert_span(e.inferences_per_second, 1 / 800e-9, 1 / 400e-9, 1 / 200e-9)
    assert e.power_watts.typical == pytest.approx(e.energy_joules.typical / 400e-9)
    assert e.power_watts.low <= e.power_watts.typical <= e.power_watts.high


@pytest.mark.parametrize(
    ("encoding", "wiring", "operations", "reached"),
    [
        ("dense", np.ones((30, 4)), 120, 30),
        ("sparse", np.eye(30, 4), 4, 4),
        (
            "convolution",
            Conv(np.full((8, 1, 2, 2), 1, np.int8), (1, 8, 8), (1, 1), (0, 0), (1, 1)),
            8 * 4 * 49,
            8 * 49,
        ),
    ],
)
def test_operations_cost_by_their_encoding(encoding, wiring, operations, reached):
    targets, sources = wiring.shape
    shapes = (
        (wiring.input_shape, wiring.output_shape) if isinstance(wiring, Conv) else ((sources,), (targets,))
    )
    program = program_of(
        [Population("input", shapes[0], Input()), population("layer", shapes[1])],
        [connection("input", "layer", wiring)],
        target=priced(),
    )
    e = estimate(program, rates=1.0, steps=1)
    event = f"synaptic_operations_{encoding}"
    assert [name for name in e.operations if name.startswith("synaptic")] == [event]
    assert e.events[event] == operations
    price = JOULES[f"energy_per_synaptic_operation_{encoding}_pJ"]
    assert e.operations[event].typical == pytest.approx(operations * price * PICO)
    time = (
        operations * SECONDS[f"time_per_synaptic_operation_{encoding}_ns"]
        + sources * 17
        + targets * 11
        + reached * 8
        + (targets - reached) * 4
        + targets * 4  # in the other of the two steps
    )
    assert e.latency_seconds.typical == pytest.approx(time * NANO)


def test_hops_by_hand():
    # cores 0, 7 and 12 lie on the tiles (0, 0), (1, 0) and (1, 1)
    program = two_neurons(priced(), cores={7: ["a"], 12: ["b"]})
    e = estimate(program, trace_of(program, SPIKES))
    assert e.operations["hops_east_west"].typical == pytest.approx(
        2 * 23 * PICO
    )  # the input's, from the corner
    assert e.operations["hops_north_south"].typical == pytest.approx(29 * PICO)  # a's
    assert e.by_core[7].typical == pytest.approx((6 + 14 + 12 + 13 + 17 + 2 * 19 + 2 * 17 + 2 * 23) * PICO)
    assert e.by_core[12].typical == pytest.approx((3 + 7 + 18 + 19 + 29) * PICO)


def test_davies_numbers_on_loihi1():
    program = two_neurons("loihi1")
    e = estimate(program, trace_of(program, SPIKES))
    assert e.model == "davies-2018"
    assert e.parts["operations"].typical == pytest.approx((3 * 23.6 + 3 * 81 + 5 * 52 + 3 * 1.7) * PICO)
    assert e.parts["static"].typical == pytest.approx(96.3e-3 * e.latency_seconds.typical)
    assert e.steps_seconds.typical == pytest.approx(4 * 113 * NANO)


def test_sana_fes_numbers_on_loihi1():
    program = two_neurons("loihi1")
    e = estimate(program, trace_of(program, SPIKES), model="sana-fe")
    assert e.model == "sana-fe"
    operations = 3 * 33.6 + 3 * (51.2 + 21.6) + 5 * 51.2 + 69.3 + 3 * 111
    assert e.parts["operations"].typical == pytest.approx(operations * PICO)
    after = estimate(program, trace_of(program, SPIKES), model="sana-fe", timing="barrier-after")
    # updates of two neurons, a spike and a message; or 1, 2 messages and their synapses
    busiest = [16 + 4.7 + 0, 2 * 6.0 + 3.7 + 30 + 5.1, 2 * 6.0 + 2 * 3.7, 2 * 6.0]
    assert busiest[1] > 2 * (16 + 4.7)
    assert after.steps_seconds.typical == pytest.approx((4 * 600 + sum(busiest)) * NANO)
    assert e.steps_seconds.typical == pytest.approx(4 * 600 * NANO)


def test_an_unknown_model_or_timing_lists_the_choices():
    program = two_neurons("loihi1")
    with pytest.raises(
        ChipError, match="loihi1 has no cost model 'mine': choose one of davies-2018, sana-fe"
    ):
        estimate(program, rates=0.1, model="mine")
    with pytest.raises(
        InputError, match="there is no timing 'mine': choose one of largest, barrier-after, queueing"
    ):
        estimate(program, rates=0.1, timing="mine")
