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

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from astrodeploy import arithmetic
from astrodeploy.errors import ProgramError

LIMIT = 1 << 62  # magnitude that no register may reach: the sum of two still fits 64 bits
WORD_BITS = 32  # what is kept or sent is recorded in words of 32 bits

Operation = tuple[Any, ...]


@dataclass(frozen=True, order=True)
class Range:
    """The closed interval of integers low..high."""

    low: int
    high: int

    @classmethod
    def signed(cls, bits: int) -> "Range":
        """Two's complement of that many bits."""
        return cls(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @classmethod
    def unsigned(cls, bits: int) -> "Range":
        """0 to 2**bits - 1."""
        return cls(0, (1 << bits) - 1)

    def contains(self, other: "Range") -> bool:
        """Whether all of `other` lies inside."""
        return self.low <= other.low and other.high <= self.high

    @property
    def bits(self) -> int:
        """Width that holds the interval: unsigned where it has no negative part, else signed."""
        if self.low >= 0:
            return max(1, self.high.bit_length())
        return max((-self.low - 1).bit_length(), max(self.high, 0).bit_length()) + 1

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class State:
    """One integer a neuron keeps; `slow` ones outlive the resets between the samples of a stream."""

    range: Range
    initial: int = 0
    slow: bool = False


@dataclass(frozen=True)
class Port:
    """Where summed messages come in, or one message goes out; a message of 0 is no message.

    `slow` input ports feed slow states: what is under way at a reset still arrives.
    """

    range: Range
    slow: bool = False


@dataclass(frozen=True)
class OperationList:
    """A branch-free list: operations, then the states to store and the message to send (registers)."""

    operations: tuple[Operation, ...]
    stores: Mapping[str, int]
    sends: Mapping[str, int]


@dataclass(frozen=True)
class Kind:
    """A compartment kind: what one neuron keeps, reads, computes and sends.

    `step` runs in every step, `window` (or None) at the end of every window of P steps, after it.
    """

    name: str
    states: dict[str, State]
    parameters: dict[str, Range]
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    tables: dict[str, tuple[int, ...]]
    step: OperationList
    window: OperationList | None = None
    doc: str = field(default="", compare=False)

    @property
    def lists(self) -> tuple[OperationList, ...]:
        """The lists in the order in which they run."""
        return (self.step,) if self.window is None else (self.step, self.window)

    @property
    def operations_used(self) -> frozenset[str]:
        """Names of all operations that compute something."""
        free = {"constant", "state", "parameter", "input"}
        return frozenset(op[0] for each in self.lists for op in each.operations) - free

    @property
    def state_bits(self) -> int:
        """Bits of state a neuron needs, each state at its own width."""
        return sum(state.range.bits for state in self.states.values())

    def sender(self, port: str) -> str:
        """Which list sends on an output port: "step" or "window"."""
        return "step" if port in self.step.sends else "window"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it stands in a Program."""
        return {
            "name": self.name,
            "states": {k: [s.range.low, s.range.high, s.initial, s.slow] for k, s in self.states.items()},
            "parameters": {k: [r.low, r.high] for k, r in self.parameters.items()},
            "inputs": _ports_to_dict(self.inputs),
            "outputs": _ports_to_dict(self.outputs),
            "tables": {k: list(t) for k, t in self.tables.items()},
            "step": _list_to_dict(self.step),
            "window": None if self.window is None else _list_to_dict(self.window),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Kind":
        """Read back plain data and prove it again. Raises ProgramError where the proof fails."""
        try:
            kind = cls(
                name=str(data["name"]),
                states={
                    str(k): State(Range(int(a), int(b)), int(i), bool(s))
                    for k, (a, b, i, s) in data["states"].items()
                },
                parameters={str(k): Range(int(a), int(b)) for k, (a, b) in data["parameters"].items()},
                inputs=_ports_from_dict(data["inputs"]),
                outputs=_ports_from_dict(data["outputs"]),
                tables={str(k): tuple(int(v) for v in t) for k, t in data["tables"].items()},
                step=_list_from_dict(data["step"]),
                window=None if data["window"] is None else _list_from_dict(data["window"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProgramError(f"a compartment kind is malformed: {error!r}") from error
        prove(kind)
        return kind

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the kind means."""
        return sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _ports_to_dict(ports: Mapping[str, Port]) -> dict[str, Any]:
    return {name: [port.range.low, port.range.high, port.slow] for name, port in ports.items()}


def _ports_from_dict(data: Mapping[str, Any]) -> dict[str, Port]:
    return {str(k): Port(Range(int(low), int(high)), bool(slow)) for k, (low, high, slow) in data.items()}


def _list_to_dict(each: OperationList) -> dict[str, Any]:
    operations = [list(op) for op in each.operations]
    return {"operations": operations, "stores": dict(each.stores), "sends": dict(each.sends)}


def _list_from_dict(data: Mapping[str, Any]) -> OperationList:
    operations = tuple(tuple(op) for op in data["operations"])
    return OperationList(operations, dict(data["stores"]), dict(data["sends"]))


# ---- intervals -------------------------------------------------------------------------------------


def _corners(function: Callable[..., int], *ranges: Range) -> Range:
    """Interval of a function that is monotone in each operand, from its corners."""
    corners: list[tuple[int, ...]] = [()]
    for each in ranges:
        corners = [(*c, v) for c in corners for v in (each.low, each.high)]
    values = [function(*c) for c in corners]
    return Range(min(values), max(values))


def _shift(function: Callable[..., int]) -> Callable[..., Range]:
    def rule(a: Range, bits: Range) -> Range:
        if not Range(0, 62).contains(bits):
            raise ProgramError(f"a shift by {bits} bits is outside 0..62")
        return _corners(function, a, bits)

    return rule


def _truth(*operands: Range) -> Range:
    return Range(0, 1)


def _bit(a: Range, b: Range) -> Range:
    if not (Range(0, 1).contains(a) and Range(0, 1).contains(b)):
        raise ProgramError(f"and, or take truth values 0 or 1, not {a} and {b}")
    return Range(0, 1)


def _select(condition: Range, a: Range, b: Range) -> Range:
    if not Range(0, 1).contains(condition):
        raise ProgramError(f"a select's condition is 0 or 1, not {condition}")
    return Range(min(a.low, b.low), max(a.high, b.high))


def _saturate(a: Range, low: Range, high: Range) -> Range:
    if low.high > high.low:
        raise ProgramError(f"saturate needs low <= high, not {low} and {high}")
    return _corners(arithmetic.saturate, a, low, high)


def _wrap(a: Range, bits: Range) -> Range:
    if bits.low != bits.high or not 2 <= bits.low <= 61:
        raise ProgramError(f"wrap takes a constant width of 2..61 bits, not {bits}")
    half = 1 << (bits.low - 1)
    inside = Range(1 - half, half)
    return a if inside.contains(a) else inside


def _leading_zeros(a: Range) -> Range:
    if not Range.unsigned(arithmetic.LEADING_ZEROS_WIDTH).contains(a):
        raise ProgramError(f"count_leading_zeros takes 0..2**32 - 1, not {a}")
    return Range(arithmetic.count_leading_zeros(a.high), arithmetic.count_leading_zeros(a.low))


INTERVALS: dict[str, Callable[..., Range]] = {
    "add": lambda a, b: Range(a.low + b.low, a.high + b.high),
    "subtract": lambda a, b: Range(a.low - b.high, a.high - b.low),
    "multiply": lambda a, b: _corners(arithmetic.multiply, a, b),
    "shift_left": _shift(arithmetic.shift_left),
    "shift_floor": _shift(arithmetic.shift_floor),
    "shift_toward_zero": _shift(arithmetic.shift_toward_zero),
    "less": _truth,
    "less_equal": _truth,
    "equal": _truth,
    "not_equal": _truth,
    "and": _bit,
    "or": _bit,
    "select": _select,
    "minimum": lambda a, b: Range(min(a.low, b.low), min(a.high, b.high)),
    "maximum": lambda a, b: Range(max(a.low, b.low), max(a.high, b.high)),
    "saturate": _saturate,
    "wrap": _wrap,
    "count_leading_zeros": _leading_zeros,
}

ARITY = {
    "count_leading_zeros": 1,
    "select": 3,
    "saturate": 3,
    **dict.fromkeys(set(INTERVALS) - {"count_leading_zeros", "select", "saturate"}, 2),
}


def interval(kind: Kind, operation: Operation, known: Sequence[Range]) -> Range:
    """The values that an operation can reach, given those of the registers before it.

    Raises ProgramError where an operand does not exist or the result may leave 62 bits.
    """
    name, *operands = operation
    try:
        if name == "constant":
            result = Range(operands[0], operands[0])
        elif name == "state":
            result = kind.states[operands[0]].range
        elif name == "parameter":
            result = kind.parameters[operands[0]]
        elif name == "input":
            result = kind.inputs[operands[0]].range
        elif name == "table":
            result = _table_interval(kind, operands[0], _register(operands[1], known))
        else:
            if len(operands) != ARITY[name]:
                raise ProgramError(f"{name} takes {ARITY[name]} operands, not {len(operands)}")
            result = INTERVALS[name](*[_register(i, known) for i in operands])
    except (KeyError, IndexError, TypeError) as error:
        raise ProgramError(f"{kind.name}: {list(operation)} names nothing that exists") from error
    except ProgramError as error:
        raise ProgramError(f"{kind.name}: {error}") from None
    if type(result.low) is not int or type(result.high) is not int:
        raise ProgramError(f"{kind.name}: {list(operation)} is not a whole number")
    if max(abs(result.low), abs(result.high)) >= LIMIT:
        raise ProgramError(f"{kind.name}: {list(operation)} may reach {result}, beyond 62 bits")
    return result


def _register(index: Any, known: Sequence[Range]) -> Range:
    if type(index) is not int or not 0 <= index < len(known):
        raise ProgramError(f"operand {index!r} is no earlier register")
    return known[index]


def _table_interval(kind: Kind, name: str, index: Range) -> Range:
    table = kind.tables[name]
    if not Range(0, len(table) - 1).contains(index):
        raise ProgramError(f"table {name} is read at {index}, outside 0..{len(table) - 1}")
    return Range(min(table), max(table))


def intervals(kind: Kind, each: OperationList) -> list[Range]:
    """The interval of every register of a list."""
    known: list[Range] = []
    for operation in each.operations:
        known.append(interval(kind, operation, known))
    return known


def prove(kind: Kind) -> None:
    """Check a whole kind: no register leaves 62 bits, no state or output its declared range.

    States and messages fit words of 32 bits; there is at most one output, sent by one list.
    Raises ProgramError that names the kind, the state and the value it might take.
    """
    for name, each in (kind.states | kind.outputs).items():
        if not Range.signed(WORD_BITS).contains(each.range):
            raise ProgramError(f"{kind.name}.{name} is declared {each.range}; it must fit {WORD_BITS} bits")
    for name, values in kind.tables.items():
        if not values or max(map(abs, values)) >= LIMIT:
            raise ProgramError(f"{kind.name}: the table {name} is empty or leaves 62 bits")
    if len(kind.outputs) > 1:
        raise ProgramError(f"{kind.name} has the outputs {sorted(kind.outputs)}, a kind has at most one")
    for name, state in kind.states.items():
        if not state.range.contains(Range(state.initial, state.initial)):
            raise ProgramError(f"{kind.name}.{name} starts at {state.initial}, outside {state.range}")
    for part in kind.lists:
        known = intervals(kind, part)
        for name, register in part.stores.items():
            _within(kind, name, kind.states.get(name), _register(register, known))
        for name, register in part.sends.items():
            _within(kind, name, kind.outputs.get(name), _register(register, known))
    sent = [name for each in kind.lists for name in each.sends]
    if sorted(sent) != sorted(kind.outputs):
        raise ProgramError(f"{kind.name}: every output is sent by exactly one list, here {sent}")


def _within(kind: Kind, name: str, declared: State | Port | None, reached: Range) -> None:
    if declared is None:
        raise ProgramError(f"{kind.name}: {name} is neither a state nor an output")
    if not declared.range.contains(reached):
        raise ProgramError(
            f"{kind.name}.{name} is declared {declared.range} but may become {reached}: saturate or wrap it"
        )


# ---- tracing ---------------------------------------------------------------------------------------


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
) -> Callable[[Body], Kind]:
    """Make a Kind of a function; `window` is the body of the slow list. Raises ProgramError."""

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
            doc=(step.__doc__ or "").strip(),
        )
        kind = replace(kind, step=trace(kind, step), window=trace(kind, window) if window else None)
        prove(kind)
        return kind

    return define
