"""What lies on every core, counted anew from the weights, synapse by synapse: what `check` trusts."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.formulas import (
    dense_bits,
    pixel_bits,
    run_length_bits,
    run_length_formulas,
    sparse_bits,
)
from astrodeploy.ir import Graph
from astrodeploy.ir.arrays import IntArray
from astrodeploy.ir.wiring import Conv, Dense
from astrodeploy.program import Core, Slice
from astrodeploy.synapses import RunLengthStored, Stored, compartments_of, neuron_bits

PLACE_BITS = 32  # of a number that names a synapse, below those of its source
Counts = list[Counter[str]]  # loads of each core, in the order of the cores
Boxes = Mapping[str, list[tuple[int, Slice]]]  # of every population, with the positions of their cores
Synapses = tuple[
    IntArray, IntArray
]  # source and place of every synapse; places count from a box's first neuron


def recount(graph: Graph, chip: Chip, cores: Sequence[Core], into: Mapping[str, Sequence[Stored]]) -> Counts:
    """The loads of every core, and the words of the largest list of an axon: `words_per_axon`.

    `into` says in which encoding the connections that end in every population are stored.
    """
    loads: Counts = [Counter() for _ in cores]
    boxes: defaultdict[str, list[tuple[int, Slice]]] = defaultdict(list)
    bits = {p.name: neuron_bits(p) for p in graph.populations if not p.is_input}
    room = {p.name: compartments_of(p, chip) for p in graph.populations if not p.is_input}
    for i, core in enumerate(cores):
        for cut in core.slices:
            boxes[cut.population].append((i, cut))
            loads[i]["compartments"] += cut.size * room[cut.population]
            loads[i]["memory_bits"] += cut.size * bits[cut.population]
    for stored in (each for lists in into.values() for each in lists):
        _count(loads, graph, chip, stored, boxes)
    return loads


def _count(loads: Counts, graph: Graph, chip: Chip, stored: Stored, boxes: Boxes) -> None:
    """Add what one connection asks of the cores of its targets and of its sources."""
    connection, source = stored.connection, graph[stored.connection.source]
    sent = np.zeros(source.size, np.int64)  # boxes that every source neuron sends to
    for i, cut in boxes.get(connection.target, ()):
        bits, axons, words, senders = _asked(stored, cut, chip)
        sent[senders] += 1
        loads[i].update(synaptic_memory_bits=bits, memory_bits=bits, input_axons=axons)
        loads[i]["words_per_axon"] = max(loads[i]["words_per_axon"], words)
    for i, cut in boxes.get(source.name, ()):
        loads[i]["output_axons"] += int(sent.reshape(source.shape)[cut.index].sum())


def _asked(stored: Stored, cut: Slice, chip: Chip) -> tuple[int, int, int, IntArray]:
    """Memory bits and input axons of one box, words of its largest list, and who sends to it."""
    if stored.encoding == "convolution":
        return _asked_by_filters(stored, cut, chip)
    sources, delay = stored.connection.wiring.shape[1], stored.connection.delay
    if stored.encoding == "dense":
        senders = np.arange(sources)
        lists = dense_bits(np.full(sources, cut.size), delay, chip)
    else:
        synapses = _listed(stored, cut)
        every = np.bincount(synapses[0], minlength=sources)
        senders = np.flatnonzero(every)
        if isinstance(stored, RunLengthStored):
            lists = _run_length(stored, senders, synapses, cut, chip)
        else:
            lists = sparse_bits(every[senders], delay, chip)
    word = chip.synapses.word_bits.value
    return int(lists.sum()), senders.size, int(lists.max(initial=0)) // word, senders


def _listed(stored: Stored, cut: Slice) -> Synapses:
    """Every synapse of a box whose weight is not 0."""
    wiring, neurons = stored.connection.wiring, cut.neurons(stored.shape)
    if isinstance(wiring, Dense):
        places, sources = np.nonzero(wiring.values[neurons])
        return sources, places
    starts, sources, weights = wiring.rows(neurons)
    places, kept = np.repeat(np.arange(neurons.size), np.diff(starts)), weights != 0
    return sources[kept], places[kept]


def _run_length(
    stored: RunLengthStored, senders: IntArray, synapses: Synapses, cut: Slice, chip: Chip
) -> IntArray:
    """Bits of every sender's list: a synapse that no entry holds any more begins one."""
    both = np.sort(synapses[0].astype(np.int64) << PLACE_BITS | synapses[1])
    sources, places = np.searchsorted(senders, both >> PLACE_BITS), both & ((1 << PLACE_BITS) - 1)
    lines = (
        places // (cut.ranges[-1][1] - cut.ranges[-1][0]) if len(cut.ranges) > 1 else np.zeros_like(places)
    )
    follows = np.zeros(sources.size, np.bool_)
    follows[1:] = (sources[1:] == sources[:-1]) & (lines[1:] == lines[:-1])
    follows[1:] &= places[1:] - places[:-1] - 1 < 1 << stored.skip_bits  # so many neurons it passes over
    number = np.arange(sources.size)
    in_run = number - np.maximum.accumulate(np.where(follows, 0, number))
    entries = {
        name: np.bincount(sources[in_run % each.synapses_per_entry.value == 0], minlength=senders.size)
        for name, each in run_length_formulas(chip).items()
    }
    counts = np.bincount(sources, minlength=senders.size)
    return run_length_bits(counts, entries, stored.skip_bits, stored.connection.delay, chip)


def _asked_by_filters(stored: Stored, cut: Slice, chip: Chip) -> tuple[int, int, int, IntArray]:
    """The same of a convolution whose filters are shared: a list an input channel, an axon a pixel."""
    conv = stored.connection.wiring
    assert isinstance(conv, Conv), stored.connection.name
    pixels = np.flatnonzero(_read(conv, cut))
    lengths = _lengths(conv, cut)
    lists = dense_bits(lengths, stored.connection.delay, chip)
    plane = int(np.prod(conv.input_shape[1:]))
    senders = (np.flatnonzero(lengths)[:, None] * plane + pixels).ravel()
    bits = int(lists.sum()) + pixel_bits(pixels.size, chip)
    return bits, pixels.size, int(lists.max()) // chip.synapses.word_bits.value, senders


def _read(conv: Conv, cut: Slice) -> IntArray:
    """Whether a box reads a pixel, by going through the cells of the kernel: the shape of a plane."""
    read = np.zeros(conv.input_shape[1:], np.bool_)
    for cell in np.ndindex(*conv.values.shape[2:]):
        along = []
        for axis, (start, stop) in enumerate(cut.ranges[1:]):
            shift = cell[axis] * conv.dilation[axis] - conv.padding[axis]
            reads = np.arange(start, stop) * conv.stride[axis] + shift
            along.append(reads[(reads >= 0) & (reads < conv.input_shape[axis + 1])])
        read[np.ix_(*along)] = True
    return np.asarray(read)


def _lengths(conv: Conv, cut: Slice) -> IntArray:
    """Weights of the filters of a box's output channels, by the input channel that they read."""
    outputs, inputs = conv.values.shape[:2]
    lists = np.zeros(conv.input_shape[0], np.int64)
    for channel in range(*cut.ranges[0]):
        first = channel // (outputs // conv.groups) * inputs
        lists[first : first + inputs] += conv.values[channel, 0].size
    return lists
