"""The proof that a kind keeps its word: the interval of every register, from the declared ranges on."""

from collections.abc import Callable, Sequence
from typing import Any

from astrodeploy import arithmetic
from astrodeploy.compartments.kind import Kind, Operation, OperationList, Port, Range, State
from astrodeploy.errors import ProgramError

LIMIT = 1 << 62  # magnitude that no register may reach: the sum of two still fits 64 bits
WORD_BITS = 32  # what is kept or sent is recorded in words of 32 bits


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
