"""How a Program was compiled: every option of `compile`, and a hash of every input.

It stands in the Program, so that a report can say how to make it again. Neither time nor host nor a folder
enters it: a file is called by its name alone, so that the same compile gives the same bytes everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.errors import InputError

if TYPE_CHECKING:
    from astrodeploy.ir import Graph

FORMS = ("file", "factory", "object")
CALIBRATION = "calibrate.npz"  # what an array without a file is called


@dataclass(frozen=True)
class Given:
    """An input: what it is called, and its hash.

    form    "file"; "factory", a function that was named; "object", something in memory
    name    the file's, without its folder; package.module:function; the type of an object
    sha256  of a source that is a file the file's bytes, of another its Graph's fingerprint; of samples their
            names, types, shapes and bytes (`content_hash`), however they were packed
    """

    form: str
    name: str
    sha256: str

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(f"an input of a recipe is one of {', '.join(FORMS)}, not {self.form!r}")
        if not self.name or Path(self.name).name != self.name:
            raise InputError(f"an input of a recipe is called by a name without a folder, not {self.name!r}")
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise InputError(f"the hash of {self.name} is no SHA-256 in hexadecimal digits: {self.sha256!r}")


@dataclass(frozen=True)
class Recipe:
    """The arguments of a call of `compile`, under their own names; `calibrate` is None where none was given."""

    source: Given
    target: str
    calibrate: Given | None = None
    dt: float | None = None
    input_shape: tuple[int, ...] | None = None
    reset: str | None = None
    threshold: str | None = None
    if_r: str | None = None
    freeze_astrocytes: bool = False
    allow_delay: bool = False
    reset_every: int | None = None
    pack: str = "fastest"
    model: str | None = None

    def __post_init__(self) -> None:
        """Keep every option in one type, so that 1 and 1.0 seconds, a list and a tuple give the same bytes."""
        for name, kind in (("dt", float), ("reset_every", int)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, kind(value))
        for name in ("freeze_astrocytes", "allow_delay"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", tuple(int(n) for n in self.input_shape))

    @property
    def files(self) -> tuple[Given, ...]:
        """The files that the call read, but for that of a target."""
        return tuple(g for g in (self.source, self.calibrate) if g is not None and g.form == "file")

    def chosen(self) -> dict[str, Any]:
        """The options that differ from their defaults; without source, target and calibrate."""
        rest = (f for f in fields(self) if f.name not in ("source", "target", "calibrate"))
        return {f.name: value for f in rest if (value := getattr(self, f.name)) != f.default}

    def to_plain(self) -> dict[str, Any]:
        """Plain data, as it stands in a Program: every option, the defaults too."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Recipe":
        """Read back. Raises InputError where a key is missing, unknown, or of another type."""
        require_keys("the recipe", plain, [f.name for f in fields(cls)])
        return cls(**{name: _option(name, value) for name, value in plain.items()})


def require_keys(what: str, plain: Any, needed: list[str]) -> None:
    """Raise InputError, with the key, unless plain data hold exactly these."""
    if not isinstance(plain, dict):
        raise InputError(f"{what} is {plain!r}, needed is a table with {', '.join(needed)}")
    if unknown := sorted(set(plain) - set(needed)):
        raise InputError(f"{what} holds {unknown[0]!r}, which is not known; it holds {', '.join(needed)}")
    if missing := [name for name in needed if name not in plain]:
        raise InputError(f"{what} lacks {missing[0]!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, Given):
        return {"form": value.form, "name": value.name, "sha256": value.sha256}
    return list(value) if isinstance(value, tuple) else value


def _given(value: Any) -> Given:
    require_keys("an input of the recipe", value, ["form", "name", "sha256"])
    return Given(**{key: _text(each) for key, each in value.items()})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{value!r} stands in the recipe where a text is needed")
    return value


def _number(value: Any) -> float:
    if type(value) is not float:
        raise InputError(f"{value!r} stands in the recipe where a number is needed")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise InputError(f"{value!r} stands in the recipe where a whole number is needed")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{value!r} stands in the recipe where true or false is needed")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InputError(f"{value!r} stands in the recipe where a shape is needed")
    return tuple(_whole(n) for n in value)


READ: dict[str, Callable[[Any], Any]] = {
    "source": _given,
    "calibrate": _given,
    "target": _text,
    "dt": _number,
    "input_shape": _shape,
    "freeze_astrocytes": _flag,
    "allow_delay": _flag,
    "reset_every": _whole,
    "pack": _text,
}


def _option(name: str, value: Any) -> Any:
    optional = name not in ("source", "target", "freeze_astrocytes", "allow_delay", "pack")
    reader: Callable[[Any], Any] = READ.get(name, _text)
    return None if value is None and optional else reader(value)


# ---- what was given ----------------------------------------------------------------------------------


def source_given(source: Any, graph: "Graph") -> Given:
    """What a source is called, and its hash: `source` as the user gave it, `graph` what was read of it."""
    if isinstance(source, str | PathLike) and Path(source).is_file():
        from astrodeploy.storage import file_hash

        return Given("file", Path(source).name, file_hash(Path(source)))
    from astrodeploy.ir.plain import fingerprint

    if isinstance(source, str):
        return Given("factory", source, fingerprint(graph))
    return Given("object", type(source).__name__, fingerprint(graph))


def target_given(target: str | PathLike[str]) -> str:
    """What a target is called: its name, or that of its file."""
    return Path(target).name if Path(target).suffix == ".toml" else str(target)


def samples_given(samples: Any, path: Path | None, otherwise: str = CALIBRATION) -> Given:
    """What samples are called, and the hash of what they hold.

    Arrays without a file are called as the file in which they are to be kept, so that who does that gets the
    same Program again.
    """
    return Given("file", otherwise if path is None else path.name, content_hash(samples))


def content_hash(samples: Any) -> str:
    """SHA-256 of samples, an array or arrays by input: of their names, types, shapes and bytes."""
    named = samples if isinstance(samples, Mapping) else {"": samples}
    digest = sha256()
    for name in sorted(named, key=str):
        array = np.ascontiguousarray(np.asarray(named[name]))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
