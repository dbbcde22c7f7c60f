"""How many bits an axon's synapses take: the chip's formulas, of which the dearest counts.

An axon is a way into one core. Its synapses are stored as entries of a header and up to `synapses_per_entry`
synapses; n of them take

    dense       entries * (header + dense index) + n * (weight + delay)    every neuron of the box, zeros too
    sparse      entries * header + n * (weight + delay + index)            only where the weight is not 0
    run-length  entries * (header + index) + n * (weight + delay + skip)   the same; a skip says how many neurons
                                                                           lie between a synapse and the last one

rounded up to whole words; nothing without synapses. The delay takes bits only where it is longer than the one
step that every message takes. Sizes of headers and entries are the chip's `synapses.formulas`, one for every
published account (NxTF's and nengo-loihi's, for Loihi 1).

A run-length entry begins with the index of its first neuron. A gap that the skip can't hold begins a new entry,
and in a population of several dimensions so does every line along its last one: so a box's synapses never take
fewer bits than those of a part of it.

    convolution  the filters of the box's output channels, once: a dense list for each input channel, of
                 (output channels fed) * (cells of the kernel) synapses; and `convolution_axon_bits` for each
                 input axon, rounded up to whole words

Here an input axon is a pixel, not a neuron: as in NxTF's shared-weight convolution a population axon carries
all channels of a pixel, and the message says which; the axon's own bits say where the pixel lies among the
filters and the neurons. A message still leaves its neuron through an output axon of its own. The formula is
derived from NxTF's account of lists and population axons; no source prints it.
"""

from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np
import numpy.typing as npt

from astrodeploy.chip import Chip, Formula
from astrodeploy.ir.arrays import IntArray


def dense_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many neighbouring synapses each, zero weights among them."""
    n = np.asarray(synapses, np.int64)
    each = n * _synapse_bits(delay, chip)
    formulas = chip.synapses.formulas.values()
    return _dearest(chip, (_filled(n, f) * _head(f, f.dense_index_bits.value) + each for f in formulas))


def sparse_bits(synapses: npt.ArrayLike, delay: int, chip: Chip) -> IntArray:
    """Bits of axons with that many synapses each, every one with the index of its neuron."""
    n = np.asarray(synapses, np.int64)
    each = n * (_synapse_bits(delay, chip) + chip.synapses.index_bits.value)
    return _dearest(chip, (_filled(n, f) * _head(f, 0) + each for f in chip.synapses.formulas.values()))


def run_length_bits(
    synapses: npt.ArrayLike, entries: Mapping[str, IntArray], skip_bits: int, delay: int, chip: Chip
) -> IntArray:
    """Bits of axons with that many synapses each in that many entries, by formula."""
    n = np.asarray(synapses, np.int64)
    each, index = n * (_synapse_bits(delay, chip) + skip_bits), chip.synapses.index_bits.value
    known = run_length_formulas(chip)
    return _dearest(chip, (count * _head(known[name], index) + each for name, count in entries.items()))


def run_length_formulas(chip: Chip) -> dict[str, Formula]:
    """The accounts that know run-length entries."""
    return {name: f for name, f in chip.synapses.formulas.items() if f.least_skip_bits is not None}


def skip_widths(chip: Chip) -> range:
    """Widths of a skip that all of these accounts know; none where the chip has no run-length entries."""
    known = run_length_formulas(chip).values()
    least = max((f.least_skip_bits.value for f in known if f.least_skip_bits), default=1)
    most = min((f.most_skip_bits.value for f in known if f.most_skip_bits), default=0)
    return range(least, most + 1)


def least_run_length_bits(synapses: IntArray, delay: int, chip: Chip) -> IntArray:
    """What axons with that many synapses each take at least in run-length entries: without a wide gap."""
    entries = {name: _filled(synapses, f) for name, f in run_length_formulas(chip).items()}
    return run_length_bits(synapses, entries, skip_widths(chip)[0], delay, chip)


def pixel_bits(pixels: int, chip: Chip) -> int:
    """Bits of the input axons of so many pixels, beside the filters of a convolution."""
    each, word = chip.synapses.convolution_axon_bits, chip.synapses.word_bits.value
    assert each is not None, chip.name
    return -(-pixels * each.value // word) * word


def _synapse_bits(delay: int, chip: Chip) -> int:
    return chip.widths.weight_bits.value + (chip.synapses.delay_bits.value if delay > 1 else 0)


def _filled(synapses: IntArray, formula: Formula) -> IntArray:
    """Entries of as many synapses as they hold."""
    return -(-synapses // formula.synapses_per_entry.value)


def _head(formula: Formula, index_bits: int) -> int:
    return formula.entry_header_bits.value + index_bits


def _dearest(chip: Chip, bits: Iterable[IntArray]) -> IntArray:
    """Whole words of the account that asks for most, axon by axon."""
    word = chip.synapses.word_bits.value
    return reduce(np.maximum, (-(-each // word) * word for each in bits))
