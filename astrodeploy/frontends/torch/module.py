"""From a torch module with a one-step forward to the Graph: symbolic trace, known modules as leaves.

Only the module's structure is read; no input flows through its neurons until the export check.
"""

from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import fx

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.cells import DEFAULT_DT, dt_of, is_cell, package_of
from astrodeploy.frontends.torch.host_cut import Cut, cut
from astrodeploy.frontends.torch.network_builder import Builder, part_at
from astrodeploy.frontends.torch.operations import BATCH, OPERATIONS
from astrodeploy.frontends.torch.running import first_state
from astrodeploy.frontends.torch.signals import CellState, Past, Signal
from astrodeploy.frontends.torch.trace import layer_name, line_of, path_of, said
from astrodeploy.ir.graph import Graph
from astrodeploy.ir.host import HostStage
from astrodeploy.nn import Astrocyte, AstrocyteLayer, RateEncoder

__all__ = ["graph_of", "layer_name"]
PLAIN = (int, float, bool, str, type(None), torch.Tensor, torch.dtype, torch.device, slice, type(Ellipsis))
RAW = (ValueError, TypeError, AttributeError, RuntimeError, LookupError, ArithmeticError)
ELSEWHERE = object()  # stands for a value that the host computes


def graph_of(
    module: torch.nn.Module, dt: float | None = None, input_shape: tuple[int, ...] | None = None
) -> Graph:
    """The Graph of a module with a one-step forward.

    dt is in seconds (None: that of the module's cells; 1 ms where they have none), input_shape that of one
    sample in one step or of its values with an encoder (None: what the first Linear takes). Ordinary layers
    before the first layer of neurons that are not linear, and all after the last one, become the host's.
    Raises UnsupportedError (a module or operation that can't be compiled, with its path) or InputError.
    """
    if is_cell(module) or isinstance(module, Astrocyte | AstrocyteLayer | RateEncoder):
        raise UnsupportedError(f"a single {type(module).__name__} is no network: put it into a Module")
    seconds = _dt(module) if dt is None else dt
    parts = cut(module)
    given = None if input_shape is None else tuple(input_shape)
    before = None
    if parts.before is not None:
        before, given = _stage("before the first", parts.module(parts.before), parts.input_shape(given))
    walk = _Walk(parts, Builder(seconds, given), given=None if input_shape is None else tuple(input_shape))
    outputs = walk.outputs()
    after = None
    if parts.after is not None:
        shape = walk.builder.shape_of(outputs[0])
        after, _ = _stage("after the last", parts.module(parts.after), shape)
    return walk.builder.graph(outputs, walk.returned, before, after)


def _stage(where: str, module: torch.nn.Module, shape: tuple[int, ...]) -> tuple[HostStage, tuple[int, ...]]:
    from astrodeploy.frontends.torch.host_export import stage_of

    try:
        stage = stage_of(module.float(), shape)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"the ordinary layers {where} layer of neurons can't be given to the host: {error}"
        ) from error
    return stage, stage.outputs


def _dt(module: torch.nn.Module) -> float:
    found = {dt for cell in module.modules() if is_cell(cell) and (dt := dt_of(cell)) is not None}
    if len(found) > 1:
        raise InputError(f"the module's cells have the time steps {sorted(found)}: train them with one dt")
    return found.pop() if found else DEFAULT_DT


