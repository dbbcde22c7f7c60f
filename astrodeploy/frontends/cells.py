"""Norse cells and their nodes, in both directions: the one place that knows Norse's parameters."""

from functools import partial
from typing import Any

import numpy as np
import torch
from norse.torch import LIFBoxCell, LIFBoxParameters, LIFCell, LIFParameters
from norse.torch.functional.reset import reset_value

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.nodes import LIF, Array, CubaLIF, Membrane, Node

CELLS = (LIFBoxCell, LIFCell)


def node_of(path: str, cell: torch.nn.Module, size: int, bias: Array, dt: float) -> Node:
    """The node of a Norse cell of `size` neurons. Raises UnsupportedError that names path and reason."""
    if not isinstance(cell, CELLS):
        names = ", ".join(c.__name__ for c in CELLS)
        raise UnsupportedError(f"{path} is a {type(cell).__name__}: supported cells are Norse's {names}")
    if not np.isclose(float(cell.dt), dt, rtol=1e-9):
        raise UnsupportedError(f"{path} was trained with dt = {cell.dt:g} s, asked for is dt = {dt:g} s")
    p = cell.p
    if getattr(p, "reset_method", reset_value) is not reset_value:
        raise UnsupportedError(
            f"{path} resets by {p.reset_method.__name__}: supported is norse's reset_value (to v_reset)"
        )
    spread = partial(_spread, path, size)
    membrane: dict[str, Any] = {
        "tau": _inverse(spread(p.tau_mem_inv)),
        "r": np.ones(size),
        "v_leak": spread(p.v_leak),
        "v_threshold": spread(p.v_th),
        "v_reset": spread(p.v_reset),
        "bias": bias,
    }
    if isinstance(cell, LIFBoxCell):
        return LIF(**membrane)
    tau_syn = _inverse(spread(p.tau_syn_inv))
    return CubaLIF(tau_syn=tau_syn, w_in=tau_syn / dt, **membrane)


def _inverse(rate: Array) -> Array:
    """A time constant from its inverse; infinite for 0, which `verify` refuses with the layer's name."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / rate)


def _spread(path: str, size: int, value: Any) -> Array:
    array = np.asarray(torch.as_tensor(value).detach().cpu(), np.float64).reshape(-1)
    if array.size not in (1, size):
        raise UnsupportedError(f"{path} has parameters for {array.size} neurons, its input has {size}")
    return np.broadcast_to(array, (size,))


def cell_of(node: Node, dt: float) -> Any:
    """A Norse cell in float32 for a node. Raises UnsupportedError where Norse can't say the same."""
    if not isinstance(node, Membrane) or np.any(node.r != 1):
        raise UnsupportedError(f"Norse has no cell for a {type(node).__name__} with r != 1")
    membrane = {
        "tau_mem_inv": _tensor(1 / node.tau),
        "v_leak": _tensor(node.v_leak),
        "v_th": _tensor(node.v_threshold),
        "v_reset": _tensor(node.v_reset),
    }
    if not isinstance(node, CubaLIF):
        return LIFBoxCell(LIFBoxParameters(**membrane), dt=dt)
    if not np.allclose(node.w_in * dt, node.tau_syn, rtol=1e-9):
        raise UnsupportedError("Norse's LIFCell has no w_in other than tau_syn / dt")
    return LIFCell(LIFParameters(tau_syn_inv=_tensor(1 / node.tau_syn), **membrane), dt=dt)


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))
