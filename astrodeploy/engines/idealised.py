"""A Program's own operations over other numbers: what it would do without rounding, or without widths.

The networks run as in the oracle, on arrays of reals, of integers of any size, or of the chip's
integers with every value counted that a width bounds.

A bound that is a parameter (the limits of a gain) belongs to the model and stays; one that is a
constant of the kind is a width. Over the reals a shift divides: then 2**x from octave and fraction,
for one, is exact.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from astrodeploy import arithmetic
from astrodeploy.compartments.kind import Kind, Operation, OperationList, Range, State
from astrodeploy.compartments.proof import interval
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.errors import ProgramError
from astrodeploy.ir import Compartments, Connection, Population

Numbers = npt.NDArray[Any]
Functions = dict[str, Callable[..., Any]]
Counts = dict[str, Counter[str]]  # population -> operation ("saturate", "wrap") -> values


def over_the_reals(job: Job) -> Recording:
    """The Program with its rounded parameters, on float64 that nothing rounds or bounds."""
    return _run(job, np.float64, lambda name: REAL)


def over_the_integers(job: Job) -> Recording:
    """The Program on integers of any size: every rounding, no width.

    They are held in 64 bits as long as nothing can leave these, and are Python's own where it might.
    """
    nodes = [p.node for p in job.program.network.populations if isinstance(p.node, Compartments)]
    if all(has_room(node.kind) for node in nodes):
        try:
            return _run(job, np.int64, lambda name: UNBOUNDED, within=ROOM_BITS)
        except _OutOfRoomError:
            pass
    return _run(job, object, lambda name: UNBOUNDED)


def as_on_the_chip(job: Job, counts: Counts) -> Recording:
    """The Program as it is; `counts` gets the values that a width bounded, by population."""
    return _run(job, np.int64, lambda name: counting(counts, name))


def _run(job: Job, dtype: Any, functions: Callable[[str], Functions], within: int | None = None) -> Recording:
    """Spikes on the chip's clock, and the states to record, as float64 in units of the float network.

    Raises _OutOfRoomError where a state or what arrives is more than 2**within times as large as declared.
    """
    network = job.program.network
    groups = [
        _Group(p, job, list(network.into(p.name)), dtype, functions(p.name))
        for p in network.populations
        if not p.is_input
    ]
    sent: dict[str, Numbers] = dict(job.spikes)
    sent |= {g.name: np.zeros((job.rows, job.steps, g.shape[1]), g.message_type) for g in groups}
    states = {key: np.zeros(sent[g.name].shape) for g in groups for key in g.recordable}
    for step in range(job.steps):
        for group in groups:
            sent[group.name][:, step] = group.advance(step, sent)
            if within is not None:
                group.require_room(within)
            for key in group.recordable:
                states[key][:, step] = group.recorded(key[1])
    return Recording(sent, states)


# ---- operations ------------------------------------------------------------------------------------

OPERATIONS: Functions = cast(Any, arithmetic.OPERATIONS)
WIDTHS = {"saturate": "saturate to a width", "wrap": "wrap to a width"}


def with_widths_named(each: OperationList) -> OperationList:
    """The list with every bound that is a constant, thus a width and no part of the model, named so."""
    constant = [operation[0] == "constant" for operation in each.operations]

    def named(operation: Operation) -> Operation:
        name, *operands = operation
        if name in WIDTHS and all(constant[i] for i in operands[1:]):
            return (WIDTHS[name], *operands)
        return operation

    return replace(each, operations=tuple(named(o) for o in each.operations))


def counting(counts: Counts, name: str) -> Functions:
    """The chip's operations, which count the values of a population that a width bounds."""
    counter = counts.setdefault(name, Counter())

    def counted(operation: str) -> Callable[..., Any]:
        def bounded(a: Any, *limits: Any) -> Any:
            result = OPERATIONS[operation](a, *limits)
            counter[operation] += int(np.count_nonzero(result != _rectified(a, *limits)))
            return result

        return bounded

    return OPERATIONS | {width: counted(operation) for operation, width in WIDTHS.items()}


def _rectified(a: Any, *limits: Any) -> Any:
    """Without widths; a bound of 0 from below is no width, but a part of the model."""
    return np.maximum(a, 0) if len(limits) == 2 and limits[0] == 0 else a


def _leading_zeros(a: Any) -> Any:
    return np.where(a < 1, 32, 31 - np.floor(np.log2(np.maximum(a, 1))))


UNBOUNDED = OPERATIONS | dict.fromkeys(WIDTHS.values(), _rectified)
REAL = UNBOUNDED | {
    "shift_left": lambda a, bits: a * np.exp2(bits),
    "shift_floor": lambda a, bits: a / np.exp2(bits),
    "shift_toward_zero": lambda a, bits: a / np.exp2(bits),
    "count_leading_zeros": _leading_zeros,
    "and": lambda a, b: a * b,
    "or": lambda a, b: a + b - a * b,
}


# ---- room in 64 bits -------------------------------------------------------------------------------

ROOM_BITS = 12  # by which unbounded values may exceed their declared ranges


