"""Numbers as ranges."""

from collections.abc import Iterable
from dataclasses import dataclass

from astrodeploy.chip import Cost

PICOJOULE = 1e-12
NANOSECOND = 1e-9
MICROJOULE = MICROSECOND = 1e-6
MILLIWATT = 1e-3


@dataclass(frozen=True)
class Span:
    """A number as a range; `typical` is the best single value."""

    low: float
    typical: float
    high: float

    @classmethod
    def of(cls, cost: Cost) -> "Span":
        """The range of a chip's number."""
        return cls(cost.low, cost.typical, cost.high)

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, other: "Span | float") -> "Span":
        if isinstance(other, Span):
            return Span(self.low * other.low, self.typical * other.typical, self.high * other.high)
        return Span(self.low * other, self.typical * other, self.high * other)

    @property
    def inverse(self) -> "Span":
        """One over it."""
        return Span(1 / self.high, 1 / self.typical, 1 / self.low)


NOTHING = Span(0.0, 0.0, 0.0)


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans."""
    return sum(spans, NOTHING)
