"""Where a traced network is cut: ordinary layers before the first and after the last layer of neurons.

What is linear stays on the chip before a layer of neurons; what is not (ReLU, MaxPool, a softmax), and
everything before it, goes to the host. After the last layer of neurons every ordinary layer does.
"""

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import fx

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.assigned import with_assigned
from astrodeploy.frontends.torch.cells import is_cell, is_foreign
from astrodeploy.frontends.torch.layers import PASSING, layer_of
from astrodeploy.frontends.torch.operations import MOVING, SIZES, is_linear
from astrodeploy.frontends.torch.operations import PASSING as PASSING_OPERATIONS
from astrodeploy.frontends.torch.trace import line_of, traced, with_ancestors
from astrodeploy.nn import Astrocyte, AstrocyteLayer, RateEncoder

STATEFUL = (torch.nn.RNNBase, torch.nn.RNNCellBase)  # no ordinary layers: they keep a state over time


@dataclass(frozen=True)
class Part:
    """A piece of the trace for the host: its nodes, the value it reads, and the value it gives."""

    nodes: frozenset[fx.Node]
    entry: fx.Node
    exit: fx.Node


@dataclass(frozen=True)
class Cut:
    """A traced network in its parts.

    root    the module that the nodes' targets are paths in
    before  what the host computes of the input; None: nothing
    after   what it computes of the last layer's messages
    """

    root: torch.nn.Module
    graph: fx.Graph
    before: Part | None
    after: Part | None

    def module(self, part: Part) -> torch.nn.Module:
        """A part as a module of its own, in eval mode, that shares nothing with the network."""
        graph = fx.Graph()
        copies = {part.entry: graph.placeholder("x")}
        for node in self.graph.nodes:
            if node in part.nodes and node is not part.entry:
                copies[node] = graph.node_copy(node, lambda each: _copied(copies, each))
        graph.output(copies[part.exit])
        made = deepcopy(fx.GraphModule(self.root, graph)).eval()
        type(
            made
        ).__name__ = f"a part of {type(self.root).__name__}"  # every GraphModule has a class of its own
        return made

    def input_shape(self, given: tuple[int, ...] | None) -> tuple[int, ...]:
        """The shape of one sample that `before` takes. Raises InputError where nobody says it."""
        assert self.before is not None
        if given is not None:
            return given
        for user in self.before.entry.users:
            module = _module(self.root, user)
            if isinstance(module, torch.nn.Linear):
                return (module.in_features,)
        raise InputError(
            "the module has no Linear layer to tell its input's shape: give input_shape (--input-shape)"
        )


def _copied(copies: dict[fx.Node, fx.Node], node: fx.Node) -> fx.Node:
    if node not in copies:
        raise UnsupportedError(
            f"ordinary layers that the host is to compute read {node.name} too{line_of(node)}, which is not theirs"
        )
    return copies[node]


def cut(module: torch.nn.Module) -> Cut:
    """Trace a module and cut it. Raises UnsupportedError where it can't be cut."""
    trace = with_assigned(traced(module))
    _prune(trace.graph)
    view = _View(trace.root, trace.graph)
    return Cut(trace.root, trace.graph, view.before(), view.after())


def _prune(graph: fx.Graph) -> None:
    """Leave out operations whose results lead nowhere, such as those that the forward only writes down."""
    kept = with_ancestors(n for n in graph.nodes if n.op in ("placeholder", "call_module", "output"))
    for node in reversed(graph.nodes):
        if node not in kept:
            graph.erase_node(node)


