"""Groups of HDF5 files as trees of dicts with arrays and text as leaves, whatever the file holds.

The file is read by a process of its own (`worker.py`), which is kept for the next file: one that
crashes HDF5, or with which it never ends, costs that process and is refused.
"""

import atexit
import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path
from threading import Lock, Timer
from typing import Any, BinaryIO

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array

Tree = dict[str, Any]  # of Tree, Array and str

LIMIT_VARIABLE = "ASTRODEPLOY_MEMORY_GIB"
DEFAULT_LIMIT = 4.0  # GiB
WORKER = Path(__file__).with_name("worker.py")
PATIENCE = 600.0  # seconds of waiting for an answer; the worker's own limit is one of processor time


def memory_limit() -> int:
    """Bytes that a file may take in memory. Raises InputError for a setting that is no positive number."""
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 < limit < 2**30:
        raise InputError(f"{LIMIT_VARIABLE} must be a positive number of GiB, not {text!r}")
    return int(limit * 2**30)


def read_group(path: Path, group: str, what: str, error: type[InputError]) -> tuple[Tree, tuple[str, ...]]:
    """What stands under a group of a file that is to be `what`, and the names of what else the file holds.

    That are what stands beside the group, as /name, and attributes wherever they are, as /path@name. Raises
    `error`.
    """
    limit = memory_limit()
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise error(f"{path} can't be read as {what}: it is no ordinary file")
        with path.open("rb"):
            pass
    except OSError as refusal:
        raise error(f"{path} can't be read: {refusal.strerror or refusal}") from refusal
    answer = _READER.ask({"path": str(path.resolve()), "group": group, "limit": limit})
    if "refused" in answer:
        raise error(f"{path} can't be read as {what}: {answer['refused']}")
    return answer["tree"], tuple(answer["unread"])


class _Reader:
    """The process that reads, started when it is needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.owner, self.lock = os.getpid(), Lock()
        atexit.register(self.stop)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One answer; "refused" where the process ended over it."""
        with self.lock:
            return self._ask(request)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        for _ in range(2):  # one that was idle may end just before it is asked
            process = self._running()
            timer = Timer(PATIENCE, process.kill)
            timer.start()
            try:
                return _exchange(process, request)
            except (EOFError, BrokenPipeError, ValueError):
                if self.stop() != 0:
                    break
            finally:
                timer.cancel()
                timer.join()
        return {"refused": "it is damaged so that HDF5 crashes, or does not end, over it"}

    def _running(self) -> "subprocess.Popen[bytes]":
        if self.owner != os.getpid():  # a fork: the pipes are its parent's
            self.owner, self.process = os.getpid(), None
        if self.process is None or self.process.poll() is not None:
            self.stop()
            pipe = subprocess.PIPE
            command = [sys.executable, "-P", str(WORKER)]
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        return self.process

    def stop(self) -> int:
        """End the process; its exit code."""
        process, self.process = self.process, None
        if process is None or self.owner != os.getpid():
            return 0
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue
        return process.wait()


_READER = _Reader()


def _exchange(process: "subprocess.Popen[bytes]", request: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    size = int.from_bytes(_exactly(process.stdout, 8), "little")
    head: dict[str, Any] = json.loads(_exactly(process.stdout, size))
    if "tree" in head:
        head["tree"] = _unpacked(head["tree"], process.stdout)
    return head


def _exactly(stream: BinaryIO | Any, size: int) -> bytes:
    content: bytes = stream.read(size)
    if len(content) != size:
        raise EOFError
    return content


def _unpacked(value: Any, stream: Any) -> Any:
    kind, *rest = value
    if kind == "group":
        return {name: _unpacked(each, stream) for name, each in rest[0].items()}
    if kind == "text":
        return rest[0]
    shape = tuple(rest[0])
    if kind == "texts":
        texts = np.empty(prod(shape), object)
        texts[:] = rest[1]
        return texts.reshape(shape)
    array: Array = np.empty(shape, np.dtype(rest[1]))
    if array.size and stream.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:
        raise EOFError
    return array
