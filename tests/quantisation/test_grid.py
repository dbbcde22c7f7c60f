"""Networks of integers come through unchanged; what is on the grid in part only is quantised like any other."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import DT, cuba, edge, graph, lif
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import astrodeploy as ad
from astrodeploy.ir import Population

KEEPS_THE_GRID = "is on the chip's grid already"


def integer_network(seed):
    """Numbers as a chip has them: weights (one of them odd), exponent, threshold, bias and decays."""
    rng = np.random.default_rng(seed)
    inputs, n = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    if rng.random() < 0.3:
        weights = 2 * rng.integers(-128, 128, (n, inputs))  # nine bits, the last one lost
    else:
        weights = rng.integers(-128, 128, (n, inputs)) << int(rng.integers(0, 4))
    weights.flat[0] = rng.choice([-1, 1]) * (97 if rng.random() < 0.5 else 2 * 97)
    if np.abs(weights).max() > 127:  # then a shared exponent of 1 at least must leave it whole
        weights = weights // 2 * 2
        assume(np.abs(weights).max() <= 2 * 127 or np.all(weights % 16 == 0))
    mantissa = rng.integers(-4095, 4096, n)
    return {
        "weights": weights,
        "threshold": rng.integers(100, 4000, n),
        "bias": mantissa << int(rng.integers(0, 5)),
        "du": int(rng.integers(1, 4097)),
        "dv": int(rng.integers(1, 4097)),
    }


def as_float(numbers, unit, noise=None):
    """The float network of integers: v = 1.0 is `unit` of the chip's."""
    jitter = (lambda: 1.0) if noise is None else (lambda: 1 + noise.uniform(-4e-8, 4e-8))
    weights = numbers["weights"] * 64 / unit
    leak, fall = numbers["dv"] / 4096, numbers["du"] / 4096
    # v' = v (1 - leak) + drive (i + bias): r undoes the leak, w_in the fall
    shared = {
        "tau": DT / leak * jitter(),
        "r": 1 / leak,
        "v_threshold": numbers["threshold"] * 64 / unit,
    }
    n, inputs = weights.shape
    if fall == 1:
        node = lif(**shared, bias=numbers["bias"] / unit)
    else:
        assert not numbers["bias"].any()
        node = cuba(**shared, tau_syn=DT / fall * jitter(), w_in=1 / fall)
    return graph(inputs, [Population("a", (n,), node)], [edge("x", "a", weights)])


def found(made):
    program = ad.compile(made)
    (connection,) = [c for c in program.network.connections if c.target == "a"]
    parameters = program.network["a"].node.parameters
    notes = [n.text for report in program.passes if report.name == "quantise" for n in report.notes]
    return {
        "weights": connection.weight.astype(np.int64) << connection.exponent,
        "threshold": parameters["threshold"],
        "bias": parameters["bias"],
        "du": int(parameters["du"][0]),
        "dv": int(parameters["dv"][0]),
    }, any(KEEPS_THE_GRID in text for text in notes)


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in a)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans(), st.sampled_from([1.0, 64.0]), st.booleans())
def test_integer_networks_come_back_as_they_were(seed, synaptic, unit, noisy):
    numbers = integer_network(seed)
    numbers |= {"bias": np.zeros_like(numbers["bias"])} if synaptic else {"du": 4096}
    noise = np.random.default_rng(seed) if noisy else None
    back, on_grid = found(as_float(numbers, unit, noise))
    assert on_grid
    assert same(numbers, back)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32), st.floats(0.01, 1e4))
def test_integers_that_somebody_divided_come_back(seed, unit):
    """All weights over the threshold, say: the common factor is found."""
    rng = np.random.default_rng(seed)
    numbers = {
        "weights": rng.integers(-127, 128, (3, 40)),
        "threshold": rng.integers(100, 4000, 3),
        "bias": np.zeros(3, np.int64),
        "du": 4096,
        "dv": int(rng.integers(1, 4097)),
    }
    numbers["weights"][0, :2] = 127, 126  # no common divisor
    back, on_grid = found(as_float(numbers, unit))
    assert on_grid
    # where they are whole as they stand too, they may be all the same multiple
    multiple = back["threshold"][0] // numbers["threshold"][0]
    assert multiple >= 1
    numbers |= {key: numbers[key] * multiple for key in ("weights", "threshold")}
    assert same(numbers, back)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": np.array([100.37, 333.12])},
        {"dv": 400.4},
        {"bias": np.array([4097.0, 0.0])},  # a mantissa of 13 bits and an odd value
        {"weights": np.array([[3.0, 1.5], [300.0, 7.0]])},  # 300 needs an exponent at which 7 is not whole
    ],
)
def test_layers_on_the_grid_in_part_only_are_rounded_like_others(change):
    numbers = {
        "weights": np.array([[3.0, 5.0], [100.0, -7.0]]),
        "threshold": np.array([100.0, 333.0]),
        "bias": np.zeros(2),
        "du": 4096,
        "dv": 400.0,
    } | change
    made = as_float(numbers, 64.0)
    _, on_grid = found(made)
    assert not on_grid
    program = ad.compile(made)
    node, float_node = program.network["a"].node, made["a"].node
    scale = node.units["v"]
    assert scale > 64 * 8  # the worst case's, which is finer than the numbers as they stand
    assert np.abs(node.parameters["threshold"] * 64 / scale / float_node.v_threshold - 1).max() < 1e-3


def test_few_small_weights_are_no_sign_of_an_integer_network():
    """Weights of 1/2 and 1 are exact at every scale: the finest that leaves room is taken."""
    node = replace(lif(tau=8 * DT, r=8.0), v_threshold=np.asarray(1.5))
    program = ad.compile(graph(2, [Population("a", (1,), node)], [edge("x", "a", [[0.5, 1.0]])]))
    assert program.network["a"].node.units["v"] >= 1 << 18
    (connection,) = program.network.connections
    weights = connection.weight * 2.0**connection.exponent
    assert weights[0, 1] == 2 * weights[0, 0]


def test_an_integer_network_that_breaks_a_law_of_the_port_is_quantised_anew():
    weights = np.full((1, 4000), 127 * 64 / 64.0)
    made = graph(
        4000, [Population("a", (1,), lif(tau=DT, r=1.0, v_threshold=1000.0))], [edge("x", "a", weights)]
    )
    program = ad.compile(made)
    assert program.network["a"].node.units["v"] < 64
