"""Neuron programs: what tracing writes down, and what it refuses."""

import json

import pytest

from astrodeploy.compartments import KINDS, Kind, Range
from astrodeploy.compartments.kind import Port, State
from astrodeploy.compartments.language import (
    compartment,
    count_leading_zeros,
    latch,
    maximum,
    minimum,
    saturate,
    select,
    shift_toward_zero,
    table,
    wrap,
)
from astrodeploy.errors import ProgramError

V = State(Range.signed(8))
INPUT = Port(Range.signed(4))
SPIKE = Port(Range(0, 1))


def define(step, window=None, **changes):
    """A kind with a state v, a parameter p, an input i, an output o and a table t."""
    parts = {
        "states": {"v": V},
        "parameters": {"p": Range(0, 3)},
        "inputs": {"i": INPUT},
        "outputs": {},
        "tables": {"t": (4, 5, 6)},
    }
    return compartment(**(parts | changes), window=window)(step)


# ---- what is written -------------------------------------------------------------------------------


def test_a_program_is_traced_into_numbered_operations():
    def integrator(n):
        """Sums."""
        v = saturate(n.v + n.i, -100, 100)
        spike = v > n.p
        n.v = select(spike, 0, v)
        n.o = spike

    kind = define(integrator, outputs={"o": SPIKE})
    assert kind.step.operations == (
        ("state", "v"),
        ("input", "i"),
        ("add", 0, 1),
        ("constant", -100),
        ("constant", 100),
        ("saturate", 2, 3, 4),
        ("parameter", "p"),
        ("less", 6, 5),
        ("constant", 0),
        ("select", 7, 8, 5),
    )
    assert kind.step.stores == {"v": 9}
    assert kind.step.sends == {"o": 7}
    assert (kind.name, kind.doc, kind.window, kind.lists) == ("integrator", "Sums.", None, (kind.step,))


def test_every_operator_has_its_operation():
    def all_of_them(n):
        a, b = n.i, n.p
        bits = [a < b, a <= b, a > b, a >= b, a == b, a != b]
        values = [a + b, 1 + a, a - b, 1 - a, a * b, 2 * a, a << b, a >> b, shift_toward_zero(a, b)]
        values += [minimum(a, b), maximum(0, a), saturate(a, 0, 3), wrap(a, 3), latch(b, a)]
        values += [
            count_leading_zeros(b),
            table("t", saturate(a, 0, 2)),
            select(bits[0] & bits[1] | bits[2], a, b),
        ]
        n.v = saturate(values[0], -5, 5)

    assert define(all_of_them).operations_used == {
        *(
            "add",
            "subtract",
            "multiply",
            "shift_left",
            "shift_floor",
            "shift_toward_zero",
            "less",
            "less_equal",
        ),
        *("equal", "not_equal", "and", "or", "select", "minimum", "maximum", "saturate", "wrap"),
        *("count_leading_zeros", "table"),
    }


def test_equal_operations_share_a_register_and_a_stored_state_reads_as_stored():
    def twice(n):
        n.v = (n.i + 1) + (n.i + 1)
        n.o = n.v > 0

    kind = define(twice, outputs={"o": SPIKE})
    assert [op[0] for op in kind.step.operations] == ["input", "constant", "add", "add", "constant", "less"]
    assert kind.step.operations[5] == ("less", 4, 3)


def test_a_window_list_may_send_what_the_step_list_does_not():
    def step(n):
        n.v = saturate(n.v + n.i, -9, 9)

    def window(n):
        n.o = n.v > 3
        n.v = 0

    kind = define(step, window, outputs={"o": SPIKE})
    assert "o" in kind.window.sends
    assert kind.lists == (kind.step, kind.window)
    assert "spike" in KINDS["lif"].step.sends


