"""Parameters and buffers that a module holds and its step does not use are told by their paths."""

import pytest
import torch
from torch_networks import Chain, Hybrid, Nested, sequential

from astrodeploy.pipeline import read


def told(module):
    return [str(each) for each in read(module, dt=1e-3, input_shape=(6,)).findings]


@pytest.mark.parametrize("make", [Chain, Hybrid, Nested, sequential])
def test_what_is_used_is_not_told(make):
    assert told(make()) == []


class Scaled(torch.nn.Linear):
    """A Linear with a number of its own, which its forward does not use."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("factor", torch.ones(1))


def test_every_parameter_and_buffer_that_is_not_used_is_told():
    module = Chain()
    module.register_buffer("gain", torch.ones(3))
    module.scale = torch.nn.Parameter(torch.ones(1))
    module.unused = torch.nn.Linear(3, 3, bias=False)
    name, layer = next(
        (n, m) for n, m in module.named_modules() if type(m) is torch.nn.Linear and n != "unused"
    )
    own = Scaled(layer.in_features, layer.out_features)
    own.load_state_dict(layer.state_dict(), strict=False)
    if layer.bias is None:
        own.bias = None
    module.set_submodule(name, own)
    text = "that its step does not use: it is not in the network"
    assert set(told(module)) == {
        f"gain is a buffer {text}",
        f"scale is a parameter {text}",
        f"unused.weight is a parameter {text}",
        f"{name}.factor is a buffer {text}",
    }


def test_what_torch_makes_a_weight_of_is_used():
    module = Chain()
    name = next(n for n, m in module.named_modules() if type(m) is torch.nn.Linear)
    torch.nn.utils.parametrizations.weight_norm(module.get_submodule(name))
    assert told(module.eval()) == []
