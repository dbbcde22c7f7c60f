"""A sparse pattern that is drawn, and listed target by target where it is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, FloatArray, IntArray
from astrodeploy.ir.wiring.base import Rows, Wiring
from astrodeploy.ir.wiring.lists import Sparse

LISTED = 1 << 20  # synapses at a time, where all of them are gone through


@dataclass(frozen=True, eq=False, repr=False)
class Random(Wiring):
    """Every target hears as many sources near to it, drawn; every synapse has one of a few weights, drawn too.

    values   (numbers,) the weights that are drawn from, each as likely; they are shared as filters are
    inputs   sources of every target
    window   of neighbouring sources, which lies as far along the sources as the target does along the targets
             and is moved inside at the ends: it is divided into `inputs` nearly equal parts, and one source is
             drawn from each; with a window of all sources, any can be near
    seed     of all draws

    What is drawn for a target depends on nothing but its number and the settings: large networks are
    listed box by box (`rows`), never whole.
    """

    targets: int
    sources: int
    inputs: int
    window: int
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if problem := self._problem():
            raise InputError(f"a random pattern {problem}")

    def _problem(self) -> str:
        if self.values.ndim != 1 or not self.values.size:
            return f"needs weights (numbers,) to draw from, not of shape {self.values.shape}"
        if not 1 <= self.inputs <= self.window <= self.sources < 1 << 31 or self.targets < 1:
            return (
                "needs targets, and 1 <= inputs <= window <= sources < 2**31, not "
                f"{self.targets} targets, {self.inputs} inputs, {self.window} and {self.sources}"
            )
        return "" if 0 <= self.seed < 1 << 63 else f"needs a seed in 0..2**63 - 1, not {self.seed}"

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.targets, self.sources

    @property
    def fan_in(self) -> IntArray:  # noqa: D102
        return np.full(self.targets, self.inputs)

    @property
    def synapses(self) -> int:  # noqa: D102
        return self.targets * self.inputs

    def drawn(self, targets: slice | IntArray) -> tuple[IntArray, IntArray]:
        """Sources, and which of the `values` each has, of the synapses of some targets: (targets * inputs,)."""
        from astrodeploy.ir.wiring.drawing import draw

        if isinstance(targets, slice):
            targets = np.arange(*targets.indices(self.targets))
        middle = (2 * targets + 1) * self.sources // (2 * self.targets)
        starts = np.clip(middle - self.window // 2, 0, self.sources - self.window)
        sources, numbers = draw(targets, starts, self._ends, self.values.size, self.seed)
        return sources, numbers

    @property
    def _ends(self) -> IntArray:
        """Where the parts of a window begin and end."""
        return np.arange(self.inputs + 1) * self.window // self.inputs

    def rows(self, targets: slice | IntArray) -> Rows:  # noqa: D102
        sources, numbers = self.drawn(targets)
        return Rows(np.arange(0, sources.size + 1, self.inputs), sources, self.values[numbers])

    @cached_property
    def sparse(self) -> "scipy.sparse.csr_array":
        """All synapses, written out: for small networks."""
        return self._matrix(slice(None))

    def _matrix(self, targets: slice) -> "scipy.sparse.csr_array":
        starts, sources, weights = self.rows(targets)
        return scipy.sparse.csr_array((weights, sources, starts), (starts.size - 1, self.sources))

    def deliver(self, messages: Array) -> Array:
        """Totals target by target, as of a list of all synapses."""
        rows = messages.reshape(-1, self.sources)
        totals = np.empty((len(rows), self.targets), messages.dtype)
        for part in self._parts():
            totals[:, part] = (self._matrix(part).astype(messages.dtype, copy=False) @ rows.T).T
        return totals.reshape(*messages.shape[:-1], self.targets)

    @cached_property
    def _signed_sums(self) -> tuple[Array, Array]:
        from astrodeploy.ir.wiring.drawing import sums

        wide = self.values.astype(np.int64 if self.values.dtype.kind == "i" else np.float64)
        positive, negative = sums(self.targets, self._ends, wide, self.seed)
        return positive, negative

    def _parts(self) -> Iterator[slice]:
        """All targets, a few at a time."""
        size = max(1, LISTED // self.inputs)
        return (slice(start, min(start + size, self.targets)) for start in range(0, self.targets, size))

    def scaled(self, factor: FloatArray) -> "Wiring":
        """The map with every target's total multiplied; a drawn one only where all have one factor."""
        if np.all(factor == factor[0]):
            return self.with_values(self.values * factor[0])
        return self.listed().scaled(factor)

    def listed(self) -> Sparse:
        """The same map as a list of synapses."""
        starts, sources, weights = self.rows(slice(None))
        return Sparse(weights, sources.astype(np.int64), starts, self.sources)
