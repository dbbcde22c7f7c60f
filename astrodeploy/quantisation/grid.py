"""Layers whose numbers all are whole in the chip's formats already, and stay as they are."""

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, STATE_MAX
from astrodeploy.chip.formats import EXPONENT, Formats
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.numbers import Rounded, bias_format
from astrodeploy.quantisation.layer import Layer
from astrodeploy.quantisation.scales import (
    Scale,
    is_whole,
    keeps_laws,
    whole_exponent,
    worst_case,
)

TELLING = 16
SHIFTS = range(-EXPONENT.high, ALIGNMENT)
NINE_BITS = 256  # no weight of a chip is larger
MULTIPLES = sorted({n * 2.0**bits for n in range(1, 128, 2) for bits in SHIFTS})


def on_grid(layer: Layer, limits: Formats, unity: float | None = None) -> Scale | None:
    """The scale at which every number is whole in the chip's formats, or None.

    `unity` are the integers that make 1.0 of v, where the source says it: whole numbers are tried in no
    other unit then. Else numbers that are whole as they stand come first, v in the chip's own unit or in
    units of 64; and last what they have in common is looked for. Weights that reach 16 then were integers
    before somebody divided them, and get these back; smaller ones are as exact at a larger scale, with
    finer states.
    """
    if layer.gains is not None or layer.sends_membrane:
        return None
    if not (is_whole(layer.dv) and is_whole(layer.du)) or np.any(np.rint(layer.du) == 0):
        return None
    if unity is not None and _are_whole(layer):
        return _at(layer, unity / (1 << ALIGNMENT), limits)
    largest = max((_largest(s.weights.values) for s in layer.synapses), default=0.0)
    if not largest:
        return None
    for factor in _as_they_stand(largest):
        if (scale := _at(layer, factor, limits)) is not None:
            return scale
    weights = next(s.weights.values for s in layer.synapses if _largest(s.weights.values))
    if (mantissa := _least_mantissa(weights)) is None:
        return None
    factors = [mantissa * each / float(np.abs(weights).max()) for each in MULTIPLES]
    found = next((scale for each in factors if (scale := _at(layer, each, limits)) is not None), None)
    return found if found is None or mantissa >= TELLING else _finest(layer, found, limits)


def _are_whole(layer: Layer) -> bool:
    return is_whole(layer.threshold) and all(is_whole(s.weights.values) for s in layer.synapses)


def _as_they_stand(largest: float) -> tuple[float, float]:
    """The two units of v that numbers may have as they stand, the likelier first.

    Where all are multiples of 64 both would do, but decays round v in whole units, so that it matters which
    was meant. Weights of nine bits, a pool's 64 above all, are a chip's as they stand; larger ones are as v
    gets them, shifted by 6.
    """
    units = (1.0, 1 / (1 << ALIGNMENT))
    return units if largest <= NINE_BITS else units[::-1]


def _largest(weights: FloatArray) -> float:
    return float(np.abs(weights).max(initial=0.0))


def _least_mantissa(weights: FloatArray) -> int | None:
    """The least integer that the largest weight can be while all are whole; None beyond 8 bits."""
    relative = weights.ravel() / np.abs(weights).max()
    few = relative[:64]
    return next((m for m in range(1, 129) if is_whole(few * m) and is_whole(relative * m)), None)


def _finest(layer: Layer, scale: Scale, limits: Formats) -> Scale:
    """The same numbers times the largest power of two that leaves the room of the worst case."""
    most = worst_case(layer, limits).membrane
    for bits in range(EXPONENT.high + ALIGNMENT, 0, -1):
        factor = scale.membrane * 2.0**bits / (1 << ALIGNMENT)
        if scale.membrane * 2.0**bits <= most and (finer := _at(layer, factor, limits)) is not None:
            return finer
    return scale


def _at(layer: Layer, factor: float, limits: Formats) -> Scale | None:
    """The Scale that multiplies mantissas by `factor`, where everything is whole and within its format."""
    membrane = factor * (1 << ALIGNMENT)
    if layer.spikes and not _is_threshold(layer.threshold * factor, limits):
        return None
    if not (_is_bias(layer.bias * membrane, limits) and _is_state(layer.rest * membrane)):
        return None
    exponents = {}
    for each in layer.synapses:
        exponent = whole_exponent(each.weights.values * factor, limits)
        if exponent is None:
            return None
        exponents[each.name] = exponent
    scale = Scale(membrane, exponents, origin="grid")
    return scale if keeps_laws(layer, scale, limits) else None


def _is_threshold(mantissas: FloatArray, limits: Formats) -> bool:
    most = limits.threshold.high
    return is_whole(mantissas) and np.rint(mantissas.min()) > 0 and np.rint(mantissas.max()) <= most


def _is_bias(values: FloatArray, limits: Formats) -> bool:
    whole = np.rint(values)
    if not is_whole(values) or np.abs(whole).max(initial=0) > limits.bias.high:
        return False
    exact = Rounded(whole.astype(np.int64), whole)
    return bool(np.array_equal(bias_format(exact, limits.bias).integers, exact.integers))


def _is_state(values: FloatArray) -> bool:
    return is_whole(values) and np.abs(values).max(initial=0) <= STATE_MAX
