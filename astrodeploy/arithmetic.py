"""The chip's integer arithmetic: the one place where the meaning of an operation stands.

Imports nothing and works on Python integers and on numpy int64 arrays alike, so that the oracle
interprets a neuron program on plain integers and the Lava runner executes the same text, from this
very file, on arrays. The fast engine generates code and is held against it operation by operation.

Every operand and result is proven to stay below 2**62 in magnitude before a program is accepted
(`compartments/language.py`), so that sums and differences of two never leave 64 bits.

Sources: Lava 0.10.0 `proc/lif/models.py` (decay toward zero, wrap of u, saturation of v, << 6).
"""

DECAY_BITS = 12  # a decay factor d is effective: x -> x * (4096 - d) >> 12, toward zero, d in 0..4096
DECAY_UNITY = 1 << DECAY_BITS
STATE_BITS = 24  # u wraps into (-2**23, 2**23], v saturates at +-(2**23 - 1)
STATE_MAX = (1 << (STATE_BITS - 1)) - 1
ALIGNMENT = 6  # synaptic input and threshold mantissas are shifted left by 6 bits
THRESHOLD_MAX = (1 << 17) - 1  # largest threshold mantissa
LEADING_ZEROS_WIDTH = 32


def add(a, b):
    """a + b."""
    return a + b


def subtract(a, b):
    """a - b."""
    return a - b


def multiply(a, b):
    """a * b."""
    return a * b


def shift_left(a, bits):
    """a * 2**bits."""
    return a << bits


def shift_floor(a, bits):
    """a / 2**bits, rounded toward minus infinity."""
    return a >> bits


def shift_toward_zero(a, bits):
    """a / 2**bits, rounded toward zero."""
    return (a + (a < 0) * ((1 << bits) - 1)) >> bits


def less(a, b):
    """1 where a < b, else 0."""
    return (a < b) * 1


def less_equal(a, b):
    """1 where a <= b, else 0."""
    return (a <= b) * 1


def equal(a, b):
    """1 where a == b, else 0."""
    return (a == b) * 1


def not_equal(a, b):
    """1 where a != b, else 0."""
    return (a != b) * 1


def logical_and(a, b):
    """a and b, both 0 or 1."""
    return a & b


def logical_or(a, b):
    """a or b, both 0 or 1."""
    return a | b


def select(condition, a, b):
    """a where condition is 1, b where it is 0."""
    return b + (a - b) * condition


def minimum(a, b):
    """The smaller of the two."""
    return select(less(a, b), a, b)


def maximum(a, b):
    """The larger of the two."""
    return select(less(a, b), b, a)


def saturate(a, low, high):
    """a, held within low..high."""
    return minimum(maximum(a, low), high)


def wrap(a, bits):
    """a modulo 2**bits, in (-2**(bits-1), 2**(bits-1)]: +2**(bits-1) itself stays, as in Lava."""
    half = 1 << (bits - 1)
    return ((a + (half - 1)) & (2 * half - 1)) - (half - 1)


def count_leading_zeros(a):
    """Zero bits before the first one of a 32-bit word, 32 for 0; a is 0..2**32 - 1."""
    zeros = LEADING_ZEROS_WIDTH
    for bits in (16, 8, 4, 2, 1):
        step = not_equal(a >> bits, 0) * bits
        a = a >> step
        zeros = zeros - step
    return zeros - not_equal(a, 0)


OPERATIONS = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "shift_left": shift_left,
    "shift_floor": shift_floor,
    "shift_toward_zero": shift_toward_zero,
    "less": less,
    "less_equal": less_equal,
    "equal": equal,
    "not_equal": not_equal,
    "and": logical_and,
    "or": logical_or,
    "select": select,
    "minimum": minimum,
    "maximum": maximum,
    "saturate": saturate,
    "wrap": wrap,
    "count_leading_zeros": count_leading_zeros,
}


def execute(operations, states, parameters, inputs, tables, functions=OPERATIONS):
    """Run one operation list and return the value of every register.

    An operation is a sequence: a name and its operands. `constant` carries its value, `state`,
    `parameter` and `input` a name, `table` a name and a register; all others carry registers, that
    is, positions of earlier operations in the list. The mappings hold Python integers or arrays.
    """
    registers: list[int] = []
    sources = {"state": states, "parameter": parameters, "input": inputs}
    for name, *operands in operations:
        if name == "constant":
            value = operands[0]
        elif name in sources:
            value = sources[name][operands[0]]
        elif name == "table":
            value = tables[operands[0]][registers[operands[1]]]
        else:
            value = functions[name](*[registers[i] for i in operands])
        registers.append(value)
    return registers


def ticks(step: int, depth: int, period: int) -> bool:
    """Whether the slow list of a population runs in a step: at the end of each window of `period` steps.

    The windows of a population of depth k start at step k of the run (or of the stream).
    """
    return step >= depth and (step - depth + 1) % period == 0


def resets(step: int, depth: int, reset_every: int) -> str:
    """What a population of depth k clears before a step: "" | "fast" | "all".

    All states start anew where its first window starts, step k; its fast states every `reset_every`
    steps from there. 0 means never: the population then runs from step 0 on as it is.
    """
    if reset_every == 0 or step < depth or (step - depth) % reset_every:
        return ""
    return "all" if step == depth else "fast"


def dropped(step: int, depth: int, lag: int, reset_every: int, slow: bool) -> bool:
    """Whether a message that arrives in a step is left over from before the population's last reset.

    `lag` is the connection's delay in the model's own time: a message of lag 1 that arrives in the
    first step after a reset was sent before it. A slow port carries on over the fast resets.
    """
    if lag == 0 or reset_every == 0 or step < depth:
        return False
    age = step - depth
    return age < lag or (not slow and age % reset_every < lag)
