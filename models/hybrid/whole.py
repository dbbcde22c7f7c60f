"""The network over all steps of a digit at once: what unrolling it gives, in a tenth of the time.

From one message of an astrocyte to the next a layer is a plain one, and messages come at the same steps in all
rows. Sums of floats are taken in another order than step by step: a membrane that lands within rounding of its
threshold may then fall on the other side of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from model import DT, MEMBRANE, STEPS, THRESHOLD, Hybrid

from astrodeploy.answers import answers
from astrodeploy.encoders import thresholds

LEAK = DT / MEMBRANE


class _Neurons(torch.autograd.Function):
    """LIFBoxCell from rest: currents (steps, batch, n) -> spikes, with Norse's SuperSpike as the derivative."""

    @staticmethod
    def forward(ctx: Any, current: torch.Tensor) -> torch.Tensor:
        before_reset, spikes = torch.empty_like(current), torch.empty_like(current)
        v = torch.zeros_like(current[0])
        for t in range(len(current)):
            torch.lerp(v, current[t], LEAK, out=before_reset[t])
            torch.gt(before_reset[t], THRESHOLD, out=spikes[t])
            v = before_reset[t] * (1 - spikes[t])
        ctx.save_for_backward(before_reset, spikes)
        return spikes

    @staticmethod
    def backward(ctx: Any, from_spikes: torch.Tensor) -> torch.Tensor:
        v, spikes = ctx.saved_tensors
        surrogate = 1 / ((v - THRESHOLD).abs() + 1) ** 2
        kept = (1 - spikes) - v * surrogate  # d(membrane after the reset) / d(membrane before it)
        own = from_spikes * surrogate
        gradient, later = torch.empty_like(v), torch.zeros_like(v[0])
        for t in reversed(range(len(v))):
            torch.addcmul(own[t], kept[t], later, out=gradient[t])
            later = gradient[t] * (1 - LEAK)
        return gradient * LEAK


def neurons(current: torch.Tensor) -> torch.Tensor:
    """Spikes (steps, batch, n) of neurons at rest that take these currents."""
    return _Neurons.apply(current)


def encoded(model: Hybrid, pixels: torch.Tensor) -> torch.Tensor:
    """The encoder's spikes (steps, batch, pixels) of pixels (batch, pixels) in 0..1."""
    levels = torch.from_numpy(thresholds(model.encoder.seed, STEPS, pixels.shape[1]))[:, None]
    spikes = torch.empty(STEPS, *pixels.shape, dtype=model.expand.weight.dtype)
    return torch.gt(pixels.float(), levels, out=spikes)


def counts(model: Hybrid, pixels: torch.Tensor) -> torch.Tensor:
    """Output spikes (batch, 10) of digits (batch, pixels), all from rest, gains at rest."""
    return answered(model, model.expand(encoded(model, pixels)), model.hidden.log_gain)


def answered(model: Hybrid, current: torch.Tensor, log_gain: torch.Tensor) -> torch.Tensor:
    """Output spikes (batch, 10) for the hidden layer's currents (steps, batch, n), gains (..., domains) fixed."""
    return neurons(model.classify(hidden_spikes(model, current, log_gain))).sum(0)


def hidden_spikes(model: Hybrid, current: torch.Tensor, log_gain: torch.Tensor) -> torch.Tensor:
    """The hidden layer's spikes for its currents, both (steps, batch, n), gains fixed."""
    return neurons(current * (2.0**log_gain)[..., model.hidden.domain_of])


@dataclass
class Stream:
    """The slow state of independent streams, one a row: what AstrocyteState is to the module.

    trace, log_gain (rows, domains); seen (rows, neurons): spikes of the window so far.
    """

    seen: torch.Tensor
    trace: torch.Tensor
    log_gain: torch.Tensor
    clock: int = 0

    @classmethod
    def at_rest(cls, model: Hybrid, rows: int) -> "Stream":
        """Where streams start: gains at rest, nothing seen."""
        rest = model.hidden.log_gain.to(model.expand.weight.dtype).expand(rows, -1)
        return cls(rest.new_zeros(rows, model.hidden.neurons), torch.zeros_like(rest), rest)

    def sent(self, model: Hybrid, current: torch.Tensor) -> torch.Tensor:
        """Spikes (steps, rows, n) that the hidden layer answers the next digit's currents with."""
        period, steps = model.hidden.period, len(current)
        spikes = torch.empty_like(current)
        v, start = torch.zeros_like(current[0]), 0
        while start < steps:
            stop = min(steps, start + period - self.clock % period)
            driven = current[start:stop] * (2.0**self.log_gain)[:, model.hidden.domain_of]
            for t in range(start, stop):
                v = torch.lerp(v, driven[t - start], LEAK)
                torch.gt(v, THRESHOLD, out=spikes[t])
                v = v * (1 - spikes[t])
            self._observe(model, spikes[start:stop])
            start = stop
        return spikes

    def _observe(self, model: Hybrid, spikes: torch.Tensor) -> None:
        """Take in what was sent within one window; a step's spikes are seen in the next one."""
        self.clock += len(spikes)
        ends = self.clock % model.hidden.period == 0
        self.seen = self.seen + spikes[: len(spikes) - ends].sum(0)
        if ends:
            self._update(model, self.seen / model.hidden.period)
            self.seen = spikes[-1].clone()

    def _update(self, model: Hybrid, activity: torch.Tensor) -> None:
        """The end of a window; activity (rows, n) in spikes per step."""
        astrocytes = model.hidden
        drive = activity @ astrocytes.pool.to(activity.dtype).T + astrocytes.set_point
        self.trace = self.trace + astrocytes.decay * (drive - self.trace)
        moved = self.log_gain + astrocytes.rate * self.trace
        self.log_gain = moved.clamp(astrocytes.low, astrocytes.high)


@torch.no_grad()
def stream_counts(model: Hybrid, pixels: torch.Tensor, state: Stream | None = None) -> torch.Tensor:
    """Output spikes (length, rows, 10) of streams (length, rows, pixels), one a row; a state is moved along."""
    state = Stream.at_rest(model, pixels.shape[1]) if state is None else state
    answers = []
    for digits in pixels:
        hidden = state.sent(model, model.expand(encoded(model, digits)))
        answers.append(neurons(model.classify(hidden)).sum(0))
    return torch.stack(answers)


def named(counts: torch.Tensor) -> np.ndarray:
    """Digits (...) that spike counts (..., classes) name; -1 where none stands out, as on the chip."""
    rows = counts.reshape(-1, counts.shape[-1]).numpy()
    return answers(rows, sent=True).classes.reshape(counts.shape[:-1])
