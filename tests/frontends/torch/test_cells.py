"""Norse's cells as nodes: long runs in torch and in the float reference, spike for spike."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.leaky_integrator import LILinearCell
from torch_networks import linear, spikes

from astrodeploy.engines.reference import simulate
from astrodeploy.errors import InputError
from astrodeploy.frontends.torch.running import in_float64
from astrodeploy.nn import unroll
from astrodeploy.pipeline import load

STEPS = 400


def tensors(**numbers):
    return {name: torch.as_tensor(value) for name, value in numbers.items()}


def lif(**given):
    return norse.LIFParameters(**tensors(**{"tau_syn_inv": 250.0, "tau_mem_inv": 200.0, "v_th": 0.5} | given))


def box(**given):
    return norse.LIFBoxParameters(**tensors(**{"tau_mem_inv": 200.0, "v_th": 0.3} | given))


def soft():
    return box()._replace(reset_method=reset_subtract)


def varied(low, high):
    return torch.rand(8, generator=torch.Generator().manual_seed(3)) * (high - low) + low


def refractory(rho, **given):
    return norse.LIFRefracParameters(lif(**given), torch.as_tensor(rho))


CELLS = {
    "LIFBoxCell": lambda: norse.LIFBoxCell(box()),
    "LIFBoxCell of varied neurons": lambda: norse.LIFBoxCell(
        box(v_th=varied(0.2, 0.5), v_leak=varied(-0.2, 0.1))
    ),
    "LIFBoxCell with a soft reset": lambda: norse.LIFBoxCell(soft()),
    "LIFBoxCell, dt of 2 ms": lambda: norse.LIFBoxCell(box(), dt=2e-3),
    "LIFCell": lambda: norse.LIFCell(lif()),
    "LIFCell with leak and reset": lambda: norse.LIFCell(lif(v_leak=-0.1, v_reset=-0.2)),
    "LIFRecurrentCell": lambda: norse.LIFRecurrentCell(8, 8, lif()),
    "LIFRecurrentCell with autapses": lambda: norse.LIFRecurrentCell(8, 8, lif(), autapses=True),
    "LIFRefracCell": lambda: norse.LIFRefracCell(refractory(3.0)),
    "LIFRefracCell of a broken count": lambda: norse.LIFRefracCell(refractory(1.5)),
    "LIFRefracRecurrentCell": lambda: norse.LIFRefracRecurrentCell(8, 8, refractory(2.0)),
    "IAFCell": lambda: norse.IAFCell(norse.IAFParameters(**tensors(v_th=2.5, v_reset=-0.5))),
}
INTEGRATORS = {
    "LICell": lambda: norse.LICell(norse.LIParameters(**tensors(v_leak=0.2))),
    "LIBoxCell": lambda: norse.LIBoxCell(norse.LIBoxParameters(**tensors(tau_mem_inv=50.0))),
    "LILinearCell": lambda: LILinearCell(8, 3),
}


def network(cell):
    torch.manual_seed(0)
    return norse.SequentialState(linear(6, 8, 0, bias=True), cell)


def both(module):
    """The cell's messages in torch and in the Graph, (4, steps, neurons)."""
    graph = load(module)
    x = spikes(samples=4, steps=STEPS).astype(float)
    with torch.no_grad():
        theirs, _ = unroll(in_float64(module), torch.from_numpy(x))
    return theirs.numpy(), simulate(graph, x).spikes["layer1"], graph


@pytest.mark.parametrize("name", CELLS)
def test_cells_send_the_same_spikes(name):
    theirs, ours, _ = both(network(CELLS[name]()))
    assert theirs.sum() > 300
    assert np.array_equal(theirs, ours)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_integrators_send_the_same_membrane(name):
    theirs, ours, graph = both(network(INTEGRATORS[name]()))
    assert graph["layer1"].node.sends == "membrane"
    assert graph.readout == "last"
    assert np.abs(theirs).max() > 0.1
    assert np.allclose(theirs, ours, rtol=0, atol=1e-10)


def test_a_recurrent_cell_has_a_connection_to_itself_one_step_later():
    cell = norse.LIFRecurrentCell(8, 5, lif())
    graph = load(network(cell))
    loop = {c.name: c for c in graph.connections}["layer1 -> layer1.current +1"]
    assert loop.lag == 1
    assert np.array_equal(loop.weight, cell.recurrent_weights.detach().double())
    assert not np.any(np.diag(loop.weight))
    assert graph["layer1"].shape == (5,)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            lambda: norse.LIFRefracCell(refractory(varied(1, 5))),
            "^1 has refractory periods from 2 to 5 steps: give all",
        ),
        (
            lambda: norse.LIFCell(lif(tau_syn_inv=0.0)),
            "^1 has tau_syn_inv = 0, with which Norse's neurons never",
        ),
        (
            lambda: norse.LIFBoxCell(box(v_th=torch.ones(3))),
            "^1 has parameters for 3 neurons, its input has 8",
        ),
        (lambda: norse.LIFRecurrentCell(7, 7), "^1 takes 7 inputs, what is before it has 8"),
    ],
)
def test_what_is_refused(cell, message):
    with pytest.raises(InputError, match=message):
        load(network(cell()))
