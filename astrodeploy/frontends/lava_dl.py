"""lava-dl's HDF5 networks (.net): integer networks for Loihi, taken as they are.

A layer's numbers are the chip's: v decays by vDecay / 4096 and u by iDecay / 4096 a step, a spike adds
weight << 6 to u, the bias << 6 goes to v, a neuron spikes where v > vThMant << 6 and is reset to 0. In the
float Graph 1.0 of a membrane is one unit of the weights (64 on the chip), so that `quantise` finds every
number on the chip's grid and keeps it.

Layers are called conv-0, conv-1, ..., pool-0, ..., fc-0, ... in their order; shapes are (channels, y, x).
Format: lava-dl 0.6 `netx/hdf5.py` and slayer's `export_hdf5` (axonal delays, recurrent weights).
"""

from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy.arithmetic import THRESHOLD_MAX
from astrodeploy.compartments import Range
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.host_export import group_means
from astrodeploy.frontends.net_groups import Group, read_groups
from astrodeploy.ir import LIF, Connection, CubaLIF, Graph, Input, Population, verify
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.nodes import Membrane, SigmaDelta
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, Wiring, pool

DT = 1e-3  # seconds a step: .net files count in steps
FULL_DECAY = 4096
NEURONS = ("LOIHI", "CUBA", "SDNN")
WEIGHT_UNITY = 64  # a weight of a sigma-delta layer is 1.0
GRADED = Range.signed(16)  # input of a sigma-delta network
SHORT = {"conv": "conv", "pool": "pool", "dense": "fc"}


def read_net(path: Path, dt: float | None = None, comparison: str = ">") -> Graph:
    """The float Graph of a .net file; `dt` (seconds a step) matters for reports only, and is 1 ms by default.

    Raises InputError where the file is damaged, UnsupportedError where a layer has no place on a chip.
    """
    layers = read_groups(path, "layer")
    network = _Network(str(path), dt or DT, comparison)
    for index in range(len(layers)):
        if str(index) not in layers:
            raise InputError(f"{path}: its layers are {', '.join(sorted(layers))}, layer {index} is missing")
        network.add(f"layer {index}", layers[str(index)])
    graph = canonical(network.graph())
    verify(graph)
    return graph