@dataclass
class _View:
    """The trace with what each node depends on."""

    root: torch.nn.Module
    graph: fx.Graph
    neurons: set[fx.Node] = field(default_factory=set)  # cells, encoders and what is refused by name
    fed: set[fx.Node] = field(default_factory=set)  # depends on neurons' messages
    stateful: set[fx.Node] = field(default_factory=set)  # depends on the state that the forward is given
    feeds: set[fx.Node] = field(default_factory=set)  # neurons depend on it

    def __post_init__(self) -> None:
        inputs = [n for n in self.graph.nodes if n.op == "placeholder"]
        self.stateful |= set(inputs[1:])
        for node in self.graph.nodes:
            if _is_neurons(self.root, node):
                self.neurons.add(node)
            if any(n in self.neurons or n in self.fed for n in node.all_input_nodes):
                self.fed.add(node)
            if any(n in self.stateful for n in node.all_input_nodes):
                self.stateful.add(node)
        for node in reversed(self.graph.nodes):
            if any(u in self.neurons or u in self.feeds for u in node.users):
                self.feeds.add(node)

    def before(self) -> Part | None:
        """The part up to the last operation on the input that is not linear."""
        free = [
            n
            for n in self.graph.nodes
            if n not in self.fed | self.stateful | self.neurons and n.op != "output"
        ]
        curved = [n for n in free if n in self.feeds and not _is_linear(self.root, n)]
        chosen = with_ancestors(curved)
        if not curved or any(isinstance(_module(self.root, n), STATEFUL) for n in chosen):
            return None
        entry = next(n for n in self.graph.nodes if n.op == "placeholder")
        given = [n for n in chosen if any(u not in chosen and not _is_size(u) for u in n.users)]
        given = [n for n in given if not _is_constant(n)]
        if len(given) != 1:
            names = ", ".join(n.name for n in given)
            raise UnsupportedError(
                f"the ordinary layers before the first layer of neurons give it several values ({names}): "
                "they must end in one, which the chip is fed"
            )
        return Part(frozenset(chosen), entry, given[0])

    def after(self) -> Part | None:
        """The part after the last layer of neurons."""
        result = next(n for n in self.graph.nodes if n.op == "output").args[0]
        value = result[0] if isinstance(result, tuple | list) and result else result
        if not isinstance(value, fx.Node):
            return None
        chosen = {n for n in with_ancestors([value]) if n in self.fed and self._is_ordinary(n)}
        if all(self._keeps_messages(n) for n in chosen):
            return None
        if any(isinstance(_module(self.root, n), STATEFUL) for n in chosen):
            return None
        read = {
            n for c in chosen for n in c.all_input_nodes if n not in chosen and n in self.fed | self.neurons
        }
        if len(read) != 1:
            names = ", ".join(sorted(n.name for n in read))
            raise UnsupportedError(
                f"the ordinary layers after the last layer of neurons read several values ({names}): they must "
                "read the messages of one layer"
            )
        constants = {n for n in with_ancestors(list(chosen)) if _is_constant(n)}
        return Part(frozenset(chosen | constants), read.pop(), value)

    def _is_ordinary(self, node: fx.Node) -> bool:
        """Whether a node computes something of messages; taking a cell's result apart is none of it."""
        if node in self.neurons or node in self.feeds or node.op == "output":
            return False
        return not (_name(node) in ("getitem", "getattr") and self._is_structure(node))

    def _is_structure(self, node: fx.Node) -> bool:
        """Whether a node is a cell's result or a part of it that is no tensor."""
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        return source is not None and (source in self.neurons or source in self.stateful)

    def _keeps_messages(self, node: fx.Node) -> bool:
        """Whether a node gives the messages as they are, in another shape at most."""
        module = _module(self.root, node)
        if module is not None:
            return isinstance(module, (*PASSING, torch.nn.Flatten, torch.nn.Unflatten))
        return _name(node) in (*MOVING, *PASSING_OPERATIONS, *SIZES)


def _is_neurons(root: torch.nn.Module, node: fx.Node) -> bool:
    module = _module(root, node)
    if module is None:
        return False
    known = is_cell(module) or isinstance(module, Astrocyte | AstrocyteLayer | RateEncoder)
    return known or (is_foreign(module) and not _is_torchs(module))


def _is_torchs(module: torch.nn.Module) -> bool:
    """Whether a module is a layer of torch, or of spikingjelly's copies of them."""
    kinds = [k for k in type(module).__mro__ if k.__module__.startswith("torch.nn.modules.")]
    return layer_of(module) is not None or any(k is not torch.nn.Module for k in kinds)


def _is_linear(root: torch.nn.Module, node: fx.Node) -> bool:
    if node.op in ("placeholder", "get_attr"):
        return True
    module = _module(root, node)
    if module is not None:
        return layer_of(module) is not None
    tensors = {n for n in node.all_input_nodes if not _is_constant(n) and not _is_size(n)}
    return _is_size(node) or _is_constant(node) or is_linear(_name(node), len(tensors))


def _is_constant(node: fx.Node) -> bool:
    """Whether a node depends on nothing but what the module holds."""
    return node.op == "get_attr" or bool(
        node.all_input_nodes and all(map(_is_constant, node.all_input_nodes))
    )


def _is_size(node: fx.Node) -> bool:
    """Whether a node tells of a tensor's shape, not of its values."""
    if _name(node) == "getattr" and node.args[1] in ("shape", "ndim", "dtype", "device"):
        return True
    if _name(node) in SIZES:
        return True
    computed = node.op == "call_function" and bool(node.all_input_nodes)
    return computed and all(map(_is_size, node.all_input_nodes))


def _module(root: torch.nn.Module, node: fx.Node) -> torch.nn.Module | None:
    return root.get_submodule(str(node.target)) if node.op == "call_module" else None


def _name(node: fx.Node) -> str:
    """The name of the operation of a node that is no module."""
    if node.op not in ("call_function", "call_method"):
        return ""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?")
