"""The groups of a .net file as plain arrays: nothing is read before its type and size are known to be harmless."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError)
LARGEST = 1 << 31  # bytes that one array may hold
RATIO = 1100  # no compression of HDF5 does better


@dataclass(frozen=True)
class Group:
    """Arrays and groups by name; `where` for messages."""

    where: str
    items: dict[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.items

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Any:
        return iter(self.items)

    def __getitem__(self, name: str) -> "Group":
        return self.group(name)

    def group(self, name: str) -> "Group":
        """A group in this one. Raises InputError."""
        found = self.items.get(name)
        if not isinstance(found, Group):
            raise InputError(f"{self.where} has no group {name}")
        return found

    def number(self, name: str) -> FloatArray:
        """An array of finite numbers. Raises InputError."""
        values = self._array(name)
        if values.dtype.kind not in "biuf" or not np.all(np.isfinite(values)):
            raise InputError(f"{self.where}/{name} must hold finite numbers")
        return values.astype(np.float64)

    def whole(self, name: str, otherwise: int | None = None) -> IntArray:
        """An array of whole numbers, or the value where it is missing. Raises InputError."""
        if name not in self.items and otherwise is not None:
            return np.asarray(otherwise, np.int64)
        values = self.number(name)
        if np.any(values != np.rint(values)) or np.any(np.abs(values) > 1 << 31):
            raise InputError(f"{self.where}/{name} must hold whole numbers of 32 bits")
        return values.astype(np.int64)

    def text(self, name: str) -> str:
        """A text, or the first of several. Raises InputError."""
        value = self._array(name).reshape(-1)
        first = value[0] if value.size else ""
        return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)

    def _array(self, name: str) -> Array:
        found = self.items.get(name)
        if not isinstance(found, np.ndarray):
            raise InputError(f"{self.where} lacks {name}")
        return found


def read_groups(path: Path, root: str) -> Group:
    """Everything below a group of an HDF5 file. Raises InputError where it is damaged or links elsewhere."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        with h5py.File(BytesIO(content), "r") as file:
            _refuse_links(file)
            return _group(str(path), file[root], len(content))
    except DAMAGED as error:
        raise InputError(f"{path} can't be read as a network of lava-dl: {error}") from error


def _refuse_links(group: Any) -> None:
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{group.name}/{name} is a link")


def _group(where: str, group: Any, size: int) -> Group:
    if not isinstance(group, h5py.Group):
        raise TypeError(f"{where} is no group")
    _refuse_links(group)
    items: dict[str, Any] = {}
    for name in group:
        item = group[name]
        path = f"{where}/{name}"
        items[name] = _group(path, item, size) if isinstance(item, h5py.Group) else _dataset(path, item, size)
    return Group(where, items)


def _dataset(where: str, item: Any, size: int) -> Array:
    text = h5py.check_string_dtype(item.dtype)
    if item.dtype.kind not in "biufS" and not text:
        raise TypeError(f"{where} holds {item.dtype}, neither numbers nor text")
    if item.nbytes > min(LARGEST, size * RATIO) or item.external or item.is_virtual:
        raise ValueError(f"{where} says that it holds {item.nbytes} bytes, the file has {size}")
    return np.asarray(item[()])
