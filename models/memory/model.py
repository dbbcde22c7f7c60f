"""The astrocyte-gated associative memory: neurons, patterns, and a gain per pattern that astrocytes keep.

    cue -> neurons -> overlaps -> gated overlaps -> neurons
                         |             ^
                         +-> gains ----+

The matrix of weights between neurons is never formed: patterns are met once on the way to the overlaps and
once on the way back. Equation numbers are those of arXiv 2604.25481.
"""

from dataclasses import dataclass
from math import e, log2
from typing import Any

import numpy as np
import torch

from astrodeploy.nn import Astrocyte

LOG2_E = log2(e)
STEP_SECONDS = 1e-3  # of the chip: what a step of dt lasts there


@dataclass(frozen=True)
class Setting:
    """What a memory is made with; times in the paper's units.

    neurons, patterns   N and K
    tau_x, tau_p        time constants of neurons and of gains
    temperature         T: of the softmax that the gains end in
    sigma               slope of the neurons' tanh
    dt, period          Euler step, and how many of them the gains take at once
    duration            how long a retrieval lasts
    """

    neurons: int = 30
    patterns: int = 100
    tau_x: float = 1.0
    tau_p: float = 1.0
    temperature: float = 0.01
    sigma: float = 1.0
    dt: float = 2.0**-5
    period: int = 4
    duration: float = 10.0

    @property
    def steps(self) -> int:
        """Of dt in a retrieval."""
        return round(self.duration / self.dt)


def setting_for(neurons: int, patterns: int) -> Setting:
    """The protocol's setting at another size.

    A score f = (overlap)**2 / 2N grows with N at the same relative overlap. tau_p and T grow with it, so
    that log p goes as many octaves in a period as at N = 30, and ends in the same softmax.
    """
    usual = Setting()
    scale = neurons / usual.neurons
    return Setting(neurons, patterns, tau_p=usual.tau_p * scale, temperature=usual.temperature * scale)


