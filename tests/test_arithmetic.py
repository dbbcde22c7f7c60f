"""Every operation: Python integers = numpy int64 arrays = generated numba, within the proven interval."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy import arithmetic
from astrodeploy.arithmetic import OPERATIONS, STATE_MAX
from astrodeploy.compartments.kind import Range
from astrodeploy.compartments.proof import INTERVALS, LIMIT
from astrodeploy.engines.fast.cache import load, module_name
from astrodeploy.engines.fast.source import EXPRESSIONS, helpers

MOST = LIMIT - 1
WIDTHS = (2, 3, 24, 61)  # of wrap: they are constants, and a kernel each
EDGES = (0, 1, -1, 2, -2, MOST, -MOST, 1 << 23, -(1 << 23), STATE_MAX, -STATE_MAX, (1 << 32) - 1, -(1 << 32))


def between(low, high):
    """Integers of an interval, often at its edges or near 0."""
    known = [v for v in (low, high, low + 1, high - 1, *EDGES) if low <= v <= high]
    return st.one_of(st.sampled_from(known), st.integers(low, high))


ANY = between(-MOST, MOST)
BIT = st.integers(0, 1)
SHIFT = between(0, 62)


@st.composite
def added(draw):
    a = draw(ANY)
    return a, draw(between(max(-MOST, -MOST - a), min(MOST, MOST - a)))


@st.composite
def subtracted(draw):
    a, b = draw(added())
    return a, -b


@st.composite
def multiplied(draw):
    a = draw(ANY)
    most = MOST // max(1, abs(a))
    return a, draw(between(-most, most))


@st.composite
def shifted_left(draw):
    bits = draw(SHIFT)
    return draw(between(-(MOST >> bits), MOST >> bits)), bits


@st.composite
def saturated(draw):
    low, high = sorted(draw(st.tuples(ANY, ANY)))
    return draw(ANY), low, high


OPERANDS = {
    "add": added(),
    "subtract": subtracted(),
    "multiply": multiplied(),
    "shift_left": shifted_left(),
    "shift_floor": st.tuples(ANY, SHIFT),
    "shift_toward_zero": st.tuples(ANY, SHIFT),
    **dict.fromkeys(["less", "less_equal", "equal", "not_equal", "minimum", "maximum"], st.tuples(ANY, ANY)),
    "and": st.tuples(BIT, BIT),
    "or": st.tuples(BIT, BIT),
    "select": st.tuples(BIT, ANY, ANY),
    "saturate": saturated(),
    "count_leading_zeros": st.tuples(between(0, (1 << 32) - 1)),
}
CASES = [(name, None) for name in OPERANDS] + [("wrap", bits) for bits in WIDTHS]


@cache
def generated(name, width):
    """The engine's expression for an operation, over arrays of operands."""
    operands = ["a[0, i]", "a[1, i]", "a[2, i]"]
    if width is not None:
        operands[1] = str(width)
    count = OPERATIONS[name].__code__.co_argcount
    load(helpers())
    text = f"""from numba import njit
from {module_name(helpers())} import count_leading_zeros


@njit(cache=True)
def run(a, out):
    for i in range(out.size):
        out[i] = {EXPRESSIONS[name](*operands[:count])}
"""
    return load(text).run


def test_every_operation_is_tested_and_generated():
    assert {name for name, _ in CASES} == set(OPERATIONS) == set(EXPRESSIONS) == set(INTERVALS)


@pytest.mark.parametrize(("name", "width"), CASES)
@settings(derandomize=True, max_examples=25, deadline=None)
@given(data=st.data())
def test_integers_arrays_and_generated_code_agree(name, width, data):
    strategy = OPERANDS[name] if width is None else st.tuples(ANY, st.just(width))
    rows = data.draw(st.lists(strategy, min_size=1, max_size=20))
    expected = [OPERATIONS[name](*row) for row in rows]
    assert all(type(value) is int and abs(value) < LIMIT for value in expected)
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    assert OPERATIONS[name](*columns).tolist() == expected
    padded = np.zeros((3, len(rows)), np.int64)
    padded[: len(columns)] = columns
    out = np.zeros(len(rows), np.int64)
    generated(name, width)(padded, out)
    assert out.tolist() == expected


def ranges(low, high):
    """An interval within low..high, and a value of it, often one of its ends."""
    number = between(low, high)
    three = st.tuples(number, number, number).map(sorted)
    return st.one_of(
        three.map(lambda v: (Range(v[0], v[2]), v[1])),
        three.map(lambda v: (Range(v[0], v[1]), v[1])),
        three.map(lambda v: (Range(v[0], v[1]), v[0])),
    )


ANY_RANGE = ranges(-MOST, MOST)
BIT_RANGE = ranges(0, 1)
SHIFT_RANGE = ranges(0, 62)
WIDTH_RANGE = st.integers(2, 61).map(lambda v: (Range(v, v), v))
BOUNDS = ANY.flatmap(lambda middle: st.tuples(ranges(-MOST, middle), ranges(middle, MOST)))
OPERANDS_IN_RANGES = {
    **dict.fromkeys(INTERVALS, st.tuples(ANY_RANGE, ANY_RANGE)),
    **dict.fromkeys(["shift_left", "shift_floor", "shift_toward_zero"], st.tuples(ANY_RANGE, SHIFT_RANGE)),
    "wrap": st.tuples(ANY_RANGE, WIDTH_RANGE),
    "and": st.tuples(BIT_RANGE, BIT_RANGE),
    "or": st.tuples(BIT_RANGE, BIT_RANGE),
    "select": st.tuples(BIT_RANGE, ANY_RANGE, ANY_RANGE),
    "count_leading_zeros": st.tuples(ranges(0, (1 << 32) - 1)),
    "saturate": st.tuples(ANY_RANGE, BOUNDS).map(lambda both: (both[0], *both[1])),
}


