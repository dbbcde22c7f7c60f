"""The fields of a .net file's groups, each checked where it is asked for; what nobody asked for is known."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

LONGEST_TEXT = 80


@dataclass(frozen=True)
class Fields:
    """What stands in one group; `where` begins every message about it."""

    where: str
    tree: Tree
    asked: set[str] = field(default_factory=set)
    inner: dict[str, "Fields"] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.tree

    def unread(self) -> Iterator[str]:
        """The fields that nobody asked for, in groups of this one too, as group/name."""
        for name in sorted(self.tree.keys() - self.asked):
            yield from _leaves(name, self.tree[name])
        for name, group in sorted(self.inner.items()):
            yield from (f"{name}/{each}" for each in group.unread())

    def group(self, name: str) -> "Fields":
        """A group in this one. Raises InputError."""
        found = self.tree.get(name)
        if not isinstance(found, dict):
            raise InputError(f"{self.where} has no group {name}")
        self.asked.add(name)
        return self.inner.setdefault(name, Fields(f"{self.where}: {name}", found))

    def number(self, name: str) -> FloatArray:
        """An array of finite numbers, at least one. Raises InputError."""
        values = self._array(name)
        if values.dtype.kind not in "biuf" or not values.size or not np.all(np.isfinite(values)):
            raise InputError(f"{self.where}: {name} must hold finite numbers")
        return values.astype(np.float64)

    def whole(self, name: str) -> IntArray:
        """An array of whole numbers of 32 bits. Raises InputError."""
        values = self.number(name)
        if np.any(values != np.rint(values)) or np.any(np.abs(values) > 1 << 31):
            raise InputError(f"{self.where}: {name} must hold whole numbers of 32 bits")
        return values.astype(np.int64)

    def integer(self, name: str, otherwise: int | None = None) -> int:
        """One whole number, or `otherwise` where the field is missing. Raises InputError."""
        if name not in self.tree and otherwise is not None:
            return otherwise
        values = self.whole(name)
        if values.size != 1:
            raise InputError(f"{self.where}: {name} must hold one number, not {values.size}")
        return int(values.flat[0])

    def sizes(self, name: str, least: int = 1) -> tuple[int, ...]:
        """Sizes by dimension, each at least so large. Raises InputError."""
        values = self.whole(name).ravel()
        if values.size > 3 or values.min() < least:
            raise InputError(
                f"{self.where}: {name} must hold one to three numbers of at least {least}, not {_shown(values)}"
            )
        return tuple(int(n) for n in values)

    def pair(self, name: str, least: int = 1) -> tuple[int, int]:
        """A size along y and x; one number is for both. Raises InputError."""
        values = self.sizes(name, least)
        if len(values) > 2:
            raise InputError(f"{self.where}: {name} must hold one or two numbers, not {len(values)}")
        return values[0], values[-1]

    def text(self, name: str) -> str:
        """A short text in one line. Raises InputError."""
        found = self._array(name).ravel()
        text = str(found[0]) if found.dtype == object and found.size == 1 else ""
        if not 0 < len(text) <= LONGEST_TEXT or not text.isprintable():
            raise InputError(f"{self.where}: {name} must hold a short text")
        return text

    def _array(self, name: str) -> Array:
        found = self.tree.get(name)
        if isinstance(found, dict):
            raise InputError(
                f"{self.where}: {name} is a group of {', '.join(sorted(found))[:80] or 'nothing'}, needed are numbers "
                "or text; complex weights are not supported"
            )
        if found is None:
            raise InputError(f"{self.where} lacks {name}")
        self.asked.add(name)
        return np.asarray(found, object) if isinstance(found, str) else found


def _leaves(name: str, found: object) -> Iterator[str]:
    """A field, or all those of a group."""
    if isinstance(found, dict) and found:
        for each in sorted(found):
            yield from _leaves(f"{name}/{each}", found[each])
    else:
        yield name


def _shown(values: IntArray) -> str:
    return ", ".join(str(n) for n in values[:4]) + ", ..." * (values.size > 4)
