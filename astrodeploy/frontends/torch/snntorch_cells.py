"""snnTorch's cells and their nodes.

snnTorch's time has no unit, and its decays are per step: mem <- beta mem + x - reset. With reset_delay, its
default, `mem` is shown as it was before the reset, which happens in the next step:

    subtract  beta mem - threshold = beta (mem - threshold / beta): our reset takes threshold / beta off at once
    zero      Leaky decays from 0: our reset to 0. The other cells skip a whole step: a reset to 0 and a
              refractory period of one step (the synaptic current goes on)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch
import torch

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import Cell, Reader, Recurrence, Site, spread
from astrodeploy.frontends.torch.layers import convolved, finite
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import LIF, CubaLIF
from astrodeploy.ir.wiring import Dense, OneToOne, after

REASONS = {
    "Alpha": "it resets its two synaptic currents with its membrane, which a chip's neuron can't; use Synaptic",
    "SLSTM": "an LSTM is no membrane: use RLeaky or RSynaptic",
    "SConv2dLSTM": "an LSTM is no membrane: use RLeaky or RSynaptic",
    "LeakyParallel": "it loops over time: use Leaky, one step at a time",
}


def _leaky(site: Site, cell: Any) -> Cell:
    beta = _decay(site, "beta", cell.beta)
    return _cell(site, cell, LIF(**_membrane(site, cell, beta, skips=False)), ("mem",))


def _synaptic(site: Site, cell: Any) -> Cell:
    return _cell(site, cell, _with_current(site, cell), ("syn", "mem"))


def _recurrent_leaky(site: Site, cell: Any) -> Cell:
    beta = _decay(site, "beta", cell.beta)
    node = LIF(**_membrane(site, cell, beta, skips=True))
    return _cell(site, cell, node, ("mem",), _recurrence(site, cell))


def _recurrent_synaptic(site: Site, cell: Any) -> Cell:
    if not cell.reset_delay:
        raise UnsupportedError(f"{site.path}: snnTorch's RSynaptic does not run with reset_delay=False")
    return _cell(site, cell, _with_current(site, cell), ("syn", "mem"), _recurrence(site, cell))


def _lapicque(site: Site, cell: Any) -> Cell:
    step, r, c = (spread(site.path, n, getattr(cell, n), site.shape) for n in ("time_step", "R", "C"))
    kept = 1 - step / (r * c)
    if np.any((kept < 0) | (kept > 1)):
        raise UnsupportedError(
            f"{site.path} has a time_step longer than R C: its membrane swings, choose a shorter"
        )
    fields = _membrane(site, cell, kept, skips=True)
    return _cell(site, cell, LIF(**fields | {"r": step / c * fields["r"]}), ("mem",))


def _with_current(site: Site, cell: Any) -> CubaLIF:
    alpha = _decay(site, "alpha", cell.alpha)
    if np.any(alpha == 1):
        raise UnsupportedError(
            f"{site.path} has alpha = 1: a synaptic current that never decays is not supported"
        )
    fields = _membrane(site, cell, _decay(site, "beta", cell.beta), skips=True)
    return CubaLIF(**fields, tau_syn=site.dt / (1 - alpha), w_in=1 / (1 - alpha))


def _decay(site: Site, what: str, value: Any) -> Array:
    """A decay factor per step; snnTorch clamps it to 0..1 too."""
    return spread(site.path, what, value, site.shape).clip(0, 1)


def _membrane(site: Site, cell: Any, kept: Array, skips: bool) -> dict[str, Any]:
    """A Membrane's fields where `kept` is left of mem after a step; `skips`: see above."""
    threshold = spread(site.path, "threshold", cell.threshold, site.shape)
    gone = 1 - kept
    delayed = getattr(cell, "reset_delay", True)
    reset = cell.reset_mechanism
    v_reset = np.zeros(site.shape)
    if reset == "subtract":
        v_reset = _subtracting(site, kept, threshold, delayed)
    with np.errstate(divide="ignore"):
        tau = site.dt / gone
    return {
        "tau": tau,
        "r": np.divide(1.0, gone, out=np.full(site.shape, 1 / site.dt), where=gone != 0),
        "v_leak": np.zeros(site.shape),
        "v_threshold": threshold,
        "v_reset": v_reset,
        "bias": site.bias,
        "reset": {"zero": "value"}.get(reset, reset),
        "refractory": int(reset == "zero" and skips and delayed),
    }


def _subtracting(site: Site, kept: Array, threshold: Array, delayed: bool) -> Array:
    if not delayed:
        raise UnsupportedError(
            f"{site.path} resets by subtraction with reset_delay=False: snnTorch then tests a membrane of more "
            "than twice the threshold after taking the threshold off, which a chip's neuron can't; leave "
            'reset_delay at True, or use reset_mechanism="zero"'
        )
    if np.any(kept == 0):
        raise UnsupportedError(
            f"{site.path} keeps nothing of its membrane, and yet subtracts a delayed reset from the next step: "
            'use reset_mechanism="zero", or a beta above 0'
        )
    return threshold - threshold / kept


def _recurrence(site: Site, cell: Any) -> Recurrence:
    path = f"{site.path}.recurrent"
    if isinstance(cell.recurrent, torch.nn.Linear):
        weight, bias = finite(path, weight=cell.recurrent.weight, bias=cell.recurrent.bias)
        assert weight is not None
        return Recurrence(Dense(weight), bias)
    if isinstance(cell.recurrent, torch.nn.Conv2d):
        return Recurrence(*convolved(path, cell.recurrent, site.shape))
    return Recurrence(OneToOne(spread(path, "V", cell.recurrent.V, site.shape).reshape(-1)))


def _cell(
    site: Site, cell: Any, node: Any, states: tuple[str, ...], recurrence: Recurrence | None = None
) -> Cell:
    for setting, what in (("inhibition", "inhibition"), ("state_quant", "quantised states")):
        if getattr(cell, setting):
            raise UnsupportedError(f"{site.path} has {what}, which is not supported: train it without")
    if np.any(node.v_threshold < 0):
        raise UnsupportedError(f"{site.path} has a negative threshold, with which snnTorch resets at rest")
    factor = spread(site.path, "graded_spikes_factor", cell.graded_spikes_factor, site.shape)
    graded = None if np.all(factor == 1) else factor
    if graded is not None and recurrence is not None:
        recurrence = Recurrence(after(recurrence.wiring, OneToOne(graded.reshape(-1))), recurrence.bias)
    hidden = cell.init_hidden and not cell.output
    return Cell(node, recurrence, () if hidden else ("z", *states), graded)


def _mem(cell: Any, _output: Any) -> torch.Tensor:
    mem: torch.Tensor = cell.mem
    return mem


def _spikes(cell: Any, output: Any) -> torch.Tensor:
    z: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return (z != 0).to(cell.mem.dtype)


def _reader(cell: Callable[[Site, Any], Cell]) -> Reader:
    return Reader(cell, _mem, _spikes)


READERS: dict[type, Reader] = {
    snntorch.Leaky: _reader(_leaky),
    snntorch.Synaptic: _reader(_synaptic),
    snntorch.RLeaky: _reader(_recurrent_leaky),
    snntorch.RSynaptic: _reader(_recurrent_synaptic),
    snntorch.Lapicque: _reader(_lapicque),
}
