"""A forward that changes with steps is found by what it keeps in Python, whatever the step; one that records is taken."""

from collections import deque
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_networks import Chain, box

from astrodeploy.errors import UnsupportedError
from astrodeploy.pipeline import load

FAR = 10**6  # steps, of which no check can run so many
TIMES = 0


class Held(Chain):
    """A chain whose current goes through `kept(module, current)` in every step."""

    def __init__(self, kept):
        super().__init__()
        self.kept, self.t, self.total, self.log = kept, 0, 0.0, []
        self.recent, self.settings = deque(maxlen=5), SimpleNamespace(t=0, gain=1.0)
        self.notes, self.late, self.numbers = {"t": 0, "gain": 1.0}, False, count()
        self.register_buffer("count", torch.zeros(()))
        self.parts = torch.nn.ModuleDict()
        self.expand.t = self.readout.t = self.parts.t = 0
        self.expand.register_buffer("count", torch.zeros(()))

    def forward(self, x, state=None):
        hidden, readout = (None, None) if state is None else state
        z, hidden = self.hidden(self.kept(self, self.expand(x)), hidden)
        z, readout = self.readout(self.classify(z), readout)
        self.seen(z)
        return z, (hidden, readout)

    def seen(self, z):
        """Nothing; a recorder may be put here."""


def counter(m, c):
    m.t += 1
    return c * 0 if m.t > FAR else c


def in_an_object(m, c):
    m.settings.t += 1
    return c * 0 if m.settings.t > FAR else c * m.settings.gain


def in_a_dict(m, c):
    m.notes["t"] += 1
    return c * 0 if m.notes["t"] > FAR else c * m.notes["gain"]


def by_length(m, c):
    m.log.append(1)
    return c * 0 if len(m.log) > FAR else c


def by_a_flag(m, c):
    m.t += 1
    m.late = m.late or m.t > FAR
    return c * 0 if m.late else c


def in_a_buffer(m, c):
    m.count += 1
    return torch.where(m.count > FAR, c * 0, c)


def in_a_new_buffer(m, c):
    m.count = m.count + 1
    return c * (m.count < FAR)


def as_a_factor(m, c):
    m.t += 1
    return c * (1 + m.t // FAR)


def in_a_generator(m, c):
    return c * 0 if next(m.numbers) > FAR else c


def globally(m, c):
    global TIMES
    TIMES += 1
    return c * 0 if TIMES > FAR else c


def fading(m, c):
    m.expand.weight.data.mul_(1 - 1e-12)
    return c


def on_a_layer(m, c):
    m.expand.t += 1
    return c * 0 if m.expand.t > FAR else c


def on_a_cell(m, c):
    m.readout.t += 1
    return c * 0 if m.readout.t > FAR else c


def on_a_container(m, c):
    m.parts.t += 1
    return c * (m.parts.t < FAR)


def in_a_buffer_of_a_layer(m, c):
    m.expand.count.add_(1)
    return c * (m.expand.count < FAR)


def by_a_set(m, c):
    m.t += 1
    return c * 0 if m.t in {FAR} else c


def by_a_dict(m, c):
    m.t += 1
    return c * {FAR: 0.0}.get(m.t, 1.0)


def by_a_dict_of_pairs(m, c):
    m.t += 1
    return c * {(1, FAR // 2): 0.0}.get((1, m.t // 2), 1.0)


def by_a_caught_key(m, c):
    m.t += 1
    try:
        return c * {FAR: 0.0}[m.t]
    except KeyError:
        return c


def by_a_name(m, c):
    m.t += 1
    return c * getattr(m, f"gain_{m.t}", 1.0)


CHANGING = {
    f.__name__: (f, name)
    for f, name in (
        (counter, "t"),
        (in_an_object, r"settings\.t"),
        (in_a_dict, r"notes\.t"),
        (by_length, "log"),
        (by_a_flag, "t"),
        (on_a_layer, r"expand\.t"),
        (on_a_cell, r"readout\.t"),
        (on_a_container, r"parts\.t"),
        (in_a_buffer_of_a_layer, r"expand\.count"),
        (by_a_set, "t"),
        (by_a_dict, "t"),
        (by_a_dict_of_pairs, "t"),
        (by_a_caught_key, "t"),
        (by_a_name, "t"),
        (in_a_buffer, "count"),
        (in_a_new_buffer, "count"),
        (as_a_factor, "t"),
        (fading, r"expand\.weight"),
    )
}


@pytest.mark.parametrize("name", CHANGING)
def test_what_changes_after_more_steps_than_are_checked_is_refused_by_name(name):
    kept, path = CHANGING[name]
    with pytest.raises(UnsupportedError, match=rf"^{path} changes from step to step.*the same in every step"):
        load(Held(kept))


def test_the_line_that_branches_is_told():
    with pytest.raises(
        UnsupportedError, match=r"t changes .*test_held\.py, line \d+: return c \* 0 if m\.t > FAR"
    ):
        load(Held(counter))
    with pytest.raises(UnsupportedError, match=r"test_held\.py, line \d+: return c \* \{FAR: 0\.0\}\.get"):
        load(Held(by_a_dict))


RECORDERS = {
    "the last": lambda m, z: setattr(m, "last", z),
    "all": lambda m, z: m.log.append(z),
    "some": lambda m, z: m.recent.append(z),
    "in a dict": lambda m, z: m.notes.__setitem__("spikes", z),
    "a sum": lambda m, z: setattr(m, "total", m.total + z.sum()),
    "a count": lambda m, z: setattr(m, "t", m.t + 1),
    "a sum in a buffer": lambda m, z: m.count.add_(z.sum()),
    "on a layer": lambda m, z: setattr(m.expand, "t", m.expand.t + 1),
    "on a cell": lambda m, z: setattr(m.readout, "t", m.readout.t + z.sum()),
    "on a container": lambda m, z: setattr(m.parts, "last", z),
    "in an object": lambda m, z: setattr(m.settings, "last", z),
}


class Recording(Held):
    """It writes down what it does, and nothing reads that."""

    def __init__(self, names):
        super().__init__(lambda m, c: c * m.settings.gain * m.notes["gain"])
        self.names = names

    def seen(self, z):
        for name in self.names:
            RECORDERS[name](self, z)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(RECORDERS)), unique=True))
