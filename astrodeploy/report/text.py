"""Numbers as a reader wants them: units, engineering prefixes, sensible digits.

The filters wrap what they show into `<data value="...">`, which holds the exact number of the API.
"""

from decimal import Decimal
from html import escape

from markupsafe import Markup

from astrodeploy.estimate import Span

PREFIXES = {12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ", -9: "n", -12: "p", -15: "f"}
DIGITS = 3
NARROW = "\N{NARROW NO-BREAK SPACE}"
SPACE = "\N{NO-BREAK SPACE}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def rounded(value: float, digits: int = DIGITS) -> str:
    """A number in positional notation with so many significant digits, without trailing zeros."""
    text = f"{Decimal(f'{value:.{digits}g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float, unit: str, digits: int = DIGITS) -> str:
    """`1.49e-05, "J"` as "14.9 µJ"."""
    if value == 0:
        return f"0{SPACE}{unit}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    power = min(max(exponent // 3 * 3, min(PREFIXES)), max(PREFIXES))
    return f"{rounded(value / 10.0**power, digits)}{SPACE}{PREFIXES[power]}{unit}"


def count(value: float) -> str:
    """A number of things, its thousands set apart; fractions only below a hundred."""
    shown = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else rounded(value)
    return shown.replace(",", NARROW)


def number(value: float) -> str:
    """A plain number: whole ones in full, very small and very large ones with a power of ten."""
    if value == round(value) and abs(value) < 1e9:
        return count(value)
    if 1e-3 <= abs(value) < 1e6:
        return rounded(value)
    mantissa, _, exponent = f"{value:.{DIGITS - 1}e}".partition("e")
    return f"{mantissa}{NARROW}×{NARROW}10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def percent(share: float) -> str:
    """A share 0..1 in per cent."""
    shown = rounded(100 * share, 2 if share < 0.1 else DIGITS)
    return f"{shown}{NARROW}%"


def words(name: str) -> str:
    """An identifier as words."""
    return name.replace("_", " ")


def exact(value: float, shown: str) -> Markup:
    """What is shown, with the exact number in its `value` attribute."""
    return Markup(f'<data value="{value!r}">{escape(shown)}</data>')


def span(value: Span, unit: str) -> Markup:
    """The range of a quantity, without its typical value."""
    low, high = (exact(each, quantity(each, unit)) for each in (value.low, value.high))
    return low + Markup(" to ") + high


FILTERS = {
    "joules": lambda value: exact(value, quantity(value, "J")),
    "seconds": lambda value: exact(value, quantity(value, "s")),
    "count": lambda value: exact(value, count(value)),
    "number": lambda value: exact(value, number(value)),
    "percent": lambda value: exact(value, percent(value)),
    "span": span,
    "words": words,
}
