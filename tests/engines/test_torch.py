"""The torch engine: the network anew from Norse cells and AstrocyteLayers, on the chip's clock."""

import numpy as np
import pytest
import torch
from float_networks import cuba, edge, graph, lif, random_closed_loop
from torch_networks import Chain, Hybrid, Nested, spikes, values
from torch_networks import cuba as cuba_cell

import astrodeploy as ad
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Population
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: random_closed_loop(np.random.default_rng(0)),
            "which the torch engine does not run|with r != 1",
        ),
        (
            lambda: graph(
                1,
                [Population("a", (1,), lif())],
                [edge("x", "a", [[9.0]]), edge("a", "a", [[1.0]], lag=1)],
            ),
            "a has a recurrent input, which the torch engine does not run",
        ),
        (
            lambda: graph(1, [Population("a", (1,), lif(r=2.0))], [edge("x", "a", [[9.0]])]),
            "Norse has no cell for a LIF with r != 1",
        ),
        (
            lambda: graph(1, [Population("a", (1,), cuba(w_in=1.0))], [edge("x", "a", [[9.0]])]),
            "Norse's LIFCell has no w_in other than tau_syn / dt",
        ),
    ],
)
def test_what_norse_can_not_say_is_refused(make, message):
    program = ad.compile(make())
    with pytest.raises(UnsupportedError, match=message):
        program.run(np.zeros((1, 5, program.network.input.size)), engine="torch")
