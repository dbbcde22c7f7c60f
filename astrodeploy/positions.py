"""Where the weights of a pattern are not 0, box by box: how many, and in how many run-length entries."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from astrodeploy.ir.arrays import IntArray, frozen
from astrodeploy.ir.wiring import Conv, Dense, Wiring
from astrodeploy.program import Slice
from astrodeploy.receptive_fields import ReceptiveFields
from astrodeploy.runs import entries

FAR = 1 << 32  # between two lines: beyond the reach of any entry
Runs = Callable[[int, int], IntArray]  # reach, most synapses an entry -> entries of every source


@dataclass(frozen=True, eq=False)
class Positions:
    """The synapses whose weight is not 0, of a pattern that ends in a population of that shape."""

    wiring: Wiring
    shape: tuple[int, ...]

    @cached_property
    def fields(self) -> ReceptiveFields | None:
        """The receptive fields of a convolution whose targets have its own shape: no synapse is listed."""
        if isinstance(self.wiring, Conv) and self.wiring.output_shape == self.shape:
            return ReceptiveFields(self.wiring)
        return None

    @cached_property
    def rows(self) -> "scipy.sparse.csr_array":
        """The weights that are not 0: (targets, sources)."""
        every = self.wiring.sparse
        if np.all(every.data):
            return every
        kept = every.copy()
        kept.eliminate_zeros()
        return kept

    def counts(self, cut: Slice) -> IntArray:
        """Synapses of every source neuron in a box of targets, (sources,)."""
        return self._all if cut.size == self.wiring.shape[0] else self._counted(cut)

    @cached_property
    def _all(self) -> IntArray:
        return frozen(self._counted(Slice("", tuple((0, n) for n in self.shape))))

    def _counted(self, cut: Slice) -> IntArray:
        if self.fields is not None:
            return self.fields.nonzero_synapses(cut.ranges)
        if isinstance(self.wiring, Dense):
            return np.asarray(np.count_nonzero(self.wiring.values[self._targets(cut)], axis=0))
        if len(cut.ranges) == 1:
            start, stop = (self.rows.indptr[n] for n in cut.ranges[0])
            return np.bincount(self.rows.indices[start:stop], minlength=self.wiring.shape[1])
        return np.bincount(self.rows[self._targets(cut)].indices, minlength=self.wiring.shape[1])

    def runs(self, cut: Slice, sources: IntArray | None = None) -> Runs:
        """Run-length entries of every source neuron, or of those given, in a box of targets.

        The synapses are listed once; the function counts them for any reach and size of an entry.
        """
        if (fields := self.fields) is not None:
            chosen = slice(None) if sources is None else sources
            return lambda reach, most: np.asarray(fields.entries(cut.ranges, reach, most)[chosen])
        axons, targets = self._listed(cut, sources)
        line = cut.ranges[-1][1] - cut.ranges[-1][0]
        places = targets if len(cut.ranges) == 1 else targets + targets // line * FAR
        count = self.wiring.shape[1] if sources is None else sources.size
        return lambda reach, most: entries(axons, places, reach, most, count)

    def _targets(self, cut: Slice) -> slice | IntArray:
        return cut.index[0] if len(cut.ranges) == 1 else cut.neurons(self.shape)

    def _listed(self, cut: Slice, sources: IntArray | None) -> tuple[IntArray, IntArray]:
        """All synapses of a box as (source, target), numbered within what is asked for; ascending."""
        targets = self._targets(cut)
        if isinstance(self.wiring, Dense):
            block = self.wiring.values[targets]
            chosen = np.ascontiguousarray((block if sources is None else block[:, sources]).T)
            axons, places = np.divmod(np.flatnonzero(chosen != 0), cut.size)
            return axons, places
        rows = self.rows if cut.size == self.wiring.shape[0] else self.rows[targets]
        if sources is not None:
            return _of_columns(rows, sources)
        columns = rows.tocsc()
        columns.sort_indices()
        return np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr)), columns.indices.astype(
            np.int64
        )


def _of_columns(rows: "scipy.sparse.csr_array", columns: IntArray) -> tuple[IntArray, IntArray]:
    """What stands in a few columns, as (number of the column, row); ascending."""
    number = np.full(rows.shape[1], -1)
    number[columns] = np.arange(columns.size)
    places = np.flatnonzero((number >= 0)[rows.indices])
    axons, targets = number[rows.indices[places]], np.searchsorted(rows.indptr, places, side="right") - 1
    order = np.lexsort((targets, axons))
    return axons[order], targets[order].astype(np.int64)
