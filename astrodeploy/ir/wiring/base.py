"""What every pattern of a connection is: a linear map whose numbers are held once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse

from astrodeploy.brief import shape_text
from astrodeploy.ir.arrays import Array, FloatArray, IntArray, frozen


class Rows(NamedTuple):
    """The synapses of some targets: those of the i-th are starts[i]..starts[i + 1] of the other two arrays.

    Sources ascend within a target; weights may be 0.
    """

    starts: IntArray
    sources: IntArray
    weights: Array


@dataclass(frozen=True, eq=False, repr=False)
class Wiring(ABC):
    """Base of all patterns."""

    values: Array

    def __post_init__(self) -> None:
        for each in fields(self):
            if isinstance(value := getattr(self, each.name), np.ndarray):
                object.__setattr__(self, each.name, frozen(value))

    def __repr__(self) -> str:
        held = f"{self.values.dtype} {shape_text(self.values.shape)}"
        return f"<{type(self).__name__} of {self.shape[0]} targets and {self.shape[1]} sources, {held}>"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(targets, sources)."""

    @cached_property
    @abstractmethod
    def sparse(self) -> "scipy.sparse.csr_array":
        """The map as a sparse matrix (targets, sources); zero weights of the pattern stay stored."""

    def rows(self, targets: slice | IntArray) -> Rows:
        """The synapses of some targets, in their order: what to ask where the whole may be too large to list."""
        found = self.sparse[targets]
        return Rows(found.indptr, found.indices, found.data)

    @abstractmethod
    def scaled(self, factor: FloatArray) -> "Wiring":
        """The map with every target's total multiplied by its factor (targets,)."""

    @property
    def fan_in(self) -> IntArray:
        """Synapses that end in every target: (targets,)."""
        return np.diff(self.sparse.indptr)

    @property
    def synapses(self) -> int:
        """Pairs of neurons that the pattern connects."""
        return int(self.fan_in.sum())

    def with_values(self, values: Array) -> Self:
        """The same pattern with other numbers."""
        if np.shape(values) != self.values.shape:
            raise ValueError(f"the pattern holds {self.values.shape} numbers, given are {np.shape(values)}")
        return replace(self, values=values)

    def matrix(self) -> Array:
        """The map as an array (targets, sources); for small networks."""
        dense: Array = self.sparse.toarray()
        return dense

    def deliver(self, messages: Array) -> Array:
        """Totals (..., targets) of messages (..., sources), in the type of the messages."""
        rows = messages.reshape(-1, self.shape[1])
        totals: Array = (self.sparse.astype(messages.dtype, copy=False) @ rows.T).T
        return totals.reshape(*messages.shape[:-1], self.shape[0])

    def bounds(self, low: float, high: float) -> tuple[Array, Array]:
        """Least and largest total of every target for messages within low..high, which contains 0."""
        positive, negative = self._signed_sums
        return low * positive - high * negative, high * positive - low * negative

    @cached_property
    def _signed_sums(self) -> tuple[Array, Array]:
        """Every target's positive weights, summed, and its negative ones, summed without their sign."""
        wide = self.values.astype(np.int64 if self.values.dtype.kind == "i" else np.float64)
        ones = np.ones(self.shape[1], wide.dtype)
        parts = (self.with_values(np.maximum(each, 0)).deliver(ones) for each in (wide, -wide))
        positive, negative = parts
        return positive, negative

    def settings(self) -> dict[str, Any]:
        """The pattern's description without its arrays, as plain data."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in found.items()
            if not isinstance(v, np.ndarray)
        }

    def arrays(self) -> dict[str, Array]:
        """The pattern's arrays by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in found.items() if isinstance(v, np.ndarray)}
