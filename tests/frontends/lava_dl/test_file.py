"""lava-dl's .net files: every number as it stands, on networks with known spikes and on ones made here."""

from pathlib import Path

import numpy as np
import pytest
from net_files import CUBA, SDNN, net

import astrodeploy as ad
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.pipeline import read

DATA = Path(__file__).parents[3].parent / "shared" / "data"
PILOTNET, DIGITS = DATA / "pilotnet_lif", DATA / "mnist8k.npz"
MNIST = DATA / "lava_dl_mnist" / "trained_mnist_network.net"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published networks are not beside the repository"
)


def even(rng, *shape, most=60):
    """Weights as Lava keeps them: whole and even."""
    return 2 * rng.integers(-most // 2, most // 2, shape)


class Cuba:
    """Lava's fixed-point LIF in plain numpy, its currents delayed as told."""

    def __init__(self, size, decay_u, decay_v, threshold, bias=0):
        self.u, self.v = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.decays, self.threshold, self.bias = (decay_u, decay_v), threshold << 6, np.asarray(bias) << 6

    def step(self, arrived):
        decayed = [
            np.sign(x) * ((np.abs(x) * (4096 - d)) >> 12)
            for x, d in zip((self.u, self.v), self.decays, strict=True)
        ]
        self.u = decayed[0] + (arrived << 6)
        self.v = decayed[1] + self.u + self.bias
        spikes = self.v > self.threshold
        self.v[spikes] = 0
        return spikes.astype(np.int64)


def ran(path, x, **options):
    """The spikes of every layer by the fast engine while one sample is shown: (steps, size)."""
    program = ad.compile(path, "loihi2", **options)
    trace = program.run(x[None])
    return {name: spikes[0, : len(x)].reshape(len(x), -1) for name, spikes in trace.spikes.items()}


def told(program):
    """What the reader of a file found, in one text."""
    return "; ".join(f"{n.subject} {n.text}" for n in program.passes[0].notes)


def test_dense_layers_with_delays_and_recurrence(tmp_path):
    rng = np.random.default_rng(1)
    first, second, again = even(rng, 12, 8), even(rng, 5, 12), even(rng, 5, 5, most=20)
    delays = rng.integers(0, 4, 12)
    path = net(
        tmp_path / "a.net",
        [
            {
                "type": "dense",
                "shape": [12],
                "inFeatures": 8,
                "weight": first,
                "neuron": CUBA,
                "delay": delays,
            },
            {
                "type": "dense",
                "shape": [5],
                "inFeatures": 12,
                "weight": second,
                "neuron": CUBA,
                "weight_rec": again,
            },
        ],
    )
    x = (rng.random((40, 8)) < 0.4).astype(np.int64)
    a, b = Cuba(12, 1024, 410, 40), Cuba(5, 1024, 410, 40)
    expected = np.zeros((40, 12), np.int64), np.zeros((40, 5), np.int64)
    for t in range(1, 40):
        expected[0][t] = a.step(first @ x[t - 1])
        if t > 1:
            sent = [expected[0][t - 1 - d, i] if t - 1 - d >= 0 else 0 for i, d in enumerate(delays)]
            expected[1][t] = b.step(second @ np.array(sent) + again @ expected[1][t - 1])
    spikes = ran(path, x)
    assert expected[0].sum() > 50 and expected[1].sum() > 20
    np.testing.assert_array_equal(spikes["fc-0"], expected[0])
    np.testing.assert_array_equal(spikes["fc-1"], expected[1])


def test_convolution_pool_and_flatten_with_a_bias_a_channel(tmp_path):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    neuron = CUBA | {"iDecay": 4096, "vThMant": 30}
    weight, dense, bias = even(rng, 4, 1, 3, 3, most=30), even(rng, 3, 24, most=30), even(rng, 4, most=20)
    conv = {"stride": [1, 1], "padding": [1, 0], "dilation": [1, 1], "groups": 2}
    pool = {"kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1], "weight": 20.0}
    path = net(
        tmp_path / "a.net",
        [
            {"type": "input", "shape": [2, 5, 6], "neuron": neuron},
            {"type": "conv", "shape": [4, 5, 4], "weight": weight, "bias": bias, "neuron": neuron, **conv},
            {"type": "pool", "shape": [4, 2, 2], "neuron": neuron, **pool},
            {"type": "flatten", "shape": [16]},
            {"type": "dense", "shape": [3], "inFeatures": 16, "weight": dense[:, :16], "neuron": neuron},
        ],
    )
    x = (rng.random((30, 2, 5, 6)) < 0.3).astype(np.int64)
    functional, real = torch.nn.functional, lambda a: torch.tensor(a, dtype=torch.float64)
    maps = [
        lambda z: functional.conv2d(real(z.reshape(1, 2, 5, 6)), real(weight), padding=(1, 0), groups=2),
        lambda z: 20 * 4 * functional.avg_pool2d(real(z.reshape(1, 4, 5, 4)), 2),
        lambda z: real(dense[:, :16]) @ real(z),
    ]
    spread = np.repeat(bias, 20)
    layers = [Cuba(80, 4096, 410, 30, spread), Cuba(16, 4096, 410, 30), Cuba(3, 4096, 410, 30)]
    sent = [x.reshape(30, -1), *(np.zeros((30, n), np.int64) for n in (80, 16, 3))]
    for k, layer in enumerate(layers):
        for t in range(30):
            if t == k + 1:  # a sample starts where its window does, whatever the bias did before
                layer.u[:], layer.v[:] = 0, 0
            arrived = maps[k](sent[k][t - 1]).numpy().ravel() if t else np.zeros(layer.u.size)
            sent[k + 1][t] = layer.step(np.rint(arrived).astype(np.int64))
    spikes = ran(path, x)
    for name, expected in zip(("conv-0", "pool-0", "fc-0"), sent[1:], strict=True):
        assert expected.sum() > 10
        np.testing.assert_array_equal(spikes[name], expected)


def test_sigma_delta_layers(tmp_path):
    rng = np.random.default_rng(3)
    weights = [even(rng, 7, 5, most=100), even(rng, 4, 7, most=100)]
    bias = rng.integers(-3, 4, 7)
    path = net(
        tmp_path / "a.net",
        [
            {"type": "input", "shape": [5], "neuron": SDNN},
            {
                "type": "dense",
                "shape": [7],
                "inFeatures": 5,
                "weight": weights[0],
                "bias": bias,
                "neuron": SDNN,
            },
            {"type": "dense", "shape": [4], "inFeatures": 7, "weight": weights[1], "neuron": SDNN},
        ],
    )
    x = np.repeat(rng.integers(-20, 20, (6, 5)), 5, axis=0) + rng.integers(0, 2, (30, 5))
    sent = [x, *(np.zeros((30, n), np.int64) for n in (5, 7, 4))]
    shift = [np.zeros(5, np.int64), bias, np.zeros(4, np.int64)]
    for k in range(3):
        size = sent[k + 1].shape[1]
        sigma, old, residue = (np.zeros(size, np.int64) for _ in range(3))
        for t in range(k + 1, 30):
            if k == 0:
                value = sent[0][t - 1] << 12
            else:
                sigma = sigma + weights[k - 1] @ sent[k][t - 1]
                value = np.maximum(sigma + (shift[k] << 12), 0)
            delta = value - old + residue
            out = np.where(np.abs(delta) >= 1 << 12, delta, 0)
            residue, old = delta - out, value
            sent[k + 1][t] = out >> 6
    spikes = ran(path, x)
    for name, expected in zip(("delta", "fc-0", "fc-1"), sent[1:], strict=True):
        assert np.count_nonzero(expected) > 20
        np.testing.assert_array_equal(spikes[name][3:], expected[3:])


def test_a_last_layer_that_never_fires_is_read_by_its_membrane(tmp_path):
    rng = np.random.default_rng(4)
    silent = CUBA | {"iDecay": 4096, "vDecay": 0, "vThMant": (1 << 17) - 1}
    weights = [even(rng, 6, 4), even(rng, 2, 6)]
    layers = [
        {"type": "dense", "shape": [n], "inFeatures": w.shape[1], "weight": w, "neuron": neuron}
        for n, w, neuron in ((6, weights[0], CUBA), (2, weights[1], silent))
    ]
    program = ad.compile(net(tmp_path / "a.net", layers), "loihi1")
    trace = program.run((rng.random((3, 30, 4)) < 0.5).astype(np.int64))
    summed = trace.spikes["fc-0"][:, 1:31].sum(1) @ weights[1].T
    assert np.abs(summed).max() > 0
    np.testing.assert_array_equal(trace.outputs, summed)


def test_the_recurrent_weights_of_a_last_layer_that_never_fires_are_left_out_and_told(tmp_path):
    rng = np.random.default_rng(6)
    silent = CUBA | {"vThMant": (1 << 17) - 1}
    plain = {"type": "dense", "inFeatures": 4, "weight": even(rng, 3, 4), "neuron": silent}
    again = plain | {"type": "dense_rec", "weight_rec": even(rng, 3, 3, most=30)}
    x = (rng.random((2, 30, 4)) < 0.5).astype(np.int64)
    alone, program = (
        ad.compile(net(tmp_path / name, [layer]), "loihi2")
        for name, layer in (("a.net", plain), ("b.net", again))
    )
    assert np.abs(alone.run(x).outputs).max() > 0
    np.testing.assert_array_equal(program.run(x).outputs, alone.run(x).outputs)
    assert "never fires: its recurrent weights are left out" in told(program)
    assert "recurrent" not in told(alone)


def test_a_layer_of_the_largest_threshold_before_others_sends_spikes_and_is_told(tmp_path):
    rng = np.random.default_rng(7)
    silent = CUBA | {"vDecay": 0, "vThMant": (1 << 17) - 1}
    layers = [
        {
            "type": "dense_rec",
            "inFeatures": 4,
            "weight": np.full((3, 4), 120),
            "weight_rec": even(rng, 3, 3),
            "neuron": silent,
        },
        {"type": "dense", "weight": np.full((2, 3), 60), "neuron": CUBA},
    ]
    program = ad.compile(net(tmp_path / "a.net", layers), "loihi2")
    assert not program.run(np.ones((1, 10, 4))).outputs.any()
    long = program.run(np.ones((1, 400, 4)))
    assert long.spikes["fc-0"].max() == 1
    assert "fc-0 has the chip's largest threshold" in told(program)


def test_an_average_at_the_end_is_the_mean_of_groups(tmp_path):
    weight = even(np.random.default_rng(5), 6, 4)
    path = net(
        tmp_path / "a.net",
        [
            {"type": "dense", "shape": [6], "inFeatures": 4, "weight": weight, "neuron": CUBA},
            {"type": "average", "shape": [3, 1, 1]},
        ],
    )
    trace = ad.compile(path, "loihi2").run(np.ones((1, 40, 4)))
    counts = trace.spikes["fc-0"].sum(1)
    assert counts.max() > 3
    np.testing.assert_allclose(trace.outputs, counts.reshape(1, 3, 2).mean(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "concat"}, "layer 0 is of type concat; supported are"),
        ({"neuron": CUBA | {"type": "ALIF"}}, "layer 0 has neurons of type ALIF"),
        ({"neuron": CUBA | {"refDelay": 3}}, "layer 0 has refDelay = 3, supported is 1"),
        ({"neuron": CUBA | {"iDecay": 0}}, "layer 0 has iDecay = 0, allowed is 1..4096"),
        ({"neuron": {"type": "CUBA"}}, "neuron lacks vDecay"),
        ({"weight": np.full((12, 8), np.nan)}, "must hold finite numbers"),
        ({"weight": np.ones((12, 7))}, "84 weights for 8 inputs"),
        ({"bias": np.ones(12)}, "goes to its membrane, past the current"),
        ({"bias": np.ones(5)}, "a bias of 5 numbers for 12 channels"),
        ({"weight": np.ones((6, 16))}, "96 weights for 8 inputs"),
        ({"weight": "many"}, "layer 0: weight must hold finite numbers"),
        ({"weight_rec": np.ones((12, 8))}, "96 recurrent weights for 12 neurons"),
        ({"delay": np.full(12, 2000)}, "delays of 2000..2000 steps, allowed is 0..1024"),
        ({"delay": np.zeros(7)}, "7 delays for its 12 neurons"),
        ({"inFeatures": 0}, "inFeatures must hold one to three numbers of at least 1, not 0"),
        ({"inFeatures": 1 << 30}, "has the shape"),
        ({"type": "average"}, "comes first: there is nothing before it"),
    ],
)
def test_what_has_no_place_is_refused(tmp_path, change, message):
    layer = {"type": "dense", "shape": [12], "inFeatures": 8, "weight": np.ones((12, 8)), "neuron": CUBA}
    path = net(tmp_path / "a.net", [layer | change])
    with pytest.raises((InputError, UnsupportedError), match=message):
        ad.load(path)


