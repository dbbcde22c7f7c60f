"""Weights rounded so that every neuron's sum stays: what is done without calibration data.

Rounded to the nearest, the errors of a neuron's weights add up to many units where its inputs are active
together, as they mostly are: a shift of its drive. So where a sum is off by n units, the n weights that
lost most on the other side of the half are rounded the other way. A weight still becomes one of the two
integers beside it, what is whole stays, and the sum is right to half a unit.
"""

from collections.abc import Mapping

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.chip.formats import Formats
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.wiring import OneToOne, Sparse, Wiring
from astrodeploy.quantisation.layer import Layer
from astrodeploy.quantisation.scales import Scale, keeps_laws


def balanced(layer: Layer, scale: Scale, limits: Formats) -> Mapping[str, FloatArray] | None:
    """The integers of a layer's weights by connection; None where they would break a law of the ports."""
    weights = {
        each.name: _balanced(
            each.weights, scale.membrane / (1 << ALIGNMENT) * 2.0 ** -scale.exponents[each.name], limits
        )
        for each in layer.synapses
        if not isinstance(each.weights, OneToOne)
    }
    return weights if keeps_laws(layer, scale, limits, weights) else None


def _balanced(wiring: Wiring, factor: float, limits: Formats) -> FloatArray:
    exact = wiring.values * factor
    nearest = np.clip(np.rint(exact), limits.weight.low, limits.weight.high)
    lost = (exact - nearest).ravel()
    turned = nearest.ravel().copy()
    row = _rows(wiring)
    missing = np.rint(np.bincount(row, lost, minlength=wiring.shape[0])).astype(np.int64)
    for sign in (1, -1):
        rank = _rank(row, -sign * lost)
        turned += sign * (rank < (sign * missing)[row])
    return np.clip(turned, limits.weight.low, limits.weight.high).reshape(exact.shape)


def _rows(wiring: Wiring) -> IntArray:
    """The neuron, or the filter, that each number belongs to."""
    if isinstance(wiring, Sparse):
        return np.repeat(np.arange(wiring.shape[0]), np.diff(wiring.starts))
    return np.repeat(np.arange(len(wiring.values)), wiring.values[0].size)


def _rank(row: IntArray, key: FloatArray) -> IntArray:
    """The place of every number among those of its row, by its key."""
    order = np.lexsort((key, row))
    starts = np.searchsorted(row[order], row[order])
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - starts
    return rank
