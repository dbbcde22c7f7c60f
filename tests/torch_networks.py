"""Small seeded torch networks for tests: one-step modules as a user writes them, never trained."""

import numpy as np
import torch
from norse.torch import LIFBoxCell, LIFBoxParameters, LIFCell, LIFParameters, SequentialState

from astrodeploy.nn import AstrocyteLayer, RateEncoder

DT = 1e-3
INPUTS = 6


def box(dt=DT, **given):
    """A LIFBoxCell that loses a fifth of its membrane in a step."""
    rest = {"tau_mem_inv": 200.0, "v_th": 0.5}
    return LIFBoxCell(LIFBoxParameters(**{k: torch.as_tensor(v) for k, v in (rest | given).items()}), dt=dt)


def cuba(dt=DT, **given):
    """A LIFCell: synaptic current of 4 ms, membrane of 5 ms."""
    rest = {"tau_syn_inv": 250.0, "tau_mem_inv": 200.0, "v_th": 0.5}
    return LIFCell(LIFParameters(**{k: torch.as_tensor(v) for k, v in (rest | given).items()}), dt=dt)


def linear(inputs, outputs, seed, bias=False, scale=4.0):
    """A Linear whose layer fires from the start."""
    module = torch.nn.Linear(inputs, outputs, bias=bias)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        module.weight.copy_((torch.rand(outputs, inputs, generator=generator) - 0.3) * scale / inputs**0.5)
        if bias:
            module.bias.copy_((torch.rand(outputs, generator=generator) - 0.3) * 0.2)
    return module


class Chain(torch.nn.Module):
    """Two layers of neurons; any cells, with or without bias."""

    def __init__(self, seed=0, make=box, bias=False, sizes=(INPUTS, 10, 4)):
        super().__init__()
        self.expand = linear(sizes[0], sizes[1], seed, bias)
        self.hidden = make()
        self.classify = linear(sizes[1], sizes[2], seed + 1, bias)
        self.readout = make()

    def forward(self, x, state=None):
        hidden, readout = (None, None) if state is None else state
        z, hidden = self.hidden(self.expand(x), hidden)
        z, readout = self.readout(self.classify(z), readout)
        return z, (hidden, readout)


class Hybrid(torch.nn.Module):
    """Values -> rate encoder -> a layer with closed-loop astrocytes -> read-out; no bias, as NIR's readers like it."""

    def __init__(self, seed=0, encoder=True, steps=12, bias=False, resting=True, make=box):
        super().__init__()
        self.encoder = RateEncoder(steps=steps, seed=seed) if encoder else torch.nn.Identity()
        self.encoded = encoder
        self.expand = linear(INPUTS, 12, seed, bias)
        self.hidden = AstrocyteLayer(make(), 12, domain=4, period=8, tau=0.1, rate=4.0)
        self.classify = linear(12, 4, seed + 1, bias)
        self.readout = make()
        if resting:
            self.hidden.log_gain.copy_(torch.tensor([0.5, -0.25, 0.125]))

    def forward(self, x, state=None):
        encoder, hidden, readout = (None, None, None) if state is None else state
        if self.encoded:
            x, encoder = self.encoder(x, encoder)
        z, hidden = self.hidden(self.expand(x), hidden)
        z, readout = self.readout(self.classify(z), readout)
        return z, (encoder, hidden, readout)


class Block(torch.nn.Module):
    """A weighted layer of neurons, to be nested; its weights lie in a torch Sequential."""

    def __init__(self, inputs, outputs, seed, cell):
        super().__init__()
        self.weigh = torch.nn.Sequential(torch.nn.Dropout(0.5), linear(inputs, outputs, seed, bias=True))
        self.cell = cell

    def forward(self, x, state=None):
        return self.cell(self.weigh(x), state)


class Nested(torch.nn.Module):
    """Blocks within a module, vector parameters, leak and reset away from 0, a skip connection."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        varied = lambda low, high: torch.rand(8, generator=generator) * (high - low) + low
        first = box(
            tau_mem_inv=varied(80, 400),
            v_leak=varied(-0.2, 0.1),
            v_reset=varied(-0.3, 0),
            v_th=varied(0.3, 0.6),
        )
        self.blocks = torch.nn.ModuleList(
            [Block(INPUTS, 8, seed, first), Block(8, 8, seed + 1, box(v_leak=-0.1, v_reset=-0.2))]
        )
        self.skip = linear(8, 5, seed + 2)
        self.deep = linear(8, 5, seed + 3)
        self.out = box()

    def forward(self, x, state=None):
        first, second, out = (None, None, None) if state is None else state
        a, first = self.blocks[0](x, first)
        b, second = self.blocks[1](a, second)
        z, out = self.out(self.skip(a) + self.deep(b), out)
        return z, (first, second, out)


def sequential(seed=0, make=cuba):
    """Norse's own container."""
    return SequentialState(linear(INPUTS, 9, seed), make(), linear(9, 4, seed + 1), make())


def spikes(seed=0, samples=3, steps=20, inputs=INPUTS, rate=0.4):
    """(samples, steps, inputs) of 0 and 1."""
    return (np.random.default_rng(seed).random((samples, steps, inputs)) < rate).astype(np.uint8)


def values(seed=0, samples=3, inputs=INPUTS):
    """(samples, inputs) in 0..1, for the encoder."""
    return np.random.default_rng(seed).random((samples, inputs), np.float32)
