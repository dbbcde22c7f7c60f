"""The measured networks, rebuilt from what is published of them: their topology, and for PilotNet their weights.

Random weights stand in for those that are not public: what an inference costs depends on who is connected to
whom and on the spikes, and those are stated (see rows.py), not simulated.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

import astrodeploy
from astrodeploy.ir import LIF, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Dense, pool
from astrodeploy.program import Core, Slice

DT = 1e-3
SEED = 2018
PILOTNET = Path(__file__).parents[4] / "shared/data/pilotnet_lif"
FRAME = 17  # steps after which the published PilotNet spikes start anew


def neuron(tau):
    """A LIF of one threshold; an infinite tau integrates, as Quartz's neurons do."""
    number = lambda value: np.asarray(value, np.float64)
    gain = 1.0 if np.isfinite(tau) else 1 / DT
    return LIF(number(tau), number(gain), number(0.0), number(1.0), number(0.0), number(0.0))


class Drawn:
    """A network as it is put together; `tau` (seconds) is that of all its neurons."""

    def __init__(self, shape, tau=10 * DT):
        self.rng, self.tau = np.random.default_rng(SEED), tau
        self.populations, self.connections = [Population("x", shape, Input())], []

    def layer(self, name, shape, *edges):
        """A layer and what comes into it: (source, wiring), or with a lag as a third."""
        self.populations.append(Population(name, shape, neuron(self.tau)))
        for source, wiring, *lag in edges:
            self.connections.append(Connection(source, name, "current", wiring, lag=sum(lag)))

    def dense(self, name, size, source="", recurrent=False):
        """All to all, from the layer before unless another is named."""
        before = next(p for p in self.populations if p.name == (source or self.populations[-1].name))
        edges = [(before.name, Dense(self.rng.normal(0, 1, (size, before.size))))]
        if recurrent:
            edges.append((name, Dense(self.rng.normal(0, 1, (size, size))), 1))
        self.layer(name, (size,), *edges)

    def conv(self, name, channels, kernel, stride=1):
        """A convolution of the layer before, without padding."""
        before = self.populations[-1]
        values = self.rng.normal(0, 1, (channels, before.shape[0], kernel, kernel))
        wiring = Conv(values, before.shape, (stride, stride), (0, 0), (1, 1))
        self.layer(name, wiring.output_shape, (before.name, wiring))

    def pool(self, name, kernel):
        """A pooling of the layer before: one neuron for every square."""
        before = self.populations[-1]
        wiring = pool(before.shape, (kernel, kernel), (kernel, kernel), (0, 0))
        self.layer(name, wiring.output_shape, (before.name, wiring))

    def graph(self, output=""):
        """The float Graph."""
        outputs = (output or self.populations[-1].name,)
        return Graph(DT, tuple(self.populations), tuple(self.connections), outputs)


def quartz():
    """Quartz's MNIST network: 28 x 28 without padding is 24, 12, 8, 4 and 1 wide."""
    net = Drawn((1, 28, 28), tau=np.inf)
    net.conv("conv1", 6, 5)
    net.pool("pool1", 2)
    net.conv("conv2", 12, 5)
    net.pool("pool2", 2)
    net.conv("conv3", 120, 4)
    net.dense("fc", 10)
    return net.graph()


def keywords():
    """The keyword spotter, 390-256-256-29."""
    net = Drawn((390,))
    net.dense("hidden1", 256)
    net.dense("hidden2", 256)
    net.dense("letters", 29)
    return net.graph()


def keyword_copies(copies, layers=10):
    """The keyword network for scaling: one layer, so many copies of ten, one layer of all, the letters."""
    net = Drawn((390,))
    net.dense("first", 256)
    for copy in range(copies):
        for layer in range(layers):
            net.dense(f"copy{copy}_{layer}", 256, "first" if layer == 0 else "")
    ends = [f"copy{copy}_{layers - 1}" for copy in range(copies)] or ["first"]
    net.layer("last", (256,), *((end, Dense(net.rng.normal(0, 1, (256, 256)))) for end in ends))
    net.dense("letters", 29)
    return net.graph()


def braille(inputs):
    """The Braille reader: 450 recurrent neurons, 28 letters."""
    net = Drawn((inputs,))
    net.dense("hidden", 450, recurrent=True)
    net.dense("letters", 28)
    return net.graph()


def gestures():
    """The DVS gesture network in the form that SANA-FE ships."""
    net = Drawn((1, 32, 32))
    net.conv("conv1", 16, 3, stride=2)
    net.conv("conv2", 32, 3)
    net.conv("conv3", 64, 3)
    net.conv("conv4", 11, 3)
    net.dense("fc", 11)
    return net.graph()


def pilotnet():
    """PilotNet-LIF for Oheo Gulch, cut as it was measured; needs the network's file."""
    program = astrodeploy.compile(PILOTNET / "network.net", "oheo-gulch", reset_every=FRAME)
    along = {"conv-0": 25, "conv-1": 13, "conv-2": 3, "conv-3": 3, "conv-4": 2, "fc-0": 12}
    return cut(program, along)


def pilotnet_frames(frames):
    """Input spikes of so many frames alike, (1, steps, 3, 66, 200)."""
    first = np.load(PILOTNET / "input.npy").transpose(3, 2, 1, 0)[:FRAME]
    return np.tile(first, (frames, 1, 1, 1))[None]


def cut(program, parts):
    """The Program with every layer in so many pieces along its last dimension, one core each.

    Where it is published how a network lay on the chip, it lies so here: pieces are as equal as on NetX's
    table. Layers that are not named take one core.
    """
    cores = []
    for p in program.network.populations:
        if p.is_input:
            continue
        size = -(-p.shape[-1] // parts.get(p.name, 1))
        for start in range(0, p.shape[-1], size):
            ranges = (*((0, n) for n in p.shape[:-1]), (start, min(start + size, p.shape[-1])))
            cores.append(Core(program.board.core(0, len(cores)), (Slice(p.name, ranges),), {}, {}))
    return replace(program, cores=tuple(cores))
