"""Ordinary layers around the network: where it is cut, and that the parts do what the whole did."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch_networks import box, linear

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.export_check import check_export
from astrodeploy.frontends.torch.host_cut import cut
from astrodeploy.nn import RateEncoder
from astrodeploy.pipeline import load

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of itself


class Net(torch.nn.Module):
    """Given modules, and a forward as a function of (modules, x, state)."""

    def __init__(self, step, **modules):
        super().__init__()
        torch.manual_seed(0)
        self.step = step
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x, state=None):
        return self.step(self, x, state)


def wrapped():
    """A backbone, a spiking layer, a read-out."""

    def step(m, x, state):
        z, state = m.cell(m.fc(m.backbone(x)), state)
        return torch.softmax(m.out(z), 1), state

    backbone = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3),
        torch.nn.BatchNorm2d(3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
    )
    return Net(step, backbone=backbone, fc=linear(12, 8, 0), cell=box(), out=linear(8, 3, 1)).eval()


def test_a_backbone_and_a_read_out_are_the_hosts():
    module = wrapped()
    graph = load(module, input_shape=(1, 6, 6))
    assert (graph.before.inputs, graph.before.outputs) == ((1, 6, 6), (3, 2, 2))
    assert (graph.after.inputs, graph.after.outputs) == ((8,), (3,))
    assert graph.input.shape == (3, 2, 2)
    assert graph.layers == ("input", "cell")
    assert np.array_equal(graph.connections[0].weight, module.fc.weight.detach().double())
    assert not any(each.training for each in module.modules())
    assert check_export(module, graph, np.random.default_rng(0).random((2, 5, 1, 6, 6))) == 2 * 5 * 8


def test_the_parts_compute_what_the_whole_did():
    module = wrapped()
    parts = cut(module)
    x = torch.rand(4, 1, 6, 6)
    before, after = parts.module(parts.before), parts.module(parts.after)
    with torch.no_grad():
        z, _ = module.cell(module.fc(torch.flatten(before(x), 1)))
        assert torch.equal(after(z), module(x)[0])
        assert torch.equal(before(x), module.backbone[:4](x))


def test_linear_layers_before_a_layer_of_neurons_stay_on_the_chip():
    def step(m, x, state):
        return m.cell(m.second(m.first(x) * 2.0) - 0.1, state)

    parts = cut(Net(step, first=linear(6, 4, 0), second=linear(4, 4, 1), cell=box()))
    assert parts.before is None
    assert parts.after is None


def test_the_first_linear_tells_the_input_of_a_backbone():
    def step(m, x, state):
        return m.cell(m.fc(torch.relu(m.first(x))), state)

    graph = load(Net(step, first=linear(6, 4, 0), fc=linear(4, 4, 1), cell=box()))
    assert (graph.before.inputs, graph.before.outputs, graph.before.operators) == (
        (6,),
        (4,),
        ("MatMul", "Relu"),
    )
    assert graph.input.shape == (4,)


def test_an_encoder_after_a_backbone():
    def step(m, x, state):
        encoder, cell = (None, None) if state is None else state
        x, encoder = m.encoder(torch.sigmoid(m.first(x)), encoder)
        z, cell = m.cell(m.fc(x), cell)
        return z, (encoder, cell)

    module = Net(step, first=linear(6, 4, 0), encoder=RateEncoder(steps=9), fc=linear(4, 4, 1), cell=box())
    graph = load(module, input_shape=(6,))
    assert graph.encoder.steps == 9
    assert graph.before.inputs == (6,)


def test_what_only_reshapes_spikes_is_not_given_to_the_host():
    module = norse.SequentialState(
        torch.nn.Conv1d(1, 2, 3), box(v_th=0.1), torch.nn.Flatten(), torch.nn.Dropout()
    )
    graph = load(module, input_shape=(1, 6))
    assert graph.after is None
    assert graph["layer1"].shape == (2, 4)


def test_a_read_out_of_a_membrane():
    def step(m, x, state):
        a, b = (None, None) if state is None else state
        z, a = m.cell(m.fc(x), a)
        v, b = m.last(m.out(z), b)
        return torch.nn.functional.log_softmax(v, dim=1), (a, b)

    last = norse.LICell()
    graph = load(Net(step, fc=linear(6, 8, 0), cell=box(), out=linear(8, 3, 1), last=last))
    assert graph["last"].node.sends == "membrane"
    assert graph.after.operators == ("LogSoftmax",)


def several_before(m, x, state):
    return m.cell(m.fc(torch.relu(x)) + m.second(x), state)


def several_after(m, x, state):
    a, b = (None, None) if state is None else state
    z, a = m.cell(m.fc(x), a)
    y, b = m.last(m.second(z), b)
    return m.out(torch.relu(z) + y), (a, b)


def kept(m, x, state):
    a, y = (None, x.new_zeros(len(x), 4)) if state is None else state
    z, a = m.cell(m.fc(x) + y, a)
    y = m.out(torch.relu(z))
    return y, (a, y)


def two_of_them(m, x, state):
    z, state = m.cell(m.fc(x), state)
    return (m.out(z), m.second(z)), state


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (several_before, "before the first layer of neurons give it several values"),
        (several_after, r"after the last layer of neurons read several values \(getitem\w*, getitem\w*\)"),
        (kept, "is fed something that is neither spikes nor a current|reads a value that the host computes"),
        (two_of_them, "the output of the network must be the spikes of a layer of neurons"),
    ],
)
def test_what_can_not_be_cut(step, message):
    modules = {
        "fc": linear(6, 4, 0),
        "second": linear(4, 4, 1),
        "out": linear(4, 4, 2),
        "cell": box(),
        "last": box(),
    }
    if step is several_before:
        modules["second"] = linear(6, 4, 1)
    with pytest.raises(UnsupportedError, match=message):
        load(Net(step, **modules))


def test_a_backbone_that_nobody_tells_its_input():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    with pytest.raises(InputError, match="give input_shape"):
        load(Net(lambda m, x, s: m.cell(m.backbone(x), s), backbone=module, cell=box()))


def test_a_layer_that_onnx_can_not_say():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x.reshape(-1, 2, 3) @ x.reshape(-1, 3, 2)).real

    module = Net(lambda m, x, s: m.cell(m.fc(m.odd(x)), s), odd=Odd(), fc=linear(2, 4, 0), cell=box())
    with pytest.raises(
        UnsupportedError, match="^the ordinary layers before the first layer of neurons can't be given"
    ):
        load(module, input_shape=(6,))
