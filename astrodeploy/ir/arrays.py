"""Types of arrays, and arrays that can't be written to."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike = None) -> Array:
    """A contiguous copy that can't be written to."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy
