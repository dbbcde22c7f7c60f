"""The core of a NIR file: a float Graph in NIR's own nodes.

What NIR can't say about a node is left out here and stands beside the core (`astrocytes.py`), with a
reason for every point in which another tool would run the core differently.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import nir
import numpy as np

from astrodeploy.errors import NirError
from astrodeploy.frontends.nir.forms import (
    channel_bias,
    conv_form,
    is_forgetful,
    is_reader,
    uniform_pool,
    written_shapes,
)
from astrodeploy.frontends.nir.loops import closing_edges
from astrodeploy.frontends.nir.network import Edge, Network
from astrodeploy.frontends.nir.nodes import NirNode, Shape
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.nodes import CubaLIF, Membrane, carries_signal
from astrodeploy.ir.wiring import Conv, OneToOne

LARGEST_MATRIX = 1 << 27  # numbers of a weight that is written out
Place = tuple[str, str]  # node, field


@dataclass
class Core:
    """Nodes and edges of a document, and where they hold the Graph's numbers.

    held  (population or connection, its field) -> (node, its field)
    ways  of every connection, the nodes from its source to its target
    """

    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    held: dict[Place, Place] = field(default_factory=dict)
    ways: dict[str, list[str]] = field(default_factory=dict)


def core_of(graph: Graph) -> Core:
    """The core of a canonical Graph without astrocytes. Raises NirError where NIR can't say it.

    A connection of lag 1 that closes a loop is an edge like any other: every reader lets it carry the
    step before. Where a reader could take another edge for that one, Delays say it.
    """
    looping = frozenset(c.name for c in graph.connections if c.lag == 1 and _in_a_loop(graph, c))
    core = _Writer(graph, looping).core
    if looping and not (_closes(core, looping) and len(set(core.edges)) == len(core.edges)):
        core = _Writer(graph, frozenset()).core
    return core


def _in_a_loop(graph: Graph, connection: Connection) -> bool:
    reached, waiting = {connection.target}, [connection.target]
    for name in waiting:
        more = {c.target for c in graph.out_of(name)} - reached
        reached |= more
        waiting += sorted(more)
    return connection.source in reached


def _closes(core: Core, looping: frozenset[str]) -> bool:
    """Whether a reader takes just these connections for those that carry the step before."""
    kinds = {name: NirNode(name, type(node).__name__) for name, node in core.nodes.items()}
    slow = frozenset(name for name, node in kinds.items() if node.kind == "Delay")
    closing = closing_edges(Network(kinds, tuple(core.edges)), slow)
    ways = [set(pairwise(core.ways[name])) & closing for name in looping]
    return len(closing) == len(ways) and all(len(each) == 1 for each in ways)


class _Writer:
    def __init__(self, graph: Graph, looping: frozenset[str]) -> None:
        self.graph, self.looping = graph, looping
        forms = {c.name: conv_form(c.wiring) for c in graph.connections}
        self.forms = {name: form for name, form in forms.items() if form is not None}
        self.shapes = written_shapes(graph, self.forms)
        self.core = Core()
        self.taken = set(graph.layers)
        self.readers = {p.name: self._free("output") for p in graph.populations if is_reader(graph, p)}
        for population in graph.populations:
            self._population(population)
        for name in graph.outputs:
            self._output(name)

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _node(self, name: str, node: nir.NIRNode) -> str:
        name = self._free(name)
        self.core.nodes[name] = node
        return name

    # ---- populations -----------------------------------------------------------------------------------

    def _population(self, p: Population) -> None:
        if p.name in ("", ".") or "/" in p.name or not p.name.isprintable():  # HDF5 reads names as paths
            raise NirError(
                f"NIR can't say the name {p.name!r}: a layer's name is readable text, not empty and without a slash"
            )
        if p.name not in self.readers:
            node, fields = neuron_node(p, self.shapes[p.name], self.graph.dt)
            self.core.nodes[p.name] = node
            self.core.held |= {(p.name, ours): (p.name, theirs) for ours, theirs in fields.items()}
        unplaced = self._bias(p)
        for connection in self.graph.into(p.name):
            unplaced = self._connection(connection, p, unplaced)
        if unplaced is not None:
            self._bias_alone(p, unplaced)

    def _bias(self, p: Population) -> FloatArray | None:
        """A population's bias that still needs a place, one number a neuron."""
        if not isinstance(p.node, Membrane) or not np.any(p.node.bias):
            return None
        return np.broadcast_to(p.node.bias.ravel(), (p.size,)).astype(np.float64)

    def _bias_alone(self, p: Population, bias: FloatArray) -> None:
        """A bias that no connection can carry: an Affine without weights carries it."""
        sources = [self.graph[c.source] for c in self.graph.into(p.name)] or list(self.graph.inputs)
        source = min(sources, key=lambda s: s.size)
        _check_size(p.name, p.size * source.size)
        way = [source.name, *self._flat(source.name, f"{p.name}_bias")]
        weight = np.zeros((p.size, source.size))
        way.append(self._node(f"{p.name}_bias", nir.Affine(weight=weight, bias=bias)))
        self.core.held[p.name, "bias"] = (way[-1], "bias")
        self.core.edges += pairwise([*way, self._end(p.name)])

    def _end(self, name: str) -> str:
        """Where the edges into a population end."""
        return self.readers.get(name, name)

    def _output(self, name: str) -> None:
        shape = np.array(self.shapes[name])
        label = self.readers.get(name) or self._free("output")
        self.core.nodes[label] = nir.Output(output_type={"output": shape})
        if name not in self.readers:
            self.core.edges.append((name, label))

    # ---- connections -----------------------------------------------------------------------------------

    def _connection(self, c: Connection, target: Population, bias: FloatArray | None) -> FloatArray | None:
        """Write a connection, with the target's bias if it can carry it; the bias that is left."""
        label = f"{c.source}_to_{c.target}"
        way = [c.source]
        if c.lag and c.name not in self.looping:
            delay = nir.Delay(delay=np.full(self.shapes[c.source], c.lag * self.graph.dt))
            way.append(self._node(f"{label}_delay", delay))
        nodes, bias = self._wiring(c, target, label, bias)
        way += [*nodes, self._end(c.target)]
        self.core.edges += pairwise(way)
        self.core.ways[c.name] = way
        return bias

    def _wiring(
        self, c: Connection, target: Population, label: str, bias: FloatArray | None
    ) -> tuple[list[str], FloatArray | None]:
        source_shape, target_shape = self.shapes[c.source], self.shapes[target.name]
        form = self.forms.get(c.name)
        if form is not None and (form.input_shape, form.output_shape) == (source_shape, target_shape):
            return self._convolution(c, form, label, target, bias)
        if isinstance(c.wiring, OneToOne):
            way = [] if source_shape == target_shape else self._flat(c.source, label)
            if not np.all(c.wiring.values == 1) or self._is_doubled(c, target):
                way.append(self._node(label, nir.Scale(scale=c.wiring.values.reshape(target_shape))))
                self.core.held[c.name, "values"] = (way[-1], "scale")
            return way, bias
        return self._matrix(c, label, bias)

    def _is_doubled(self, c: Connection, target: Population) -> bool:
        """Whether this edge is there already, into another port: a signal times itself. NIR has each edge once."""
        return carries_signal(target.node) and (c.source, c.target) in self.core.edges

    def _convolution(
        self, c: Connection, form: Conv, label: str, target: Population, bias: FloatArray | None
    ) -> tuple[list[str], FloatArray | None]:
        if kind := uniform_pool(form):
            numbers = (np.array(n) for n in (form.values.shape[2:], form.stride, form.padding))
            return [self._node(label, getattr(nir, kind)(*numbers))], bias
        by_channel = None if bias is None else channel_bias(target, self.shapes[target.name])
        carried = np.zeros(form.values.shape[0]) if by_channel is None else by_channel
        name = self._node(label, _conv_node(form, carried))
        self.core.held[c.name, "values"] = (name, "weight")
        return [name], bias if by_channel is None else None

    def _matrix(
        self, c: Connection, label: str, bias: FloatArray | None
    ) -> tuple[list[str], FloatArray | None]:
        _check_size(c.name, c.wiring.shape[0] * c.wiring.shape[1])
        weight = np.array(c.wiring.matrix(), np.float64)
        node = nir.Linear(weight=weight) if bias is None else nir.Affine(weight=weight, bias=bias)
        way = self._flat(c.source, label)
        way.append(self._node(label, node))
        self.core.held[c.name, "values"] = (way[-1], "weight")
        if bias is not None:
            self.core.held[c.target, "bias"] = (way[-1], "bias")
        return way, None

    def _flat(self, name: str, label: str) -> list[str]:
        """A Flatten, where a population has several dimensions in the file."""
        shape = self.shapes[name]
        if len(shape) == 1:
            return []
        return [self._node(f"{label}_flat", nir.Flatten({"input": np.array(shape)}, 0, -1))]


