"""Running one-step modules over time."""

from inspect import Parameter, signature
from typing import Any

import torch

from astrodeploy.nn.astrocyte import AstrocyteState
from astrodeploy.nn.signal_astrocyte import SignalState


def unroll(
    module: torch.nn.Module, x: torch.Tensor, steps: int | None = None, state: Any = None
) -> tuple[torch.Tensor, Any]:
    """Run a one-step module over time: outputs (batch, steps, *shape) and the last state.

    x is (batch, steps, *shape); or, with `steps`, (batch, *shape) shown in every step. The module's forward
    has one of the forms that `step` knows.
    """
    outputs = []
    for t in range(x.shape[1] if steps is None else steps):
        y, state = step(module, x[:, t] if steps is None else x, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def step(module: torch.nn.Module, x: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
    """One step of a module, (y, state), whose forward has one of three forms:

    (x, state) -> (y, state)           Norse's, and this package's; None is the first state
    (x, a, b, ...) -> (y, a, b, ...)   snnTorch's; every first state is None
    (x) -> y                           the layers keep their own states: reset them before a sample begins
    """
    states = states_of(module)
    if states == 0:
        return module(x), None
    if states == 1:
        y, state = module(x, state)
        return y, state
    y, *after = module(x, *((None,) * states if state is None else state))
    return y, tuple(after)


def states_of(module: torch.nn.Module) -> int:
    """How many states a module's forward takes after its input."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional for each in signature(module.forward).parameters.values()) - 1


def carry(state: Any) -> Any:
    """A state at the start of the next sample of a stream: astrocytes keep theirs, all else rests."""
    if isinstance(state, AstrocyteState | SignalState):
        return state.carried()
    if isinstance(state, tuple | list) and not hasattr(state, "_fields"):
        return type(state)(carry(each) for each in state)
    if isinstance(state, dict):
        return {key: carry(each) for key, each in state.items()}
    return None
