"""Axes for the report's charts of ranges: where a value lies, 0..100 per cent of the width."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from astrodeploy.costs import Span

TICKS = 5  # about so many on a linear axis


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis from `low` to `high`, with its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Per cent of the width; what lies below a logarithmic axis is at its left end."""
        if self.logarithmic:
            value = log10(value / self.low) if value > self.low else 0.0
            return 100 * value / log10(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)


def linear(spans: Sequence[Span]) -> Scale:
    """From 0 to beyond the largest value."""
    largest = max((span.high for span in spans), default=0.0) or 1.0
    step = round_step(largest / TICKS)
    count = ceil(largest / step - 1e-9)
    return Scale(0.0, step * count, tuple(step * i for i in range(count + 1)))


def decades(spans: Sequence[Span]) -> Scale:
    """Whole powers of ten around all values but zeros."""
    positive = [v for span in spans for v in (span.low, span.typical, span.high) if v > 0] or [1.0]
    low, high = floor(log10(min(positive))), ceil(log10(max(positive)))
    high = max(high, low + 1)
    return Scale(10.0**low, 10.0**high, tuple(10.0**i for i in range(low, high + 1)), logarithmic=True)


def round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
