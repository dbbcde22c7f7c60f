"""Reading a module leaves it as it was, whatever its forward assigns, and whether it is taken or refused."""

import contextlib
import threading
from collections import deque
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_networks import Chain, Hybrid, Nested, box, cuba, sequential, spikes

import astrodeploy as ad
from astrodeploy.errors import AstrodeployError, InputError, UnsupportedError
from astrodeploy.nn import Astrocyte
from astrodeploy.pipeline import load


def snapshot(value, seen=None):
    """A value with all that it leads to, as plain data: identities of objects, and numbers of tensors."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = ("again", id(value))
    if isinstance(value, torch.Tensor):
        grad = value.grad.tolist() if value.is_leaf and value.grad is not None else None
        return id(value), type(value), value.dtype, value.detach().tolist(), value.requires_grad, grad
    if isinstance(value, dict):
        return id(value), [(key, snapshot(each, seen)) for key, each in value.items()]
    if isinstance(value, list | tuple | deque):
        return id(value), [snapshot(each, seen) for each in value]
    if isinstance(value, torch.nn.Module | SimpleNamespace):
        return id(value), snapshot(vars(value), seen)
    return id(value), repr(value)


def does(name):
    """What a forward may do beside computing, by name; it takes the module, an input and a current."""
    return ACTIONS[name]


def fail(module, x, current):
    module.broken = current
    raise ValueError("it does not run")


ACTIONS = {
    "keeps a tensor": lambda m, x, c: setattr(m, "last", c),
    "keeps it in a child": lambda m, x, c: setattr(m.hidden, "last", c),
    "keeps it in a list": lambda m, x, c: m.log.append(c),
    "keeps it in a deque": lambda m, x, c: m.recent.append(c),
    "keeps it in a dict": lambda m, x, c: m.notes.__setitem__("last", c),
    "keeps it in an object": lambda m, x, c: setattr(m.settings, "last", c),
    "counts": lambda m, x, c: setattr(m, "steps", getattr(m, "steps", 0) + 1),
    "counts in a buffer": lambda m, x, c: m.count.add_(1),
    "replaces a buffer": lambda m, x, c: setattr(m, "count", m.count + 1),
    "overwrites a weight": lambda m, x, c: m.expand.weight.data.mul_(1.0),
    "sets what a cell has": lambda m, x, c: setattr(
        m.hidden, "p", m.hidden.p._replace(v_th=torch.tensor(0.4))
    ),
    "computes what a cell has": lambda m, x, c: setattr(
        m.hidden, "p", m.hidden.p._replace(v_th=torch.sigmoid(m.raw))
    ),
    "lets a cell follow the input": lambda m, x, c: setattr(
        m.hidden, "p", m.hidden.p._replace(v_th=x.mean())
    ),
    "deletes an attribute": lambda m, x, c: vars(m).pop("steps", None),
    "trains": lambda m, x, c: m.train(),
    "makes a module": lambda m, x, c: setattr(m, "made", torch.nn.Linear(2, 2)),
    "hooks itself": lambda m, x, c: m.hidden.register_forward_hook(lambda *_: None),
    "branches on data": lambda m, x, c: bool(x.sum() > 0),
    "raises": fail,
}


class Busy(Chain):
    """A chain whose forward does some of the actions too."""

    def __init__(self, names, make):
        super().__init__(make=make)
        self.names, self.log, self.recent, self.notes = names, [], deque(maxlen=3), {"first": 1}
        self.steps, self.settings = 0, SimpleNamespace(gain=1.0)
        self.raw = torch.nn.Parameter(torch.tensor(0.1))
        self.register_buffer("count", torch.zeros(1))
        self.expand.register_forward_hook(lambda module, given, made: None)

    def forward(self, x, state=None):
        hidden, readout = (None, None) if state is None else state
        current = self.expand(x)
        for name in self.names:
            does(name)(self, x, current)
        z, hidden = self.hidden(current, hidden)
        z, readout = self.readout(self.classify(z), readout)
        return z, (hidden, readout)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(ACTIONS)), max_size=3, unique=True),
    st.sampled_from([box, cuba]),
    st.booleans(),
)
def test_a_module_is_as_it_was_after_it_was_read_or_refused(names, make, training):
    module = Busy(names, make).train(training)
    module(torch.from_numpy(spikes()[:, 0]).float())[0].sum().backward() if "raises" not in names else None
    before = snapshot(module)
    with contextlib.suppress(AstrodeployError):
        load(module)
    assert snapshot(module) == before


def compiled(module, path):
    ad.compile(module, dt=1e-3)


def exported(module, path):
    ad.export(module, path / "net.nir", dt=1e-3)


def saved(module, path):
    ad.save(module, path / "net.pt", dt=1e-3, input_shape=(6,))


@pytest.mark.parametrize("does", [compiled, exported, saved])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Busy(["keeps a tensor", "counts", "keeps it in a list"], box),
        lambda: Busy(["lets a cell follow the input"], box),
        Nested,
        Hybrid,
        sequential,
    ],
)
def test_every_way_to_read_a_module_leaves_it(make, does, tmp_path):
    module = make()
    before = snapshot(module)
    with contextlib.suppress(AstrodeployError):
        does(module, tmp_path)
    assert snapshot(module) == before


def test_a_constant_that_the_trace_made_is_not_left_in_the_module():
    class Masked(Chain):
        def forward(self, x, state=None):
            return super().forward(x * torch.ones(6), state)

    module = Masked()
    before = set(vars(module))
    assert load(module).layers == ("input", "hidden", "readout")
    assert set(vars(module)) == before


def test_what_can_not_be_copied_is_named():
    module = Chain()
    module.hidden.lock = threading.Lock()
    with pytest.raises(UnsupportedError, match=r"Chain can't be copied.*its hidden\.lock is a lock"):
        load(module)


# ---- what is assigned to a module that is called -------------------------------------------------


class Assigning(Chain):
    """A threshold that the forward sets: `given` makes it of the module, the input and the state."""

    def __init__(self, given):
        super().__init__()
        self.given, self.raw = given, torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, x, state=None):
        self.hidden.p = self.hidden.p._replace(v_th=self.given(self, x))
        return super().forward(x, state)


def test_what_follows_from_parameters_is_worked_out():
    graph = load(Assigning(lambda m, x: torch.sigmoid(m.raw)))
    assert graph["hidden"].node.v_threshold == pytest.approx(1 / (1 + 2.718281828**-0.3))
    assert load(Assigning(lambda m, x: torch.tensor(0.25)))["hidden"].node.v_threshold == pytest.approx(0.25)


def test_the_last_value_before_the_call_counts():
    class Twice(Assigning):
        def forward(self, x, state=None):
            self.hidden.p = self.hidden.p._replace(v_th=torch.tensor(7.0))
            y = super().forward(x, state)
            self.hidden.p = self.hidden.p._replace(v_th=torch.tensor(9.0))
            return y

    graph = load(Twice(lambda m, x: 2 * m.raw))
    assert graph["hidden"].node.v_threshold == pytest.approx(0.6)


def test_what_follows_from_the_input_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"hidden\.p is computed from the input or the state"):
        load(Assigning(lambda m, x: x.mean()))


class Slow(torch.nn.Module):
    """An astrocyte whose settings a forward computes."""

    def __init__(self, name, value):
        super().__init__()
        self.weigh, self.slow = torch.nn.Linear(6, 4, bias=False), Astrocyte(4, decay=0.1, output="tanh")
        self.name, self.value, self.raw = name, value, torch.nn.Parameter(torch.tensor(-2.0))

    def forward(self, x, state=None):
        setattr(self.slow, self.name, self.value(self.raw))
        return self.slow(self.weigh(x), state)


@pytest.mark.parametrize("name", ["decay", "drive", "offset"])
def test_an_astrocytes_numbers_may_be_learnt(name):
    node = load(Slow(name, torch.sigmoid))["slow"].node
    assert getattr(node, name) == pytest.approx(0.1192029, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("period", torch.sigmoid),
        ("output", lambda raw: "cube"),
        ("exponent", lambda raw: "two"),
        ("decay", str),
    ],
)
def test_numbers_that_are_none_are_refused_in_a_sentence(name, value):
    with pytest.raises(InputError, match=r"slow"):
        load(Slow(name, value))
