"""Forms of a forward: feedback through the state, several outputs, membranes, convolutions, states of its own."""

from collections import namedtuple

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch_networks import DT, box, cuba, linear, spikes

import astrodeploy as ad
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.export_check import check_export
from astrodeploy.nn import AstrocyteLayer, RateEncoder, unroll
from astrodeploy.pipeline import load

State = namedtuple("State", "z v")


class Feedback(torch.nn.Module):
    """z(t-1) and z(t-2) are fed back by hand."""

    def __init__(self):
        super().__init__()
        self.fc, self.back, self.cell = linear(6, 8, 0), linear(8, 8, 1, bias=True), box()
        self.out, self.last = linear(8, 3, 2), box(v_th=0.1)

    def forward(self, x, state=None):
        if state is None:
            state = (x.new_zeros(len(x), 8), x.new_zeros(len(x), 8), None, None)
        z, older, cell, last = state
        now, cell = self.cell(self.fc(x) - 0.5 * self.back(z) - 0.75 * older, cell)
        y, last = self.last(self.out(now), last)
        return y, (now, z, cell, last)


def test_feedback_by_hand_is_a_connection_of_lag_1_and_2():
    module = Feedback()
    graph = load(module)
    weights = {c.name: (c.lag, c.weight) for c in graph.connections}
    lag, weight = weights["cell -> cell.current +1"]
    assert lag == 1
    assert np.allclose(weight, -0.5 * module.back.weight.detach().double())
    lag, weight = weights["cell -> cell.current +2"]
    assert lag == 2
    assert np.array_equal(weight, -0.75 * np.eye(8))
    assert np.allclose(graph["cell"].node.bias, -0.5 * module.back.bias.detach().double())


def test_a_reference_and_a_torch_engine_send_what_the_module_sends():
    module = Feedback()
    program = ad.compile(module)
    x = spikes(steps=60)
    with torch.no_grad():
        z, _ = unroll(module, torch.from_numpy(x).float())
    depth = program.network["last"].depth
    for engine in ("reference", "torch"):
        sent = program.run(x, engine=engine).spikes["last"][:, depth:]
        assert z.sum() > 20
        assert np.array_equal(sent, z[:, : sent.shape[1]].numpy())


