"""quantise: from the float network to integers of the chip's formats.

A neuron becomes v' = v (4096 - dv) / 4096 + u + bias with v measured from v_reset, and u = drive
(weighted input): the factors are folded into the weights. `scale` integers make 1.0 of v; it is the
largest for which no accumulator can overflow, whatever the input, and the threshold leaves room for
overshoot. A layer whose numbers all are whole in the chip's formats already keeps them. Nothing is
clipped; everything that is rounded is noted with its error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, floor, log2

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY, STATE_BITS, STATE_MAX, THRESHOLD_MAX
from astrodeploy.chip import Chip
from astrodeploy.compartments import KINDS, Kind, Range
from astrodeploy.compartments.lif import CURRENT, GAIN_UNITY, MESSAGE, Variant, neuron
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Connection, CubaLIF, Graph, Input, Population
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.nodes import Constant, Membrane
from astrodeploy.ir.numbers import BIAS_MAX, DECAY, WEIGHT, Fixed, Rounded, bias_format, initial_states
from astrodeploy.ir.verify import message_range
from astrodeploy.ir.wiring import Wiring
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.quantise_astrocytes import quantised_astrocytes
from astrodeploy.program import Note

HEADROOM = 4  # v can reach this many thresholds before it saturates
EXPONENTS = Range(-8, 7)  # weight exponents of the chip
GAIN_EXCESS = 1.0025  # the chip's power of two, a quadratic, is at most 0.25 % above the true one
UNLEAKING_STEPS = 64  # a membrane without leak and threshold has room for as many steps of its largest input
MESSAGE_SHIFT = STATE_BITS - MESSAGE.bits  # of a membrane: the largest v is the largest message
WHOLE = 1e-9  # relative error below which a number counts as whole: it came from a float division


@dataclass(frozen=True)
class Quantise:
    """Choose scales and exponents, and round weights, thresholds, decays and biases."""

    name = "quantise"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with an integer network. Raises UnsupportedError where a format can't hold a value."""
        parts: dict[str, _Part] = {}
        for population in draft.graph.populations:
            parts[population.name] = _part(draft.graph, population, draft.chip, parts)
        integer = replace(
            draft.graph,
            populations=tuple(part.population for part in parts.values()),
            connections=tuple(c for part in parts.values() for c in part.connections),
        )
        return replace(draft, graph=integer), tuple(n for part in parts.values() for n in part.notes)


@dataclass(frozen=True)
class _Part:
    """An integer population with the connections that end in it, and what was rounded.

    A message of 1 stands for `unit` in the float network.
    """

    population: Population
    connections: tuple[Connection, ...]
    notes: Notes
    unit: float = 1.0


def _part(graph: Graph, population: Population, chip: Chip, done: Mapping[str, _Part]) -> _Part:
    node = population.node
    if isinstance(node, Membrane):
        return _neurons(graph, population, node, chip, done)
    if isinstance(node, Astrocyte):
        return _Part(*quantised_astrocytes(graph, population, node))
    if isinstance(node, Constant):
        return _Part(_always_on(population), (), ())
    return _Part(population, (), (), 1 / node.unit if isinstance(node, Input) else 1.0)


def _always_on(population: Population) -> Population:
    """Neurons that a bias makes fire in every step."""
    kind, n = KINDS["lif"], population.size
    values = {"du": DECAY_UNITY, "dv": DECAY_UNITY - 1, "threshold": 0, "bias": 1}
    node = Compartments(
        kind=kind,
        parameters={k: np.full(n, v) for k, v in values.items()},
        initial={k: np.zeros(n, np.int64) for k in kind.states},
    )
    return replace(population, node=node)


@dataclass(frozen=True, eq=False)
class _Membrane:
    """A neuron's equation with all factors folded, v measured from `origin`; arrays of one per neuron."""

    factor: FloatArray  # of the weighted input
    dv: Rounded
    du: Rounded
    threshold: FloatArray
    rest: FloatArray
    bias: FloatArray
    modulated_bias: FloatArray
    spikes: bool


