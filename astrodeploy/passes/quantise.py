"""quantise: from the float network to integers of the chip's formats.

A LIF with k = dt / tau becomes v' = v (4096 - dv) / 4096 + u + bias with v measured from v_reset, and
u = k r (weighted input): the factors are folded into the weights. `scale` integers make 1.0 of v; it
is the largest for which no accumulator can overflow, whatever the input, and the threshold leaves
room for overshoot. Nothing is clipped; everything that is rounded is noted with its error.
"""

from dataclasses import dataclass, replace
from functools import partial
from math import ceil, floor, log2

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, STATE_BITS, STATE_MAX
from astrodeploy.chip import Chip
from astrodeploy.compartments import KINDS, Kind, Range
from astrodeploy.compartments.astrocyte import LOG_BITS, TRACE_BITS
from astrodeploy.compartments.lif import CURRENT, GAIN, GAIN_UNITY
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Connection, CubaLIF, Graph, Population
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.nodes import Array, FloatArray, IntArray, Membrane
from astrodeploy.ir.numbers import (
    BIAS_MAX,
    DECAY,
    WEIGHT,
    WEIGHT_MAX,
    Fixed,
    Rounded,
    bias_format,
    mantissa_and_shift,
)
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note

HEADROOM = 4  # v can reach this many thresholds before it saturates
EXPONENTS = Range(-8, 7)  # weight exponents of the chip
GAIN_EXCESS = 1.0025  # the chip's power of two, a quadratic, is at most 0.25 % above the true one


@dataclass(frozen=True)
class Quantise:
    """Choose scales and exponents, and round weights, thresholds, decays and biases."""

    name = "quantise"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with an integer network. Raises UnsupportedError where a format can't hold a value."""
        graph = draft.graph
        populations: list[Population] = []
        connections: list[Connection] = []
        notes: list[Note] = []
        for population in graph.populations:
            node = population.node
            if isinstance(node, Membrane):
                part = _neurons(graph, population, node, draft.chip)
            elif isinstance(node, Astrocyte):
                part = _astrocytes(graph, population, node)
            else:
                part = _Part(population, (), ())
            populations.append(part.population)
            connections += part.connections
            notes += part.notes
        integer = replace(graph, populations=tuple(populations), connections=tuple(connections))
        return replace(draft, graph=integer), tuple(notes)


@dataclass(frozen=True)
class _Part:
    """An integer population with the connections that end in it, and what was rounded."""

    population: Population
    connections: tuple[Connection, ...]
    notes: Notes


@dataclass(frozen=True, eq=False)
class _Membrane:
    """A neuron's equation with all factors folded, v measured from v_reset; arrays of one per neuron."""

    factor: FloatArray  # of the weighted input
    dv: Rounded
    du: Rounded
    threshold: FloatArray
    rest: FloatArray
    bias: FloatArray
    modulated_bias: FloatArray


def _membrane(name: str, node: Membrane, dt: float, modulated: bool) -> _Membrane:
    flat = {key: array.reshape(-1) for key, array in node.arrays().items()}
    k = dt / flat["tau"]
    factor = k * flat["r"]
    du = DECAY.round(np.ones_like(k), f"{name}.du")
    bias, modulated_bias = k * (flat["v_leak"] - flat["v_reset"]), factor * flat["bias"]
    if not modulated:
        bias, modulated_bias = bias + modulated_bias, np.zeros_like(k)
    if isinstance(node, CubaLIF):
        if np.any(flat["bias"]):
            raise UnsupportedError(
                f"{name} has a bias in its synaptic current, where the chip has none: train it with bias=False"
            )
        k_syn = dt / flat["tau_syn"]
        factor = factor * k_syn * flat["w_in"]
        du = DECAY.round(k_syn, f"{name}.du")
    return _Membrane(
        factor=factor,
        dv=DECAY.round(k, f"{name}.dv"),
        du=du,
        threshold=flat["v_threshold"] - flat["v_reset"],
        rest=flat["v_leak"] - flat["v_reset"],
        bias=bias,
        modulated_bias=modulated_bias,
    )


