"""How a connection's weights lie in a core's memory: which synapses are stored, and in how many bits.

An axon is one source neuron's way into one core. Its synapses are stored as entries of a header and
up to `synapses_per_entry` synapses, and every axon begins with a new memory word:

    dense    entries * (header + index) + n * (weight + delay)    every neuron of the range, zeros too
    sparse   entries * header + n * (weight + delay + index)      only where the weight is not 0

rounded up to whole words; nothing for an axon without synapses. The delay takes bits only where it is
longer than the one step that every message takes. Source: NxTF `optimization.py` (Loihi 1).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from astrodeploy.chip import Chip
from astrodeploy.ir import Compartments, Connection, Population
from astrodeploy.ir.nodes import IntArray

Encoding = Literal["dense", "sparse"]


def _whole_words(bits: IntArray, chip: Chip) -> IntArray:
    word = chip.synapses.word_bits.value
    return -(-bits // word) * word


def _entries(synapses: IntArray, chip: Chip) -> IntArray:
    return -(-synapses // chip.synapses.synapses_per_entry.value)


def _synapse_bits(delay: int, chip: Chip) -> int:
    return chip.widths.weight_bits.value + (chip.synapses.delay_bits.value if delay > 1 else 0)


def dense_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many neighbouring synapses each, zero weights among them."""
    n = np.asarray(synapses, np.int64)
    head = chip.synapses.entry_header_bits.value + chip.synapses.index_bits.value
    return _whole_words(_entries(n, chip) * head + n * _synapse_bits(delay, chip), chip)


def sparse_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many synapses each, every one with the index of its neuron."""
    n = np.asarray(synapses, np.int64)
    each = _synapse_bits(delay, chip) + chip.synapses.index_bits.value
    return _whole_words(_entries(n, chip) * chip.synapses.entry_header_bits.value + n * each, chip)


@dataclass(frozen=True, eq=False)
class Stored:
    """A connection in the encoding that takes fewer bits, and what either would take on one core."""

    connection: Connection
    encoding: Encoding
    dense: int
    sparse: int
    chip: Chip

    def synapses(self, start: int, stop: int) -> IntArray:
        """Synapses that each source neuron's axon stores for the target neurons start..stop."""
        sources = self.connection.wiring.shape[1]
        if self.encoding == "dense":
            return np.full(sources, stop - start, np.int64)
        rows = self.connection.wiring.sparse[start:stop]
        return np.bincount(rows.indices[rows.data != 0], minlength=sources).astype(np.int64)

    def bits(self, synapses: IntArray) -> int:
        """Memory of axons with that many synapses each."""
        rule = dense_bits if self.encoding == "dense" else sparse_bits
        return int(rule(synapses, self.connection.delay, self.chip).sum())


def store(connection: Connection, chip: Chip) -> Stored:
    """Choose the cheaper encoding of a connection; sparse, which has fewer operations, where both take the same."""
    targets, sources = connection.wiring.shape
    dense = sources * int(dense_bits(targets, connection.delay, chip))
    rows = connection.wiring.sparse
    used = np.bincount(rows.indices[rows.data != 0], minlength=sources)
    sparse = int(sparse_bits(used, connection.delay, chip).sum())
    return Stored(connection, "sparse" if sparse <= dense else "dense", dense, sparse, chip)


def neuron_bits(population: Population) -> int:
    """Memory of one neuron: its states, and the parameters that differ from neuron to neuron."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    own = [name for name, values in node.parameters.items() if values.min() != values.max()]
    return node.kind.state_bits + sum(node.kind.parameters[name].bits for name in own)
