"""Joules and seconds of one inference, from counted or expected events and the target's costs.

    energy   sum of events * energy per event                 "operations", the dynamic part
           + cores in use * steps * energy per core and step  "step overhead"
           + of clearing the chips (`clearing.py`)            "clearing between samples"
           + static power of the chips in use * latency       "static"
           + the embedded processors' power * latency         "host processors"
    latency  sum over the steps of their time (`timing.py`), and the time of clearing the chips

An update costs in proportion to the operations of its kind, beside those of the plain LIF, which the
chips' numbers were measured with; window lists cost on their own clock only. Every number is a range:
low, typical and high are each computed throughout with the costs of that name. All of it is the chip's alone: the
time that ordinary layers take before and after the network is measured on this machine and stands beside the
latency, their energy is not known, and the host's input and output are not in the model. A batch takes the mean of
its samples, each of them with the busiest core of every one of its steps; a stream is one long sample, shared out.
"""

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np

from astrodeploy.chip import operation_count
from astrodeploy.compartments import KINDS
from astrodeploy.costs.activity import Expected, Recorded
from astrodeploy.costs.answer import Estimate
from astrodeploy.costs.clearing import PART, Clearing, clearing
from astrodeploy.costs.events import EVENTS, Counting, Tally, Total
from astrodeploy.costs.placed import Placed, placed
from astrodeploy.costs.prices import Prices
from astrodeploy.costs.spans import MILLIWATT, NOTHING, PICOJOULE, Span, total
from astrodeploy.costs.timing import Clock, Pace
from astrodeploy.ir import Compartments, Connection, Population
from astrodeploy.program import Program

HOST_TEXT = (
    "energy, latency and power are the chip's alone: ordinary layers run on the host, whose time is measured on this "
    "machine and stands beside them, and whose energy is not known"
)


