"""Running one-step modules over time."""

from typing import Any

import torch

from astrodeploy.nn.astrocyte import AstrocyteState


def unroll(
    module: torch.nn.Module, x: torch.Tensor, steps: int | None = None, state: Any = None
) -> tuple[torch.Tensor, Any]:
    """Run a one-step module over time: outputs (batch, steps, *shape) and the last state.

    x is (batch, steps, *shape); or, with `steps`, (batch, *shape) shown in every step.
    """
    outputs = []
    for t in range(x.shape[1] if steps is None else steps):
        y, state = module(x[:, t] if steps is None else x, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def carry(state: Any) -> Any:
    """A state at the start of the next sample of a stream: astrocytes keep theirs, all else rests."""
    if isinstance(state, AstrocyteState):
        return state.carried()
    if isinstance(state, tuple | list) and not hasattr(state, "_fields"):
        return type(state)(carry(each) for each in state)
    if isinstance(state, dict):
        return {key: carry(each) for key, each in state.items()}
    return None
