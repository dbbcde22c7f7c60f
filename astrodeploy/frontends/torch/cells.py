"""What the cells of Norse, snnTorch and spikingjelly become: one registry over the three families."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import Membrane, Node
from astrodeploy.ir.wiring import Wiring

DEFAULT_DT = 1e-3  # seconds, of cells whose decays are per step: there dt is a unit and nothing else
FAMILIES = {
    "norse": "astrodeploy.frontends.torch.norse_cells",
    "snntorch": "astrodeploy.frontends.torch.snntorch_cells",
    "spikingjelly": "astrodeploy.frontends.torch.spikingjelly_cells",
}

CELLS_IN = {"spikingjelly": "spikingjelly.activation_based.neuron"}  # not in the package itself


@dataclass(frozen=True, eq=False)
class Site:
    """Where a cell stands: its path, the shape (without the batch) and constant part of its input, dt."""

    path: str
    shape: tuple[int, ...]
    bias: Array
    dt: float


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Weights from a cell's spikes of the last step to its own input, and their constant part."""

    wiring: Wiring
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """What a module of neurons becomes.

    node        its neurons, without the bias of `recurrence`
    recurrence  its own feedback, if it has one
    returns     what its forward returns: "z" its messages, other names its states; () the messages alone
    factor      what a spike counts when it is sent, an array of the population's shape; None: 1
    """

    node: Membrane
    recurrence: Recurrence | None = None
    returns: tuple[str, ...] = ("z", "state")
    factor: Array | None = None


@dataclass(frozen=True)
class Reader:
    """How one type of cell is read.

    cell        the Cell of a module at a Site
    weights     its input weights (neurons, inputs), where it has its own
    membrane    its membrane after a step, from the module and what its forward returned
    messages    its messages, likewise
    """

    cell: Callable[[Site, Any], Cell]
    membrane: Callable[[Any, Any], torch.Tensor]
    messages: Callable[[Any, Any], torch.Tensor]
    weights: Callable[[Any], torch.Tensor] | None = None


def reader_of(module: torch.nn.Module) -> Reader | None:
    """The reader of a module's type, None for what is no supported cell."""
    for kind in type(module).__mro__:
        for family in _loaded():
            if kind in (readers := family.READERS):
                found: Reader = readers[kind]
                return found
    return None


def _loaded() -> list[Any]:
    """The families whose cells are imported: no module can be of another."""
    return [
        _family(name) for package, name in FAMILIES.items() if CELLS_IN.get(package, package) in sys.modules
    ]


@cache
def _family(name: str) -> Any:
    return import_module(name)


def is_cell(module: torch.nn.Module) -> bool:
    """Whether a module is a supported cell."""
    return reader_of(module) is not None


def is_foreign(module: torch.nn.Module) -> bool:
    """Whether a module is of Norse, snnTorch or spikingjelly."""
    return package_of(module) in FAMILIES


def package_of(module: torch.nn.Module) -> str:
    """The package that a module is of: that of FAMILIES where its class derives from one of theirs, else its own."""
    packages = [kind.__module__.split(".")[0] for kind in type(module).__mro__]
    return next((each for each in packages if each in FAMILIES), packages[0])


def refusal(path: str, module: torch.nn.Module) -> UnsupportedError:
    """The error for a cell that is not supported, with the reason where there is a particular one."""
    package, kind = package_of(module), type(module).__name__
    family = _family(FAMILIES[package])
    names = ", ".join(each.__name__ for each in family.READERS)
    reasons = [family.REASONS[k.__name__] for k in type(module).__mro__ if k.__name__ in family.REASONS]
    reason = reasons[0] if reasons else f"supported cells are {names}"
    return UnsupportedError(f"{path} is a {package} {kind}, which is not supported: {reason}")


def dt_of(module: torch.nn.Module) -> float | None:
    """A cell's own time step in seconds; None where it has none."""
    dt = getattr(module, "dt", None) if package_of(module) == "norse" else None
    return None if dt is None else float(dt)


def spread(path: str, what: str, value: Any, shape: tuple[int, ...]) -> Array:
    """A cell's parameter, a number or a tensor, as an array of the population's shape."""
    array = np.asarray(torch.as_tensor(value).detach().cpu(), np.float64)
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    if array.size == np.prod(shape):
        return array.reshape(shape)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        size = "x".join(str(n) for n in shape)
        raise UnsupportedError(
            f"{path} has parameters for {array.size} neurons, its input has {size} ({what})"
        ) from None


def node_of(path: str, cell: torch.nn.Module, shape: tuple[int, ...], bias: Array, dt: float) -> Node:
    """The node of a cell. Raises UnsupportedError that names path and reason."""
    reader = reader_of(cell)
    if reader is None:
        raise refusal(path, cell)
    return reader.cell(Site(path, shape, bias, dt), cell).node