@dataclass(frozen=True, eq=False)
class Costing:
    """Events of some inferences on a target, and their cost; each is cleared for so many times (`clearings`)."""

    program: Program
    activity: Recorded | Expected
    inferences: int
    clearings: int
    host_seconds: float
    model: str
    timing: str

    def estimate(self, basis: str, text: str) -> Estimate:
        """The answer; `basis` and `text` say where the events come from."""
        operations, parts = self._by_event, self._parts
        dynamic = parts["operations"]
        astrocytes = total(
            self._energy(each) * self._due_to_astrocytes(each) for each in self._happened.totals
        )
        chips = self._placed.chips_used
        idle = self.program.board.chips - chips
        return Estimate(
            target=self.program.target,
            model=self.model,
            timing=self.timing,
            energy_joules=total(parts.values()),
            latency_seconds=self._latency,
            steps_seconds=self._stepping,
            clearing_seconds=self._clearing.seconds,
            clearing_text=self._clearing.text,
            parts=parts,
            operations=operations,
            by_layer=self._by_layer(),
            by_core=self._by_core(),
            astrocyte_joules=astrocytes,
            astrocyte_share=astrocytes.typical / dynamic.typical if dynamic.typical else 0.0,
            host_seconds=self.host_seconds,
            host_joules=None if self._has_host_layers else NOTHING,
            host_text=HOST_TEXT if self._has_host_layers else "",
            events={event: self._count(event) for event in EVENTS},
            steps=round(self._steps),
            cores=len(self.program.cores),
            chips=chips,
            idle_chips=idle,
            idle_chips_joules=self._prices.static * self._latency * (MILLIWATT * idle),
            bounds=self._pace.bounds,
            slowest_core=self.program.cores[self._pace.slowest].index if self._pace.slowest >= 0 else -1,
            basis=basis,
            basis_text=text,
            constants=tuple(self._prices.constants()),
        )

    @cached_property
    def _happened(self) -> "_Happened":
        """All events and their time, piece by piece, so that memory does not grow with the batch."""
        counting, found = Counting(self._placed), _Happened()
        for piece in self.activity.pieces(counting.numbers):
            counted = counting.of(piece)
            pace = Clock(counted, piece, self._prices, self._weight, self.timing).pace()
            totals = [each.total(piece.repeats) for each in counted.tallies]
            found.add(totals, pace, float(piece.repeats.sum()))
        return found

    @cached_property
    def _placed(self) -> Placed:
        return placed(self.program)

    @cached_property
    def _prices(self) -> Prices:
        board = self.program.board
        tiles, chips = self._placed.tiles_used, self._placed.chips_used
        return Prices(board.chip.cost(self.model), board, tiles, chips)

    @property
    def _pace(self) -> Pace:
        return self._happened.pace

    @property
    def _steps(self) -> float:
        """Steps of an inference."""
        return self._happened.steps / self.inferences

    @cached_property
    def _stepping(self) -> Span:
        """Seconds of an inference's steps."""
        return self._pace.seconds * (1 / self.inferences)

    @cached_property
    def _clearing(self) -> Clearing:
        return clearing(self._placed, self.clearings)

    @cached_property
    def _latency(self) -> Span:
        return self._stepping + self._clearing.seconds

    @cached_property
    def _by_event(self) -> dict[str, Span]:
        """Joules by event; those that did not happen are left out."""
        joules: dict[str, Span] = {}
        for each in self._happened.totals:
            joules[each.event] = joules.get(each.event, NOTHING) + self._energy(each)
        return {event: joules[event] for event in EVENTS if event in joules}

    @cached_property
    def _parts(self) -> dict[str, Span]:
        prices, chips = self._prices, self._placed.chips_used
        powered = self._latency * (MILLIWATT * chips)
        parts = {
            "operations": total(self._by_event.values()),
            "step overhead": prices.overhead * (PICOJOULE * self._steps * len(self.program.cores)),
        }
        if self._clearing.known:
            parts[PART] = self._clearing.joules
        parts |= {"static": prices.static * powered, "host processors": prices.host * powered}
        return parts

    @property
    def _has_host_layers(self) -> bool:
        network = self.program.network
        return network.before is not None or network.after is not None

    def _count(self, event: str) -> float:
        """How often it happens in an inference."""
        found = (each for each in self._happened.totals if each.event == event)
        return sum(float(each.counts.sum()) for each in found) / self.inferences

    def _energy(self, total: Total) -> Span:
        """Joules of all of these events, per inference."""
        return self._each(total) * (float(total.counts.sum()) / self.inferences)

    def _each(self, tally: Total) -> Span:
        """Joules of one of these events."""
        return self._prices.energy(tally.event) * (self._weight(tally) * PICOJOULE)

    def _weight(self, tally: Tally | Total) -> float:
        """Cost of an update beside one of the plain LIF: by its operations; 1 for all other events."""
        if not tally.event.endswith("_updates"):
            return 1.0
        node = self.program.network[tally.layer].node
        assert isinstance(node, Compartments)
        done = node.kind.window if tally.event == "window_updates" else node.kind.step
        return operation_count(done) / operation_count(KINDS["lif"].step)

    def _by_layer(self) -> dict[str, Span]:
        joules = {p.name: NOTHING for p in self.program.network.populations if not p.is_input}
        for each in self._happened.totals:
            joules[each.layer] += self._energy(each)
        return joules

    def _by_core(self) -> dict[int, Span]:
        cores = self.program.cores
        levels = np.zeros((len(cores), 3))
        for each in self._happened.totals:
            cost = self._each(each) * (1 / self.inferences)
            levels[each.cores] += np.outer(each.counts, astuple(cost))
        return {core.index: Span(*row) for core, row in zip(cores, levels.tolist(), strict=True)}

    def _due_to_astrocytes(self, tally: Total) -> float:
        """The part of these events, 0..1, that is there because of astrocytes."""
        graph = self.program.network
        layer = graph[tally.layer]
        if layer.is_astrocyte:
            return 1.0
        gains = {
            c.name for c in graph.into(layer.name) if graph[c.source].is_astrocyte and _is_gain(layer, c)
        }
        if tally.connection:
            return float(tally.connection in gains)
        return _beyond_lif(layer) if gains and tally.event.endswith("_updates") else 0.0


def _is_gain(layer: Population, connection: Connection) -> bool:
    """Whether a connection sets a slow state of neurons, which a gain is; it carries no signal then."""
    assert isinstance(layer.node, Compartments)
    return layer.node.kind.inputs[connection.port].slow


class _Happened:
    """What happened so far: events by what they are, the time that they took, and in how many steps."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str, str], Total] = {}
        self._pace: Pace | None = None
        self.steps = 0.0

    def add(self, totals: list[Total], pace: Pace, steps: float) -> None:
        """Another piece."""
        for each in totals:
            key = each.event, each.layer, each.connection
            self._totals[key] = self._totals[key] + each if key in self._totals else each
        self._pace = pace if self._pace is None else self._pace + pace
        self.steps += steps

    @property
    def totals(self) -> tuple[Total, ...]:
        """How often everything happened."""
        return tuple(self._totals.values())

    @property
    def pace(self) -> Pace:
        """The time of all steps."""
        assert self._pace is not None
        return self._pace


def _beyond_lif(layer: Population) -> float:
    """The part of a kind's operations that the plain LIF does not have."""
    assert isinstance(layer.node, Compartments)
    own, plain = operation_count(layer.node.kind.step), operation_count(KINDS["lif"].step)
    return max(0, own - plain) / own if own else 0.0
