"""Stimuli from .npz files: data only, nothing in them is executed."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

from astrodeploy.answers import EXCHANGED
from astrodeploy.errors import StimulusError
from astrodeploy.ir.arrays import Array

SEVERAL = "x."  # begins the names of arrays for several inputs, `x.camera`


def part(x: Any, which: slice) -> Any:
    """Some samples of a stimulus: of its array, or of those of all inputs."""
    return {name: array[which] for name, array in x.items()} if isinstance(x, Mapping) else x[which]


def count(x: Any) -> int:
    """Samples of a stimulus."""
    shape = np.shape(next(iter(x.values()), ()) if isinstance(x, Mapping) else x)
    return shape[0] if shape else 0


def read_stimulus(path: Path) -> tuple[Any, Array | None]:
    """x, and y (labels) or None, of an .npz file. Raises StimulusError.

    Several inputs have an array each, `x.<name of the input>`; x is then a dictionary by name.
    """
    if not path.exists():
        raise StimulusError(f"{path} does not exist")
    if path.is_file() and not is_zipfile(path):
        raise StimulusError(f"{path} is no .npz file: write one with numpy.savez(path, x=..., y=...)")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if _is_read(name)}
            held = ", ".join(archive.files[:5]) + " and more" * (len(archive.files) > 5) or "nothing"
    except (OSError, ValueError, EOFError, RuntimeError, LookupError, BadZipFile, zlib.error) as error:
        raise StimulusError(f"{path} can't be read as an .npz of plain arrays: {error}") from error
    y = arrays.pop("y", None)
    if not arrays:
        raise StimulusError(f"{path} holds {held}; needed is x, and y where there are labels")
    if len(arrays) > 1 and "x" in arrays:
        raise StimulusError(f"{path} holds x and arrays for several inputs, {held}: give one or the other")
    for name, array in arrays.items():
        if array.ndim == 0:
            raise StimulusError(f"{path}: {name} is a single number, needed is a batch")
    x = arrays.get("x", {name.removeprefix(SEVERAL): array for name, array in arrays.items()})
    if y is not None and (y.shape != (count(x),) or y.dtype.kind not in "biuf"):
        exchanged = EXCHANGED if y.shape == np.shape(next(iter(arrays.values())))[1:2] else ""
        raise StimulusError(
            f"{path}: y is {y.dtype} {y.shape}, needed is one label (a number) a sample, ({count(x)},){exchanged}"
        )
    return x, y


def _is_read(name: str) -> bool:
    return name in ("x", "y") or name.startswith(SEVERAL)
