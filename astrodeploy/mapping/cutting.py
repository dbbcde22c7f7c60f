"""Cutting a population into boxes that each fit a core, and what any box asks of its core.

A population of one dimension is cut into ranges. One of several, (channels, rows, columns), is cut by
rows, so that a core reads few pixels: into strips of equal numbers of columns and channels, and each
strip into as many rows as fit. Of the ways to choose strips, the cheapest is taken: a box counts as one
core, and the output axons that its sources need for it as the part of a core that they fill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from math import inf, prod

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.legality.configurations import Configurations, configurations, instructions
from astrodeploy.mapping.sums import Sums
from astrodeploy.mapping.traffic import Traffic
from astrodeploy.mapping.ways import Way, strips_of, ways_of
from astrodeploy.mapping.work import Work
from astrodeploy.program import Slice
from astrodeploy.synapses import Stored, compartments_of, neuron_bits, store

GOOD_ENOUGH = 1.05  # times the cores that no way of cutting can do without: the search ends there
GUESSES = 6  # of how many rows fit a core
WORDS = "words_per_axon"
Loads = Mapping[str, int]
Limits = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class FanOut:
    """Output axons of every neuron of a population, and how often it sends (both of its shape)."""

    counts: IntArray
    rates: FloatArray

    @cached_property
    def _axons(self) -> Sums:
        return Sums(self.counts)

    @cached_property
    def _rate(self) -> float | None:
        """The rate of all neurons, where they have one."""
        return None if any(self.rates.strides) or not self.rates.size else float(self.rates.flat[0])

    @cached_property
    def _messages(self) -> Sums:
        return Sums(self.counts * self.rates)

    def axons(self, cut: Slice) -> int:
        """Output axons of a box."""
        return self.sends(cut)[0]

    def messages(self, cut: Slice) -> float:
        """Messages that a box sends in a step."""
        return self.sends(cut)[1]

    def sends(self, cut: Slice) -> tuple[int, float]:
        """Output axons of a box, and the messages that it sends in a step."""
        axons = self._axons.within(cut)
        return round(axons), self._messages.within(cut) if self._rate is None else self._rate * axons


class Network:
    """The network as loads: what any box of any population asks of a core, with the traffic that it has."""

    def __init__(self, graph: Graph, chip: Chip, traffic: Traffic) -> None:
        self.graph, self.chip = graph, chip
        self.populations = _in_order(graph)
        self.stored = [store(c, graph[c.target].shape, chip) for c in graph.connections]
        self._into = {
            p.name: [s for s in self.stored if s.connection.target == p.name] for p in graph.populations
        }
        self._programs: dict[str, tuple[str, int]] = {}
        self._alike: dict[str, Configurations | None] = {}
        self._neuron_bits = {p.name: neuron_bits(p) for p in self.populations}
        self._compartments = {p.name: compartments_of(p, chip) for p in self.populations}
        self.work = Work(graph, chip, self._into, traffic)

    def into(self, name: str) -> list[Stored]:
        """What ends in a population."""
        return self._into[name]

    def rates(self, population: Population) -> FloatArray:
        """How often every neuron sends, in the population's shape."""
        rates = self.work.traffic.rates[population.name]
        if rates.strides == (0,):
            return np.broadcast_to(rates[0], population.shape)
        return rates.reshape(population.shape)

    def fan_outs(self) -> dict[str, FanOut]:
        """Of every population, without any target yet."""
        return {p.name: FanOut(np.zeros(p.shape, np.int64), self.rates(p)) for p in self.graph.populations}

    def loads(self, cut: Slice, fan_out: FanOut, paced: bool = False) -> Loads:
        """What a box asks of its core; `paced` with the time that it takes of a step."""
        neurons = cut.size
        parts = [each.load(cut) for each in self._into[cut.population]]
        memory = sum(part.bits for part in parts)
        axons, messages = fan_out.sends(cut)
        time = self.work.of(cut, messages, parts) if paced else {}
        return {
            "compartments": neurons * self._compartments[cut.population],
            "synaptic_memory_bits": memory,
            "input_axons": sum(part.input_axons for part in parts),
            "output_axons": axons,
            "memory_bits": memory + neurons * self._neuron_bits[cut.population],
            **time,
            WORDS: max((part.words for part in parts), default=0),
            **{name: len(values) for name, values in self.configurations(cut).items()},
        }

    @cached_property
    def box_limits(self) -> dict[str, int]:
        """What a core holds of what its boxes don't add up: the longest list of synapses, and different values."""
        words = self.chip.synapses.words_per_axon
        return self.chip.configuration_limits | ({} if words is None else {WORDS: words.value})

    def configurations(self, cut: Slice) -> Configurations:
        """The different values that a box asks for; the same for all boxes where its neurons are alike."""
        name = cut.population
        if name not in self._alike:
            whole = Slice(name, tuple((0, n) for n in self.graph[name].shape))
            found = self._configurations(whole)
            alike = all(len(values) <= 1 for key, values in found.items() if key != "synapse_formats")
            self._alike[name] = found if alike else None
        known = self._alike[name]
        return self._configurations(cut) if known is None else known

    def program(self, population: str) -> tuple[str, int]:
        """Which neuron program a population runs, and its instructions."""
        if population not in self._programs:
            node = self.graph[population].node
            assert isinstance(node, Compartments), population
            self._programs[population] = node.kind.fingerprint, instructions(node.kind, self.chip)
        return self._programs[population]

    def _configurations(self, cut: Slice) -> Configurations:
        return configurations(self.graph[cut.population], cut, self._into[cut.population], self.chip)


