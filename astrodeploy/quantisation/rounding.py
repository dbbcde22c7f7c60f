"""A layer and its Scale become integers; everything that this changes is counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.lif import GAIN_UNITY
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Compartments, Connection, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import Membrane
from astrodeploy.ir.numbers import DECAY, Fixed, Rounded, bias_format, initial_states
from astrodeploy.program import Note
from astrodeploy.quantisation.conservation import sum_notes
from astrodeploy.quantisation.layer import Layer, Synapses
from astrodeploy.quantisation.scales import Scale, integers

CHANGED = 1e-9  # relative error from which on a weight counts as changed
Notes = tuple[Note, ...]


@dataclass(frozen=True)
class Part:
    """An integer population with the connections that end in it, and what was rounded.

    A message of 1 stands for `unit` in the float network; `scale` is None where there was no choice.
    """

    population: Population
    connections: tuple[Connection, ...]
    notes: Notes
    unit: float = 1.0
    scale: Scale | None = None


def rounded(
    layer: Layer, scale: Scale, limits: Formats, weights: Mapping[str, FloatArray] | None = None
) -> Part:
    """The integers of a layer; `weights` are those of connections that are not rounded to the nearest.

    Raises UnsupportedError where a format can't hold a value.
    """
    name, kind = layer.name, layer.kind
    weights = weights or {}
    pairs = [_synapses(layer, each, scale, limits, weights.get(each.name)) for each in layer.synapses]
    parameters = _parameters(layer, scale, limits)
    if layer.spikes and np.any(parameters["threshold"].integers == 0):
        raise UnsupportedError(
            f"{name} has thresholds that round to 0 on the chip, where its weights need the range, with integers of "
            f"{limits.weight} times at most 2^{limits.exponent.high}: they are too far apart, scale them"
        )
    whole = {key: each.integers for key, each in parameters.items()} | _settings(layer, scale, limits)
    compartments = Compartments(
        kind=kind,
        parameters={key: whole[key] for key in kind.parameters},
        initial=initial_states(name, kind, _rest(layer, scale)),
        units={"v": scale.membrane, "u": scale.membrane}
        | ({} if layer.gains is None else {"gain": float(GAIN_UNITY)}),
    )
    return Part(
        population=replace(layer.population, node=compartments),
        connections=(*(c for c, _ in pairs), *(_modulation(c) for c in layer.modulation)),
        notes=(
            *(note for _, note in pairs),
            *(note for c, _ in pairs for note in _sum_notes(layer, c, scale)),
            *_parameter_notes(layer, parameters, scale),
        ),
        unit=1.0 if layer.spikes else scale.unit,
        scale=scale,
    )


# ---- weights ---------------------------------------------------------------------------------------


def _synapses(
    layer: Layer, each: Synapses, scale: Scale, limits: Formats, values: FloatArray | None
) -> tuple[Connection, Note]:
    exponent = scale.exponents[each.name]
    exact = each.weights.values * (scale.membrane / (1 << ALIGNMENT) * 2.0**-exponent)
    if values is None or not np.any(values):  # what is rounded for the sum's sake must not lose all of it
        values = integers(each.weights.values, scale.membrane, exponent, limits.weight)
    found = _change(exact, values, limits)
    if found["rounded to zero"] == 1 and len(layer.synapses) == 1:
        raise UnsupportedError(
            f"{each.name}: all its weights round to 0 on the chip, beside the thresholds and biases of {layer.name}: "
            f"weights are integers times at least 2^{limits.exponent.low}, thresholds at most {limits.threshold.high}, "
            f"biases {limits.bias.high}, an accumulator {limits.accumulator}: leave it out, or rescale the layer"
        )
    connection = replace(
        each.connection, wiring=each.weights.with_values(values.astype(np.int8)), exponent=exponent
    )
    return connection, _weight_note(each.name, exponent, limits.weight.bits, found)


def _change(exact: FloatArray, values: FloatArray, limits: Formats) -> dict[str, float]:
    """What rounding did to weights; shares are of those that are not zero."""
    size = np.abs(exact)
    error = np.abs(values - exact)
    largest, nonzero = float(size.max(initial=0.0)), max(1, int(np.count_nonzero(exact)))
    inside = (exact < limits.weight.high + 0.5) & (exact > limits.weight.low - 0.5)
    return {
        "largest error": float(error.max(initial=0.0, where=inside)) / largest if largest else 0.0,
        "changed": float(np.count_nonzero(error > CHANGED * size) / nonzero),
        "rounded to zero": float(np.count_nonzero((exact != 0) & (values == 0)) / nonzero),
        "saturated": float(np.count_nonzero(~inside) / nonzero),
    }


def _weight_note(name: str, exponent: int, bits: int, found: dict[str, float]) -> Note:
    if not found["changed"]:
        text = f"weights are {bits}-bit integers times 2^{exponent}; none is changed"
    else:
        text = (
            f"weights are {bits}-bit integers times 2^{exponent}; rounding moves one by at most "
            f"{found['largest error']:.2%} of the largest, and makes {found['rounded to zero']:.2%} of them zero"
        )
    if found["saturated"]:
        text += f"; {found['saturated']:.2%} are beyond the largest integer and are held there"
    return Note(name, text, found | {"exponent": float(exponent)})


def _sum_notes(layer: Layer, rounded: Connection, scale: Scale) -> Iterator[Note]:
    """Sums that rounding destroyed, in the float network's own weights."""
    each = next(s for s in layer.synapses if s.name == rounded.name)
    if np.any(layer.factor == 0):
        return
    per_weight = 2.0**rounded.exponent * (1 << ALIGNMENT) / (scale.membrane * each.unit)
    kept = each.weights.with_values(rounded.wiring.values * per_weight).scaled(1 / layer.factor)
    yield from sum_notes(each.name, each.connection.wiring, kept)


