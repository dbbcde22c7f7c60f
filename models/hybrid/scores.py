"""Accuracies, in per cent and by seed, out of what `measure` gives."""

from typing import Any

import numpy as np
from comparison import AGAIN, BLOCK, CELLS, CLEAN, NOISY
from data import LEVELS, NOISES

Results = list[dict[str, Any]]
HYBRID, ON_CHIP, FROZEN, PLAIN = (
    "hybrid, adapting",
    "hybrid, adapting, on loihi2",
    "hybrid, gains frozen",
    "no astrocytes",
)
RUNNING, AUGMENTED = "ANN, running normalisation", "ANN, noise in training"
MEDIAN, NEAREST = "median filter, ANN", "1-NN"
WHOLE_BATCH = BATCH_HYBRID, BATCH_ANN = ("hybrid, gains set by the batch", "ANN, batch normalisation")
MODELS = (
    HYBRID,
    ON_CHIP,
    "hybrid, adapting, 8 astrocytes",
    FROZEN,
    PLAIN,
    "ANN",
    RUNNING,
    AUGMENTED,
    MEDIAN,
    NEAREST,
    *WHOLE_BATCH,
)
NOISY_CELLS = [cell for cell in CELLS if cell != "clean"]
PARTS = {
    "clean": slice(0, CLEAN // BLOCK),
    "noisy": slice(CLEAN // BLOCK, (CLEAN + NOISY) // BLOCK),
    "again": slice((CLEAN + NOISY) // BLOCK, (CLEAN + NOISY + AGAIN) // BLOCK),
    "all": slice(None),
}


def cell_of(kind: str, level: float) -> str:
    """The name of a noise at a level; level 0 is clean."""
    assert kind in NOISES and level in (0.0, *LEVELS)
    return f"{kind} {level:.0%}" if level else "clean"


def accuracy(
    results: Results, name: str, shots: str, model: str, cells: list[str], blocks: slice = PARTS["noisy"]
) -> np.ndarray | None:
    """Per cent of digits recognised, (seeds,), over these cells and blocks; None where it was not measured."""
    if any(model not in each["right"][name][shots] for each in results):
        return None
    places = [CELLS.index(cell) for cell in cells]
    right = np.array([each["right"][name][shots][model] for each in results])[:, places, blocks]
    return 100 * right.mean((1, 2)) / BLOCK


def curve(results: Results, name: str, shots: str, model: str, cells: list[str]) -> np.ndarray:
    """Per cent recognised (seeds, blocks), averaged over these cells."""
    places = [CELLS.index(cell) for cell in cells]
    right = np.array([each["right"][name][shots][model] for each in results])[:, places]
    return 100 * right.mean(1) / BLOCK
