"""Numbers as the report shows them, and the axes that they stand on."""

import pytest

from astrodeploy.costs import Span
from astrodeploy.reporting.scales import decades, linear
from astrodeploy.reporting.text import FILTERS, count, exact, name, number, percent, quantity, span

NBSP, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.4893e-5, "14.9 µJ"),
        (1.1013e-5, "11.0 µJ"),  # a rounded number keeps its zeros,
        (1e-3, "1 mJ"),  # an exact one needs none
        (9.9996e-7, "1.00 µJ"),
        (237.2e-6, "237 µJ"),
        (0.0, "0 J"),
        (4.7e-12, "4.7 pJ"),
        (3e-19, "0.0003 fJ"),
        (12345.0, "12.3 kJ"),
        (5e15, "5000 TJ"),
    ],
)
def test_a_quantity_has_an_engineering_prefix_and_three_digits(value, shown):
    assert quantity(value, "J").replace(NBSP, " ") == shown


@pytest.mark.parametrize(
    ("function", "value", "shown"),
    [
        (count, 51898.115, "51 898"),
        (count, 5.95, "5.95"),
        (count, 1048576, "1 048 576"),
        (number, -127.0, "−127"),
        (number, 0.003936981296856322, "0.00394"),
        (number, 3.0346742763538897e-06, "3.03 × 10⁻⁶"),
        (number, -2.5e12, "−2.50 × 10¹²"),
        (percent, 0.91, "91.0 %"),
        (percent, 0.0065238, "0.65 %"),
        (percent, 0.0, "0 %"),
        (percent, 1.0, "100 %"),
        (FILTERS["mean"], 1234.56, '<data value="1234.56">1 234.6</data>'),
    ],
)
def test_plain_numbers(function, value, shown):
    assert str(function(value)).replace(NARROW, " ") == shown


def test_what_is_shown_carries_the_exact_number():
    assert exact(1 / 3, "a third") == '<data value="0.3333333333333333">a third</data>'
    low, high = span(Span(1.23456e-6, 2e-6, 3e-6), "J").split(" to ")
    assert low.startswith('<data value="1.23456e-06">1.23') and high.startswith('<data value="3e-06">3')


def test_a_name_is_escaped_and_may_break_after_its_punctuation():
    assert name("<b>_a.b") == "&lt;b&gt;_<wbr>a.<wbr>b"


def test_a_linear_axis_begins_at_zero_and_holds_everything():
    scale = linear([Span(0.1, 0.4, 1.61e-6), Span(0, 0, 1.9e-6)][1:])
    assert scale.ticks == pytest.approx((0, 5e-7, 1e-6, 1.5e-6, 2e-6))
    assert scale.place(0) == 0
    assert scale.place(5e-7) == pytest.approx(25)
    assert linear([Span(0, 0, 0)]).high == 1


def test_a_logarithmic_axis_has_whole_decades_and_zeros_at_its_left_end():
    scale = decades([Span(0, 3e-7, 2e-5), Span(0, 0, 0)])
    assert scale.ticks == pytest.approx((1e-7, 1e-6, 1e-5, 1e-4))
    assert scale.place(0) == 0
    assert scale.place(1e-6) == pytest.approx(100 / 3)
    assert decades([Span(0, 0, 0)]).ticks == pytest.approx((1, 10))
