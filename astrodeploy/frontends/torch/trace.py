"""torch.fx's trace of a one-step forward: cells and torch's own modules are leaves, the user's are looked into."""

import re
import traceback
from pathlib import Path
from typing import Any

import torch
from norse.torch import SequentialState
from torch import fx

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import FAMILIES, is_cell
from astrodeploy.nn import Astrocyte, AstrocyteLayer, RateEncoder

TORCH = str(Path(torch.__file__).parent)  # frames in there are not the user's
OPENED = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, SequentialState)


class _Root(torch.nn.Module):
    """Norse's container as a module with a traceable forward."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any, state: Any = None) -> Any:
        """One step."""
        return self.net(x, state)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        if is_cell(m) or isinstance(m, Astrocyte | AstrocyteLayer | RateEncoder):
            return True
        if isinstance(m, OPENED):
            return False
        return type(m).forward.__module__.split(".")[0] in ("torch", *FAMILIES)

    def call_module(self, m: torch.nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if not isinstance(m, SequentialState) or type(m).forward is not SequentialState.forward:
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


def traced(module: torch.nn.Module) -> tuple[torch.nn.Module, fx.Graph]:
    """The root that node targets are paths in, and the trace. Raises UnsupportedError with the line."""
    root = _Root(module) if isinstance(module, SequentialState) else module
    tracer = _Tracer()
    tracer.record_stack_traces = True
    try:
        return root, tracer.trace(root)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError, AttributeError) as error:
        where = next(
            (
                f" ({frame.filename.rsplit('/', 1)[-1]}, line {frame.lineno}: {frame.line})"
                for frame in reversed(traceback.extract_tb(error.__traceback__))
                if not frame.filename.startswith(TORCH) and frame.filename != __file__
            ),
            "",
        )
        raise UnsupportedError(
            f"the forward of {type(module).__name__} loops over time or branches on data{where}: write it "
            "for one step, (x, state) -> (y, state), and run it over time with astrodeploy.nn.unroll "
            f"(torch.fx says: {str(error).splitlines()[0]})"
        ) from error


def path_of(root: torch.nn.Module, target: str) -> str:
    """The path of a traced module as the user knows it."""
    return target.removeprefix("net.") if isinstance(root, _Root) else target


def line_of(node: fx.Node) -> str:
    """Where in the user's file an operation stands, as " (file, line n)"."""
    found = [
        each
        for each in re.findall(r'File "([^"]+)", line (\d+)', node.stack_trace or "")
        if not each[0].startswith(TORCH) and each[0] != __file__
    ]
    return f" ({found[-1][0].rsplit('/', 1)[-1]}, line {found[-1][1]})" if found else ""


def layer_name(path: str) -> str:
    """The name of the population that a module at a path becomes."""
    return f"layer{path}" if path.isdigit() else path.replace(".", "_")
