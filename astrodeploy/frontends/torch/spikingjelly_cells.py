"""spikingjelly's neurons and their nodes. Its time is in steps, and neurons fire at their threshold too (>=).

decay_input      v <- v + (x - (v - v_reset)) / tau
without          v <- v - (v - v_reset) / tau + x
v_reset is None  a soft reset, v <- v - v_threshold, and a leak towards 0
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import neuron

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import Cell, Reader, Site
from astrodeploy.ir.nodes import LIF, Array

SINGLE_STEP = (
    "is in step_mode 'm', which loops over time: call spikingjelly's functional.set_step_mode(net, 's') first"
)
REASONS = {
    "NonSpikingLIFNode": "it loops over time; read out the spikes of a LIFNode",
    "NonSpikingIFNode": "it loops over time; read out the spikes of an IFNode",
}


def _integrate_and_fire(site: Site, cell: Any) -> Cell:
    return _cell(site, cell, tau=np.inf, r=1 / site.dt)


def _leaky(site: Site, cell: Any) -> Cell:
    steps = float(cell.tau)
    return _cell(site, cell, tau=steps * site.dt, r=1.0 if cell.decay_input else steps)


def _parametric(site: Site, cell: Any) -> Cell:
    steps = 1 / float(torch.sigmoid(cell.w.detach().double()))
    return _cell(site, cell, tau=steps * site.dt, r=1.0 if cell.decay_input else steps)


def _cell(site: Site, cell: Any, tau: float, r: float) -> Cell:
    check_single_step(site.path, cell)
    if getattr(cell.surrogate_function, "spiking", True) is False:
        raise UnsupportedError(
            f"{site.path} does not spike: its surrogate_function has spiking=False, call set_spiking_mode(True)"
        )

    def full(value: float) -> Array:
        return np.full(site.shape, float(value))

    soft = cell.v_reset is None
    rest = 0.0 if soft else cell.v_reset
    node = LIF(
        tau=full(tau),
        r=full(r),
        v_leak=full(rest),
        v_threshold=full(cell.v_threshold),
        v_reset=full(rest),
        bias=site.bias,
        reset="subtract" if soft else "value",
        comparison=">=",
    )
    return Cell(node, returns=())


def check_single_step(path: str, module: torch.nn.Module) -> None:
    """Raise UnsupportedError for a module that takes all steps at once."""
    if getattr(module, "step_mode", "s") != "s":
        raise UnsupportedError(f"{path} {SINGLE_STEP}")


def _reader(cell: Callable[[Site, Any], Cell]) -> Reader:
    return Reader(cell, membrane=lambda module, _output: module.v, messages=lambda _module, output: output)


READERS: dict[type, Reader] = {
    neuron.IFNode: _reader(_integrate_and_fire),
    neuron.LIFNode: _reader(_leaky),
    neuron.ParametricLIFNode: _reader(_parametric),
}
