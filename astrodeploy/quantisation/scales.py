"""The Scale of a layer: the worst case, the chip's limits, and numbers that are the chip's already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, log2

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY, STATE_BITS, STATE_MAX
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Range
from astrodeploy.compartments.lif import MESSAGE
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.quantisation.layer import Layer

HEADROOM = 4  # v can reach this many thresholds before it saturates
UNLEAKING_STEPS = 64  # a membrane without leak and threshold has room for as many steps of its largest input
WHOLE = 1e-6  # relative error below which a number counts as whole: it came from a float32 division
MESSAGE_SHIFT = STATE_BITS - MESSAGE.bits  # of a membrane: the largest v is the largest message


@dataclass(frozen=True)
class Scale:
    """How the numbers of a layer become integers; this, and the layer, decide every one of them.

    membrane   integers that make 1.0 of v and u
    exponents  of the weights, by connection: a weight is an integer times 2**exponent << 6; one that
               the integers do not reach is held at their end
    shift      bits by which v is shifted to the right to become a message
    centred    half a message is added to v, so that a message is the nearest one and not the one below
    rounding   "down" or "up" for du, dv and threshold; those that are not named are rounded to the nearest
    origin     "grid" (whole already), "worst case", "calibration" or "given"
    """

    membrane: float
    exponents: Mapping[str, int]
    shift: int = MESSAGE_SHIFT
    centred: bool = False
    rounding: Mapping[str, str] = field(default_factory=dict)
    origin: str = "worst case"

    @property
    def unit(self) -> float:
        """What a message of 1 of a membrane means in the float network."""
        return (1 << self.shift) / self.membrane


def integers(weights: FloatArray, scale: float, exponent: int, allowed: Range) -> FloatArray:
    """The chip's weights of float ones: rounded to the nearest, held at the ends."""
    exact = weights * (scale / (1 << ALIGNMENT) * 2.0**-exponent)
    return np.clip(np.rint(exact), allowed.low, allowed.high)


def keeps_laws(
    layer: Layer, scale: Scale, limits: Formats, weights: Mapping[str, FloatArray] | None = None
) -> bool:
    """Whether all that can arrive in a step fits, whatever the sources send; `weights` as in `rounded`."""
    low = high = np.zeros(1)
    weights = weights or {}
    for each in layer.synapses:
        exponent = scale.exponents[each.name]
        values = weights.get(each.name)
        if values is None:
            values = integers(each.weights.values, scale.membrane, exponent, limits.weight)
        least, most = each.weights.with_values(values).bounds(each.messages.low, each.messages.high)
        low, high = low + np.floor(least * 2.0**exponent), high + np.floor(most * 2.0**exponent)
    return float(np.maximum(-low, high).max()) * (1 << ALIGNMENT) <= limits.accumulator


def least_exponent(largest: float, limits: Formats) -> int:
    """The least exponent that holds a weight of so many units of the accumulator; may be larger than the chip's."""
    return max(limits.exponent.low, ceil(log2(largest / limits.weight.high) - 1e-9)) if largest else 0


def require_finite_memory(layer: Layer) -> None:
    """Raise UnsupportedError where a synaptic current never decays on the chip."""
    if np.any(np.rint(layer.du) == 0):
        raise UnsupportedError(
            f"{layer.name}.tau_syn is longer than 8192 steps: its decay rounds to none at all"
        )


def memory(layer: Layer) -> float:
    """Steps of input that the synaptic current adds up."""
    return float((DECAY_UNITY / np.rint(layer.du)).max())


def largest_bias(layer: Layer) -> float:
    """The largest bias of either kind."""
    return float(np.abs([layer.bias, layer.modulated_bias]).max())


def is_whole(values: FloatArray) -> bool:
    """Whether all numbers are integers, up to the noise of a division in single precision."""
    return bool(np.all(np.abs(values - np.rint(values)) <= WHOLE * np.maximum(1.0, np.abs(values))))


def whole_exponent(values: FloatArray, limits: Formats) -> int | None:
    """The least exponent at which whole numbers are whole and fit the chip's weight; None without one."""
    allowed, most = limits.weight, limits.exponent.high
    if not (values.size and np.abs(values).max() < allowed.high << most + 1 and is_whole(values)):
        return None if values.size else 0
    integers = np.rint(values).astype(np.int64)
    for exponent in range(most + 1):
        mantissas = integers >> exponent
        if np.any(mantissas << exponent != integers):
            return None
        if allowed.contains(Range(int(mantissas.min()), int(mantissas.max()))):
            return exponent
    return None


