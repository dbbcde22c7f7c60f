"""How astrocytes become integers: windows, traces and log gains in the formats of their kind."""

from dataclasses import replace
from functools import partial

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, STATE_MAX
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.astrocyte import LOG_BITS, TRACE_BITS
from astrodeploy.compartments.lif import GAIN, GAIN_UNITY
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.numbers import DECAY, Fixed, initial_states, mantissa_and_shift
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Notes
from astrodeploy.program import Note


def quantised_astrocytes(
    graph: Graph, population: Population, node: Astrocyte, limits: Formats
) -> tuple[Population, tuple[Connection, ...], Notes]:
    """The integer population, the connections that end in it, and what was rounded."""
    name, kind = population.name, KINDS["astrocyte"]
    (pool,) = graph.into(name)
    decay = float(node.decay.flat[0])
    per_count = decay * 2.0**TRACE_BITS / node.period  # trace for a count of one, at weights of one
    most = STATE_MAX / node.period if node.set_point else 0.0
    whole, factors, error = _pool(name, pool.weight, per_count / kind.parameters["drive"].high, most, limits)
    window = node.period * factors  # integer counts that make a drive of 1.0
    set_point = Fixed(kind.parameters["set_point"], 1.0).round(node.set_point * window, f"{name}.set_point")
    trace_decay = DECAY.round(np.full(population.size, decay), f"{name}.trace_decay")
    if decay and not trace_decay.integers[0]:
        raise UnsupportedError(f"{name}.tau is longer than 8192 periods: its decay rounds to none at all")
    drives = [_factor(name, "drive", per_count / each) for each in factors]
    rate = _factor(name, "rate", node.rate * 2.0 ** (LOG_BITS - TRACE_BITS))
    everywhere = partial(np.full, population.size)
    parameters = {
        "set_point": set_point.integers,
        "trace_decay": trace_decay.integers,
        "drive": np.array([m for m, _ in drives]),
        "drive_shift": np.array([s for _, s in drives]),
        "rate": everywhere(rate[0]),
        "rate_shift": everywhere(rate[1]),
        "log_gain_low": everywhere(max(round(node.low * 2**LOG_BITS), kind.parameters["log_gain_low"].low)),
        "log_gain_high": everywhere(
            min(round(node.high * 2**LOG_BITS), kind.parameters["log_gain_high"].high)
        ),
    }
    log_gain = node.log_gain.reshape(-1) * 2.0**LOG_BITS
    zeros = np.zeros(population.size)
    compartments = Compartments(
        kind=kind,
        parameters=parameters,
        initial=initial_states(name, kind, {"count": zeros, "trace": zeros, "log_gain": log_gain}),
        period=node.period,
        units={"trace": 2.0**TRACE_BITS, "log_gain": 2.0**LOG_BITS},
    )
    errors = {"set_point": set_point.worst, "trace_decay": trace_decay.worst}
    note = _note(name, node, error, errors)
    return replace(population, node=compartments), (replace(pool, wiring=Dense(whole)),), (note,)


def _note(name: str, node: Astrocyte, error: float, errors: dict[str, float]) -> Note:
    told = ", ".join(f"{key} by {worst:.2g} of its value" for key, worst in errors.items() if worst)
    return Note(
        name,
        f"updated every {node.period} steps; gains from {2**node.low:g} to {2**node.high:g} in "
        f"{GAIN.bits} bits, 1.0 is {GAIN_UNITY}; rounded: {told or 'nothing'}; pool weights are "
        + ("exact" if error < 1e-12 else f"rounded by at most {error:.2%} of the largest, their sums kept"),
        {"largest pool weight error": error} | errors,
    )


def _factor(name: str, what: str, value: float) -> tuple[int, int]:
    parameters = KINDS["astrocyte"].parameters
    return mantissa_and_shift(value, parameters[what], parameters[f"{what}_shift"], f"{name}.{what}")


def _pool(
    name: str, weight: Array, least_factor: float, most: float, limits: Formats
) -> tuple[Array, FloatArray, float]:
    """Pool weights as the chip's, the integer that makes 1.0 in each row, and the largest relative error.

    Rows whose weights are multiples of their least one are exact; they are multiplied further where
    the factor would be too small, or as far as a step then counts no more than `most`. All others are
    rounded so that the sum over any stretch of a row is kept: in a layer of thousands, where a
    neuron's share of the mean is less than 1, some neurons stand for all.
    """
    magnitude = np.abs(weight)
    least = np.where(magnitude > 0, magnitude, np.inf).min(1)
    largest = magnitude.max(1)
    if not np.all(np.isfinite(least)):
        raise UnsupportedError(
            f"{name} observes nothing: a domain is empty, or is the whole layer with its own mean as target; "
            "give more domains, or a number of spikes per neuron and step as target"
        )
    held, total = limits.weight.high, magnitude.sum(1)
    arriving = limits.accumulator >> ALIGNMENT  # all that a step may bring
    multiples = weight / least[:, None]
    exact = np.all(np.abs(multiples - np.rint(multiples)) < 1e-9, 1) & (largest <= held * least)
    exact &= total <= arriving * least
    room = np.floor(np.minimum(held * least / largest + 1e-9, arriving * least / total))
    finest = np.floor(most * least / total)
    multiple = np.clip(np.maximum(np.ceil(least_factor * least), finest), 1, np.maximum(room, 1))
    summed = np.maximum(arriving - np.count_nonzero(weight, 1), 0) / total  # rounding may add 1 to each
    factors = np.where(exact, multiple / least, np.minimum(held / largest, summed))
    if not np.all(factors):
        raise UnsupportedError(
            f"{name} pools {np.count_nonzero(weight, 1).max()} neurons, more than the chip's accumulator of "
            f"{limits.accumulator} adds up in a step: give it more domains, each of fewer neurons"
        )
    scaled = weight * factors[:, None]
    whole = np.diff(np.floor(np.cumsum(scaled, 1) + 0.5), prepend=0)
    whole = np.clip(whole, -held, held)  # a sum's last bit may be wrong
    return whole.astype(np.int8), factors, float(np.abs(whole - scaled).max() / np.abs(scaled).max())