def _membrane(population: Population, node: Membrane, dt: float, modulated: bool) -> _Membrane:
    name, size = population.name, population.size
    flat = {key: _spread(array, size) for key, array in node.arrays().items()}
    leak, factor = _spread(node.leak(dt), size), _spread(node.drive(dt), size)
    spikes = node.sends == "spikes"
    origin = flat["v_reset"] if spikes else np.zeros(size)
    du = DECAY.round(np.ones(size), f"{name}.du")
    bias, modulated_bias = leak * (flat["v_leak"] - origin), factor * flat["bias"]
    if not modulated:
        bias, modulated_bias = bias + modulated_bias, np.zeros(size)
    if isinstance(node, CubaLIF):
        if np.any(flat["bias"]):
            raise UnsupportedError(f"{name} has a bias in its synaptic current: the pass lower comes first")
        fall = _spread(node.fall(dt), size)
        factor = factor * fall * flat["w_in"]
        du = DECAY.round(fall, f"{name}.du")
    return _Membrane(
        factor=factor,
        dv=DECAY.round(leak, f"{name}.dv"),
        du=du,
        threshold=flat["v_threshold"] - origin if spikes else np.zeros(size),
        rest=flat["v_leak"] - origin,
        bias=bias,
        modulated_bias=modulated_bias,
        spikes=spikes,
    )


def _spread(array: FloatArray, size: int) -> FloatArray:
    return np.broadcast_to(array.ravel(), (size,))


def _neurons(
    graph: Graph, population: Population, node: Membrane, chip: Chip, done: Mapping[str, _Part]
) -> _Part:
    name = population.name
    gains = resting_gains(graph).get(name)
    membrane = _membrane(population, node, graph.dt, gains is not None)
    synapses = [c for c in graph.into(name) if c.port == "current"]
    sources = [_source(name, c, done) for c in synapses]
    weights = [c.wiring.scaled(membrane.factor * s.unit) for c, s in zip(synapses, sources, strict=True)]
    allowed = Range.signed(min(WEIGHT.bits, chip.widths.weight_bits.value))
    scale = None if gains is not None else _on_grid(membrane, weights, allowed)
    on_grid = scale is not None
    if scale is None:
        accumulator = min(CURRENT.range.high << ALIGNMENT, chip.accumulator_limit or STATE_MAX << ALIGNMENT)
        worst = _worst(weights, [message_range(s.population) for s in sources])
        scale = _scale(name, membrane, worst, _largest_gain(graph, name), accumulator, allowed)
    connections, notes = [], []
    for connection, weight in zip(synapses, weights, strict=True):
        quantised, note = _synapses(connection, weight, scale, allowed)
        connections.append(quantised)
        notes.append(note)
    connections += [_modulation(c) for c in graph.into(name) if c.port == "modulation"]
    kind = _kind(node, gains is not None, any(True for _ in graph.out_of(name)))
    rounded = _parameters(name, membrane, scale, kind)
    if membrane.spikes and np.any(rounded["threshold"].integers == 0):
        raise UnsupportedError(
            f"{name} has thresholds that round to 0 on the chip, where its weights need the range: "
            "they are too far apart, scale them"
        )
    integers = {key: each.integers for key, each in rounded.items()} | _settings(
        node, membrane, population.size
    )
    compartments = Compartments(
        kind=kind,
        parameters={key: integers[key] for key in kind.parameters},
        initial=initial_states(name, kind, _rest(membrane, scale, gains, population.size)),
        units={"v": scale, "u": scale} | ({} if gains is None else {"gain": float(GAIN_UNITY)}),
    )
    notes += _parameter_notes(name, membrane, rounded, scale, on_grid)
    made = replace(population, node=compartments)
    return _Part(
        made, tuple(connections), tuple(notes), (1 << MESSAGE_SHIFT) / scale if not membrane.spikes else 1.0
    )


def _source(name: str, connection: Connection, done: Mapping[str, _Part]) -> _Part:
    """The part that sends, for what one unit of its messages means."""
    spiking = _Part(Population(connection.source, (1,), Input()), (), ())
    return done.get(connection.source, spiking)


def _kind(node: Membrane, modulated: bool, heard: bool) -> Kind:
    """The kind of a neuron; a membrane that only the read-out sees is a LIF that never reaches its threshold."""
    if node.sends != "spikes" and not heard:
        return neuron(Variant(gain=modulated))
    variant = Variant(modulated, node.reset, node.comparison, node.refractory > 0, node.sends)
    return neuron(variant)


def _settings(node: Membrane, membrane: _Membrane, size: int) -> dict[str, IntArray]:
    """The parameters that are no numbers of the float network."""
    settings = {
        "refractory": np.full(size, node.refractory),
        "message_shift": np.full(size, MESSAGE_SHIFT),
    }
    return settings if membrane.spikes else settings | {"threshold": np.full(size, THRESHOLD_MAX)}


