"""Digits: where they come from, how they are divided, and noise.

Two sets: "digits", scikit-learn's 1,797 images of 8 x 8, and "mnist", 8,000 images of 28 x 28 (models/data).
A fixed part of each is put aside for choosing settings; a study's seed divides only the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from astrodeploy.optional import missing

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    raise missing(error) or error from None

MNIST = Path(__file__).parents[1] / "data" / "mnist8k.npz"
PUT_ASIDE = {"digits": 500, "mnist": 2000}  # digits that settings were chosen on
SIDES = {"digits": 8, "mnist": 28}
LEVELS = (0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Digits:
    """Pixels (n, side, side) in 0..1, float32, and classes (n,)."""

    x: np.ndarray
    y: np.ndarray

    def __getitem__(self, index: slice | np.ndarray) -> "Digits":
        return Digits(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.y)


def load(name: str) -> Digits:
    """All digits of a set."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        return Digits((x / 16).astype(np.float32).reshape(-1, 8, 8), y.astype(np.int64))
    with np.load(MNIST, allow_pickle=False) as archive:
        return Digits(archive["x"].astype(np.float32) / 255, archive["y"].astype(np.int64))


def put_aside(digits: Digits, size: int, seed: int) -> tuple[Digits, Digits]:
    """The rest, and `size` digits divided from it by class."""
    kept, aside = train_test_split(
        np.arange(len(digits)), test_size=size, random_state=seed, stratify=digits.y
    )
    return digits[kept], digits[aside]


def for_study(name: str, choosing: bool = False) -> Digits:
    """The digits that a study may use; `choosing`: those that settings are chosen on."""
    return put_aside(load(name), PUT_ASIDE[name], seed=0)[choosing]


def few(digits: Digits, shots: int, rng: np.random.Generator) -> Digits:
    """So many digits of every class."""
    chosen = [rng.permutation(np.flatnonzero(digits.y == c))[:shots] for c in np.unique(digits.y)]
    return digits[np.concatenate(chosen)]


# ---- noise: (images (n, side, side) in 0..1, level 0..1, rng) -> images ------------------------------


def occlusion(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A block that covers `level` of the image, as square as fits, anywhere in it, is black."""
    side = x.shape[1]
    high = int(np.ceil(np.sqrt(level) * side))
    wide = round(level * side * side / high)
    turned = rng.random(len(x)) < 0.5
    sizes = np.where(turned[:, None], (high, wide), (wide, high))
    starts = rng.integers(0, side - sizes + 1)
    place = np.arange(side)
    rows, columns = (
        (place >= starts[:, axis, None]) & (place < (starts + sizes)[:, axis, None]) for axis in (0, 1)
    )
    return np.where(rows[:, :, None] & columns[:, None, :], 0, x).astype(np.float32)


def impulse(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Salt and pepper: every pixel is with probability `level` replaced by 0 or 1, as likely as not."""
    return np.where(rng.random(x.shape) < level, rng.random(x.shape) < 0.5, x).astype(np.float32)


def gaussian(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation `level` is added; what leaves 0..1 is clipped."""
    return np.clip(x + level * rng.standard_normal(x.shape), 0, 1).astype(np.float32)


def combined(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """All three, each at half the level: occlusion, then Gaussian noise, then impulses."""
    for noise in (occlusion, gaussian, impulse):
        x = noise(x, level / 2, rng)
    return x


NOISES: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "occlusion": occlusion,
    "impulse": impulse,
    "gaussian": gaussian,
    "combined": combined,
}


def tensors(digits: Digits) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (n, side * side) and classes (n,)."""
    return torch.from_numpy(digits.x.reshape(len(digits), -1)), torch.from_numpy(digits.y)