class _OutOfRoomError(Exception):
    """A value that might not fit 64 bits."""


def _roomy(each: Range) -> Range:
    most = max(-each.low, each.high) << ROOM_BITS
    return Range(-most, most)


def has_room(kind: Kind) -> bool:
    """Whether 64 bits hold every register where states and inputs exceed their ranges by ROOM_BITS."""
    wide = replace(
        kind,
        states={k: State(_roomy(s.range), s.initial, s.slow) for k, s in kind.states.items()},
        inputs={k: replace(port, range=_roomy(port.range)) for k, port in kind.inputs.items()},
    )
    try:
        for each in kind.lists:
            known: list[Range] = []
            for operation in with_widths_named(each).operations:
                name, *operands = operation
                bounded = name in WIDTHS.values()
                known.append(known[operands[0]] if bounded else interval(wide, operation, known))
    except ProgramError:  # a register that leaves 62 bits, or a table read outside
        return False
    return True


class _Table:
    """A look-up table whose index may be a real or lie outside: the nearest entry is read."""

    def __init__(self, values: tuple[int, ...]) -> None:
        self.values = np.array(values)

    def __getitem__(self, index: Numbers) -> Numbers:
        nearest = np.clip(np.rint(np.asarray(index, np.float64)), 0, len(self.values) - 1)
        return np.asarray(self.values[nearest.astype(np.int64)])


# ---- populations -----------------------------------------------------------------------------------


class _Group:
    """A population on all rows at once; states are (rows, size)."""

    def __init__(
        self, population: Population, job: Job, inputs: list[Connection], dtype: Any, functions: Functions
    ) -> None:
        node = population.node
        assert isinstance(node, Compartments)
        self.name, self.depth, self.node, self.kind = population.name, population.depth, node, node.kind
        self.shape = (job.rows, population.size)
        self.reset_every, self.inputs, self.functions, self.dtype = job.reset_every, inputs, functions, dtype
        self.message_type: Any = np.float64 if dtype is np.float64 else np.int64
        self.lists = [with_widths_named(each) for each in self.kind.lists]
        self.tables = {k: _Table(values) for k, values in self.kind.tables.items()}
        self.parameters = {k: array.astype(dtype) for k, array in node.parameters.items()}
        self.rest = {k: np.tile(array.astype(dtype), (job.rows, 1)) for k, array in node.initial.items()}
        self.states: dict[str, Numbers] = dict(self.rest)
        self.arrived: dict[str, Numbers] = {}
        self.recordable = job.record & {(self.name, state) for state in self.kind.states}

    def advance(self, step: int, sent: Mapping[str, Numbers]) -> Numbers:
        """One step, as the oracle does it; the messages sent."""
        self._reset(arithmetic.resets(step, self.depth, self.reset_every))
        self.arrived = arrived = self._arrived(step, sent)
        due = self.kind.window is not None and arithmetic.ticks(step, self.depth, self.node.period)
        messages = np.zeros(self.shape, self.message_type)
        for each in self.lists if due else self.lists[:1]:
            registers = arithmetic.execute(
                each.operations, self.states, self.parameters, arrived, self.tables, self.functions
            )
            self.states |= {k: np.broadcast_to(registers[r], self.shape) for k, r in each.stores.items()}
            for register in each.sends.values():
                messages = np.broadcast_to(registers[register], self.shape)
        return messages

    def require_room(self, bits: int) -> None:
        """Raise _OutOfRoomError where a value leaves its declared range by more than `bits`."""
        declared = {k: s.range for k, s in self.kind.states.items()}
        declared |= {k: port.range for k, port in self.kind.inputs.items()}
        for name, values in (self.states | self.arrived).items():
            most = max(-declared[name].low, declared[name].high) << bits
            if max(-int(values.min()), int(values.max())) > most:
                raise _OutOfRoomError

    def recorded(self, state: str) -> Numbers:
        """A state in units of the float network."""
        return self.states[state].astype(np.float64) / self.node.units.get(state, 1.0)

    def _reset(self, what: str) -> None:
        for name, state in self.kind.states.items():
            if what == "all" or (what == "fast" and not state.slow):
                self.states[name] = self.rest[name]

    def _arrived(self, step: int, sent: Mapping[str, Numbers]) -> dict[str, Numbers]:
        totals: dict[str, Numbers] = {p: np.zeros(self.shape, self.message_type) for p in self.kind.inputs}
        for each in self.inputs:
            slow = self.kind.inputs[each.port].slow
            lost = arithmetic.dropped(step, self.depth, each.lag, self.reset_every, slow)
            if step >= each.delay and not lost:
                messages = sent[each.source][:, step - each.delay].astype(self.message_type)
                total = each.wiring.deliver(messages)
                totals[each.port] = totals[each.port] + self._shifted(total, each.exponent)
        return {port: total.astype(self.dtype) for port, total in totals.items()}

    def _shifted(self, total: Numbers, exponent: int) -> Numbers:
        if self.message_type is np.float64:
            return total * 2.0**exponent
        return total << exponent if exponent >= 0 else total >> -exponent
