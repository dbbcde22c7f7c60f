"""The torch engine: the network anew from Norse cells and AstrocyteLayers, on the chip's clock."""

import numpy as np
import pytest
import torch
from float_networks import cuba, edge, graph, lif
from norse.torch import LICell, SequentialState
from torch_networks import Chain, Hybrid, Nested, box, linear, spikes, values
from torch_networks import cuba as cuba_cell

import astrodeploy as ad
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Population
from astrodeploy.ir.nodes import SigmaDelta
from astrodeploy.nn import carry, unroll


def same_spikes(one, two):
    assert set(one.spikes) == set(two.spikes)
    neurons = [name for name in one.spikes if not name.endswith("_astrocytes")]
    assert sum(int(one.spikes[name].sum()) for name in neurons) > 100
    for name in neurons:
        assert np.array_equal(one.spikes[name], two.spikes[name]), name


@pytest.mark.parametrize("make", [Chain, Nested, Hybrid, lambda: Hybrid(make=cuba_cell, encoder=False)])
@pytest.mark.parametrize("stream", [False, True])
def test_it_sends_the_references_spikes(make, stream):
    program = ad.compile(make())
    x = values(samples=6) if program.network.encoder else spikes(samples=6)
    given = {"carry": ("astrocytes",)} if stream else {}
    ours, theirs = program.run(x, engine="torch", **given), program.run(x, engine="reference", **given)
    same_spikes(ours, theirs)
    if "hidden_astrocytes" in program.layers:
        assert np.allclose(ours.spikes["hidden_astrocytes"], theirs.spikes["hidden_astrocytes"], rtol=1e-5)
        assert stream == (ours.spikes["hidden_astrocytes"][-1].any()) or not stream
    assert {"torch", "norse"} <= set(ours.versions)
    assert ours.states == {}


@pytest.mark.parametrize("make", [Hybrid, lambda: Hybrid(make=cuba_cell)])
def test_a_stream_is_what_the_user_trained_with_carry(make):
    module = make().eval()
    program = ad.compile(module)
    x = values(samples=6)
    state, outputs = None, []
    with torch.no_grad():
        for sample in torch.from_numpy(x):
            z, state = unroll(module, sample[None], steps=12, state=carry(state))
            outputs.append(z.sum(1))
    expected = torch.cat(outputs).numpy().astype(int)
    for engine in ("torch", "reference"):
        assert np.array_equal(program.run(x, engine=engine, carry=("astrocytes",)).outputs, expected)
    assert not np.array_equal(program.run(x, engine="torch").outputs, expected)


def test_programs_that_reset_themselves():
    program = ad.compile(Chain(), reset_every=7)
    x = spikes(samples=4, steps=30)
    same_spikes(program.run(x, engine="torch"), program.run(x, engine="reference"))


RANDOM = np.random.default_rng(7)
WIDER = {
    "an r and a w_in of their own": lambda: graph(
        2,
        [Population("a", (3,), lif(tau=4e-3, r=2.5, v_threshold=0.8)), Population("b", (2,), cuba(w_in=0.7))],
        [edge("x", "a", np.full((3, 2), 0.9)), edge("a", "b", np.full((2, 3), 4.0))],
    ),
    "recurrence": lambda: graph(
        2,
        [Population("a", (4,), lif(tau=3e-3)), Population("b", (2,), lif(tau=3e-3))],
        [
            edge("x", "a", RANDOM.random((4, 2)) * 3),
            edge("a", "a", RANDOM.normal(size=(4, 4)), lag=1),
            edge("a", "b", RANDOM.random((2, 4)) * 2),
            edge("b", "a", -RANDOM.random((4, 2)), lag=2),
        ],
    ),
    "a soft reset from below": lambda: graph(
        2,
        [Population("a", (3,), lif(tau=5e-3, v_reset=-0.3, reset="subtract"))],
        [edge("x", "a", np.full((3, 2), 3.0))],
    ),
    "exponential": lambda: graph(
        2,
        [
            Population("a", (3,), lif(tau=5e-3, integrator="exponential")),
            Population("b", (3,), cuba(integrator="exponential")),
        ],
        [edge("x", "a", np.full((3, 2), 3.0)), edge("a", "b", np.full((3, 3), 1.5))],
    ),
    "no leak": lambda: graph(
        2, [Population("a", (3,), lif(tau=np.inf, r=1000.0))], [edge("x", "a", np.full((3, 2), 0.41))]
    ),
    "refractory": lambda: graph(
        2, [Population("a", (3,), cuba(refractory=2))], [edge("x", "a", np.full((3, 2), 3.0))]
    ),
}


