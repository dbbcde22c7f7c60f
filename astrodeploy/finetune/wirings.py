"""The patterns of a connection as torch maps: messages (batch, sources) to totals (batch, targets)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, Wiring

Map = Callable[[Tensor, Tensor], Tensor]


def delivery(wiring: Wiring) -> Map:
    """The function (weights in the shape of `wiring.values`, messages) -> totals of a pattern."""
    if isinstance(wiring, Dense):
        return lambda weights, messages: messages @ weights.T
    if isinstance(wiring, OneToOne):
        return lambda weights, messages: messages * weights
    if isinstance(wiring, Conv):
        return _convolution(wiring)
    if isinstance(wiring, Sparse):
        return _synapses(wiring)
    raise TypeError(f"no torch map for a {type(wiring).__name__}")


def _convolution(wiring: Conv) -> Map:
    convolve: Callable[..., Tensor] = functional.conv1d if len(wiring.stride) == 1 else functional.conv2d

    def deliver(weights: Tensor, messages: Tensor) -> Tensor:
        images = messages.reshape(-1, *wiring.input_shape)
        settings = (wiring.stride, wiring.padding, wiring.dilation, wiring.groups)
        return convolve(images, weights, None, *settings).flatten(1)

    return deliver


def _synapses(wiring: Sparse) -> Map:
    counts = torch.from_numpy(wiring.starts.copy()).diff()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    positions = torch.stack([rows, torch.from_numpy(wiring.columns.copy())])

    def deliver(weights: Tensor, messages: Tensor) -> Tensor:
        matrix = torch.sparse_coo_tensor(
            positions, weights, wiring.shape, is_coalesced=True, check_invariants=False
        )
        totals: Tensor = torch.sparse.mm(matrix, messages.T).T
        return totals

    return deliver
