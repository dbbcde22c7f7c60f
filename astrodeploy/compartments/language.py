"""Neuron programs as data: Python with ordinary operators, traced into short branch-free lists.

    @compartment(states={"v": State(Range.signed(24))}, inputs={"current": Port(Range.signed(18))}, ...)
    def perfect_integrator(n):
        v = saturate(n.v + n.current, -100, 100)
        spike = v > n.threshold
        n.v = select(spike, 0, v)
        n.spike = spike

Reading an attribute of `n` loads a state, parameter or input; assigning one stores a state or sends
on an output. Every value carries the interval that it can reach, from the declared ranges on; what
might leave 62 bits, or a state's declared range, is refused when the program is traced.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from astrodeploy.compartments.kind import Kind, Operation, OperationList, Port, Range, Registers, State
from astrodeploy.compartments.proof import interval, prove
from astrodeploy.errors import ProgramError

OWN = Registers()  # none: all parameters are the program's own


class Value:
    """A register while a program is traced: ordinary operators emit operations."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tracer: "_Tracer", index: int) -> None:
        self.tracer, self.index = tracer, index

    def __bool__(self) -> bool:
        raise ProgramError("a neuron program has no branches: use select(condition, a, b), & and |")

    def __add__(self, other: "Operand") -> "Value":
        return self.tracer.emit("add", self, other)

    def __radd__(self, other: int) -> "Value":
        return self.tracer.emit("add", other, self)

    def __sub__(self, other: "Operand") -> "Value":
        return self.tracer.emit("subtract", self, other)

    def __rsub__(self, other: int) -> "Value":
        return self.tracer.emit("subtract", other, self)

    def __mul__(self, other: "Operand") -> "Value":
        return self.tracer.emit("multiply", self, other)

    def __rmul__(self, other: int) -> "Value":
        return self.tracer.emit("multiply", other, self)

    def __lshift__(self, bits: "Operand") -> "Value":
        return self.tracer.emit("shift_left", self, bits)

    def __rshift__(self, bits: "Operand") -> "Value":
        return self.tracer.emit("shift_floor", self, bits)

    def __lt__(self, other: "Operand") -> "Value":
        return self.tracer.emit("less", self, other)

    def __le__(self, other: "Operand") -> "Value":
        return self.tracer.emit("less_equal", self, other)

    def __gt__(self, other: "Operand") -> "Value":
        return self.tracer.emit("less", other, self)

    def __ge__(self, other: "Operand") -> "Value":
        return self.tracer.emit("less_equal", other, self)

    def __eq__(self, other: object) -> "Value":  # type: ignore[override]
        return self.tracer.emit("equal", self, other)

    def __ne__(self, other: object) -> "Value":  # type: ignore[override]
        return self.tracer.emit("not_equal", self, other)

    def __and__(self, other: "Operand") -> "Value":
        return self.tracer.emit("and", self, other)

    def __or__(self, other: "Operand") -> "Value":
        return self.tracer.emit("or", self, other)


Operand = Value | int


def _emit(name: str, *operands: Operand) -> Value:
    tracer = next(o.tracer for o in operands if isinstance(o, Value))
    return tracer.emit(name, *operands)


def shift_toward_zero(a: Value, bits: Operand) -> Value:
    """a / 2**bits, rounded toward zero."""
    return _emit("shift_toward_zero", a, bits)


def select(condition: Value, a: Operand, b: Operand) -> Value:
    """a where the condition is 1, else b."""
    return _emit("select", condition, a, b)


def minimum(a: Operand, b: Operand) -> Value:
    """The smaller of the two."""
    return _emit("minimum", a, b)


def maximum(a: Operand, b: Operand) -> Value:
    """The larger of the two."""
    return _emit("maximum", a, b)


def saturate(a: Value, low: Operand, high: Operand) -> Value:
    """a, held within low..high."""
    return _emit("saturate", a, low, high)


