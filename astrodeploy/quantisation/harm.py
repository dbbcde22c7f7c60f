"""How far rounded weights move a layer's membranes, for what its sources send: without running it.

Messages of a source count by their mean in a sample, which moves a membrane for good, and by their
variance within it, which a leaky membrane averages out; sources count as independent within a sample.
"""

from dataclasses import dataclass

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY
from astrodeploy.chip.formats import Formats
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.wiring import Conv, Wiring
from astrodeploy.quantisation.layer import Layer, Synapses
from astrodeploy.quantisation.scales import integers
from astrodeploy.quantisation.seen import Calibration


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a source sends, per neuron: means (samples, sources) and variance (1, sources) within them.

    Of a convolution's source per channel, averaged over the positions.
    """

    means: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, each: Synapses, calibration: Calibration) -> "Statistics":
        """Of a connection's source."""
        sent = calibration.messages(each.connection.source, each.unit)
        means = sent.mean(1, dtype=np.float64)
        variance = np.maximum(0, np.square(sent, dtype=np.float64).mean((0, 1)) - np.square(means).mean(0))
        return cls(_taps(each.weights, means), _taps(each.weights, variance[None]))


def _taps(wiring: Wiring, rows: FloatArray) -> FloatArray:
    """(rows, sources); of a convolution (rows, channels), averaged over their positions."""
    return rows.reshape(len(rows), wiring.input_shape[0], -1).mean(2) if isinstance(wiring, Conv) else rows


def _total(wiring: Wiring, values: FloatArray, rows: FloatArray) -> FloatArray:
    """What weights make of rows: (rows, targets); of a convolution (rows, out channels)."""
    if not isinstance(wiring, Conv):
        return wiring.with_values(values).deliver(rows)
    outputs, groups = values.shape[0], wiring.groups
    filters = values.reshape(groups, outputs // groups, values.shape[1], -1).sum(3)
    grouped = rows.reshape(len(rows), groups, -1)
    return np.asarray(np.einsum("rgi,goi->rgo", grouped, filters).reshape(len(rows), outputs))


@dataclass(frozen=True)
class Response:
    """What the median neuron's v makes of a constant input of 1, and squared of a noise of 1, in thresholds."""

    constant: float
    noise: float

    @classmethod
    def of(cls, layer: Layer, steps: int) -> "Response":
        """Of a layer in samples of so many steps."""
        kept = 1 - np.maximum(layer.dv / DECAY_UNITY, 1 / steps)
        held = 1 - np.maximum(layer.du / DECAY_UNITY, 1 / steps)
        noise = (1 + kept * held) / ((1 - kept**2) * (1 - held**2) * (1 - kept * held))
        threshold = layer.threshold if layer.spikes else np.ones_like(layer.threshold)
        constant = 1 / ((1 - kept) * (1 - held)) / threshold
        return cls(float(np.median(constant)), float(np.median(noise / threshold**2)))


def harm(
    each: Synapses, membrane: float, exponent: int, known: Statistics, response: Response, limits: Formats
) -> float:
    """The mean square of the distance that the membranes move, in thresholds."""
    values = each.weights.values
    unit = 2.0**exponent * (1 << ALIGNMENT) / membrane
    off = integers(values, membrane, exponent, limits.weight) * unit - values
    drift = np.square(_total(each.weights, off, known.means)).mean()
    noise = _total(each.weights, np.square(off), known.variance).mean()
    return float(response.constant**2 * drift + response.noise * noise)