# ---- the worst case --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worst:
    """What may arrive at a neuron in a step, over all neurons of a layer.

    total     the largest sum of one sign, in the float network's numbers
    largest   the largest weight
    messages  the largest sum of messages' magnitudes: a rounded weight is wrong by half a unit for each
    """

    total: float
    largest: float
    messages: float


def _worst(layer: Layer) -> _Worst:
    """Over all inputs, each at the end of its range that makes it worst."""
    low = high = messages = np.zeros(1)
    for each in layer.synapses:
        least, most = each.weights.bounds(each.messages.low, each.messages.high)
        low, high = low + least, high + most
        messages = messages + each.weights.fan_in * max(-each.messages.low, each.messages.high)
    largest = max((float(np.abs(s.weights.values).max(initial=0.0)) for s in layer.synapses), default=0.0)
    return _Worst(float(np.maximum(high, -low).max()), largest, float(np.max(messages)))


def worst_case(layer: Layer, limits: Formats) -> Scale:
    """The largest scale that keeps every accumulator whole, with all bits of weight used.

    In every step, all inputs of one sign are active, at the largest gain; the threshold leaves HEADROOM,
    and every bias fits its format. Where the least exponent of weights is too large for that, fewer bits
    are used. Raises UnsupportedError where the current can't hold its inputs.
    """
    require_finite_memory(layer)
    worst, gain = _worst(layer), layer.largest_gain
    steps = memory(layer)
    headroom = _headroom(layer, worst.total * gain * steps, limits)
    if biased := largest_bias(layer):
        headroom = min(headroom, limits.bias.high / biased)
    membrane = headroom if worst.largest == 0 or worst.total == 0 else _within(layer, limits, worst, headroom)
    exponents = {each.name: _exponent_of(each.weights.values, membrane, limits) for each in layer.synapses}
    return Scale(membrane, exponents, shift=STATE_BITS - limits.membrane.bits)


def _within(layer: Layer, limits: Formats, worst: _Worst, headroom: float) -> float:
    """The scale at most `headroom` at which no accumulator overflows."""
    gain, steps = layer.largest_gain, memory(layer)
    floors = len(layer.synapses) << ALIGNMENT  # every connection's arrival is rounded down
    arriving = min(limits.accumulator, (1 << (STATE_BITS - 1)) / (gain * steps)) - floors
    # rounding may make every weight larger by half a unit
    rounded_up = worst.total + worst.messages * worst.largest / limits.weight.high / 2
    unit = limits.weight.high * (1 << ALIGNMENT) / worst.largest  # the scale at exponent 0
    limit = min(headroom, arriving / rounded_up)
    if limit >= unit * 2.0**limits.exponent.low:
        return float(unit * 2.0 ** min(limits.exponent.high, floor(log2(limit / unit))))
    half = 2.0 ** (limits.exponent.low + ALIGNMENT - 1)  # half a unit of weight at the least exponent
    limit = min(headroom, (arriving - worst.messages * half) / worst.total)
    if limit <= 0:
        raise UnsupportedError(
            f"{layer.name} sums {worst.messages:.0f} inputs over up to {steps:.0f} steps, more than its current "
            f"of {STATE_BITS} bits and an accumulator of {limits.accumulator} in a step hold at the least weight "
            f"exponent of {limits.exponent.low}: use fewer inputs or a shorter tau_syn"
        )
    return float(limit)


def _headroom(layer: Layer, current: float, limits: Formats) -> float:
    """The largest scale at which v has room: for overshoot over its threshold, or for all it may reach."""
    highest = limits.threshold.high << ALIGNMENT
    if layer.spikes:
        return float(min((STATE_MAX + 1) / HEADROOM, highest) / layer.threshold.max())
    leak = np.maximum(np.rint(layer.dv) / DECAY_UNITY, 1 / UNLEAKING_STEPS)
    reach = np.abs(layer.rest) + (current + np.abs(layer.bias) + np.abs(layer.modulated_bias)) / leak
    largest = float(reach.max())
    return (limits.threshold.high << ALIGNMENT) / (largest or 1.0)


def _exponent_of(weights: FloatArray, membrane: float, limits: Formats) -> int:
    units = weights * (membrane / (1 << ALIGNMENT))
    exact = whole_exponent(units, limits)
    return least_exponent(float(np.abs(units).max(initial=0.0)), limits) if exact is None else exact
