"""Runs a user's torch module step by step in float64, and records what its layers send and keep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from astrodeploy.engines.recording import Recording
from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import Reader, package_of, reader_of
from astrodeploy.frontends.torch.copies import copied
from astrodeploy.frontends.torch.held import KEPT, Watch
from astrodeploy.frontends.torch.trace import layer_name
from astrodeploy.ir import Graph
from astrodeploy.ir.nodes import Array, Membrane, carries_signal
from astrodeploy.nn import Astrocyte, AstrocyteLayer
from astrodeploy.nn.time import states_of, step

RUN_ERRORS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError)
Kept = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Run:
    """What a module did: its layers' messages and membranes, and what its forward gave, by output.

    changed  paths of what the module holds, other than its cells' states, that was not the same after each step
    """

    recording: Recording
    outputs: tuple[Array, ...]
    changed: frozenset[str] = frozenset()


def run_module(double: torch.nn.Module, graph: Graph, x: Array, steps: int | None) -> Run:
    """Run a copy that `in_float64` made on x (rows, steps, *shape); or, with `steps`, on (rows, *shape) in every step.

    Raises UnsupportedError where its forward does not run.
    """
    seen = _watched(double)
    tensor = torch.from_numpy(np.array(x, np.float64))
    tensor = tensor.float().double() if graph.encoder else tensor
    _check_form(double)
    watch = Watch(double)
    try:
        with torch.no_grad():
            given = _stepped(double, tensor, steps, watch)
    except RUN_ERRORS as error:
        shape = graph.input.shape if graph.before is None else graph.before.inputs
        raise UnsupportedError(
            f"the forward of {type(double).__name__} does not run on an input of shape {shape}: it "
            "must take (x, state), with None for the first state, and return (y, state); torch says: "
            f"{error}"
        ) from error
    outputs = _outputs(given, len(graph.outputs), len(x))
    return Run(_recording(graph, seen, len(x)), outputs, frozenset(watch.changed))


def _stepped(module: torch.nn.Module, x: torch.Tensor, steps: int | None, watch: Watch) -> list[Any]:
    state, given = None, []
    for t in range(x.shape[1] if steps is None else steps):
        y, state = step(module, x[:, t] if steps is None else x, state)
        given.append(y)
        watch.look()
    return given


def first_state(module: torch.nn.Module, shape: tuple[int, ...]) -> Any:
    """The state after one step of silence, for its shapes; None where the forward does not run."""
    try:
        with torch.no_grad():
            return step(in_float64(module), torch.zeros(1, *shape, dtype=torch.float64))[1]
    except RUN_ERRORS:
        return None


def _check_form(module: torch.nn.Module) -> None:
    """Cells whose states are handed from step to step need a forward that hands them on."""
    forgetting = [m for m in module.modules() if package_of(m) == "norse" and reader_of(m)]
    if states_of(module) == 0 and (forgetting or any(_remembers(m) for m in module.modules())):
        raise UnsupportedError(
            f"the forward of {type(module).__name__} takes no state, without which its cells start anew in every "
            "step: it must take (x, state), with None for the first state, and return (y, state)"
        )


def _outputs(given: list[Any], wanted: int, rows: int) -> tuple[Array, ...]:
    """What the forward gave in every step, (rows, steps, values) by output."""
    parts = [tuple(y) if isinstance(y, tuple | list) else (y,) for y in given]
    stacked = (torch.stack([p[i] for p in parts], 1).double().numpy() for i in range(wanted))
    return tuple(each.reshape(rows, len(parts), -1) for each in stacked)


def _watched(module: torch.nn.Module) -> dict[str, Kept]:
    """Hooks on every layer of neurons; what they see, by the name of the population."""
    seen: dict[str, Kept] = {}
    inner = {f"{path}.cell" for path, child in module.named_modules() if isinstance(child, AstrocyteLayer)}
    for path, child in module.named_modules():
        layered = isinstance(child, AstrocyteLayer)
        if isinstance(child, Astrocyte):
            child.register_forward_hook(_message_recorder(seen.setdefault(layer_name(path), [])))
            continue
        reader = reader_of(child.cell if layered else child)
        if reader is not None and path not in inner:
            child.register_forward_hook(_recorder(seen.setdefault(layer_name(path), []), reader, layered))
    return seen


def _remembers(module: torch.nn.Module) -> bool:
    return isinstance(module, AstrocyteLayer) or (isinstance(module, Astrocyte) and module.remembers)


def _message_recorder(into: Kept) -> Callable[..., None]:
    """A forward hook that keeps what an Astrocyte sends."""

    def record(module: Any, _inputs: Any, output: Any) -> None:
        into.append((output[0], output[0]))

    return record


def _recorder(into: Kept, reader: Reader, layered: bool) -> Callable[..., None]:
    """A forward hook that keeps a layer's messages and membranes."""

    def record(module: Any, _inputs: Any, output: Any) -> None:
        told = (output[0], output[1].cell) if layered else output
        into.append((reader.messages(module, told), reader.membrane(module, told)))

    return record


