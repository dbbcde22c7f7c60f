"""From a torch module to the Graph: what is understood, and what is refused by name, path and line."""

from pathlib import Path

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.reset import reset_subtract
from torch_networks import DT, Block, Chain, Hybrid, Nested, box, cuba, linear, sequential

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.nn import AstrocyteLayer, RateEncoder
from astrodeploy.pipeline import load


class Net(torch.nn.Module):
    """A network of given modules, and a forward given as a function of (modules, x, state)."""

    def __init__(self, step, **modules):
        super().__init__()
        self.step = step
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x, state=None):
        return self.step(self, x, state)


def refused(module, message, error=UnsupportedError, **given):
    with pytest.raises(error, match=message) as refusal:
        load(module, **given)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# ---- what is understood ----------------------------------------------------------------------------


def test_a_chain_becomes_what_its_parameters_say():
    module = Chain(bias=True)
    graph = load(module)
    assert graph.layers == ("input", "hidden", "readout")
    assert graph.output == "readout"
    assert graph.dt == DT
    node = graph["hidden"].node
    assert np.array_equal(node.bias, module.expand.bias.detach().double())
    assert np.allclose(node.tau, 5e-3, rtol=1e-7)
    assert (node.v_threshold == 0.5).all()
    weights = {c.name: c.weight for c in graph.connections}
    assert np.array_equal(weights["input -> hidden.current"], module.expand.weight.detach().double())


def test_a_hybrid_has_encoder_and_closed_loop():
    module = Hybrid(seed=5)
    graph = load(module)
    assert graph.layers == ("input", "hidden", "hidden_astrocytes", "readout")
    assert (graph.encoder.steps, graph.encoder.seed) == (12, 5)
    node = graph["hidden_astrocytes"].node
    assert (node.period, node.rate, node.low, node.high, node.set_point) == (8, 4.0, -2.0, 2.0, 0.0)
    assert node.decay == pytest.approx(8e-3 / 0.1)
    assert node.log_gain.tolist() == [0.5, -0.25, 0.125]
    loop = {c.name: (c.lag, c.weight) for c in graph.connections if c.lag}
    pool = loop["hidden -> hidden_astrocytes.activity +1"]
    assert pool[0] == 1
    assert np.allclose(pool[1], 1 / 12 - np.kron(np.eye(3), np.full((1, 4), 1 / 4)))
    spread = loop["hidden_astrocytes -> hidden.modulation +1"]
    assert np.array_equal(spread[1], np.kron(np.eye(3), np.ones((4, 1))))


def test_nested_modules_skips_vector_parameters_and_torch_sequentials():
    graph = load(Nested())
    assert graph.layers == ("input", "blocks_0_cell", "blocks_1_cell", "out")
    assert [c.name for c in graph.connections] == [
        "input -> blocks_0_cell.current",
        "blocks_0_cell -> blocks_1_cell.current",
        "blocks_0_cell -> out.current",
        "blocks_1_cell -> out.current",
    ]
    node = graph["blocks_0_cell"].node
    assert len(set(node.tau.tolist())) == len(set(node.v_reset.tolist())) == 8


def test_norses_container():
    graph = load(sequential())
    assert graph.layers == ("input", "layer1", "layer3")
    assert type(graph["layer1"].node).__name__ == "CubaLIF"


def test_norses_container_within_modules_and_itself():
    def step(m, x, state):
        block, cell = (None, None) if state is None else state
        z, block = m.block(x, block)
        z, cell = m.cell(m.fc(z), cell)
        return z, (block, cell)

    inner = norse.SequentialState(linear(5, 4, 1), box())
    block = norse.SequentialState(linear(6, 5, 0), cuba(), torch.nn.Dropout(), inner)
    module = Net(step, block=block, fc=linear(4, 4, 0), cell=box())
    assert load(module).layers == ("input", "block_1", "block_3_1", "cell")