def _rest(membrane: _Membrane, scale: float, gains: FloatArray | None, size: int) -> dict[str, FloatArray]:
    rest = {"u": np.zeros(size), "v": membrane.rest * scale, "wait": np.zeros(size)}
    return rest if gains is None else rest | {"gain": gains * GAIN_UNITY}


def _largest_gain(graph: Graph, name: str) -> float:
    astrocytes = [graph[c.source].node for c in graph.into(name) if c.port == "modulation"]
    highest = [2.0**node.high for node in astrocytes if isinstance(node, Astrocyte)]
    return float(max([1.0, *(GAIN_EXCESS * gain for gain in highest)]))


# ---- scales ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worst:
    """What may arrive at a neuron in a step, over all neurons of a layer.

    total     the largest sum of one sign, in the float network's numbers
    largest   the largest weight
    messages  the largest sum of messages' magnitudes: a rounded weight is wrong by half a unit for each
    terms     connections
    """

    total: float
    largest: float
    messages: float
    terms: int


def _worst(weights: list[Wiring], ranges: list[Range]) -> _Worst:
    """Over all inputs, each at the end of its range that makes it worst."""
    low = high = messages = np.zeros(1)
    for weight, each in zip(weights, ranges, strict=True):
        least, most = weight.bounds(each.low, each.high)
        low, high = low + least, high + most
        fan_in = np.diff(weight.sparse.indptr)
        messages = messages + fan_in * max(-each.low, each.high)
    largest = max((float(np.abs(w.values).max(initial=0.0)) for w in weights), default=0.0)
    return _Worst(float(np.maximum(high, -low).max()), largest, float(np.max(messages)), len(weights))


def _on_grid(membrane: _Membrane, weights: list[Wiring], allowed: Range) -> float | None:
    """The least scale at which every number is whole in the chip's formats already, or None."""
    exact_decays = all(
        np.array_equal(each.integers, _whole(each.exact)) for each in (membrane.dv, membrane.du)
    )
    if not (exact_decays and membrane.spikes and weights):
        return None
    for bits in range(-ALIGNMENT, 18):
        scale = 2.0 ** (ALIGNMENT + bits)
        mantissas = [w.values * 2.0**bits for w in weights] + [membrane.threshold * 2.0**bits]
        states = [membrane.bias * scale, membrane.rest * scale]
        fits = all(_is_whole(each) for each in (*mantissas, *states))
        if fits and all(_exponent(each, allowed) is not None for each in mantissas[:-1]):
            return scale if float(membrane.threshold.max()) * 2.0**bits <= THRESHOLD_MAX else None
    return None


def _whole(values: FloatArray) -> FloatArray:
    nearest = np.rint(values)
    close = np.abs(values - nearest) <= WHOLE * np.maximum(1.0, np.abs(values))
    return np.asarray(np.where(close, nearest, np.nan))


def _is_whole(values: FloatArray) -> bool:
    return bool(np.all(np.isfinite(_whole(values))))


def _exponent(whole: FloatArray, allowed: Range) -> int | None:
    """The least exponent at which whole numbers are whole and fit the chip's weight; None without one."""
    values = np.rint(whole).astype(np.int64)
    for exponent in range(EXPONENTS.high + 1):
        mantissas = values >> exponent
        if np.any(mantissas << exponent != values):
            return None
        if mantissas.size == 0 or allowed.contains(Range(int(mantissas.min()), int(mantissas.max()))):
            return exponent
    return None


