"""Boxes into cores: first fit, each population's boxes in order.

A core that is nearly full, or that was opened long ago, is not looked at again: that bounds the time on
boards of thousands of cores.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from astrodeploy.ir import Population
from astrodeploy.mapping.cutting import (
    Cutter,
    FanOut,
    Limits,
    Loads,
    Network,
    beyond,
    first_row,
    fits,
    largest,
)
from astrodeploy.mapping.ways import Way
from astrodeploy.program import Slice

FULL = 0.99  # of a limit: such a core is closed
OPEN = 256  # cores that are open at once


class Bin:
    """A core while it is filled, by its number among those of a packing."""

    def __init__(self, network: Network, limits: Limits, number: int = 0) -> None:
        self.number = number
        self.slices: list[Slice] = []
        self.network = network
        self.limits = limits
        self.loads = {k: 0 for k in limits if k not in network.box_limits}
        self.values: dict[str, frozenset[tuple[int | str, ...]]] = {}

    def left(self) -> Limits:
        """What there still is room for."""
        return {k: limit - self.loads.get(k, 0) for k, limit in self.limits.items()}

    def together(self, cut: Slice) -> dict[str, frozenset[tuple[int | str, ...]]]:
        """The different values that there are with another box."""
        more = self.network.configurations(cut)
        return {name: self.values.get(name, frozenset()) | values for name, values in more.items()}

    def takes(self, cut: Slice, loads: Loads) -> bool:
        """Whether there is room for a box."""
        if not fits(loads, self.left()):
            return False
        values = self.together(cut)
        return self._runs(cut) and all(len(values[name]) <= self.limits[name] for name in values)

    def _runs(self, cut: Slice) -> bool:
        """Whether the neuron programs of all boxes have room together."""
        limit = self.network.chip.limits.program_instructions_per_core
        programs = dict(self.network.program(each.population) for each in (*self.slices, cut))
        return limit is None or sum(programs.values()) <= limit.value

    def add(self, cut: Slice, loads: Loads) -> None:
        """Put a box in."""
        self.values = self.together(cut)
        self.slices.append(cut)
        self.loads = {k: load + loads[k] for k, load in self.loads.items()}

    @property
    def is_full(self) -> bool:
        """Whether nothing much can be put in any more."""
        return any(load >= FULL * self.limits[k] for k, load in self.loads.items())


@dataclass
class Packing:
    """One packing of what was cut: `gaps` also cuts boxes to fill cores that are open already."""

    network: Network
    cutter: Cutter
    gaps: bool = False
    bins: list[Bin] = field(default_factory=list)
    open: list[Bin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._room = np.zeros((OPEN, len(self.cutter.limits)), np.int64)  # of every core, by its number

    def pack(self) -> list[Bin]:
        """All boxes in cores, as many as it takes."""
        for population in self.network.populations:
            boxes = self.cutter.strips if self.gaps else self.cutter.boxes
            for box in boxes[population.name]:
                rest: Slice | None = box
                while rest is not None:
                    rest = self._place(population, rest)
        return self.bins

    def _place(self, population: Population, box: Slice) -> Slice | None:
        """Place a box, or as much of it as fits; returns the rest."""
        loads = self.cutter.loads(box)
        roomy = self._candidates(population, self._roomy(loads))
        home = next((b for b in roomy if b.takes(box, loads)), None)
        cut = box if home else None
        if home is None and self.gaps:
            home, cut = next(self._gaps(box), (None, None))
        if home is None:
            home = self._opened()
            cut = box if fits(loads, home.limits) else largest(box, home.limits, self.cutter.loads)
        if cut is None:
            raise self.cutter.too_large(box)
        home.add(cut, loads if cut is box else self.cutter.loads(cut))
        self._room[home.number] = list(home.left().values())
        if home.is_full:
            self.open.remove(home)
        return beyond(box, cut)

    def _roomy(self, loads: Loads) -> list[Bin]:
        """Open cores with room for loads, all compared at once."""
        room = self._room[[home.number for home in self.open]]
        has_room = np.all(room >= [loads[k] for k in self.cutter.limits], axis=1)
        return [self.open[i] for i in np.flatnonzero(has_room)]

    def _gaps(self, box: Slice) -> Iterator[tuple[Bin, Slice]]:
        """Open cores that have room for a beginning of a box."""
        for home in self._roomy(self.cutter.loads(first_row(box))):
            cut = largest(box, home.left(), self.cutter.loads)
            if cut is not None and home.takes(cut, self.cutter.loads(cut)):
                yield home, cut

    def _opened(self) -> Bin:
        home = Bin(self.network, self.cutter.limits, len(self.bins))
        self.bins.append(home)
        self.open = [*self.open[-OPEN + 1 :], home]
        if home.number == len(self._room):
            self._room = np.concatenate([self._room, np.zeros_like(self._room)])
        return home

    def _candidates(self, population: Population, homes: list[Bin]) -> list[Bin]:
        """Cores, those first that hold what an astrocyte serves."""
        if not population.is_astrocyte:
            return homes
        served = {c.target for c in self.network.graph.out_of(population.name)}
        return sorted(homes, key=lambda b: not any(s.population in served for s in b.slices))


def settled(
    network: Network, available: int, step_ps: int | None = None, known: Mapping[str, Way] | None = None
) -> Cutter:
    """Every population cut with the fan-outs that follow from its targets' cuts.

    Loops are cut anew until nothing changes. Raises DoesNotFit where a neuron is too large for a core.
    """
    cutter = Cutter(network, step_ps, known)
    changed = True
    while changed:
        changed = False
        for population in reversed(network.populations):
            changed |= cutter.cut(population)
        if changed and _sends_too_much(network, cutter, available):
            break
    return cutter


def _sends_too_much(network: Network, cutter: Cutter, available: int) -> bool:
    """Whether all cores together have too few output axons, which loops would take long to find."""
    total = sum(int(cutter.fan_outs[p.name].counts.sum()) for p in network.populations)
    return total > available * network.chip.core_limits["output_axons"]


def plain(network: Network, cutter: Cutter) -> list[Bin]:
    """Boxes as they were cut, first fit."""
    return Packing(network, cutter).pack()


def filled(network: Network, cutter: Cutter) -> list[Bin]:
    """Cores filled to the last gap, with the fan-outs that follow."""
    while True:
        bins = Packing(network, cutter, gaps=True).pack()
        if not cutter.grow(fan_outs(network, bins)):
            return bins


def fan_outs(network: Network, bins: list[Bin]) -> Mapping[str, FanOut]:
    """Boxes that every neuron sends to, summed over its connections."""
    found = network.fan_outs()
    for cut in (cut for each in bins for cut in each.slices):
        for stored in network.into(cut.population):
            found[stored.connection.source].counts.flat[stored.synapses(cut)[0]] += 1
    return found
