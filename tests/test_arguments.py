"""Every argument of the public functions with wrong values: one error of ours that names the argument or the value."""

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy import arguments
from astrodeploy.errors import AstrodeployError, InputError

NO_NUMBERS = ("1e-3", "", None.__class__, [1e-3], (), {}, date(2020, 1, 1), 1j, True, np.array([1e-3, 2e-3]))
NO_TIME_STEPS = (-1, 0, 0.0, -0.001, math.nan, math.inf, -math.inf, np.float32("nan"), *NO_NUMBERS)
NO_COUNTS = (0, -1, -(10**30), 1.5, 2.0, math.nan, math.inf, "8", "", [3], True)
NO_SHAPES = (
    (0,),
    (-1,),
    (2.5,),
    ("6",),
    "6",
    "",
    (),
    [],
    {},
    {6: 1},
    0,
    -1,
    1.5,
    math.nan,
    True,
    (math.inf,),
    [[6]],
)
NO_NAMES = ("", "nosuch", 5, 1.5, True, math.nan, (), [], ["fast"], {}, b"fast")
NO_LISTS = ("astrocytes", "", "fast", 5, ("nosuch",), (5,), [None], {"nosuch": 1}, ("",), math.nan)


@pytest.fixture(scope="module")
def chain():
    return ad.compile(Chain())


@pytest.fixture(scope="module")
def hybrid():
    return ad.compile(Hybrid())


def refused(what, value, act, also=()):
    """That it raises an error of ours, whose sentence names the argument or the value."""
    with pytest.raises(AstrodeployError) as caught:
        act(value)
    said = str(caught.value)
    assert any(word in said for word in (what, repr(value), str(value), *also) if word), said


SOURCES = {
    "module": Chain,
    "graph": lambda: ad.load(Chain()),
    "missing file": lambda: "nosuch.pt",
}


@pytest.mark.parametrize("value", NO_TIME_STEPS, ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_time_steps(value, source, tmp_path):
    made = SOURCES[source]()
    for act in (
        lambda dt: ad.load(made, dt=dt),
        lambda dt: ad.compile(made, dt=dt),
        lambda dt: ad.compile(made, "nosuch", dt=dt),
        lambda dt: ad.export(made, tmp_path / "net.nir", dt=dt),
        lambda dt: ad.save(made, tmp_path / "net.pt", dt=dt, input_shape=(6,)),
    ):
        with pytest.raises(InputError, match="^dt must be a positive number of seconds, not "):
            act(value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", NO_SHAPES, ids=str)
def test_shapes(value, tmp_path):
    for act in (
        lambda shape: ad.load(Chain(), input_shape=shape),
        lambda shape: ad.compile(Chain(), input_shape=shape),
        lambda shape: ad.export(Chain(), tmp_path / "net.nir", input_shape=shape),
        lambda shape: ad.save(Chain(), tmp_path / "net.pt", dt=1e-3, input_shape=shape),
    ):
        refused("input_shape", value, act)
    assert not list(tmp_path.iterdir())


def test_shapes_that_are():
    for shape in ((6,), [6], np.array([6]), (np.int64(6),)):
        assert ad.load(Chain(), input_shape=shape).input.shape == (6,)


@pytest.mark.parametrize("value", NO_COUNTS, ids=str)
def test_counts(value, hybrid):
    refused("reset_every", value, lambda n: ad.compile(Chain(), reset_every=n))
    refused("steps", value, lambda n: hybrid.run(values(), steps=n))
    refused("steps", value, lambda n: ad.verify(hybrid, values(), steps=n))
    refused("steps", value, lambda n: ad.estimate(hybrid, rates=0.1, steps=n))
    refused("steps", value, lambda n: ad.what_if(hybrid, rates=0.1, vary={"steps": [n]}))


@pytest.mark.parametrize("value", NO_NAMES, ids=str)
def test_names(value, chain):
    x = spikes(samples=2)
    refused("target", value, lambda name: ad.compile(Chain(), name))
    refused("pack", value, lambda name: ad.compile(Chain(), pack=name))
    refused("model", value, lambda name: ad.compile(Chain(), model=name))
    for rule in ("reset", "threshold", "if_r"):
        refused(rule, value, lambda name, rule=rule: ad.load(Chain(), **{rule: name}))
    refused("engine", value, lambda name: chain.run(x, engine=name))
    refused("model", value, lambda name: ad.estimate(chain, x, model=name))
    refused("timing", value, lambda name: ad.estimate(chain, x, timing=name))
    refused("model", value, lambda name: ad.what_if(chain, x, vary={"model": [name]}))
    refused("timing", value, lambda name: ad.what_if(chain, x, vary={"timing": [name]}))
    refused("target", value, lambda name: ad.what_if(chain, x, vary={"board": [name]}))


@pytest.mark.parametrize("value", NO_LISTS, ids=str)
def test_lists_of_names(value, chain):
    x = spikes(samples=2)
    refused("carry", value, lambda several: chain.run(x, carry=several), also=("carried",))
    refused("probe", value, lambda several: chain.run(x, probes=several))
    refused("engines", value, lambda several: ad.verify(chain, x, several))
    refused("carry", value, lambda several: ad.verify(chain, x, carry=several), also=("carried",))


@pytest.mark.parametrize(
    "value", (-0.1, 1.1, math.nan, math.inf, "0.1", None.__class__, [0.1], True, 1j), ids=str
)
def test_rates(value, chain):
    for act in (
        lambda rate: ad.estimate(chain, rates=rate),
        lambda rate: ad.estimate(chain, rates={"input": 0.1, "hidden": rate, "readout": 0.1}),
        lambda rate: ad.what_if(chain, rates=0.1, vary={"rate": [rate]}),
    ):
        refused("rate", value, act)


@pytest.mark.parametrize(
    "value", (5, 1.5, "", "nosuch.pt", "nosuch:function", None, [], {}, b"net.pt", Chain), ids=str
)
def test_sources(value, tmp_path):
    for act in (ad.load, ad.compile, lambda source: ad.export(source, tmp_path / "net.nir")):
        refused("files that can be compiled", value, act, also=(type(value).__name__,))
    refused(
        "",
        value,
        lambda module: ad.save(module, tmp_path / "n.pt", dt=1e-3, input_shape=(6,)),
        also=("module",),
    )


@pytest.mark.parametrize(
    "value", (5, "x", None, [[0] * 6, [0] * 5], {}, math.nan, b"", object()), ids=lambda v: type(v).__name__
)
def test_stimuli(value, chain, tmp_path):
    for act in (
        chain.run,
        lambda x: ad.verify(chain, x),
        lambda x: ad.report(chain, x, path=tmp_path / "report.html"),
    ):
        if value is None and act is not chain.run:
            continue
        refused("stimulus", value, act)


@settings(max_examples=200, deadline=None)
@given(st.floats() | st.integers())
def test_a_time_step_is_a_positive_number_and_nothing_else(value):
    good = value > 0 and math.isfinite(value)
    if good:
        arguments.time_step(value)
    else:
        with pytest.raises(InputError, match="dt must be a positive number"):
            arguments.time_step(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 5), max_size=4))
def test_a_shape_is_of_positive_whole_numbers(value):
    if value and all(n > 0 for n in value):
        assert arguments.shape(value) == tuple(value)
    else:
        with pytest.raises(InputError, match="input_shape must be whole numbers of at least 1"):
            arguments.shape(value)
