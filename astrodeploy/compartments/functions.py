"""Functions that are not linear, in the words of `language.py`: no table, a few multiplications each.

Fixed point with LOG_BITS fraction bits. The polynomials have the least largest error over an octave
among those that are exact at both its ends, so that the functions have no jumps.
"""

from astrodeploy.compartments.language import Value, count_leading_zeros, maximum, minimum, select

LOG_BITS = 16  # 1.0 is 2**16
ONE = 1 << LOG_BITS
LOG2_E = 94548  # log2(e)
WORD = 31  # position of the first bit of a 32-bit word
LARGEST_OCTAVE = 23  # of what `exp2` gives

# 2**f = 1 + f (A + f (B + f C)), 0 <= f <= 1: at most 0.013 % off with the rounding of its terms
EXP2 = (45575, 14831, 5130)
# log2(1 + f) = f (A + f (B + f (C + f (D + f E)))): at most 0.00002 off, beside its last bits
LOG2 = (94497, -46471, 27237, -12686, 2959)


def _held(x: Value, low: int, high: int) -> Value:
    """x within low..high, where the function means that, and not because a width ends there."""
    return minimum(maximum(x, low), high)


def _polynomial(x: Value, coefficients: tuple[int, ...]) -> Value:
    """x (a + x (b + ...)), x in 0..ONE."""
    total: Value | int = coefficients[-1]
    for each in reversed(coefficients[:-1]):
        total = ((x * total) >> LOG_BITS) + each
    return (x * total) >> LOG_BITS


def exp2(x: Value) -> Value:
    """2**x as a whole number: x is in LOG_BITS, the result below 2**24; 0 where it would be below 1."""
    inside = _held(x, 0, ((LARGEST_OCTAVE + 1) << LOG_BITS) - 1)
    octave = inside >> LOG_BITS
    fraction = _held(inside - (octave << LOG_BITS), 0, ONE - 1)
    mantissa = _held(_polynomial(fraction, EXP2) + ONE, ONE, 2 * ONE - 1)
    return select(x < 0, 0, (mantissa << octave) >> LOG_BITS)


def log2(x: Value) -> Value:
    """log2 of a whole number of 1 to 2**31 in LOG_BITS: 0..31; that of 1 where x is less."""
    inside = _held(x, 1, (1 << WORD) - 1)
    shift = count_leading_zeros(inside)
    octave = WORD - shift
    mantissa = (inside << shift) >> (WORD - LOG_BITS)
    fraction = _held(mantissa - ONE, 0, ONE - 1)
    return (octave << LOG_BITS) + _polynomial(fraction, LOG2)


def power(x: Value, exponent: Value, scale: Value, exponent_bits: int) -> Value:
    """2**scale x**exponent of a whole number, 0 where it is not positive; exponent per 2**exponent_bits."""
    result = exp2(((log2(x) * exponent) >> exponent_bits) + scale)
    return select(x > 0, result, 0)


def sigmoid(x: Value, bits: int) -> Value:
    """1 / (1 + exp(-x)) per 2**bits, x in LOG_BITS and at most 24 bits wide."""
    scaled = (x * LOG2_E) >> LOG_BITS
    negative = select(scaled < 0, scaled, 0 - scaled)
    small = exp2(negative + (LOG_BITS << LOG_BITS))  # exp(-|x|) per ONE
    share = exp2(((bits + LOG_BITS) << LOG_BITS) - log2(small + ONE))
    return select(x < 0, (1 << bits) - share, share)


def tanh(x: Value, bits: int) -> Value:
    """tanh(x) per 2**bits, x in LOG_BITS."""
    return (sigmoid(x * 2, bits) << 1) - (1 << bits)


def elu(x: Value) -> Value:
    """x + 1 where x > 0, exp(x) elsewhere; both in LOG_BITS."""
    falling = exp2(((_held(x, -(16 << LOG_BITS), 0) * LOG2_E) >> LOG_BITS) + (LOG_BITS << LOG_BITS))
    return select(x > 0, x + ONE, falling)
