"""The reduced compartment as a torch module, and the spikes that it is fed."""

from typing import Any

import numpy as np
import torch
from model import STEP, SYNAPSES, WINDOW
from reduced import SlowUnit

from astrodeploy.nn import Astrocyte

DT = STEP / 1000  # seconds


class Compartment(torch.nn.Module):
    """One step: (spikes of the trains (batch, 10), state) -> (f(a) at a window's end, else 0; (batch, 1), state)."""

    def __init__(self, unit: SlowUnit) -> None:
        super().__init__()
        self.pool = torch.nn.Linear(SYNAPSES, 1, bias=False)
        torch.nn.init.ones_(self.pool.weight)
        self.astrocyte = Astrocyte(
            1,
            period=unit.period,
            decay=unit.decay,
            drive=unit.drive,
            offset=unit.offset,
            output=unit.output,
            exponent=unit.exponent,
            slow=True,
        )

    def forward(self, spikes: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the compartment."""
        message, state = self.astrocyte(self.pool(spikes), state)
        return message, state


def spikes_of(arrived: np.ndarray) -> np.ndarray:
    """Trains (models, steps, 10) with so many spikes in each window, at its start.

    When in its window a spike comes makes no difference to the compartment.
    """
    places = WINDOW * SYNAPSES
    if arrived.max() > places:
        raise ValueError(f"a window has places for {places} spikes, not for {arrived.max()}")
    trains = np.arange(places) < arrived.T[..., None]
    return trains.reshape(arrived.shape[1], -1, SYNAPSES).astype(np.float32)
