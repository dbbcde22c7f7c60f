"""Paired differences of accuracy: the counts, and how often the interval holds the truth."""

import numpy as np
import pytest

from astrodeploy.errors import InputError
from astrodeploy.paired import paired


def test_counts_and_difference():
    result = paired([1, 1, 1, 0, 0, 1, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1, 1, 1, 1, 1])
    assert (result.only_first, result.only_second) == (2, 1)
    assert result.difference == pytest.approx(0.1)
    assert result.low < 0.1 < result.high
    assert str(result).startswith("+10.00 (")


def test_equal_answers_still_have_an_interval():
    result = paired(np.ones(2000), np.ones(2000))
    assert (result.difference, result.low) == (0, -result.high)
    assert 0.001 < result.high < 0.002


@pytest.mark.parametrize(
    ("n", "gain", "loss"), [(2000, 0.012, 0.010), (2000, 0.003, 0.0005), (300, 0.05, 0.02)]
)
def test_the_interval_holds_the_truth_in_about_95_of_100_cases(n, gain, loss):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        drawn = rng.random(n)
        first, second = drawn >= loss, (drawn < loss) | (drawn >= loss + gain)
        result = paired(first, second)
        held += result.low <= gain - loss <= result.high
    assert 930 <= held <= 985


def test_what_can_not_be_compared():
    for first, second in (([1, 0], [1]), ([], []), ([[1]], [[1]])):
        with pytest.raises(InputError, match="needs two answers a sample"):
            paired(first, second)
