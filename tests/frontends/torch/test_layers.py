"""Ordinary layers and operations as wirings: each against torch itself, on random values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.layers import layer_of
from astrodeploy.frontends.torch.operations import OPERATIONS
from astrodeploy.frontends.torch.signals import Signal, Term, concatenated
from astrodeploy.ir.wiring import Conv


def values(signal, x):
    """What a Signal of one input says of x (batch, *shape)."""
    flat = x.reshape(len(x), -1)
    total = np.zeros((len(x), signal.size)) + (0 if signal.bias is None else signal.bias)
    for term in signal.terms:
        total = total + (flat if term.wiring is None else term.wiring.deliver(flat))
    return total.reshape(len(x), *signal.shape)


def agrees(module, shape, seed=0):
    """A module in eval mode against the Signal it becomes; the Signal."""
    module = module.double().eval()
    x = np.random.default_rng(seed).normal(size=(3, *shape))
    signal = layer_of(module)("layer", module, Signal((Term("input"),), shape))
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert signal.shape == expected.shape[1:]
    assert np.allclose(values(signal, x), expected, rtol=1e-12, atol=1e-12)
    return signal


def randomised(module, seed=0):
    """Running statistics and gains that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
            if tensor is not None:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
    return module


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_convolutions(data):
    dimensions = data.draw(st.integers(1, 2))
    several = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in range(dimensions))
    groups = data.draw(st.integers(1, 2))
    inputs, outputs = groups * data.draw(st.integers(1, 2)), groups * data.draw(st.integers(1, 3))
    kind = (torch.nn.Conv1d, torch.nn.Conv2d)[dimensions - 1]
    module = kind(
        inputs,
        outputs,
        several(1, 4),
        several(1, 3),
        data.draw(st.sampled_from([several(0, 2), 0])),
        several(1, 2),
        groups,
        data.draw(st.booleans()),
    )
    signal = agrees(module, (inputs, *several(7, 9)))
    assert isinstance(signal.terms[0].wiring, Conv)


