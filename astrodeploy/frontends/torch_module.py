"""From a torch module with a one-step forward to the Graph: symbolic trace, known modules as leaves.

Only the module's structure is read; no input flows through it until the export check.
"""

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from norse.torch import SequentialState
from torch import fx

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.cells import CELLS, node_of
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.nodes import Array, Astrocyte, Input, RateEncoder
from astrodeploy.ir.wiring import Dense
from astrodeploy.nn import AstrocyteLayer
from astrodeploy.nn import RateEncoder as RateEncoderModule

INPUT = "input"
TORCH = str(Path(torch.__file__).parent)  # frames in there are not the user's


@dataclass(frozen=True)
class Spikes:
    """A signal: the messages of a population; size 0 is the input's before something tells it."""

    population: str
    size: int


@dataclass(frozen=True, eq=False)
class Current:
    """A signal: a weighted sum of populations' messages, and a constant."""

    terms: tuple[tuple[str, Array], ...]
    bias: Array

    def __add__(self, other: "Current") -> "Current":
        return Current(self.terms + other.terms, self.bias + other.bias)


class _State:
    """Stands for any state: states are not followed, they belong to their cells."""


Signal = Spikes | Current | _State


@dataclass
class _Builder:
    """Collects populations and connections while a module is walked."""

    dt: float
    input_shape: tuple[int, ...] | None
    input_node: Input | RateEncoder = field(default_factory=Input)
    populations: list[Population] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    def size(self, signal: Spikes, wanted: int = 0) -> int:
        """Neurons that send a signal; the input has as many as its first layer takes, unless it is given."""
        if signal.population != INPUT:
            return signal.size
        if self.input_shape is None:
            if not wanted:
                raise InputError("the module has no Linear layer to tell its input's shape: give input_shape")
            self.input_shape = (wanted,)
        return prod(self.input_shape)

    def current(self, signal: Spikes | Current, wanted: int = 0) -> Current:
        """A signal as a current: spikes enter with weight 1."""
        if isinstance(signal, Current):
            return signal
        size = self.size(signal, wanted)
        return Current(((signal.population, np.eye(size)),), np.zeros(size))

    def graph(self, output: str) -> Graph:
        """What was collected."""
        assert self.input_shape is not None, "a network without a layer is refused before"
        start = Population(INPUT, self.input_shape, self.input_node)
        return Graph(self.dt, (start, *self.populations), tuple(self.connections), (output,))

    def call(self, path: str, module: torch.nn.Module, signal: Any) -> tuple[Signal, _State] | Signal:
        """What a module makes of a signal."""
        for kind, build in _BUILDERS.items():
            if isinstance(module, kind):
                if not isinstance(signal, Spikes | Current):
                    raise UnsupportedError(f"{path} is fed something that is neither spikes nor a current")
                built: tuple[Signal, _State] | Signal = build(self, path, module, signal)
                return built
        raise UnsupportedError(
            f"{path} is a {type(module).__module__.split('.')[0]} {type(module).__name__}, which is not "
            f"supported; supported are {', '.join(k.__name__ for k in _BUILDERS)}"
        )

    def add(self, population: Population, current: Current) -> Spikes:
        """A new population driven by a current."""
        if population.name in (INPUT, *(p.name for p in self.populations)):
            raise UnsupportedError(
                f"{population.name} is used twice in one step, or two modules go by that name: give each use a "
                "module and a name of its own"
            )
        self.populations.append(population)
        for source, weight in _merged(current.terms):
            self.connections.append(Connection(source, population.name, "current", Dense(weight)))
        return Spikes(population.name, population.size)


def _merged(terms: tuple[tuple[str, Array], ...]) -> list[tuple[str, Array]]:
    """Parallel connections from one population add up."""
    merged: dict[str, Array] = {}
    for source, weight in terms:
        merged[source] = merged[source] + weight if source in merged else weight
    return list(merged.items())


