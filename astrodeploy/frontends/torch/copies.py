"""Copies of a user's module: what is traced and what is run is never the user's own, whatever its forward assigns."""

from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import ModuleType
from typing import Any

import torch

from astrodeploy.errors import UnsupportedError

CONTAINERS = (list, tuple, set, frozenset, deque)


def copied(module: torch.nn.Module, instead: Mapping[int, Any] | None = None) -> torch.nn.Module:
    """A copy that shares nothing with the module; tensors that hang on a gradient are cut off from it.

    instead  what stands in place of objects, by their id. Raises UnsupportedError that names what can't be copied.
    """
    # deepcopy notes in its memo what it copied: each copy needs a memo of its own
    memo = {id(t): t.detach().clone() for t in _tensors(module) if not t.is_leaf}
    try:
        return deepcopy(module, memo | dict(instead or {}))
    except Exception as error:  # whatever an object of the user's raises when it is copied
        raise UnsupportedError(
            f"{type(module).__name__} can't be copied, which reading and checking it needs{_blame(module)}: take that "
            f"out of the module (copying says: {str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error


def plain_object(value: Any) -> bool:
    """Whether a value is an object of a class of the user's that holds attributes, and no module or function."""
    if isinstance(value, torch.nn.Module | torch.Tensor | type | ModuleType) or callable(value):
        return False
    return hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in ("torch", "builtins")


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Every tensor that a module's attributes lead to."""
    seen: set[int] = set()
    waiting: list[Any] = [vars(child) for child in module.modules()]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, CONTAINERS):
            waiting += value
        elif isinstance(value, torch.nn.Module) or plain_object(value):
            waiting.append(vars(value))


def _blame(module: torch.nn.Module) -> str:
    """Which attribute can't be copied, as ": its `path` is a lock"."""
    for path, child in module.named_modules():
        for name, value in vars(child).items():
            if name in ("_modules", "_parameters", "_buffers") or callable(value):
                continue
            try:
                deepcopy(value, {id(t): t for t in _tensors(child)})
            except Exception:
                return (
                    f": its {'.'.join(filter(None, (path, name)))} is a {type(value).__name__}, which can't"
                )
    return ""
