"""Compensated rounding: never farther from float than rounding to the nearest, and only to a neighbour."""

import numpy as np
from float_networks import edge, graph, lif
from hypothesis import given, settings
from hypothesis import strategies as st

import astrodeploy as ad
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Range
from astrodeploy.ir import Population
from astrodeploy.ir.wiring import Conv
from astrodeploy.quantisation.compensate import TRUST, _compensated, _patches

LIMITS = Formats(Range.signed(8), 1 << 24)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_error_in_what_the_data_bring_never_grows(seed):
    rng = np.random.default_rng(seed)
    sources, targets = int(rng.integers(1, 30)), int(rng.integers(1, 8))
    common = rng.random((200, 1))
    rows = rng.random((200, sources)) * rng.uniform(0, 1) + common
    power = rows.T @ rows / len(rows)
    exact = rng.uniform(-140, 140, (targets, sources))
    steps = 10.0 ** rng.uniform(-3, 0, sources)
    whole = _compensated(exact, steps, power, LIMITS)
    nearest = np.clip(np.rint(exact), -128, 127)
    trusted = power + TRUST * np.diag(np.diag(power))
    error = [
        np.einsum("ts,sr,tr->", d, trusted, d) for d in ((whole - exact) * steps, (nearest - exact) * steps)
    ]
    assert error[0] <= error[1] * (1 + 1e-9)
    inside = np.abs(exact) < 127
    assert np.abs(whole - exact)[inside].max(initial=0) < 1
    assert -128 <= whole.min() <= whole.max() <= 127


def test_whole_weights_stay():
    exact = np.arange(-60.0, 60.0).reshape(6, 20)
    assert np.array_equal(_compensated(exact, np.ones(20), np.ones((20, 20)), LIMITS), exact)


def test_correlated_sources_gain_most():
    """Ten sources that always fire together: the sum of their rounded weights is right to half a unit."""
    rng = np.random.default_rng(0)
    exact = rng.uniform(-50, 50, (40, 10))
    whole = _compensated(exact, np.ones(10), np.ones((10, 10)), LIMITS)
    assert np.abs((whole - exact).sum(1)).max() < 0.75
    assert np.abs((np.rint(exact) - exact).sum(1)).max() > 1.0


def test_patches_are_what_a_convolution_reads():
    rng = np.random.default_rng(1)
    for shape, out, kernel, stride, padding, dilation, groups in (
        ((4, 9, 8), 6, (3, 2), (2, 1), (1, 0), (1, 2), 2),
        ((3, 7, 7), 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((2, 11), 4, (3,), (2,), (1,), (2,), 1),
    ):
        values = rng.normal(size=(out, shape[0] // groups, *kernel))
        wiring = Conv(values, shape, stride, padding, dilation, groups)
        x = rng.normal(size=(5, int(np.prod(shape))))
        filters = values.reshape(groups, out // groups, -1)
        found = np.einsum("ngt,got->ngo", _patches(wiring, x[:, None]), filters)
        by_position = found.reshape(5, -1, out).transpose(0, 2, 1).reshape(5, -1)
        assert np.abs(by_position - wiring.deliver(x)).max() < 1e-12


def test_a_layer_on_the_grid_is_not_touched_by_data():
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (5, 12)).astype(float)
    made = graph(
        12, [Population("a", (5,), lif(tau=4e-3, r=4.0, v_threshold=300.0))], [edge("x", "a", weights)]
    )
    x = rng.random((20, 30, 12)) < 0.3
    plain, calibrated = ad.compile(made), ad.compile(made, calibrate=x)
    assert np.array_equal(plain.network.connections[0].weight, weights)
    assert np.array_equal(calibrated.network.connections[0].weight, weights)