def _linear(builder: _Builder, path: str, module: torch.nn.Linear, signal: Spikes | Current) -> Signal:
    if isinstance(signal, Current):
        raise UnsupportedError(f"{path} is fed a current: put a layer of neurons between two Linear layers")
    size = builder.size(signal, module.in_features)
    if size != module.in_features:
        raise InputError(
            f"{path} takes {module.in_features} inputs, {signal.population} before it has {size}"
        )
    weight = _numpy(module.weight)
    bias = np.zeros(len(weight)) if module.bias is None else _numpy(module.bias)
    for name, array in (("weight", weight), ("bias", bias)):
        if not np.all(np.isfinite(array)):
            raise InputError(f"{path}.{name} holds NaN or infinite values: train or repair it first")
    return Current(((signal.population, weight),), bias)


def _encoder(
    builder: _Builder, path: str, module: RateEncoderModule, signal: Spikes | Current
) -> tuple[Signal, _State]:
    if not isinstance(signal, Spikes) or signal.population != INPUT:
        raise UnsupportedError(f"{path}: an encoder stands at the input, before everything else")
    builder.input_node = RateEncoder(steps=module.steps, seed=module.seed)
    return signal, _State()


def _cell(
    builder: _Builder, path: str, module: torch.nn.Module, signal: Spikes | Current
) -> tuple[Signal, _State]:
    current = builder.current(signal)
    size = len(current.bias)
    node = node_of(path, module, size, current.bias, builder.dt)
    return builder.add(Population(layer_name(path), (size,), node), current), _State()


def _astrocyte_layer(
    builder: _Builder, path: str, module: AstrocyteLayer, signal: Spikes | Current
) -> tuple[Signal, _State]:
    current = builder.current(signal, module.neurons)
    if len(current.bias) != module.neurons:
        raise InputError(f"{path} has {module.neurons} neurons, its input has {len(current.bias)}")
    node = node_of(f"{path}.cell", module.cell, module.neurons, current.bias, builder.dt)
    layer = layer_name(path)
    spikes = builder.add(Population(layer, (module.neurons,), node), current)
    log_gain = _numpy(module.log_gain)
    astrocyte = Astrocyte(
        period=module.period,
        decay=module.decay,
        rate=module.rate,
        set_point=module.set_point,
        low=module.low,
        high=module.high,
        log_gain=log_gain,
    )
    name = f"{layer}_astrocytes"
    builder.populations.append(Population(name, log_gain.shape, astrocyte))
    spread = np.eye(len(log_gain))[_numpy(module.domain_of).astype(np.int64)]
    builder.connections.append(Connection(layer, name, "activity", Dense(_numpy(module.pool)), lag=1))
    builder.connections.append(Connection(name, layer, "modulation", Dense(spread), lag=1))
    return spikes, _State()


def _container(
    builder: _Builder, path: str, module: SequentialState, signal: Spikes | Current
) -> tuple[Any, _State]:
    result: Any = signal
    for name, child in module.named_children():
        result = builder.call(f"{path}.{name}" if path else f"layer{name}", child, result)
        result = result[0] if isinstance(result, tuple) else result
    return result, _State()


def _pass_through(builder: _Builder, path: str, module: torch.nn.Module, signal: Spikes | Current) -> Signal:
    return signal


_BUILDERS: dict[Any, Callable[..., Any]] = {
    torch.nn.Linear: _linear,
    RateEncoderModule: _encoder,
    **dict.fromkeys(CELLS, _cell),
    AstrocyteLayer: _astrocyte_layer,
    SequentialState: _container,
    torch.nn.Flatten: _pass_through,
    torch.nn.Identity: _pass_through,
    torch.nn.Dropout: _pass_through,
}


def layer_name(path: str) -> str:
    """The name of the population that a module at a path becomes."""
    return f"layer{path}" if path.isdigit() else path.replace(".", "_")


def _numpy(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach().cpu(), np.float64)