def test_a_subclass_of_torchs_sequential_with_a_step():
    class Mine(torch.nn.Sequential):
        def forward(self, x, state=None):
            return self[1](self[0](x), state)

    assert load(Mine(linear(6, 4, 0), box())).layers == ("input", "layer1")


def test_sums_branches_and_parallel_connections():
    def step(m, x, state):
        a, _ = m.a(m.first(x) + m.second(x))
        z, _ = m.b(a + torch.add(m.direct(x), m.third(a)))  # `a` itself enters with weight 1
        return z, state

    modules = {
        "first": linear(6, 4, 0, bias=True),
        "second": linear(6, 4, 1, bias=True),
        "third": linear(4, 4, 2),
    }
    module = Net(step, **modules, direct=linear(6, 4, 3), a=box(tau_mem_inv=1e3), b=box(tau_mem_inv=1e3))
    graph = load(module)
    weights = {c.name: c.weight for c in graph.connections}
    numpy = lambda tensor: tensor.detach().double().numpy()
    assert np.array_equal(
        weights["input -> a.current"], numpy(module.first.weight) + numpy(module.second.weight)
    )
    assert np.array_equal(graph["a"].node.bias, numpy(module.first.bias) + numpy(module.second.bias))
    assert np.array_equal(weights["a -> b.current"], np.eye(4) + numpy(module.third.weight))
    assert np.array_equal(weights["input -> b.current"], numpy(module.direct.weight))


def test_a_sum_repeats_what_is_one_wide():
    module = Net(
        lambda m, x, s: m.cell(m.one(x) + m.fc(x), s), one=linear(6, 1, 0), fc=linear(6, 5, 1), cell=box()
    )
    (connection,) = load(module).into("cell")
    wanted = module.one.weight.detach().double() + module.fc.weight.detach().double()
    assert np.array_equal(connection.weight, wanted)


def test_the_input_shape_is_that_of_the_first_linear_or_what_is_given():
    module = Net(
        lambda m, x, s: m.cell(m.fc(m.flat(x)), s), flat=torch.nn.Flatten(), fc=linear(6, 4, 0), cell=box()
    )
    assert load(module).input.shape == (6,)
    assert load(module, input_shape=(3, 2)).input.shape == (3, 2)


def test_the_first_linear_is_the_one_that_the_input_meets():
    """However its modules are ordered, and with a layer of astrocytes before any Linear."""

    def step(m, x, state):
        z, _ = m.first(m.fc(x))
        return m.cell(m.deep(z), state)

    modules = {"deep": linear(4, 3, 1), "fc": linear(6, 4, 0), "cell": box()}
    first = AstrocyteLayer(box(), 4, domain=2)
    module = Net(lambda m, x, s: m.first(x, s), first=first)
    assert load(module).input.shape == (4,)
    forgetful = Net(step, **modules, first=box(tau_mem_inv=1e3))
    assert load(forgetful).input.shape == (6,)


def test_a_cell_fed_by_the_input_itself():
    module = Net(lambda m, x, s: m.cell(x, s), cell=box())
    refused(module, "has no Linear layer to tell its input's shape: give input_shape", InputError)
    (connection,) = load(module, input_shape=(3,)).connections
    assert np.array_equal(connection.weight, np.eye(3))


# ---- unsupported modules ---------------------------------------------------------------------------

