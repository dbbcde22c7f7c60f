"""partition: cut the populations into ranges of neurons that a core can hold, and assign them to cores.

A neuron's whole fan-in lies on one core. A range loads its core with

    compartments          its neurons
    synaptic_memory_bits  the synapses that end in it (`astrodeploy/synapses.py`)
    input_axons           source neurons with at least one stored synapse in it, per connection
    output_axons          ranges that each of its neurons sends to, per connection
    memory_bits           synapses and neurons together, where the chip limits that

How many ranges a neuron sends to follows from how its targets were cut: the network is packed anew,
with the fan-outs that were found, until every core is legal. Fan-outs never shrink on the way, so
that this ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Graph, Population
from astrodeploy.ir.nodes import IntArray
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Core, Note, Slice
from astrodeploy.synapses import Stored, neuron_bits, store

Loads = dict[str, int]
Fanouts = Mapping[str, IntArray]  # population -> output axons of each of its neurons


@dataclass(frozen=True)
class Partition:
    """Use as few cores as first-fit finds: whole ranges first, cut to the last gap where cores run out."""

    name = "partition"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its cores. Raises DoesNotFit with every number."""
        network = _Network(draft.graph, draft.chip)
        fanouts: Fanouts = {p.name: np.zeros(p.size, np.int64) for p in draft.graph.populations}
        while True:
            bins = _pack_to_fit(network, fanouts)
            found = network.fanouts(bins)
            cores = tuple(_core(network, i, each.slices, found) for i, each in enumerate(bins))
            if all(core.loads["output_axons"] <= core.limits["output_axons"] for core in cores):
                return replace(draft, cores=cores), (*_stored_notes(network), *_cut_notes(draft.graph, cores))
            fanouts = {name: np.maximum(fanouts[name], found[name]) for name in found}


class _Network:
    """The network as loads: what any range of any population asks of a core."""

    def __init__(self, graph: Graph, chip: Chip) -> None:
        self.graph, self.chip = graph, chip
        self.populations = _in_order(graph)
        self.stored = [store(c, chip) for c in graph.connections]
        self.neuron_bits = {p.name: neuron_bits(p) for p in self.populations}

    def into(self, name: str) -> Iterator[Stored]:
        return (each for each in self.stored if each.connection.target == name)

    def loads(self, cut: Slice, fanouts: Fanouts) -> Loads:
        """What a range of neurons asks of its core."""
        neurons = cut.stop - cut.start
        synapses = [(each, each.synapses(cut.start, cut.stop)) for each in self.into(cut.population)]
        memory = sum(each.bits(counts) for each, counts in synapses)
        return {
            "compartments": neurons,
            "synaptic_memory_bits": memory,
            "input_axons": sum(int(np.count_nonzero(counts)) for _, counts in synapses),
            "output_axons": int(fanouts[cut.population][cut.start : cut.stop].sum()),
            "memory_bits": memory + neurons * self.neuron_bits[cut.population],
        }

    def fanouts(self, bins: "list[_Bin]") -> Fanouts:
        """Ranges that every neuron sends to, summed over its connections."""
        found = {p.name: np.zeros(p.size, np.int64) for p in self.graph.populations}
        for cut in (cut for each in bins for cut in each.slices):
            for each in self.into(cut.population):
                found[each.connection.source] += each.synapses(cut.start, cut.stop) > 0
        return found


def _in_order(graph: Graph) -> tuple[Population, ...]:
    """Populations as they are placed: an astrocyte right after the last of those that it modulates."""
    neurons = [p for p in graph.populations if not p.is_input]
    rank = {p.name: i for i, p in enumerate(neurons)}

    def place(population: Population) -> tuple[int, bool]:
        served = [rank[c.target] for c in graph.out_of(population.name)] if population.is_astrocyte else []
        return max(served, default=rank[population.name]), population.is_astrocyte

    return tuple(sorted(neurons, key=place))


class _Bin:
    """A core while it is filled."""

    def __init__(self, chip: Chip) -> None:
        self.slices: list[Slice] = []
        self.limits = chip.core_limits
        self.loads = dict.fromkeys(self.limits, 0)

    def holds(self, loads: Loads) -> bool:
        return all(self.loads[k] + loads[k] <= limit for k, limit in self.limits.items())

    def add(self, cut: Slice, loads: Loads) -> None:
        self.slices.append(cut)
        self.loads = {k: self.loads[k] + loads[k] for k in self.limits}


