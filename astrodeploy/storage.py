"""Files that are whole or not there: atomic folders, checked JSON, hashes."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, ENOTDIR
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from astrodeploy.errors import InputError, ProgramError

MALFORMED = (  # what reading plain data that are no such data can raise
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def atomic_folder(path: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to fill; it takes its place only when the block ends well, else nothing is left.

    An existing folder is exchanged where `replaceable` says that it is of the same kind.
    Raises ProgramError where there is no space, no permission, or something else in the way.
    """
    scratch: Path | None = None
    check_folder(path, replaceable)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        fresh = scratch / "fresh"
        fresh.mkdir()
        yield fresh
        _exchange(path, fresh, scratch / "old")
    except OSError as error:
        raise _cant_write(path, error) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _exchange(path: Path, fresh: Path, old: Path) -> None:
    """Move `fresh` to `path`; what lies there goes to `old`, and comes back where the move fails."""
    if path.exists():
        path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write; it takes its place only when the block ends well, else nothing is left.

    An existing file is replaced; a folder or a device is not. Raises ProgramError.
    """
    scratch: Path | None = None
    check_file(path)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        fresh = scratch / path.name
        yield fresh
        fresh.replace(path)
    except OSError as error:
        raise _cant_write(path, error) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def check_folder(path: Path, replaceable: Callable[[Path], bool]) -> None:
    """Raise ProgramError where `atomic_folder` would: to be asked before the work whose result it takes."""
    try:
        if path.exists() and not (path.is_dir() and replaceable(path)):
            raise ProgramError(f"{path} exists and is not ours to replace: choose another output")
        _check_place(path.parent)
    except OSError as error:
        raise _cant_write(path, error) from error


def check_file(path: Path) -> None:
    """Raise ProgramError where `atomic_file` would: to be asked before the work whose result it takes."""
    try:
        if path.exists() and not path.is_file():
            raise ProgramError(f"{path} exists and is no ordinary file: choose another output")
        _check_place(path.parent)
    except OSError as error:
        raise _cant_write(path, error) from error


def _check_place(folder: Path) -> None:
    """Raise OSError where nothing can be made in a folder."""
    if not S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(folder))


def _cant_write(path: Path, error: OSError) -> ProgramError:
    if not path.parent.exists():
        return ProgramError(f"{path} can't be written: the folder {path.parent} does not exist")
    return ProgramError(f"{path} can't be written: {error.strerror or error}")


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def json_text(data: Any) -> str:
    """The one text form of plain data: sorted, indented, ASCII, no NaN."""
    return json.dumps(data, sort_keys=True, indent=1, allow_nan=False) + "\n"


def write_manifest(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Write `name` with the content, its hash, and those of all other files of the folder."""
    files = {p.name: file_hash(p) for p in sorted(folder.iterdir())}
    digest = sha256(json_text(content).encode()).hexdigest()
    (folder / name).write_text(json_text({"content": content, "content_sha256": digest, "files": files}))


def read_manifest(folder: Path, name: str, what: str) -> dict[str, Any]:
    """Read back a manifest's content. Raises ProgramError where a byte of the folder has changed."""
    path = folder / name
    if not path.is_file():
        raise ProgramError(f"{folder} is no {what}: it has no {name}")
    try:
        return _read_manifest(folder, path, what)
    except OSError as error:
        raise ProgramError(f"{folder} can't be read: {error}") from error


def _read_manifest(folder: Path, path: Path, what: str) -> dict[str, Any]:
    text, name = path.read_bytes(), path.name
    try:
        data = json.loads(text)
        content, files = data["content"], dict(data["files"])
        intact = text == json_text(data).encode() and set(data) == {"content", "content_sha256", "files"}
        intact &= data["content_sha256"] == sha256(json_text(content).encode()).hexdigest()
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ProgramError(f"{path} was changed or damaged after it was written: make the {what} anew")
    present = sorted(p.name for p in folder.iterdir())
    if present != sorted([name, *files]):
        raise ProgramError(f"{folder} holds {present}, its {name} lists {sorted([name, *files])}")
    for each, digest in files.items():
        if file_hash(folder / each) != digest:
            raise ProgramError(f"{folder / each} was changed after it was written: make the {what} anew")
    return content  # type: ignore[no-any-return]


def check_version(
    content: dict[str, Any],
    form: str,
    version: int,
    path: Path,
    error: type[InputError] = ProgramError,
    since: int = 0,
) -> None:
    """Raise `error` unless the content says it is of this format, of version `since` to `version`."""
    found = content.get("format")
    if found != form:
        raise error(f"{path} is no {form}: its format is {found!r}")
    if not isinstance(content.get("version"), int) or content["version"] > version:
        raise error(
            f"{path} is a {form} of version {content.get('version')}; this astrodeploy reads up to "
            f"{version}: update astrodeploy"
        )
    if content["version"] < since:
        raise error(
            f"{path} is a {form} of version {content['version']}; this astrodeploy reads versions from {since} on: "
            "make it anew from its source"
        )


def difference(given: Any, known: Any, where: str = "", *, strict: bool = True) -> str:
    """Where plain data differ from what was made of them, in words; empty where they do not.

    Unless `strict`, `known` may hold more, and a whole number be written as another type has it: what an
    earlier version wrote need not hold what is known now.
    """
    if not where:
        given, known = json.loads(json_text(given)), json.loads(json_text(known))
    if isinstance(given, dict) and isinstance(known, dict):
        return _difference_of_tables(given, known, where, strict)
    if isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        found = (
            difference(g, k, f"{where}[{i}]", strict=strict)
            for i, (g, k) in enumerate(zip(given, known, strict=True))
        )
        return next(filter(None, found), "")
    same = type(given) is type(known) or (not strict and {type(given), type(known)} == {int, float})
    return "" if same and given == known else f"{where} is {_brief(given)}, taken was {_brief(known)}"


def _difference_of_tables(given: dict[str, Any], known: dict[str, Any], where: str, strict: bool) -> str:
    inside = f"{where}." if where else ""
    if unknown := sorted(set(given) - set(known)):
        return f"{inside}{unknown[0]} is not known"
    if strict and (missing := sorted(set(known) - set(given))):
        return f"{inside}{missing[0]} is missing"
    found = (difference(each, known[key], f"{inside}{key}", strict=strict) for key, each in given.items())
    return next(filter(None, found), "")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
