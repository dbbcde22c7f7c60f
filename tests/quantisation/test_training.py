"""Fake quantisation: the float network that it gives is the chip's, and compiles to the same integers."""

from dataclasses import replace

import numpy as np
from float_networks import DT, cuba, edge, graph, lif

import astrodeploy as ad
from astrodeploy.chip import load_target
from astrodeploy.ir import Population
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, run_flow
from astrodeploy.quantisation.training import fake_quantised, grids, scales_of


def network(rng):
    sender = replace(lif(tau=3 * DT, r=3.0), sends="membrane")
    return graph(
        8,
        [Population("a", (6,), sender), Population("b", (5,), cuba(bias=0.05)), Population("c", (3,), lif())],
        [
            edge("x", "a", rng.normal(0, 1, (6, 8))),
            edge("a", "b", rng.normal(0, 1, (5, 6))),
            edge("b", "b", rng.normal(0, 0.3, (5, 5)), lag=1),
            edge("b", "c", rng.normal(0.2, 1, (3, 5))),
        ],
    )


def meant_by(program, scales):
    """The chip's weights in the float network's numbers, worked out neuron by neuron."""
    found = {}
    for c in program.network.connections:
        if c.source not in program.reference.layers:
            continue
        node = program.reference[c.target].node
        factor = float((DT / node.tau * node.r).flat[0])
        if hasattr(node, "tau_syn"):
            factor *= float((DT / node.tau_syn * node.w_in).flat[0])
        unit = 1.0
        if c.source == "a":
            unit = 2.0**16 / program.network["a"].node.units["v"]
        found[c.name] = c.weight * 2.0**c.exponent * 64 / scales[c.target].membrane / factor / unit
    return found


def test_fake_quantised_weights_are_those_of_the_chip():
    program = ad.compile(network(np.random.default_rng(0)))
    scales = scales_of(program)
    draft, _ = run_flow(Draft(program.reference, program.board, scales=scales), FLOW)
    program = replace(program, network=draft.graph)  # without data, compile itself turns some weights
    assert set(scales) == {"a", "b", "c"}
    fake = fake_quantised(program.reference, scales, program.chip)
    meant = meant_by(program, scales)
    for c in fake.connections:
        assert np.abs(c.weight - meant[c.name]).max() < 1e-12 * np.abs(c.weight).max()
    again = fake_quantised(fake, scales, program.chip)
    for one, two in zip(fake.connections, again.connections, strict=True):
        assert np.abs(one.weight - two.weight).max() < 1e-12


def test_weights_beyond_the_grid_are_held_at_its_end():
    program = ad.compile(network(np.random.default_rng(1)))
    known = grids(program.reference, scales_of(program), program.chip)["b -> c.current"]
    far = known.nearest(np.full(known.step.shape, 1e6))
    assert np.allclose(far, 127 * known.step)


def test_changed_weights_compile_at_the_scales_that_stay():
    rng = np.random.default_rng(2)
    made = network(rng)
    x = rng.random((12, 30, 8)) < 0.4
    program = ad.compile(made, calibrate=x)
    scales = scales_of(program)
    trained = replace(
        program.reference,
        connections=tuple(
            replace(c, wiring=c.wiring.with_values(c.weight + 0.02 * rng.normal(size=c.weight.shape)))
            for c in program.reference.connections
        ),
    )
    draft, _ = run_flow(Draft(trained, load_target("loihi2"), scales=scales), FLOW)
    fake = fake_quantised(trained, scales, program.chip)
    for name, scale in scales.items():
        assert draft.graph[name].node.units["v"] == scale.membrane
    assert draft.scales["a"].shift == scales["a"].shift
    assert draft.scales["a"].centred == scales["a"].centred
    own = {c.name: c for c in draft.graph.connections}
    exact, _ = run_flow(Draft(fake, load_target("loihi2"), scales=scales), FLOW)
    for c in exact.graph.connections:
        assert np.array_equal(c.weight, own[c.name].weight)
