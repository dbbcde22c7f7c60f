"""Small Programs, prices that are all different, and runs that are written down by hand."""

import numpy as np
import pytest
from hand_mapped import connection, population, program_of

from astrodeploy.chip import Barrier, Cost, CostModel, load_target
from astrodeploy.ir import Input, Population
from astrodeploy.trace import Trace

PICO, NANO, MILLI = 1e-12, 1e-9, 1e-3

# every kind of event has a price of its own
JOULES = {
    "energy_per_synaptic_operation_dense_pJ": 2.0,
    "energy_per_synaptic_operation_sparse_pJ": 3.0,
    "energy_per_synaptic_operation_convolution_pJ": 5.0,
    "energy_per_active_update_pJ": 7.0,
    "energy_per_inactive_update_pJ": 6.0,
    "energy_per_spike_pJ": 13.0,
    "energy_per_message_sent_pJ": 17.0,
    "energy_per_message_received_pJ": 19.0,
    "energy_per_hop_east_west_pJ": 23.0,
    "energy_per_hop_north_south_pJ": 29.0,
    "energy_per_core_step_pJ": 31.0,
}
SECONDS = {
    "time_per_synaptic_operation_dense_ns": 2.0,
    "time_per_synaptic_operation_sparse_ns": 3.0,
    "time_per_synaptic_operation_convolution_ns": 5.0,
    "time_per_active_update_ns": 8.0,
    "time_per_inactive_update_ns": 4.0,
    "time_per_spike_ns": 11.0,
    "time_per_message_sent_ns": 13.0,
    "time_per_message_received_ns": 17.0,
    "time_per_hop_east_west_ns": 0.0,
    "time_per_hop_north_south_ns": 0.0,
    "time_per_message_on_link_ns": 0.0,
}


def cost(typical):
    return Cost(low=typical / 2, typical=typical, high=typical * 2, source="made up", quality="assumed")


def priced(barrier=(0.0,), tiles=(1,), overlaps=False, board=None, **changes):
    """A board of toy chips with these prices; low is a half, high the double."""
    prices = {name: cost(n) for name, n in (JOULES | SECONDS | changes).items()}
    times = [tuple(factor * t for t in barrier) for factor in (0.5, 1, 2)]
    least = Barrier(tiles=tiles, low=times[0], typical=times[1], high=times[2], source="x", quality="assumed")
    model = CostModel(
        description="made up", sending_overlaps_receiving=overlaps, time_per_barrier_ns=least, **prices
    )
    board = board or load_target("toy")
    return board.model_copy(update={"chip": board.chip.model_copy(update={"costs": {"toy": model}})})


FREE = dict.fromkeys((name for name in SECONDS if "hop" not in name and "link" not in name), 0.0)


def two_neurons(target="toy", inputs=None, cores=None):
    """input -> a -> b, one neuron each."""
    return program_of(
        [inputs or Population("input", (1,), Input()), population("a", 1), population("b", 1, depth=2)],
        [connection("input", "a", [[1]]), connection("a", "b", [[1]])],
        cores,
        target,
    )


def closed_loop(period=4, inputs=None):
    pool = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    return program_of(
        [
            inputs or Population("input", (3,), Input()),
            population("layer", 4, "modulated_lif", threshold=1, du=4096),
            population("astro", 2, "astrocyte", depth=2, period=period),
        ],
        [
            connection("input", "layer", np.full((4, 3), 9)),
            connection("layer", "astro", pool, "activity"),
            connection("astro", "layer", pool.T, "modulation", lag=1),
        ],
    )


def trace_of(program, spikes, stream=False, steps=None):
    rows = len(spikes[program.network.output])
    return Trace(
        engine="hand",
        program=program.fingerprint,
        steps=steps or spikes["input"].shape[1],
        stream=stream,
        spikes=spikes,
        states={},
        outputs=np.zeros((rows, 1)),
        events={},
        seconds=0.0,
        versions={},
    )


def column(*values):
    return np.array(values)[None, :, None]


def assert_span(span, low, typical, high):
    assert (span.low, span.typical, span.high) == pytest.approx((low, typical, high), rel=1e-9)


def spread(target="toy"):
    """Three layers on five cores of several tiles."""
    return program_of(
        [
            Population("input", (20,), Input()),
            population("a", 30),
            population("b", 20, depth=2),
        ],
        [connection("input", "a", np.ones((30, 20))), connection("a", "b", np.eye(20, 30))],
        {
            0: [("a", (0, 12))],
            6: [("a", (12, 24))],
            9: [("a", (24, 30)), ("b", (0, 3))],
            15: [("b", (3, 20))],
        },
        target,
    )


SPIKES = {"input": column(1, 1, 0, 0), "a": column(0, 1, 0, 0), "b": column(0, 0, 0, 0)}
# step  synaptic operations   active   messages received   sent, spikes
#  0    1 (input -> a)                 1
#  1    2 (input -> a, a->b)  a        2                   1 (a -> b)
#  2                          a, b
#  3
# in all 3 operations (of one synapse each: sparse), 3 active and 5 inactive updates, 3 received of which 2 are
# the input's, 1 sent
