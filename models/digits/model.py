"""Two spiking networks that read digits of 28 x 28 pixels; all of their spiking layers run on the chip.

    Convolutional  pixels -> rate encoder -> conv -> LIF -> conv -> LIF -> dense -> LI, one neuron a class
    Recurrent      one row of spikes a step -> dense -> recurrent CubaLIF -> dense -> LI, one neuron a class

The class is the neuron of the read-out whose membrane is largest after the last step.
"""

from typing import Any

import torch
from norse.torch import (
    LIBoxCell,
    LIBoxParameters,
    LIFBoxCell,
    LIFBoxParameters,
    LIFParameters,
    LIFRecurrentCell,
)

from astrodeploy.nn import RateEncoder

SIDE, CLASSES = 28, 10
DT = 1e-3
STEPS = 8  # a digit is shown to the convolutional network for 8 steps of 1 ms
LEVELS = (0.2, 0.6)  # a row is shown to the recurrent network once for each: which pixels are above it
HIDDEN = 200


class Convolutional(torch.nn.Module):
    """One step: (pixels (batch, 1, 28, 28) in 0..1, state) -> (read-out membranes (batch, 10), state)."""

    input_shape = (1, SIDE, SIDE)

    def __init__(self, seed: int) -> None:
        super().__init__()
        neurons = LIFBoxParameters(
            tau_mem_inv=torch.tensor(1 / 4e-3), v_th=torch.tensor(1.0), method="tanh", alpha=torch.tensor(2.0)
        )
        self.encoder = RateEncoder(steps=STEPS, seed=seed)
        self.edges = torch.nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False)
        self.first = LIFBoxCell(neurons, dt=DT)
        self.parts = torch.nn.Conv2d(16, 32, 5, stride=2, padding=2, bias=False)
        self.second = LIFBoxCell(neurons, dt=DT)
        self.flatten = torch.nn.Flatten()
        self.classify = torch.nn.Linear(32 * 7 * 7, CLASSES, bias=False)
        self.classes = LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(1 / 10e-3)), dt=DT)
        for layer, gain in ((self.edges, 8.0), (self.parts, 8.0), (self.classify, 2.0)):
            _spread(layer, gain)

    def forward(self, pixels: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the network."""
        encoder, first, second, classes = (None,) * 4 if state is None else state
        spikes, encoder = self.encoder(pixels, encoder)
        spikes, first = self.first(self.edges(spikes), first)
        spikes, second = self.second(self.parts(spikes), second)
        membranes, classes = self.classes(self.classify(self.flatten(spikes)), classes)
        return membranes, (encoder, first, second, classes)


class Recurrent(torch.nn.Module):
    """One step: (spikes of a row (batch, 28), state) -> (read-out membranes (batch, 10), state)."""

    input_shape = (SIDE,)

    def __init__(self) -> None:
        super().__init__()
        neurons = LIFParameters(
            tau_syn_inv=torch.tensor(1 / 10e-3),
            tau_mem_inv=torch.tensor(1 / 10e-3),
            v_th=torch.tensor(1.0),
            method="triangle",
            alpha=torch.tensor(1.0),
        )
        self.hidden = LIFRecurrentCell(SIDE, HIDDEN, neurons, dt=DT)
        self.hidden.input_weights.data *= 8.0
        self.classify = torch.nn.Linear(HIDDEN, CLASSES, bias=False)
        self.classes = LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(1 / 40e-3)), dt=DT)
        _spread(self.classify, 2.0)

    def forward(self, row: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the network."""
        hidden, classes = (None, None) if state is None else state
        spikes, hidden = self.hidden(row, hidden)
        membranes, classes = self.classes(self.classify(spikes), classes)
        return membranes, (hidden, classes)


def _spread(layer: torch.nn.Module, gain: float) -> None:
    """Uniform weights, wide enough for the neurons behind them to fire from the start."""
    fan_in = layer.weight[0].numel()
    torch.nn.init.uniform_(layer.weight, -gain / fan_in**0.5, gain / fan_in**0.5)


def rows(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (batch, 28, 28) in 0..1 as spikes (batch, steps, 28): a row after the other, each once a level."""
    spikes = torch.stack([pixels > level for level in LEVELS], 2).reshape(len(pixels), -1, SIDE)
    return spikes.to(torch.uint8)