def _modulation(connection: Connection) -> Connection:
    values = connection.wiring.values
    if not np.all(np.isin(values, (0, 1))):
        raise UnsupportedError(f"{connection.name}: a gain is passed on as it is, with weights 0 or 1")
    return replace(connection, wiring=connection.wiring.with_values(values.astype(np.int8)))


# ---- parameters ------------------------------------------------------------------------------------

DIRECTIONS = {"nearest": np.rint, "down": np.floor, "up": np.ceil}


def _parameters(layer: Layer, scale: Scale, limits: Formats) -> dict[str, Rounded]:
    bias = Fixed(KINDS["lif"].parameters["bias"], scale.membrane)
    name = layer.name
    parameters = {
        "du": _towards(scale, "du", DECAY.round(layer.du / DECAY_UNITY, f"{name}.du")),
        "dv": _towards(scale, "dv", DECAY.round(layer.dv / DECAY_UNITY, f"{name}.dv")),
        "bias": bias_format(bias.round(layer.bias + _offset(layer, scale), f"{name}.bias"), limits.bias),
        "modulated_bias": bias_format(bias.round(layer.modulated_bias, f"{name}.bias"), limits.bias),
    }
    if layer.spikes:
        threshold = Fixed(limits.threshold, scale.membrane / (1 << ALIGNMENT))
        parameters["threshold"] = _towards(
            scale, "threshold", threshold.round(layer.threshold, f"{name}.threshold")
        )
    return parameters


def _towards(scale: Scale, key: str, nearest: Rounded) -> Rounded:
    """The same numbers rounded as the Scale says; one that is whole stays."""
    direction = scale.rounding.get(key, "nearest")
    if direction == "nearest":
        return nearest
    whole = np.abs(nearest.integers - nearest.exact) <= 1e-6 * np.maximum(1, np.abs(nearest.exact))
    moved = DIRECTIONS[direction](nearest.exact).astype(np.int64)
    return Rounded(np.where(whole, nearest.integers, moved), nearest.exact)


def has_room(layer: Layer, scale: Scale, limits: Formats) -> bool:
    """Whether every bias and threshold fits its format, and no threshold becomes 0."""
    biases = np.abs([layer.bias + _offset(layer, scale), layer.modulated_bias])
    if float(biases.max()) * scale.membrane > limits.bias.high:
        return False
    mantissas = layer.threshold * scale.membrane / (1 << ALIGNMENT)
    return not layer.spikes or bool(mantissas.min() > 0.5 and mantissas.max() <= limits.threshold.high)


def _offset(layer: Layer, scale: Scale) -> FloatArray:
    """The bias that keeps v half a message above what it stands for."""
    decays = np.rint(layer.dv) / DECAY_UNITY
    return half_message(scale) * decays


def half_message(scale: Scale) -> float:
    """Half a message in the float network's numbers, where the Scale centres them."""
    return scale.unit / 2 if scale.centred else 0.0


def _settings(
    layer: Layer, scale: Scale, limits: Formats
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The parameters that are no numbers of the float network."""
    size = layer.population.size
    settings = {
        "refractory": np.full(size, layer.node.refractory),
        "message_shift": np.full(size, scale.shift),
    }
    return settings if layer.spikes else settings | {"threshold": np.full(size, limits.threshold.high)}


def _rest(layer: Layer, scale: Scale) -> dict[str, FloatArray]:
    zeros = np.zeros(layer.population.size)
    rest = {"u": zeros, "v": (layer.rest + half_message(scale)) * scale.membrane, "wait": zeros}
    return rest if layer.gains is None else rest | {"gain": layer.gains * GAIN_UNITY}


def _parameter_notes(layer: Layer, parameters: dict[str, Rounded], scale: Scale) -> Iterator[Note]:
    errors = {key: value.worst for key, value in parameters.items() if value.worst}
    text = ", ".join(f"{key} by {error:.2g} of its value" for key, error in errors.items())
    grid = "is on the chip's grid already; " if scale.origin == "grid" else ""
    size = f"{grid}1.0 of its membrane is {scale.membrane:.6g} on the chip"
    yield Note(layer.name, f"{size}; rounded: {text or 'nothing'}", errors | {"scale": scale.membrane})
    dv = parameters["dv"]
    if np.any((dv.integers == 0) & (dv.exact != 0)):
        yield Note(layer.name, "its membrane time constant is beyond 8192 steps: it does not leak at all")


def uncentred(population: Population, meant: Membrane) -> Population:
    """An integer population without the half message that its membrane may keep for the sake of rounding.

    That half makes the floor of a shift a rounding to the nearest; over the reals, where a shift divides,
    it would be an error. `meant` is the float neuron that the population stands for.
    """
    node = population.node
    if not isinstance(node, Compartments) or "message_shift" not in node.parameters:
        return population
    rest = np.rint(np.broadcast_to(meant.v_leak.ravel(), (population.size,)) * node.units["v"])
    half = np.where(node.initial["v"] != rest, (1 << node.parameters["message_shift"]) >> 1, 0)
    kept = node.parameters["bias"] - half * node.parameters["dv"] // DECAY_UNITY
    plain = replace(
        node,
        parameters={**node.parameters, "bias": kept},
        initial={**node.initial, "v": node.initial["v"] - half},
    )
    return replace(population, node=plain)