@pytest.mark.parametrize("name", INTERVALS)
@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_every_result_lies_in_the_interval_of_its_rule(name, data):
    given_ranges, values = zip(*data.draw(OPERANDS_IN_RANGES[name]), strict=True)
    result = OPERATIONS[name](*values)
    reached = INTERVALS[name](*given_ranges)
    assert reached.contains(Range(result, result)), (given_ranges, values, result, reached)


@pytest.mark.parametrize(
    ("name", "given_ranges", "expected"),
    [
        ("multiply", [Range(-3, 2), Range(-5, 7)], Range(-21, 15)),
        ("shift_toward_zero", [Range(-9, 9), Range(1, 2)], Range(-4, 4)),
        ("shift_floor", [Range(-9, 9), Range(1, 2)], Range(-5, 4)),
        ("saturate", [Range(-9, 9), Range(-2, -1), Range(4, 5)], Range(-2, 5)),
        ("wrap", [Range(-8, 8), Range(4, 4)], Range(-7, 8)),
        ("wrap", [Range(-7, 8), Range(4, 4)], Range(-7, 8)),
        ("wrap", [Range(0, 3), Range(4, 4)], Range(0, 3)),
        ("count_leading_zeros", [Range(1, 8)], Range(28, 31)),
        ("select", [Range(0, 1), Range(-1, 2), Range(5, 6)], Range(-1, 6)),
        ("minimum", [Range(0, 9), Range(3, 5)], Range(0, 5)),
        ("maximum", [Range(0, 9), Range(3, 5)], Range(3, 9)),
    ],
)
def test_intervals_are_as_narrow_as_they_can_be(name, given_ranges, expected):
    assert INTERVALS[name](*given_ranges) == expected


@pytest.mark.parametrize(("a", "expected"), [(-1, 0), (-7, -1), (-8, -2), (-9, -2), (7, 1), (0, 0)])
def test_a_shift_toward_zero_rounds_both_signs_alike(a, expected):
    assert arithmetic.shift_toward_zero(a, 2) == expected


@pytest.mark.parametrize(("a", "expected"), [(-1, -1), (-8, -2), (-9, -3), (7, 1)])
def test_a_floor_shift_rounds_down(a, expected):
    assert arithmetic.shift_floor(a, 2) == expected


@pytest.mark.parametrize(
    ("a", "expected"), [(8, 8), (9, -7), (-7, -7), (-8, 8), (24, 8), (25, -7), (-23, -7), (0, 0), (16, 0)]
)
def test_a_wrap_keeps_its_upper_end(a, expected):
    assert arithmetic.wrap(a, 4) == expected


@settings(derandomize=True, deadline=None)
@given(st.integers(0, (1 << 32) - 1))
def test_leading_zeros_are_what_the_bit_length_leaves(a):
    assert arithmetic.count_leading_zeros(a) == 32 - a.bit_length()


def test_leading_zeros_at_the_ends():
    assert [arithmetic.count_leading_zeros(a) for a in (0, 1, (1 << 32) - 1)] == [32, 31, 0]


def test_select_saturate_and_comparisons_are_what_they_say():
    assert (arithmetic.select(1, 5, 7), arithmetic.select(0, 5, 7)) == (5, 7)
    assert [arithmetic.saturate(a, -2, 3) for a in (-9, -2, 0, 3, 9)] == [-2, -2, 0, 3, 3]
    assert [arithmetic.less(a, 1) for a in (0, 1, 2)] == [1, 0, 0]
    assert [arithmetic.less_equal(a, 1) for a in (0, 1, 2)] == [1, 1, 0]
    assert [arithmetic.equal(a, 1) for a in (0, 1)] == [0, 1]
    assert [arithmetic.not_equal(a, 1) for a in (0, 1)] == [1, 0]


# ---- execution and time ----------------------------------------------------------------------------


def test_execute_gives_every_register_on_integers_and_on_arrays():
    operations = [
        ("state", "v"),
        ("parameter", "p"),
        ("input", "i"),
        ("constant", 3),
        ("add", 0, 2),
        ("multiply", 4, 1),
        ("table", "t", 3),
    ]
    assert arithmetic.execute(operations, {"v": 5}, {"p": -2}, {"i": 10}, {"t": [0, 0, 0, 99]}) == [
        5, -2, 10, 3, 15, -30, 99,
    ]  # fmt: skip
    arrays = arithmetic.execute(
        operations,
        {"v": np.array([5, 6])},
        {"p": np.array([-2, 1])},
        {"i": np.array([10, 0])},
        {"t": [0, 0, 0, 99]},
    )
    assert arrays[5].tolist() == [-30, 6]


def test_windows_end_every_period_from_the_depth_on():
    assert [t for t in range(12) if arithmetic.ticks(t, 2, 4)] == [5, 9]
    assert [t for t in range(3) if arithmetic.ticks(t, 0, 1)] == [0, 1, 2]


def test_all_states_clear_at_the_depth_and_fast_ones_every_so_many_steps():
    assert [arithmetic.resets(t, 2, 3) for t in range(9)] == ["", "", "all", "", "", "fast", "", "", "fast"]
    assert {arithmetic.resets(t, 2, 0) for t in range(9)} == {""}


def test_messages_from_before_a_reset_are_dropped_on_fast_ports():
    def dropped(lag, slow):
        return [t for t in range(10) if arithmetic.dropped(t, 1, lag, 4, slow)]

    assert dropped(2, False) == [1, 2, 5, 6, 9]
    assert dropped(2, True) == [1, 2]
    assert dropped(0, False) == []
    assert not any(arithmetic.dropped(t, 1, 2, 0, False) for t in range(10))
