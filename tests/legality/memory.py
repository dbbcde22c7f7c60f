"""How many bits the synapses of one box of neurons take in a core's memory, list by list.

Every source neuron's synapses in the box are one list, an axon's; of a convolution whose filters are shared,
every input channel's. A list is made of entries of a header and some synapses, and ends with a whole word. Where
the chip's file has several accounts of an entry, the dearest counts.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
from legality.folder import Connection, Folder, Synapses, number, output_shape

Box = list[list[int]]  # start and stop along every dimension


# ---- one list ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """One way to lay synapses out: what an entry begins with, how many it holds, which skips it knows."""

    header: int
    dense_index: int
    most: int
    skips: range


class Memory:
    """The chip's numbers about synapses, and what a list of them takes."""

    def __init__(self, chip: dict[str, Any]) -> None:
        synapses = {k: number(v) for k, v in chip["synapses"].items() if k != "formulas"}
        self.word, self.index, self.axon = (
            synapses[k] for k in ("word_bits", "index_bits", "convolution_axon_bits")
        )
        self.weight, self.delay = number(chip["widths"]["weight_bits"]), synapses["delay_bits"]
        self.accounts = [_account(each) for each in chip["synapses"]["formulas"].values()]
        self.run_length = [a for a in self.accounts if a.skips]
        known = [set(a.skips) for a in self.run_length]
        self.skips = sorted(set.intersection(*known)) if known else []

    def words_of(self, bits: int) -> int:
        """Bits in whole words."""
        return ceil(bits / self.word) * self.word

    def dense(self, synapses: int, delayed: bool) -> int:
        """Neighbouring neurons: an entry says at most where its first synapse is."""
        each = synapses * (self.weight + delayed * self.delay)
        heads = (ceil(synapses / a.most) * (a.header + a.dense_index) for a in self.accounts)
        return max(self.words_of(head + each) for head in heads)

    def sparse(self, synapses: int, delayed: bool) -> int:
        """Every synapse says which neuron it is for."""
        each = synapses * (self.weight + delayed * self.delay + self.index)
        return max(self.words_of(ceil(synapses / a.most) * a.header + each) for a in self.accounts)

    def run_lengths(self, runs: list[int], skip: int, delayed: bool) -> int:
        """An entry says where its first synapse is; every synapse how many neurons it passes over."""
        each = sum(runs) * (self.weight + delayed * self.delay + skip)
        entries = ((a, sum(ceil(run / a.most) for run in runs)) for a in self.run_length)
        return max(self.words_of(n * (a.header + self.index) + each) for a, n in entries)


def _account(plain: dict[str, Any]) -> Account:
    known = {k: number(v) for k, v in plain.items()}
    least, most = known["least_skip_bits"], known["most_skip_bits"]
    skips = range(0) if least is None else range(least, most + 1)
    return Account(known["entry_header_bits"], known["dense_index_bits"], known["synapses_per_entry"], skips)


def runs(places: list[int], line: int, skip: int) -> list[int]:
    """Synapses in a row, in a list of ascending places.

    A run ends where the next synapse lies in another line of the box, or more neurons on than `skip` bits say.
    """
    found, last = [], None
    for place in places:
        if last is not None and place - last - 1 < 1 << skip and place // line == last // line:
            found[-1] += 1
        else:
            found.append(1)
        last = place
    return found


# ---- a box of targets -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A box of a population: its neurons' numbers, ascending, and how many of them lie in a line."""

    box: Box
    neurons: np.ndarray

    @property
    def line(self) -> int:
        """Neurons along the last dimension; all of them where there is only one."""
        return self.neurons.size if len(self.box) == 1 else self.box[-1][1] - self.box[-1][0]

    @classmethod
    def of(cls, box: Box, shape: tuple[int, ...]) -> "Part":
        """The box of a population of that shape."""
        numbers = np.arange(prod(shape)).reshape(shape)
        return cls(box, numbers[tuple(slice(*each) for each in box)].ravel())


@dataclass(frozen=True)
class Asked:
    """What a connection asks of the core of a box.

    senders   source neurons that need an output axon for it
    words     of the longest list
    synapses  that are stored, and looked at when all sources send; of shared filters each as often as it is used
    """

    bits: int
    input_axons: int
    senders: np.ndarray
    words: int
    synapses: int