class Named(torch.nn.Module):
    """The state is a named tuple within a dict, and the feedback goes through a convolution."""

    def __init__(self, bias=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(1, 3, 3, padding=1)
        self.back = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.cell, self.shift = box(v_th=0.2), 0.1 if bias else 0.0

    def forward(self, x, state=None):
        if state is None:
            state = {"cell": State(x.new_zeros(len(x), 3, *x.shape[2:]), None)}
        past = state["cell"]
        z, v = self.cell(self.conv(x) + self.back(past.z), past.v)
        return z, {"cell": State(z + self.shift, v)}


def test_feedback_through_a_convolution_and_a_named_state():
    graph = load(Named(), input_shape=(1, 5, 4))
    loop = {c.name: c for c in graph.connections}["cell -> cell.current +1"]
    assert type(loop.wiring).__name__ == "Conv"
    assert graph["cell"].shape == (3, 5, 4)
    with pytest.raises(UnsupportedError, match="^back is fed a state that holds a constant: add it after"):
        load(Named(bias=True), input_shape=(1, 5, 4))


def test_feedback_that_does_not_begin_at_zero_is_found():
    class Ones(Feedback):
        def forward(self, x, state=None):
            return super().forward(
                x, (x.new_ones(len(x), 8), x.new_zeros(len(x), 8), None, None) if state is None else state
            )

    with pytest.raises(UnsupportedError, match="cell differs from the torch module first in step"):
        load(Ones())


class Branches(torch.nn.Module):
    """A skip connection by concatenation, and three outputs, one of which is a membrane."""

    def __init__(self):
        super().__init__()
        self.fc, self.deep, self.skip = linear(6, 4, 0), linear(4, 4, 1), linear(8, 3, 2)
        self.first, self.second, self.third = box(), cuba(), box()
        self.read, self.integrator = linear(3, 2, 3), norse.LICell(dt=DT)

    def forward(self, x, state=None):
        a, b, c, d = (None,) * 4 if state is None else state
        x, a = self.first(self.fc(x), a)
        y, b = self.second(self.deep(x), b)
        z, c = self.third(self.skip(torch.cat([x, y], 1)), c)
        v, d = self.integrator(self.read(z), d)
        return (y, z, v), (a, b, c, d)


def test_several_outputs_and_a_membrane():
    module = Branches()
    graph = load(module)
    assert graph.outputs == ("second", "third", "integrator")
    assert graph.readout == "count,count,last"
    assert [graph[name].node.sends for name in graph.outputs] == ["spikes", "spikes", "membrane"]
    weights = {c.name: c.weight for c in graph.connections}
    both = module.skip.weight.detach().double().numpy()
    assert np.array_equal(weights["first -> third.current"], both[:, :4])
    assert np.array_equal(weights["second -> third.current"], both[:, 4:])
    assert check_export(module, graph) == 4 * 32 * (4 + 4 + 3 + 2)


def test_an_output_that_is_another_one_is_found():
    graph = load(Branches())
    wrong = type(graph)(**vars(graph) | {"outputs": ("first", "third", "integrator")})
    with pytest.raises(UnsupportedError, match="^the export check failed: the output differs from the torch"):
        check_export(Branches(), wrong)


def test_a_membrane_that_differs_is_found():
    graph = load(Branches())
    module = Branches()
    module.integrator.p = module.integrator.p._replace(v_leak=torch.tensor(1e-3))
    with pytest.raises(
        UnsupportedError, match="failed: integrator differs from the torch module first in step 0"
    ):
        check_export(module, graph)


class Deep(torch.nn.Module):
    """Convolutions, normalisation, pooling, reshapes by hand."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = torch.nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False)
        self.norm = torch.nn.BatchNorm2d(4)
        self.narrow = torch.nn.Conv1d(8, 6, 2, stride=2)
        self.first, self.second, self.third = box(v_th=0.05), cuba(v_th=0.05), box(v_th=0.05)
        self.fc = torch.nn.Linear(12, 5)
        self.scale = torch.nn.Parameter(torch.rand(4, 1, 1) + 1)

    def forward(self, x, state=None):
        a, b, c = (None,) * 3 if state is None else state
        x = x.view(x.shape[0], 2, 6, 4)
        z, a = self.first(self.scale * self.norm(self.conv(x)), a)
        z = torch.nn.functional.avg_pool2d(z, (3, 1)).permute(0, 1, 2, 3).reshape(x.size(0), 8, -1)
        z, b = self.second(self.narrow(z) / 0.5, b)
        y, c = self.third(self.fc(torch.flatten(z, 1)), c)
        return y, (a, b, c)


def test_convolutions_pooling_and_reshaping_by_hand():
    graph = load(Deep().eval(), input_shape=(48,))
    assert [p.shape for p in graph.populations] == [(48,), (4, 6, 4), (6, 2), (5,)]
    patterns = [type(c.wiring).__name__ for c in graph.connections]
    assert patterns[0] == "Conv"
    assert patterns[2] == "Dense"


def test_astrocytes_on_a_layer_with_an_encoder_and_a_convolution_after_it():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.expand = RateEncoder(steps=8), linear(6, 12, 0)
            self.hidden = AstrocyteLayer(box(), 12, domain=4, period=8, tau=0.1, rate=4.0)
            self.conv, self.last = torch.nn.Conv1d(3, 2, 2), box(v_th=0.1)

        def forward(self, x, state=None):
            a, b, c = (None,) * 3 if state is None else state
            x, a = self.encoder(x, a)
            z, b = self.hidden(self.expand(x), b)
            y, c = self.last(self.conv(z.unflatten(1, (3, 4))), c)
            return y, (a, b, c)

    assert load(Net())["last"].shape == (2, 3)


def test_a_forward_that_loops_over_time_by_calling_its_cells_again():
    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = linear(6, 4, 0), box()

        def forward(self, x, state=None):
            for _ in range(3):
                z, state = self.cell(self.fc(x), state)
            return z, state

    with pytest.raises(UnsupportedError, match="^cell is used twice in one step.*without a loop over time"):
        load(Loop())


def test_an_input_that_nobody_reads():
    class Deaf(Feedback):
        def forward(self, x, state=None):
            z, cell = (x.new_zeros(len(x), 8), None) if state is None else state
            z, cell = self.cell(self.back(z), cell)
            return z, (z, cell)

    with pytest.raises(InputError, match="^the module does nothing with its input"):
        load(Deaf())


def test_sizes_that_are_computed_and_arguments_by_name():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = linear(3, 4, 0), box(v_th=0.1)

        def forward(self, x, state=None):
            rows = x.view(x.shape[0], x.shape[1] // 3, 3)
            return self.cell(input_tensor=self.fc(rows).flatten(1), state=state)

    graph = load(Net(), input_shape=(6,))
    assert graph["cell"].shape == (8,)


def test_a_lazy_layer_that_never_ran():
    module = norse.SequentialState(torch.nn.LazyLinear(4), box())
    with pytest.raises(InputError, match="^0 has no weights yet: run the module once"):
        load(module, input_shape=(3,))


@pytest.mark.parametrize(
    ("path", "kind"), [("cell", "LIFBoxCell"), ("fc", "Linear"), ("the module", "Feedback")]
)
def test_a_forward_that_is_replaced_on_an_object_is_refused_by_name(path, kind):
    module = Feedback()
    found = module if path == "the module" else module.get_submodule(path)
    usual = found.forward
    found.forward = lambda *given: usual(given[0] * 0.5, *given[1:])
    with pytest.raises(
        UnsupportedError, match=rf"^the forward of {path} \({kind}\) is replaced on the object"
    ):
        load(module)


def test_a_factory_that_returns_a_text_is_told_so():
    with pytest.raises(InputError, match=r"^os:getcwd returned a str that names no file"):
        load("os:getcwd")