UNSUPPORTED = {
    "torch GRU": (lambda: torch.nn.GRU(6, 6), "use recurrent cells like Norse's LIFRecurrentCell"),
    "torch MaxPool2d": (lambda: torch.nn.MaxPool2d(2), "use AvgPool2d, or a convolution with a stride"),
    "torch ReLU": (torch.nn.ReLU, "neurons are what is not linear: leave it out"),
    "torch LayerNorm": (lambda: torch.nn.LayerNorm(6), "use BatchNorm2d, which is folded into the weights"),
    "torch Bilinear": (
        lambda: torch.nn.Bilinear(6, 6, 6),
        "supported between layers of neurons are Linear, Conv1d",
    ),
    "norse LIFAdExCell": (norse.LIFAdExCell, "its neurons have states that a chip's membrane has not"),
    "norse LSNNCell": (norse.LSNNCell, "its neurons have states that a chip's membrane has not"),
    "norse LIF": (norse.LIF, "it loops over time: use the cell of one step, like LIFCell"),
    "norse PoissonEncoder": (lambda: norse.PoissonEncoder(8), "supported cells are LIFBoxCell, LIFCell"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_modules_are_named_with_their_path_and_what_to_use(name):
    make, advice = UNSUPPORTED[name]
    inner = Net(lambda m, x, s: m.middle(x, s), middle=make())
    module = Net(
        lambda m, x, s: m.out(m.block(m.cell(m.fc(x), s)[0], s)[0]),
        block=inner,
        fc=linear(6, 6, 0),
        cell=box(),
        out=box(),
    )
    refused(module, rf"^block\.middle is a {name}, which is not supported: {advice}")


def test_a_network_of_unsupported_cells_alone_is_not_asked_for_its_dt():
    module = Net(lambda m, x, s: m.rnn(m.fc(x), s), rnn=norse.LSNNCell(), fc=linear(6, 6, 0))
    refused(module, "^rnn is a norse LSNNCell, which is not supported")


def test_unsupported_modules_in_norses_container():
    refused(norse.SequentialState(linear(6, 6, 0), norse.LIFAdExCell()), "^1 is a norse LIFAdExCell")


def test_a_users_block_in_norses_container_is_looked_into():
    graph = load(norse.SequentialState(Block(6, 4, 0, box()), linear(4, 3, 1), box()))
    assert graph.layers == ("input", "0_cell", "layer2")


def test_an_astrocyte_layer_of_another_cell():
    cell = norse.LIFAdExCell()
    module = Net(
        lambda m, x, s: m.deep(m.fc(x), s), fc=linear(6, 4, 0), deep=AstrocyteLayer(cell, 4, domain=2)
    )
    refused(module, r"^deep\.cell is a norse LIFAdExCell, which is not supported")


def test_a_single_layer_is_no_network():
    refused(box(), "a single LIFBoxCell is no network: put it into a Module", input_shape=(3,))


# ---- forwards that can't be read -------------------------------------------------------------------


def over_time(m, x, state):
    for t in range(x.shape[1]):  # the line that is named
        z, state = m.cell(m.fc(x[:, t]), state)
    return z, state


def on_data(m, x, state):
    if x.sum() > 0:  # the line that is named
        return m.cell(m.fc(x), state)
    return m.cell(x, state)


def by_length(m, x, state):
    return m.cell(m.fc(x * len(x)), state)  # the line that is named


@pytest.mark.parametrize("step", [over_time, on_data, by_length])
def test_loops_over_time_and_branches_on_data_are_named_with_their_line(step):
    module = Net(step, fc=linear(6, 4, 0), cell=box())
    text = refused(module, r"^the forward of Net loops over time or branches on data \(test_module.py, line")
    assert "# the line that is named" in text
    assert (
        "write it for one step, (x, state) -> (y, state), and run it over time with astrodeploy.nn.unroll"
        in text
    )


def product(m, x, state):
    z, state = m.cell(m.fc(x), state)
    gated = m.deep(z) * m.gate(z)  # the line that is named
    return m.out(gated, None)


def compared(m, x, state):
    z, state = m.cell(m.fc(x), state)
    y, _ = m.out(m.deep((z > 0).float()))  # the line that is named
    return y, state


def divided(m, x, state):
    z, state = m.cell(m.fc(x), state)
    return m.out(m.deep(1 / (z + 1)), None)  # the line that is named


def stacked(m, x, state):
    z, state = m.cell(m.fc(x), state)
    return m.out(torch.cat([m.deep(z), m.gate(z)]), None)  # the line that is named


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (product, "'mul' WHERE multiplies two signals, which the synapses of a chip can't"),
        (
            compared,
            "'gt' WHERE is not supported in a network's forward; between layers of neurons supported are",
        ),
        (divided, "'div' WHERE divides by a signal, which is not linear"),
        (stacked, "'cat' WHERE puts samples side by side: give dim=1 for channels"),
    ],
)
def test_unsupported_operations_are_named_with_their_line(step, message):
    start = step.__code__.co_firstlineno
    lines = Path(__file__).read_text().splitlines()[start - 1 :]
    line = start + next(i for i, text in enumerate(lines) if "the line that is named" in text)
    modules = {
        "fc": linear(6, 4, 0),
        "deep": linear(4, 4, 1),
        "gate": linear(4, 4, 2),
        "cell": box(),
        "out": box(),
    }
    where = rf"\(test_module.py, line {line}\)"
    refused(Net(step, **modules), f"^the operation {message.replace('WHERE', where)}")