@dataclass
class _Walk:
    """Evaluates the chip's part of a trace, node by node."""

    parts: Cut
    builder: Builder
    values: dict[fx.Node, Any] = field(default_factory=dict)
    given: tuple[int, ...] | None = None  # the shape of what `before` is fed
    returned: Any = None  # the state that the forward returns
    first: Any = None  # the state after one step, once it was needed

    def outputs(self) -> tuple[str, ...]:
        """Walk to the end; the populations that are read out."""
        before, after = self.parts.before, self.parts.after
        places = [n for n in self.parts.graph.nodes if n.op == "placeholder"]
        if not places:
            raise UnsupportedError("the module's forward takes no input")
        states = [Past(()) if len(places) == 2 else Past((i,)) for i in range(len(places) - 1)]
        self.values = dict(zip(places, [self.builder.input, *states], strict=True))
        for node in self.parts.graph.nodes:
            if node.op == "output":
                return self._read_out(self._value(node.args[0]), stateful=len(places) > 1)
            if before is not None and node is before.exit:
                self.values[node] = self.builder.input
            elif any(part and node in part.nodes for part in (before, after)):
                self.values[node] = self.values.get(node, ELSEWHERE)
            elif node not in self.values:
                self.values[node] = self._read(node)
        raise InputError("the module's forward returns nothing")

    def _read_out(self, result: Any, stateful: bool) -> tuple[str, ...]:
        after = self.parts.after
        parts = tuple(result) if isinstance(result, tuple | list) else (result,)
        y: Any = parts
        if len(parts) > 1 and (stateful or not isinstance(parts[1], Signal)):
            y, self.returned = parts[0], parts[1] if len(parts) == 2 else parts[1:]
        if after is not None:
            y = self.values[after.entry]
            if not isinstance(y, Signal | CellState):
                raise UnsupportedError(
                    "the ordinary layers after the last layer of neurons are fed something that is neither spikes "
                    "nor a membrane: take the spikes out of what the layer returns"
                )
        ends = tuple(y) if isinstance(y, tuple | list) else (y,)
        return tuple(self.builder.output(end) for end in ends)

    def _read(self, node: fx.Node) -> Any:
        """What a node is; whatever a module or an operation with odd settings raises is told by its name."""
        try:
            return self._evaluated(node)
        except RAW as error:
            raise UnsupportedError(f"{self._named(node)} can't be read: {said(error)}") from error

    def _named(self, node: fx.Node) -> str:
        if node.op != "call_module":
            return f"the operation {getattr(node.target, '__name__', node.target)!r}{line_of(node)}"
        module = self.parts.root.get_submodule(str(node.target))
        return (
            f"{path_of(self.parts.root, str(node.target))}, a {package_of(module)} {type(module).__name__},"
        )

    def _evaluated(self, node: fx.Node) -> Any:
        arguments = self._value(node.args)
        if node.op == "call_module":
            path = path_of(self.parts.root, str(node.target))
            module = self.parts.root.get_submodule(str(node.target))
            settings = self._value(node.kwargs)
            if isinstance(module, Astrocyte):
                return self.builder.astrocyte(path, module, self._ports(module, arguments, settings))
            given = next(iter((*arguments, *settings.values())), None)
            return self.builder.call(path, module, self._as_signal(given))
        if node.op == "get_attr":
            return self._attribute(str(node.target)).detach().cpu()
        return self._operation(node, arguments, self._value(node.kwargs))

    def _ports(
        self, module: Astrocyte, arguments: tuple[Any, ...], settings: dict[str, Any]
    ) -> dict[str, Signal]:
        """What an Astrocyte is fed, by port."""
        given = signature(module.forward).bind(*arguments, **settings).arguments
        return {k: self._as_signal(v) for k, v in given.items() if k != "state" and v is not None}

    def _attribute(self, target: str) -> torch.Tensor:
        holder, _, name = target.rpartition(".")
        found: torch.Tensor = getattr(self.parts.root.get_submodule(holder), name)
        return found

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, tuple | list):
            items = [self._value(a) for a in argument]
            named = getattr(argument, "_fields", None)
            return dict(zip(named, items, strict=True)) if named else tuple(items)
        if isinstance(argument, dict):
            return {key: self._value(a) for key, a in argument.items()}
        if isinstance(argument, slice):
            return slice(*(self._value(a) for a in (argument.start, argument.stop, argument.step)))
        return argument

    def _operation(self, node: fx.Node, arguments: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?")
        first = arguments[0] if arguments else None
        if name in ("getitem", "getattr") and (part := _part(first, arguments[1])) is not None:
            return part
        if isinstance(node.target, type) and (fields := getattr(node.target, "_fields", None)):
            return dict(zip(fields, arguments, strict=False)) | settings
        operands = _flat(arguments)
        if operands and all(isinstance(a, PLAIN) for a in operands):
            function = node.target if callable(node.target) else getattr(torch.Tensor, str(node.target))
            return function(*arguments, **settings)
        if name in OPERATIONS and not any(isinstance(a, CellState) for a in operands):
            signals = tuple(self._as_signal(a) for a in arguments)
            return self.builder.learn(OPERATIONS[name](line_of(node), *signals, **settings))
        raise UnsupportedError(
            f"the operation {name!r}{line_of(node)} is not supported in a network's forward; between layers of "
            "neurons supported are modules, and operations that are linear: sums, multiples, concatenation, "
            "averages, other shapes"
        )

    def _as_signal(self, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(self._as_signal(v) for v in value)
        if not isinstance(value, Past):
            return self.builder.told(value) if isinstance(value, Signal) else value
        return self.builder.signal(value).known_as(self._shape_of(value))

    def _shape_of(self, past: Past) -> tuple[int, ...] | None:
        """The shape of a state, as one step of the module shows it; None where that can't be run yet."""
        shape = self.builder.input_shape if self.parts.before is None else self.parts.input_shape(self.given)
        if shape is None:
            return None
        if self.first is None:
            self.first = first_state(self.parts.root, shape)
        found = part_at(self.first, past.path)
        return tuple(found.shape[1:]) if isinstance(found, torch.Tensor) else None


def _flat(arguments: Any) -> list[Any]:
    if isinstance(arguments, tuple | list):
        return [leaf for each in arguments for leaf in _flat(each)]
    return [arguments]


def _part(whole: Any, key: Any) -> Any:
    """A part of a cell's result, of a state, or of a shape; None where it is something else."""
    if isinstance(whole, tuple) and isinstance(key, int | slice):
        return whole[key]
    if isinstance(whole, dict):
        return whole.get(key, list(whole.values())[key] if isinstance(key, int) else None)
    if isinstance(whole, Past) and isinstance(key, int | str):
        return whole.at(key)
    if isinstance(whole, CellState):
        return whole
    if isinstance(whole, Signal) and key == "shape":
        return (BATCH, *(whole.shape or (-1,)))
    return None
