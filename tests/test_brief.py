"""The text of an object, in a notebook or a debugger: a few lines, however large it is."""

from itertools import pairwise

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif, several_inputs
from hand_mapped import board_of_toys
from torch_networks import Hybrid, values

import astrodeploy as ad
from astrodeploy.brief import listed, short
from astrodeploy.chip import load_chip
from astrodeploy.compartments import KINDS
from astrodeploy.ir import Population
from astrodeploy.ir.host import HostStage
from astrodeploy.pipeline import compile

LONG = "a layer of a network with a name that goes on\nand on " * 40


def deep(layers=60):
    """Many layers of long names, their parameters neuron by neuron."""
    names = [f"{LONG}{i}" for i in range(layers)]
    varied = lambda: lif(v_threshold=np.linspace(0.5, 1.5, 300))
    edges = [edge(a, b, np.eye(300)) for a, b in pairwise(names)]
    return graph(
        300, [Population(n, (300,), varied()) for n in names], [edge("x", names[0], np.eye(300)), *edges]
    )


@pytest.fixture(scope="module")
def objects():
    """Of every public kind a small one and one that is large or deep."""
    made, x = compile(Hybrid()), values(samples=3)
    wide = several_inputs(np.random.default_rng(0)).program
    net = deep()
    found = [made, made.network, made.reference, made.run(x), ad.estimate(made, x), made.board, made.chip]
    found += [ad.what_if(made, x, vary={"rate": [0.1] * 30}), ad.verify(made, x, ("oracle", "fast"))]
    found += [made.recipe, *made.cores, *made.passes, net, wide.network, board_of_toys(), load_chip("toy")]
    found += [*net.populations, *net.connections, *wide.network.populations, *wide.network.connections]
    found += [each.node for each in (*net.populations, *wide.network.populations)]
    found += [each.wiring for each in (*net.connections, *wide.network.connections)]
    return [*found, *KINDS.values(), HostStage(bytes(10_000), (3,), (3,), ("Relu",) * 500)]


def test_all_are_short(objects):
    for each in objects:
        for text in (repr(each), str(each)):
            assert 0 < len(text) <= 1200 and text.count("\n") < 20, (type(each), text[:200])
            assert type(each).__name__ in text or type(each).__name__.startswith("What")


def test_a_program_that_is_deep_is_short_too():
    program = compile(deep(12))
    text = repr(program)
    assert len(text) <= 1200 and text.count("\n") < 20
    assert len(repr(program.run(np.zeros((1, 2, 300), int)))) <= 1200


def test_they_say_what_the_thing_is(objects):
    program, network, _, trace, estimate = objects[:5]
    assert repr(program).startswith(
        "<Program of Hybrid for loihi2: 1 of 128 cores in use, depth 2, dt 0.001 s"
    )
    assert "hidden 12, hidden_astrocytes 3, readout 4" in repr(program)
    assert repr(network).startswith(
        "<Graph in integers: 4 populations, 4 connections, dt 0.001 s, count of readout"
    )
    assert repr(trace).startswith("<Trace of fast: 3 samples of 12 steps, each from rest")
    assert f"energy {estimate.energy_joules.typical:.3g} J" in repr(estimate)
    assert network.dt == DT


def test_a_verification_names_what_differs():
    from astrodeploy.compare import Comparison, Divergence
    from astrodeploy.verification import Verification

    first = Divergence("hidden", 1, 2, 3, "v", 4.0, 5.0)
    text = repr(Verification((Comparison("oracle", "fast", 9, 9, 9, 1, first),), None, None, {"lava": LONG}))
    assert "not equal: oracle differs from fast; first: hidden.v, sample 1, step 2, neuron 3: 4 and 5" in text
    assert "not run: lava" in text


def test_lists_and_names_are_cut_in_the_middle():
    assert listed(str(i) for i in range(20)) == "0, 1, 2, 3, 4, 5, 6, ... 12 more ..., 19"
    assert listed([]) == "none"
    assert len(short(LONG)) <= 48 and "\n" not in short(LONG)
