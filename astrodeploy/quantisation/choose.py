"""The Scale that calibration data speak for.

What was seen, times a margin, says how large the numbers may become; the laws of the ports, which hold
whatever comes in, stay. Within that, scales of two octaves and exponents that hold the largest weights
at the integers' end are compared by how far the rounded weights move the membranes (`harm`). The best few
are tried on integers, neuron by neuron, and from the best one on every exponent, scale and direction of
rounding is changed as long as spike counts come nearer to the float network's. Sources send what they
sent in the float network, so that every layer is judged by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, inf, log2

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, STATE_BITS, STATE_MAX
from astrodeploy.chip.formats import Formats
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.program import Note
from astrodeploy.quantisation.balance import balanced
from astrodeploy.quantisation.compensate import Compensation
from astrodeploy.quantisation.harm import Response, Statistics, harm
from astrodeploy.quantisation.layer import Layer, Synapses
from astrodeploy.quantisation.rounding import Part, has_room, rounded
from astrodeploy.quantisation.scales import (
    Scale,
    keeps_laws,
    largest_bias,
    least_exponent,
    require_finite_memory,
    worst_case,
)
from astrodeploy.quantisation.seen import Calibration, Seen
from astrodeploy.quantisation.trial import Bench, Outcome

MEMBRANE_MARGIN = 2.0  # v has room for so many times what was seen; beyond it saturates
CURRENT_MARGIN = 4.0  # u for so many times: it would wrap
LEAST_CURRENT_MARGIN = 1.5  # where the threshold would be too coarse with more
MESSAGE_MARGIN = 1.25  # a membrane's message has room for so many times; beyond it saturates
LEAST_THRESHOLD = 512  # mantissa of a threshold that deep inhibition may not push below
MOST_BEYOND = 0.02  # share of a connection's weights that may be held at the integers' end
STEPS_OF_AN_OCTAVE = 12
CLIPS = 3  # exponents of a connection that are compared: the one that holds all weights, and smaller ones
MESSAGES = 100_000  # that a membrane's bits are chosen from
FIRST = 4
TRIALS = (8, 64)  # of a layer, as many as WORK allows
WORK = 60_000_000  # neuron-steps of all of them; a product of the compensation is WORTH as much of one
WORTH = 1 / 150
COARSE = 2.0**-9  # relative rounding error of a decay or threshold from which on its neighbours are tried
BETTER = 0.98  # a trial's error must fall so far to change what the weights alone would choose


def chosen(
    layer: Layer, calibration: Calibration, limits: Formats, unit: float | None = None
) -> tuple[Part, Note]:
    """The best integers of a layer, and how it was chosen.

    `unit` is what a message of a membrane must mean, where others have been quantised with it already.
    """
    require_finite_memory(layer)
    bench = Bench.of(layer, calibration)
    compensation = Compensation.of(layer, calibration)
    best = _search(layer, limits, bench, compensation, _ranked(layer, calibration, limits, unit))
    return best.part, _note(layer, calibration, best, len(bench.rows))


# ---- candidates ------------------------------------------------------------------------------------


def _ranked(layer: Layer, calibration: Calibration, limits: Formats, unit: float | None) -> list[Scale]:
    """Legal Scales, the one whose weights do least harm first."""
    statistics = [Statistics.of(each, calibration) for each in layer.synapses]
    response = Response.of(layer, calibration.steps)
    seen = calibration.seen[layer.name]
    found = []
    for membrane in _membranes(layer, seen, limits, unit):
        scale, error = _exponents(layer, membrane, statistics, response, limits)
        if error < inf and keeps_laws(layer, scale, limits):
            for each in (s for s in _shifts(layer, scale, seen, unit) if has_room(layer, s, limits)):
                found.append((error + _message_error(layer, each, calibration), each))
    if not found:
        return [replace(worst_case(layer, limits), origin="calibration")]
    return [scale for _, scale in sorted(found, key=lambda pair: pair[0])]


def _message_error(layer: Layer, scale: Scale, calibration: Calibration) -> float:
    """Mean square error of what a membrane sends, rounded and held to its bits; of spikes none."""
    if not layer.sends_membrane:
        return 0.0
    sent = calibration.recording.spikes[layer.name].ravel()
    few = sent[:: max(1, sent.size // MESSAGES)]
    allowed = layer.kind.outputs["message"].range
    found = np.clip(np.rint(few / scale.unit), allowed.low, allowed.high) * scale.unit
    return float(np.square(found - few).mean())


def _membranes(layer: Layer, seen: Seen, limits: Formats, unit: float | None) -> Iterator[float]:
    """Scales to compare, in octaves below the largest that leaves room."""
    most = _most(layer, seen, limits)
    weights = max((float(np.abs(s.weights.values).max(initial=0.0)) for s in layer.synapses), default=0.0)
    if weights:
        most = min(most, limits.weight.high * 2.0 ** (limits.exponent.high + ALIGNMENT) / weights)
    if unit is not None:
        yield from (2.0**bits / unit for bits in range(STATE_BITS) if 2.0**bits / unit <= most)
        return
    legal = _most_legal(layer, most, limits)
    octaves = (legal * 2.0 ** (1 - step / STEPS_OF_AN_OCTAVE) for step in range(2 * STEPS_OF_AN_OCTAVE))
    yield from dict.fromkeys(min(most, membrane) for membrane in octaves)


def _most(layer: Layer, seen: Seen, limits: Formats) -> float:
    """The largest scale that leaves what was seen its margin, and threshold, bias and rest their formats."""
    highest = limits.threshold.high << ALIGNMENT
    held = STATE_MAX if layer.spikes else min(STATE_MAX, highest + (1 << ALIGNMENT) - 1)  # it must not spike
    rooms = [
        _quotient(held, MEMBRANE_MARGIN * seen.membrane),
        _quotient(limits.bias.high, largest_bias(layer)),
        _quotient(STATE_MAX, float(np.abs(layer.rest).max())),
    ]
    width = 1 << (STATE_BITS - 1)
    current = _quotient(width, CURRENT_MARGIN * seen.current)
    if layer.spikes:
        threshold = float(layer.threshold.max())
        fine = (LEAST_THRESHOLD << ALIGNMENT) / threshold
        rooms[0] = max(rooms[0], fine)
        current = max(current, min(fine, _quotient(width, LEAST_CURRENT_MARGIN * seen.current)))
        rooms += [(STATE_MAX + 1) / 2 / threshold, highest / threshold]
    most = min(*rooms, current)
    return most if most < inf else float(1 << (STATE_BITS // 2))


def _quotient(room: float, needed: float) -> float:
    return room / needed if needed else inf


def _most_legal(layer: Layer, most: float, limits: Formats) -> float:
    """`most`, or it halved until nothing that can arrive leaves the accumulator."""
    membrane = most
    for _ in range(STATE_BITS):
        exponents = {s.name: _least(s, membrane, limits) for s in layer.synapses}
        if keeps_laws(layer, Scale(membrane, exponents), limits):
            return membrane
        membrane /= 2
    return membrane


def _least(each: Synapses, membrane: float, limits: Formats) -> int:
    largest = float(np.abs(each.weights.values).max(initial=0.0))
    return least_exponent(largest * membrane / (1 << ALIGNMENT), limits)


def _fitting(each: Synapses, membrane: float, limits: Formats) -> list[int]:
    """The least exponent that holds all weights, and smaller ones beyond which only a few lie."""
    least = _least(each, membrane, limits)
    units = np.abs(each.weights.values) * (membrane / (1 << ALIGNMENT))
    found = []
    for exponent in range(least, least - CLIPS, -1):
        beyond = np.count_nonzero(units > (limits.weight.high + 0.5) * 2.0**exponent)
        if limits.exponent.low <= exponent <= limits.exponent.high and beyond <= MOST_BEYOND * units.size:
            found.append(exponent)
    return found


def _shifts(layer: Layer, scale: Scale, seen: Seen, unit: float | None) -> Iterator[Scale]:
    """What a message may mean: its bits have room for the largest, or for the usual ones only."""
    if not layer.sends_membrane:
        yield scale
        return
    high = layer.kind.outputs["message"].range.high
    if unit is not None:
        yield replace(scale, shift=round(log2(unit * scale.membrane)), centred=True)
        return
    needed = (MESSAGE_MARGIN * each * scale.membrane / (high + 0.5) for each in (seen.message, seen.usual))
    for shift in dict.fromkeys(ceil(log2(max(each, 1.0))) for each in needed):
        yield replace(scale, shift=shift, centred=shift > 0)


def _exponents(
    layer: Layer, membrane: float, statistics: list[Statistics], response: Response, limits: Formats
) -> tuple[Scale, float]:
    """For a scale, the exponents whose rounded weights move the membranes least, and by how much, squared."""
    exponents: dict[str, int] = {}
    total = 0.0
    for each, known in zip(layer.synapses, statistics, strict=True):
        tried = _fitting(each, membrane, limits)
        errors = [harm(each, membrane, e, known, response, limits) for e in tried]
        if not errors:
            return Scale(membrane, exponents), inf
        exponents[each.name] = tried[int(np.argmin(errors))]
        total += min(errors)
    return Scale(membrane, exponents, origin="calibration"), total


# ---- trials ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    part: Part
    outcome: Outcome

    @property
    def scale(self) -> Scale:
        assert self.part.scale is not None
        return self.part.scale


def _search(
    layer: Layer, limits: Formats, bench: Bench, compensation: Compensation, ranked: list[Scale]
) -> _Tried:
    """The best of the first few, and from there on every change of one number that makes it better."""

    def tried(scale: Scale) -> _Tried:
        weights = {**(balanced(layer, scale, limits) or {}), **compensation.weights(scale, limits)}
        legal = keeps_laws(layer, scale, limits, weights)
        part = rounded(layer, scale, limits, weights if legal else None)
        return _Tried(part, bench.outcome(part))

    first = [tried(scale) for scale in ranked[:FIRST]]
    best = min(first, key=lambda each: each.outcome.error)
    best = best if best.outcome.error < BETTER * first[0].outcome.error else first[0]
    seen = {_key(scale) for scale in ranked[:FIRST]}
    cost = bench.values + WORTH * (bench.operations + compensation.products)
    left = int(np.clip(WORK / cost, *TRIALS)) - len(first)
    moves = _moves(layer, best.scale, limits)
    while left and (scale := next(moves, None)) is not None:
        if _key(scale) in seen or not (keeps_laws(layer, scale, limits) and has_room(layer, scale, limits)):
            continue
        seen.add(_key(scale))
        other, left = tried(scale), left - 1
        if other.outcome.error < BETTER * best.outcome.error:
            best, moves = other, _moves(layer, other.scale, limits)
    return replace(best, outcome=bench.outcome(best.part, count=True))


def _key(scale: Scale) -> tuple[object, ...]:
    return scale.membrane, *scale.exponents.values(), scale.shift, *scale.rounding.items()


def _moves(layer: Layer, scale: Scale, limits: Formats) -> Iterator[Scale]:
    """Scales that differ in one number: an exponent, the direction of a rounding, the membrane's scale."""
    for each in layer.synapses:
        exponent = scale.exponents[each.name]
        for other in sorted({exponent - 1, exponent + 1} & set(_fitting(each, scale.membrane, limits))):
            yield replace(scale, exponents={**scale.exponents, each.name: other})
    for key, exact in _coarse(layer, scale):
        for direction in ("down", "up"):
            if key == "dv" or np.all(np.floor(exact) > 0):
                yield replace(scale, rounding={**scale.rounding, key: direction})
    if not layer.sends_membrane:
        for part in (-1, 1, -3, 2):
            yield replace(scale, membrane=scale.membrane * 2.0 ** (part / STEPS_OF_AN_OCTAVE))


