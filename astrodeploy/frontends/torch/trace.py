"""torch.fx's trace of a one-step forward: cells and torch's own modules are leaves, the user's are looked into."""

import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from norse.torch import SequentialState
from torch import fx

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import FAMILIES, is_cell
from astrodeploy.frontends.torch.copies import copied
from astrodeploy.nn import Astrocyte, AstrocyteLayer, RateEncoder

TORCH = str(Path(torch.__file__).parent)  # frames in there are not the user's
HERE = str(Path(__file__).parent)  # nor in here
OPENED = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, SequentialState)


class _Root(torch.nn.Module):
    """Norse's container as a module with a traceable forward."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any, state: Any = None) -> Any:
        """One step."""
        return self.net(x, state)


UNTRACED = (fx.proxy.TraceError, TypeError, RuntimeError, ValueError, AttributeError, LookupError, NameError)
Setting = tuple[str, str]  # path of a module, and the name of an attribute of it


class Tracer(fx.Tracer):
    """Cells and torch's own modules are leaves; what a forward assigned to one of them by its call is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.record_stack_traces = True
        self.assigned: dict[Setting, Any] = {}  # values that hold proxies
        self._before: dict[int, dict[str, Any]] = {}

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of a module that may be spoilt by it."""
        self._before = {id(m): _attributes(m) for m in root.modules()}
        return super().trace(root, concrete_args)

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is called and not looked into."""
        if is_cell(m) or isinstance(m, Astrocyte | AstrocyteLayer | RateEncoder):
            return True
        if isinstance(m, OPENED):
            return False
        return type(m).forward.__module__.split(".")[0] in ("torch", *FAMILIES)

    def call_module(self, m: torch.nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """A call of a module; of Norse's container, those of what it holds."""
        if not isinstance(m, SequentialState) or type(m).forward is not SequentialState.forward:
            if self.is_leaf_module(m, ""):
                self._note_assignments(m)
            return super().call_module(m, forward, args, kwargs)
        x, states, passed = args[0], [], []
        for stateful, child in zip(m.stateful_layers, m.children(), strict=True):
            if stateful:
                x, state = child(x, None)
                states.append(state)
            else:
                x = child(x)
            passed.append(x)
        return (passed if m.return_hidden else x), states

    def _note_assignments(self, leaf: torch.nn.Module) -> None:
        """What of a leaf, and of modules in it, is another object than before the trace."""
        top = self.path_of_module(leaf)
        for inner, m in leaf.named_modules():
            was = self._before.get(id(m), {})
            for name, value in _attributes(m).items():
                if name not in was or was[name] is not value:
                    path = ".".join(filter(None, (top, inner)))
                    self.assigned[path, name] = value


def _attributes(m: torch.nn.Module) -> dict[str, Any]:
    """What a module's attributes are, but for its modules."""
    own = {name: value for name, value in vars(m).items() if not name.startswith("_")}
    return own | dict(m._buffers) | dict(m._parameters)


@dataclass(frozen=True, eq=False)
class Traced:
    """A trace, and what its nodes' targets are paths in: a copy of the user's module.

    assigned  what the forward assigns to its leaves before it calls them, by path and attribute
    """

    root: torch.nn.Module
    graph: fx.Graph
    assigned: dict[Setting, Any] = field(default_factory=dict)


def traced(module: torch.nn.Module) -> Traced:
    """The trace of a copy of a module. Raises UnsupportedError with the line."""
    _refuse_replaced(module)
    spoilt, tracer = rooted(copied(module)), Tracer()
    try:
        graph = tracer.trace(spoilt)
    except UNTRACED as error:
        raise UnsupportedError(
            f"the forward of {type(module).__name__} loops over time or branches on data{where(error)}: write it "
            "for one step, (x, state) -> (y, state), and run it over time with astrodeploy.nn.unroll "
            f"(torch.fx says: {said(error)})"
        ) from error
    root = rooted(copied(module))
    for node in graph.nodes:  # constants that the trace itself hung on its root
        if node.op == "get_attr" and not _has(root, str(node.target)):
            setattr(root, str(node.target), getattr(spoilt, str(node.target)))
    return Traced(root, graph, tracer.assigned)


def _refuse_replaced(module: torch.nn.Module) -> None:
    """Raise UnsupportedError for a forward that stands on an object, where the class's is what is read."""
    for path, child in module.named_modules():
        if "forward" in vars(child) and (child is module or Tracer().is_leaf_module(child, path)):
            kind = type(child).__name__
            raise UnsupportedError(
                f"the forward of {path or 'the module'} ({kind}) is replaced on the object, and what is read is that "
                f"of its class: write what it does into a class of your own (class My{kind}({kind}): def forward), or "
                f"into the forward that calls it"
            )


def rooted(module: torch.nn.Module) -> torch.nn.Module:
    """A module with a forward that can be traced: Norse's container in one of ours, any other as it is."""
    return _Root(module) if isinstance(module, SequentialState) else module


def _has(root: torch.nn.Module, target: str) -> bool:
    value: Any = root
    for name in target.split("."):
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


def where(error: BaseException) -> str:
    """The user's line that an error was raised in, as " (file, line n: text)"."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((TORCH, HERE)):
            return f" ({frame.filename.rsplit('/', 1)[-1]}, line {frame.lineno}: {frame.line})"
    return ""


def said(error: BaseException) -> str:
    """An error's first line; its kind where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def path_of(root: torch.nn.Module, target: str) -> str:
    """The path of a traced module as the user knows it."""
    return target.removeprefix("net.") if isinstance(root, _Root) else target


def line_of(node: fx.Node) -> str:
    """Where in the user's file an operation stands, as " (file, line n)"."""
    found = [
        each
        for each in re.findall(r'File "([^"]+)", line (\d+)', node.stack_trace or "")
        if not each[0].startswith((TORCH, HERE))
    ]
    return f" ({found[-1][0].rsplit('/', 1)[-1]}, line {found[-1][1]})" if found else ""


def layer_name(path: str) -> str:
    """The name of the population that a module at a path becomes."""
    return f"layer{path}" if path.isdigit() else path.replace(".", "_")


def with_ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Nodes, and all that they follow from."""
    found: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found