def test_modules_used_twice_in_a_step():
    def step(m, x, state):
        z, _ = m.cell(m.fc(x))
        return m.cell(m.deep(z))

    module = Net(step, fc=linear(6, 4, 0), deep=linear(4, 4, 1), cell=box())
    refused(module, "^cell is used twice in one step.*give each use a module and a name of its own")


def test_a_cell_that_is_called_input():
    module = Net(lambda m, x, s: m.input(m.fc(x), s), fc=linear(6, 4, 0), input=box())
    refused(module, "^input is used twice in one step, or two modules go by that name")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda m, x, s: (m.deep(m.fc(x)), s),
            "the output of the network must be the spikes of a layer of neurons",
        ),
        (lambda m, x, s: (m.fc(x), s), "the output of the network must be the spikes of a layer of neurons"),
        (lambda m, x, s: (x, s), "the output of the network must be the spikes of a layer of neurons"),
        (
            lambda m, x, s: m.fc(m.cell(m.deep(x))),
            "^the ordinary layers after the last layer of neurons are fed something that is neither spikes nor",
        ),
        (
            lambda m, x, s: m.cell(m.fc(m.cell(m.deep(x)))),
            "^fc is fed something that is neither spikes nor a current",
        ),
        (lambda m, x, s: m.cell(m.fc(s), s), "^fc is fed something that is neither spikes nor a current"),
        (lambda m, x, s: m.cell(m.encoder(m.fc(x))[0]), "^encoder: an encoder stands at the input"),
    ],
)
def test_networks_of_another_form(step, message):
    modules = {"fc": linear(6, 6, 0), "deep": linear(6, 6, 1), "cell": box(), "encoder": RateEncoder(5)}
    refused(Net(step, **modules), message)


@pytest.mark.parametrize(
    "step",
    [
        lambda m, x, s: m.cell(m.fc(x), s)[0],  # no state comes back
        lambda m, x, s: m.cell(m.fc(x), s.v),  # the first state is None
        lambda m, x, s: m.cell(m.fc(m.flat(x)), s),  # flattens the batch as well
    ],
)
def test_forwards_that_can_be_read_but_not_run(step):
    module = Net(step, fc=linear(6, 4, 0), cell=box(), flat=torch.nn.Flatten(0))
    refused(
        module, r"^the forward of Net does not run on an input of shape \(6,\): it must take \(x, state\)"
    )