def test_what_is_only_written_down_is_no_matter(names):
    assert load(Recording(names)).text() == load(Held(lambda m, c: c)).text()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(sorted(RECORDERS)), unique=True), st.sampled_from(sorted(CHANGING)))
def test_a_counter_is_found_among_recorders(names, changing):
    module = Recording(names)
    module.kept = CHANGING[changing][0]
    with pytest.raises(UnsupportedError, match="changes from step to step"):
        load(module)


def test_a_value_handed_on_by_attributes_is_found():
    def chained(m, c):
        m.first, m.second = c, getattr(m, "first", 0.0)
        return c + 1e-30 * m.second

    with pytest.raises(UnsupportedError, match="first changes from step to step, and what the forward"):
        load(Held(chained))


class Class(Chain):
    """It counts in its class."""

    steps = 0

    def forward(self, x, state=None):
        Class.steps += 1
        return super().forward(x * 0 if Class.steps > FAR else x, state)


class Global(Chain):
    """It counts in its file."""

    def forward(self, x, state=None):
        global TIMES
        TIMES += 1
        return super().forward(x * 0 if TIMES > FAR else x, state)


@pytest.mark.parametrize(("make", "name"), [(Class, r"Class\.steps"), (Global, "the global TIMES")])
def test_counters_outside_of_the_module_are_found(make, name):
    with pytest.raises(UnsupportedError, match=rf"{name} changes from step to step"):
        load(make())


def test_a_cell_of_the_users_own_may_record_and_not_count():
    cell = type(box())

    class Records(cell):
        def forward(self, x, state=None):
            z, state = super().forward(x, state)
            self.log.append(z)
            return z, state

    class Counts(Records):
        def forward(self, x, state=None):
            z, state = super().forward(x, state)
            return (z * 0 if len(self.log) > FAR else z), state

    for kind in (Records, Counts):
        module = Chain()
        module.hidden = kind(box().p, dt=1e-3)
        module.hidden.log = []
        if kind is Records:
            assert load(module).layers == ("input", "hidden", "readout")
        else:
            with pytest.raises(UnsupportedError, match=r"hidden\.log changes from step to step"):
                load(module)


