"""Loihi 2's cost model from the PilotNet-LIF measurement, with our events on the published cut of its layers.

The typical values in targets/loihi2/chip.toml were found when weights of 0 counted as synaptic operations. The scale is
given both ways: as the file was made, and as operations are counted now.
"""

import numpy as np
import rows
import workloads
from measured import PILOTNET_NUMBERS

from astrodeploy.chip import load_chip
from astrodeploy.costs.events import core_events
from astrodeploy.costs.placed import placed

SCALED = ("dense", "sparse", "convolution")


def calibration():
    """The arithmetic, step by step: a line's text and number, in order."""
    program, _, three = rows.pilotnet_runs()
    loihi1, loihi2 = load_chip("loihi1").cost("davies-2018"), load_chip("loihi2").cost("pilotnet")
    frame = _frame_events(program, three)
    taken = PILOTNET_NUMBERS[0].middle * 1e3  # uJ
    moved = _microjoules(frame, loihi2, _moving())
    predicted = _microjoules(frame, loihi1, _working())
    scale = (taken - moved) / predicted
    zeros = _operations_on_zeros(program, three) * loihi1.energy_per_synaptic_operation_convolution_pJ.typical
    energy = "energy_per_synaptic_operation_convolution_pJ"
    stands = getattr(loihi2, energy).typical / getattr(loihi1, energy).typical
    return {
        **{
            f"{name.replace('_', ' ')} of a frame of {rows.PILOTNET_STEPS} steps": n
            for name, n in frame.items()
            if n
        },
        "measured dynamic energy, uJ": taken,
        "of which messages and hops at Loihi 1's cost, uJ": moved,
        "synaptic operations and updates at Loihi 1's cost (davies-2018), uJ": predicted,
        "scale that meets the measurement": scale,
        "the same if weights of 0 counted, as when the file was made": (taken - moved)
        / (predicted + zeros * 1e-6),
        "scale in targets/loihi2/chip.toml": stands,
        **_convolution(program, three, loihi2),
    }


def _frame_events(program, trace):
    """Events of a frame in steady state, the third of three, and the updates of the input layer."""
    found = core_events(program, trace.spikes, workloads.FRAME)
    share = rows.PILOTNET_STEPS / workloads.FRAME
    frame = {name: float(counts[:, _last(trace)].sum()) * share for name, counts in found.items()}
    frame["active_updates_of_the_input"] = rows.INPUT_NEURONS * rows.PILOTNET_STEPS
    return frame


def _last(trace):
    """The steps in which the last frame is shown."""
    return slice(trace.steps - workloads.FRAME, trace.steps)


def _operations_on_zeros(program, trace):
    """Weights of 0 in the filters that messages of the frame meet: the chip counts none of them."""
    found = 0.0
    for wired in placed(program).wired:
        stored = wired.stored
        sent = np.count_nonzero(trace.spikes[stored.connection.source][0, _last(trace)], axis=0).ravel()
        sources, counts = stored.synapses(stored.whole)
        found += float(sent[sources] @ (counts - stored.operations(stored.whole)))
    return found * rows.PILOTNET_STEPS / workloads.FRAME


def _working():
    names = {f"synaptic_operations_{kind}": f"energy_per_synaptic_operation_{kind}_pJ" for kind in SCALED}
    names |= {
        "active_updates": "energy_per_active_update_pJ",
        "inactive_updates": "energy_per_inactive_update_pJ",
    }
    return names | {"active_updates_of_the_input": "energy_per_active_update_pJ"}


def _moving():
    hops = {f"hops_{way}": f"energy_per_hop_{way}_pJ" for way in ("east_west", "north_south")}
    sent = "energy_per_message_sent_pJ"
    return hops | {"messages_sent": sent, "input_messages": sent}


def _microjoules(events, model, prices):
    return sum(events[name] * getattr(model, price).typical for name, price in prices.items()) * 1e-6


def _convolution(program, trace, model):
    """The time of a synaptic operation of a convolution, from the time of a step."""
    counts = core_events(program, trace.spikes, workloads.FRAME)["synaptic_operations_convolution"]
    busiest = float(counts[:, _last(trace)].max(0).mean())
    stands = model.time_per_synaptic_operation_convolution_ns.typical
    pace = rows.pilotnet_frame("pilotnet")[1].typical / workloads.FRAME * 1e9
    other = pace - stands * busiest
    taken = PILOTNET_NUMBERS[2].middle * 1e3
    return {
        "measured time of a step, ns": taken,
        "synaptic operations of the busiest core in a step": busiest,
        "the rest of its work, ns": other,
        "ns an operation that meet the measurement": (taken - other) / busiest,
        "ns an operation in targets/loihi2/chip.toml": stands,
    }
