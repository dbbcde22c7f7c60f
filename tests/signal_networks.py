"""Small torch networks of astrocytes that carry signals, for tests."""

from typing import Any

import numpy as np
import torch

from astrodeploy.nn import Astrocyte


class Attention(torch.nn.Module):
    """Linear attention with a saturating normaliser: products, slow states, x**0.25, a reciprocal.

    One step: (x (batch, 6), state) -> (what is read (batch, 2), state).
    """

    def __init__(self, seed: int = 0, decay: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.key, self.query = torch.nn.Linear(6, 4), torch.nn.Linear(6, 4)
        self.value, self.read = torch.nn.Linear(6, 3, bias=False), torch.nn.Linear(3, 2)
        self.phi_key, self.phi_query = Astrocyte(4, output="elu"), Astrocyte(4, output="elu")
        self.outer = Astrocyte(4, 3, decay=decay)
        self.sums = Astrocyte(4, decay=0.0, output="power", exponent=0.25)
        self.share = Astrocyte(1, output="power", exponent=-1.0)
        self.normalised, self.out = Astrocyte(3), Astrocyte(2)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step."""
        outer, sums = (None, None) if state is None else state
        key, _ = self.phi_key(self.key(x))
        query, _ = self.phi_query(self.query(x))
        wide = query.unsqueeze(2).expand(-1, 4, 3)
        read, outer = self.outer(
            None,
            outer,
            left=key.unsqueeze(2).expand(-1, 4, 3),
            right=self.value(x).unsqueeze(1).expand(-1, 4, 3),
            factor=wide,
        )
        weights, sums = self.sums(key, sums, factor=query)
        share, _ = self.share(weights.sum(1, keepdim=True))
        normalised, _ = self.normalised(left=read.sum(1), right=share.expand(-1, 3))
        return self.out(self.read(normalised))[0], (outer, sums)


class Competition(torch.nn.Module):
    """A slow softmax: leaky integrators, 2**a, a reciprocal, and a loop that keeps the largest near 0."""

    def __init__(self, seed: int = 0, units: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.drive = torch.nn.Linear(6, units, bias=False)
        self.slow = Astrocyte(units, period=8, decay=0.125, drive=0.25, output="exp2")
        self.log = Astrocyte(1, output="log2")
        self.share = Astrocyte(1, output="power", exponent=-1.0)
        self.held = Astrocyte(units, period=8, output="identity")
        self.squash = Astrocyte(units, output="tanh")
        self.out = Astrocyte(units, decay=0.25, output="sigmoid")
        self.units = units

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step; the loop slow -> log -> slow takes three steps more through the state."""
        if state is None:
            state = (None, None, None, *(3 * [x.new_zeros(len(x), 1)]))
        slow, held, out, first, second, third = state
        drive = self.drive(x)
        sent, slow = self.slow(drive - third.expand(-1, self.units), slow)
        total = sent.sum(1, keepdim=True)
        log, _ = self.log(total)
        share, _ = self.share(total)
        squashed, _ = self.squash(drive)
        kept, held = self.held(None, held, left=sent, right=share.expand(-1, self.units), factor=squashed)
        read, out = self.out(kept, out)
        return read, (slow, held, out, log, first, second)


def spikes(samples: int, steps: int, seed: int = 0) -> np.ndarray:
    """Input (samples, steps, 6) of 0 and 1."""
    return (np.random.default_rng(seed).random((samples, steps, 6)) < 0.4).astype(np.float64)
