"""Reads one HDF5 group after the other into plain data, in a process of its own.

HDF5 trusts what a file says about itself: it would follow links into other files, allocate what a shape
declares, and on some damaged bytes it crashes or runs for ever. So every link, type, filter and size is
checked before anything is read, and what can't be checked happens here, where it harms nobody: this script
is run by `file.py`, imports numpy and h5py alone, and has limits of memory and time.

A request is a line of JSON on stdin, an answer 8 bytes with a length, so many bytes of JSON, and then the
arrays' bytes in order.
"""

import json
import os
import resource
import select
import sys
from math import ceil, prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

MOST_ITEMS = 100_000  # groups and datasets in a file
DEEPEST = 32  # groups in groups
MOST_TOLD = 100  # names of what is not read
LONGEST_NAME = 80  # letters of each
LARGEST_RATIO = 1100  # of what deflate can make of a byte, which is 1032, and some room
SMALL = 1 << 16  # bytes that need no check against the file's size
PLAIN_CLASSES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}
VARIABLE = "ASTRODEPLOY_MEMORY_GIB"  # what raises the limit
OVERHEAD = 3 << 30  # bytes of address space that are not for data
LEAST_SECONDS = 1  # of processor time for a file
BYTES_A_SECOND = 200_000  # of a compressed file, at the very least
IDLE_SECONDS = 20.0  # without a request, after which this process ends


class Refused(Exception):
    """What a file holds and may not; its text goes on after the file's name."""


class _Walk:
    """Reads groups and datasets, and counts what they cost."""

    def __init__(self, file_size: int, limit: int) -> None:
        self.file_size, self.limit = file_size, limit
        self.bytes_left = limit
        self.items_left = MOST_ITEMS
        self.open: list[int] = []  # addresses of the groups that are being read
        self.attributes: list[str] = []  # where some stand: nothing reads them

    def top(self, file: Any, name: str) -> Any:
        """What stands under a name of the file."""
        if name not in file:
            raise Refused(f"it has no group /{name}")
        found = self.item(file, name, f"/{name}")
        if not isinstance(found, dict):
            raise Refused(f"its /{name} is no group")
        self.note_attributes(file, "")
        return found

    def note_attributes(self, found: Any, path: str) -> None:
        if len(self.attributes) < MOST_TOLD and len(found.attrs):
            self.attributes += [f"{path}@{_readable(name)}" for name in found.attrs]

    def item(self, group: Any, name: str, path: str) -> Any:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"{path} is a link to another place: put the data where the link is")
        self.items_left -= 1
        if self.items_left < 0:
            raise Refused(f"it holds more than {MOST_ITEMS} groups and arrays")
        found = group[name]
        if isinstance(found, h5py.Group | h5py.Dataset):
            self.note_attributes(found, path)
        if isinstance(found, h5py.Group):
            return self.group(found, path)
        if isinstance(found, h5py.Dataset):
            return self.dataset(found, path)
        raise Refused(f"{path} is neither a group nor an array")

    def group(self, group: Any, path: str) -> Any:
        address = h5py.h5o.get_info(group.id).addr
        if address in self.open or len(self.open) >= DEEPEST:
            raise Refused(f"{path} lies in itself, or deeper than {DEEPEST} groups")
        self.open.append(address)
        found = {}
        for name in list(group):
            if not isinstance(name, str) or not name.isprintable() or not _encodable(name):
                raise Refused(f"{path} holds the name {name!a}, which is no readable text")
            found[name] = self.item(group, name, f"{path}/{name}")
        self.open.pop()
        return found

    def dataset(self, dataset: Any, path: str) -> Any:
        self._check_storage(dataset, path)
        kind = dataset.id.get_type()
        text = kind.get_class() == h5py.h5t.STRING
        if kind.get_class() not in PLAIN_CLASSES or not (text or dataset.dtype.kind in "biuf"):
            raise Refused(f"{path} holds {_type_name(dataset)}, neither numbers nor text")
        if dataset.shape is None:
            raise Refused(f"{path} is empty")
        self._check_size(dataset, path)
        value = dataset[()]
        return _text(value, path) if text else _numbers(value)

    def _check_storage(self, dataset: Any, path: str) -> None:
        """Its data lie in this file, in filters that are known."""
        settings = dataset.id.get_create_plist()
        if settings.get_external_count() or dataset.is_virtual:
            raise Refused(f"{path} keeps its data in other files: put them into this one")
        used = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
        if unknown := sorted(set(used) - set(FILTERS)):
            raise Refused(
                f"{path} is compressed by filter {unknown[0]}; known are {', '.join(FILTERS.values())}"
            )

    def _check_size(self, dataset: Any, path: str) -> None:
        """What it declares can be in the file, and fits the memory."""
        declared = prod(int(n) for n in dataset.shape) * max(8, dataset.dtype.itemsize)
        chunk = prod(int(n) for n in dataset.chunks or (0,)) * dataset.dtype.itemsize
        self.bytes_left -= declared
        shape = "x".join(str(n) for n in dataset.shape)
        if max(declared, chunk) > self.limit or self.bytes_left < 0:
            raise Refused(
                f"{path} declares {shape} numbers, with which the file takes more than "
                f"{self.limit / 2**30:g} GiB of memory: raise {VARIABLE} if that is meant"
            )
        if max(declared, chunk) > max(SMALL, self.file_size * LARGEST_RATIO):
            raise Refused(
                f"{path} declares {shape} numbers, more than a file of {self.file_size} bytes can hold"
            )
        if declared and not dataset.id.get_storage_size():
            raise Refused(f"{path} declares {shape} numbers that the file does not hold")


