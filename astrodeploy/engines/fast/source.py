"""Generates the source of one kernel: all rows and steps of a group of populations.

The source holds only numbered registers and integer literals, never a name or a size from the
Program: groups of equal structure (kinds, number and type of connections) share one kernel.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from astrodeploy.compartments.kind import Kind, OperationList, Range
from astrodeploy.engines.fast.cache import module_name

BIT = Range(0, 1)

# what a kernel takes for each population and connection, in this order; `engine.py` fills it in
POPULATION = ("schedule", "parameters", "rest", "states", "fast", "tables", "slots", "recorded", "out")
CONNECTION = ("wiring", "messages", "starts", "columns", "values", "totals")
SHARED = ("rows", "steps", "found", "partial")

# rows of a population's schedule, (2 + connections, steps); then one row a connection: does it arrive?
RESET, TICK, ARRIVES = 0, 1, 2
CLEAR_FAST, CLEAR_ALL = 1, 2

HELPERS = ("restore", "find", "add_rows", "deliver_spikes", "deliver_graded", "record", "count_leading_zeros")


def _ones(bits: str) -> str:
    """2**bits - 1, as a literal where it is known: every operation costs numba 20 ms of compilation."""
    return str((1 << int(bits)) - 1) if bits.isdigit() else f"((1 << {bits}) - 1)"


def _toward_zero(a: str, bits: str) -> str:
    return f"({a} + (({a} >> 63) & {_ones(bits)})) >> {bits}"


def _wrap(a: str, bits: str) -> str:
    half = _ones(str(int(bits) - 1))
    return f"(({a} + {half}) & {_ones(bits)}) - {half}"


# operands are registers or literals, all int64 and below 2**62 in magnitude; `arithmetic.py` defines them
EXPRESSIONS: dict[str, Callable[..., str]] = {
    "add": "{0} + {1}".format,
    "subtract": "{0} - {1}".format,
    "multiply": "{0} * {1}".format,
    "shift_left": "{0} << {1}".format,
    "shift_floor": "{0} >> {1}".format,
    "shift_toward_zero": _toward_zero,
    "less": "int({0} < {1})".format,
    "less_equal": "int({0} <= {1})".format,
    "equal": "int({0} == {1})".format,
    "not_equal": "int({0} != {1})".format,
    "and": "{0} & {1}".format,
    "or": "{0} | {1}".format,
    "select": "{2} ^ (({1} ^ {2}) & -{0})".format,
    "minimum": "min({0}, {1})".format,
    "maximum": "max({0}, {1})".format,
    "saturate": "min(max({0}, {1}), {2})".format,
    "wrap": _wrap,
    "count_leading_zeros": "count_leading_zeros({0})".format,
}


@dataclass(frozen=True)
class Input:
    """One connection as the generator sees it: its port, and whether its messages are graded."""

    port: str
    graded: bool


@dataclass(frozen=True)
class Member:
    """One population of a group as the generator sees it."""

    kind: Kind
    inputs: tuple[Input, ...]


def is_graded(messages: Range) -> bool:
    """Whether messages of a range are more than 0 and 1."""
    return not BIT.contains(messages)


@cache
def helpers() -> str:
    """The source of the helpers: `helpers.py`, and numba's decorator on each of its functions."""
    text = resources.files("astrodeploy.engines.fast").joinpath("helpers.py").read_text(encoding="utf-8")
    decorated = "".join(f"{name} = njit(cache=True, nogil=True)({name})\n" for name in HELPERS)
    return f"{text}\n\nfrom numba import njit\n\n{decorated}"


def generate(members: Sequence[Member]) -> str:
    """The source of a kernel, the function `run`; the helpers' module must be loaded before it."""
    lines = list(_head(members))
    for q, member in enumerate(members):
        lines += _rows_of(q, member)
    lines += ["    for row in range(rows):"]
    lines += [f"        restore(states{q}, rest{q}, fast{q}, True)" for q in range(len(members))]
    lines += ["        for t in range(steps):"]
    for q, member in enumerate(members):
        lines += [" " * 12 + line for line in _population(q, member)]
    return "\n".join(lines) + "\n"


def arguments(members: Sequence[Member]) -> list[str]:
    """The names of all arguments of `run`, in order."""
    names = list(SHARED)
    for q, member in enumerate(members):
        names += [f"{name}{q}" for name in POPULATION]
        for c in range(len(member.inputs)):
            names += [f"{name}{q}_{c}" for name in CONNECTION]
    return names


