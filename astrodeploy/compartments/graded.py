"""Astrocytes whose messages carry a signal: a drive, a leaky state, an output, by any of several forms.

One definition; the Form says which parts a population needs, so that it keeps and computes no more.
"""

from dataclasses import dataclass
from functools import cache

from astrodeploy.arithmetic import DECAY_UNITY
from astrodeploy.compartments import functions
from astrodeploy.compartments.functions import LOG_BITS
from astrodeploy.compartments.kind import Kind, Port, Range, State
from astrodeploy.compartments.language import Neuron, Value, compartment, saturate, select, shift_toward_zero
from astrodeploy.compartments.lif import decay

WIDE = Range(-(1 << 23) + 1, (1 << 23) - 1)  # states, and what arrives in a step
MESSAGE = Range(-(1 << 15) + 1, (1 << 15) - 1)
EXPONENT_BITS = 12  # of the power's exponent
LONG = Range(-(1 << 30) + 1, (1 << 30) - 1)  # an elu, which grows as its argument does
SHARE_BITS = 14  # a sigmoid's or tanh's 1.0, before the message's shift
SHIFT = Range(0, 40)
SCALE = Range(-96 << LOG_BITS, 96 << LOG_BITS)  # log2 of a factor; with log2 of a state still within WIDE
ARGUMENTS = ("exp2", "sigmoid", "tanh", "elu")  # whose argument is in LOG_BITS


@dataclass(frozen=True)
class Form:
    """Which parts an astrocyte has (`ir.nodes.Astrocyte` says what each means).

    window   a period of more than one step
    memory   a state; without, the output is a function of what arrives in the step
    message  what it may send
    pool, product, factor   what is connected: "activity"; "left" and "right"; "factor"
    """

    window: bool
    memory: bool
    pool: bool
    product: bool
    factor: bool
    output: str
    slow: bool
    message: Range = MESSAGE

    @property
    def keeps_output(self) -> bool:
        """Whether the output is a state: made once a window, multiplied in every step."""
        return self.window and self.factor

    @property
    def name(self) -> str:
        """The kind's name, which names every part."""
        parts = ["astrocyte" if self.memory or self.window else "graded"]
        parts += ["windowed"] * self.window + ["slow"] * self.slow + ["pool"] * self.pool
        parts += ["product"] * self.product + [self.output] + ["factor"] * self.factor
        parts += [f"{self.message.bits}bit"] * (self.message != MESSAGE)
        return "_".join(parts)


def _arriving(n: Neuron, form: Form) -> Value:
    """What one step adds to the drive."""
    product = None
    if form.product:
        left, right = n.left + n.left_bias, n.right + n.right_bias
        product = shift_toward_zero(left * right, n.product_shift)
    if not form.pool:
        assert product is not None
        return product
    return n.activity if product is None else product + n.activity


def _driven(n: Neuron, form: Form, count: Value) -> Value:
    """The new state, from a window's drive."""
    drive = shift_toward_zero(count * n.drive, n.drive_shift) + n.offset
    if form.memory:
        n.trace = saturate(decay(n.trace, n.trace_decay) + drive, WIDE.low, WIDE.high)
        return n.trace
    return saturate(drive, WIDE.low, WIDE.high)


def _output(n: Neuron, form: Form, state: Value) -> Value:
    """f of the state, in 24 bits."""
    if form.output == "identity":
        return state
    if form.output == "power":
        return saturate(functions.power(state, n.exponent, n.scale, EXPONENT_BITS), 0, WIDE.high)
    if form.output == "log2":
        return select(state > 0, functions.log2(state) + n.scale, 0)
    argument = shift_toward_zero(state * n.argument, n.argument_shift)
    if form.output == "exp2":
        return saturate(functions.exp2(argument + n.scale), 0, WIDE.high)
    if form.output == "elu":
        grown = functions.elu(saturate(argument, LONG.low, LONG.high))
        return saturate(grown, 0, WIDE.high) if form.keeps_output else grown
    argument = saturate(argument, WIDE.low, WIDE.high)
    return {"sigmoid": functions.sigmoid, "tanh": functions.tanh}[form.output](argument, SHARE_BITS)


def _message(n: Neuron, form: Form, output: Value) -> Value:
    if form.factor:
        output = output * (n.factor + n.factor_bias)
    return saturate(shift_toward_zero(output, n.message_shift), form.message.low, form.message.high)


@cache
def astrocyte_of(form: Form) -> Kind:
    """The kind of a form."""

    def step(n: Neuron) -> None:
        drive = _arriving(n, form)
        if form.window:
            n.count = saturate(n.count + drive, WIDE.low, WIDE.high)
            if form.factor:
                n.message = _message(n, form, n.output)
        else:
            n.message = _message(n, form, _output(n, form, _driven(n, form, drive)))

    def window(n: Neuron) -> None:
        output = _output(n, form, _driven(n, form, n.count))
        if form.factor:
            n.output = output
        else:
            n.message = _message(n, form, output)
        n.count = 0

    step.__name__ = form.name
    step.__doc__ = "A drive, a leaky state, an output that carries a signal" + (
        ", once a window." if form.window else "." if form.memory else "; without a state."
    )
    made = compartment(
        states=_states(form),
        parameters=_parameters(form),
        inputs={name: Port(WIDE, form.slow) for name in _ports(form)},
        outputs={"message": Port(form.message)},
        window=window if form.window else None,
        role="astrocytes" if form.window or form.memory else "neurons",
    )
    return made(step)


def _ports(form: Form) -> list[str]:
    return ["activity"] * form.pool + ["left", "right"] * form.product + ["factor"] * form.factor


def _states(form: Form) -> dict[str, State]:
    kept = State(WIDE, slow=form.slow)
    names = ["count"] * form.window + ["trace"] * form.memory + ["output"] * form.keeps_output
    return dict.fromkeys(names, kept)


def _parameters(form: Form) -> dict[str, Range]:
    parameters = {"drive": Range.signed(14), "drive_shift": SHIFT, "offset": WIDE, "message_shift": SHIFT}
    if form.memory:
        parameters |= {"trace_decay": Range(0, DECAY_UNITY)}
    if form.product:
        parameters |= {"left_bias": WIDE, "right_bias": WIDE, "product_shift": SHIFT}
    if form.factor:
        parameters |= {"factor_bias": WIDE}
    if form.output in ARGUMENTS:
        parameters |= {"argument": Range.unsigned(14), "argument_shift": SHIFT}
    if form.output in ("exp2", "power", "log2"):
        parameters |= {"scale": SCALE}
    if form.output == "power":
        parameters |= {"exponent": Range.signed(3 + EXPONENT_BITS)}
    return parameters