def _in_order(graph: Graph) -> tuple[Population, ...]:
    """Populations as they are placed: an astrocyte right after the last of those that it modulates."""
    neurons = [p for p in graph.populations if not p.is_input]
    rank = {p.name: i for i, p in enumerate(neurons)}

    def place(population: Population) -> tuple[int, bool]:
        served = [rank[c.target] for c in graph.out_of(population.name)] if population.is_astrocyte else []
        return max(served, default=rank[population.name]), population.is_astrocyte

    return tuple(sorted(neurons, key=place))


def fits(loads: Loads, room: Limits) -> bool:
    """Whether every load has room."""
    return all(loads[k] <= limit for k, limit in room.items())


def first_row(box: Slice) -> Slice:
    """The least that a box is cut to."""
    axis = 1 if len(box.ranges) > 1 else 0
    start = box.ranges[axis][0]
    return replace(box, ranges=(*box.ranges[:axis], (start, start + 1), *box.ranges[axis + 1 :]))


def largest(box: Slice, room: Limits, loads: Callable[[Slice], Loads], guess: int = 1) -> Slice | None:
    """The largest beginning of a box that has room, cut by rows; None where not even one row has.

    Loads only grow with the rows, and nearly in proportion: where they fill the room is guessed from what
    has been tried, and bisected where the guesses do not close in.
    """
    axis = 1 if len(box.ranges) > 1 else 0
    start, stop = box.ranges[axis]

    def upto(end: int) -> Slice:
        return replace(box, ranges=(*box.ranges[:axis], (start, end), *box.ranges[axis + 1 :]))

    low, high, below = start, stop + 1, dict.fromkeys(room, 0)  # the last that fits, the first that does not
    end = min(stop, start + guess)
    for tries in count(1):
        tried = loads(upto(end))
        slope = {k: (tried[k] - below[k]) / (end - low) for k in room}
        filled = min(((room[k] - below[k]) / each for k, each in slope.items() if each > 0), default=inf)
        guessed = low + int(min(filled, stop))
        if fits(tried, room):
            low, below = end, {k: tried[k] for k in room}
        else:
            high = end
        if high - low <= 1:
            return upto(low) if low > start else None
        end = min(max(guessed, low + 1), high - 1) if tries < GUESSES else (low + high) // 2
    raise AssertionError("the range closes")


