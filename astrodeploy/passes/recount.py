"""What lies on every core, counted anew from the weights, synapse by synapse: what `check` trusts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from astrodeploy.chip import Chip
from astrodeploy.ir import Connection, Graph, Population
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.wiring import Conv
from astrodeploy.program import Core, Slice
from astrodeploy.synapses import (
    Encoding,
    dense_bits,
    neuron_bits,
    pixel_bits,
    sparse_bits,
    store,
)

Counts = list[Counter[str]]  # loads of each core, in the order of the cores


def recount(graph: Graph, chip: Chip, cores: Sequence[Core]) -> Counts:
    """The loads of every core."""
    loads: Counts = [Counter() for _ in cores]
    homes = {p.name: _homes(p, cores) for p in graph.populations}
    for core, each in zip(cores, loads, strict=True):
        for cut in core.slices:
            each["compartments"] += cut.size
            each["memory_bits"] += cut.size * neuron_bits(graph[cut.population])
    for connection in graph.connections:
        _count(loads, graph, chip, cores, connection, homes[connection.source])
    return loads


def _homes(population: Population, cores: Sequence[Core]) -> list[IntArray]:
    """The neurons of a population on each core."""
    shape = population.shape
    return [
        np.concatenate(
            [
                np.zeros(0, np.int64),
                *(s.neurons(shape) for s in core.slices if s.population == population.name),
            ]
        )
        for core in cores
    ]


def _count(
    loads: Counts,
    graph: Graph,
    chip: Chip,
    cores: Sequence[Core],
    connection: Connection,
    homes: list[IntArray],
) -> None:
    """Add what one connection asks of the cores of its targets and of its sources."""
    target = graph[connection.target]
    encoding = store(connection, target.shape, chip).encoding
    rows = _stored_rows(connection, encoding)
    for core, mine in zip(cores, loads, strict=True):
        for cut in (s for s in core.slices if s.population == target.name):
            kept = _kept(connection, encoding, rows, cut, target.shape)
            bits, axons = _asked(connection, encoding, cut, kept, chip)
            mine["synaptic_memory_bits"] += bits
            mine["memory_bits"] += bits
            mine["input_axons"] += axons
            for senders, theirs in zip(homes, loads, strict=True):
                theirs["output_axons"] += int(np.count_nonzero(kept[senders]))


def _stored_rows(connection: Connection, encoding: Encoding) -> "scipy.sparse.csr_array | None":
    """Synapses that are stored, by target; None where every pair has one."""
    if encoding == "dense":
        return None
    rows = connection.wiring.sparse
    if encoding == "sparse":
        rows = rows.copy()
        rows.eliminate_zeros()
    return rows


def _kept(
    connection: Connection,
    encoding: Encoding,
    rows: "scipy.sparse.csr_array | None",
    cut: Slice,
    shape: tuple[int, ...],
) -> IntArray:
    """Stored synapses of every source neuron that end in a box, counted one by one."""
    sources = connection.wiring.shape[1]
    if rows is None:
        return np.full(sources, cut.size)
    neurons = cut.neurons(shape)
    parts = [np.zeros(0, np.int32)]
    parts += [rows.indices[rows.indptr[n] : rows.indptr[n + 1]] for n in neurons.tolist()]
    return np.bincount(np.concatenate(parts), minlength=sources)


def _asked(
    connection: Connection, encoding: Encoding, cut: Slice, kept: IntArray, chip: Chip
) -> tuple[int, int]:
    """Memory bits and input axons of one box."""
    wiring, delay = connection.wiring, connection.delay
    if encoding == "convolution":
        assert isinstance(wiring, Conv), connection.name
        pixels = np.unique(np.flatnonzero(kept) % int(np.prod(wiring.input_shape[1:]))).size
        filters = int(dense_bits(_lists(wiring, cut), delay, chip).sum())
        return filters + pixel_bits(pixels, chip), pixels
    rule = dense_bits if encoding == "dense" else sparse_bits
    return int(rule(kept, delay, chip).sum()), int(np.count_nonzero(kept))


def _lists(conv: Conv, cut: Slice) -> Array:
    """Weights of the filters of a box's output channels, by the input channel that they read."""
    outputs, inputs = conv.values.shape[:2]
    lists = np.zeros(conv.input_shape[0], np.int64)
    for channel in range(*cut.ranges[0]):
        first = channel // (outputs // conv.groups) * inputs
        lists[first : first + inputs] += conv.values[channel, 0].size
    return lists