def _neurons(graph: Graph, population: Population, node: Membrane, chip: Chip) -> _Part:
    name = population.name
    gains = resting_gains(graph).get(name)
    membrane = _membrane(name, node, graph.dt, gains is not None)
    synapses = [c for c in graph.into(name) if c.port == "current"]
    weights = [membrane.factor[:, None] * c.weight for c in synapses]
    bits = min(WEIGHT.bits, chip.widths.weight_bits.value)
    accumulator = min(CURRENT.range.high << ALIGNMENT, chip.accumulator_limit or STATE_MAX << ALIGNMENT)
    scale = _scale(name, membrane, weights, _largest_gain(graph, name), accumulator, Range.signed(bits))
    connections, notes = [], []
    for connection, weight in zip(synapses, weights, strict=True):
        quantised, note = _synapses(connection, weight, scale, Range.signed(bits))
        connections.append(quantised)
        notes.append(note)
    connections += [_modulation(c) for c in graph.into(name) if c.port == "modulation"]
    kind = KINDS["lif"] if gains is None else KINDS["modulated_lif"]
    rounded = _parameters(name, membrane, scale)
    if np.any(rounded["threshold"].integers == 0):
        raise UnsupportedError(
            f"{name} has thresholds that round to 0 on the chip, where its weights need the range: "
            "they are too far apart, scale them"
        )
    initial = {"u": np.zeros(population.size), "v": membrane.rest * scale}
    if gains is not None:
        initial["gain"] = gains * GAIN_UNITY
    compartments = Compartments(
        kind=kind,
        parameters={key: rounded[key].integers for key in kind.parameters},
        initial=_initial(name, kind, initial),
        units={"v": scale, "u": scale} | ({} if gains is None else {"gain": float(GAIN_UNITY)}),
    )
    notes += _parameter_notes(name, membrane, rounded, scale)
    return _Part(replace(population, node=compartments), tuple(connections), tuple(notes))


def _initial(name: str, kind: Kind, values: dict[str, FloatArray]) -> dict[str, IntArray]:
    return {
        key: Fixed(state.range, 1.0).round(values[key], f"{name}.{key} at rest").integers
        for key, state in kind.states.items()
    }


def _largest_gain(graph: Graph, name: str) -> float:
    astrocytes = [graph[c.source].node for c in graph.into(name) if c.port == "modulation"]
    highest = [2.0**node.high for node in astrocytes if isinstance(node, Astrocyte)]
    return float(max([1.0, *(GAIN_EXCESS * gain for gain in highest)]))


def _scale(
    name: str, membrane: _Membrane, weights: list[FloatArray], gain: float, accumulator: int, weight: Range
) -> float:
    """Integers per 1.0 of v: the largest that keeps every accumulator whole, with all bits of weight used.

    The threshold leaves HEADROOM, and every bias fits its format.

    Worst case: in every step, all inputs of one sign are active, at the largest gain. Where the least
    exponent of weights is too large for that, fewer bits are used.
    """
    together = np.concatenate(weights, 1) if weights else np.zeros((membrane.factor.size, 1))
    largest = float(np.abs(together).max())
    if largest == 0:
        raise UnsupportedError(f"{name} has no input other than zero weights")
    worst = np.maximum(np.maximum(together, 0).sum(1), np.maximum(-together, 0).sum(1)).max()
    if np.any(membrane.du.integers == 0):
        raise UnsupportedError(f"{name}.tau_syn is longer than 8192 steps: its decay rounds to none at all")
    memory = float((4096 / membrane.du.integers).max())
    headroom = float((STATE_MAX + 1) / HEADROOM / membrane.threshold.max())
    if biased := float(np.abs([membrane.bias, membrane.modulated_bias]).max()):
        headroom = min(headroom, BIAS_MAX / biased)
    floors = len(weights) << ALIGNMENT  # every connection's arrival is rounded down
    arriving = min(accumulator, (1 << (STATE_BITS - 1)) / (gain * memory)) - floors
    # rounding may make every weight larger by half a unit
    rounded_up = worst + together.shape[1] * largest / weight.high / 2
    unit = weight.high * (1 << ALIGNMENT) / largest  # the scale at exponent 0
    limit = min(headroom, arriving / rounded_up)
    if limit >= unit * 2.0**EXPONENTS.low:
        return float(unit * 2.0 ** min(EXPONENTS.high, floor(log2(limit / unit))))
    half = 2.0 ** (EXPONENTS.low + ALIGNMENT - 1)  # half a unit of weight at the least exponent
    limit = min(headroom, (arriving - together.shape[1] * half) / worst)
    if limit <= 0:
        raise UnsupportedError(
            f"{name} sums {together.shape[1]} inputs over up to {memory:.0f} steps, more than its current of "
            f"{STATE_BITS} bits holds: use fewer inputs or a shorter tau_syn"
        )
    return float(limit)


def _synapses(
    connection: Connection, weight: FloatArray, scale: float, allowed: Range
) -> tuple[Connection, Note]:
    """Weights of the chip's width with the least exponent that holds them."""
    target = weight * scale / (1 << ALIGNMENT)
    largest = float(np.abs(target).max(initial=0.0))
    exponent = max(EXPONENTS.low, ceil(log2(largest / allowed.high) - 1e-9)) if largest else 0
    rounded = Fixed(allowed, 2.0**-exponent).round(target, connection.name)
    if largest and rounded.zeroed == 1:
        raise UnsupportedError(
            f"{connection.name}: all its weights round to 0 on the chip, beside the thresholds, biases and other "
            f"weights of {connection.target}: leave it out, or rescale the layer"
        )
    note = Note(
        connection.name,
        f"weights are {allowed.bits}-bit integers times 2^{exponent}; rounding moves one by at most "
        f"{rounded.worst:.2%} of the largest, and makes {rounded.zeroed:.2%} of them zero",
        {
            "largest error": rounded.worst,
            "rounded to zero": rounded.zeroed,
            "exponent": float(exponent),
        },
    )
    return replace(connection, weight=rounded.integers.astype(np.int8), exponent=exponent), note


