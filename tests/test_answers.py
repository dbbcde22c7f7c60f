"""Answers: what is decided, what is a tie, and which labels there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrodeploy.answers import answers, checked_labels
from astrodeploy.errors import InputError

SHAPES = st.tuples(st.integers(1, 6), st.integers(2, 5))
SCORES = SHAPES.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(-4, 4)))


@given(SCORES, st.booleans())
def test_what_is_decided_is_the_largest_and_what_is_not_has_no_largest(scores, sent):
    found = answers(scores, sent)
    for row, answer, tied in zip(scores, found.classes, found.tied, strict=True):
        largest = row.max()
        if np.all(row == largest) or (sent and largest <= 0):
            assert (answer, tied) == (-1, False)
        else:
            assert row[answer] == largest
            assert tied == (np.sum(row == largest) > 1)
            assert not np.any(row[:answer] == largest)
    assert found.undecided == np.sum(found.classes == -1)


@given(SCORES, st.booleans(), st.floats(1e-3, 1e3))
def test_neither_the_unit_nor_the_last_bits_change_an_answer(scores, sent, unit):
    wrong = 1 + 1e-15 * np.random.default_rng(0).standard_normal(scores.shape)
    expected, found = answers(scores, sent), answers(scores * unit * wrong, sent)
    assert np.array_equal(found.classes, expected.classes)
    assert np.array_equal(found.tied, expected.tied)


def test_what_is_almost_nothing_is_nothing_and_one_class_is_the_answer():
    assert answers([[1e-40, 1e-42, -3.0]], sent=True).classes.tolist() == [-1]
    assert answers([[-2.0, -1.0]]).classes.tolist() == [1]
    assert answers([[-2.0, -1.0]], sent=True).classes.tolist() == [-1]
    assert answers([[0], [5]], sent=True).classes.tolist() == [0, 0]
    assert answers([[np.nan, 1.0], [np.inf, 1.0]]).classes.tolist() == [-1, 0]


def test_they_are_told():
    assert answers([[0, 1], [2, 1]]).text == ""
    told = answers([[0, 0, 0], [0, 2, 2], [0, 0, 1]]).text
    assert "1 of 3 samples are undecided" in told
    assert "1 of 3 end in a tie of some classes: the first" in told


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([97, 98, 99], r"the labels of 10 classes are whole numbers in 0\.\.9, given are 97\.\.99"),
        ([-1, 2, 3], r"0\.\.9, given are -1\.\.3"),
        ([10, 2, 3], r"0\.\.9, given are 2\.\.10"),
        ([1.5, 2, 3], r"0\.\.9, given are fractions, 1\.5 for one"),
        ([np.nan, 2, 3], "given are some that are not finite"),
        ([1e300, 2, 3], r"given are 2\.\.1e\+300"),
        (["a", "b", "c"], "given are values of type <U1"),
        ([1j, 2, 3], "given are values of type complex128"),
        (np.array([2**64 - 1, 0, 0], np.uint64), "0..9, given are"),
        (np.eye(3), r"the labels have shape \(3, 3\), needed is one number for each of 3 samples"),
        (3, r"the labels have shape \(\), needed is one number"),
        ([1, 2], "there are 2 labels for 3 samples$"),
        (np.zeros(25), "there are 25 labels for 3 samples; a sample has as many steps: .* exchange its axes"),
    ],
)
def test_labels_of_no_class_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        checked_labels(labels, 3, 10, 25)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, bool])
def test_whole_numbers_of_any_type_are_labels(dtype):
    found = checked_labels(np.array([0, 1, 1], dtype), 3, 10)
    assert found.tolist() == [0, 1, 1]
    assert found.dtype == np.int64