def test_state_bits_are_the_sum_of_the_widths():
    assert KINDS["lif"].state_bits == 25 + 24  # u reaches +2**23
    assert [Range(*r).bits for r in [(0, 0), (0, 1), (0, 255), (-1, 0), (-128, 127), (-129, 0), (-1, 255)]] == [
        1, 1, 8, 1, 8, 9, 9,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_kinds_survive_json(kind):
    back = Kind.from_dict(json.loads(json.dumps(kind.to_dict())))
    assert back == kind
    assert back.fingerprint == kind.fingerprint


def test_fingerprints_differ_where_meanings_do():
    def holds(n):
        n.v = n.v

    same, other = define(holds), define(holds, states={"v": State(V.range, slow=True)})
    assert define(holds).fingerprint == same.fingerprint != other.fingerprint


# ---- what is refused -------------------------------------------------------------------------------


def assigns(value):
    """A body that stores value(n) in v."""

    def body(n):
        n.v = value(n)

    return body


REFUSED = {
    r"body\.v is declared -128\.\.127 but may become -136\.\.134: saturate or wrap it": lambda n: n.v + n.i,
    r"may reach .*, beyond 62 bits": lambda n: saturate(n.v << 60, -1, 1),
    r"no branches: use select": lambda n: n.i if n.i > 0 else 0,
    r"a shift by 0\.\.63 bits is outside 0\.\.62": lambda n: n.i >> (n.p * 21),
    r"a shift by -8\.\.7 bits is outside": lambda n: shift_toward_zero(n.v, n.i),
    r"a shift by -1\.\.-1 bits is outside": lambda n: n.i << -1,
    r"and, or take truth values 0 or 1, not -8\.\.7": lambda n: n.i & (n.i > 0),
    r"a select's condition is 0 or 1, not 0\.\.3": lambda n: select(n.p, 1, 2),
    r"saturate needs low <= high, not 0\.\.3 and 2\.\.2": lambda n: saturate(n.i, n.p, 2),
    r"wrap takes a constant width of 2\.\.61 bits, not 0\.\.3": lambda n: wrap(n.i, n.p),
    r"wrap takes a constant width of 2\.\.61 bits, not 62\.\.62": lambda n: wrap(n.i, 62),
    r"count_leading_zeros takes 0\.\.2\*\*32 - 1, not -8\.\.7": lambda n: count_leading_zeros(n.i),
    r"table t is read at 0\.\.3, outside 0\.\.2": lambda n: table("t", n.p),
    r"names nothing that exists": lambda n: table("none", n.p),
    r"body: 1\.5 is not a whole number": lambda n: n.i + 1.5,
    r"body: True is not a whole number": lambda n: n.i + True,
    r"body: none is no state, parameter or input": lambda n: n.none,
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_program_is_refused(message):
    with pytest.raises(ProgramError, match=message):
        define(assigns(REFUSED[message]))


def test_a_start_outside_the_range_is_refused():
    with pytest.raises(ProgramError, match=r"body\.v starts at 200, outside -128\.\.127"):
        define(assigns(lambda n: n.v), states={"v": State(V.range, 200)})


def test_an_output_outside_its_range_is_refused():
    def body(n):
        n.o = n.p

    with pytest.raises(ProgramError, match=r"body\.o is declared 0\.\.1 but may become 0\.\.3"):
        define(body, outputs={"o": SPIKE})


def test_what_is_neither_state_nor_output_is_not_assigned():
    def body(n):
        n.p = n.i

    with pytest.raises(ProgramError, match=r"body: p is neither a state nor an output"):
        define(body)


def test_one_list_sends_an_output_not_two_and_not_none():
    def sends(n):
        n.o = n.i > 0

    with pytest.raises(ProgramError, match=r"every output is sent by exactly one list, here \['o', 'o'\]"):
        define(sends, sends, outputs={"o": SPIKE})
    with pytest.raises(ProgramError, match=r"every output is sent by exactly one list, here \[\]"):
        define(assigns(lambda n: n.v), outputs={"o": SPIKE})


# ---- plain data that was changed -------------------------------------------------------------------


def lif():
    return json.loads(json.dumps(KINDS["lif"].to_dict()))


@pytest.mark.parametrize(
    "key", ["name", "states", "parameters", "inputs", "outputs", "tables", "step", "window"]
)
def test_plain_data_without_a_key_is_malformed(key):
    data = lif()
    del data[key]
    with pytest.raises(ProgramError, match="a compartment kind is malformed: KeyError"):
        Kind.from_dict(data)


@pytest.mark.parametrize("value", [5, None, "text", [1, 2], {"u": 5}, {"u": ["a", 1, 0, False]}, {"u": [1]}])
def test_plain_data_of_a_wrong_type_is_malformed(value):
    with pytest.raises(ProgramError, match="a compartment kind is malformed"):
        Kind.from_dict(lif() | {"states": value})


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (["add", 0, 99], "operand 99 is no earlier register"),
        (["add", 0, -1], "operand -1 is no earlier register"),
        (["add", 0, "0"], "operand '0' is no earlier register"),
        (["add", 0, True], "operand True is no earlier register"),
        (["add", 0], "add takes 2 operands, not 1"),
        (["constant", 2.5], "is not a whole number"),
        (["constant", "__import__('os')"], "is not a whole number"),
        (["constant", True], "is not a whole number"),
        (["constant", 1 << 62], "beyond 62 bits"),
        (["constant"], "names nothing that exists"),
        (["state", "w"], "names nothing that exists"),
        (["parameter", ["du"]], "names nothing that exists"),
        (["input", 3], "names nothing that exists"),
        (["import", 0, 0], "names nothing that exists"),
        (["table", "t", 0], "names nothing that exists"),
    ],
)
def test_a_corrupted_operation_is_refused(operation, message):
    data = lif()
    data["step"]["operations"][5] = operation
    with pytest.raises(ProgramError, match=message):
        Kind.from_dict(data)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("stores", {"v": 99}, "operand 99 is no earlier register"),
        ("stores", {"w": 0}, "w is neither a state nor an output"),
        ("sends", {"spike": "0"}, "operand '0' is no earlier register"),
        ("sends", {}, "every output is sent by exactly one list"),
        ("sends", {"spike": 0}, r"lif\.spike is declared 0\.\.1 but may become"),
    ],
)
def test_a_corrupted_store_or_send_is_refused(part, change, message):
    data = lif()
    data["step"][part] = change
    with pytest.raises(ProgramError, match=message):
        Kind.from_dict(data)


def test_a_narrowed_state_is_proven_anew():
    data = lif()
    data["states"]["v"][1] = 100
    with pytest.raises(ProgramError, match=r"lif\.v is declared -8388607\.\.100 but may become"):
        Kind.from_dict(data)


def test_what_is_kept_or_sent_fits_32_bits():
    with pytest.raises(ProgramError, match=r"broad\.wide is declared .*; it must fit 32 bits"):

        @compartment(states={"wide": State(Range.signed(33))})
        def broad(n):
            n.wide = n.wide


def test_a_kind_has_one_output():
    with pytest.raises(ProgramError, match=r"two has the outputs \['a', 'b'\], a kind has at most one"):

        @compartment(states={}, outputs={"a": Port(Range(0, 1)), "b": Port(Range(0, 1))})
        def two(n):
            n.a, n.b = 1, 0


@pytest.mark.parametrize("values", [(), (1 << 62,)])
def test_tables_are_bounded(values):
    with pytest.raises(ProgramError, match="the table t is empty or leaves 62 bits"):

        @compartment(states={"s": State(Range(0, 9))}, tables={"t": values})
        def tabled(n):
            n.s = 0