@pytest.mark.parametrize("name", WIDER)
@pytest.mark.parametrize("reset_every", [None, 9])
def test_a_wider_graph(name, reset_every):
    program = ad.compile(WIDER[name](), reset_every=reset_every)
    x = (np.random.default_rng(1).random((4, 60, program.network.input.size)) < 0.5).astype(np.uint8)
    same_spikes(program.run(x, engine="torch"), program.run(x, engine="reference"))


def test_membranes_that_are_read_out():
    module = SequentialState(linear(6, 8, 0), box(), linear(8, 3, 1), LICell())
    program = ad.compile(module)
    x = spikes(samples=4, steps=40)
    ours, theirs = program.run(x, engine="torch"), program.run(x, engine="reference")
    assert np.abs(theirs.outputs).max() > 0.1
    assert np.allclose(ours.outputs, theirs.outputs, atol=1e-5)


BEYOND_NORSE = {
    "at the threshold too": lambda: lif(comparison=">="),
    "at the threshold too, with a current": lambda: cuba(comparison=">=", v_leak=-0.1),
    "refractory without a current": lambda: lif(refractory=2),
    "a soft reset with a current": lambda: cuba(reset="subtract", v_reset=-0.2),
    "a soft reset without leak": lambda: lif(tau=np.inf, r=1e3, reset="subtract"),
    "some leak": lambda: lif(tau=[np.inf, 5e-3], r=[300.0, 1.0]),
    "one v_leak a neuron, refractory": lambda: cuba(v_leak=[0.1, -0.1], refractory=1),
}


@pytest.mark.parametrize("name", BEYOND_NORSE)
@pytest.mark.parametrize("reset_every", [None, 9])
def test_what_norse_has_no_cell_for_runs_too(name, reset_every):
    node = BEYOND_NORSE[name]()
    populations = [Population("a", (2,), node), Population("b", (2,), lif(tau=3e-3))]
    edges = [
        edge("x", "a", RANDOM.random((2, 3)) * 4),
        edge("a", "b", RANDOM.random((2, 2)) * 5),
        edge("a", "a", RANDOM.normal(size=(2, 2)), lag=1),
    ]
    program = ad.compile(graph(3, populations, edges), reset_every=reset_every)
    x = (np.random.default_rng(1).random((6, 80, 3)) < 0.5).astype(np.uint8)
    same_spikes(program.run(x, engine="torch"), program.run(x, engine="reference"))


def test_an_exact_tie_fires_where_the_threshold_counts_too():
    made = [Population("a", (1,), lif(tau=np.inf, r=1e3, comparison=">="))]
    program = ad.compile(graph(1, made, [edge("x", "a", np.full((1, 1), 0.5))]))
    sent = program.run(np.ones((1, 8, 1)), engine="torch").spikes["a"]
    assert sent.ravel()[:8].tolist() == [0, 0, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("sends", ["rectified", "membrane"])
def test_values_that_are_sent(sends):
    made = [Population("a", (2,), lif(sends=sends, reset="none", tau=[np.inf, 5e-3], r=[100.0, 1.0]))]
    program = ad.compile(graph(2, made, [edge("x", "a", [[1.0, -2.0], [-1.0, 2.0]])]))
    x = (np.random.default_rng(1).random((3, 30, 2)) < 0.5).astype(np.uint8)
    ours, theirs = (program.run(x, engine=each).spikes["a"] for each in ("torch", "reference"))
    assert np.abs(theirs).max() > 0.1
    assert np.allclose(ours, theirs, atol=1e-5)


def test_what_is_no_membrane_is_refused_by_name():
    node = SigmaDelta(threshold=np.full(1, 0.1), bias=np.zeros(1))
    program = ad.compile(graph(1, [Population("a", (1,), node)], [edge("x", "a", np.full((1, 1), 1.0))]))
    with pytest.raises(
        UnsupportedError, match="^the torch engine can't run a, a SigmaDelta: choose the engine ref"
    ):
        program.run(np.zeros((1, 5, 1)), engine="torch")
