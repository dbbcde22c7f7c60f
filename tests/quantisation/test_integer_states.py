"""Networks of integers keep every bit, their states too: against the chip's equations in plain numpy."""

import numpy as np
import pytest
from float_networks import DT, cuba, edge, graph, lif
from hypothesis import given, settings
from hypothesis import strategies as st
from net_files import CUBA, net

import astrodeploy as ad
from astrodeploy.ir import Population

STEPS = 60


def decayed(state, factor):
    return np.sign(state) * ((np.abs(state) * (4096 - factor)) >> 12)


def simulated(x, layer):
    """u, v and spikes (steps, neurons) of Loihi's neuron, whose input arrives a step after it is sent."""
    u = v = np.zeros(len(layer["weight"]), np.int64)
    found = {"u": [], "v": [], "spikes": []}
    for sent in x:
        u = decayed(u, layer["i"]) + ((layer["weight"] @ sent) << 6)
        assert np.abs(u).max() < 1 << 23  # where Lava's wrap begins
        v = np.clip(decayed(v, layer["d"]) + u + (layer["bias"] << 6), 1 - (1 << 23), (1 << 23) - 1)
        spikes = v > layer["threshold"] << 6
        v = np.where(spikes, 0, v)
        for key, value in (("u", u), ("v", v), ("spikes", spikes)):
            found[key].append(value)
    return {key: np.array(value) for key, value in found.items()}


@st.composite
def layers(draw, most=254):
    """A layer of integers; its weights may have any power of two in common, and its threshold too."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shift, n, inputs = draw(st.integers(0, 7)), draw(st.integers(1, 5)), draw(st.integers(1, 9))
    mantissas = rng.integers(-127, 128, (n, inputs)) * (
        rng.random((n, inputs)) < draw(st.sampled_from((0, 0.5, 1)))
    )
    weight = np.clip(mantissas, -(most >> shift), most >> shift) << shift
    if np.abs(weight).max() > 127:  # eight bits of the chip and an exponent
        weight = weight // 2 * 2
    even = draw(st.sampled_from((0, shift, 6)))
    synaptic = draw(st.booleans())
    return {
        "weight": weight,
        "threshold": int(rng.integers(1, 2000 >> even) << even),
        "i": draw(st.integers(600, 4095)) if synaptic else 4096,
        "d": draw(st.integers(0, 4096)),
        "bias": np.zeros(n, np.int64)
        if synaptic
        else rng.integers(-9, 10, n) << draw(st.sampled_from((0, even))),
        "x": (rng.random((STEPS, inputs)) < draw(st.sampled_from((0.1, 0.4)))).astype(np.int64),
    }


def check(program, name, layer):
    """Every state of every step, from the step on in which the layer's sample starts."""
    depth = program.network[name].depth
    x = np.concatenate([layer["x"], np.zeros((depth, layer["x"].shape[1]), np.int64)])
    trace = program.run(x[None], probes=(name,))
    wanted = simulated(layer["x"], layer)
    window = slice(depth, depth + STEPS)
    for state in ("u", "v"):
        np.testing.assert_array_equal(trace.states[name, state][0][window], wanted[state])
    np.testing.assert_array_equal(trace.spikes[name][0][window], wanted["spikes"])


@settings(max_examples=80, deadline=None)
@given(layers())
def test_a_file_of_integers_keeps_every_state(tmp_path_factory, layer):
    neuron = CUBA | {"iDecay": layer["i"], "vDecay": layer["d"], "vThMant": layer["threshold"]}
    file = {"type": "dense", "shape": [len(layer["weight"])], "inFeatures": layer["weight"].shape[1]}
    file |= {"weight": layer["weight"], "bias": layer["bias"], "neuron": neuron}
    path = net(tmp_path_factory.mktemp("net") / "a.net", [file])
    check(ad.compile(path, "loihi2"), "fc-0", layer)


@settings(max_examples=60, deadline=None)
@given(layers().filter(lambda layer: layer["weight"].any()))
def test_a_graph_of_whole_numbers_keeps_every_state(layer):
    if layer["d"] == 0:
        shared = {"tau": np.inf, "r": 1 / DT}
    else:
        shared = {"tau": DT * 4096 / layer["d"], "r": 4096 / layer["d"]}
    shared |= {"v_threshold": layer["threshold"], "bias": layer["bias"]}
    fall = layer["i"] / 4096
    node = lif(**shared) if fall == 1 else cuba(**shared, tau_syn=DT / fall, w_in=1 / fall)
    n, inputs = layer["weight"].shape
    made = graph(inputs, [Population("a", (n,), node)], [edge("x", "a", layer["weight"])])
    check(ad.compile(made, "loihi2"), "a", layer)


@pytest.mark.parametrize("threshold", [64, 320])
def test_a_pool_of_64_and_64_is_no_coarser_than_its_file_says(tmp_path, threshold):
    layer = {
        "weight": np.full((1, 4), 64),
        "threshold": threshold,
        "i": 512,
        "d": 100,
        "bias": np.zeros(1, np.int64),
    }
    layer["x"] = (np.random.default_rng(0).random((STEPS, 4)) < 0.3).astype(np.int64)
    neuron = CUBA | {"iDecay": 512, "vDecay": 100, "vThMant": threshold}
    file = {"type": "dense", "shape": [1], "inFeatures": 4, "weight": layer["weight"], "neuron": neuron}
    program = ad.compile(net(tmp_path / "a.net", [file]))
    assert program.network["fc-0"].node.units["v"] == 64
    check(program, "fc-0", layer)