def _recording(graph: Graph, seen: Mapping[str, Kept], rows: int) -> Recording:
    """Messages and membranes (v - v_reset, as the reference has them) of every layer, (rows, steps, size)."""
    spikes: dict[str, Array] = {}
    states: dict[tuple[str, str], Array] = {}
    for p in graph.populations:
        if not (isinstance(p.node, Membrane) or carries_signal(p.node)):
            continue
        if not seen.get(p.name):
            raise UnsupportedError(f"the export check failed: {p.name} was never called in torch")
        z, v = (torch.stack(each, 1).numpy() for each in zip(*seen[p.name], strict=True))
        flat = (rows, z.shape[1], -1)
        spiking = isinstance(p.node, Membrane) and p.node.sends == "spikes"
        spikes[p.name] = (z if spiking else v).reshape(flat)
        if isinstance(p.node, Membrane):
            states[p.name, "v"] = v.reshape(flat) - p.node.v_reset.reshape(-1)
    return Recording(spikes, states)


def in_float64(module: torch.nn.Module) -> torch.nn.Module:
    """A copy for inference, at rest. What is no torch parameter, `double` leaves as it is."""
    double = copied(module, _hidden(module)).cpu().double().eval()
    child: Any
    for child in double.modules():
        package = package_of(child)
        if package == "norse":
            _widen(child)
        elif package == "snntorch":
            _fire_in_own_type(child)
        elif package == "spikingjelly" and hasattr(child, "reset"):
            child.reset()
    return double


def _hidden(module: torch.nn.Module) -> dict[int, Any]:
    """What a copy gets in place of the states that layers keep, which may hang on a gradient."""
    states = []
    for child in module.modules():
        if package_of(child) == "snntorch":
            states += [getattr(child, name, None) for name in KEPT]
        states += list(getattr(child, "_memories", {}).values())
    return {id(s): torch.zeros(0) for s in states if isinstance(s, torch.Tensor)}


def _widen(cell: Any) -> None:
    if hasattr(cell, "p"):
        cell.p = _wide(cell.p)
    for name in ("input_weights", "recurrent_weights"):
        value = getattr(cell, name, None)
        if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
            setattr(cell, name, value.cpu().double())


def _wide(p: Any) -> Any:
    """Norse's named parameters in float64."""
    if isinstance(p, torch.Tensor):
        return p.cpu().double()
    if hasattr(p, "_asdict"):
        return p._replace(**{key: _wide(value) for key, value in p._asdict().items()})
    return p


def _fire_in_own_type(cell: Any) -> None:
    """snnTorch's spikes are float32 whatever its membrane is."""
    if hasattr(cell, "spike_grad"):
        fire = cell.spike_grad
        cell.spike_grad = lambda shift: fire(shift).to(shift.dtype)
