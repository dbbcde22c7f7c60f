"""Published files and traces: a neuron spike for spike, a recurrent network on real samples, a convolutional one."""

from pathlib import Path

import numpy as np
import pytest

import astrodeploy as ad
from astrodeploy.engines.reference import simulate

DATA = Path(__file__).parents[3] / "../shared/data/nir"
SAMPLES = 60

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published NIR files are not here")


# ---- one neuron -----------------------------------------------------------------------------------------------------


def trace(name):
    """Columns input, membrane, spike of a published run of 1000 steps."""
    return np.loadtxt(DATA / "lif" / f"{name}.csv", delimiter=",")


def spike_times(column):
    return np.flatnonzero(column).tolist()


def test_the_published_trace_of_norse_spike_for_spike():
    published = trace("lif_norse")
    graph = ad.load(DATA / "lif" / "lif_norse.nir", dt=1e-4, reset="zero")
    x = published[None, :, :1]
    recorded = simulate(graph, x, record=frozenset({("1", "v")}))
    assert spike_times(recorded.spikes["1"][0, :, 0]) == spike_times(published[:, 2]) == [460, 510, 710, 760]
    assert np.allclose(recorded.states["1", "v"][0, :, 0], published[:, 1], atol=1e-7)


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
@pytest.mark.parametrize("chip", ["lif_lava_cpu_fixed", "lif_lava_loihi_fixed"])
def test_the_published_spikes_of_the_chip(chip, target):
    published = trace(chip)
    program = ad.compile(DATA / "lif" / "lif_norse.nir", target, dt=1e-4, reset="zero")
    sent = trace("lif_norse")[None, :, :1].astype(np.uint8)
    for engine in ("fast", "oracle"):
        spikes = program.run(sent, engine=engine).spikes["1"][0, :, 0]
        assert spike_times(spikes) == spike_times(published[:, 2]) == [461, 511, 711, 761]
    float_spikes = program.run(sent, engine="reference").spikes["1"][0, :, 0]
    assert spike_times(float_spikes) == [461, 511, 711, 761]


# ---- a recurrent network ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def braille():
    samples = np.load(DATA / "braille_zero" / "samples.npz")
    return np.unpackbits(samples["x"], axis=1)[:, :256], samples["y"]


def compiled(target):
    return ad.compile(DATA / "braille_zero" / "braille_noDelay_bias_zero.nir", target, dt=1e-4, reset="zero")


def float_accuracy(x, y):
    graph = ad.load(DATA / "braille_zero" / "braille_noDelay_bias_zero.nir", dt=1e-4, reset="zero")
    return float((simulate(graph, x).spikes["lif2"].sum(1).argmax(1) == y).mean())


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_recurrent_network_keeps_its_accuracy_on_the_chip(braille, target):
    x, y = braille
    in_float = float_accuracy(x, y)
    assert in_float == pytest.approx(0.962, abs=0.0005)
    assert compiled(target).run(x).accuracy(y) >= in_float - 0.015


@pytest.mark.timeout(3000)  # all samples on a busy machine
@pytest.mark.parametrize("samples", [SAMPLES, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_lava_runs_the_recurrent_network_as_fast_does(braille, target, samples):
    x = braille[0][:samples]
    program = compiled(target)
    fast, lava = program.run(x), program.run(x, engine="lava")
    assert np.array_equal(fast.predictions, lava.predictions)
    for name in program.layers:
        assert np.array_equal(fast.spikes[name], lava.spikes[name]), name


# ---- a convolutional network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_the_convolutional_network_is_composed_of_its_layers(reset):
    graph = ad.load(DATA / "cnn" / "cnn_sinabs.nir", dt=1e-3, reset=reset, if_r="per_step")
    assert [p.shape for p in graph.populations] == [
        (2, 34, 34),
        (16, 16, 16),
        (16, 16, 16),
        (8, 8, 8),
        (256,),
        (10,),
    ]
    assert all(np.allclose(p.node.drive(1e-3), 1) for p in graph.populations if not p.is_input)


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_every_engine_runs_the_convolutional_network_alike(reset):
    program = ad.compile(DATA / "cnn" / "cnn_sinabs.nir", dt=1e-3, reset=reset, if_r="per_step")
    x = (np.random.default_rng(0).random((1, 12, 2, 34, 34)) < 0.1).astype(np.uint8)
    verification = ad.verify(program, x, ("oracle", "fast", "lava"))
    assert verification.equal
    assert {(c.left, c.right) for c in verification.comparisons} == {("oracle", "fast"), ("oracle", "lava")}
    assert program.run(x).spikes["12"].sum() > 0
