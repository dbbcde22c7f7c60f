"""Targets by name or from a file: a wrong entry is told with its line."""

import re
import tomllib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from astrodeploy.chip.board import Board
from astrodeploy.chip.description import Chip
from astrodeploy.errors import ChipError
from astrodeploy.resources import data_folder

KEY = r"""[\w\-]+|"[^"]*"|'[^']*'"""
DOTTED = rf"\s*(?:{KEY})(?:\s*\.\s*(?:{KEY}))*\s*"
T = TypeVar("T", Chip, Board)
SAID = {  # pydantic's kinds of error, as a file's author reads them
    "missing": "is missing",
    "extra_forbidden": "is not a key of this file",
    "int_type": "must be a whole number, not {input!r}",
    "float_type": "must be a number, not {input!r}",
    "string_type": "must be a text, not {input!r}",
    "finite_number": "must be a finite number, not {input!r}",
    "greater_than_equal": "must be at least {ge}, not {input!r}",
    "less_than_equal": "must be at most {le}, not {input!r}",
    "literal_error": "must be {expected}, not {input!r}",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be letters, digits, '_', '-' and '.', not {input!r}",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, not {input!r}",
    "model_type": "must be a table with its numbers, a source and a quality, not {input!r}",
    "dict_type": "must be a table, not {input!r}",
}


def chip_names() -> tuple[str, ...]:
    """Names of all chips that travel with the package."""
    return tuple(sorted(path.parent.name for path in data_folder("targets").glob("*/chip.toml")))


def board_names() -> tuple[str, ...]:
    """Names of all boards that travel with the package."""
    return tuple(sorted(path.parent.name for path in data_folder("targets").glob("*/board.toml")))


def load_chip(target: str | PathLike[str]) -> Chip:
    """A chip by name (see `chip_names`), or from a file ending in .toml.

    Raises ChipError: an unknown name, a file that can't be read, or a wrong entry, named with its line.
    """
    path = Path(target)
    if path.suffix != ".toml":
        if str(target) not in chip_names():
            known = ", ".join(chip_names())
            raise ChipError(
                f"there is no chip {str(target)!r}: choose one of {known}, or give a chip's .toml file"
            )
        path = data_folder("targets") / str(target) / "chip.toml"
    text, read = _read(path)
    if _is_board(read):
        raise ChipError(f"{path} describes a board, where a chip is needed: give the file of its chip")
    return _checked(Chip, path, text, read)


def load_target(target: str | PathLike[str]) -> Board:
    """A board or a chip by name, or from a file ending in .toml; a chip alone is the board of one.

    A board's file names its chip: one that travels with the package, or a .toml file beside it. Raises
    ChipError as `load_chip` does.
    """
    if not isinstance(target, str | PathLike):
        raise ChipError(f"a target is a name, or the path of a .toml file, not {target!r}")
    path = Path(target)
    if path.suffix != ".toml":
        name = str(target)
        if name in chip_names():
            return Board.of(load_chip(name))
        if name not in board_names():
            known = f"a chip ({', '.join(chip_names())}), a board ({', '.join(board_names())})"
            raise ChipError(f"there is no target {name!r}: choose {known}, or give a .toml file")
        path = data_folder("targets") / name / "board.toml"
    text, read = _read(path)
    if not _is_board(read):
        return Board.of(_checked(Chip, path, text, read))
    return _checked(Board, path, text, read | {"chip": _chip_of(path, text, read)})


def _is_board(read: Mapping[str, Any]) -> bool:
    return "arrangement" in read or isinstance(read.get("chip"), str)


def _chip_of(path: Path, text: str, read: Mapping[str, Any]) -> Chip:
    """The chip that a board's file names."""
    named = read.get("chip")
    where = f"chip (line {_line(text, ('chip',))})" if "chip" in read else "chip is missing: it"
    if not isinstance(named, str):
        raise ChipError(
            f"the board's file {path} is wrong: {where} must be a chip's name, or a .toml file beside it"
        )
    try:
        return load_chip(path.parent / named if named.endswith(".toml") else named)
    except ChipError as error:
        raise ChipError(f"the board's file {path} is wrong: {where}: {error}") from error


def boards_of(chip: Chip) -> list[Board]:
    """The boards that carry a chip, that one alone among them, by their usable cores."""
    same = {"cost_model": chip.cost_model}  # whichever of its cost models was chosen
    boards = [b for b in map(load_target, board_names()) if b.chip.model_copy(update=same) == chip]
    return sorted([Board.of(chip), *boards], key=lambda board: (board.cores, board.name))


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """A file's text and what it says. Raises ChipError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ChipError(f"the target's file {path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ChipError(f"the target's file {path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ChipError(f"the target's file {path} is not valid TOML: {error}") from error


def _checked(kind: type[T], path: Path, text: str, entries: dict[str, Any]) -> T:
    try:
        return kind.model_validate(entries)
    except ValidationError as error:
        findings = [_finding(text, each) for each in error.errors()]
        raise ChipError(f"the target's file {path} is wrong: " + "; ".join(findings)) from error


def _finding(text: str, error: Mapping[str, Any]) -> str:
    keys = tuple(str(part) for part in error["loc"])
    told = error["msg"].removeprefix("Value error, ")
    named = re.match(r"[\w.]+(?= |:)", told)  # a rule over several entries names first the one to look at
    line = _line(text, keys + _parts(named[0]) if named else keys)
    where = f"{'.'.join(keys) or 'the file'}{f' (line {line})' if line else ''}"
    if error["type"] in SAID:
        return f"{where} {SAID[error['type']].format(input=error['input'], **error.get('ctx', {}))}"
    return f"{where}: {told}"


def _line(text: str, keys: tuple[str, ...]) -> int:
    """Line of the entry that comes closest to a path of keys; 0 where none does."""
    table: tuple[str, ...] = ()
    best, found = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(rf"\s*\[({DOTTED})\]", line):
            path = table = _parts(header[1])
        elif entry := re.match(rf"\s*({DOTTED})\s*=", line):
            path = (*table, *_parts(entry[1]))
        else:
            continue
        if path == keys[: len(path)] and len(path) > best:
            best, found = len(path), number
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    """The keys of a dotted one."""
    return tuple(part.strip("\"'") for part in re.findall(KEY, dotted))
