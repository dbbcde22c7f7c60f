"""The chip's operations on torch tensors: what it computes forward, a useful gradient backward.

Forward every operation of a neuron program gives what `arithmetic` gives, held in floats: exactly in
float64, to within a unit of the states' 24 bits in float32. Backward a rounding passes the gradient on
(straight-through), a comparison has that of a fast sigmoid around equality (surrogate gradient), and
the resets that follow a spike have none.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from astrodeploy.ir.numbers import BIAS, BiasFormat

STEEPNESS = 5.0  # of the surrogate: it falls to a quarter at a fifth of the width
Functions = dict[str, Callable[..., Any]]


class _Shift(torch.autograd.Function):
    """a / 2**bits, rounded by `how`."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, factor: Any, how: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.factor = factor
        return how(a * factor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0] * ctx.factor, None, None


class _Step(torch.autograd.Function):
    """1 where the excess is positive (or zero, where that counts), else 0."""

    @staticmethod
    def forward(ctx: Any, excess: Tensor, width: Tensor, at_least: bool) -> Tensor:
        ctx.save_for_backward(excess, width)
        return (excess >= 0 if at_least else excess > 0).to(excess.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        excess, width = ctx.saved_tensors
        return grads[0] / (width * (1 + STEEPNESS / width * excess.abs()) ** 2), None, None


def _shift(a: Tensor, factor: Any, how: Callable[[Tensor], Tensor]) -> Tensor:
    return cast(Tensor, _Shift.apply(a, factor, how))  # type: ignore[no-untyped-call]


def _step(excess: Tensor, width: Tensor, at_least: bool) -> Tensor:
    return cast(Tensor, _Step.apply(excess, width, at_least))  # type: ignore[no-untyped-call]


def rounded(values: Tensor) -> Tensor:
    """The nearest whole numbers, ties to even."""
    return _shift(values, 1.0, torch.round)


def floored(values: Tensor, exponent: int) -> Tensor:
    """values * 2**exponent, rounded down."""
    return values * 2.0**exponent if exponent >= 0 else _shift(values, 2.0**exponent, torch.floor)


def rounded_bias(values: Tensor, held: BiasFormat = BIAS) -> Tensor:
    """The nearest numbers of a mantissa and an exponent, as `numbers.bias_format` has them."""
    magnitude = values.detach().abs()
    unit = torch.ones_like(magnitude)
    for _ in range(held.shifts):
        unit = torch.where(torch.round(magnitude / unit) > held.mantissa.high, 2 * unit, unit)
    most = held.mantissa.high * unit
    return rounded(torch.minimum(torch.maximum(values, -most), most) / unit) * unit


def functions(width: Tensor, chip: bool) -> Functions:
    """What `arithmetic.execute` needs to run a neuron program on tensors.

    width  of the surrogate gradient, in integers of the chip: a neuron's threshold
    chip   False leaves out all that comes from a limited number of bits: rounding, saturation, wrap
    """
    common: Functions = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "shift_left": lambda a, bits: a * _power(bits),
        "less": lambda a, b: _step(b - a, width, False),
        "less_equal": lambda a, b: _step(b - a, width, True),
        "equal": lambda a, b: (a == b).to(width.dtype),
        "not_equal": lambda a, b: (a != b).to(width.dtype),
        "and": lambda a, b: a * b,
        "or": lambda a, b: torch.maximum(a, b),
        "select": _select,
        "minimum": lambda a, b: torch.minimum(a, _like(a, b)),
        "maximum": lambda a, b: torch.maximum(a, _like(a, b)),
    }
    return common | (_limited() if chip else _unlimited())


def _limited() -> Functions:
    return {
        "shift_floor": lambda a, bits: _shift(a, 1 / _power(bits), torch.floor),
        "shift_toward_zero": lambda a, bits: _shift(a, 1 / _power(bits), torch.trunc),
        "saturate": lambda a, low, high: torch.clamp(a, low, high),
        "wrap": _wrap,
    }


def _unlimited() -> Functions:
    return {
        "shift_floor": lambda a, bits: a / _power(bits),
        "shift_toward_zero": lambda a, bits: a / _power(bits),
        # a bound of 0 is what the neuron means: a rectified membrane
        "saturate": lambda a, low, high: a if low else torch.clamp(a, min=0),
        "wrap": lambda a, bits: a,
    }


def _power(bits: Any) -> Any:
    return torch.exp2(bits) if isinstance(bits, Tensor) else 2.0**bits


def _like(a: Tensor, b: Any) -> Tensor:
    return b if isinstance(b, Tensor) else torch.full_like(a, b)


def _select(condition: Tensor, a: Any, b: Tensor) -> Tensor:
    return torch.where(condition.detach() != 0, a, b)


def _wrap(a: Tensor, bits: int) -> Tensor:
    half = 2.0 ** (bits - 1)
    turns = torch.ceil((a.detach() - half) / (2 * half))
    return a - 2 * half * turns
