"""Balanced rounding: a neighbour for every weight, and every neuron's sum right to half a unit."""

import numpy as np
import pytest
from float_networks import edge, graph, lif
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy.chip import load_chip
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Range
from astrodeploy.ir import Connection, Population
from astrodeploy.ir.wiring import Conv, Dense, Sparse
from astrodeploy.quantisation.balance import balanced
from astrodeploy.quantisation.layer import layer_of
from astrodeploy.quantisation.scales import worst_case

LIMITS = Formats.of(load_chip("loihi2"))


def rounded(made):
    """The balanced integers of layer a, and the exact numbers that they stand for."""
    layer = layer_of(made, made["a"], made["a"].node, lambda name: (1.0, Range(0, 1)))
    scale = worst_case(layer, LIMITS)
    (synapses,) = layer.synapses
    weights = balanced(layer, scale, LIMITS)
    assert weights is not None
    exact = synapses.weights.values * scale.membrane / 64 * 2.0 ** -scale.exponents[synapses.name]
    return weights[synapses.name], exact


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_sums_are_kept_and_weights_become_neighbours(seed):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 300))
    weight = rng.normal(rng.uniform(-0.1, 0.1), 0.2, (n, m)) * (rng.random((n, m)) < 0.7)
    weight[0, 0] = 1.0
    wiring = Sparse.of(weight) if rng.random() < 0.5 else Dense(weight)
    population = Population("a", (n,), lif())
    made = graph(m, [population], [Connection("x", "a", "current", wiring)])
    whole, exact = rounded(made)
    assert np.abs(whole - exact).max() < 1 + 1e-9
    assert np.all(whole[exact == 0] == 0)
    rows = (
        np.repeat(np.arange(n), m)
        if wiring.values.ndim == 2
        else np.repeat(np.arange(n), np.diff(wiring.starts))
    )
    assert np.abs(np.bincount(rows, (whole - exact).ravel(), minlength=n)).max() <= 0.5 + 1e-6


def test_filters_are_balanced_one_by_one():
    rng = np.random.default_rng(1)
    wiring = Conv(rng.normal(0.02, 0.2, (3, 4, 3, 3)), (4, 5, 5), (1, 1), (1, 1), (1, 1))
    made = graph(100, [Population("a", (3, 5, 5), lif())], [Connection("x", "a", "current", wiring)])
    whole, exact = rounded(made)
    assert np.abs((whole - exact).sum((1, 2, 3))).max() <= 0.5 + 1e-9


def test_errors_that_all_point_one_way_are_made_up_for():
    weight = np.full((1, 41), 0.1 + 0.4 / 127)  # 12.7 + 0.4 = 13.1 units of the largest
    weight[0, 0] = 1.0
    whole, exact = rounded(graph(41, [Population("a", (1,), lif())], [edge("x", "a", weight)]))
    assert exact[0, 1] == pytest.approx(13.1)
    assert sorted(set(whole[0, 1:])) == [13, 14]
    assert whole.sum() == pytest.approx(exact.sum(), abs=0.5)
