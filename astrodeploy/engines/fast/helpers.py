"""What every kernel calls, compiled by numba once for all kernels.

This file is not imported: its text becomes a file of its own beside the kernels, and every kernel's
source names the hash of that text, so that a change here makes every kernel anew. Loops over elements
stand where numpy would assign whole arrays, for numba compiles them in a tenth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy import int8, int16, int32, int64, uint8
    from numpy.typing import NDArray


def restore(states: NDArray[int64], rest: NDArray[int64], fast: NDArray[uint8], everything: bool) -> None:
    """Set states (states, size) back to rest: all of them, or only the fast ones."""
    for k in range(states.shape[0]):
        if everything or fast[k]:
            for j in range(states.shape[1]):
                states[k, j] = rest[k, j]


def record(states: NDArray[int64], slots: NDArray[int64], recorded: NDArray[int32], row: int, t: int) -> None:
    """Keep the states that have a slot in recorded (slots, rows, steps, size)."""
    for k in range(slots.size):
        if slots[k] >= 0:
            for j in range(states.shape[1]):
                recorded[slots[k], row, t, j] = states[k, j]


def find(messages: NDArray[uint8] | NDArray[int32], found: NDArray[int64]) -> int:
    """Write the positions of all messages that are not 0 to `found`; return how many there are."""
    count = 0
    for i in range(messages.size):
        found[count] = i
        count += messages[i] != 0
    return count


def deliver_spikes(
    messages: NDArray[uint8],
    starts: NDArray[int64],
    columns: NDArray[int32],
    values: NDArray[int8],
    found: NDArray[int64],
    partial: NDArray[int16],
    totals: NDArray[int32],
) -> None:
    """Add the weights of every neuron that sent to the totals (target size)."""
    count = find(messages, found)
    if columns.size == 0:
        add_rows(values, found, count, partial, totals)
        return
    for e in range(count):
        for k in range(starts[found[e]], starts[found[e] + 1]):
            totals[columns[k]] += values[k]


def add_rows(
    values: NDArray[int8], found: NDArray[int64], count: int, partial: NDArray[int16], totals: NDArray[int32]
) -> None:
    """Add rows of a dense matrix, four at a time; 252 weights of 8 bits fit a sum of 16 bits."""
    n = totals.size
    for start in range(0, count, 252):
        stop = min(start + 252, count)
        fours = stop - ((stop - start) & 3)
        for j in range(n):
            partial[j] = 0
        for e in range(start, fours, 4):
            a = values[found[e] * n : found[e] * n + n]
            b = values[found[e + 1] * n : found[e + 1] * n + n]
            c = values[found[e + 2] * n : found[e + 2] * n + n]
            d = values[found[e + 3] * n : found[e + 3] * n + n]
            for j in range(n):
                partial[j] += np.int16(a[j]) + b[j] + c[j] + d[j]
        for e in range(fours, stop):
            a = values[found[e] * n : found[e] * n + n]
            for j in range(n):
                partial[j] += a[j]
        for j in range(n):
            totals[j] += partial[j]


def deliver_graded(
    messages: NDArray[int32],
    starts: NDArray[int64],
    columns: NDArray[int32],
    values: NDArray[int8],
    found: NDArray[int64],
    partial: NDArray[int16],
    totals: NDArray[int64],
) -> None:
    """Add weight times message of every neuron that sent to the totals (target size)."""
    n = totals.size
    for e in range(find(messages, found)):
        i = found[e]
        message = np.int64(messages[i])
        if columns.size == 0:
            row = values[i * n : i * n + n]
            for j in range(n):
                totals[j] += message * row[j]
        else:
            for k in range(starts[i], starts[i + 1]):
                totals[columns[k]] += message * values[k]


def count_leading_zeros(word: int) -> int:
    """Zero bits before the first one of a 32-bit word, as `arithmetic.count_leading_zeros` has it."""
    zeros = 32
    for bits in (16, 8, 4, 2, 1):
        step = int(word >> bits != 0) * bits
        word >>= step
        zeros -= step
    return zeros - int(word != 0)