def test_a_lazy_mask_is_made_once():
    class Lazy(Chain):
        mask = None

        def forward(self, x, state=None):
            if self.mask is None:
                self.mask = torch.tensor([1.0, 1, 1, 0, 0, 0])
            return super().forward(x * self.mask, state)

    assert load(Lazy(), input_shape=(6,)).layers == ("input", "hidden", "readout")


# ---- in what a forward calls --------------------------------------------------------------------


class Counter:
    """A callable object that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, c):
        self.calls += 1
        return c * 0 if self.calls > FAR else c


CALLS, COUNTER = [0], Counter()


def closure():
    calls = [0]

    def counted(c):
        calls[0] += 1
        return c * 0 if calls[0] > FAR else c

    return counted


def nonlocal_closure():
    calls = 0

    def counted(c):
        nonlocal calls
        calls += 1
        return c * 0 if calls > FAR else c

    return counted


def counted_in_a_global(c):
    CALLS[0] += 1
    return c * 0 if CALLS[0] > FAR else c


def counted_in_a_function(c):
    counted_in_a_function.calls += 1
    return c * 0 if counted_in_a_function.calls > FAR else c


counted_in_a_function.calls = 0


def counted_in_a_default(c, calls=[0]):  # noqa: B006 - such is what is to be found
    calls[0] += 1
    return c * 0 if calls[0] > FAR else c


def counted_in_a_generator():
    waiting = iter(range(FAR))
    return lambda c: c * (next(waiting) < FAR)


CALLED = {
    "an object": (Counter, "called.calls"),
    "a bound method": (lambda: Counter().__call__, "called.calls"),
    "a closure": (closure, "the variable calls"),
    "a nonlocal variable": (nonlocal_closure, "the variable calls"),
    "a partial function": (lambda: partial(closure()), "the variable calls"),
    "a global": (lambda: counted_in_a_global, "the global CALLS"),
    "a global object": (lambda: lambda c: COUNTER(c), "the global COUNTER.calls"),
    "a function's attribute": (lambda: counted_in_a_function, "counted_in_a_function.calls"),
    "a default": (lambda: counted_in_a_default, "a default of counted_in_a_default"),
    "an iterator": (counted_in_a_generator, "the variable waiting"),
    "a function of a function": (lambda: lambda c: counted_in_a_global(c), "the global CALLS"),
    "a function in a list": (lambda: [closure()], "the variable calls"),
}


class Calling(Chain):
    """It calls something in every step."""

    def __init__(self, called):
        super().__init__()
        self.called = called

    def forward(self, x, state=None):
        called = self.called[0] if isinstance(self.called, list) else self.called
        return super().forward(called(x), state)


@pytest.mark.parametrize("name", CALLED)
def test_a_counter_in_what_a_forward_calls_is_found(name):
    make, path = CALLED[name]
    with pytest.raises(UnsupportedError, match=rf"{path}.* changes from step to step"):
        load(Calling(make()), input_shape=(6,))


def test_a_hook_that_counts_is_found_and_one_that_records_is_no_matter():
    counted, spikes, last = closure(), [], {}

    def keep(module, given, result):
        last["hidden"] = result[0]

    module = Chain()
    module.expand.register_forward_hook(lambda m, given, result: spikes.append(result))
    module.hidden.register_forward_hook(keep)
    assert load(module).text() == load(Chain()).text()
    module.expand.register_forward_pre_hook(lambda m, given: (counted(given[0]),))
    with pytest.raises(UnsupportedError, match="the variable calls changes from step to step"):
        load(module)


class Recorder:
    """A callable object that writes down what it is given."""

    def __init__(self):
        self.last, self.all, self.by_name = None, [], {}

    def __call__(self, c):
        self.last, self.by_name["x"] = c, c
        self.all.append(c)
        return c


def test_a_callable_that_records_is_no_matter():
    seen = []

    def recorded(c):
        seen.append(c)
        return c

    for called in (Recorder(), recorded):
        assert load(Calling(called), input_shape=(6,)).layers == ("input", "hidden", "readout")


def test_a_hook_that_hands_on_what_it_kept_is_found():
    late = []

    def hook(_m, _i, out):
        late.append(out[0])
        return (late[-2] if len(late) > 1 else out[0] * 0), out[1]

    module = Chain()
    module.readout.register_forward_hook(hook)
    with pytest.raises(UnsupportedError, match="the variable late changes from step to step"):
        load(module)