def _conv_node(form: Conv, bias: FloatArray) -> nir.NIRNode:
    weight = np.array(form.values, np.float64)
    if weight.ndim == 3:
        settings = [n[0] for n in (form.stride, form.padding, form.dilation)]
        return nir.Conv1d(form.input_shape[1], weight, *settings, 1, bias)
    strides, spaces, gaps = (np.array(n) for n in (form.stride, form.padding, form.dilation))
    return nir.Conv2d(np.array(form.input_shape[1:]), weight, strides, spaces, gaps, 1, bias)


def _check_size(name: str, numbers: int) -> None:
    if numbers > LARGEST_MATRIX:
        raise NirError(
            f"NIR can say {name} only as a matrix of {numbers} numbers, more than {LARGEST_MATRIX}"
        )


# ---- neurons ---------------------------------------------------------------------------------------------


def neuron_node(p: Population, shape: Shape, dt: float) -> tuple[nir.NIRNode, dict[str, str]]:
    """A population's node, and the names that its fields have there. Raises NirError."""
    if p.is_input:
        return nir.Input(input_type={"input": np.array(shape)}), {}
    if carries_signal(p.node):
        return nir.Scale(scale=np.ones(shape)), {}
    if not isinstance(p.node, Membrane):
        raise NirError(f"{p.name} is a {type(p.node).__name__}, which NIR can't say")
    kind, fields = _neuron_kind(p.name, p.node, dt)
    arrays = p.node.arrays()
    given = {theirs: _shaped(arrays[ours], shape) for ours, theirs in fields.items()}
    return getattr(nir, kind)(**given), fields


