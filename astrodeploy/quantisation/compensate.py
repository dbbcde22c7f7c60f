"""Weights rounded up or down so that their errors make up for each other, in what calibration data bring.

Rounded to the nearest, every weight is wrong by up to half a unit, and where sources fire together these
errors add up. Here weights are taken one after the other, and each is rounded the way that brings the
membranes nearest to float, given how all others are rounded. A weight still moves to one of the two
integers beside it; what is whole stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY
from astrodeploy.chip.formats import Formats
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.wiring import Conv, Dense
from astrodeploy.quantisation.layer import Layer, Synapses
from astrodeploy.quantisation.scales import Scale, integers
from astrodeploy.quantisation.seen import Calibration

ROUNDS = 3
WORK = 700_000_000  # products of a round: in a larger layer only every neuron's sum is kept (`balance`)
MOMENTS = 4_000_000  # values of the sources that correlations are taken from
TRUST = 0.03  # of a source's own power, added to it: data of other samples correlate a little differently


@dataclass(frozen=True, eq=False)
class _Block:
    """Connections, or one group of a convolution's filters, whose sources reach the same membranes.

    power  (sources, sources): mean products of what the sources leave in a membrane
    """

    synapses: tuple[Synapses, ...]
    power: FloatArray
    group: int = 0


@dataclass(frozen=True, eq=False)
class Compensation:
    """A layer's blocks; what is in none is rounded in another way."""

    blocks: tuple[_Block, ...]

    @property
    def products(self) -> int:
        """Multiplications that one choice of the integers takes."""
        return sum(
            ROUNDS * b.power.size * sum(len(_rows(s, b.group)) for s in b.synapses) for b in self.blocks
        )

    @classmethod
    def of(cls, layer: Layer, calibration: Calibration) -> "Compensation":
        """Correlations of what a layer's sources sent, as its membranes keep it."""
        return cls(tuple(_blocks(layer, calibration)))

    def weights(self, scale: Scale, limits: Formats) -> Mapping[str, FloatArray]:
        """The integers of every weight of the blocks, by connection, in the shape of the values."""
        found: dict[str, FloatArray] = {}
        for block in self.blocks:
            rows = [_rows(each, block.group) for each in block.synapses]
            units = [_unit(scale, each) for each in block.synapses]
            steps = np.concatenate([np.full(w.shape[1], u) for w, u in zip(rows, units, strict=True)])
            whole = _compensated(np.concatenate(rows, 1) / steps, steps, block.power, limits)
            parts = np.split(whole, np.cumsum([w.shape[1] for w in rows])[:-1], axis=1)
            for each, part in zip(block.synapses, parts, strict=True):
                _put(found, each, block.group, part, scale, limits)
        return found


def _unit(scale: Scale, each: Synapses) -> float:
    return 2.0 ** scale.exponents[each.name] * (1 << ALIGNMENT) / scale.membrane


def _rows(each: Synapses, group: int) -> FloatArray:
    """Weights of a block, (targets or filters, sources or taps)."""
    wiring = each.weights
    if not isinstance(wiring, Conv):
        return wiring.values
    outputs = wiring.values.shape[0] // wiring.groups
    return wiring.values[group * outputs : (group + 1) * outputs].reshape(outputs, -1)


def _put(
    found: dict[str, FloatArray], each: Synapses, group: int, part: FloatArray, scale: Scale, limits: Formats
) -> None:
    values = each.weights.values
    if each.name not in found:
        exponent = scale.exponents[each.name]
        found[each.name] = integers(values, scale.membrane, exponent, limits.weight)
    outputs = len(part)
    found[each.name][group * outputs : (group + 1) * outputs] = part.reshape(outputs, *values.shape[1:])


def _compensated(exact: FloatArray, steps: FloatArray, power: FloatArray, limits: Formats) -> FloatArray:
    """Integers next to `exact` (targets, sources) whose error, in `steps`, has the least power."""
    low, high = np.clip([np.floor(exact), np.ceil(exact)], limits.weight.low, limits.weight.high)
    whole = np.clip(np.rint(exact), limits.weight.low, limits.weight.high)
    scaled = power * steps[:, None] * steps[None, :]
    own = np.diag(scaled).copy()
    scaled[np.diag_indices_from(scaled)] += TRUST * own + np.finfo(float).tiny
    slope = (whole - exact) @ scaled
    order = np.argsort(-own, kind="stable")
    for _ in range(ROUNDS):
        for j in order:
            best = np.clip(np.rint(whole[:, j] - slope[:, j] / scaled[j, j]), low[:, j], high[:, j])
            change = best - whole[:, j]
            moved = np.flatnonzero(change)
            if moved.size:
                slope[moved] += change[moved, None] * scaled[j]
                whole[moved, j] = best[moved]
    return whole


# ---- correlations ----------------------------------------------------------------------------------


def _blocks(layer: Layer, calibration: Calibration) -> Iterator[_Block]:
    dense = tuple(each for each in layer.synapses if isinstance(each.weights, Dense))
    sources = sum(each.weights.shape[1] for each in dense)
    if dense and sources**2 * layer.population.size <= WORK:
        kept = np.concatenate([_kept(layer, each, calibration) for each in dense], axis=2)
        yield _Block(dense, _power(kept.reshape(-1, sources)))
    for each in layer.synapses:
        wiring = each.weights
        if isinstance(wiring, Conv) and wiring.values[0].size ** 2 * len(wiring.values) <= WORK:
            patches = _patches(wiring, _kept(layer, each, calibration))
            for group in range(wiring.groups):
                yield _Block((each,), _power(patches[:, group]), group)


def _power(rows: FloatArray) -> FloatArray:
    few = rows[:: max(1, rows.size // MOMENTS)]
    return np.asarray(few.T @ few / len(few))


def _kept(layer: Layer, each: Synapses, calibration: Calibration) -> FloatArray:
    """What a source's messages leave in the median neuron, (samples, some steps, sources)."""
    from scipy.signal import lfilter

    sent = calibration.messages(each.connection.source, each.unit).astype(np.float32)
    lag = max(0, each.connection.lag)
    late = np.zeros_like(sent)
    late[:, lag:] = sent[:, : sent.shape[1] - lag]
    for decay in (layer.du, layer.dv):
        late = lfilter([1.0], [1.0, float(np.median(decay)) / DECAY_UNITY - 1], late, axis=1)
    every = max(1, round(late.size / (4 * MOMENTS)))
    return np.asarray(late[:, every - 1 :: every], np.float64)


def _patches(wiring: Conv, sent: FloatArray) -> npt.NDArray[np.float64]:
    """What every filter position reads, (positions of all rows, groups, taps)."""
    kernel = wiring.values.shape[2:]
    planes = sent.reshape(-1, *wiring.input_shape)
    planes = planes[:: max(1, planes.size * int(np.prod(kernel)) // (8 * MOMENTS))]
    around = [(0, 0), (0, 0), *((p, p) for p in wiring.padding)]
    planes = np.pad(planes, around)
    reach = (d * (k - 1) + 1 for d, k in zip(wiring.dilation, kernel, strict=True))
    whole = (1, wiring.input_shape[0], *reach)
    windows: Array = np.lib.stride_tricks.sliding_window_view(planes, whole)[:, 0]
    at = tuple(slice(None, None, s) for s in wiring.stride)
    taps = tuple(slice(None, None, d) for d in wiring.dilation)
    chosen: tuple[Any, ...] = (slice(None), *at, 0, slice(None), *taps)
    windows = windows[chosen]
    return np.asarray(windows.reshape(-1, wiring.groups, wiring.values[0].size))