def graph_of(
    module: torch.nn.Module, dt: float | None = None, input_shape: tuple[int, ...] | None = None
) -> Graph:
    """The Graph of a module with a one-step forward.

    dt is in seconds (None: that of the module's cells), input_shape that of one sample in one step or
    of its values with an encoder (None: what the first Linear takes).
    Raises UnsupportedError (a module or operation that can't be compiled, with its path) or InputError.
    """
    dt = _dt(module) if dt is None else dt
    builder = _Builder(dt, None if input_shape is None else tuple(input_shape))
    start = Spikes(INPUT, 0)
    if isinstance(module, SequentialState):
        end, _ = _container(builder, "", module, start)
    else:
        end = _walk_traced(builder, module, start)
    if not isinstance(end, Spikes) or end.population == INPUT:
        raise UnsupportedError("the output of the network must be the spikes of a layer of neurons")
    return builder.graph(end.population)


def _dt(module: torch.nn.Module) -> float:
    found = {float(cell.dt) for cell in module.modules() if isinstance(cell, CELLS)}
    if len(found) > 1:
        raise InputError(f"the module's cells have the time steps {sorted(found)}: train them with one dt")
    return found.pop() if found else 1.0  # a module without cells is refused for that, whatever its dt


class _Tracer(fx.Tracer):
    """Known modules and those of torch and Norse are leaves; the user's own are looked into."""

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, tuple(_BUILDERS)):
            return True
        if isinstance(m, torch.nn.Sequential | torch.nn.ModuleList | torch.nn.ModuleDict):
            return False
        return type(m).__module__.startswith(("torch.", "norse."))


def _walk_traced(builder: _Builder, module: torch.nn.Module, start: Signal) -> Signal:
    if isinstance(module, tuple(_BUILDERS)):
        raise UnsupportedError(f"a single {type(module).__name__} is no network: put it into a Module")
    values: dict[fx.Node, Any] = {}
    modules = dict(module.named_modules())
    states_seen = False
    for node in _traced(module).nodes:
        if node.op == "placeholder":
            values[node] = _State() if states_seen else start
            states_seen = True
        elif node.op == "call_module":
            path = str(node.target)
            values[node] = builder.call(
                path, modules[path], _value(values, node.args[0] if node.args else None)
            )
        elif node.op == "output":
            result = _value(values, node.args[0])
            end: Signal = result[0] if isinstance(result, tuple) else result
            return end
        else:
            values[node] = _operation(builder, node, [_value(values, a) for a in node.args])
    raise InputError("the module's forward returns nothing")


def _value(values: dict[fx.Node, Any], argument: Any) -> Any:
    if isinstance(argument, fx.Node):
        return values[argument]
    if isinstance(argument, tuple | list):
        return tuple(_value(values, a) for a in argument)
    return argument


def _operation(builder: _Builder, node: fx.Node, arguments: list[Any]) -> Any:
    """Sums of currents and indexing are understood; nothing else is."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?")
    first = arguments[0] if arguments else None
    if name == "getitem":
        if isinstance(first, tuple) and isinstance(arguments[1], int):
            return first[arguments[1]]
        if isinstance(first, _State):
            return first
    if name == "getattr" and isinstance(first, _State):
        return first
    if name == "add" and all(isinstance(a, Spikes | Current) for a in arguments[:2]):
        left, right = (builder.current(a) for a in arguments[:2])
        if len(left.bias) != len(right.bias):
            raise InputError(f"a sum adds {len(left.bias)} and {len(right.bias)} values")
        return left + right
    where = _line(node.stack_trace or "")
    raise UnsupportedError(
        f"the operation {name!r}{where} is not supported in a network's forward; supported are modules, "
        "sums of currents, and indexing"
    )


def _traced(module: torch.nn.Module) -> fx.Graph:
    tracer = _Tracer()
    tracer.record_stack_traces = True
    try:
        return tracer.trace(module)
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


def _line(stack: str) -> str:
    found = [
        each for each in re.findall(r'File "([^"]+)", line (\d+)', stack) if not each[0].startswith(TORCH)
    ]
    return f" ({found[-1][0].rsplit('/', 1)[-1]}, line {found[-1][1]})" if found else ""
