"""spikingjelly's modules in single-step mode, spike for spike."""

import numpy as np
import pytest
import torch
from torch_networks import linear, spikes

from astrodeploy.engines.reference import simulate
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.running import in_float64
from astrodeploy.nn import unroll
from astrodeploy.pipeline import load

pytest.importorskip(
    "spikingjelly.activation_based.neuron",
    reason="spikingjelly is not installed (pip install astrodeploy[frameworks])",
    exc_type=ImportError,
)
from spikingjelly.activation_based import functional, layer, neuron, surrogate

NEURONS = {
    "IFNode": lambda: neuron.IFNode(),
    "IFNode, soft": lambda: neuron.IFNode(v_threshold=1.5, v_reset=None),
    "IFNode, to a value": lambda: neuron.IFNode(v_reset=-0.25),
    "LIFNode": lambda: neuron.LIFNode(v_threshold=0.3),
    "LIFNode, soft": lambda: neuron.LIFNode(tau=3.0, v_reset=None, v_threshold=0.25),
    "LIFNode, whole input": lambda: neuron.LIFNode(tau=4.0, decay_input=False),
    "LIFNode, to a value": lambda: neuron.LIFNode(tau=4.0, v_reset=-0.5, v_threshold=0.2),
    "ParametricLIFNode": lambda: neuron.ParametricLIFNode(init_tau=2.7, v_threshold=0.4),
    "ParametricLIFNode, whole input": lambda: neuron.ParametricLIFNode(decay_input=False, v_reset=None),
}


def network(node):
    module = torch.nn.Sequential(layer.Linear(6, 8), layer.Dropout(0.3), node)
    module[0].weight, module[0].bias = linear(6, 8, 0, bias=True).weight, linear(6, 8, 0, bias=True).bias
    return module


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_send_the_same_spikes(name):
    module = network(NEURONS[name]())
    graph = load(module)
    x = spikes(samples=4, steps=500).astype(float)
    with torch.no_grad():
        theirs, _ = unroll(in_float64(module), torch.from_numpy(x))
    ours = simulate(graph, x).spikes["layer2"]
    assert 300 < theirs.sum() < theirs.numel()
    assert np.array_equal(theirs.numpy(), ours)
    assert graph["layer2"].node.comparison == ">="


def test_a_neuron_at_its_threshold_fires():
    module = torch.nn.Sequential(layer.Linear(1, 1, bias=False), neuron.IFNode(v_threshold=2.0))
    with torch.no_grad():
        module[0].weight.fill_(1.0)
    sent = simulate(load(module), np.ones((1, 6, 1))).spikes["layer1"]
    assert sent.ravel().tolist() == [0, 1, 0, 1, 0, 1]


def test_a_convolutional_network_with_a_backbone():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(v_threshold=0.3),
        layer.AvgPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(4 * 9, 5, bias=False),
        neuron.LIFNode(v_threshold=0.1),
    )
    for x in torch.rand(3, 2, 1, 6, 6):  # running statistics, and states that hang on a gradient
        module(x)
    graph = load(module.eval(), input_shape=(1, 6, 6))
    assert [type(c.wiring).__name__ for c in graph.connections] == ["Conv", "Dense"]
    with pytest.raises(UnsupportedError, match=r"^1 is in training mode.*call module.eval\(\) first"):
        load(module.train(), input_shape=(1, 6, 6))


def test_multi_step_mode_is_refused_with_how_to_switch():
    module = network(neuron.LIFNode())
    functional.set_step_mode(module, "m")
    with pytest.raises(
        UnsupportedError, match=r"^0 is in step_mode 'm'.*functional\.set_step_mode\(net, 's'\)"
    ):
        load(module)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            lambda: neuron.QIFNode(),
            "^2 is a spikingjelly QIFNode, which is not supported: supported cells are IFNode",
        ),
        (lambda: neuron.LIFNode(surrogate_function=surrogate.Sigmoid(spiking=False)), "^2 does not spike"),
    ],
)
def test_what_is_refused(node, message):
    with pytest.raises(UnsupportedError, match=message):
        load(network(node()))


class Own(neuron.LIFNode):
    """A class of the user's."""


def test_subclasses_of_a_neuron_are_that_neuron_in_any_depth():
    module = torch.nn.Sequential(linear(6, 8, 0), Own(v_threshold=0.3), linear(8, 4, 1), Own(v_threshold=0.2))
    x = spikes(samples=4, steps=100).astype(float)
    with torch.no_grad():
        theirs, _ = unroll(in_float64(module), torch.from_numpy(x))
    assert 100 < theirs.sum() < theirs.numel()
    assert np.array_equal(theirs.numpy(), simulate(load(module), x).spikes["layer3"])


def converted():
    """spikingjelly's module of ann2snn, whose package imports a progress bar that nothing here needs."""
    import sys
    from types import SimpleNamespace

    missing = [name for name in ("tqdm", "requests") if name not in sys.modules]
    sys.modules.update({name: SimpleNamespace(tqdm=None) for name in missing})
    try:
        from spikingjelly.activation_based.ann2snn import modules
    finally:
        for name in missing:
            del sys.modules[name]
    return modules


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_the_factors_of_converted_networks_are_folded(scale):
    modules = converted()
    module = torch.nn.Sequential(
        linear(6, 8, 0, bias=True),
        modules.VoltageHook(),
        modules.VoltageScaler(scale),
        neuron.IFNode(v_reset=None),
        modules.VoltageScaler(1 / scale),
        linear(8, 4, 1),
        modules.ChannelVoltageScaler([0.5, 1.0, 1.5, 2.0]),
        neuron.IFNode(v_reset=None),
    ).eval()
    x = spikes(samples=4, steps=100).astype(float)
    with torch.no_grad():
        theirs, _ = unroll(in_float64(module), torch.from_numpy(x))
    assert theirs.sum() > 50
    assert np.array_equal(theirs.numpy(), simulate(load(module), x).spikes["layer7"])


def test_factors_per_channel_belong_to_a_channel():
    modules = converted()
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, bias=False),
        modules.ChannelVoltageScaler([0.5, 1.0, 2.0]),
        neuron.IFNode(v_threshold=0.2),
    ).eval()
    graph = load(module, input_shape=(1, 6, 6))
    (connection,) = graph.connections
    want = module[0].weight.detach() * torch.tensor([0.5, 1.0, 2.0]).reshape(3, 1, 1, 1)
    impulse = np.zeros((1, 1, 6, 6))
    impulse[0, 0, 2, 2] = 1
    given = torch.nn.functional.conv2d(torch.from_numpy(impulse).float(), want).reshape(-1)
    assert connection.wiring.deliver(impulse.reshape(-1)) == pytest.approx(given.numpy(), abs=1e-6)
    module[1] = modules.ChannelVoltageScaler([0.5, 1.0])
    with pytest.raises(InputError, match=r"1 has 2 factors, .* has 3x4x4"):
        load(module, input_shape=(1, 6, 6))