def _shaped(array: Array, shape: Shape) -> Array:
    return np.array(array.reshape(shape) if array.size == prod(shape) else np.broadcast_to(array, shape))


def _neuron_kind(name: str, node: Membrane, dt: float) -> tuple[str, dict[str, str]]:
    """NIR's node for a membrane: its name, and our fields with their names in it."""
    spikes, leaks = node.sends == "spikes", np.isfinite(node.tau)
    if spikes and is_forgetful(node, dt):
        return "Threshold", {"v_threshold": "threshold"}
    firing = {k: k for k in ("v_threshold", "v_reset")} if spikes else {}
    if isinstance(node, CubaLIF):
        if not np.all(leaks):
            raise NirError(f"{name} has a synaptic current and no leak, which NIR can't say")
        fields = {"tau": "tau_mem"} | {k: k for k in ("tau_syn", "r", "v_leak", "w_in")}
        return ("CubaLIF" if spikes else "CubaLI"), fields | firing
    if not np.any(leaks):
        return ("IF" if spikes else "I"), {"r": "r"} | firing
    if not np.all(leaks):
        raise NirError(f"{name} has neurons with and without leak: NIR can't say both in one node, split it")
    return ("LIF" if spikes else "LI"), {k: k for k in ("tau", "r", "v_leak")} | firing


def differences(graph: Graph) -> Iterator[str]:
    """Why another tool would run the core differently; nothing where it would not."""
    for p in graph.populations:
        if isinstance(p.node, Membrane):
            yield from (f"{p.name} {why}" for why in _differences(p.node, graph.dt))
        elif carries_signal(p.node):
            yield f"{p.name} stands for what NIR can't say: an astrocyte that carries a signal, or a function"
    if graph.before is not None or graph.after is not None:
        yield "ordinary layers on the host are no part of it"


def _differences(node: Membrane, dt: float) -> Iterator[str]:
    spikes = node.sends == "spikes"
    forgets = is_forgetful(node, dt)
    if node.integrator != "euler":
        yield f"is integrated by the {node.integrator} rule"
    if spikes and node.reset != "value" and not forgets:
        yield f"has the reset {node.reset!r}"
    if spikes and node.comparison != ">":
        yield f"spikes where v {node.comparison} its threshold"
    if node.refractory:
        yield f"is refractory for {node.refractory} steps"
    if node.sends == "rectified":
        yield "sends its membrane rectified"
    if np.all(np.isinf(node.tau)) and np.any(node.v_leak):
        yield "starts from another value than 0"


def rules_of(graph: Graph) -> dict[str, Any]:
    """The rules by which a network is stepped, for people and for other readers."""
    nodes = [p.node for p in graph.populations if isinstance(p.node, Membrane)]
    spiking = [n for n in nodes if n.sends == "spikes"]
    several = {
        "reset": sorted({n.reset for n in spiking}),
        "threshold": sorted({n.comparison for n in spiking}),
        "integrator": sorted({f"{n.integrator}, current updated first" for n in nodes}),
    }
    return {name: found[0] if len(found) == 1 else found for name, found in several.items()}
