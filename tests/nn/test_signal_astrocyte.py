"""Astrocytes that carry a signal, against loops in numpy."""

import numpy as np
import pytest
import torch

from astrodeploy.nn import Astrocyte, carry, unroll

FUNCTIONS = {
    "identity": lambda a: a,
    "exp2": np.exp2,
    "log2": lambda a: np.log2(a) if a > 0 else 0.0,
    "power": lambda a: a**0.25 if a > 0 else 0.0,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "elu": lambda a: a + 1 if a > 0 else np.exp(a),
}


class Fed(torch.nn.Module):
    """One unit that is fed (batch, 4): activity, left, right, factor."""

    def __init__(self, factored: bool, **settings) -> None:
        super().__init__()
        self.unit, self.factored = Astrocyte(1, **settings), factored

    def forward(self, x, state=None):
        factor = x[:, 3:4] if self.factored else None
        return self.unit(x[:, :1], state, left=x[:, 1:2], right=x[:, 2:3], factor=factor)


@pytest.mark.parametrize("output", FUNCTIONS)
@pytest.mark.parametrize(("period", "decay"), [(1, 1.0), (1, 0.25), (3, 0.5), (4, 1.0)])
@pytest.mark.parametrize("factored", [False, True])
def test_a_unit_does_what_its_equations_say(output, period, decay, factored):
    settings = {"period": period, "decay": decay, "drive": 0.5, "offset": 0.25, "output": output}
    module = Fed(factored, exponent=0.25, **settings).double()
    x = np.random.default_rng(1).normal(size=(2, 13, 4))
    found = unroll(module, torch.from_numpy(x))[0].numpy()[..., 0]
    for row, sample in enumerate(x):
        a = count = 0.0
        held = FUNCTIONS[output](a)
        for step, (activity, left, right, factor) in enumerate(sample):
            count += activity + left * right
            due, before = (step + 1) % period == 0, held
            if due:
                a, count = (1 - decay) * a + 0.5 * count + 0.25, 0.0
                held = FUNCTIONS[output](a)
            alone = held if due else 0.0
            sent = (held if period == 1 else before) * factor if factored else alone
            assert found[row, step] == pytest.approx(sent, abs=1e-12)


def test_a_function_keeps_nothing_and_a_state_lets_gradients_through():
    product, memory = Astrocyte(2), Astrocyte(2, decay=0.5)
    x = torch.ones(1, 2, requires_grad=True)
    assert product(left=x, right=x)[1] is None
    _, state = memory(x)
    (memory(x, state)[0].sum()).backward()
    assert x.grad.tolist() == [[1.5, 1.5]]


@pytest.mark.parametrize("slow", [False, True])
def test_only_slow_states_outlive_a_sample(slow):
    unit = Astrocyte(1, period=4, decay=0.5, output="exp2", slow=slow)
    _, state = unroll(unit, torch.ones(1, 6, 1))
    after = carry(state)
    assert after.clock == 6  # the clock counts steps of the stream
    assert after.trace.item() == (4.0 if slow else 0.0)
    assert after.count.item() == (2.0 if slow else 0.0)
    (sent, _) = unroll(unit, torch.zeros(1, 2, 1), state=after)
    assert sent.flatten().tolist() == [0.0, 2 ** (0.5 * 4.0 + 2.0) if slow else 1.0]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Astrocyte(), "shape of its units"),
        (lambda: Astrocyte(2, output="cube"), "output must be one of"),
        (lambda: Astrocyte(2, period=0), "period must be at least 1"),
        (lambda: Astrocyte(2, decay=1.5), r"decay must lie in 0\.\.1"),
        (lambda: Astrocyte(2, drive=torch.ones(3)), "drive must be a number or of shape"),
        (lambda: Astrocyte(2)(left=torch.ones(1, 2)), "left and right"),
        (lambda: Astrocyte(2)(torch.ones(1, 3)), "is fed"),
    ],
)
def test_wrong_use_is_named(make, why):
    with pytest.raises(ValueError, match=why):
        make()
