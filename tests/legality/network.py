"""What a network asks of its chip wherever its neurons lie, and what one neuron is: widths, delays, state, programs."""

from collections.abc import Callable, Iterator
from math import ceil

import numpy as np
from legality.folder import Connection, Folder, Population
from legality.meaning import synapses_are_those_of_the_float_network

FREE = {"constant", "state", "parameter", "input"}  # operations that only name a register
Found = Iterator[str]


def width_of(low: int, high: int) -> int:
    """Width of an interval of whole numbers: signed where it has a negative part."""
    if low < 0:
        return max((-low - 1).bit_length(), max(0, high).bit_length()) + 1
    return max(1, high.bit_length())


def state_bits(kind: dict) -> int:
    """All states of one neuron, each at its own width."""
    return sum(width_of(low, high) for low, high, *_ in kind["states"].values())


def operations(kind: dict) -> list[str]:
    """What a neuron's program computes, in the step and at the end of a window."""
    lists = [kind["step"], kind["window"]]
    every = [name for each in lists if each for name, *_ in each["operations"]]
    return [name for name in every if name not in FREE]


DECAYED = ["subtract", "multiply", "shift_toward_zero"]
FIRED = ["saturate", "shift_left", "less", "select"]
CURRENT = [*DECAYED, "shift_left", "add", "wrap"]
PROGRAMS = {  # what the chips' own kinds do, whatever they are called
    "lif": ["shift_left", *DECAYED, "add", "wrap", *DECAYED, "add", "add", *FIRED],
    "sic": [*CURRENT, *DECAYED, "add", "saturate", *CURRENT, *DECAYED, "add", "maximum", "add", *FIRED],
}


def fixed_kind(folder: Folder, population: Population) -> str | None:
    """The chip's own kind that a population is of; None for one that runs as a program."""
    execution, done = folder.chip["execution"], operations(population.kind) if population.kind else None
    return next((k for k in (*execution["kinds"], *execution["joined"]) if PROGRAMS.get(k) == done), None)


def _neurons(folder: Folder) -> list[Population]:
    return [p for p in folder.network.populations.values() if p.kind is not None]


def chip_executes_every_kind(folder: Folder) -> Found:
    """A kind is one of the chip's own, or a program of operations that it has."""
    execution = folder.chip["execution"]
    for population in _neurons(folder):
        missing = set(operations(population.kind)) - set(execution["operations"])
        if missing and fixed_kind(folder, population) is None:
            yield f"{population.name} needs the operations {', '.join(sorted(missing))}"


def weights_delays_and_exponents_have_their_width(folder: Folder) -> Found:
    """Weights are signed numbers of the chip's bits; a delay is at least one step."""
    bits, exponent_bits = folder.width("weight_bits"), folder.width("weight_exponent_bits")
    for c in folder.network.connections:
        low, high = int(c.values.min(initial=0)), int(c.values.max(initial=0))
        if c.values.dtype.kind != "i" or low < -(1 << bits - 1) or high >= 1 << bits - 1:
            yield f"{c.name} has {c.values.dtype} weights {low}..{high}, the chip's have {bits} bits"
        if exponent_bits is not None and width_of(min(-1, c.exponent), c.exponent) > exponent_bits:
            yield f"{c.name} has the exponent {c.exponent}, the chip's have {exponent_bits} bits"
        if not 1 <= c.delay <= folder.limit("maximal_delay_steps"):
            yield f"{c.name} has a delay of {c.delay} steps"


def messages_have_their_width(folder: Folder) -> Found:
    """A spike fits everywhere, anything else needs a payload."""
    for population in folder.network.populations.values():
        low, high = population.message
        width = folder.width("message_bits")
        if not 0 <= low <= high <= 1 and width_of(low, high) > width:
            yield f"{population.name} sends {low}..{high}, a message has {width} bits"


def parameters_have_their_width(folder: Folder) -> Found:
    """Thresholds, decays and biases fit the chip's fields."""
    threshold, decay = folder.width("threshold_mantissa_bits"), folder.width("decay_bits")
    mantissa = folder.width("bias_mantissa_bits")
    for population in _neurons(folder):
        held = population.kind["registers"]
        most = dict.fromkeys(held["thresholds"], None if threshold is None else (1 << threshold) - 1)
        most |= dict.fromkeys(
            (name for pair in held["decays"] for name in pair), None if decay is None else 1 << decay
        )
        for name, limit in most.items():
            values = population.parameters[name]
            if limit is not None and (values.min() < 0 or values.max() > limit):
                yield f"{population.name}.{name} is {values.min()}..{values.max()}, the chip holds 0..{limit}"
        for name in held["biases"] if mantissa is not None else ():
            wrong = [b for b in set(population.parameters[name].tolist()) if not _is_bias(b, folder)]
            if wrong:
                yield f"{population.name}.{name} is {wrong[0]}, which is no mantissa of {mantissa} bits and a shift"


def _is_bias(bias: int, folder: Folder) -> bool:
    half = 1 << folder.width("bias_mantissa_bits") - 1
    shifts = range(folder.width("maximal_bias_exponent") + 1)
    return any(bias % (1 << s) == 0 and -half <= bias >> s < half for s in shifts)


def accumulators_hold_all_that_can_arrive(folder: Folder) -> Found:
    """In the worst step: every message at its end, all connections of a port at once."""
    bits = folder.width("accumulator_bits")
    for population in _neurons(folder):
        for port, (allowed_low, allowed_high, _) in population.kind["inputs"].items():
            low, high = np.zeros((2, population.size), np.int64)
            for c in folder.network.connections:
                if (c.target, c.port) == (population.name, port):
                    least, most = _arriving(folder, c, population.size)
                    low, high = low + least, high + most
            if low.min() < allowed_low or high.max() > allowed_high:
                yield f"{population.name}.{port} takes {low.min()}..{high.max()} of {allowed_low}..{allowed_high}"
            if bits is not None and max(-low.min(), high.max()) << 6 > (1 << bits) - (1 << 6):
                yield f"{population.name}.{port} takes {low.min()}..{high.max()}, the accumulator has {bits} bits"


def _arriving(folder: Folder, connection: Connection, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that a connection brings to every neuron, in whole units, rounded down."""
    low, high = folder.network.populations[connection.source].message
    least, most = np.zeros((2, size), np.int64)
    weight = connection.synapses.weight.astype(np.int64)
    np.add.at(least, connection.synapses.target, np.minimum(weight * low, weight * high))
    np.add.at(most, connection.synapses.target, np.maximum(weight * low, weight * high))
    by = connection.exponent
    return (least << by, most << by) if by >= 0 else (least >> -by, most >> -by)


def states_have_room(folder: Folder) -> Found:
    """A neuron's states fit its part of the state memory."""
    limit = folder.limit("state_bytes_per_neuron")
    for population in _neurons(folder):
        needed = ceil(state_bits(population.kind) / 8)
        if limit is not None and needed > limit:
            yield f"{population.name} keeps {needed} bytes of state a neuron of {limit}"


NETWORK_RULES: tuple[Callable[[Folder], Found], ...] = (
    chip_executes_every_kind,
    weights_delays_and_exponents_have_their_width,
    messages_have_their_width,
    parameters_have_their_width,
    accumulators_hold_all_that_can_arrive,
    states_have_room,
    synapses_are_those_of_the_float_network,
)