@dataclass
class _Network:
    """The layers so far; `shape` is that of the last one's messages, `delays` their axonal delays."""

    what: str
    dt: float
    comparison: str
    populations: list[Population] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    delays: IntArray | None = None
    groups: int = 0  # of the read-out; 0 without an average

    def add(self, where: str, layer: Group) -> None:
        """One more layer."""
        kind = layer.text("type")
        if self.groups:
            raise UnsupportedError(
                f"{self.what}: {where} follows an average, which is supported at the end only"
            )
        if kind == "flatten":
            self.shape = (prod(self.shape),)
        elif kind == "average":
            self._average(where, layer.whole("shape"))
        elif kind == "input":
            self._input(layer.whole("shape"), layer.group("neuron") if "neuron" in layer else None)
        elif kind in SHORT:
            self._layer(where, kind, layer)
        else:
            known = ", ".join(["input", "flatten", *SHORT, "average"])
            raise UnsupportedError(f"{self.what}: {where} is of type {kind}; supported are {known}")

    def graph(self) -> Graph:
        """The network; its last layer is read out."""
        if len(self.populations) < 2:
            raise InputError(f"{self.what} holds no layer of neurons")
        *others, last = self.populations
        if silent := isinstance(last.node, Membrane) and _never_fires(last.node):
            last = replace(last, node=replace(last.node, sends="membrane"))
        values = silent or isinstance(last.node, SigmaDelta)
        return Graph(
            self.dt,
            (*others, last),
            tuple(self.connections),
            (last.name,),
            "last" if values else "count",
            after=None if self.groups == 0 else group_means(last.shape, self.groups),
        )

    def _average(self, where: str, shape: IntArray) -> None:
        """The host reads out the mean of every group of neighbouring neurons."""
        self.groups = prod(int(n) for n in shape)
        if not self.shape or prod(self.shape) % max(1, self.groups):
            raise InputError(
                f"{self.what}: {where} averages {prod(self.shape)} neurons into {self.groups} groups"
            )

    def _input(self, shape: IntArray, neuron: Group | None = None) -> None:
        self.shape = tuple(int(n) for n in shape)
        graded = neuron is not None and neuron.text("type") == "SDNN"
        node = Input(GRADED.low, GRADED.high) if graded else Input()
        self.populations.append(Population("input", self.shape, node))
        if neuron is not None and graded:
            size = prod(self.shape)
            threshold = np.full(self.shape, float(neuron.whole("vThMant")))
            delta = SigmaDelta(threshold, np.zeros(self.shape), activation="none", receives="values")
            self.populations.append(Population("delta", self.shape, delta))
            self.connections.append(Connection("input", "delta", "current", OneToOne(np.ones(size))))

    def _layer(self, where: str, kind: str, layer: Group) -> None:
        if not self.populations:
            size = layer.whole("inChannels" if kind == "conv" else "inFeatures")
            if kind != "dense":
                raise UnsupportedError(f"{self.what}: {where} comes first, its input's shape is not known")
            self._input(size.reshape(1))
        wiring = self._wiring(where, kind, layer)
        shape = wiring.output_shape if isinstance(wiring, Conv) else (wiring.shape[0],)
        same = sum(p.name.startswith(f"{SHORT[kind]}-") for p in self.populations)
        population = Population(f"{SHORT[kind]}-{same}", shape, self._neuron(where, layer, shape))
        source = self.populations[-1].name
        if isinstance(population.node, SigmaDelta):
            wiring = wiring.with_values(wiring.values / WEIGHT_UNITY)
        synaptic = None
        delays = layer.whole("delay") if "delay" in layer else None
        if delays is not None and delays.shape == wiring.values.shape and delays.ndim == 2:
            synaptic, delays = delays, None
        self._connect(source, population.name, wiring, synaptic)
        if "weight_rec" in layer:
            again = Dense(layer.number("weight_rec").reshape(prod(shape), prod(shape)))
            self.connections.append(Connection(population.name, population.name, "current", again, lag=1))
        self.populations.append(population)
        self.shape = shape
        self.delays = None if delays is None else self._axonal(where, delays, prod(shape))

    def _axonal(self, where: str, delays: IntArray, size: int) -> IntArray:
        if delays.size not in (1, size) or np.any(delays < 0):
            raise InputError(f"{self.what}: {where} has {delays.size} delays for its {size} neurons")
        return np.broadcast_to(delays.ravel(), (size,))

    def _connect(self, source: str, target: str, wiring: Wiring, synaptic: IntArray | None) -> None:
        """One connection for every delay that occurs."""
        axonal = self.delays
        if synaptic is None and axonal is None:
            self.connections.append(Connection(source, target, "current", wiring))
            return
        matrix = wiring.sparse.tocoo()
        lags = np.zeros(matrix.nnz, np.int64) if axonal is None else axonal[matrix.col]
        if synaptic is not None:
            lags = lags + synaptic[matrix.row, matrix.col]
        for lag in np.unique(lags):
            part = matrix.copy()
            part.data = np.where(lags == lag, matrix.data, 0)
            self.connections.append(Connection(source, target, "current", Sparse.of(part), lag=int(lag)))

    def _wiring(self, where: str, kind: str, layer: Group) -> Wiring:
        if kind == "dense":
            features = prod(self.shape)
            weight = layer.number("weight")
            if weight.size % features:
                raise InputError(f"{self.what}: {where} has {weight.size} weights for {features} inputs")
            return Dense(weight.reshape(-1, features))
        shape = (*[1] * (3 - len(self.shape)), *self.shape)
        stride, padding, dilation = (
            tuple(int(n) for n in np.broadcast_to(layer.whole(each), (2,)))
            for each in ("stride", "padding", "dilation")
        )
        if kind == "pool":
            kernel = tuple(int(n) for n in np.broadcast_to(layer.whole("kernelSize"), (2,)))
            weight = layer.number("weight").ravel() if "weight" in layer else np.ones(1)
            if np.any(weight != weight[0]) or set(dilation) != {1}:
                raise UnsupportedError(f"{self.what}: {where} pools with unequal weights or gaps")
            return pool(shape, kernel, stride, padding, float(weight[0]))
        weight = layer.number("weight")
        weight = weight.reshape(weight.shape[:4])
        return Conv(weight, shape, stride, padding, dilation, int(layer.whole("groups")))

    def _neuron(self, where: str, layer: Group, shape: tuple[int, ...]) -> Membrane | SigmaDelta:
        neuron = layer.group("neuron")
        kind = neuron.text("type")
        if kind not in NEURONS:
            raise UnsupportedError(
                f"{self.what}: {where} has neurons of type {kind}; supported are {', '.join(NEURONS)}"
            )
        if kind == "SDNN":
            bias = _by_channel(layer.number("bias") if "bias" in layer else np.zeros(1), shape)
            return SigmaDelta(np.full(shape, float(neuron.whole("vThMant"))), bias)
        self._refuse_other_settings(where, neuron)
        v_decay, i_decay = (self._decay(where, neuron, each) for each in ("vDecay", "iDecay"))
        bias = _by_channel(layer.number("bias") if "bias" in layer else np.zeros(1), shape)
        return _membrane(
            self.dt,
            v_decay,
            i_decay,
            float(neuron.whole("vThMant")),
            bias,
            self.comparison,
        )

    def _refuse_other_settings(self, where: str, neuron: Group) -> None:
        """A refractory delay other than Lava's 1 and a weight exponent are in no published network."""
        for name, usual in (("refDelay", 1), ("wgtExp", 0)):
            if (value := int(neuron.whole(name, usual))) != usual:
                raise UnsupportedError(f"{self.what}: {where} has {name} = {value}, supported is {usual}")

    def _decay(self, where: str, neuron: Group, name: str) -> int:
        decay = int(neuron.whole(name))
        least = 1 if name == "iDecay" else 0
        if not least <= decay <= FULL_DECAY:
            raise InputError(f"{self.what}: {where} has {name} = {decay}, allowed is {least}..{FULL_DECAY}")
        return decay


