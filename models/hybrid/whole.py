"""The network over all steps of a digit at once: what unrolling it gives, in a tenth of the time.

An astrocyte's message arrives at steps that are the same in all rows, so that between two of them a layer is a
plain one. Sums of floats are taken in another order than step by step: a membrane that lands within rounding
of its threshold may then fall on the other side.
"""

from dataclasses import dataclass

import torch
from model import DT, MEMBRANE, STEPS, THRESHOLD, Hybrid

from astrodeploy.encoders import thresholds

LEAK = DT / MEMBRANE


class _Neurons(torch.autograd.Function):
    """LIFBoxCell from rest: currents (steps, batch, n) -> spikes, with Norse's SuperSpike as the derivative."""

    @staticmethod
    def forward(ctx, current, threshold):  # type: ignore[no-untyped-def]
        before_reset, spikes = torch.empty_like(current), torch.empty_like(current)
        v = torch.zeros_like(current[0])
        for t in range(len(current)):
            torch.lerp(v, current[t], LEAK, out=before_reset[t])
            torch.gt(before_reset[t], threshold, out=spikes[t])
            v = before_reset[t] * (1 - spikes[t])
        ctx.save_for_backward(before_reset, spikes)
        ctx.threshold = threshold
        return spikes

    @staticmethod
    def backward(ctx, from_spikes):  # type: ignore[no-untyped-def]
        v, spikes = ctx.saved_tensors
        surrogate = 1 / ((v - ctx.threshold).abs() + 1) ** 2
        kept = (1 - spikes) - v * surrogate  # d(membrane after the reset) / d(membrane before it)
        own = from_spikes * surrogate
        gradient = torch.empty_like(v)
        later = torch.zeros_like(v[0])
        for t in reversed(range(len(v))):
            gradient[t] = torch.addcmul(own[t], kept[t], later)
            later = gradient[t] * (1 - LEAK)
        return gradient * LEAK, None


def neurons(current: torch.Tensor) -> torch.Tensor:
    """Spikes (steps, batch, n) of neurons at rest that take these currents."""
    return _Neurons.apply(current, THRESHOLD)


def encoded(model: Hybrid, pixels: torch.Tensor) -> torch.Tensor:
    """The encoder's spikes (steps, batch, pixels) of pixels (batch, pixels) in 0..1."""
    levels = torch.from_numpy(thresholds(model.encoder.seed, STEPS, pixels.shape[1]))
    return (pixels.float() > levels[:, None]).to(pixels.dtype)


def counts(model: Hybrid, spikes: torch.Tensor, gain: torch.Tensor | None = None) -> torch.Tensor:
    """Output spikes (batch, 10) of encoded digits, all neurons from rest, gains fixed (at rest unless given)."""
    gain = 2**model.hidden.log_gain if gain is None else gain
    hidden = neurons(model.expand(spikes) * gain[..., model.hidden.domain_of])
    return neurons(model.classify(hidden)).sum(0)


@dataclass
class Stream:
    """The slow state of independent streams, one a row: what AstrocyteState is to the module.

    Shapes: (rows, domains); `seen` (rows, neurons), spikes that the astrocytes have yet to take in.
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
        """Spikes (steps, rows, neurons) that the hidden layer answers the next digit's current with."""
        period, steps = model.hidden.period, len(current)
        spikes = torch.empty_like(current)
        v, start = torch.zeros_like(current[0]), 0
        while start < steps:
            stop = min(steps, start + period - self.clock % period)
            driven = current[start:stop] * (2**self.log_gain)[:, model.hidden.domain_of]
            for t in range(start, stop):
                v = torch.lerp(v, driven[t - start], LEAK)
                torch.gt(v, THRESHOLD, out=spikes[t])
                v = v * (1 - spikes[t])
            self.clock += stop - start
            ends = self.clock % period == 0
            self.seen += spikes[start : stop - ends].sum(0)  # the last step's spikes arrive in the next window
            if ends:
                self._update(model, self.seen / period)
                self.seen = spikes[stop - 1].clone()
            start = stop
        return spikes

    def _update(self, model: Hybrid, activity: torch.Tensor) -> None:
        """The end of a window; activity (rows, neurons) in spikes per step."""
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
    for digit in pixels:
        hidden = state.sent(model, model.expand(encoded(model, digit)))
        answers.append(neurons(model.classify(hidden)).sum(0))
    return torch.stack(answers)