def test_what_a_layer_says_of_itself_and_is_not_used_is_a_finding(tmp_path):
    layers = [
        {"type": "input", "shape": [8], "neuron": CUBA, "weight": 40.0, "bias": 36.0},
        {"type": "dense", "shape": [13], "weight": np.ones((12, 8)), "neuron": CUBA, "delay": np.arange(12)},
    ]
    found = [str(each) for each in read(net(tmp_path / "a.net", layers)).findings]
    assert found[0].startswith(
        "layer 0 turns values into messages by its weight, bias and CUBA neurons (gradedSpike, iDecay, refDelay, "
        "vDecay, vThMant), which stays outside"
    )
    assert found[1] == "layer 1 declares the shape (13,), its weights give (12,)"
    assert found[2].startswith("fc-0 delays what it sends, and nothing waits for it")


# ---- published networks ----------------------------------------------------------------------------


def pilotnet(engine):
    """Differing spikes of every layer, and spikes in all, against the ground truth."""
    program = ad.compile(PILOTNET / "network.net", "loihi2", reset_every=17)
    x = np.load(PILOTNET / "input.npy").transpose(3, 2, 1, 0)
    spikes = program.run(x[None], engine=engine).spikes
    differing, total = {}, 0
    for name in [*(f"conv-{k}" for k in range(5)), *(f"fc-{k}" for k in range(3))]:
        truth = np.moveaxis(np.load(PILOTNET / f"{name}.npy"), -1, 0)
        truth = truth.transpose(0, 3, 2, 1) if truth.ndim == 4 else truth
        sent = spikes[name][0, : len(truth)]
        differing[name] = int(np.sum(sent != truth))
        total += int(sent.sum())
    return differing, total


@needs_data
@pytest.mark.parametrize(
    "engine", ["fast", *(pytest.param(e, marks=pytest.mark.slow) for e in ("oracle", "lava"))]
)
def test_pilotnet_spikes_as_published(engine):
    differing, total = pilotnet(engine)
    assert differing == dict.fromkeys(differing, 0)
    assert total == 275_436


@needs_data
def test_the_digits_of_lava_dl():
    program = ad.compile(MNIST, "loihi2")
    data = np.load(DIGITS)
    bright = data["x"][:400].reshape(400, 784) / 255
    steps = np.arange(1, 17)[:, None]
    spikes = np.floor(bright[:, None] * steps) - np.floor(bright[:, None] * (steps - 1))
    assert program.run(spikes).accuracy(data["y"][:400]) > 0.93
