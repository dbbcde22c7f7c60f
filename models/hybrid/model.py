"""The reference hybrid network: rate-coded pixels, a modulated spiking layer, a spiking read-out.

    pixels -> rate encoder -> Linear -> LIF with astrocytes -> Linear -> LIF, one neuron a class

All of it runs on the chip; only the arg max over the output's spike counts is the host's.
"""

from typing import Any

import torch
from norse.torch import LIFBoxCell, LIFBoxParameters

from astrodeploy.nn import AstrocyteLayer, RateEncoder

PIXELS, HIDDEN, CLASSES = 64, 128, 10
STEPS = 24  # a digit is shown for 24 steps of 1 ms
DT = 1e-3
MEMBRANE, THRESHOLD = 5e-3, 0.5  # time constant in seconds, and threshold, of all neurons
ASTROCYTES = {"domain": 16, "period": 64, "tau": 0.64, "rate": 1.0}  # see AstrocyteLayer


class Hybrid(torch.nn.Module):
    """One step: (pixels (batch, pixels) in 0..1, state) -> (output spikes (batch, 10), state).

    astrocytes: settings of the AstrocyteLayer that differ from ASTROCYTES.
    """

    def __init__(self, seed: int, pixels: int = PIXELS, **astrocytes: Any) -> None:
        super().__init__()
        neurons = LIFBoxParameters(
            tau_mem_inv=torch.tensor(1 / MEMBRANE), v_th=torch.tensor(THRESHOLD), alpha=torch.tensor(20.0)
        )
        self.encoder = RateEncoder(steps=STEPS, seed=seed)
        self.expand = torch.nn.Linear(pixels, HIDDEN, bias=False)
        self.hidden = AstrocyteLayer(LIFBoxCell(neurons, dt=DT), HIDDEN, **(ASTROCYTES | astrocytes))
        self.classify = torch.nn.Linear(HIDDEN, CLASSES, bias=False)
        self.readout = LIFBoxCell(neurons, dt=DT)
        for layer in (self.expand, self.classify):  # so that neurons fire from the start
            torch.nn.init.uniform_(layer.weight, -4 / layer.in_features**0.5, 4 / layer.in_features**0.5)

    def forward(self, pixels: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the network."""
        encoder, hidden, readout = (None, None, None) if state is None else state
        spikes, encoder = self.encoder(pixels, encoder)
        spikes, hidden = self.hidden(self.expand(spikes), hidden)
        spikes, readout = self.readout(self.classify(spikes), readout)
        return spikes, (encoder, hidden, readout)
