"""The difference of two accuracies on the same samples, with its interval."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from astrodeploy.errors import InputError

QUANTILE = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Paired:
    """How much more often `first` is right than `second`, as a share of the samples.

    low, high    95 % interval of the difference
    only_first   samples that the first alone gets right
    only_second  samples that the second alone gets right
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int

    def __str__(self) -> str:
        return f"{100 * self.difference:+.2f} ({100 * self.low:+.2f} to {100 * self.high:+.2f}) points"


def paired(first: npt.ArrayLike, second: npt.ArrayLike) -> Paired:
    """Compare who is right, (samples,) booleans of each, sample by sample.

    The interval is the adjusted Wald interval of Bonett and Price (2012, Journal of Educational and
    Behavioral Statistics 37): one sample more on either side, so that it holds for few differences too.
    Raises InputError.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise InputError(f"a paired difference needs two answers a sample, not {a.shape} and {b.shape}")
    gained, lost, n = int(np.sum(a & ~b)), int(np.sum(b & ~a)), a.size
    more, less = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = QUANTILE * sqrt((more + less - (more - less) ** 2) / (n + 2))
    middle = more - less
    return Paired((gained - lost) / n, max(-1.0, middle - half), min(1.0, middle + half), gained, lost)