def _modulation(connection: Connection) -> Connection:
    if not np.all(np.isin(connection.weight, (0, 1))):
        raise UnsupportedError(f"{connection.name}: a gain is passed on as it is, with weights 0 or 1")
    return replace(connection, weight=connection.weight.astype(np.int8))


def _parameters(name: str, membrane: _Membrane, scale: float) -> dict[str, Rounded]:
    parameters = KINDS["modulated_lif"].parameters
    threshold = Fixed(parameters["threshold"], scale / (1 << ALIGNMENT))
    bias = Fixed(parameters["bias"], scale)
    return {
        "du": membrane.du,
        "dv": membrane.dv,
        "threshold": threshold.round(membrane.threshold, f"{name}.threshold"),
        "bias": bias_format(bias.round(membrane.bias, f"{name}.bias")),
        "modulated_bias": bias_format(bias.round(membrane.modulated_bias, f"{name}.bias")),
    }


def _parameter_notes(name: str, membrane: _Membrane, rounded: dict[str, Rounded], scale: float) -> list[Note]:
    errors = {key: value.worst for key, value in rounded.items() if value.worst}
    text = ", ".join(f"{key} by {error:.2g} of its value" for key, error in errors.items())
    notes = [
        Note(name, f"1.0 of its membrane is {scale:.6g} on the chip; rounded: {text or 'nothing'}", errors)
    ]
    if np.any(membrane.dv.integers == 0):
        notes.append(Note(name, "its membrane time constant is beyond 8192 steps: it does not leak at all"))
    return notes


def _astrocytes(graph: Graph, population: Population, node: Astrocyte) -> _Part:
    name, kind = population.name, KINDS["astrocyte"]
    (pool,) = graph.into(name)
    per_count = node.decay * 2.0**TRACE_BITS / node.period  # trace for a count of one, at weights of one
    most = STATE_MAX / node.period if node.set_point else 0.0
    whole, factors, error = _pool(name, pool.weight, per_count / kind.parameters["drive"].high, most)
    window = node.period * factors  # integer counts that make a drive of 1.0
    set_point = Fixed(kind.parameters["set_point"], 1.0).round(node.set_point * window, f"{name}.set_point")
    trace_decay = DECAY.round(np.full(population.size, node.decay), f"{name}.trace_decay")
    if node.decay and not trace_decay.integers[0]:
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
        initial=_initial(name, kind, {"count": zeros, "trace": zeros, "log_gain": log_gain}),
        period=node.period,
        units={"trace": 2.0**TRACE_BITS, "log_gain": 2.0**LOG_BITS},
    )
    errors = {"set_point": set_point.worst, "trace_decay": trace_decay.worst}
    told = ", ".join(f"{key} by {worst:.2g} of its value" for key, worst in errors.items() if worst)
    note = Note(
        name,
        f"updated every {node.period} steps; gains from {2**node.low:g} to {2**node.high:g} in "
        f"{GAIN.bits} bits, 1.0 is {GAIN_UNITY}; rounded: {told or 'nothing'}; pool weights are "
        + ("exact" if error < 1e-12 else f"rounded by at most {error:.2%} of the largest, their sums kept"),
        {"largest pool weight error": error} | errors,
    )
    return _Part(replace(population, node=compartments), (replace(pool, weight=whole),), (note,))


def _factor(name: str, what: str, value: float) -> tuple[int, int]:
    parameters = KINDS["astrocyte"].parameters
    return mantissa_and_shift(value, parameters[what], parameters[f"{what}_shift"], f"{name}.{what}")


def _pool(name: str, weight: Array, least_factor: float, most: float) -> tuple[Array, FloatArray, float]:
    """Pool weights as int8, the integer that makes 1.0 in each row, and the largest relative error.

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
    multiples = weight / least[:, None]
    exact = np.all(np.abs(multiples - np.rint(multiples)) < 1e-9, 1) & (largest <= WEIGHT_MAX * least)
    room = np.floor(WEIGHT_MAX * least / largest + 1e-9)
    finest = np.floor(most * least / magnitude.sum(1))
    multiple = np.clip(np.maximum(np.ceil(least_factor * least), finest), 1, np.maximum(room, 1))
    factors = np.where(exact, multiple / least, WEIGHT_MAX / largest)
    scaled = weight * factors[:, None]
    whole = np.diff(np.floor(np.cumsum(scaled, 1) + 0.5), prepend=0)
    whole = np.clip(whole, -WEIGHT_MAX, WEIGHT_MAX)  # a sum's last bit may be wrong
    return whole.astype(np.int8), factors, float(np.abs(whole - scaled).max() / np.abs(scaled).max())
