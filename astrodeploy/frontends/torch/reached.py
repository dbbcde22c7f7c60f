"""What a module's functions reach outside of it: their variables, globals and defaults, and what callables keep.

A function is followed into those that it calls by name, into closures, partial functions, methods, and into the objects
of the user's classes that stand there. Not seen is what is neither an attribute nor such a variable: the position in a
file, time, what a library keeps, objects with __slots__.
"""

import dis
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from sysconfig import get_path
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from astrodeploy.frontends.torch.cells import FAMILIES
from astrodeploy.frontends.torch.copies import CONTAINERS

DATA = (bool, int, float, *CONTAINERS, dict, torch.Tensor, np.ndarray)
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
LIBRARIES = {"torch", "numpy", "builtins", "astrodeploy", *FAMILIES, *sys.stdlib_module_names} - {"__main__"}


@dataclass(frozen=True, eq=False)
class Kept:
    """A value that lasts from call to call: what it is called, in what it stands, and by which key."""

    label: str
    holder: Any
    key: str


@dataclass
class Reach:
    """A walk from functions to all that they keep; `functions` are those that it came through."""

    functions: list[FunctionType] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def of_module(self, module: torch.nn.Module) -> Iterator[Kept]:
        """What the functions of a module's class and of its attributes keep; not the module's own attributes."""
        for kind in type(module).__mro__:
            yield from self._of_class(kind)
        for name, value in vars(module).items():
            if isinstance(value, FunctionType | MethodType | partial | type):
                yield from self._followed(name, value)
            elif not isinstance(value, DATA):  # what an object holds is the module's own
                for kind in type(value).__mro__:
                    yield from self._of_class(kind)
            elif isinstance(value, list | tuple | dict) and not name.startswith("_"):
                yield from self._inside(name, _callables(value))

    def of_hooks(self, module: torch.nn.Module) -> Iterator[Kept]:
        """What a module's hooks keep that give something, and so may change what it gives."""
        for hooks in HOOKS:
            for hook in getattr(module, hooks).values():
                if not (isinstance(hook, FunctionType) and _gives_nothing(hook)):
                    yield from self._followed("a hook", hook)

    def _of_class(self, kind: type) -> Iterator[Kept]:
        if is_library(kind) or id(kind) in self.seen:
            return
        self.seen.add(id(kind))
        for name, value in vars(kind).items():
            if isinstance(value, DATA) and not name.startswith("__"):
                yield Kept(f"{kind.__name__}.{name}", kind, name)
            elif isinstance(value, staticmethod | classmethod):
                yield from self._followed(name, value.__func__)
            elif isinstance(value, property):
                yield from self._followed(name, value.fget)
            elif isinstance(value, FunctionType):
                yield from self._followed(name, value)

    def _followed(self, label: str, value: Any) -> Iterator[Kept]:
        """What a value that is no data itself keeps."""
        if id(value) in self.seen or isinstance(value, torch.nn.Module | ModuleType):
            return
        if isinstance(value, type):
            for kind in value.__mro__:
                yield from self._of_class(kind)
        elif isinstance(value, FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, MethodType):
            yield from self._followed(label, value.__self__)
            yield from self._followed(label, value.__func__)
        elif isinstance(value, partial):
            yield from self._inside(label, (value.func, *value.args, *value.keywords.values()))
        elif hasattr(value, "__dict__") and (
            not is_library(type(value)) or isinstance(value, SimpleNamespace)
        ):
            self.seen.add(id(value))
            yield from self._inside(label, vars(value))
            for kind in type(value).__mro__:
                yield from self._of_class(kind)

    def _of_function(self, function: FunctionType) -> Iterator[Kept]:
        if is_library(function):
            return
        self.seen.add(id(function))
        self.functions.append(function)
        yield from self._inside(function.__name__, vars(function))
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        yield from self._inside(f"a default of {function.__name__}", defaults)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell != type(cell)():  # one that is set
                yield from self._told(f"the variable {name}", {name: cell.cell_contents}, name)
        for name in sorted(names_in(function.__code__)):
            if name in function.__globals__:
                yield from self._global(name, function)

    def _global(self, name: str, function: FunctionType) -> Iterator[Kept]:
        """A global that a function names; of a file of the user's, what the function names in it."""
        value = function.__globals__[name]
        if not isinstance(value, ModuleType):
            yield from self._told(f"the global {name}", function.__globals__, name)
        elif not _is_installed(value.__name__.split(".")[0]):
            for inner in sorted(names_in(function.__code__, attributes=True)):
                if inner in vars(value):
                    yield from self._told(f"{name}.{inner}", vars(value), inner)

    def _inside(self, label: str, values: Any) -> Iterator[Kept]:
        """What stands in a container, by name where that has names."""
        held = values if isinstance(values, dict) else {str(i): v for i, v in enumerate(values)}
        for key in tuple(held):
            yield from self._told(f"{label}.{key}" if isinstance(values, dict) else label, held, key)

    def _told(self, label: str, holder: Any, key: Any) -> Iterator[Kept]:
        value = holder[key]
        if isinstance(value, DATA) or is_iterator(value):
            yield Kept(label, holder, key)
        if isinstance(value, list | tuple | dict):
            if id(value) not in self.seen:
                self.seen.add(id(value))
                yield from self._inside(label, _callables(value))
        elif not isinstance(value, DATA):
            yield from self._followed(label, value)


def is_library(value: Any) -> bool:
    """Whether a class or function is one of Python's or of an installed package, and none of the user's."""
    return _is_installed((getattr(value, "__module__", None) or "").split(".")[0])


@cache
def _is_installed(package: str) -> bool:
    if package in LIBRARIES:
        return True
    found = getattr(sys.modules.get(package), "__file__", None) or ""
    return found.startswith((get_path("purelib"), get_path("platlib")))


def is_iterator(value: Any) -> bool:
    """Whether a value is one of Python's own iterators over a list, a range or the like, which keep a position."""
    own = type(value).__module__ in ("builtins", "itertools") and not isinstance(value, type)
    return own and hasattr(value, "__next__")


@cache
def names_in(code: CodeType, attributes: bool = False) -> frozenset[str]:
    """The globals that a function's code and the functions in it name; with `attributes`, these too."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = [names_in(each, attributes) for each in code.co_consts if isinstance(each, CodeType)]
    return frozenset(names.union(code.co_names if attributes else (), *inner))


def _callables(value: Any) -> dict[Any, Any]:
    """What of a container is no data; the container itself tells the rest."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: each for key, each in items if not isinstance(each, DATA)}


def _gives_nothing(function: FunctionType) -> bool:
    """Whether a function returns None, wherever it returns."""
    steps = list(dis.get_instructions(function.__code__))
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname == "RETURN_VALUE" and not (
            before is not None and before.opname == "LOAD_CONST" and before.argval is None
        ):
            return False
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
    return True