@dataclass
class _Packing:
    """One packing: `gaps` also cuts ranges to fill cores that are open already."""

    network: _Network
    fanouts: Fanouts
    gaps: bool

    def pack(self) -> list[_Bin]:
        self.bins: list[_Bin] = []
        for population in self.network.populations:
            start = 0
            while start < population.size:
                start = self._place(population, start)
        return self.bins

    def _place(self, population: Population, start: int) -> int:
        """Place neurons from start on, as many as fit together; returns where to go on."""
        rest = Slice(population.name, start, population.size)
        loads = self.network.loads(rest, self.fanouts)
        home = next((b for b in self._candidates(population) if b.holds(loads)), None)
        if home is None and self.gaps:
            home = next((b for b in self.bins if self._largest(b, rest) > start), None)
        if home is None:
            home = _Bin(self.network.chip)
            self.bins.append(home)
        cut = replace(rest, stop=self._largest(home, rest))
        if cut.stop == start:
            raise _too_large(self.network, cut, self.fanouts)
        home.add(cut, self.network.loads(cut, self.fanouts))
        return cut.stop

    def _candidates(self, population: Population) -> list[_Bin]:
        """Open cores, those first that hold what an astrocyte serves."""
        if not population.is_astrocyte:
            return self.bins
        served = {c.target for c in self.network.graph.out_of(population.name)}
        return sorted(self.bins, key=lambda b: not any(s.population in served for s in b.slices))

    def _largest(self, home: _Bin, rest: Slice) -> int:
        """The last stop with which a range from rest.start on fits: bisection, as loads only grow."""
        low, high = rest.start, rest.stop
        while low < high:
            middle = (low + high + 1) // 2
            if home.holds(self.network.loads(replace(rest, stop=middle), self.fanouts)):
                low = middle
            else:
                high = middle - 1
        return low


def _pack_to_fit(network: _Network, fanouts: Fanouts) -> list[_Bin]:
    available = network.chip.limits.cores.value
    bins = _Packing(network, fanouts, gaps=False).pack()
    if len(bins) > available:
        bins = _Packing(network, fanouts, gaps=True).pack()
    if len(bins) > available:
        raise _too_many(network, bins)
    return bins


def _core(network: _Network, index: int, slices: list[Slice], fanouts: Fanouts) -> Core:
    parts = [network.loads(cut, fanouts) for cut in slices]
    limits = network.chip.core_limits
    return Core(index, tuple(slices), {k: sum(part[k] for part in parts) for k in limits}, limits)


def _too_large(network: _Network, cut: Slice, fanouts: Fanouts) -> DoesNotFit:
    loads = network.loads(replace(cut, stop=cut.start + 1), fanouts)
    limits = network.chip.core_limits
    over = ", ".join(f"{k} {loads[k]} of {limit}" for k, limit in limits.items() if loads[k] > limit)
    within = ", ".join(f"{k} {loads[k]} of {limit}" for k, limit in limits.items() if loads[k] <= limit)
    return DoesNotFit(
        f"neuron {cut.start} of {cut.population} alone does not fit a core of {network.chip.name}: it needs "
        f"{over} (within the limits: {within or 'nothing'}); give it fewer inputs or fewer targets, or choose a "
        "larger chip"
    )


def _too_many(network: _Network, bins: list[_Bin]) -> DoesNotFit:
    chip = network.chip
    totals = {k: sum(b.loads[k] for b in bins) for k in chip.core_limits}
    numbers = ", ".join(f"{k} {totals[k]} of {limit} a core" for k, limit in chip.core_limits.items())
    return DoesNotFit(
        f"the network needs {len(bins)} cores, {chip.name} has {chip.limits.cores.value}: in all it needs "
        f"{numbers}; use fewer neurons or synapses, or a larger chip"
    )


def _stored_notes(network: _Network) -> Iterator[Note]:
    for each in network.stored:
        yield Note(
            each.connection.name,
            f"stored {each.encoding}: on one core dense would take {each.dense} bits, sparse {each.sparse}",
            {"dense_bits": each.dense, "sparse_bits": each.sparse},
        )


def _cut_notes(graph: Graph, cores: tuple[Core, ...]) -> Iterator[Note]:
    for population in graph.populations:
        where = [(c.index, s) for c in cores for s in c.slices if s.population == population.name]
        if len(where) > 1:
            ranges = ", ".join(f"{s.start}..{s.stop - 1} on core {index}" for index, s in where)
            yield Note(population.name, f"cut into {len(where)} ranges: {ranges}", {"ranges": len(where)})
    yield Note("network", f"uses {len(cores)} core{'s' * (len(cores) != 1)}", {"cores": len(cores)})
