"""partition: cut the populations into boxes of neurons that a core can hold, and assign them to cores.

A neuron's whole fan-in lies on one core. A box loads its core with

    compartments          its neurons
    synaptic_memory_bits  the synapses that end in it (`astrodeploy/synapses.py`)
    input_axons           its axons, per connection: source neurons with a stored synapse in it; of a
                          convolution whose filters are shared, the pixels that it reads
    output_axons          boxes that each of its neurons sends to, per connection
    memory_bits           synapses and neurons together, where the chip limits that

How many boxes a neuron sends to follows from how its targets were cut, so the last population is cut
first (`passes/cutting.py`). Loops are cut anew, with the fan-outs that were found, until nothing
changes; fan-outs never shrink on the way, so that this ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Graph, Population
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.cutting import Cutter, FanOut, Limits, Loads, Network, beyond, fits, largest
from astrodeploy.program import Core, Note, Slice

FanOuts = Mapping[str, FanOut]


@dataclass(frozen=True)
class Partition:
    """Use as few cores as first-fit finds: whole boxes first, cut to the last gap where cores run out."""

    name = "partition"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its cores. Raises DoesNotFit with every number."""
        network = Network(draft.graph, draft.chip)
        cutter = _settled(network)
        bins = _Packing(network, cutter).pack()
        if len(bins) > draft.chip.limits.cores.value:
            bins = _filled(network, cutter)
        found = _fan_outs(network, bins)
        cores = tuple(_core(network, i, each.slices, found) for i, each in enumerate(bins))
        return replace(draft, cores=cores), (*_stored_notes(network), *_cut_notes(draft.graph, cores))


def _settled(network: Network) -> Cutter:
    """Every population cut with the fan-outs that follow from its targets' cuts."""
    cutter = Cutter(network)
    changed = True
    while changed:
        changed = False
        for population in reversed(network.populations):
            changed |= cutter.cut(population)
        if changed and _sends_too_much(network, cutter):
            raise _too_many(network, _Packing(network, cutter).pack())
    return cutter


def _sends_too_much(network: Network, cutter: Cutter) -> bool:
    """Whether all cores together have too few output axons, which loops would take long to find."""
    total = sum(int(cutter.fan_outs[p.name].counts.sum()) for p in network.populations)
    return total > network.chip.limits.cores.value * network.chip.core_limits["output_axons"]


def _filled(network: Network, cutter: Cutter) -> "list[_Bin]":
    """Cores filled to the last gap. Raises DoesNotFit where even so there are too few."""
    available = network.chip.limits.cores.value
    while True:
        bins = _Packing(network, cutter, gaps=True).pack()
        if len(bins) > available:
            raise _too_many(network, bins)
        found = _fan_outs(network, bins)
        if not cutter.grow(found):
            return bins


def _fan_outs(network: Network, bins: "list[_Bin]") -> FanOuts:
    """Boxes that every neuron sends to, summed over its connections."""
    counts = {p.name: np.zeros(p.shape, np.int64) for p in network.graph.populations}
    for cut in (cut for each in bins for cut in each.slices):
        for stored in network.into(cut.population):
            counts[stored.connection.source].flat[stored.synapses(cut)[0]] += 1
    return {name: FanOut(each) for name, each in counts.items()}


class _Bin:
    """A core while it is filled."""

    def __init__(self, limits: Limits) -> None:
        self.slices: list[Slice] = []
        self.limits = limits
        self.loads = dict.fromkeys(limits, 0)

    def left(self) -> Limits:
        return {k: limit - self.loads[k] for k, limit in self.limits.items()}

    def add(self, cut: Slice, loads: Loads) -> None:
        self.slices.append(cut)
        self.loads = {k: self.loads[k] + loads[k] for k in self.limits}


@dataclass
class _Packing:
    """One packing of what was cut: `gaps` also cuts boxes to fill cores that are open already."""

    network: Network
    cutter: Cutter
    gaps: bool = False

    def pack(self) -> list[_Bin]:
        self.bins: list[_Bin] = []
        for population in self.network.populations:
            boxes = self.cutter.strips if self.gaps else self.cutter.boxes
            for box in boxes[population.name]:
                rest: Slice | None = box
                while rest is not None:
                    rest = self._place(population, rest)
        return self.bins

    def _place(self, population: Population, box: Slice) -> Slice | None:
        """Place a box, or as much of it as fits; returns the rest."""
        loads = self._loads(box)
        home = next((b for b in self._candidates(population) if fits(loads, b.left())), None)
        cut = box if home else None
        if home is None and self.gaps:
            parts = ((b, largest(box, b.left(), self._loads)) for b in self.bins)
            home, cut = next((found for found in parts if found[1] is not None), (None, None))
        if home is None:
            home = _Bin(self.network.chip.core_limits)
            cut = largest(box, home.limits, self._loads)
            self.bins.append(home)
        if cut is None:
            raise self.cutter.too_large(box)
        home.add(cut, self._loads(cut))
        return beyond(box, cut)

    def _loads(self, cut: Slice) -> Loads:
        return self.network.loads(cut, self.cutter.fan_outs[cut.population])

    def _candidates(self, population: Population) -> list[_Bin]:
        """Open cores, those first that hold what an astrocyte serves."""
        if not population.is_astrocyte:
            return self.bins
        served = {c.target for c in self.network.graph.out_of(population.name)}
        return sorted(self.bins, key=lambda b: not any(s.population in served for s in b.slices))


def _core(network: Network, index: int, slices: list[Slice], fan_outs: FanOuts) -> Core:
    parts = [network.loads(cut, fan_outs[cut.population]) for cut in slices]
    limits = network.chip.core_limits
    return Core(index, tuple(slices), {k: sum(part[k] for part in parts) for k in limits}, limits)


def _too_many(network: Network, bins: list[_Bin]) -> DoesNotFit:
    chip: Chip = network.chip
    totals = {k: sum(b.loads[k] for b in bins) for k in chip.core_limits}
    numbers = ", ".join(f"{k} {totals[k]} of {limit} a core" for k, limit in chip.core_limits.items())
    return DoesNotFit(
        f"the network needs {len(bins)} cores, {chip.name} has {chip.limits.cores.value}: in all it needs "
        f"{numbers}; use fewer neurons or synapses, or a larger chip"
    )


def _stored_notes(network: Network) -> Iterator[Note]:
    for each in network.stored:
        costs = list(each.costs.items())
        told = f"{costs[0][0]} would take {costs[0][1]} bits, " + ", ".join(f"{k} {v}" for k, v in costs[1:])
        yield Note(
            each.connection.name,
            f"stored {each.encoding}: on one core {told}",
            {f"{name}_bits": bits for name, bits in costs},
        )


def _cut_notes(graph: Graph, cores: tuple[Core, ...]) -> Iterator[Note]:
    for population in graph.populations:
        where = [(c.index, s) for c in cores for s in c.slices if s.population == population.name]
        if len(where) > 1:
            form, what = ("{}", "ranges") if len(population.shape) == 1 else ("[{}]", "boxes")
            told = ", ".join(f"{form.format(s.ranges_text)} on core {index}" for index, s in where)
            yield Note(population.name, f"cut into {len(where)} {what}: {told}", {"ranges": len(where)})
    yield Note("network", f"uses {len(cores)} core{'s' * (len(cores) != 1)}", {"cores": len(cores)})
