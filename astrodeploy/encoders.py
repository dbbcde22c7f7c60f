"""Deterministic encoders: the same sample gives the same spikes everywhere and always."""

import numpy as np
import numpy.typing as npt

from astrodeploy.errors import StimulusError

LEVELS = 1 << 16


def thresholds(seed: int, steps: int, size: int) -> npt.NDArray[np.float32]:
    """The rate encoder's thresholds h / 65536, shape (steps, size), multiples of 2**-16 in 0..1.

    h is the upper half of a 32-bit hash of seed, step and position (two rounds of multiply and
    shift), so that it needs no generator's state: any step of any neuron can be computed alone.
    """
    step = np.arange(steps, dtype=np.uint64)[:, None]
    position = np.arange(size, dtype=np.uint64)[None, :]
    word = (step * np.uint64(0x9E3779B1) + position * np.uint64(0x85EBCA77)) & np.uint64(0xFFFFFFFF)
    word = _mix(word ^ np.uint64(seed & 0xFFFFFFFF))
    word = _mix((word + np.uint64(0x27D4EB2F)) & np.uint64(0xFFFFFFFF))
    return ((word >> np.uint64(16)).astype(np.float32)) / np.float32(LEVELS)


def _mix(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mask = np.uint64(0xFFFFFFFF)
    word = ((word ^ (word >> np.uint64(15))) * np.uint64(0x2C1B3C6D)) & mask
    word = ((word ^ (word >> np.uint64(12))) * np.uint64(0x297A2D39)) & mask
    return word ^ (word >> np.uint64(15))


def encode_rate(values: npt.NDArray[np.generic], steps: int, seed: int) -> npt.NDArray[np.uint8]:
    """Spikes (batch, steps, size) of values (batch, size) in 0..1, read as float32.

    A neuron sends in a step where its value exceeds the threshold of that step: 0 never, 1 always.
    Raises StimulusError for values outside 0..1 or not finite.
    """
    flat = values.reshape(len(values), -1).astype(np.float32)
    if not np.all(np.isfinite(flat)):
        raise StimulusError("the values to encode hold NaN or infinity; the rate encoder takes 0..1")
    if flat.size and (flat.min() < 0 or flat.max() > 1):
        raise StimulusError(
            f"the values to encode lie in {flat.min():.9g}..{flat.max():.9g}; "
            "the rate encoder takes 0..1: scale them first"
        )
    return (flat[:, None, :] > thresholds(seed, steps, flat.shape[1])[None]).astype(np.uint8)
