"""The chip's operations on tensors: forward as `arithmetic` has them, backward a gradient that trains."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy import arithmetic
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.finetune.straight_through import floored, functions, rounded, rounded_bias
from astrodeploy.ir.numbers import BIAS, Rounded, bias_format

WIDTH = torch.tensor([1000.0], dtype=torch.float64)
STATES = st.lists(st.integers(-(1 << 24), 1 << 24), min_size=1, max_size=8)


def tensor(values, **settings):
    return torch.tensor(values, dtype=torch.float64, **settings)


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "minimum", "maximum", "less", "less_equal", "equal"]
)
@given(STATES, st.integers(-(1 << 24), 1 << 24))
@settings(max_examples=20, deadline=None)
def test_two_operands_as_in_the_chips_arithmetic(name, values, other):
    expected = arithmetic.OPERATIONS[name](np.array(values), np.full(len(values), other))
    got = functions(WIDTH, True)[name](tensor(values), tensor([other]))
    assert np.array_equal(got.numpy(), expected)


@pytest.mark.parametrize("name", ["shift_left", "shift_floor", "shift_toward_zero"])
@given(STATES, st.integers(0, 16))
@settings(max_examples=20, deadline=None)
def test_shifts_as_in_the_chips_arithmetic(name, values, bits):
    expected = arithmetic.OPERATIONS[name](np.array(values), bits)
    for given_bits in (bits, tensor([bits])):
        got = functions(WIDTH, True)[name](tensor(values), given_bits)
        assert np.array_equal(got.numpy(), expected)


@given(STATES, st.integers(4, 24))
@settings(max_examples=50, deadline=None)
def test_wrap_and_saturate_as_in_the_chips_arithmetic(values, bits):
    chip = functions(WIDTH, True)
    edge = 1 << (bits - 1)
    values = [*values, edge, -edge, edge + 1, 3 * edge]
    assert np.array_equal(chip["wrap"](tensor(values), bits).numpy(), arithmetic.wrap(np.array(values), bits))
    held = chip["saturate"](tensor(values), -edge, edge - 1).numpy()
    assert np.array_equal(held, np.clip(values, -edge, edge - 1))


def test_every_operation_of_every_neuron_is_there():
    variants = [Variant(), Variant(gain=True, reset="subtract", comparison=">=", refractory=True)]
    variants += [Variant(sends="membrane"), Variant(gain=True, sends="rectified"), Variant(reset="none")]
    for chip in (True, False):
        for variant in variants:
            assert neuron(variant).operations_used <= set(functions(WIDTH, chip))


def test_what_rounds_passes_the_gradient_on():
    values = tensor([-2.5, 0.4, 1.6, 700.0], requires_grad=True)
    assert rounded(values).tolist() == [-2, 0, 2, 700]
    assert floored(values, -1).tolist() == [-2, 0, 0, 350]
    (rounded(values) + 10 * floored(values, -1)).sum().backward()
    assert values.grad.tolist() == [6.0] * 4  # 1, and ten times a half
    values.grad = None
    functions(WIDTH, True)["shift_toward_zero"](values * 3, 1).sum().backward()
    assert values.grad.tolist() == [1.5] * 4


def test_a_spike_has_the_gradient_of_its_distance_to_the_threshold_and_its_reset_has_none():
    v = tensor([500.0, 1001.0, 4000.0], requires_grad=True)
    chip = functions(WIDTH, True)
    spike = chip["less"](tensor([1000.0]), v)
    assert spike.tolist() == [0, 1, 1]
    spike.sum().backward()
    near, at, far = (v.grad[i].item() for i in (0, 1, 2))
    assert at > near > far > 0
    assert at == pytest.approx(1 / 1000, rel=0.02)  # the slope of a step that takes one width
    v.grad = None
    chip["select"](chip["less"](tensor([1000.0]), v), 0.0, v).sum().backward()
    assert v.grad.tolist() == [1, 0, 0]


@given(st.lists(st.floats(-2 * BIAS.high, 2 * BIAS.high), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_biases_as_the_chip_holds_them(values):
    held = np.clip(values, -BIAS.high, BIAS.high)
    expected = bias_format(Rounded(np.rint(held).astype(np.int64), held)).integers
    assert np.array_equal(rounded_bias(tensor(values)).numpy(), expected)
