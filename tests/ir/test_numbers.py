"""Number formats: nearest, never clipped, and what rounding costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrodeploy.compartments import Range
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.numbers import DECAY, Fixed, Rounded, bias_format, mantissa_and_shift


def test_rounding_is_to_the_nearest_ties_to_even():
    rounded = Fixed(Range(-10, 10), 2.0).round(np.array([0.25, 0.75, 1.3, -1.25, -5.0]), "w")
    assert rounded.integers.tolist() == [0, 2, 3, -2, -10]
    assert rounded.exact.tolist() == [0.5, 1.5, 2.6, -2.5, -10.0]
    assert rounded.worst == pytest.approx(0.5 / 10)
    assert rounded.zeroed == 1 / 5


def test_nothing_is_clipped():
    with pytest.raises(
        UnsupportedError, match=r"w reaches 5.3, which is 11 on the chip; its format holds -10\.\.10"
    ):
        Fixed(Range(-10, 10), 2.0).round(np.array([0.0, -5.3]), "w")


def test_nothing_to_round():
    rounded = Fixed(Range(0, 1), 1.0).round(np.zeros(0), "w")
    assert (rounded.worst, rounded.zeroed) == (0.0, 0.0)
    assert Rounded(np.zeros(2, np.int64), np.zeros(2)).worst == 0.0


def test_decay_factors_are_parts_of_4096():
    assert DECAY.round(np.array([0.0, 0.1, 1.0]), "du").integers.tolist() == [0, 410, 4096]


@given(st.floats(-524000, 524000))
def test_biases_are_the_nearest_mantissa_and_exponent(exact):
    rounded = bias_format(Rounded(np.array([round(exact)]), np.array([exact])))
    value = int(rounded.integers[0])
    fitting = [e for e in range(8) if value % (1 << e) == 0 and -4096 <= value >> e <= 4095]
    assert fitting
    least = next(e for e in range(8) if round(abs(exact) / 2**e) <= 4095)
    assert abs(value - exact) <= 2.0**least / 2


@given(st.floats(1e-5, 4000))
def test_mantissa_and_shift_are_as_precise_as_they_can_be(value):
    mantissa, shift = mantissa_and_shift(value, Range.unsigned(12), Range(0, 31), "rate")
    assert 0 < mantissa <= 4095
    assert 0 <= shift <= 31
    assert abs(mantissa / 2**shift - value) <= 2.0 ** -(shift + 1)
    assert shift == 31 or round(value * 2 ** (shift + 1)) > 4095


@pytest.mark.parametrize("value", [4096.0, 1e-11])
def test_factors_beyond_their_format(value):
    with pytest.raises(UnsupportedError, match=rf"rate = {value:g} does not fit a factor of m / 2\*\*s"):
        mantissa_and_shift(value, Range.unsigned(12), Range(0, 31), "rate")


def test_no_factor_at_all():
    assert mantissa_and_shift(0.0, Range.unsigned(12), Range(0, 31), "rate") == (0, 31)
