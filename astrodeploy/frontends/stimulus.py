"""Stimuli from .npz files: data only, nothing in them is executed."""

import zlib
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from astrodeploy.errors import StimulusError
from astrodeploy.ir.arrays import Array


def read_stimulus(path: Path) -> tuple[Array, Array | None]:
    """x, and y (labels) or None, of an .npz file. Raises StimulusError."""
    if not path.exists():
        raise StimulusError(f"{path} does not exist")
    if path.is_file() and not is_zipfile(path):
        raise StimulusError(f"{path} is no .npz file: write one with numpy.savez(path, x=..., y=...)")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("x", "y") if name in archive.files}
            held = ", ".join(archive.files[:5]) + " and more" * (len(archive.files) > 5) or "nothing"
    except (OSError, ValueError, EOFError, RuntimeError, LookupError, BadZipFile, zlib.error) as error:
        raise StimulusError(f"{path} can't be read as an .npz of plain arrays: {error}") from error
    if "x" not in arrays:
        raise StimulusError(f"{path} holds {held}; needed is x, and y where there are labels")
    x, y = arrays["x"], arrays.get("y")
    if x.ndim == 0:
        raise StimulusError(f"{path}: x is a single number, needed is a batch")
    if y is not None and (y.shape != (len(x),) or y.dtype.kind not in "biuf"):
        raise StimulusError(
            f"{path}: y is {y.dtype} {y.shape}, needed is one label (a number) a sample, ({len(x)},)"
        )
    return x, y
