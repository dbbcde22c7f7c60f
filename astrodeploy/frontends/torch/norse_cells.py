"""Norse's cells and their nodes, in both directions: the one place that knows Norse's parameters."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from norse.torch import (
    IAFCell,
    IAFParameters,
    LIBoxCell,
    LIBoxParameters,
    LICell,
    LIFBoxCell,
    LIFBoxParameters,
    LIFCell,
    LIFParameters,
    LIFRecurrentCell,
    LIFRefracCell,
    LIFRefracParameters,
    LIFRefracRecurrentCell,
    LIParameters,
)
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.module.leaky_integrator import LILinearCell

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import Cell, Reader, Recurrence, Site, spread
from astrodeploy.frontends.torch.layers import finite
from astrodeploy.ir.nodes import LIF, Array, CubaLIF, Membrane, Node
from astrodeploy.ir.wiring import Dense

_OTHER_STATES = (
    "its neurons have states that a chip's membrane has not; supported are LIFCell, LIFRecurrentCell"
)
_OVER_TIME = "it loops over time: use the cell of one step, like LIFCell"
_KINDS = {
    _OTHER_STATES: "LIFAdExCell LIFAdExRecurrentCell LSNNCell LSNNRecurrentCell LIFExCell IzhikevichCell",
    _OVER_TIME: "LIF LIFRecurrent LI IAF LSNN LSNNRecurrent LIFAdEx LIFEx Izhikevich Lift",
    "feed its output back yourself, as part of the state": "RecurrentSequential",
}
REASONS = {kind: reason for reason, kinds in _KINDS.items() for kind in kinds.split()}


def _membrane(site: Site, p: Any, **settings: Any) -> dict[str, Any]:
    """The fields of a Membrane that LIF's and LI's parameters say."""
    sends_membrane = not hasattr(p, "v_th")
    leak = _spread(site, "v_leak", p.v_leak)
    return {
        "tau": _inverse(site, "tau_mem_inv", p.tau_mem_inv),
        "r": np.ones(site.shape),
        "v_leak": leak,
        "v_threshold": np.ones(site.shape) if sends_membrane else _spread(site, "v_th", p.v_th),
        "v_reset": np.zeros(site.shape) if sends_membrane else _spread(site, "v_reset", p.v_reset),
        "bias": site.bias,
        "sends": "membrane" if sends_membrane else "spikes",
        **settings,
    }


def _spread(site: Site, what: str, value: Any) -> Array:
    return spread(site.path, what, value, site.shape)


def _box(site: Site, cell: Any) -> Cell:
    _check_dt(site, cell)
    return Cell(LIF(**_membrane(site, cell.p), reset=_reset(site, cell.p)))


def _box_integrator(site: Site, cell: Any) -> Cell:
    _check_dt(site, cell)
    return Cell(LIF(**_membrane(site, cell.p)))


def _current(site: Site, cell: Any) -> Cell:
    return Cell(_cuba(site, cell, cell.p))


def _cuba(site: Site, cell: Any, p: Any, refractory: int = 0) -> CubaLIF:
    _check_dt(site, cell)
    tau_syn = _inverse(site, "tau_syn_inv", p.tau_syn_inv)
    return CubaLIF(**_membrane(site, p, refractory=refractory), tau_syn=tau_syn, w_in=tau_syn / site.dt)


def _refractory(site: Site, cell: Any) -> Cell:
    rest = np.unique(np.ceil(_spread(site, "rho_reset", cell.p.rho_reset)).clip(0))
    if rest.size != 1:
        raise UnsupportedError(
            f"{site.path} has refractory periods from {rest[0]:g} to {rest[-1]:g} steps: give all neurons one"
        )
    return Cell(_cuba(site, cell, cell.p.lif, int(rest[0])))


def _recurrent(read: Callable[[Site, Any], Cell]) -> Callable[[Site, Any], Cell]:
    """The reader of a cell with input and recurrent weights, from that of the same without."""

    def recurrent(site: Site, cell: Any) -> Cell:
        (weight,) = finite(site.path, recurrent_weights=cell.recurrent_weights)
        assert weight is not None
        return Cell(read(site, cell).node, Recurrence(Dense(weight)))

    return recurrent


def _integrator(site: Site, cell: Any) -> Cell:
    _check_dt(site, cell)
    tau = np.full(site.shape, np.inf)
    v_reset = _spread(site, "v_reset", cell.p.v_reset)
    threshold = _spread(site, "v_th", cell.p.v_th)
    r = np.full(site.shape, 1 / site.dt)
    return Cell(LIF(tau=tau, r=r, v_leak=v_reset, v_threshold=threshold, v_reset=v_reset, bias=site.bias))


def _reset(site: Site, p: Any) -> str:
    """The reset's name. Norse's reset_subtract takes the threshold off, whatever v_reset is."""
    if p.reset_method is reset_value:
        return "value"
    if p.reset_method is not reset_subtract:
        name = getattr(p.reset_method, "__name__", str(p.reset_method))
        raise UnsupportedError(
            f"{site.path} resets by {name}: supported are Norse's reset_value, reset_subtract"
        )
    if np.any(_spread(site, "v_reset", p.v_reset) != 0):
        raise UnsupportedError(
            f"{site.path} resets by reset_subtract, where v_reset has no meaning: set it to 0 to say so"
        )
    return "subtract"


def _check_dt(site: Site, cell: Any) -> None:
    if not np.isclose(float(cell.dt), site.dt, rtol=1e-9):
        raise UnsupportedError(
            f"{site.path} was trained with dt = {cell.dt:g} s, asked for is dt = {site.dt:g} s"
        )


def _inverse(site: Site, what: str, value: Any) -> Array:
    """A time constant from its inverse."""
    rate = _spread(site, what, value)
    if np.any(rate == 0):
        raise UnsupportedError(f"{site.path} has {what} = 0, with which Norse's neurons never change")
    return np.asarray(1 / rate)


def _first(_cell: Any, output: Any) -> torch.Tensor:
    z: torch.Tensor = output[0]
    return z


def _v(_cell: Any, output: Any) -> torch.Tensor:
    state = getattr(output[1], "lif", output[1])
    v: torch.Tensor = state.v
    return v


def _reader(cell: Callable[[Site, Any], Cell], weights: str = "") -> Reader:
    return Reader(cell, _v, _first, (lambda module: getattr(module, weights)) if weights else None)


READERS: dict[type, Reader] = {
    LIFBoxCell: _reader(_box),
    LIFCell: _reader(_current),
    LIFRecurrentCell: _reader(_recurrent(_current), "input_weights"),
    LIFRefracCell: _reader(_refractory),
    LIFRefracRecurrentCell: _reader(_recurrent(_refractory), "input_weights"),
    IAFCell: _reader(_integrator),
    LICell: _reader(_current),
    LIBoxCell: _reader(_box_integrator),
    LILinearCell: _reader(_current, "input_weights"),
}


# ---- from a node to a cell, for the torch engine ---------------------------------------------------


def cell_of(node: Node, dt: float) -> tuple[Any, Array]:
    """A Norse cell in float32 for a node, and the factor of what goes into it.

    Norse's neurons have r = 1 and w_in = tau_syn / dt; both are factors of the input. Raises
    UnsupportedError where Norse can't say the same.
    """
    assert isinstance(node, Membrane)
    if node.sends == "rectified" or (node.sends == "spikes" and node.comparison != ">"):
        what = "a rectified output" if node.sends == "rectified" else "the comparison >="
        raise UnsupportedError(f"Norse has no cell with {what}")
    leak, drive = (np.broadcast_to(each, node.tau.shape) for each in (node.leak(dt), node.drive(dt)))
    if not np.any(leak):
        return _without_leak(node, dt), drive
    if not np.all(leak):
        raise UnsupportedError("Norse has no cell of which some neurons leak and others do not")
    factor = drive / leak
    membrane = {"tau_mem_inv": _tensor(leak / dt), "v_leak": _tensor(node.v_leak)}
    if isinstance(node, CubaLIF):
        factor = factor * node.fall(dt) * node.w_in
    if node.sends == "membrane":
        return _integrating(node, membrane, dt), factor
    membrane |= {"v_th": _tensor(node.v_threshold), "v_reset": _tensor(node.v_reset)}
    return _spiking(node, membrane, dt), factor


def _without_leak(node: Membrane, dt: float) -> Any:
    plain = (node.sends, node.reset, node.refractory) == ("spikes", "value", 0)
    if isinstance(node, CubaLIF) or not plain or np.any(node.v_leak != node.v_reset):
        raise UnsupportedError("Norse's only cell without leak is IAFCell, which resets to where it starts")
    return IAFCell(IAFParameters(v_th=_tensor(node.v_threshold), v_reset=_tensor(node.v_reset)), dt=dt)


def _integrating(node: Membrane, membrane: dict[str, Any], dt: float) -> Any:
    if isinstance(node, CubaLIF):
        return LICell(LIParameters(tau_syn_inv=_tensor(node.fall(dt) / dt), **membrane), dt=dt)
    return LIBoxCell(LIBoxParameters(**membrane), dt=dt)


def _spiking(node: Membrane, membrane: dict[str, Any], dt: float) -> Any:
    if not isinstance(node, CubaLIF):
        if node.refractory:
            raise UnsupportedError("Norse has no refractory cell without a synaptic current")
        return LIFBoxCell(LIFBoxParameters(**membrane, reset_method=RESETS[node.reset]), dt=dt)
    if node.reset != "value":
        raise UnsupportedError(
            f"Norse's cells with a synaptic current reset to a value, not by {node.reset!r}"
        )
    parameters = LIFParameters(tau_syn_inv=_tensor(node.fall(dt) / dt), **membrane)
    if not node.refractory:
        return LIFCell(parameters, dt=dt)
    if parameters.v_leak.ndim:
        raise UnsupportedError("Norse's LIFRefracCell has one v_leak for all neurons")
    return LIFRefracCell(LIFRefracParameters(parameters, torch.tensor(float(node.refractory))), dt=dt)


def _subtracting(z: torch.Tensor, v: torch.Tensor, reset: torch.Tensor, th: torch.Tensor) -> torch.Tensor:
    """Norse's reset_subtract for any reset value."""
    return v - z * (th - reset)


RESETS = {"value": reset_value, "subtract": _subtracting, "none": lambda z, v, reset, th: v}


def _tensor(array: Array) -> torch.Tensor:
    """A number where all neurons have the same, else (neurons,)."""
    flat = np.array(array, np.float32).reshape(-1)
    return torch.tensor(float(flat[0])) if np.all(flat == flat[0]) else torch.from_numpy(flat)