def test_a_forward_without_a_state():
    class Stateless(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = linear(6, 4, 0), box()

        def forward(self, x):
            return self.cell(self.fc(x))

    refused(Stateless(), "^the forward of Stateless takes no state, .* with None for the first state")


def test_a_forward_that_returns_nothing():
    refused(
        Net(lambda m, x, s: None, fc=linear(6, 4, 0), cell=box()),
        "the output of the network must be the spikes",
    )


# ---- parameters ------------------------------------------------------------------------------------


def chain(*cells, sizes=(6, 5, 4)):
    names = iter(cells)
    return Chain(make=lambda: next(names), sizes=sizes)


def test_shapes_that_do_not_match():
    module = Net(lambda m, x, s: m.cell(m.deep(m.first(m.fc(x))[0])), fc=linear(6, 5, 0), first=box())
    module.deep, module.cell = linear(4, 3, 0), box()
    refused(module, "^deep takes 4 inputs, first before it has 5", InputError)
    refused(Chain(), "^expand takes 6 inputs, input before it has 8", InputError, input_shape=(8,))
    refused(chain(box(v_th=torch.ones(3)), box()), "^hidden has parameters for 3 neurons, its input has 5")
    module = Net(
        lambda m, x, s: m.deep(m.fc(x), s), fc=linear(6, 5, 0), deep=AstrocyteLayer(box(), 4, domain=2)
    )
    refused(module, "^deep has 4 neurons, its input has 5", InputError)
    module = Net(
        lambda m, x, s: m.cell(m.fc(x) + m.deep(x)), fc=linear(6, 5, 0), deep=linear(6, 4, 1), cell=box()
    )
    refused(module, "a sum adds 5 and 4 values", InputError)
    module = Net(lambda m, x, s: m.cell(m.fc(x)[:, 5:]), fc=linear(6, 5, 0), cell=box())
    refused(module, "leaves nothing of values of shape 5", InputError)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(bad):
    module = Nested()
    with torch.no_grad():
        module.blocks[1].weigh[1].weight[0, 0] = bad
    refused(module, r"^blocks\.1\.weigh\.1\.weight holds NaN or infinite values", InputError)
    module = Chain(bias=True)
    with torch.no_grad():
        module.classify.bias[2] = bad
    refused(module, r"^classify\.bias holds NaN or infinite values: train or repair it first", InputError)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (lambda: box(v_th=float("nan")), "hidden.v_threshold holds 5 NaN or infinite values"),
        (
            lambda: box(tau_mem_inv=2000.0),
            r"hidden.tau is 0\.0005 s, shorter than dt = 0\.001 s: choose a smaller dt",
        ),
        (lambda: box(tau_mem_inv=-100.0), r"hidden.tau must be positive \(seconds\), not -0\.01"),
        (lambda: box(v_reset=0.7), r"hidden resets to 0\.7, not below its threshold"),
    ],
)
def test_parameters_that_make_no_neuron(cell, message):
    refused(chain(cell(), box()), f"the network can't be compiled: .*{message}", InputError)


def test_resting_gains_outside_their_range():
    module = Hybrid()
    module.hidden.log_gain.fill_(2.5)
    refused(module, r"hidden_astrocytes has resting gains outside its range, 2\*\*-2\.\.2\*\*2", InputError)


def test_a_membrane_that_never_changes():
    refused(
        chain(box(tau_mem_inv=0.0), box()), "^hidden has tau_mem_inv = 0, with which Norse's neurons never"
    )


def test_soft_resets():
    cell = box()
    cell.p = cell.p._replace(reset_method=reset_subtract)
    assert load(chain(cell, box()))["hidden"].node.reset == "subtract"
    cell.p = cell.p._replace(v_reset=torch.tensor(-0.1))
    refused(chain(cell, box()), "^hidden resets by reset_subtract, where v_reset has no meaning: set it to 0")
    cell.p = cell.p._replace(reset_method=lambda z, v, reset, th: v)
    refused(
        chain(cell, box()), "^hidden resets by <lambda>: supported are Norse's reset_value, reset_subtract"
    )


def test_time_steps_that_do_not_match():
    refused(
        chain(box(dt=1e-3), box(dt=2e-3)),
        r"time steps \[0\.001, 0\.002\]: train them with one dt",
        InputError,
    )
    refused(Chain(), r"^hidden was trained with dt = 0\.001 s, asked for is dt = 0\.002 s", dt=2e-3)
    assert load(Chain(), dt=1e-3).dt == 1e-3
