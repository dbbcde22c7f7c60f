"""One operator of an ONNX file with its inputs' values, and what is asked of them.

A value is a `Signal` (one sample, without the batch's dimension), a constant array, what the host
computes at the end, or None where an optional input is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrodeploy.frontends.onnx.signals import Builder, HostValue, Refusal, Shape, Signal
from astrodeploy.ir.arrays import Array, FloatArray

Value = Signal | HostValue | Array | None
FLOAT_TYPES = (1, 10, 11, 16)  # float32, float16, float64, bfloat16


@dataclass(frozen=True, eq=False)
class Node:
    """One operator with its inputs' values; `batch` is the first dimension that the file declares, or 0."""

    operator: str
    name: str
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    opset: int
    batch: int
    layer: str

    @property
    def text(self) -> str:
        """The node as messages name it."""
        return f"{self.operator} ({self.name})"

    def given(self, i: int) -> Value:
        """An input's value; None where it is missing."""
        return self.inputs[i] if i < len(self.inputs) else None

    def signal(self, i: int = 0) -> Signal:
        """An input that the network computes."""
        value = self.given(i)
        if not isinstance(value, Signal):
            raise Refusal(f"needs what the network computes as its input {i}, not a constant")
        return value

    def constant(self, i: int, what: str) -> FloatArray:
        """An input that is a constant, as float64."""
        value = self.given(i)
        if not isinstance(value, np.ndarray):
            raise Refusal(f"needs constant {what}")
        numbers = value.astype(np.float64)
        if not np.all(np.isfinite(numbers)):
            raise Refusal(f"has {what} that are NaN or infinite")
        return numbers

    def integers(self, i: int, what: str) -> list[int]:
        """An input that is a constant list of whole numbers."""
        value = self.given(i)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.size > 16:
            raise Refusal(f"needs constant {what}, a few whole numbers")
        return [int(n) for n in value.ravel()]

    def get(self, attribute: str, default: Any) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(attribute, default)


Layer = Callable[[Node, Builder], Signal]


def spread(constant: FloatArray, shape: Shape) -> FloatArray:
    """A constant as it meets every sample, (size,)."""
    whole = (1, *shape)
    try:
        if np.broadcast_shapes(constant.shape, whole) == whole:
            return np.broadcast_to(constant, whole).ravel().astype(np.float64)
    except ValueError:
        pass
    raise Refusal(f"joins a constant of shape {constant.shape} with values of {shape} a sample")


def spatial(x: Signal) -> int:
    """Spatial dimensions of a signal (channels, *spatial)."""
    dims = len(x.shape) - 1
    if dims not in (1, 2):
        raise Refusal(f"works on {max(dims, 0)} spatial dimensions; compiled are 1 and 2")
    return dims
