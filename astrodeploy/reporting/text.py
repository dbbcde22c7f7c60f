"""Numbers as a reader wants them: units, engineering prefixes, sensible digits.

The filters wrap what they show into `<data value="...">`, which holds the exact number of the API.
"""

import re
from decimal import Decimal
from html import escape
from math import isclose

from markupsafe import Markup

from astrodeploy.costs import Span

PREFIXES = {12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ", -9: "n", -12: "p", -15: "f"}
DIGITS = 3
NARROW = "\N{NARROW NO-BREAK SPACE}"
SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def rounded(value: float, digits: int = DIGITS) -> str:
    """So many significant digits in positional notation; trailing zeros only where they stand for more."""
    text = f"{Decimal(f'{value:.{digits - 1}e}'):f}"
    if "." in text and isclose(float(text), value, rel_tol=1e-9):
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


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
    return shown.replace(",", NARROW).replace("-", MINUS)


def number(value: float) -> str:
    """A plain number: whole ones in full, very small and very large ones with a power of ten."""
    if value == round(value) and abs(value) < 1e9:
        return count(value)
    if 1e-3 <= abs(value) < 1e6:
        return rounded(value)
    mantissa, _, exponent = f"{value:.{DIGITS - 1}e}".partition("e")
    power = str(int(exponent)).translate(SUPERSCRIPTS)
    return f"{mantissa.replace('-', MINUS)}{NARROW}×{NARROW}10{power}"


def percent(share: float) -> str:
    """A share 0..1 in per cent, with one decimal, or two digits where it is small."""
    if share in (0, 1):
        return f"{100 * share:.0f}{NARROW}%"
    return (f"{100 * share:.1f}" if share >= 0.01 else rounded(100 * share, 2)) + f"{NARROW}%"


def mean(value: float) -> str:
    """A mean number of things, with one decimal."""
    return f"{value:,.1f}".replace(",", NARROW)


def words(name: str) -> str:
    """An identifier as words."""
    return name.replace("_", " ")


def name(text: str) -> Markup:
    """A name from the network, which may be broken after its punctuation."""
    return Markup(re.sub(r"([_./:])", r"\1<wbr>", escape(text)))


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
    "watts": lambda value: exact(value, quantity(value, "W")),
    "count": lambda value: exact(value, count(value)),
    "number": lambda value: exact(value, number(value)),
    "mean": lambda value: exact(value, mean(value)),
    "percent": lambda value: exact(value, percent(value)),
    "span": span,
    "name": name,
    "words": words,
}