def _scale(
    name: str, membrane: _Membrane, worst: _Worst, gain: float, accumulator: int, weight: Range
) -> float:
    """Integers per 1.0 of v: the largest that keeps every accumulator whole, with all bits of weight used.

    The threshold leaves HEADROOM, and every bias fits its format.

    Worst case: in every step, all inputs of one sign are active, at the largest gain. Where the least
    exponent of weights is too large for that, fewer bits are used.
    """
    if worst.largest == 0:
        raise UnsupportedError(f"{name} has no input other than zero weights")
    if np.any(membrane.du.integers == 0):
        raise UnsupportedError(f"{name}.tau_syn is longer than 8192 steps: its decay rounds to none at all")
    memory = float((4096 / membrane.du.integers).max())
    headroom = _headroom(membrane, worst.total * gain * memory)
    if biased := float(np.abs([membrane.bias, membrane.modulated_bias]).max()):
        headroom = min(headroom, BIAS_MAX / biased)
    floors = worst.terms << ALIGNMENT  # every connection's arrival is rounded down
    arriving = min(accumulator, (1 << (STATE_BITS - 1)) / (gain * memory)) - floors
    # rounding may make every weight larger by half a unit
    rounded_up = worst.total + worst.messages * worst.largest / weight.high / 2
    unit = weight.high * (1 << ALIGNMENT) / worst.largest  # the scale at exponent 0
    limit = min(headroom, arriving / rounded_up)
    if limit >= unit * 2.0**EXPONENTS.low:
        return float(unit * 2.0 ** min(EXPONENTS.high, floor(log2(limit / unit))))
    half = 2.0 ** (EXPONENTS.low + ALIGNMENT - 1)  # half a unit of weight at the least exponent
    limit = min(headroom, (arriving - worst.messages * half) / worst.total)
    if limit <= 0:
        raise UnsupportedError(
            f"{name} sums {worst.messages:.0f} inputs over up to {memory:.0f} steps, more than its current of "
            f"{STATE_BITS} bits holds: use fewer inputs or a shorter tau_syn"
        )
    return float(limit)


def _headroom(membrane: _Membrane, current: float) -> float:
    """The largest scale at which v has room: for overshoot over its threshold, or for all it may reach."""
    if membrane.spikes:
        return float((STATE_MAX + 1) / HEADROOM / membrane.threshold.max())
    leak = np.maximum(membrane.dv.integers / DECAY_UNITY, 1 / UNLEAKING_STEPS)
    reach = np.abs(membrane.rest) + (current + np.abs(membrane.bias) + np.abs(membrane.modulated_bias)) / leak
    return float((THRESHOLD_MAX << ALIGNMENT) / max(float(reach.max()), np.finfo(float).tiny))


# ---- rounding --------------------------------------------------------------------------------------


def _synapses(
    connection: Connection, weight: Wiring, scale: float, allowed: Range
) -> tuple[Connection, Note]:
    """Weights of the chip's width with the least exponent that holds them."""
    target = weight.values * scale / (1 << ALIGNMENT)
    exact = _exponent(target, allowed) if _is_whole(target) else None
    largest = float(np.abs(target).max(initial=0.0))
    exponent = max(EXPONENTS.low, ceil(log2(largest / allowed.high) - 1e-9)) if largest else 0
    exponent = exponent if exact is None else exact
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
    values = rounded.integers.astype(np.int8)
    return replace(connection, wiring=weight.with_values(values), exponent=exponent), note


def _modulation(connection: Connection) -> Connection:
    values = connection.wiring.values
    if not np.all(np.isin(values, (0, 1))):
        raise UnsupportedError(f"{connection.name}: a gain is passed on as it is, with weights 0 or 1")
    return replace(connection, wiring=connection.wiring.with_values(values.astype(np.int8)))


def _parameters(name: str, membrane: _Membrane, scale: float, kind: Kind) -> dict[str, Rounded]:
    bias = Fixed(KINDS["lif"].parameters["bias"], scale)
    parameters = {
        "du": membrane.du,
        "dv": membrane.dv,
        "bias": bias_format(bias.round(membrane.bias, f"{name}.bias")),
        "modulated_bias": bias_format(bias.round(membrane.modulated_bias, f"{name}.bias")),
    }
    if membrane.spikes:
        threshold = Fixed(kind.parameters["threshold"], scale / (1 << ALIGNMENT))
        parameters["threshold"] = threshold.round(membrane.threshold, f"{name}.threshold")
    return parameters


def _parameter_notes(
    name: str, membrane: _Membrane, rounded: dict[str, Rounded], scale: float, on_grid: bool
) -> list[Note]:
    errors = {key: value.worst for key, value in rounded.items() if value.worst}
    text = ", ".join(f"{key} by {error:.2g} of its value" for key, error in errors.items())
    grid = "is on the chip's grid already; " if on_grid else ""
    notes = [
        Note(
            name,
            f"{grid}1.0 of its membrane is {scale:.6g} on the chip; rounded: {text or 'nothing'}",
            errors,
        )
    ]
    if np.any((membrane.dv.integers == 0) & (membrane.dv.exact != 0)):
        notes.append(Note(name, "its membrane time constant is beyond 8192 steps: it does not leak at all"))
    return notes
