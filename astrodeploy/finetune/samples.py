"""The user's data for fine-tuning: samples with labels, in two parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrodeploy.answers import class_numbers, shown
from astrodeploy.errors import StimulusError
from astrodeploy.ir.arrays import IntArray


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples x, by input where there are several, and their classes y (samples,)."""

    x: Any
    y: IntArray

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Samples":
        if isinstance(self.x, Mapping):
            return Samples({name: each[rows] for name, each in self.x.items()}, self.y[rows])
        return Samples(self.x[rows], self.y[rows])

    def split(self, share: float, rng: np.random.Generator) -> tuple["Samples", "Samples"]:
        """The samples to train on, and a share that is held back; both keep their order.

        Either has at least one sample, but for a share of 0.
        """
        count = min(len(self) - 1, max(1, round(share * len(self)))) if share else 0
        held = np.sort(rng.permutation(len(self))[:count])
        return self[np.setdiff1d(np.arange(len(self)), held)], self[held]


def samples_of(x: Any, y: Any, classes: int) -> Samples:
    """Check the data. Raises StimulusError."""
    arrays = {name: np.asarray(each) for name, each in x.items()} if isinstance(x, Mapping) else np.asarray(x)
    lengths = {len(each) for each in (arrays.values() if isinstance(arrays, Mapping) else [arrays])}
    labels = np.asarray(y)
    if labels.ndim != 1 or lengths != {labels.size}:
        raise StimulusError(
            f"fine-tuning needs one label a sample: y is {labels.shape}, x has {sorted(lengths)} samples"
        )
    if labels.size < 2:
        raise StimulusError("fine-tuning needs at least 2 samples: one to train on, and one to check with")
    numbers = class_numbers(labels, classes)
    if numbers is None:
        raise StimulusError(
            f"the labels must be whole numbers in 0..{classes - 1}, the {classes} neurons that are read out; "
            f"y holds {shown(labels)}"
        )
    return Samples(arrays, numbers)
