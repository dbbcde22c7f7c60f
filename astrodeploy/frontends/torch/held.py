"""What a forward keeps in Python from step to step, and whether that changes what it does.

A chip does the same in every step. A run that is as long as the export check's does not show a forward that changes
after more steps, so a counter is found by being one: something that changes from step to step is traced as a value that
nobody knows, and where the forward branches on it, or what it gives depends on it, the forward is refused. What is only
written down, like spikes that are recorded, is none of this.
"""

import dis
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from types import FunctionType
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch
from torch import fx

from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.cells import FAMILIES, is_cell, is_foreign
from astrodeploy.frontends.torch.copies import copied, plain_object
from astrodeploy.frontends.torch.reached import Reach, is_iterator, is_library
from astrodeploy.frontends.torch.trace import UNTRACED, Tracer, rooted, where, with_ancestors

WATCHED = 8  # steps: what changes with steps does in the first few
KEPT = ("mem", "syn", "spk", "syn_exc", "syn_inh", "reset")  # what snnTorch's cells keep, as they should
INTERNAL = tuple(vars(torch.nn.Module()))
RECORDING = ("append", "extend", "appendleft", "clear")
CURE = (
    "a network on a chip does the same in every step: give the input that is meant in every step, and leave it out of "
    "the forward"
)


@dataclass(frozen=True, eq=False)
class Place:
    """Something that a module holds: its path, and where a value is put in its stead.

    owner    the module that it belongs to, and how it is called there
    shared   whether it is no attribute of the module alone, but a class's, a file's or a function's
    readers  the functions that lead to what is shared
    """

    path: str
    holder: dict[str, Any]
    name: str
    owner: tuple[torch.nn.Module, str]
    shared: bool = False
    readers: tuple[FunctionType, ...] = ()

    @property
    def value(self) -> Any:
        """What it is now."""
        return self.holder[self.name]


@dataclass
class Watch:
    """Looks at what a module holds, step after step; `changed` is the paths of what was not as it had been."""

    module: torch.nn.Module
    changed: set[str] = field(default_factory=set)
    looks: int = 0
    before: dict[str, Any] = field(default_factory=dict)

    def look(self) -> None:
        """Once after every step; the first step may make what the others use."""
        if self.looks > WATCHED:
            return
        self.looks += 1
        now = {place.path: _frozen(place.value) for place in _places(self.module)}
        if self.before:
            self.changed |= {path for path in now if path in self.before and now[path] != self.before[path]}
        self.before = now


def refuse_counting(module: torch.nn.Module, changed: Iterable[str]) -> None:
    """Raise UnsupportedError, by name, where what a forward does depends on something that changes with steps.

    The module is one that ran: what its forward makes in the first step is there.
    """
    for path in sorted(changed):
        spoilt = copied(module)
        place = next((p for p in _places(spoilt) if p.path == path), None)
        if place is None:
            continue
        kind = type(place.owner[0]).__name__
        if place.shared or _is_unseen(place):
            if not _is_recorded(place):
                raise UnsupportedError(f"{path} changes from step to step in a forward ({kind}), and {CURE}")
            continue
        try:
            depends = _depends(spoilt, place)
        except UNTRACED as error:
            raise UnsupportedError(
                f"{path} changes from step to step, and decides what the forward does{where(error)}; {CURE}"
            ) from error
        if depends:
            raise UnsupportedError(
                f"{path} changes from step to step, and what the forward of {type(module).__name__} gives depends on "
                f"it; {CURE} (a state is handed on: (x, state) -> (y, state))"
            )


def _is_unseen(place: Place) -> bool:
    """Whether a trace does not show what reads a place: the forward of a leaf, to which it belongs."""
    module, name = place.owner
    if place.holder is module._parameters:
        return True
    if not _is_known(module):
        return is_cell(module)
    return place.holder is module._buffers and name not in vars(module) and _is_leaf(module)


def _is_leaf(module: torch.nn.Module) -> bool:
    return Tracer().is_leaf_module(module, "")


class _Unknowing(Tracer):
    """A tracer to which what stands at a place is an input."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.unknown: fx.Node | None = None

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """The forward's arguments, and one more that takes the value's place."""
        made = super().create_args_for_root(root_fn, is_module, concrete_args)
        proxy = _Unknown(self.create_node("placeholder", "held_in_python", (), {}), self)
        self.unknown = proxy.node
        module, name = self.place.owner
        if self.place.holder is module._buffers:  # which take tensors only
            del module._buffers[name]
            module.__dict__[name] = proxy
        else:
            self.place.holder[self.place.name] = proxy
        return made

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """A value of the trace; what follows from the unknown one is as unknown."""
        unknown = self.unknown is not None and self.unknown in with_ancestors([node])
        return _Unknown(node, self) if unknown else super().proxy(node)

    def _note_assignments(self, leaf: torch.nn.Module) -> None:
        super()._note_assignments(leaf)
        for (path, name), value in self.assigned.items():
            module = self.root.get_submodule(path)
            if _is_known(module) and name not in _made_by(module):
                continue  # put there by the user's forward, and read by nothing else
            if isinstance(value, fx.Proxy) and self.unknown in with_ancestors([value.node]):
                raise fx.proxy.TraceError(f"{path}.{name} is set to it")


class _Unknown(fx.Proxy):
    """A value that nobody knows, or one made of it.

    It may be written to, as lists, dicts and tensors are; nothing is read by that. To look something up by it in a
    dict or a set, or by a text that holds it, is to branch on it: a hash of its own would find nothing, ever.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __hash__(self) -> int:
        raise fx.proxy.TraceError("something is looked up by it")

    def __str__(self) -> str:
        raise fx.proxy.TraceError("a text is made of it")

    def __format__(self, form: str) -> str:
        raise fx.proxy.TraceError("a text is made of it")


