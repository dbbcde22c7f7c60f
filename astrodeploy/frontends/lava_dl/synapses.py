"""lava-dl's synapses: dense weights, convolutions and pools, and the delays on their way."""

from collections.abc import Iterator
from math import prod

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.lava_dl.fields import Fields
from astrodeploy.frontends.limits import MOST_NEURONS, MOST_SYNAPSES, stored
from astrodeploy.ir.arrays import IntArray
from astrodeploy.ir.wiring import Conv, Dense, Sparse, Wiring, pool

LONGEST_DELAY = 1024  # steps


def wiring_of(kind: str, layer: Fields, shape: tuple[int, ...]) -> Wiring:
    """The weights of a layer that gets messages of that shape. Raises InputError, UnsupportedError."""
    if kind == "dense":
        return _dense(layer, prod(shape))
    image = (*[1] * (3 - len(shape)), *shape)
    wiring = _pool(layer, image) if kind == "pool" else _conv(layer, image)
    check_size(layer, wiring.output_shape)
    return wiring


def check_size(layer: Fields, shape: tuple[int, ...]) -> None:
    """Raise InputError for more neurons than fit a machine."""
    if prod(shape) > MOST_NEURONS:
        raise InputError(f"{layer.where} has the shape {shape}, more than {MOST_NEURONS} neurons")


def recurrent(layer: Fields, size: int) -> Dense:
    """Weights from a layer to itself. Raises InputError."""
    weight = layer.number("weight_rec")
    if weight.size != size**2:
        raise InputError(f"{layer.where} has {weight.size} recurrent weights for {size} neurons")
    return Dense(weight.reshape(size, size))


def _dense(layer: Fields, features: int) -> Dense:
    weight = layer.number("weight")
    columns = prod(weight.shape[1:]) if weight.ndim > 1 else features
    if columns != features or weight.size % features:
        raise InputError(f"{layer.where} has {weight.size} weights for {features} inputs")
    return Dense(weight.reshape(-1, features))


def _conv(layer: Fields, image: tuple[int, ...]) -> Conv:
    weight = layer.number("weight")
    if weight.ndim < 4 or prod(weight.shape[4:]) != 1:  # slayer's filters have a fifth dimension, one step
        raise InputError(f"{layer.where} has filters of shape {weight.shape}: they need four dimensions")
    settings = layer.pair("stride"), layer.pair("padding", 0), layer.pair("dilation")
    try:
        return Conv(weight.reshape(weight.shape[:4]), image, *settings, layer.integer("groups"))
    except InputError as error:
        raise InputError(f"{layer.where}: {error}") from error


def _pool(layer: Fields, image: tuple[int, ...]) -> Conv:
    kernel, stride, padding = layer.pair("kernelSize"), layer.pair("stride"), layer.pair("padding", 0)
    weight = layer.number("weight").ravel() if "weight" in layer else np.ones(1)
    if np.any(weight != weight[0]) or layer.pair("dilation") != (1, 1):
        raise UnsupportedError(f"{layer.where} pools with unequal weights or gaps")
    if any(k > n + 2 * p for k, n, p in zip(kernel, image[1:], padding, strict=True)):
        raise InputError(f"{layer.where} pools {kernel} neurons at a time, its input has {image[1:]}")
    check_size(layer, (image[0], *kernel))
    return pool(image, kernel, stride, padding, float(weight[0]))


# ---- delays ----------------------------------------------------------------------------------------------


def delays_of(layer: Fields, wiring: Wiring, size: int) -> tuple[IntArray | None, IntArray | None]:
    """Delays of the synapses (targets, sources), and of what the layer's neurons send (size,).

    None where there are none. Raises InputError.
    """
    if "delay" not in layer:
        return None, None
    delays = layer.whole("delay")
    if delays.min() < 0 or delays.max() > LONGEST_DELAY:
        raise InputError(
            f"{layer.where} has delays of {delays.min()}..{delays.max()} steps, allowed is 0..{LONGEST_DELAY}"
        )
    if isinstance(wiring, Dense) and delays.ndim == 2 and delays.shape == wiring.shape:
        return delays, None
    if delays.size not in (1, size):
        raise InputError(f"{layer.where} has {delays.size} delays for its {size} neurons")
    return None, np.broadcast_to(delays.ravel(), (size,))


def by_lag(
    layer: Fields, wiring: Wiring, synaptic: IntArray | None, axonal: IntArray | None
) -> Iterator[tuple[int, Wiring]]:
    """The synapses of every delay that occurs: a synapse's own, and that of its source. Raises InputError."""
    if synaptic is None and (axonal is None or np.all(axonal == axonal[0])):
        yield (0 if axonal is None else int(axonal[0])), wiring
        return
    _check_stored(layer, stored(wiring))
    matrix = wiring.sparse.tocoo()
    lags = np.zeros(matrix.nnz, np.int64) if axonal is None else axonal[matrix.col]
    if synaptic is not None:
        lags = lags + synaptic[matrix.row, matrix.col]
    order = np.argsort(lags, kind="stable")
    found, starts = np.unique(lags[order], return_index=True)
    _check_stored(layer, found.size * wiring.shape[0])
    for lag, chosen in zip(found, np.split(order, starts[1:]), strict=True):
        places = matrix.row[chosen], matrix.col[chosen]
        part = Sparse.of(scipy.sparse.coo_array((matrix.data[chosen], places), matrix.shape))
        if part.synapses or found.size == 1:
            yield int(lag), part


def _check_stored(layer: Fields, numbers: int) -> None:
    if numbers > MOST_SYNAPSES:
        raise InputError(
            f"{layer.where} and its delays take {numbers} synapses when they are written out, more than "
            f"{MOST_SYNAPSES}: use fewer neurons or delays"
        )