def _coarse(layer: Layer, scale: Scale) -> Iterator[tuple[str, FloatArray]]:
    """The decays and thresholds, as the chip's formats have them, that rounding changes much."""
    numbers = {"du": layer.du, "dv": layer.dv}
    if layer.spikes:
        numbers["threshold"] = layer.threshold * scale.membrane / (1 << ALIGNMENT)
    for key, exact in numbers.items():
        if np.any(np.abs(exact - np.rint(exact)) > COARSE * np.abs(exact)):
            yield key, exact


def _note(layer: Layer, calibration: Calibration, best: _Tried, rows: int) -> Note:
    seen, scale, outcome = calibration.seen[layer.name], best.scale, best.outcome
    values: dict[str, float] = {
        "seen membrane": seen.membrane,
        "seen current": seen.current,
        "own error": outcome.error,
        "saturated membranes": outcome.saturated,
        "wrapped currents": float(outcome.wrapped),
    }
    what = "spike counts are off by" if layer.spikes else "values are off by (root mean square)"
    text = f"its scale is from what was seen; fed as in float, its {what} {outcome.error:.2%}"
    if layer.sends_membrane:
        values |= {"message unit": scale.unit, "saturated messages": outcome.clipped}
        text += f"; a message of 1 stands for {scale.unit:.4g}, {outcome.clipped:.2%} are too large for it"
    if outcome.saturated:
        text += f"; {outcome.saturated:.2%} of its membranes meet their width"
    text += "".join(f"; {key} is rounded {way}" for key, way in scale.rounding.items())
    return Note(layer.name, f"{text} ({rows} samples)", values)
