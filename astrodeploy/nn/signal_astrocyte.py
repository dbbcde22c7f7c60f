"""Astrocytes that carry a signal: running sums, products, slow states, and functions of them."""

from dataclasses import dataclass, replace
from typing import Any

import torch

FUNCTIONS: dict[str, Any] = {
    "identity": lambda a, exponent: a,
    "exp2": lambda a, exponent: torch.exp2(a),
    "log2": lambda a, exponent: torch.where(a > 0, torch.log2(torch.where(a > 0, a, 1.0)), 0.0),
    "power": lambda a, exponent: torch.where(a > 0, torch.where(a > 0, a, 1.0) ** exponent, 0.0),
    "sigmoid": lambda a, exponent: torch.sigmoid(a),
    "tanh": lambda a, exponent: torch.tanh(a),
    "elu": lambda a, exponent: torch.nn.functional.elu(a) + 1,
}
ROLES = ("neurons", "astrocytes")


@dataclass(frozen=True)
class SignalState:
    """What an Astrocyte keeps from step to step: (batch, *shape) tensors, and the stream's clock.

    count   the window's drive so far
    trace   the state a
    output  f(a), as the last window left it; None: that of the state at rest
    """

    count: torch.Tensor
    trace: torch.Tensor
    output: torch.Tensor | None
    clock: int
    slow: bool

    def carried(self) -> "SignalState":
        """The state at the start of the next sample of a stream: kept if slow, else all but the clock at rest."""
        if self.slow:
            return self
        rest = torch.zeros_like(self.trace)
        return replace(self, count=rest, trace=rest, output=None)


def _sum(activity: torch.Tensor | None, product: torch.Tensor | None) -> torch.Tensor:
    parts = [each for each in (activity, product) if each is not None]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class Astrocyte(torch.nn.Module):
    """Units with a drive, a leaky state on a slow clock, an output, and messages that carry a signal.

        drive    c = activity + left * right, elementwise, summed over windows of `period` steps
        state    a <- (1 - decay) a + drive c + offset, at each window's end
        output   f(a): "identity" a | "exp2" 2**a | "log2" and "power" a**exponent, both 0 where a <= 0 |
                 "sigmoid" | "tanh" | "elu" (a + 1 where a > 0, exp(a) elsewhere)
        message  f(a) at the window's end, 0 in between; with a factor: f(a) * factor in every step

    With a period of 1 (and no slow clock) f follows the drive in the same step; with a longer one f is
    new in the step after the window's end. A decay of 1 keeps nothing: the module is a function, or
    a product of two signals, and takes no state. Gradients flow through everything.

    shape    of the units, and of every signal: (units,) or more dimensions
    decay, drive, offset   numbers, or tensors of that shape; per window
    slow     whether the state outlives the end of a sample in a stream
    role     what the units are in the network: "astrocytes" or "neurons" (a tanh of a leaky sum may be a neuron);
             nothing but what is counted as astrocytes depends on it. Without it they are astrocytes where they
             keep a state, and a part of the neurons where they are a mere function

    What it drives may be the current of neurons (through a Linear layer), another Astrocyte, or the output.
    Gain control of a layer is what AstrocyteLayer does.
    """

    decay: torch.Tensor
    drive: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self,
        *shape: int,
        period: int = 1,
        decay: float | torch.Tensor = 1.0,
        drive: float | torch.Tensor = 1.0,
        offset: float | torch.Tensor = 0.0,
        output: str = "identity",
        exponent: float = 1.0,
        slow: bool = False,
        role: str | None = None,
    ) -> None:
        super().__init__()
        if role not in (None, *ROLES):
            raise ValueError(f"role must be one of {', '.join(ROLES)}, not {role!r}")
        if not shape or any(n < 1 for n in shape):
            raise ValueError(f"an Astrocyte needs the shape of its units, not {shape}")
        if output not in FUNCTIONS:
            raise ValueError(f"output must be one of {', '.join(FUNCTIONS)}, not {output!r}")
        if period < 1:
            raise ValueError(f"period must be at least 1 step, not {period}")
        for name, value in (("decay", decay), ("drive", drive), ("offset", offset)):
            tensor = torch.as_tensor(value, dtype=torch.float32)
            if tensor.shape not in ((), shape):
                raise ValueError(f"{name} must be a number or of shape {shape}, not {tuple(tensor.shape)}")
            self.register_buffer(name, tensor.clone())
        if bool((self.decay < 0).any() or (self.decay > 1).any()):
            raise ValueError("decay must lie in 0..1")
        self.shape, self.period, self.output, self.exponent = shape, period, output, exponent
        self.slow, self.role = slow, role

    @property
    def remembers(self) -> bool:
        """Whether it has a state."""
        return self.period > 1 or bool((self.decay != 1).any())

    def forward(
        self,
        activity: torch.Tensor | None = None,
        state: SignalState | None = None,
        *,
        left: torch.Tensor | None = None,
        right: torch.Tensor | None = None,
        factor: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, SignalState | None]:
        """The message (batch, *shape) of this step and the new state, None for what keeps nothing."""
        if (left is None) != (right is None) or (left is None and activity is None):
            raise ValueError("an Astrocyte needs an activity, or left and right, or all three")
        given = [each for each in (activity, left, right, factor) if each is not None]
        for each in given:
            if tuple(each.shape[1:]) != self.shape:
                raise ValueError(f"an Astrocyte of shape {self.shape} is fed {tuple(each.shape[1:])}")
        drive = _sum(activity, None if left is None or right is None else left * right)
        if not self.remembers:
            a = self.drive * drive + self.offset
            output = FUNCTIONS[self.output](a, self.exponent)
            return (output if factor is None else output * factor), None
        return self._remember(drive, factor, self.at_rest(given[0]) if state is None else state)

    def at_rest(self, like: torch.Tensor) -> SignalState:
        """The state at the start of a stream, for a batch as large as that of a signal."""
        rest = torch.zeros(len(like), *self.shape, dtype=like.dtype, device=like.device)
        return SignalState(rest, rest, None, 0, self.slow)

    def _remember(
        self, drive: torch.Tensor, factor: torch.Tensor | None, state: SignalState
    ) -> tuple[torch.Tensor, SignalState]:
        held = FUNCTIONS[self.output](state.trace, self.exponent) if state.output is None else state.output
        clock = state.clock + 1
        count = state.count + drive
        if clock % self.period:
            silent = torch.zeros_like(held) if factor is None else held * factor
            return silent, replace(state, count=count, output=held, clock=clock)
        trace = (1 - self.decay) * state.trace + self.drive * count + self.offset
        output = FUNCTIONS[self.output](trace, self.exponent)
        after = SignalState(torch.zeros_like(trace), trace, output, clock, self.slow)
        if factor is None:
            return output, after
        return (output if self.period == 1 else held) * factor, after

    def extra_repr(self) -> str:
        """Settings, for print(module)."""
        return f"{'x'.join(map(str, self.shape))}, period={self.period}, output={self.output}"