def _depends(module: torch.nn.Module, place: Place) -> bool:
    """Whether what a forward gives, its state with it, depends on what stands at a place."""
    tracer = _Unknowing(place)
    graph = tracer.trace(rooted(module))
    result = next(node for node in graph.nodes if node.op == "output")
    return tracer.unknown in with_ancestors([result])


# ---- places -------------------------------------------------------------------------------------


def _places(module: torch.nn.Module) -> Iterator[Place]:
    """What a module's forwards may change: not what cells and torch's modules keep by themselves, as they should."""
    seen: set[int] = set()
    for path, child in module.named_modules():
        for name, weight in child._parameters.items():
            if weight is not None:
                yield Place(_joined(path, name), child._parameters, name, (child, name))
        for name in vars(child):
            if name not in INTERNAL and not _is_its_own(child, name):
                yield from _in(_joined(path, name), vars(child), name, (child, name), seen)
        for name, value in child._buffers.items():
            if value is not None and not (is_foreign(child) and name in KEPT):
                yield Place(_joined(path, name), child._buffers, name, (child, name))
        yield from _shared(child)


def _is_known(module: torch.nn.Module) -> bool:
    """Whether a module's class is none of the user's."""
    return _is_library(type(module))


def _is_library(kind: type) -> bool:
    return kind.__module__.split(".")[0] in ("torch", "astrodeploy", *FAMILIES)


def _is_its_own(module: torch.nn.Module, name: str) -> bool:
    """Whether an attribute is a state of the libraries' own making, and none that a user put on their module."""
    if name.startswith("_memories"):  # which spikingjelly's neurons have
        return is_foreign(module)
    return name in (_made_by(module) if _is_known(module) else KEPT if is_cell(module) else ())


def _made_by(module: torch.nn.Module) -> frozenset[str]:
    kind: Any = type(module)
    return _made_by_kind(kind)


@cache
def _made_by_kind(kind: Any) -> frozenset[str]:
    """The attributes that a class's own functions set, as `self.name = ` or as `register_buffer("name", ...)`."""
    functions = (f for each in kind.__mro__ for f in vars(each).values())
    codes = (code for f in functions if (code := getattr(f, "__code__", None)))
    steps = [i for code in codes for i in dis.get_instructions(code)]
    set_ = {i.argval for i in steps if i.opname == "STORE_ATTR"}
    return frozenset(
        set_ | {i.argval for i in steps if isinstance(i.argval, str) and i.opname == "LOAD_CONST"}
    )


def _in(
    path: str, holder: Any, name: str, owner: tuple[torch.nn.Module, str], seen: set[int]
) -> Iterator[Place]:
    """A place, or those in the object or dict that stands there."""
    value = holder[name]
    called = callable(value) and getattr(value, "__dict__", None) and not is_library(type(value))
    if isinstance(value, torch.nn.Module | type) or (callable(value) and not called):
        return  # functions are followed elsewhere
    inside = value if isinstance(value, dict) else vars(value) if called or plain_object(value) else None
    if not inside:
        yield Place(path, holder, name, owner)
    elif id(value) not in seen:
        seen.add(id(value))
        for key in inside:
            yield from _in(f"{path}.{key}", inside, key, owner, seen)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shared(module: torch.nn.Module) -> Iterator[Place]:
    """What is no attribute of a module, and lasts: in its class, its hooks, and what they call by name."""
    reach = Reach()
    found = list(reach.of_hooks(module))
    if not _is_known(module):
        found += reach.of_module(module)
    for kept in found:
        holder = dict(vars(kept.holder)) if isinstance(kept.holder, type) else kept.holder
        readers = tuple(reach.functions)
        yield Place(kept.label, holder, kept.key, (module, kept.key), shared=True, readers=readers)


def _is_recorded(place: Place) -> bool:
    """Whether all that a class's own functions, or those that lead to a place, do with a list is to write into it."""
    module, label = place.owner[0], place.path.removeprefix("the global ").removeprefix("the variable ")
    own = (f for kind in type(module).__mro__ if not is_library(kind) for f in vars(kind).values())
    for function in (*own, *place.readers):
        if code := getattr(function, "__code__", None):
            steps = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "PRECALL")]
            for this, after in pairwise(steps):
                reads = this.argval == label.rpartition(".")[2] and this.opname.startswith(
                    ("LOAD_ATTR", "LOAD_GLOBAL", "LOAD_DEREF")
                )
                if reads and after.argval not in RECORDING:
                    return False
    return isinstance(place.value, list | deque) and not label.startswith("a default of ")


def _frozen(value: Any) -> Any:
    """A value as something that stays as it is, and that equals itself."""
    if is_iterator(value):
        return type(value), _position(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        return array.shape, array.dtype.str, blake2b(np.ascontiguousarray(array).tobytes()).digest()
    if isinstance(value, list | tuple | deque | set | frozenset):
        return type(value), tuple(_frozen(each) for each in value)
    if isinstance(value, dict):
        return dict, tuple((key, _frozen(each)) for key, each in value.items())
    if isinstance(value, bool | int | float | complex | str | bytes | type(None)):
        return type(value), repr(value)  # in which nan equals itself
    return type(value), id(value)


def _position(iterator: Any) -> Any:
    """Where an iterator is, without taking from it."""
    frame = getattr(iterator, "gi_frame", None)  # a generator's
    if frame is not None:
        return frame.f_lasti, _frozen(dict(frame.f_locals))
    try:
        with catch_warnings(action="ignore"):
            return repr(iterator), _frozen(iterator.__reduce__()[1:])
    except TypeError:
        return repr(iterator)
