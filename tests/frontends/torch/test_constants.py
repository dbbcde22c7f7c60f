"""Constants that astrocytes are fed: a factor of ones holds a slow value between windows, in float and on the chip."""

import numpy as np
import pytest
import torch
from torch_networks import linear, spikes

import astrodeploy as ad
from astrodeploy.ir.nodes import Constant
from astrodeploy.nn import Astrocyte

PERIOD = 8


class Held(torch.nn.Module):
    """A slow state that is heard in every step, by a factor that `make` gives."""

    def __init__(self, make):
        super().__init__()
        self.make, self.weigh = make, linear(6, 4, 0)
        self.slow = Astrocyte(4, period=PERIOD, decay=0.1, drive=0.1, slow=True)

    def forward(self, x, state=None):
        drive = self.weigh(x)
        return self.slow(drive, state, factor=self.make(drive))


WAYS = {
    "a tensor of ones": lambda drive: torch.ones(1, 4),
    "one value a unit": lambda drive: torch.tensor([[0.5, 1.0, -1.0, 2.0]]),
    "ones like the drive": torch.ones_like,
    "a multiple of those": lambda drive: torch.ones_like(drive) * 0.25,
    "nothing of the drive": lambda drive: drive * 0 + 1,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_constant_factor_holds_a_value(way):
    x = spikes(samples=3, steps=60).astype(np.float32)
    module = Held(WAYS[way])
    program = ad.compile(module, dt=1e-3, input_shape=(6,), calibrate=x)
    assert isinstance(program.reference["slow_factor"].node, Constant)
    runs = {
        engine: program.run(x, engine=engine).spikes["slow"] for engine in ("reference", "fast", "oracle")
    }
    assert np.array_equal(runs["fast"], runs["oracle"])
    for engine in ("reference", "fast"):
        sent = (runs[engine] != 0).any((0, 2))
        assert sent[PERIOD + 2 :].all() and not sent[:PERIOD].any()


def test_products_with_a_constant():
    class Product(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weigh, self.product = linear(6, 4, 0), Astrocyte(4)

        def forward(self, x):
            return self.product(left=self.weigh(x), right=torch.tensor([[1.0, 0.5, -1.0, 2.0]]))[0]

    graph = ad.load(Product(), input_shape=(6,), dt=1e-3)
    assert isinstance(graph["product_right"].node, Constant)


def test_a_factor_that_is_none_is_told_how_to_hold():
    with pytest.raises(
        ad.AstrodeployError, match=r"slow is fed .* a factor of torch\.ones\(1, 4\) holds its value"
    ):
        ad.load(Held(lambda drive: "one"), input_shape=(6,), dt=1e-3)
