"""What a read-out says: the class of every sample where it is decided, and whether that is right."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from astrodeploy import arguments
from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, IntArray

UNDECIDED = -1
EXCHANGED = (
    "; a sample has as many steps: x is read as (batch, steps, ...), so where time stands first, "
    "exchange its axes (x.swapaxes(0, 1))"
)
SAME = 1e-12  # of a sample's largest score: what float64 sums in another order may differ by


@dataclass(frozen=True, eq=False)
class Answers:
    """The class of every sample.

    classes  (samples,): the class of the largest score, of several the first; UNDECIDED where nothing speaks
             for one class more than for all others
    tied     (samples,): whether some classes but not all share the largest score, so that the first is arbitrary
    """

    classes: IntArray
    tied: npt.NDArray[np.bool_]

    @property
    def undecided(self) -> int:
        """Samples without an answer."""
        return int(np.sum(self.classes == UNDECIDED))

    @property
    def ties(self) -> int:
        """Samples that are answered by the first of some classes with the same score."""
        return int(np.sum(self.tied))

    @property
    def text(self) -> str:
        """How many are undecided or tied, in words; empty where none is."""
        told = []
        if self.undecided:
            told.append(
                f"{self.undecided} of {len(self.classes)} samples are undecided (no class has a score above the "
                "others'): they count as wrong"
            )
        if self.ties:
            told.append(
                f"{self.ties} of {len(self.classes)} end in a tie of some classes: the first of these counts"
            )
        return "; ".join(told)


def answers(scores: npt.ArrayLike, sent: bool = False) -> Answers:
    """The answers that scores (samples, *classes) give.

    sent  whether the scores are messages that were sent, of which 0 is none: then a sample whose scores are all
          at most 0 is undecided, and not answered by a class that nothing was sent for

    Scores count as the same within 1e-12 of the sample's largest. Where there is one class alone it is the answer.
    """
    array = np.asarray(scores)
    rows = array.reshape(len(array), -1).astype(np.float64)
    if rows.shape[1] < 2:
        return Answers(np.zeros(len(rows), np.int64), np.zeros(len(rows), bool))
    largest = rows.max(1)
    most = np.abs(rows).max(1)
    slack = SAME * np.where(np.isfinite(most), most, 0.0)
    at_top = rows >= (largest - slack)[:, None]
    undecided = at_top.all(1) | np.isnan(largest)
    if sent:
        undecided |= largest <= slack
    first = at_top.argmax(1)
    return Answers(np.where(undecided, UNDECIDED, first), ~undecided & (at_top.sum(1) > 1))


def checked_labels(labels: npt.ArrayLike, samples: int, classes: int, steps: int = 0) -> IntArray:
    """Labels (samples,) as integers in 0..classes - 1.

    `steps` of a sample tell where steps and samples may have been exchanged. Raises InputError.
    """
    array = arguments.array(labels, "the labels")
    if array.ndim != 1:
        raise InputError(
            f"the labels have shape {array.shape}, needed is one number for each of {samples} samples"
        )
    if len(array) != samples:
        hint = EXCHANGED if len(array) == steps else ""
        raise InputError(f"there are {len(array)} labels for {samples} samples{hint}")
    numbers = class_numbers(array, classes)
    if numbers is None:
        raise InputError(
            f"the labels of {classes} classes are whole numbers in 0..{classes - 1}, given are {shown(array)}"
        )
    return numbers


def class_numbers(labels: Array, classes: int) -> IntArray | None:
    """Labels as integers, also those that are stored as floats; None where some are no class's number."""
    if labels.dtype.kind not in "biuf" or labels.size == 0 or not np.all(np.isfinite(labels)):
        return None
    if labels.min() < 0 or labels.max() >= classes or np.any(labels != np.rint(labels)):
        return None
    return labels.astype(np.int64)


def shown(labels: Array) -> str:
    """Labels by their range, or by what they are where they have none."""
    if labels.dtype.kind not in "biuf":
        return f"values of type {labels.dtype}"
    if not np.all(np.isfinite(labels)):
        return "some that are not finite"
    fractions = labels[labels != np.rint(labels)]
    if fractions.size:
        return f"fractions, {fractions[0]:g} for one"
    return f"{float(labels.min()):g}..{float(labels.max()):g}"
