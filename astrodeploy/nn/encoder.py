"""The rate encoder as a torch module."""

import torch

from astrodeploy.encoders import thresholds


class RateEncoder(torch.nn.Module):
    """Values in 0..1 become spikes with a seed: the same ones in torch, Graph and Program.

    steps: how long one sample is shown, in steps. seed: 0..2**32 - 1.
    forward(values, state) takes values (batch, *shape), and the number of steps so far as its state
    (None: a sample begins); it returns spikes of the values' shape and type.
    """

    def __init__(self, steps: int, seed: int = 0) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        if not 0 <= seed < 1 << 32:
            raise ValueError(f"seed must lie in 0..2**32 - 1, not {seed}")
        self.steps, self.seed = steps, seed
        self._cached = torch.empty(0, 0)

    def forward(self, values: torch.Tensor, state: int | None = None) -> tuple[torch.Tensor, int]:
        """Spikes of this step, and the number of steps so far."""
        step = 0 if state is None else state
        flat = values.reshape(len(values), -1)
        spikes = flat.float() > self._thresholds(step, flat.shape[1]).to(flat.device)
        return spikes.to(values.dtype).reshape(values.shape), step + 1

    def _thresholds(self, step: int, size: int) -> torch.Tensor:
        if self._cached.shape[1] != size or step >= len(self._cached):
            longest = max(self.steps, 2 * step)
            self._cached = torch.from_numpy(thresholds(self.seed, longest, size))
        return self._cached[step]

    def extra_repr(self) -> str:
        """Settings, for print(module)."""
        return f"steps={self.steps}, seed={self.seed}"