def _readable(name: object) -> str:
    """A name in one line of plain text."""
    return ascii(name)[1:-1][:LONGEST_NAME] if isinstance(name, str) else "?"


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_name(dataset: Any) -> str:
    """A type's name for a message; damaged ones have none."""
    try:
        return str(dataset.dtype)
    except (TypeError, ValueError):
        return "an unknown type"


def _text(value: Any, path: str) -> Any:
    """One text as str, several as an array of str."""
    try:
        if isinstance(value, bytes | str):
            return _decoded(value)
        array = np.asarray(value, object)
        texts = np.empty(array.size, object)
        texts[:] = [_decoded(each) for each in array.ravel()]
        return texts.reshape(array.shape)
    except (UnicodeDecodeError, AttributeError) as error:
        raise Refused(f"{path} holds a text that is not UTF-8") from error


def _said(file: Any, name: str) -> str:
    """What a single short text beside the group says, in brackets; nothing of all else."""
    found = file.get(name)
    if name != "version" or not isinstance(found, h5py.Dataset) or found.size != 1 or found.nbytes > 100:
        return ""
    value = np.asarray(found[()], object).ravel()[0]
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return f" ({text[:40]})" if text.isprintable() else ""


def _decoded(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode()


def _numbers(value: Any) -> Any:
    """Numbers in this machine's byte order; of the widest kind that arithmetic knows."""
    array = np.asarray(value)
    return (
        array.astype(np.float64) if array.dtype.itemsize > 8 else array.astype(array.dtype.newbyteorder("="))
    )


# ---- the process -------------------------------------------------------------------------------------------


def main() -> None:
    """Answer requests until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else is to write where the answers go
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        request = json.loads(line)
        _limit(int(request["limit"]), Path(request["path"]).stat().st_size)
        head, arrays = _answer(Path(request["path"]), request["group"], int(request["limit"]))
        _send(answers, head, arrays)


def _limit(memory: int, size: int) -> None:
    """Bound this process for the next file; the system ends it where it goes beyond."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = ceil(used.ru_utime + used.ru_stime + LEAST_SECONDS + size / BYTES_A_SECOND)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (2 * memory + OVERHEAD, hard))


def _answer(path: Path, group: str, limit: int) -> tuple[Any, list[Any]]:
    arrays: list[Any] = []
    try:
        with h5py.File(path, "r", locking=False) as file:
            walk = _Walk(path.stat().st_size, limit)
            tree = _packed(walk.top(file, group), arrays)
            beside = [f"/{_readable(name)}{_said(file, name)}" for name in file if name != group]
            if _said(file, "version"):  # which may be known, and then is not told itself
                walk.note_attributes(file["version"], "/version")
            return {"tree": tree, "unread": [*beside, *walk.attributes][:MOST_TOLD]}, arrays
    except Refused as refusal:
        return {"refused": str(refusal)}, []
    except Exception as error:  # for damaged bytes HDF5 raises nearly anything
        told = " ".join(str(error).split()) or type(error).__name__
        return {"refused": f"it is damaged or no HDF5 file ({told})"}, []


def _packed(value: Any, arrays: list[Any]) -> Any:
    """A tree as JSON; numbers are left behind in `arrays`."""
    if isinstance(value, dict):
        return ["group", {name: _packed(each, arrays) for name, each in value.items()}]
    if isinstance(value, str):
        return ["text", value]
    if value.dtype == object:
        return ["texts", list(value.shape), value.ravel().tolist()]
    arrays.append(value)
    return ["numbers", list(value.shape), value.dtype.str]


def _send(stream: BinaryIO, head: Any, arrays: list[Any]) -> None:
    text = json.dumps(head).encode()
    stream.write(len(text).to_bytes(8, "little") + text)
    for array in arrays:
        stream.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    stream.flush()


if __name__ == "__main__":
    main()
