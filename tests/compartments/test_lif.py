"""Every variant of a neuron on the chip is what the float network means by it."""

from itertools import product

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif
from networks import connection, job, network, population

import astrodeploy as ad
from astrodeploy.arithmetic import STATE_MAX
from astrodeploy.compartments.lif import MESSAGE, RECTIFIED, Variant, neuron
from astrodeploy.engines.oracle import oracle
from astrodeploy.ir import Population
from astrodeploy.ir.nodes import COMPARISONS, RESETS


def counting(rng, **settings):
    """Neurons without leak that add up whole numbers: nothing is rounded, thresholds are met exactly."""
    node = lif(tau=np.inf, r=1 / DT, v_threshold=[4.0, 7.0, 5.0, 6.0], v_reset=0.0, **settings)
    weight = rng.integers(-2, 4, (4, 5)).astype(np.float64)
    return graph(5, [Population("n", (4,), node)], [edge("x", "n", weight)])


@pytest.mark.parametrize(("reset", "comparison", "refractory"), list(product(RESETS, COMPARISONS, (0, 1, 4))))
def test_whole_numbers_are_added_up_as_in_the_float_network(reset, comparison, refractory):
    rng = np.random.default_rng(refractory)
    net = counting(rng, reset=reset, comparison=comparison, refractory=refractory)
    program = ad.compile(net)
    x = (rng.random((3, 60, 5)) < 0.3).astype(np.uint8)
    chip, meant = (program.run(x, engine=engine, probes=("n.v",)) for engine in ("oracle", "reference"))
    scale = program.network["n"].node.units["v"]
    at_threshold = np.isin(meant.states["n", "v"][:, 1:], [4.0, 7.0, 5.0, 6.0]).sum()
    assert at_threshold > 0 or comparison == ">="
    assert meant.spikes["n"].sum() > 20
    np.testing.assert_array_equal(chip.spikes["n"][:, 1:], meant.spikes["n"][:, 1:])
    np.testing.assert_array_equal(chip.states["n", "v"][:, 1:], scale * meant.states["n", "v"][:, 1:])


@pytest.mark.parametrize("refractory", [1, 5, 63])
def test_a_refractory_neuron_by_hand(refractory):
    """Driven above its threshold in every step, it fires every refractory + 1 steps; its current goes on."""
    kind = neuron(Variant(refractory=True))
    node = population("a", kind, 1, threshold=1, bias=100, refractory=refractory, du=0)
    found = oracle(job(network(1, [node], [connection("x", "a", [[1]])]), np.ones((1, 150, 1))))
    assert np.flatnonzero(found.spikes["a"][0, :, 0]).tolist() == list(range(0, 150, refractory + 1))
    assert found.states["a", "u"][0, :, 0].tolist() == [64 * t for t in range(150)]
    assert found.states["a", "wait"][0, : refractory + 2, 0].tolist() == [
        *range(refractory, -1, -1),
        refractory,
    ]


def test_at_its_threshold_a_neuron_fires_where_it_is_asked_to():
    for comparison, fires in ((">", 0), (">=", 1)):
        node = population("a", neuron(Variant(comparison=comparison)), 1, threshold=2, dv=4096, du=4096)
        found = oracle(job(network(1, [node], [connection("x", "a", [[2]])]), np.ones((1, 3, 1))))
        assert found.states["a", "v"][0, 1, 0] == (0 if fires else 128)
        assert found.spikes["a"][0, :, 0].tolist() == [0, fires, fires]


def test_what_is_left_after_a_reset():
    left = {"value": 0, "subtract": 192 - 128, "none": 192}
    for reset, v in left.items():
        node = population("a", neuron(Variant(reset=reset)), 1, threshold=2, du=4096)
        found = oracle(job(network(1, [node], [connection("x", "a", [[3]])]), np.ones((1, 2, 1))))
        assert found.spikes["a"][0, :, 0].tolist() == [0, 1]
        assert found.states["a", "v"][0, 1, 0] == v


@pytest.mark.parametrize(("sends", "allowed"), [("membrane", MESSAGE), ("rectified", RECTIFIED)])
def test_messages_of_membranes_at_the_edges(sends, allowed):
    start = np.array([STATE_MAX, -STATE_MAX, 65_536, 65_535, -1, -65_536])
    node = population("a", neuron(Variant(sends=sends)), 6, initial={"v": start}, message_shift=16)
    found = oracle(job(network(1, [node], []), np.zeros((1, 1, 1))))
    expected = np.clip(start >> 16, allowed.low, allowed.high)
    assert (
        found.spikes["a"][0, 0].tolist()
        == expected.tolist()
        == ([127, -128, 1, 0, -1, -1] if sends == "membrane" else [127, 0, 1, 0, 0, 0])
    )


def test_a_gain_scales_what_arrives_and_the_modulated_bias_alone():
    kind = neuron(Variant(gain=True, reset="subtract"))
    node = population(
        "a", kind, 1, initial={"gain": 512}, threshold=100, bias=5, modulated_bias=10, du=4096, dv=4096
    )
    found = oracle(job(network(1, [node], [connection("x", "a", [[3]])]), np.ones((1, 2, 1))))
    assert found.states["a", "v"][0, :, 0].tolist() == [20 + 5, 2 * 3 * 64 + 20 + 5]
