"""Patterns read back from plain data and arrays."""

from typing import Any

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.wiring.base import Wiring
from astrodeploy.ir.wiring.convolution import Conv
from astrodeploy.ir.wiring.lists import Dense, OneToOne, Sparse
from astrodeploy.ir.wiring.random import Random

WIRINGS: dict[str, type[Wiring]] = {each.__name__: each for each in (Dense, OneToOne, Sparse, Conv, Random)}


def from_parts(name: str, settings: dict[str, Any], arrays: dict[str, Array]) -> Wiring:
    """Read back what `settings` and `arrays` gave. Raises InputError for an unknown pattern."""
    if name not in WIRINGS:
        raise InputError(f"the pattern {name!r} is unknown; known are {', '.join(WIRINGS)}")
    plain: dict[str, Any] = {
        k: tuple(int(n) for n in v) if isinstance(v, list) else int(v) for k, v in settings.items()
    }
    wiring = WIRINGS[name](**arrays, **plain)
    if isinstance(wiring, Sparse):
        _check_sparse(wiring)
    needed = {Dense: "targets, sources", OneToOne: "neurons,"}.get(type(wiring), "")
    if needed and wiring.values.ndim != len(needed.split()):
        raise InputError(f"the pattern {name} needs weights ({needed}), not of shape {wiring.values.shape}")
    return wiring


def _check_sparse(wiring: Sparse) -> None:
    starts, columns = wiring.starts, wiring.columns
    flat = starts.ndim == columns.ndim == wiring.values.ndim == 1 and starts.size > 0
    flat = flat and starts.dtype.kind == columns.dtype.kind == "i"
    ordered = flat and starts[0] == 0 and np.all(np.diff(starts) >= 0)
    if not ordered or starts[-1] != columns.size or columns.size != wiring.values.size:
        raise InputError("a sparse pattern's starts do not fit its synapses")
    if wiring.columns.size and not (wiring.columns.min() >= 0 and wiring.columns.max() < wiring.sources):
        raise InputError(f"a sparse pattern names a source outside 0..{wiring.sources - 1}")
    target = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    if np.any((np.diff(columns) <= 0) & (np.diff(target) == 0)):
        raise InputError("a sparse pattern names a source twice: its sources must ascend within a target")