def wrap(a: Value, bits: int) -> Value:
    """a modulo 2**bits, in (-2**(bits-1), 2**(bits-1)]."""
    return _emit("wrap", a, bits)


def count_leading_zeros(a: Value) -> Value:
    """Zero bits before the first one of a 32-bit word."""
    return _emit("count_leading_zeros", a)


def latch(old: Value, message: Value) -> Value:
    """The message where one came (it is not 0), else the old value."""
    return select(message != 0, message, old)


def table(name: str, index: Value) -> Value:
    """Entry of one of the kind's tables."""
    return index.tracer.push(("table", name, index.index))


class _Tracer:
    """Collects the operations of one list; equal operations share a register."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.operations: list[Operation] = []
        self.known: list[Range] = []
        self.seen: dict[Operation, int] = {}
        self.assigned: dict[str, int] = {}

    def push(self, operation: Operation) -> Value:
        if operation not in self.seen:
            self.known.append(interval(self.kind, operation, self.known))
            self.operations.append(operation)
            self.seen[operation] = len(self.operations) - 1
        return Value(self, self.seen[operation])

    def lift(self, operand: Any) -> int:
        if isinstance(operand, Value):
            return operand.index
        if type(operand) is not int:
            raise ProgramError(f"{self.kind.name}: {operand!r} is not a whole number")
        return self.push(("constant", operand)).index

    def emit(self, name: str, *operands: Any) -> Value:
        return self.push((name, *[self.lift(o) for o in operands]))

    def load(self, name: str) -> Value:
        if name in self.assigned and name in self.kind.states:
            return Value(self, self.assigned[name])
        for source, names in (
            ("state", self.kind.states),
            ("parameter", self.kind.parameters),
            ("input", self.kind.inputs),
        ):
            if name in names:
                return self.push((source, name))
        raise ProgramError(f"{self.kind.name}: {name} is no state, parameter or input")

    def finish(self) -> OperationList:
        stores = {k: r for k, r in self.assigned.items() if k in self.kind.states}
        sends = {k: r for k, r in self.assigned.items() if k not in self.kind.states}
        return OperationList(tuple(self.operations), stores, sends)


class Neuron:
    """The `n` of a neuron program: attributes read load, attributes written store or send."""

    _tracer: _Tracer

    def __init__(self, tracer: _Tracer) -> None:
        object.__setattr__(self, "_tracer", tracer)

    def __getattr__(self, name: str) -> Value:
        return self._tracer.load(name)

    def __setattr__(self, name: str, value: Operand) -> None:
        self._tracer.assigned[name] = self._tracer.lift(value)


Body = Callable[[Neuron], None]


def trace(kind: Kind, body: Body) -> OperationList:
    """Run a body on symbols and return the list that it wrote."""
    tracer = _Tracer(kind)
    body(Neuron(tracer))
    return tracer.finish()


def compartment(
    *,
    states: Mapping[str, State],
    parameters: Mapping[str, Range] | None = None,
    inputs: Mapping[str, Port] | None = None,
    outputs: Mapping[str, Port] | None = None,
    tables: Mapping[str, tuple[int, ...]] | None = None,
    window: Body | None = None,
    registers: Registers = OWN,
    role: str = "neurons",
) -> Callable[[Body], Kind]:
    """Make a Kind of a function; `window` is the body of the slow list. Raises ProgramError.

    registers  the parameters that lie in registers of Loihi's compartments
    role       what populations of the kind are unless they say it: "neurons" or "astrocytes"
    """

    def define(step: Body) -> Kind:
        empty = OperationList((), {}, {})
        kind = Kind(
            name=step.__name__,
            states=dict(states),
            parameters=dict(parameters or {}),
            inputs=dict(inputs or {}),
            outputs=dict(outputs or {}),
            tables=dict(tables or {}),
            step=empty,
            registers=registers,
            role=role,
            doc=(step.__doc__ or "").strip(),
        )
        kind = replace(kind, step=trace(kind, step), window=trace(kind, window) if window else None)
        prove(kind)
        return kind

    return define
