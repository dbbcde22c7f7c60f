"""lava-dl's HDF5 networks (.net): integer networks for Loihi, taken as they are.

Layers are called conv-0, conv-1, ..., pool-0, ..., fc-0, ... in their order; shapes are (channels, y, x).
Format: lava-dl 0.6 `netx/hdf5.py` and slayer's `export_hdf5` (axonal delays, recurrent weights).
"""

from dataclasses import dataclass, field, replace
from math import inf, prod
from pathlib import Path
from typing import cast

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.compartments import Range
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.findings import Findings, Reading
from astrodeploy.frontends.hdf5.file import read_group
from astrodeploy.frontends.lava_dl.average import group_means
from astrodeploy.frontends.lava_dl.fields import Fields
from astrodeploy.frontends.lava_dl.neurons import input_delta, neuron_of, never_fires
from astrodeploy.frontends.lava_dl.synapses import by_lag, check_size, delays_of, recurrent, wiring_of
from astrodeploy.frontends.lava_dl.vocabulary import (
    HARMLESS,
    SIGMA_DELTA,
    check_theta,
    refuse_unusual,
    tell_contradictions,
    tell_input_activation,
    tell_unread,
)
from astrodeploy.frontends.limits import MOST_SYNAPSES
from astrodeploy.ir import Connection, Graph, Input, Population, verify
from astrodeploy.ir.arrays import IntArray
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.nodes import Membrane, SigmaDelta
from astrodeploy.ir.wiring import Conv, OneToOne, Wiring

WHAT = "network of lava-dl"
DT = 1e-3  # seconds a step: .net files count in steps
WEIGHT_UNITY = 64  # a weight of a sigma-delta layer is 1.0
GRADED = Range.signed(16)  # input of a sigma-delta network
SHORT = {"conv": "conv", "pool": "pool", "dense": "fc"}
STARTS = (
    "is a sigma-delta network: every sample starts from rest, each layer with the first of its input, as slayer "
    "trains it; Lava starts all layers at once and clears none, so that biases show there before the input does"
)
LARGEST = "has the chip's largest threshold"
KINDS = {"dense_rec": "dense"}  # other names of a type


