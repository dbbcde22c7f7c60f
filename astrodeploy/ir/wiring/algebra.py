"""Chains and sums of patterns."""

import numpy as np

from astrodeploy.ir.wiring.base import Wiring
from astrodeploy.ir.wiring.convolution import Conv
from astrodeploy.ir.wiring.lists import Dense, OneToOne, Sparse


def after(second: Wiring, first: Wiring) -> Wiring:
    """The map that does `first`, then `second`. Raises ValueError where their sizes do not fit."""
    if second.shape[1] != first.shape[0]:
        raise ValueError(f"a map of {second.shape[1]} inputs follows one of {first.shape[0]} outputs")
    if isinstance(first, OneToOne) and isinstance(second, OneToOne):
        return OneToOne(second.values * first.values)
    if isinstance(second, OneToOne):
        return first.scaled(second.values)
    if isinstance(first, OneToOne) and np.all(first.values == first.values[0]):
        return second.with_values(second.values * first.values[0])
    if isinstance(first, Conv) and isinstance(second, Conv) and second.input_shape == first.output_shape:
        joined = conv_after_pool(second, first) or _pool_after_conv(second, first)
        if joined is not None:
            return joined
    product = second.sparse @ first.sparse
    if isinstance(second, Dense) and isinstance(first, Dense):
        return Dense(product.toarray())
    return Dense(product.toarray()) if isinstance(second, Dense) else Sparse.of(product)


def conv_after_pool(second: Conv, first: Conv) -> Conv | None:
    """A convolution after a pool of cells that lie side by side: one of larger filters."""
    kernel = first.values.shape[2:]
    uniform = first.groups == first.values.shape[0] == first.input_shape[0] and np.all(
        first.values == first.values.flat[0]
    )
    side_by_side = first.stride == kernel and not any(first.padding) and set(second.dilation) == {1}
    whole = all(n % k == 0 for n, k in zip(first.input_shape[1:], kernel, strict=True))
    if not (uniform and side_by_side and whole and set(first.dilation) == {1}):
        return None
    values = second.values * first.values.flat[0]
    for axis, k in enumerate(kernel):
        values = np.repeat(values, k, axis=axis + 2)
    return Conv(
        values,
        first.input_shape,
        tuple(s * k for s, k in zip(second.stride, kernel, strict=True)),
        tuple(p * k for p, k in zip(second.padding, kernel, strict=True)),
        second.dilation,
        second.groups,
    )


def _pool_after_conv(second: Conv, first: Conv) -> Conv | None:
    """One filter a channel, without padding, after a convolution: a convolution of larger filters."""
    by_channel = second.groups == second.values.shape[0] == second.input_shape[0]
    if not by_channel or any(second.padding) or {*second.dilation, *first.dilation} != {1}:
        return None
    steps, window, kernel = first.stride, second.values.shape[2:], first.values.shape[2:]
    if any(s > k and w > 1 for s, k, w in zip(steps, kernel, window, strict=True)):
        return None  # its filters would have holes
    size = tuple((w - 1) * s + k for w, s, k in zip(window, steps, kernel, strict=True))
    values = np.zeros((*first.values.shape[:2], *size))
    for cell in np.ndindex(*window):
        corner = tuple(slice(c * s, c * s + k) for c, s, k in zip(cell, steps, kernel, strict=True))
        factor = second.values[(slice(None), 0, *cell)].reshape(-1, *[1] * (first.values.ndim - 1))
        values[(slice(None), slice(None), *corner)] += factor * first.values
    stride = tuple(a * b for a, b in zip(steps, second.stride, strict=True))
    return Conv(values, first.input_shape, stride, first.padding, first.dilation, first.groups)


def together(a: Wiring, b: Wiring) -> Wiring:
    """The sum of two maps of the same shape."""
    if isinstance(a, Dense) or isinstance(b, Dense):
        return Dense(a.matrix() + b.matrix())
    if isinstance(a, OneToOne) and isinstance(b, OneToOne):
        return OneToOne(a.values + b.values)
    return Sparse.of(a.sparse + b.sparse)