def _never_fires(node: Membrane) -> bool:
    """Whether the threshold is the chip's largest: such a last layer is read out by its membrane."""
    return bool(np.all(node.v_threshold >= THRESHOLD_MAX))


def _by_channel(bias: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """A bias a channel, or a neuron, or one for all, as one a neuron."""
    if bias.size == shape[0]:
        bias = bias.reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(bias.reshape(shape) if bias.size == prod(shape) else bias, shape)


def _membrane(
    dt: float, v_decay: int, i_decay: int, threshold: float, bias: FloatArray, comparison: str
) -> Membrane:
    """A neuron whose input, weighted in the chip's units, adds itself to v in a step, as does the bias."""
    shape = bias.shape
    drive = v_decay / FULL_DECAY if v_decay else dt  # of r = 1
    values: dict[str, Any] = {
        "tau": np.full(shape, dt * FULL_DECAY / v_decay if v_decay else np.inf),
        "r": np.full(shape, 1 / drive),
        "v_leak": np.zeros(shape),
        "v_threshold": np.full(shape, threshold),
        "v_reset": np.zeros(shape),
        "bias": bias,
    }
    if i_decay == FULL_DECAY:
        return LIF(**values, comparison=comparison)
    if np.any(bias):
        raise UnsupportedError(
            "a bias of a neuron with a synaptic current goes to its membrane, past the current: set iDecay to "
            f"{FULL_DECAY}, or the bias to 0"
        )
    tau_syn = np.full(shape, dt * FULL_DECAY / i_decay)
    return CubaLIF(**values, tau_syn=tau_syn, w_in=tau_syn / dt, comparison=comparison)
