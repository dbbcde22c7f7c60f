"""snnTorch's modules: resets with and without delay, spike for spike over thousands of steps."""

import numpy as np
import pytest
import torch
from torch_networks import linear, spikes

from astrodeploy.engines.reference import simulate
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.running import in_float64
from astrodeploy.nn import unroll
from astrodeploy.pipeline import load

snn = pytest.importorskip(
    "snntorch", reason="snntorch is not installed (pip install astrodeploy[frameworks])"
)

NEURONS = 8
LEAKY = {"beta": 0.9}
SYNAPTIC = {"alpha": 0.7, "beta": 0.8, "threshold": 1.3}
ALL = {"linear_features": NEURONS}
RESETS = ("subtract", "zero", "none")


def network(cell):
    """A Linear and a cell, which keeps its own state."""
    torch.manual_seed(0)
    return torch.nn.Sequential(linear(6, NEURONS, 0, bias=True, scale=2.0), cell)


def both(module, samples=4, steps=500):
    graph = load(module)
    x = spikes(samples=samples, steps=steps).astype(float)
    with torch.no_grad():
        theirs, _ = unroll(in_float64(module), torch.from_numpy(x))
    return theirs.numpy(), simulate(graph, x).spikes[graph.output], graph


CELLS = {
    "Leaky": lambda **s: snn.Leaky(**LEAKY, **s),
    "Leaky that keeps little": lambda **s: snn.Leaky(beta=0.3, **s),
    "Leaky without leak": lambda **s: snn.Leaky(beta=1.0, **s),
    "Leaky, learnt by neuron": lambda **s: snn.Leaky(
        beta=torch.linspace(0.2, 0.95, NEURONS),
        threshold=torch.linspace(0.5, 2, NEURONS),
        learn_beta=True,
        **s,
    ),
    "Leaky with a beta beyond 1": lambda **s: snn.Leaky(beta=1.7, **s),
    "Synaptic": lambda **s: snn.Synaptic(**SYNAPTIC, **s),
    "Synaptic of one step": lambda **s: snn.Synaptic(alpha=0.0, beta=0.8, **s),
    "RLeaky": lambda **s: snn.RLeaky(**LEAKY, **ALL, **s),
    "RLeaky one to one": lambda **s: snn.RLeaky(**LEAKY, V=0.3, all_to_all=False, **s),
    "RSynaptic": lambda **s: snn.RSynaptic(**SYNAPTIC, **ALL, **s),
}
LAPICQUE = {
    "beta": lambda **s: snn.Lapicque(beta=0.8, threshold=0.4, **s),
    "R and C": lambda **s: snn.Lapicque(R=3.0, C=4.0, time_step=2.0, threshold=0.5, **s),
}


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("name", CELLS)
def test_a_delayed_reset(name, reset):
    theirs, ours, graph = both(network(CELLS[name](reset_mechanism=reset, init_hidden=True)))
    assert 300 < theirs.sum() < theirs.size
    assert np.array_equal(theirs, ours)
    node = graph["layer1"].node
    skips = reset == "zero" and not name.startswith("Leaky")
    assert (node.refractory, node.comparison) == (int(skips), ">")


@pytest.mark.parametrize("name", [each for each in CELLS if each != "RSynaptic"])
@pytest.mark.parametrize("reset", ["zero", "none"])
def test_an_immediate_reset(name, reset):
    theirs, ours, _ = both(network(CELLS[name](reset_mechanism=reset, init_hidden=True, reset_delay=False)))
    assert theirs.sum() > 300
    assert np.array_equal(theirs, ours)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("name", LAPICQUE)
def test_lapicque(name, reset):
    theirs, ours, _ = both(network(LAPICQUE[name](reset_mechanism=reset, init_hidden=True)))
    assert theirs.sum() > 100
    assert np.array_equal(theirs, ours)


class Explicit(torch.nn.Module):
    """States handed on one by one, as snnTorch's tutorials do it, with a graded layer in between."""

    def __init__(self):
        super().__init__()
        self.fc, self.deep, self.out = linear(6, 8, 0), linear(8, 8, 1), linear(8, 3, 2, bias=True)
        self.first = snn.Leaky(beta=0.8, graded_spikes_factor=0.6)
        self.second = snn.RSynaptic(alpha=0.5, beta=0.7, linear_features=8)
        self.last = snn.Synaptic(alpha=0.6, beta=0.9, reset_mechanism="zero")

    def forward(self, x, mem=None, spk=None, syn=None, mem2=None, syn3=None, mem3=None):
        z, mem = self.first(self.fc(x), mem)
        spk, syn, mem2 = self.second(self.deep(z), spk, syn, mem2)
        y, syn3, mem3 = self.last(self.out(spk), syn3, mem3)
        return y, mem, spk, syn, mem2, syn3, mem3


def test_states_as_arguments_and_graded_spikes():
    theirs, ours, graph = both(Explicit())
    assert theirs.sum() > 100
    assert np.array_equal(theirs, ours)
    assert graph.layers == ("input", "first", "second", "last")
    weights = {c.name: c.weight for c in graph.connections}
    assert np.allclose(weights["first -> second.current"], 0.6 * Explicit().deep.weight.detach().double())


