"""The functions that are not linear, against numpy over their whole range, with the errors that they state."""

import numpy as np
import pytest

from astrodeploy.arithmetic import execute
from astrodeploy.compartments.functions import LOG_BITS, elu, exp2, log2, power, sigmoid, tanh
from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import compartment

ONE = 1 << LOG_BITS
WIDE = np.unique(np.concatenate([np.arange(-(2**23) + 1, 2**23, 997), np.arange(-3000, 3000)]))
POSITIVE = np.unique(np.geomspace(1, 2**31 - 1, 40_000).astype(np.int64))


def result(function, x, **parameters):
    """A function of whole numbers, by the operations that it is traced into."""
    limits = Range(-(2**31), 2**31 - 1)

    def step(n):
        n.y = function(n.x, *[getattr(n, name) for name in parameters])

    made = compartment(
        states={"y": State(limits)},
        inputs={"x": Port(Range(int(x.min()), int(x.max())))},
        parameters={name: Range(value, value) for name, value in parameters.items()},
    )(step)
    registers = execute(made.step.operations, {}, parameters, {"x": x}, {})
    return registers[made.step.stores["y"]]


def test_powers_of_two():
    x = np.arange(-ONE, 24 * ONE, 7)
    exact = 2.0 ** (x / ONE)
    found = result(exp2, x)
    assert np.all(found[x < 0] == 0)
    inside = x >= 0
    assert (
        np.max(np.abs(found - exact)[inside] / exact[inside] - 1 / exact[inside]) < 1.3e-4
    )  # and less than 1
    assert np.all(np.diff(found) >= 0)


def test_logarithms():
    assert np.max(np.abs(result(log2, POSITIVE) / ONE - np.log2(POSITIVE))) < 2e-4
    assert np.all(np.diff(result(log2, POSITIVE)) >= 0)
    assert result(log2, np.array([-5, 0, 1])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("exponent", [0.25, 0.5, -1.0, -0.5, 2.0])
def test_powers_of_a_whole_number(exponent):
    x = np.unique(np.geomspace(1, 2**23, 20_000).astype(np.int64))
    scale = 20.0 - max(0.0, exponent * 23)
    found = result(lambda x, e, s: power(x, e, s, 12), x, e=round(exponent * 4096), s=round(scale * ONE))
    exact = 2.0**scale * x.astype(float) ** exponent
    assert np.max((np.abs(found - exact) - 1) / exact) < 5e-4
    assert result(lambda x, e, s: power(x, e, s, 12), np.array([-3, 0]), e=1024, s=ONE).tolist() == [0, 0]


def test_a_reciprocal_is_within_two_parts_in_ten_thousand():
    """x^0.25 and 1 / x are what attention is normalised with."""
    x = np.arange(1 << 10, 1 << 16)
    found = result(lambda x, e, s: power(x, e, s, 12), x, e=-4096, s=32 * ONE)
    assert np.max(np.abs(found * x / 2.0**32 - 1)) < 2e-4


def test_sigmoid_tanh_and_elu():
    real = WIDE / ONE
    assert np.max(np.abs(result(lambda x: sigmoid(x, 14), WIDE) / 2**14 - 1 / (1 + np.exp(-real)))) < 2e-4
    assert np.max(np.abs(result(lambda x: tanh(x, 14), WIDE) / 2**14 - np.tanh(real))) < 4e-4
    exact = np.where(real > 0, real + 1, np.exp(np.minimum(real, 0)))
    assert np.max(np.abs(result(elu, WIDE) / ONE - exact)) < 2e-4