@pytest.mark.parametrize("kernel", [3, 4, (2, 5)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_padding_by_name(kernel, padding):
    agrees(torch.nn.Conv2d(2, 3, kernel, padding=padding), (2, 7, 8))


POOLS = {
    "AvgPool2d": (torch.nn.AvgPool2d(2), (3, 6, 4)),
    "with a stride, and a rest": (torch.nn.AvgPool2d((3, 2), (2, 1)), (2, 8, 5)),
    "padded": (torch.nn.AvgPool2d(3, 2, 1), (2, 7, 7)),
    "padded, padding not counted": (torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 7, 7)),
    "a sum": (torch.nn.AvgPool2d(2, divisor_override=1), (2, 4, 4)),
    "divided by 3": (
        torch.nn.AvgPool2d(2, padding=1, divisor_override=3, count_include_pad=False),
        (1, 4, 4),
    ),
    "ceil_mode that rounds nothing": (torch.nn.AvgPool2d(2, ceil_mode=True), (2, 4, 4)),
    "AvgPool1d": (torch.nn.AvgPool1d(3, 2), (4, 9)),
    "adaptive": (torch.nn.AdaptiveAvgPool2d((2, None)), (3, 6, 5)),
    "adaptive, to one": (torch.nn.AdaptiveAvgPool2d(1), (3, 6, 5)),
    "adaptive in one dimension": (torch.nn.AdaptiveAvgPool1d(4), (3, 8)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling_by_averages(name):
    agrees(*POOLS[name])


def test_pooling_by_norm_1_is_a_sum():
    """torch's own goes by way of the absolute value, so that only what is not negative is a sum."""
    module = torch.nn.LPPool2d(1, 2).double()
    x = np.random.default_rng(0).random((3, 2, 4, 6))
    signal = layer_of(module)("layer", module, Signal((Term("input"),), (2, 4, 6)))
    assert np.allclose(values(signal, x), module(torch.from_numpy(x)).numpy())


OTHERS = {
    "Linear": (torch.nn.Linear(5, 3), (5,)),
    "Linear over the last dimension": (torch.nn.Linear(5, 3), (2, 4, 5)),
    "BatchNorm1d": (randomised(torch.nn.BatchNorm1d(4)), (4,)),
    "BatchNorm1d over a line": (randomised(torch.nn.BatchNorm1d(4)), (4, 5)),
    "BatchNorm2d": (randomised(torch.nn.BatchNorm2d(3)), (3, 4, 2)),
    "BatchNorm2d without gains": (torch.nn.BatchNorm2d(3, affine=False), (3, 4, 2)),
    "Flatten": (torch.nn.Flatten(), (3, 4, 2)),
    "Flatten of two": (torch.nn.Flatten(2), (3, 4, 2)),
    "Unflatten": (torch.nn.Unflatten(1, (2, 3)), (6,)),
    "Dropout": (torch.nn.Dropout(0.5), (3, 2)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers(name):
    agrees(*OTHERS[name])


def test_a_convolution_its_normalisation_and_its_pooling_are_one_convolution():
    conv = torch.nn.Conv2d(2, 3, 3, stride=1, padding=1).double()
    norm, pool = randomised(torch.nn.BatchNorm2d(3)).double().eval(), torch.nn.AvgPool2d(2)
    signal = Signal((Term("input"),), (2, 6, 8))
    for module in (conv, norm, pool):
        signal = layer_of(module)("layer", module, signal)
    wiring = signal.terms[0].wiring
    assert isinstance(wiring, Conv)
    assert wiring.values.shape == (3, 2, 4, 4)
    x = np.random.default_rng(1).normal(size=(2, 2, 6, 8))
    with torch.no_grad():
        assert np.allclose(values(signal, x), pool(norm(conv(torch.from_numpy(x)))).numpy())


WEIGHT = torch.randn(4, 2, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FUNCTIONS = {
    "scaled": (lambda x: x * 2.5, [("mul", 2.5)]),
    "by channel": (
        lambda x: torch.arange(2.0).reshape(2, 1, 1) * x,
        [("mul", torch.arange(2.0).reshape(2, 1, 1))],
    ),
    "divided": (lambda x: x / 4, [("truediv", 4)]),
    "negative": (lambda x: -x, [("neg",)]),
    "shifted": (lambda x: x - 0.5, [("sub", 0.5)]),
    "flatten": (lambda x: x.flatten(1), [("flatten", 1)]),
    "view": (lambda x: x.view(len(x), 2, -1), [("view", 2, 2, -1)]),
    "permute": (lambda x: x.permute(0, 2, 3, 1), [("permute", 0, 2, 3, 1)]),
    "transpose": (lambda x: x.transpose(1, 2), [("transpose", 1, 2)]),
    "part": (lambda x: x[:, :, 1:3, 0], [("getitem", (slice(None), slice(None), slice(1, 3), 0))]),
    "flip": (lambda x: x.flip(2), [("flip", 2)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), [("avg_pool2d", 2)]),
    "conv2d": (lambda x: F.conv2d(x, WEIGHT, None, 2, 1), [("conv2d", WEIGHT, None, 2, 1)]),
    "linear": (lambda x: F.linear(x, WEIGHT[0, 0]), [("linear", WEIGHT[0, 0])]),
    "matmul": (lambda x: x @ WEIGHT[0, 0], [("matmul", WEIGHT[0, 0])]),
    "mean": (lambda x: x.mean((2, 3)), [("mean", (2, 3))]),
    "sum": (lambda x: x.sum(-2, keepdim=True), [("sum", -2, True)]),
    "two of them": (lambda x: (3 * x).squeeze(1) + 0, [("mul", 3), ("squeeze", 1), ("add", 0)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name):
    function, operations = FUNCTIONS[name]
    shape = (2, 4, 2)
    x = np.random.default_rng(0).normal(size=(3, *shape))
    signal = Signal((Term("input"),), shape)
    for operation, *arguments in operations:
        signal = OPERATIONS[operation]("", signal, *arguments)
    expected = function(torch.from_numpy(x)).numpy()
    assert signal.shape == expected.shape[1:]
    assert np.allclose(values(signal, x), expected)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenation(axis):
    x = np.random.default_rng(0).normal(size=(3, 2, 2))
    one = Signal((Term("input"),), (2, 2))
    parts = (one.scaled(np.array(2.0)), one, one.raised(np.array(1.0)))
    expected = np.concatenate([2 * x, x, x + 1], axis)
    assert np.allclose(values(concatenated(parts, axis), x), expected)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "layer pads by 'reflect'"),
        (torch.nn.AvgPool2d(2, ceil_mode=True), (1, 5, 5), "layer rounds its output's size up"),
        (torch.nn.LPPool2d(2, 2), (1, 4, 4), "layer pools by norm 2"),
        (torch.nn.AdaptiveAvgPool2d(2), (1, 5, 4), "layer divides 5x4 into 2x2 unequal windows"),
        (torch.nn.BatchNorm2d(2), (2, 3, 3), r"layer is in training mode.*call module\.eval\(\) first"),
        (
            torch.nn.BatchNorm1d(2, track_running_stats=False).eval(),
            (2,),
            "layer keeps no running statistics",
        ),
        (torch.nn.Flatten(0), (2, 3), "layer moves values from one sample of the batch to another"),
    ],
)
def test_what_is_refused(module, shape, message):
    with pytest.raises(UnsupportedError, match=message):
        layer_of(module)("layer", module, Signal((Term("input"),), shape))


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (torch.nn.Conv2d(2, 1, 3), (1, 5, 5), "layer takes 2 channels, input before it has 1x5x5"),
        (torch.nn.Conv2d(2, 1, 3), (10,), r"layer takes \(channels, height, width\), input before it has 10"),
        (torch.nn.Conv1d(2, 1, 3), None, r"layer does not tell its input's shape: give input_shape"),
        (torch.nn.Linear(4, 2), (2, 2), "layer takes 4 inputs, input before it has 2x2"),
        (torch.nn.Conv1d(1, 1, 9), (1, 5), "has no output on an input of"),
        (torch.nn.Unflatten(1, (2, 2)), (5,), "layer does not take values of shape 5"),
        (torch.nn.BatchNorm1d(3).eval(), (2,), "layer takes 3 channels, input before it has 2"),
    ],
)
def test_shapes_that_do_not_fit(module, shape, message):
    with pytest.raises(InputError, match=message):
        layer_of(module)("layer", module, Signal((Term("input"),), shape))