def random_patterns(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Patterns of -1 and 1 with even odds, (..., patterns, neurons) int8."""
    return rng.choice(np.array([-1, 1], np.int8), shape)


def corrupted(rng: np.random.Generator, patterns: np.ndarray, flips: int) -> np.ndarray:
    """The patterns (..., neurons), in each of which so many bits, chosen at random, are turned over."""
    turned = np.argsort(rng.random(patterns.shape), axis=-1) < flips
    return np.where(turned, -patterns, patterns).astype(np.int8)


def stimulus(cues: np.ndarray, setting: Setting) -> np.ndarray:
    """Cues (samples, neurons) as what the network takes, (samples, steps, neurons): first the cue, then nothing."""
    x = np.zeros((len(cues), setting.steps, cues.shape[1]), np.int8)
    x[:, 0] = cues
    return x


class Memory(torch.nn.Module):
    """One step of dt: (cue (batch, neurons) in the first step and 0 later, state) -> (gated overlaps, state).

        overlaps     m = Xi phi                                                       Xi (patterns, neurons)
        gains        tau_p z' = m**2 / 2N - T z, once a period, in octaves; e = 2**z   (6) to (8) for p = softmax(z)
        share        1 / sum of e, and the level log2(sum of e), which is taken off all z
        gated        p m = e share m, p held for a period                             with (5): (K/N) Xi' p m = W(p) phi
        neurons      tau_x x' = -x + (K/N) Xi' (p m); they send phi = tanh(sigma x)    (4)

    What one layer sends another takes a step, so that a loop takes as many as it has edges: the state
    holds signals of up to three steps ago. A level taken off all z alike changes no p, it keeps z bounded.
    The largest gated overlap after the last step says which pattern the network has come to; where none is above 0
    it has come to the inverse of one, or to none, and the answer is undecided.
    """

    def __init__(self, patterns: np.ndarray, setting: Setting) -> None:
        super().__init__()
        number, neurons = patterns.shape
        if (number, neurons) != (setting.patterns, setting.neurons):
            raise ValueError(f"patterns are {patterns.shape}, not {(setting.patterns, setting.neurons)}")
        dt, period = setting.dt, setting.period
        if period < 2:
            raise ValueError(
                "the level comes back to the gains two steps later: the period must be at least 2"
            )
        xi = torch.from_numpy(patterns.astype(np.float32))
        self.number, self.period = number, period
        self.growth = LOG2_E * dt / setting.tau_p / (2 * neurons)  # octaves a step for an overlap of 1
        weight = setting.sigma * dt / setting.tau_x * number / neurons
        self.start = setting.sigma / weight  # a cue of 1 makes x = 1
        self.compare = _linear(xi)
        self.overlaps = Astrocyte(number)
        forgotten = period * dt * setting.temperature / setting.tau_p
        self.gains = Astrocyte(number, period=period, decay=forgotten, drive=self.growth, output="exp2")
        self.share = Astrocyte(1, output="power", exponent=-1.0, role="astrocytes")
        self.level = Astrocyte(1, period=period, output="log2")
        self.gated = Astrocyte(number, period=period)
        self.recall = _linear(xi.T.contiguous())
        self.neurons = _neurons(neurons, dt / setting.tau_x, weight)

    def at_rest(self, cue: torch.Tensor) -> tuple[Any, ...]:
        """The state before the first step."""
        nothing = torch.zeros_like(cue)
        overlaps = cue.new_zeros(len(cue), self.number)
        level = cue.new_zeros(len(cue), 1)
        return nothing, (overlaps,) * 3, overlaps, (level,) * 2, (None,) * 4

    def forward(self, cue: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the network."""
        phi, (m1, m2, m3), sent, (level1, level2), kept = self.at_rest(cue) if state is None else state
        gains, level, gated, neurons = kept
        excess = (level2 * (-1 / self.growth)).expand(-1, self.number)
        m, _ = self.overlaps(self.compare(phi))
        grown, gains = self.gains(excess, gains, left=m3, right=m3)
        total = grown.sum(1, keepdim=True)
        share, _ = self.share(total)
        new_level, level = self.level(total, level)
        shared = share.expand(-1, self.number)
        passed, gated = self.gated(None, gated, left=grown, right=shared, factor=m1)
        new_phi, neurons = self.neurons(self.recall(sent) + cue * self.start, neurons)
        kept = gains, level, gated, neurons
        return passed, (new_phi, (m, m1, m2), passed, (new_level, level1), kept)


class Frozen(torch.nn.Module):
    """The same neurons and patterns without astrocytes, p = 1/K: a Hopfield network in continuous time.

    One step: (cue (batch, neurons) in the first step and 0 later, state) -> (overlaps (batch, patterns), state).
    """

    def __init__(self, patterns: np.ndarray, setting: Setting) -> None:
        super().__init__()
        neurons = setting.neurons
        xi = torch.from_numpy(patterns.astype(np.float32))
        weight = setting.sigma * setting.dt / setting.tau_x / neurons
        self.number, self.start = len(patterns), setting.sigma / weight
        self.compare, self.recall = _linear(xi), _linear(xi.T.contiguous())
        self.overlaps = Astrocyte(len(patterns))
        self.neurons = _neurons(neurons, setting.dt / setting.tau_x, weight)

    def forward(self, cue: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the network."""
        if state is None:
            state = torch.zeros_like(cue), cue.new_zeros(len(cue), self.number), None
        phi, sent, neurons = state
        m, _ = self.overlaps(self.compare(phi))
        phi, neurons = self.neurons(self.recall(sent) + cue * self.start, neurons)
        return m, (phi, m, neurons)


def _neurons(number: int, leak: float, weight: float) -> Astrocyte:
    """Graded neurons: a leaky sum, and the tanh of it."""
    return Astrocyte(number, decay=leak, drive=weight, output="tanh", role="neurons")


def _linear(weight: torch.Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    return layer
