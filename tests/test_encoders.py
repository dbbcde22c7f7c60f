"""The rate encoder: a golden hash, statistics, limits."""

from hashlib import sha256

import numpy as np
import pytest

from astrodeploy.encoders import encode_rate, thresholds
from astrodeploy.errors import StimulusError


def test_thresholds_never_change():
    first = (thresholds(0, 2, 3) * 65536).astype(int).tolist()
    assert first == [[57210, 63295, 9706], [7581, 57516, 18932]]
    assert sha256(thresholds(12345, 40, 50).tobytes()).hexdigest()[:16] == "9268a3689259f077"


def test_any_step_of_any_neuron_stands_alone():
    whole = thresholds(9, 30, 20)
    assert np.array_equal(thresholds(9, 11, 6), whole[:11, :6])
    assert np.array_equal(thresholds(9 + (1 << 32), 30, 20), whole)  # a seed has 32 bits
    assert not np.array_equal(thresholds(10, 30, 20), whole)


def test_thresholds_are_uniform_and_independent():
    h = thresholds(1, 400, 250)
    assert np.abs(np.histogram(h, 16, (0, 1))[0] / h.size * 16 - 1).max() < 0.05
    assert abs(np.corrcoef(h[1:].ravel(), h[:-1].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(h[:, 1:].ravel(), h[:, :-1].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(h.ravel(), thresholds(2, 400, 250).ravel())[0, 1]) < 0.01


def test_zero_never_sends_and_one_always_does():
    z = encode_rate(np.array([[0.0, 1.0, 0.5]]), 1000, seed=4)
    assert z.dtype == np.uint8
    assert z.shape == (1, 1000, 3)
    assert z[0, :, 0].sum() == 0
    assert z[0, :, 1].sum() == 1000
    assert 450 < z[0, :, 2].sum() < 550


def test_samples_of_any_shape_and_type_are_read_as_float32():
    x = np.random.default_rng(0).random((3, 2, 2))
    flat = encode_rate(x.reshape(3, 4), 20, 0)
    assert np.array_equal(encode_rate(x, 20, 0), flat)
    assert np.array_equal(encode_rate(x.astype(np.float32), 20, 0), flat)
    assert encode_rate(np.array([[0, 1]]), 5, 0).tolist() == [[[0, 1]] * 5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(StimulusError, match="hold NaN or infinity"):
        encode_rate(np.array([[0.5, bad]]), 4, 0)


@pytest.mark.parametrize(("bad", "text"), [(1.5, r"0\.5\.\.1\.5"), (-0.25, r"-0\.25\.\.0\.5")])
def test_values_outside_their_range_are_refused(bad, text):
    with pytest.raises(StimulusError, match=f"lie in {text}; the rate encoder takes"):
        encode_rate(np.array([[0.5, bad]]), 4, 0)
