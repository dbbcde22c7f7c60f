"""Number formats of the chip, as values: range, unit, and what rounding to them costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from astrodeploy.arithmetic import DECAY_UNITY
from astrodeploy.compartments.kind import Kind, Range
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.nodes import Array, FloatArray, IntArray


@dataclass(frozen=True)
class BiasFormat:
    """A mantissa, shifted left by an exponent of 0 to `shifts`."""

    mantissa: Range
    shifts: int

    @property
    def high(self) -> int:
        """The largest magnitude of either sign."""
        return self.mantissa.high << self.shifts


BIAS = BiasFormat(Range(-4096, 4095), 7)  # Lava's LIF, and every chip that states none


@dataclass(frozen=True)
class Fixed:
    """Integers of a range, `unit` of which make 1.0. Rounding is to the nearest, ties to even."""

    range: Range
    unit: float

    def round(self, values: Array, name: str) -> "Rounded":
        """Round values. Raises UnsupportedError where one lies outside the range; nothing is clipped."""
        exact = np.asarray(values, np.float64) * self.unit
        integers = np.rint(exact).astype(np.int64)
        if integers.size and not self.range.contains(Range(int(integers.min()), int(integers.max()))):
            raise UnsupportedError(
                f"{name} reaches {np.abs(values).max():g}, which is {np.abs(exact).max():.0f} on the chip; "
                f"its format holds {self.range}"
            )
        return Rounded(integers, exact)


@dataclass(frozen=True, eq=False)
class Rounded:
    """Integers, and the exact values that they stand for, in the same unit."""

    integers: IntArray
    exact: FloatArray

    @property
    def worst(self) -> float:
        """Largest rounding error, relative to the largest exact value."""
        scale = float(np.abs(self.exact).max(initial=0.0))
        return float(np.abs(self.integers - self.exact).max(initial=0.0)) / scale if scale else 0.0

    @property
    def zeroed(self) -> float:
        """Share of non-zero values that became zero."""
        nonzero = self.exact != 0
        lost = np.sum(nonzero & (self.integers == 0))
        return float(lost / max(1, nonzero.sum()))


DECAY = Fixed(Range(0, DECAY_UNITY), float(DECAY_UNITY))


def bias_format(bias: Rounded, held: BiasFormat = BIAS) -> Rounded:
    """The nearest biases that a mantissa and an exponent can say."""
    magnitude = np.abs(bias.exact)
    exponent = np.zeros(magnitude.shape, np.int64)
    for _ in range(held.shifts):
        exponent += np.rint(magnitude / 2.0**exponent) > held.mantissa.high
    mantissa = np.rint(bias.exact / 2.0**exponent).astype(np.int64)
    return Rounded(mantissa << exponent, bias.exact)


def initial_states(name: str, kind: Kind, values: Mapping[str, Array]) -> dict[str, IntArray]:
    """The states at rest as integers."""
    return {
        key: Fixed(state.range, 1.0).round(values[key], f"{name}.{key} at rest").integers
        for key, state in kind.states.items()
    }


def mantissa_and_shift(value: float, mantissa: Range, shift: Range, name: str) -> tuple[int, int]:
    """Integers m, s of the given ranges with m / 2**s nearest to a value of at least 0, m as large as fits.

    Raises UnsupportedError where the value is too large, or so small that m would be 0.
    """
    for bits in range(shift.high, shift.low - 1, -1):
        m = round(value * 2.0**bits)
        if m <= mantissa.high:
            if m == 0 and value != 0:
                break
            return m, bits
    raise UnsupportedError(
        f"{name} = {value:g} does not fit a factor of m / 2**s with m {mantissa}, s {shift}"
    )
