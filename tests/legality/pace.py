"""The time that every core takes of a step, counted from a Program's folder: what a mapping for speed promises.

A core updates its neurons, the longer the more operations their kind has; sends their spikes, a message for every
box of targets; receives messages and goes through the synapses of each. Times are the typical ones of the chip's
own cost model; how often neurons send, and how many of them are active, is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from legality.checker import Counted
from legality.folder import Population, read
from legality.memory import Part
from legality.network import operations

PLAIN_LIF = 15  # operations of the kind whose updates the cost models time
CHARGED_AS = {"runlength": "sparse"}


@dataclass(frozen=True)
class Assumed:
    """What every population does in a step.

    rates   messages of a neuron, by the population's name
    active  the share of its neurons that are active, by its name and the synaptic operations of one of them
    """

    rates: Mapping[str, float]
    active: Callable[[str, float], float]


def core_times(path: Path, assumed: Assumed) -> list[float]:
    """Nanoseconds of every core in a step."""
    counted = Counted(read(path))
    return [_core(counted, i, assumed) for i in range(len(counted.loads))]


def _core(counted: Counted, i: int, assumed: Assumed) -> float:
    chip = counted.folder.chip
    model, rates = chip["costs"][chip["cost_model"]], assumed.rates
    time = lambda name: float(model[f"time_per_{name}_ns"]["typical"])
    sending = receiving = 0.0
    for each in counted.folder.cores[i]["slices"]:
        population = counted.folder.network.populations[each["population"]]
        neurons = Part.of(each["ranges"], population.shape).neurons
        sent = rates[population.name] * counted.ways[population.name][neurons].sum()
        active = assumed.active(population.name, _operations(counted, population, rates))
        sending += neurons.size * _update(population, active, time)
        sending += neurons.size * rates[population.name] * time("spike") + sent * time("message_sent")
    for connection, takes in counted.arriving[i]:
        kind = counted.encodings[connection.name].name
        operation = time(f"synaptic_operation_{CHARGED_AS.get(kind, kind)}")
        receiving += rates[connection.source] * takes.senders.size * time("message_received")
        receiving += rates[connection.source] * takes.synapses * operation
    return max(sending, receiving) if model["sending_overlaps_receiving"] else sending + receiving


def _operations(counted: Counted, population: Population, rates: Mapping[str, float]) -> float:
    """Synaptic operations of one neuron in a step, in the mean over its population."""
    every = (pair for core in counted.arriving for pair in core if pair[0].target == population.name)
    return sum(rates[connection.source] * takes.synapses for connection, takes in every) / population.size


def _update(population: Population, active: float, time: Callable[[str], float]) -> float:
    """One neuron's update, in the mean over its population."""
    kind = population.kind
    step, window = (len(operations(kind | {other: None})) / PLAIN_LIF for other in ("window", "step"))
    slow = time("active_update") * window / population.period if population.period else 0.0
    return (active * time("active_update") + (1 - active) * time("inactive_update")) * step + slow
