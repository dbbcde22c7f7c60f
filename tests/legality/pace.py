"""The time that every core takes of a step, counted from a Program's folder: what a mapping for speed promises.

A core updates its neurons, active where something is expected to arrive and the longer the more operations
their kind has; sends their spikes, a message for every box of targets; receives messages and goes through the
synapses of each. Times are the typical ones of the chip's own cost model.
"""

from collections.abc import Mapping
from math import exp
from pathlib import Path

from legality.checker import Counted
from legality.folder import Population, read
from legality.memory import Part
from legality.network import operations

PLAIN_LIF = 15  # operations of the kind whose updates the cost models time
CHARGED_AS = {"runlength": "sparse"}


def core_times(path: Path, rates: Mapping[str, float]) -> list[float]:
    """Nanoseconds of every core, where the neurons of a population send so often in a step."""
    counted = Counted(read(path))
    return [_core(counted, i, rates) for i in range(len(counted.loads))]


def _core(counted: Counted, i: int, rates: Mapping[str, float]) -> float:
    chip = counted.folder.chip
    model = chip["costs"][chip["cost_model"]]
    time = lambda name: float(model[f"time_per_{name}_ns"]["typical"])
    sending = receiving = 0.0
    for each in counted.folder.cores[i]["slices"]:
        population = counted.folder.network.populations[each["population"]]
        neurons = Part.of(each["ranges"], population.shape).neurons
        sent = rates[population.name] * counted.ways[population.name][neurons].sum()
        sending += neurons.size * (_update(counted, population, rates, time))
        sending += neurons.size * rates[population.name] * time("spike") + sent * time("message_sent")
    for connection, takes in counted.arriving[i]:
        kind = counted.encodings[connection.name].name
        operation = time(f"synaptic_operation_{CHARGED_AS.get(kind, kind)}")
        receiving += rates[connection.source] * takes.senders.size * time("message_received")
        receiving += rates[connection.source] * takes.synapses * operation
    return max(sending, receiving) if model["sending_overlaps_receiving"] else sending + receiving


def _update(counted: Counted, population: Population, rates: Mapping[str, float], time) -> float:
    """One neuron's update, in the mean over its population."""
    every = (pair for core in counted.arriving for pair in core if pair[0].target == population.name)
    arriving = sum(rates[c.source] * takes.synapses for c, takes in every) / population.size
    reached = 1 - exp(-arriving)
    step, window = (
        len(operations(population.kind | {other: None})) / PLAIN_LIF for other in ("window", "step")
    )
    slow = time("active_update") * window / population.period if population.period else 0.0
    return (reached * time("active_update") + (1 - reached) * time("inactive_update")) * step + slow
