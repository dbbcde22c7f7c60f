"""Neurons that Norse has no cell for, as a torch module in float32: any Membrane, with its own comparison and reset."""

from typing import Any

import numpy as np
import torch

from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import CubaLIF, Membrane

State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Neurons(torch.nn.Module):
    """A population's equations, a step at a time: (current, state) -> (messages, state), (batch, neurons).

    What goes in is a current times `factor`. The state is the membrane, the synaptic current and the steps that a
    neuron is refractory for yet; None: at rest.
    """

    def __init__(self, node: Membrane, dt: float, size: int) -> None:
        super().__init__()
        self.node, self.dt = node, dt
        leak, drive = (_wide(each, size) for each in (node.leak(dt), node.drive(dt)))
        self.leaks = bool(
            np.all(leak)
        )  # then the input is a part of what the membrane is drawn to, as in training
        factor = drive / leak if self.leaks else drive
        if isinstance(node, CubaLIF):
            factor = factor * _wide(node.fall(dt) * node.w_in, size)
            self.kept = torch.from_numpy((1 - _wide(node.fall(dt), size)).astype(np.float32))
        self.factor = factor
        self.leak, self.rest, self.threshold, self.v_reset = (
            torch.from_numpy(_wide(each, size).astype(np.float32))
            for each in (leak, node.v_leak, node.v_threshold, node.v_reset)
        )

    def forward(self, current: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Messages of this step and the new state."""
        v, i, wait = self._at_rest(current) if state is None else state
        if isinstance(self.node, CubaLIF):
            current = i = i * self.kept + current
        pull = self.rest - v
        integrated = v + self.leak * (pull + current) if self.leaks else v + self.leak * pull + current
        if self.node.sends != "spikes":
            sent = integrated.clamp(min=0) if self.node.sends == "rectified" else integrated
            return sent, (integrated, i, wait)
        free = wait == 0
        v = torch.where(free, integrated, v)
        above = v >= self.threshold if self.node.comparison == ">=" else v > self.threshold
        spikes = above & free
        wait = torch.where(spikes, self.node.refractory, (wait - 1).clamp(min=0))
        return spikes.to(current.dtype), (torch.where(spikes, self._after_spike(v), v), i, wait)

    def _after_spike(self, v: torch.Tensor) -> torch.Tensor:
        match self.node.reset:
            case "value":
                return self.v_reset
            case "subtract":
                return v - (self.threshold - self.v_reset)
            case _:
                return v

    def _at_rest(self, current: torch.Tensor) -> State:
        zeros = torch.zeros_like(current)
        return self.rest.expand_as(current), zeros, zeros.long()


def _wide(array: Any, size: int) -> Array:
    return np.broadcast_to(np.asarray(array, np.float64).reshape(-1), (size,))