def test_a_membrane_that_is_read_out():
    class Regression(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = linear(6, 8, 0), snn.Leaky(beta=0.8)
            self.out, self.last = linear(8, 2, 1), snn.Leaky(beta=0.9, reset_mechanism="none")

        def forward(self, x, mem=None, mem2=None):
            z, mem = self.cell(self.fc(x), mem)
            _, mem2 = self.last(self.out(z), mem2)
            return mem2, mem, mem2

    theirs, ours, graph = both(Regression())
    assert graph["last"].node.sends == "membrane"
    assert np.allclose(theirs, ours, rtol=0, atol=1e-9)
    module = Regression()
    module.last = snn.Leaky(beta=0.9)
    with pytest.raises(
        UnsupportedError, match="the output is the membrane of last, which is reset by its spikes"
    ):
        load(module)


def test_a_convolutional_network_in_torchs_container_after_training():
    """States that layers keep hang on a gradient then; the module itself stays as it is."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.AvgPool2d(2),
        snn.Leaky(beta=0.9, init_hidden=True, threshold=0.2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 9, 5),
        snn.Leaky(beta=0.9, init_hidden=True, output=True, threshold=0.1),
    )
    spk, mem = module(torch.rand(2, 1, 8, 8))
    (spk.sum() + mem.sum()).backward()
    kept = module[2].mem
    graph = load(module, input_shape=(1, 8, 8))
    assert [p.shape for p in graph.populations] == [(1, 8, 8), (4, 3, 3), (5,)]
    assert module[2].mem is kept


def test_a_recurrent_convolution():
    torch.manual_seed(0)
    cell = snn.RLeaky(beta=0.8, conv2d_channels=3, kernel_size=3, init_hidden=True, threshold=0.3)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), cell)
    graph = load(module, input_shape=(1, 5, 6))
    assert [type(c.wiring).__name__ for c in graph.connections] == ["Conv", "Conv"]
    assert [c.lag for c in graph.connections] == [0, 1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (lambda: snn.Leaky(beta=0.9, reset_delay=False), "^1 resets by subtraction with reset_delay=False"),
        (lambda: snn.Leaky(beta=0.0), "^1 keeps nothing of its membrane, and yet subtracts a delayed reset"),
        (lambda: snn.Synaptic(alpha=1.0, beta=0.5), "^1 has alpha = 1: a synaptic current that never decays"),
        (
            lambda: snn.RSynaptic(**SYNAPTIC, **ALL, reset_delay=False),
            "^1: snnTorch's RSynaptic does not run with",
        ),
        (lambda: snn.Leaky(beta=0.9, threshold=-1.0), "^1 has a negative threshold"),
        (
            lambda: snn.Leaky(beta=0.9, state_quant=lambda x: x),
            "^1 has quantised states, which is not supported",
        ),
        (lambda: snn.Lapicque(R=1.0, C=0.5, time_step=1.0), "^1 has a time_step longer than R C"),
        (lambda: snn.Alpha(alpha=0.9, beta=0.8), "^1 is a snntorch Alpha, .*two synaptic currents"),
        (lambda: snn.SLSTM(8, 8), "^1 is a snntorch SLSTM, .*use RLeaky or RSynaptic"),
        (
            lambda: snn.Leaky(beta=0.9, graded_spikes_factor=0.5, init_hidden=True),
            "^the output of the network must",
        ),
    ],
)
def test_what_is_refused(cell, message):
    with pytest.raises(InputError, match=message):
        load(network(cell()))


class Own(snn.Leaky):
    """A class of the user's."""


def test_subclasses_of_a_cell_are_that_cell_in_any_depth():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.first = linear(6, NEURONS, 0, scale=2.0), Own(beta=0.9)
            self.b, self.second = linear(NEURONS, 4, 1), Own(beta=0.8)

        def forward(self, x, state=None):
            first, second = (None, None) if state is None else state
            z, first = self.first(self.a(x), first)
            z, second = self.second(self.b(z), second)
            return z, (first, second)

    theirs, ours, graph = both(Net())
    assert graph.layers == ("input", "first", "second")
    assert 100 < theirs.sum() < theirs.size
    assert np.array_equal(theirs, ours)


def test_a_subclass_of_what_is_not_supported_is_refused_as_that():
    class Own(snn.Alpha):
        pass

    with pytest.raises(UnsupportedError, match="snntorch Own, which is not supported: .* use Synaptic"):
        load(network(Own(alpha=0.8, beta=0.7)))


def test_graded_spikes_at_the_output_are_named():
    class Graded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = torch.nn.Linear(6, 4), snn.Leaky(beta=0.9, graded_spikes_factor=2.5)

        def forward(self, x, state=None):
            return self.lif(self.fc(x), self.lif.reset_mem() if state is None else state)

    with pytest.raises(UnsupportedError, match="lif's have a factor .graded_spikes_factor."):
        load(Graded())
