"""Where kernels live: real files in the user's cache directory, since numba can't cache what was never a file.

A file's name is the hash of its text and it is never rewritten: numba's own cache, beside it, goes by
the file's time. The environment variable ASTRODEPLOY_CACHE names another directory.
"""

import importlib.util
import os
import sys
import tempfile
import threading
import warnings
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from astrodeploy import storage

LAYOUT = "kernels-1"  # a later version that lays its files out in another way takes another folder

_importing = threading.Lock()


def module_name(text: str) -> str:
    """The name under which a source text is imported."""
    return f"astrodeploy_kernel_{sha256(text.encode()).hexdigest()[:32]}"


def load(text: str) -> ModuleType:
    """The module of a source text; numba compiles its functions when they are first called, or finds them."""
    name = module_name(text)
    with _importing:
        return sys.modules.get(name) or _import(name, _written(name, text))


def folder() -> Path:
    """The folder of all kernels; a private temporary one, with a warning, where it can't be written."""
    chosen = os.environ.get("ASTRODEPLOY_CACHE")
    if chosen:
        return _usable(Path(chosen) / LAYOUT)
    from platformdirs import user_cache_path

    return _usable(user_cache_path("astrodeploy", appauthor=False) / LAYOUT)


@cache
def _usable(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept, so that every process compiles them anew: {path} can't be "
            f"written ({error.strerror or error}); name a writable folder in ASTRODEPLOY_CACHE",
            RuntimeWarning,
            stacklevel=2,
        )
    return Path(_temporary().name)


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    """A folder that only this user can read, removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="astrodeploy-kernels-", ignore_cleanup_errors=True)


def _written(name: str, text: str) -> Path:
    path = folder() / f"{name}.py"
    if not (path.is_file() and path.read_bytes() == text.encode()):
        with storage.atomic_file(path) as fresh:
            fresh.write_bytes(text.encode())
    return path


def _import(name: str, path: Path) -> ModuleType:
    """Import a file and make it known by its name, by which kernels import their helpers."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module