class Cutter:
    """The boxes of every population, and the fan-outs with which they were cut.

    strips  by population, before the strips are cut by rows
    boxes   by population
    ways    by population, in how many strips along each dimension; those of an earlier Cutter are tried first
    """

    def __init__(
        self, network: Network, step_ps: int | None = None, known: Mapping[str, Way] | None = None
    ) -> None:
        self.network = network
        self.ways: dict[str, Way] = {}
        self._known = known or {}
        self.paced = step_ps is not None
        pace = {} if step_ps is None else network.work.limits(step_ps)
        self.limits: Limits = {**network.chip.core_limits, **network.box_limits, **pace}
        self.strips: dict[str, list[Slice]] = {}
        self.boxes: dict[str, list[Slice]] = {}
        self.fan_outs = network.fan_outs()
        self._sent: dict[str, dict[int, IntArray]] = {name: {} for name in self.fan_outs}

    def cut(self, population: Population) -> bool:
        """Cut a population with what its targets ask for; False where it was cut so before.

        Raises DoesNotFit where a neuron alone is too large for a core.
        """
        name = population.name
        wanted = sum(self._sent[name].values(), np.zeros(population.shape, np.int64))
        if name in self.boxes and np.all(wanted <= self.fan_outs[name].counts):
            return False
        known = self.fan_outs[name]
        self.fan_outs[name] = replace(known, counts=np.maximum(wanted, known.counts))
        self.strips[name], self.boxes[name] = self._best(population)
        for i, stored in enumerate(self.network.stored):
            if stored.connection.target == name:
                self._tell(i, stored)
        return True

    def _tell(self, connection: int, stored: Stored) -> None:
        """Tell a source how many boxes of a target each of its neurons sends to."""
        source = self.network.graph[stored.connection.source]
        counts = np.zeros(source.shape, np.int64)
        for cut in self.boxes[stored.connection.target]:
            counts.flat[stored.synapses(cut)[0]] += 1
        self._sent[source.name][connection] = counts

    def grow(self, found: Mapping[str, FanOut]) -> bool:
        """Take over larger fan-outs; False where there are none."""
        grown = {
            name: replace(known, counts=np.maximum(known.counts, found[name].counts))
            for name, known in self.fan_outs.items()
            if name in self.boxes and np.any(found[name].counts > known.counts)
        }
        self.fan_outs |= grown
        return bool(grown)

    def loads(self, cut: Slice) -> Loads:
        """What a box asks of its core, with the fan-outs as they are known."""
        return self.network.loads(cut, self.fan_outs[cut.population], self.paced)

    def _best(self, population: Population) -> tuple[list[Slice], list[Slice]]:
        """The strips that cost fewest cores, and their boxes."""
        whole = Slice(population.name, tuple((0, n) for n in population.shape))
        if len(whole.ranges) == 1:
            return self._boxes([whole])
        ways, patience = ways_of(whole, self._known.get(population.name))
        least, once = self._least(whole), self._sources(whole)
        best: tuple[list[Slice], list[Slice]] | None = None
        cost, strips, fruitless = inf, [whole], 0
        for way in ways:
            if cost <= GOOD_ENOUGH * (least + once) or fruitless == patience:
                break
            if max(least, prod(way)) + once >= cost:
                continue
            strips = strips_of(whole, way)
            boxes = self._by_rows(strips, cost) if self._promises(strips, cost) else None
            if boxes is not None and (spent := self._cost(boxes)) < cost:
                best, cost, fruitless = (strips, boxes), spent, 0
                self.ways[population.name] = way
            else:
                fruitless += best is not None
        return best or self._boxes(strips)

    def _boxes(self, strips: list[Slice]) -> tuple[list[Slice], list[Slice]]:
        """Strips and their boxes. Raises DoesNotFit where a row does not fit."""
        if (boxes := self._by_rows(strips)) is None:
            raise self._failure(strips)
        return strips, boxes

    def _promises(self, strips: list[Slice], cost: float) -> bool:
        """Whether strips look as if they cost less; the widest may hold no row that fits."""
        widest = max(strips, key=lambda strip: strip.size)
        fitting = fits(self.loads(first_row(widest)), self.limits)
        return fitting and len(strips) * self._at_least(strips[len(strips) // 2]) < cost

    def _at_least(self, strip: Slice) -> float:
        """About what a strip costs, by its first two boxes; infinite where a row does not fit."""
        box = largest(strip, self.limits, self.loads)
        if box is None:
            return inf
        cost, rest = 1 + self._sources(box), beyond(strip, box)
        box = largest(rest, self.limits, self.loads, _rows(box)) if rest else box
        if rest is None or box is None:
            return inf if rest else cost
        return cost + _rows(rest) / _rows(box) * (1 + self._sources(box))

    def _sources(self, cut: Slice) -> float:
        """The part of a core's output axons that a box's sources need for it; the input's lie on no core."""
        graph = self.network.graph
        inner = [s for s in self.network.into(cut.population) if not graph[s.connection.source].is_input]
        return sum(each.load(cut).sources for each in inner) / max(1, self.limits["output_axons"])

    def _least(self, whole: Slice) -> int:
        """Fewer boxes can't hold a population: cutting it makes no load smaller in all."""
        loads = self.loads(whole)
        return max(-(-loads[k] // max(1, limit)) for k, limit in self.limits.items())

    def _cost(self, boxes: list[Slice]) -> float:
        """Boxes as cores, each with the part of a core that its sources need."""
        return len(boxes) + sum(map(self._sources, boxes))

    def _by_rows(self, strips: list[Slice], at_most: float = inf) -> list[Slice] | None:
        """The boxes of strips; None where a row does not fit, or once they cost too much."""
        boxes: list[Slice] = []
        rows, cost, counted = 1, 0.0, 0
        for strip in strips:
            cost, counted = cost + self._cost(boxes[counted:]), len(boxes)
            if cost > at_most:
                return None
            rest: Slice | None = strip
            while rest is not None:
                box = largest(rest, self.limits, self.loads, rows)
                if box is None:
                    return None
                boxes.append(box)
                rest = beyond(rest, box)
                if rest is not None:  # the last rows of a strip say little about the next one
                    rows = _rows(box)
        return boxes

    def _failure(self, neurons: list[Slice]) -> DoesNotFit:
        """What is wrong with the first neuron that does not fit."""
        for strip in neurons:
            rest: Slice | None = strip
            while rest is not None:
                box = largest(rest, self.limits, self.loads)
                if box is None:
                    return self.too_large(rest)
                rest = beyond(rest, box)
        raise AssertionError("every neuron fits a core")

    def too_large(self, box: Slice) -> DoesNotFit:
        """What the smallest beginning of a box that does not fit asks of a core, beside the limits."""
        one = tuple((start, start + 1) for start, _ in box.ranges)
        row = tuple(one[i] if i == (len(one) > 1) else each for i, each in enumerate(box.ranges))
        tried = [replace(box, ranges=ranges) for ranges in (one, row, box.ranges)]
        cut = next((each for each in tried if not fits(self.loads(each), self.limits)), box)
        loads, limits, chip = self.loads(cut), self.limits, self.network.chip
        over = ", ".join(f"{k} {loads[k]} of {limit}" for k, limit in limits.items() if loads[k] > limit)
        broken = [k for k in chip.core_numbers if loads[k] > limits[k]]
        within = ", ".join(f"{k} {loads[k]} of {limit}" for k, limit in limits.items() if loads[k] <= limit)
        place = [start for start, _ in cut.ranges]
        neuron = f"neuron {place[0] if len(place) == 1 else tuple(place)} of {cut.population}"
        return DoesNotFit(
            f"{neuron if cut.size == 1 else cut} alone does not fit a core of {chip.name}: it needs {over} (within "
            f"the limits: {within or 'nothing'}); give it fewer inputs or fewer targets, or choose a larger chip"
            + "".join(f"; {k}{chip.core_numbers[k].doubt}" for k in broken if chip.core_numbers[k].doubt)
        )


def _rows(cut: Slice) -> int:
    """The length of a box along the axis by which it is cut last."""
    start, stop = cut.ranges[1 if len(cut.ranges) > 1 else 0]
    return stop - start


def beyond(box: Slice, cut: Slice) -> Slice | None:
    """What a cut by rows, which begins where the box does, leaves of it."""
    if cut == box:
        return None
    ranges = [(c[1], b[1]) if c[1] < b[1] else b for b, c in zip(box.ranges, cut.ranges, strict=True)]
    return replace(box, ranges=tuple(ranges))