@dataclass(frozen=True)
class Encoding:
    """How a connection lies in memory: dense, sparse, runlength (with the width of a skip) or convolution."""

    name: str
    skip: int = 0


def asked(
    memory: Memory, connection: Connection, stored: Encoding, sources: int, inside: Synapses, part: Part
) -> Asked:
    """Memory and axons of a part of the targets, of which `inside` are the synapses, from so many `sources`."""
    delayed, pixels = connection.delay > 1, 0
    if stored.name == "convolution":
        pixels = np.unique(inside.source % prod(connection.settings["input_shape"][1:])).size
        senders, synapses = np.unique(inside.source), inside.source.size
        lists = [memory.dense(n, delayed) for n in _filters(connection, part.box).values()]
    elif stored.name == "dense":
        senders, synapses = np.arange(sources), sources * part.neurons.size
        lists = [memory.dense(part.neurons.size, delayed)] * sources
    else:
        by_source = _by_source(inside, part)
        senders, synapses = np.array(sorted(by_source), np.int64), sum(map(len, by_source.values()))
        if stored.name == "sparse":
            lists = [memory.sparse(len(each), delayed) for each in by_source.values()]
        else:
            found = (runs(each, part.line, stored.skip) for each in by_source.values())
            lists = [memory.run_lengths(each, stored.skip, delayed) for each in found]
    bits = sum(lists) + memory.words_of(pixels * (memory.axon or 0))
    return Asked(bits, pixels or senders.size, senders, max(lists, default=0) // memory.word, synapses)


def _by_source(inside: Synapses, part: Part) -> dict[int, list[int]]:
    """The places of every source neuron's synapses whose weight is not 0, ascending."""
    found = defaultdict(list)
    kept = inside.where(inside.weight != 0)
    places = np.searchsorted(part.neurons, kept.target)
    for place, source in zip(places.tolist(), kept.source.tolist(), strict=True):
        found[source].append(place)
    return {source: sorted(each) for source, each in found.items()}


def _filters(connection: Connection, box: Box) -> Counter[int]:
    """Weights of the filters of the box's output channels, by the input channel that they read."""
    outputs, read, *kernel = connection.values.shape
    lengths: Counter[int] = Counter()
    for channel in range(*box[0]):
        first = channel // (outputs // connection.settings["groups"]) * read
        lengths.update({first + i: prod(kernel) for i in range(read)})
    return lengths


# ---- which encoding ----------------------------------------------------------------------------------


def possible(memory: Memory, connection: Connection, target: tuple[int, ...]) -> list[Encoding]:
    """The encodings that the chip has for a connection; of equally good ones the first is meant."""
    found = [Encoding("sparse"), *(Encoding("runlength", skip) for skip in memory.skips)]
    if (
        connection.pattern == "Conv"
        and memory.axon is not None
        and output_shape(connection.settings, connection.values.shape) == target
    ):
        found.append(Encoding("convolution"))
    return [*found, Encoding("dense")]


def stored(folder: Folder, memory: Memory, connection: Connection) -> Encoding:
    """The encoding that the compiler says, else the one with fewest bits if all of it lay on one core.

    Dense only where a core has an axon for every source. Raises ValueError where the chip has no such encoding for it.
    """
    said = folder.encodings.get(connection.name)
    source, target = (folder.network.populations[n] for n in (connection.source, connection.target))
    open_to_it = [each for each in possible(memory, connection, target.shape) if said in (None, each.name)]
    if not open_to_it:
        raise ValueError(f"{connection.name} is stored {said}, which {folder.chip['name']} has not for it")
    if len(open_to_it) == 1:
        return open_to_it[0]
    if said is None and source.size > folder.limit("input_axons_per_core"):
        open_to_it = [each for each in open_to_it if each.name != "dense"]
    whole = Part.of([[0, n] for n in target.shape], target.shape)
    bits = lambda each: asked(memory, connection, each, source.size, connection.synapses, whole).bits
    return min(open_to_it, key=bits)