def _head(members: Sequence[Member]) -> Iterator[str]:
    yield "import numpy as np"
    yield "from numba import njit"
    yield f"from {module_name(helpers())} import {', '.join(HELPERS)}\n\n"
    yield "@njit(cache=True, nogil=True)"
    yield f"def run({', '.join(arguments(members))}):"


def _rows_of(q: int, member: Member) -> Iterator[str]:
    """Names for the rows of two-dimensional arrays, taken once."""
    yield f"    n{q} = states{q}.shape[1]"
    yield from (f"    s{q}_{k} = states{q}[{k}]" for k in range(len(member.kind.states)))
    yield from (f"    p{q}_{k} = parameters{q}[{k}]" for k in range(len(member.kind.parameters)))
    for c in range(len(member.inputs)):
        yield f"    delay{q}_{c}, left{q}_{c}, right{q}_{c} = wiring{q}_{c}"


def _population(q: int, member: Member) -> Iterator[str]:
    """One step of one population: reset, arrivals, the lists, the recording."""
    yield f"if schedule{q}[{RESET}, t]:"
    yield f"    restore(states{q}, rest{q}, fast{q}, schedule{q}[{RESET}, t] == {CLEAR_ALL})"
    for c, each in enumerate(member.inputs):
        deliver = "deliver_graded" if each.graded else "deliver_spikes"
        where = f"starts{q}_{c}, columns{q}_{c}, values{q}_{c}, found, partial, totals{q}_{c}"
        yield f"for j in range(n{q}):"
        yield f"    totals{q}_{c}[j] = 0"
        yield f"if schedule{q}[{ARRIVES + c}, t]:"
        yield f"    {deliver}(messages{q}_{c}[row, t - delay{q}_{c}], {where})"
    yield f"out = out{q}[row, t]"
    yield from _list(q, member, member.kind.step)
    if member.kind.window is not None:
        yield f"if schedule{q}[{TICK}, t]:"
        yield from ("    " + line for line in _list(q, member, member.kind.window))
    yield f"record(states{q}, slots{q}, recorded{q}, row, t)"


def _list(q: int, member: Member, each: OperationList) -> Iterator[str]:
    """One operation list over all neurons j of population q."""
    if not (each.stores or each.sends):
        return
    kind = member.kind
    operand: list[str] = []
    yield f"for j in range(n{q}):"
    for i, operation in enumerate(each.operations):
        if operation[0] == "constant":
            operand.append(_literal(operation[1]))
            continue
        operand.append(f"r{i}")
        yield f"    r{i} = {_expression(q, member, operation, operand)}"
    for name, register in each.stores.items():
        yield f"    s{q}_{list(kind.states).index(name)}[j] = {operand[register]}"
    for register in each.sends.values():
        yield f"    out[j] = {operand[register]}"


def _literal(value: int) -> str:
    return f"({int(value)})" if value < 0 else f"{int(value)}"


def _expression(q: int, member: Member, operation: Sequence[Any], operand: Sequence[str]) -> str:
    name, *operands = operation
    kind = member.kind
    loads: dict[str, Callable[[str], str]] = {
        "state": lambda key: f"s{q}_{list(kind.states).index(key)}[j]",
        "parameter": lambda key: f"p{q}_{list(kind.parameters).index(key)}[j]",
        "input": lambda key: _arrival(q, member, key),
    }
    if name in loads:
        return loads[name](operands[0])
    if name == "table":
        return f"tables{q}[{_table_start(kind, operands[0])} + {operand[operands[1]]}]"
    return EXPRESSIONS[name](*[operand[i] for i in operands])


def _arrival(q: int, member: Member, port: str) -> str:
    """The sum of a port's connections, each shifted by its exponent: one of left and right is 0."""
    terms = [
        f"((np.int64(totals{q}_{c}[j]) << left{q}_{c}) >> right{q}_{c})"
        for c, each in enumerate(member.inputs)
        if each.port == port
    ]
    return " + ".join(terms) or "0"


def _table_start(kind: Kind, name: str) -> int:
    """Where a table begins in the array of all tables of a kind."""
    start = 0
    for key, entries in kind.tables.items():
        if key == name:
            return start
        start += len(entries)
    raise KeyError(name)
