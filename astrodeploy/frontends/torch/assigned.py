"""What a forward assigns to the modules that it calls: `self.slow.decay = torch.sigmoid(self.raw)`.

A chip's neurons have fixed numbers. What follows from the module's parameters alone is one, and is worked out in
float64, as the export check's run does it; what follows from the input or a state is none.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.copies import copied
from astrodeploy.frontends.torch.trace import UNTRACED, Traced, path_of, said, with_ancestors


def with_assigned(trace: Traced) -> Traced:
    """The same trace; its root's modules have what they are assigned. Raises UnsupportedError."""
    for (path, name), value in trace.assigned.items():
        worked_out = _worked_out(trace, value, f"{path_of(trace.root, path)}.{name}")
        module = trace.root.get_submodule(path)
        for held in (module._parameters, module._buffers, module.__dict__):
            held.pop(name, None)
        if isinstance(worked_out, torch.Tensor):  # a buffer, so that it follows the module from type to type
            module._buffers[name] = worked_out
        else:
            module.__dict__[name] = worked_out
    return trace


def _worked_out(trace: Traced, value: Any, label: str) -> Any:
    """A value with numbers in place of the proxies in it."""
    proxies = list(_proxies(value))
    if not proxies:
        return value
    needed = with_ancestors([p.node for p in proxies])
    if any(node.op == "placeholder" for node in needed):
        raise UnsupportedError(
            f"{label} is computed from the input or the state in the forward, and a chip's neurons have fixed numbers: "
            "assign what follows from the module's parameters alone, or a number; gains that follow activity are what "
            "AstrocyteLayer is for"
        )
    try:
        with torch.no_grad():
            numbers = _part(trace, needed, [p.node for p in proxies])()
    except UNTRACED as error:
        raise UnsupportedError(
            f"{label} is assigned in the forward, and what it is can't be worked out: assign a number or a tensor that "
            f"follows from the module's parameters (torch says: {said(error)})"
        ) from error
    return _filled(value, {id(p): n for p, n in zip(proxies, numbers, strict=True)})


def _part(trace: Traced, needed: set[fx.Node], results: list[fx.Node]) -> fx.GraphModule:
    """What computes some nodes that depend on no input, in float64."""
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in trace.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, lambda each: copies[each])
    graph.output(tuple(copies[node] for node in results))
    return fx.GraphModule(copied(trace.root).double().eval(), graph)


def _proxies(value: Any) -> Iterator[fx.Proxy]:
    if isinstance(value, fx.Proxy):
        yield value
    elif isinstance(value, tuple | list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _proxies(each)


def _filled(value: Any, numbers: dict[int, Any]) -> Any:
    if isinstance(value, fx.Proxy):
        return numbers[id(value)]
    if isinstance(value, dict):
        return {key: _filled(each, numbers) for key, each in value.items()}
    if isinstance(value, tuple | list):
        parts = [_filled(each, numbers) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
