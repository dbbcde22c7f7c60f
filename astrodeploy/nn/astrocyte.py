"""A spiking layer whose input gain is set by astrocytes that watch its output."""

from dataclasses import dataclass, replace
from math import isfinite, log2
from typing import Any

import torch

from astrodeploy.errors import UnsupportedError


@dataclass(frozen=True)
class AstrocyteState:
    """State of an AstrocyteLayer; all but `cell` is slow. Shapes: (batch, domains), or as said.

    cell      state of the modulated cell, None at rest
    gain      the gain that the layer's input is multiplied with
    message   a new gain that was sent in the last step and arrives in this one, or None
    observed  spikes of the last step, (batch, neurons): what the astrocytes see in this one
    count     sum of the pooled drive since the window began
    trace     leaky average of the drive
    log_gain  log2 of the gain
    clock     steps since the stream began
    """

    cell: Any
    gain: torch.Tensor
    message: torch.Tensor | None
    observed: torch.Tensor
    count: torch.Tensor
    trace: torch.Tensor
    log_gain: torch.Tensor
    clock: int

    def carried(self) -> "AstrocyteState":
        """The state at the start of the next sample of a stream: the cell at rest, the rest kept."""
        return replace(self, cell=None)


class AstrocyteLayer(torch.nn.Module):
    """Norse cells whose input current is multiplied by the gain of their domain's astrocyte.

    The loop is closed: an astrocyte pools the spikes that its domain sent one step ago; at the end of
    every window of `period` steps it updates its trace and log-gain and sends 2**log_gain, which its
    neurons use from the next step on. Two steps of delay in all, here as on the chip.

        trace    <- trace + (period * dt / tau) * (target - activity - trace)
        log_gain <- clip(log_gain + rate * trace, log2 of gain_range)

    with the activity in spikes per neuron and step over the window.

    cell        a Norse LIFBoxCell or LIFCell; dt is its dt (seconds)
    neurons     size of the layer
    domain      neurons per astrocyte (the last domain may be smaller)
    period      P, steps between updates; the clock counts steps of the stream
    tau         time constant of the trace, seconds (at least period * dt)
    rate        octaves of gain per update and unit of trace
    gain_range  least and largest gain, around 1 and within 1/16..15.99
    target      "mean": the mean activity of the layer; or a number of spikes per neuron and step

    The resting gain is the buffer `log_gain`, (domains,): where a stream starts, and what
    `--freeze-astrocytes` folds into the weights. No gradient flows through the slow state.
    """

    log_gain: torch.Tensor
    pool: torch.Tensor
    domain_of: torch.Tensor

    def __init__(
        self,
        cell: torch.nn.Module,
        neurons: int,
        domain: int = 16,
        period: int = 64,
        tau: float = 0.5,
        rate: float = 0.5,
        gain_range: tuple[float, float] = (0.25, 4.0),
        target: float | str = "mean",
    ) -> None:
        super().__init__()
        if not isinstance(getattr(cell, "dt", None), float | int | torch.Tensor):
            raise UnsupportedError(
                f"an AstrocyteLayer takes a cell of Norse (LIFBoxCell or LIFCell), whose dt its clock is in, not a "
                f"{type(cell).__name__}, which has none: build the layer of one of these"
            )
        for what, value in (("neurons", neurons), ("domain", domain), ("period", period)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise UnsupportedError(
                    f"{what} of an AstrocyteLayer is a whole number, not {value!r}: the layer is flat (flatten feature "
                    "maps before it), and a domain is so many neurons side by side"
                )
        for what, number in (("tau", tau), ("rate", rate)):
            if not isfinite(number):
                raise ValueError(f"{what} must be a finite number, not {number}")
        if not 1 <= domain <= neurons:
            raise ValueError(f"domain must be 1..{neurons} neurons, not {domain}")
        if not 1 / 16 <= gain_range[0] <= 1 <= gain_range[1] < 16:
            raise ValueError(f"gain_range must lie around 1 and within 1/16..15.99, not {gain_range}")
        if isinstance(target, str) and target != "mean":
            raise ValueError(
                f'target must be "mean" or a number of spikes per neuron and step, not {target!r}'
            )
        self.cell, self.neurons, self.domain, self.period = cell, neurons, domain, period
        window = period * float(cell.dt)  # type: ignore[arg-type]
        if period < 1:
            raise ValueError(f"period must be at least 1 step, not {period}")
        if window > tau * (1 + 1e-9):
            raise ValueError(f"tau must be at least period * dt = {window:g} s, not {tau:g}")
        self.decay = min(1.0, window / tau)
        self.rate = rate
        self.low, self.high = log2(gain_range[0]), log2(gain_range[1])
        self.set_point = 0.0 if isinstance(target, str) else float(target)
        domain_of = torch.arange(neurons) // domain
        own = torch.nn.functional.one_hot(domain_of).T.double()
        pool = -own / own.sum(1, keepdim=True)
        if target == "mean":
            pool = pool + 1 / neurons
        self.register_buffer("domain_of", domain_of)
        self.register_buffer("pool", pool)
        self.register_buffer("log_gain", torch.zeros(len(own)))

    def forward(
        self, current: torch.Tensor, state: AstrocyteState | None = None
    ) -> tuple[torch.Tensor, AstrocyteState]:
        """Spikes (batch, neurons) of this step and the new state, from input current (batch, neurons)."""
        if current.ndim != 2 or current.shape[1] != self.neurons:
            raise UnsupportedError(
                f"an AstrocyteLayer of {self.neurons} neurons takes currents (batch, {self.neurons}), not of shape "
                f"{tuple(current.shape)}: flatten feature maps before it, x.flatten(1)"
            )
        if state is None:
            state = self.at_rest(current)
        gain = state.gain if state.message is None else state.message
        spikes, cell = self.cell(current * gain[:, self.domain_of], state.cell)
        slow = self._observe(replace(state, gain=gain))
        return spikes, replace(slow, cell=cell, observed=spikes.detach())

    def at_rest(self, current: torch.Tensor) -> AstrocyteState:
        """The state at the start of a stream: nothing seen yet, gains at rest."""
        zeros = torch.zeros(len(current), len(self.log_gain), dtype=current.dtype, device=current.device)
        log_gain = self.log_gain.to(current.dtype).expand_as(zeros)
        return AstrocyteState(
            None, 2**log_gain, None, torch.zeros_like(current), zeros, zeros, log_gain, clock=0
        )

    def rest_at(self, state: AstrocyteState) -> None:
        """Make the gains that a stream has reached (mean over its batch) the resting gains."""
        self.log_gain.copy_(state.log_gain.mean(0))

    def _observe(self, state: AstrocyteState) -> AstrocyteState:
        count = state.count + state.observed @ self.pool.to(state.observed.dtype).T
        clock = state.clock + 1
        if clock % self.period:
            return replace(state, count=count, message=None, clock=clock)
        drive = count / self.period + self.set_point
        trace = state.trace + self.decay * (drive - state.trace)
        log_gain = (state.log_gain + self.rate * trace).clamp(self.low, self.high)
        return replace(
            state,
            count=torch.zeros_like(count),
            trace=trace,
            log_gain=log_gain,
            message=2**log_gain,
            clock=clock,
        )

    def extra_repr(self) -> str:
        """Settings, for print(module)."""
        return f"neurons={self.neurons}, domain={self.domain}, period={self.period}, rate={self.rate:g}"