def read_net(path: Path, dt: float | None = None, comparison: str = ">") -> Reading:
    """The float Graph of a .net file; `dt` (seconds a step) matters for reports only, and is 1 ms by default.

    Raises InputError where the file is damaged, UnsupportedError where a layer has no place on a chip.
    """
    tree, unread = read_group(path, "layer", f"a {WHAT}", InputError)
    if dt is not None and not 0 < dt < inf:
        raise InputError(f"dt must be a positive number of seconds, not {dt!r}")
    try:
        with np.errstate(all="ignore"):  # what is no number any more is refused where the Graph is checked
            network = _Network(DT if dt is None else dt, comparison)
            if unread:
                network.findings.warn("", f"holds {', '.join(unread)[:200]} beside its layers: not read")
            return _read(Fields(str(path), tree), network)
    except (LookupError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{path} is no valid {WHAT}: {error!r}") from error


def _read(layers: Fields, network: "_Network") -> Reading:
    for index in range(len(layers.tree)):
        if str(index) not in layers:
            named = ", ".join(sorted(layers.tree))[:80]
            raise InputError(f"{layers.where}: its layers are {named}; layer {index} is missing")
        layer = layers.group(str(index))
        network.add(f"layer {index}", replace(layer, where=f"{layers.where}: layer {index}"))
    if len(network.populations) < 2:
        raise InputError(f"{layers.where} holds no layer of neurons")
    graph = canonical(network.graph())
    try:
        verify(graph)
    except InputError as error:
        raise InputError(f"{layers.where}: {error}") from error
    return Reading(graph, network.findings.all, float(1 << ALIGNMENT))


@dataclass
class _Network:
    """The layers so far; `shape` is that of the last one's messages, `delays` their axonal delays."""

    dt: float
    comparison: str
    findings: Findings = field(default_factory=Findings)
    populations: list[Population] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    delays: IntArray | None = None
    groups: int = 0  # of the read-out; 0 without an average

    def add(self, name: str, layer: Fields) -> None:
        """One more layer."""
        said = layer.text("type")
        kind = KINDS.get(said, said)
        if self.groups:
            raise UnsupportedError(f"{layer.where} follows an average, which is supported at the end only")
        if said == "dense_rec" and "weight_rec" not in layer:
            raise InputError(f"{layer.where} is of type dense_rec and lacks weight_rec")
        if kind == "input" and not self.populations:
            neuron = layer.group("neuron") if "neuron" in layer else None
            self._input(layer, layer.sizes("shape"), neuron)
            self._note_input(name, layer, neuron)
        elif kind in SHORT:
            self._layer(name, kind, layer)
        elif kind in ("flatten", "average") and not self.populations:
            raise InputError(f"{layer.where} is of type {kind} and comes first: there is nothing before it")
        elif kind == "flatten":
            self.shape = (prod(self.shape),)
            self._note_shape(name, layer)
        elif kind == "average":
            self._average(layer)
        else:
            known = ", ".join(["input (the first)", "flatten", *SHORT, *KINDS, "average"])
            raise UnsupportedError(f"{layer.where} is of type {kind}; supported are {known}")
        tell_unread(name, kind, layer, self.findings)

    def graph(self) -> Graph:
        """The network; its last layer is read out."""
        *others, last = self.populations
        for each in others:
            if isinstance(each.node, Membrane) and never_fires(each.node):
                self.findings.note(
                    each.name, f"{LARGEST}: it sends a spike only where a membrane stands at the chip's limit"
                )
        if isinstance(last.node, Membrane) and never_fires(last.node):
            last = self._silent(last)
        if self.delays is not None and np.any(self.delays):
            self.findings.warn(
                last.name, "delays what it sends, and nothing waits for it: the delays are left out"
            )
        return Graph(
            self.dt,
            (*others, last),
            tuple(self.connections),
            (last.name,),
            after=None if self.groups == 0 else group_means(last.shape, self.groups),
        )

    def _silent(self, last: Population) -> Population:
        """The last layer, which never fires, read by its membrane; its spikes never come, so nothing carries them."""
        heard = [c for c in self.connections if c.source != last.name]
        if len(heard) < len(self.connections):
            self.findings.warn(
                last.name, f"{LARGEST}, so that it never fires: its recurrent weights are left out"
            )
        self.connections = heard
        return replace(last, node=replace(cast(Membrane, last.node), sends="membrane"))

    def _average(self, layer: Fields) -> None:
        """The host reads out the mean of every group of neighbouring neurons."""
        size, self.groups = prod(self.shape), prod(layer.sizes("shape"))
        if size % self.groups or size * self.groups > MOST_SYNAPSES:
            raise InputError(f"{layer.where} averages {size} neurons into {self.groups} groups")

    def _input(self, layer: Fields, shape: tuple[int, ...], neuron: Fields | None = None) -> None:
        check_size(layer, shape)
        self.shape = shape
        graded = neuron is not None and neuron.text("type") == "SDNN"
        node = Input(GRADED.low, GRADED.high) if graded else Input()
        self.populations.append(Population("input", shape, node))
        if neuron is not None and graded:
            self.populations.append(Population("delta", shape, input_delta(neuron, shape)))
            self._connect("input", "delta", OneToOne(np.ones(prod(shape))))

    def _layer(self, name: str, kind: str, layer: Fields) -> None:
        if not self.populations:
            if kind != "dense":
                raise UnsupportedError(f"{layer.where} comes first, its input's shape is not known")
            self._input(layer, layer.sizes("inFeatures"))
        wiring = wiring_of(kind, layer, self.shape)
        shape = wiring.output_shape if isinstance(wiring, Conv) else (wiring.shape[0],)
        node = neuron_of(layer, shape, self.dt, self.comparison)
        same = sum(p.name.startswith(f"{SHORT[kind]}-") for p in self.populations)
        population = Population(f"{SHORT[kind]}-{same}", shape, node)
        unity = WEIGHT_UNITY if isinstance(node, SigmaDelta) else 1
        synaptic, axonal = delays_of(layer, wiring, population.size)
        source = self.populations[-1].name
        for lag, part in by_lag(layer, wiring, synaptic, self.delays):
            self._connect(source, population.name, part, lag, unity)
        if "weight_rec" in layer:
            again = recurrent(layer, population.size)
            self._connect(population.name, population.name, again, 1, unity)
        self.populations.append(population)
        self.shape, self.delays = shape, axonal
        self._note_shape(name, layer)
        tell_contradictions(name, layer, wiring, self.findings)
        check_theta(name, layer.group("neuron"), self.findings)
        if isinstance(node, SigmaDelta):
            self.findings.note("", STARTS)
            if node.activation == "none":
                threshold = layer.group("neuron").integer("vThMant")
                text = f"sums up what arrives (sigma_output), as Lava's Sigma: vThMant = {threshold} is not applied"
                self.findings.note(population.name, text)

    def _connect(self, source: str, target: str, wiring: Wiring, lag: int = 0, unity: int = 1) -> None:
        scaled = wiring.with_values(wiring.values / unity)
        self.connections.append(Connection(source, target, "current", scaled, lag=lag))

    def _note_input(self, name: str, layer: Fields, neuron: Fields | None) -> None:
        """What an input layer does with values before they are messages stays outside."""
        if neuron is not None and neuron.text("type") == "SDNN":
            tell_input_activation(name, neuron, self.findings)
            refuse_unusual(layer, neuron, SIGMA_DELTA)
        unread = [each for each in ("weight", "bias") if each in layer]
        for each in unread:
            layer.number(each)
        if neuron is not None and neuron.text("type") != "SDNN":
            settings = ", ".join(sorted(neuron.tree.keys() - {"type", *HARMLESS}))[:80]
            unread.append(f"{neuron.text('type')} neurons ({settings})")
            neuron.asked.update(neuron.tree.keys() - HARMLESS.keys())
        if unread:
            *others, last = unread
            parts = " and ".join([", ".join(others), last] if others else [last])
            text = f"turns values into messages by its {parts}, which stays outside"
            self.findings.warn(name, f"{text}: the network's input is what this layer sends")

    def _note_shape(self, name: str, layer: Fields) -> None:
        declared = layer.sizes("shape") if "shape" in layer else self.shape
        if [n for n in declared if n > 1] != [n for n in self.shape if n > 1]:
            self.findings.warn(name, f"declares the shape {declared}, its weights give {self.shape}")
