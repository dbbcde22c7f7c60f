"""Sums that a connection keeps in float and no longer after rounding: of flows, which are conserved by them.

Where the weights out of a neuron add up to 0, as in a Laplacian, what one loses its neighbours gain; where
those into a neuron do, nothing flows between equals. Rounded one by one they add up to a little, which
comes back in every step and grows where a state keeps it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.wiring import Conv, Random, Wiring
from astrodeploy.program import Note

NOTHING = 1e-6  # of the weights' magnitudes: what is left of a sum of 0 in single precision
MOST_LISTED = 1 << 24  # synapses whose sums by source are looked at: a wiring lists them for that


class _Sums(NamedTuple):
    """Of the weights at every neuron: their sum, that of their magnitudes, and that of their squares."""

    plain: FloatArray
    sizes: FloatArray
    squares: FloatArray


def sum_notes(name: str, meant: Wiring, kept: Wiring) -> Iterator[Note]:
    """A note where sums of `meant` are 0 (or all 1, from a population to itself) and those of `kept` are not.

    Both are the float network's weights, as they were and as the chip has them.
    """
    square = meant.shape[0] == meant.shape[1]
    if not (square or np.any(meant.values < 0)):
        return
    if (lost := _lost(_into(meant), _into(kept), square)) is not None:
        text, found = _told(*lost, "arrives at", "where all that feed them send 1.0")
        yield Note(name, text, {"changed sums into a neuron": found})
    if not _may_conserve(meant):
        return
    if (lost := _lost(_out_of(meant), _out_of(kept), square)) is not None:
        text, found = _told(*lost, "is sent by", "for every 1.0 that one sends")
        yield Note(
            name, f"{text}: what flows is no longer conserved", {"changed sums out of a neuron": found}
        )


def _may_conserve(wiring: Wiring) -> bool:
    """Whether its sums by source are worth a list of all synapses."""
    if isinstance(wiring, Conv):
        grouped = wiring.values.reshape(wiring.groups, -1, *wiring.values.shape[1:])
        axes = (1, *range(3, grouped.ndim))
        if not np.any(np.abs(grouped.sum(axes)) <= NOTHING * np.abs(grouped).sum(axes)):
            return False
    return not isinstance(wiring, Random) and wiring.synapses <= MOST_LISTED


def _into(wiring: Wiring) -> _Sums:
    ones, values = np.ones(wiring.shape[1]), wiring.values.astype(np.float64)
    return _Sums(*(wiring.with_values(each).deliver(ones) for each in (values, np.abs(values), values**2)))


def _out_of(wiring: Wiring) -> _Sums:
    matrix = wiring.sparse.astype(np.float64)
    return _Sums(*(np.asarray(each.sum(axis=0)).ravel() for each in (matrix, abs(matrix), matrix.power(2))))


def _lost(before: _Sums, after: _Sums, square: bool) -> tuple[int, FloatArray] | None:
    """Which whole number sums were, and by how much those that are off now are; None without any.

    A single weight of 1 is no sum.
    """
    fed, room = before.sizes > 0, NOTHING * before.sizes
    ones = fed & (np.abs(before.plain - 1) <= room)
    whole = (
        square and bool(np.any(ones & (np.abs(before.squares - 1) > NOTHING))) and np.array_equal(ones, fed)
    )
    meant, kept = (1, ones) if whole else (0, fed & (np.abs(before.plain) <= room))
    off = after.plain[kept] - meant
    off = off[np.abs(off) > room[kept]]
    return (meant, off) if off.size else None


def _told(meant: int, off: FloatArray, what: str, when: str) -> tuple[str, float]:
    worst = float(off[np.argmax(np.abs(off))])
    neurons = f"{off.size} neuron{'s' * (off.size > 1)}"
    return (
        f"what {what} {neurons} adds up to {meant} in float, and no longer after rounding: it is off by up to "
        f"{worst:+.3g} in every step, {when}",
        abs(worst),
    )
