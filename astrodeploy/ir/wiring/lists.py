"""Patterns that hold a number for every synapse."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring.base import Rows, Wiring


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Wiring):
    """All to all: `values` is (targets, sources)."""

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        targets, sources = self.values.shape
        return targets, sources

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        targets, sources = self.shape
        columns = np.tile(np.arange(sources, dtype=np.int32), targets)
        starts = np.arange(targets + 1, dtype=np.int64) * sources
        return scipy.sparse.csr_array((self.values.ravel(), columns, starts), shape=self.shape)

    def matrix(self) -> Array:  # noqa: D102
        return self.values

    def deliver(self, messages: Array) -> Array:  # noqa: D102
        return np.asarray(messages @ self.values.T.astype(messages.dtype, copy=False))

    def scaled(self, factor: FloatArray) -> "Dense":  # noqa: D102
        return self.with_values(self.values * factor[:, None])

    @property
    def fan_in(self) -> IntArray:  # noqa: D102
        targets, sources = self.values.shape
        return np.full(targets, sources)

    @property
    def synapses(self) -> int:  # noqa: D102
        return self.values.size


@dataclass(frozen=True, eq=False, repr=False)
class OneToOne(Wiring):
    """Neuron i to neuron i: `values` is (neurons,)."""

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.values.size, self.values.size

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        n = self.values.size
        return scipy.sparse.csr_array((self.values, np.arange(n), np.arange(n + 1)), shape=self.shape)

    def deliver(self, messages: Array) -> Array:  # noqa: D102
        return np.asarray(messages * self.values.astype(messages.dtype, copy=False))

    def scaled(self, factor: FloatArray) -> "OneToOne":  # noqa: D102
        return self.with_values(self.values * factor)


@dataclass(frozen=True, eq=False, repr=False)
class Sparse(Wiring):
    """A list of synapses by target: those of target i are starts[i]..starts[i + 1].

    values   (synapses,)
    columns  (synapses,) their source neurons, ascending within a target
    starts   (targets + 1,)
    """

    columns: IntArray
    starts: IntArray
    sources: int

    @classmethod
    def of(cls, matrix: Any) -> "Sparse":
        """Of a scipy sparse matrix or an array (targets, sources); zeros are left out."""
        csr = scipy.sparse.csr_array(matrix, copy=True)
        csr.sum_duplicates()
        csr.eliminate_zeros()
        csr.sort_indices()
        return cls(csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64), csr.shape[1])

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.starts.size - 1, self.sources

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":  # noqa: D102
        return scipy.sparse.csr_array((self.values, self.columns, self.starts), shape=self.shape)

    def rows(self, targets: slice | IntArray) -> Rows:  # noqa: D102
        if not isinstance(targets, slice) or targets.step not in (None, 1):
            return super().rows(targets)
        first, last, _ = targets.indices(self.shape[0])
        starts = self.starts[first : max(first, last) + 1]
        here = slice(starts[0], starts[-1])
        return Rows(starts - starts[0], self.columns[here], self.values[here])

    @property
    def fan_in(self) -> IntArray:  # noqa: D102
        return np.diff(self.starts)

    def scaled(self, factor: FloatArray) -> "Sparse":  # noqa: D102
        return self.with_values(self.values * np.repeat(factor, np.diff(self.starts)))
