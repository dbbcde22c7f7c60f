"""Stimuli from .npz files: data only, nothing in them is executed."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from astrodeploy.errors import StimulusError
from astrodeploy.ir.nodes import Array


def read_stimulus(path: Path) -> tuple[Array, Array | None]:
    """x, and y (labels) or None, of an .npz file. Raises StimulusError."""
    if not path.is_file():
        raise StimulusError(f"{path} does not exist")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(getattr(archive, "files", ()))
            if "x" not in names:
                raise StimulusError(f"{path} holds {names or 'one unnamed array'}, needed is an .npz with x")
            x, y = archive["x"], archive["y"] if "y" in names else None
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, TypeError, AttributeError) as error:
        raise StimulusError(f"{path} can't be read as an .npz of plain arrays: {error}") from error
    if x.ndim == 0:
        raise StimulusError(f"{path}: x is a single number, needed is a batch")
    if y is not None and y.shape != (len(x),):
        raise StimulusError(f"{path}: y has shape {y.shape}, needed is one label a sample, ({len(x)},)")
    return x, y
