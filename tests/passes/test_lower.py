"""lower: a bias in a synaptic current becomes a neuron that always fires; the meaning stays."""

import numpy as np
import pytest
from float_networks import DT, cuba, edge, graph, lif, varied

from astrodeploy.arithmetic import DECAY_BITS
from astrodeploy.chip import load_target
from astrodeploy.engines.oracle import oracle
from astrodeploy.engines.recording import Job
from astrodeploy.engines.reference import reference, simulate
from astrodeploy.ir import Population
from astrodeploy.ir.nodes import Constant
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, run_flow
from astrodeploy.passes.lower import Lower
from astrodeploy.program import Program


def lowered(each):
    draft, notes = Lower().apply(Draft(each, load_target("loihi2")))
    assert draft.reference is each
    return draft.graph, notes


def biased(rng, **settings):
    """A LIF, and two synaptic layers with biases behind it, the second one recurrent."""
    first = cuba(**varied(rng, 4, **settings), tau_syn=rng.uniform(1, 6, 4) * DT)
    second = cuba(**varied(rng, 3, bias=0.07), tau_syn=3 * DT)
    populations = [Population("a", (5,), lif()), Population("b", (4,), first), Population("c", (3,), second)]
    edges = [
        edge("x", "a", rng.normal(0.3, 1, (5, 6))),
        edge("a", "b", rng.normal(0.1, 0.5, (4, 5))),
        edge("b", "c", rng.normal(0.1, 0.5, (3, 4))),
        edge("x", "c", rng.normal(0.1, 0.5, (3, 6))),
        edge("c", "b", rng.normal(0, 0.2, (4, 3)), lag=3),
    ]
    return graph(6, populations, edges)


def test_what_becomes_of_a_bias():
    made = biased(np.random.default_rng(0))
    result, notes = lowered(made)
    assert result.layers == ("x", "a", "b", "c", "b.bias", "c.bias")
    assert isinstance(result["b.bias"].node, Constant)
    assert not result["b"].node.bias.any()
    assert result["a"].node is made["a"].node
    (added,) = (c for c in result.connections if c.source == "c.bias")
    assert (added.target, added.port, added.lag, added.weight.ravel().tolist()) == (
        "c",
        "current",
        0,
        [0.07] * 3,
    )
    assert [n.subject for n in notes] == ["b", "c"]
    assert "enters the synaptic current: a neuron that always fires sends it" in notes[0].text


def test_without_such_a_bias_nothing_changes():
    made = graph(2, [Population("a", (2,), lif(bias=1.0))], [edge("x", "a", np.eye(2))])
    result, notes = lowered(made)
    assert result is made
    assert notes == ()


def test_names_that_are_taken():
    populations = [Population("a.bias", (2,), lif()), Population("a", (2,), cuba(bias=[0.5, 0.0]))]
    made = graph(2, populations, [edge("x", "a.bias", np.eye(2)), edge("a.bias", "a", np.eye(2))])
    result, _ = lowered(made)
    assert result.layers == ("x", "a.bias", "a", "a.bias_")


@pytest.mark.parametrize("settings", [{}, {"integrator": "exponential"}, {"sends": "membrane"}])
@pytest.mark.parametrize("reset_every", [0, 9])
def test_the_float_network_is_the_same_before_and_after(settings, reset_every):
    rng = np.random.default_rng(1)
    made = biased(rng, **settings)
    result, _ = lowered(made)
    spikes = rng.random((2, 40, 6)) < 0.3
    record = frozenset((name, state) for name in ("b", "c") for state in "vu")
    before, after = (simulate(each, spikes, reset_every, record) for each in (made, result))
    assert before.spikes["c"].sum() > 10
    for name in ("a", "b", "c"):
        np.testing.assert_allclose(after.spikes[name], before.spikes[name], atol=1e-12)
    for key in record:
        np.testing.assert_allclose(after.states[key], before.states[key], atol=1e-12)
    assert after.spikes["b.bias"].all()


def compiled(each, reset_every=0):
    draft, _ = run_flow(Draft(each, load_target("loihi2")), FLOW)
    return Program(draft.graph, draft.reference, draft.board, draft.cores, (), reset_every)


def ran(program, spikes, reset_every, engine=oracle):
    record = frozenset({("c", "u"), ("b", "u")})
    return engine(Job(program, {"x": spikes.astype(np.uint8)}, reset_every, record))


@pytest.mark.parametrize("reset_every", [0, 8, 25])
def test_on_the_chip_the_bias_is_there_in_every_step_from_the_layers_first_on(reset_every):
    """Without any spike the current is the bias's alone: each step decays it and adds the weight once."""
    program = compiled(biased(np.random.default_rng(2), bias=-0.05))
    network = program.network
    found = ran(program, np.zeros((1, 25, 6)), reset_every or 25)
    assert network["c.bias"].depth == network["c"].depth - 1 == 2
    assert not found.spikes["a"].any()
    assert not found.spikes["b"].any()
    depth, du = network["c"].depth, network["c"].node.parameters["du"]
    (added,) = (c for c in network.connections if c.source == "c.bias")
    assert added.delay == 1
    step = added.weight[:, 0].astype(int) * 2 ** (6 + added.exponent)
    u = np.zeros(3, int)
    for t in range(depth, 25):
        if (t - depth) % (reset_every or 25) == 0:
            u = np.zeros(3, int)
        decayed = u * ((1 << DECAY_BITS) - du)
        u = np.sign(decayed) * (np.abs(decayed) >> DECAY_BITS) + step
        np.testing.assert_array_equal(found.states["c", "u"][0, t], u)


def test_what_the_chip_adds_is_what_the_float_network_means():
    """Its currents, in the float network's numbers, differ by rounding alone."""
    rng = np.random.default_rng(3)
    program = compiled(biased(rng))
    spikes = np.zeros((1, 40, 6))
    chip, meant = (ran(program, spikes, 20, engine) for engine in (oracle, reference))
    for name in ("b", "c"):
        node, depth = program.network[name].node, program.network[name].depth
        ours = chip.states[name, "u"][:, depth:] / node.units["u"]
        theirs = meant.states[name, "u"][:, depth:]
        largest = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, atol=0.02 * largest)
        assert largest > 0
