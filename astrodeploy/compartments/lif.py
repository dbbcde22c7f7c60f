"""Leaky integrate-and-fire compartments: Loihi's own, and its variants as neuron programs."""

from dataclasses import dataclass
from functools import cache

from astrodeploy.arithmetic import ALIGNMENT, DECAY_BITS, DECAY_UNITY, STATE_BITS, STATE_MAX, THRESHOLD_MAX
from astrodeploy.compartments.kind import Kind, Port, Range, Registers, State
from astrodeploy.compartments.language import (
    Neuron,
    Value,
    compartment,
    latch,
    maximum,
    saturate,
    select,
    shift_toward_zero,
    wrap,
)

GAIN_BITS = 8  # a gain of 1.0 is the integer 256
GAIN_UNITY = 1 << GAIN_BITS
GAIN = Range.unsigned(12)

U = State(Range(-STATE_MAX, STATE_MAX + 1))  # +2**23 itself is allowed, as in Lava
V = State(Range(-STATE_MAX, STATE_MAX))
CURRENT = Port(Range.signed(19))  # below 2**18 in magnitude Lava's single wrap of u is a true wrap
SPIKE = Port(Range(0, 1))
MESSAGE = Range.signed(8)  # a membrane on its way to other neurons
RECTIFIED = Range.unsigned(7)  # one without its negative part, in the same unit
WAIT = Range(0, 63)  # steps of a refractory period
PARAMETERS = {
    "du": Range(0, DECAY_UNITY),  # decay factor of u, per 4096
    "dv": Range(0, DECAY_UNITY),  # decay factor of v, per 4096
    "threshold": Range(0, THRESHOLD_MAX),  # mantissa, << 6
    "bias": Range.signed(20),  # added to v in every step (mantissa of 13 bits << exponent 0..7)
}


def decay(x: Value, factor: Value) -> Value:
    """x * (4096 - factor) >> 12, toward zero."""
    return shift_toward_zero(x * (DECAY_UNITY - factor), DECAY_BITS)


@dataclass(frozen=True)
class Variant:
    """How a neuron differs from Loihi's own: `ir.nodes.Membrane` says what each means.

    message  what a membrane may be on its way to other neurons
    """

    gain: bool = False
    reset: str = "value"
    comparison: str = ">"
    refractory: bool = False
    sends: str = "spikes"
    message: Range = MESSAGE

    @property
    def name(self) -> str:
        """The kind's name, which names every difference."""
        parts = [{"spikes": "lif", "membrane": "li", "rectified": "li_rectified"}[self.sends]]
        if self.sends == "spikes":
            parts += [{"value": "", "subtract": "subtract", "none": "unreset"}[self.reset]]
            parts += ["at_least"] * (self.comparison == ">=") + ["refractory"] * self.refractory
        parts += [f"{self.message.bits}bit"] * (self.message != MESSAGE)
        return "_".join(["modulated"] * self.gain + [p for p in parts if p])

    @property
    def sent(self) -> Range:
        """What it may send; without its negative part in the same unit."""
        return {"spikes": SPIKE.range, "membrane": self.message, "rectified": Range(0, self.message.high)}[
            self.sends
        ]


def _integrate(n: Neuron, variant: Variant) -> Value:
    """u' = decay(u) + current; the new v, before any reset: decay(v) + u' + bias."""
    if variant.gain:
        n.gain = latch(n.gain, n.modulation)
        current = shift_toward_zero(n.current * n.gain, GAIN_BITS - ALIGNMENT)
        bias = n.bias + shift_toward_zero(n.modulated_bias * n.gain, GAIN_BITS)
    else:
        current, bias = n.current << ALIGNMENT, n.bias
    n.u = wrap(decay(n.u, n.du) + current, STATE_BITS)
    return saturate(decay(n.v, n.dv) + n.u + bias, -STATE_MAX, STATE_MAX)


def _fire(n: Neuron, v: Value, variant: Variant) -> None:
    """Spike where v' passes the threshold, and reset."""
    free = None
    if variant.refractory:
        free = n.wait == 0
        v = select(free, v, n.v)
    threshold = n.threshold << ALIGNMENT
    spike = v >= threshold if variant.comparison == ">=" else v > threshold
    if free is not None:
        spike = spike & free
        n.wait = select(spike, n.refractory, maximum(n.wait - 1, 0))
    if variant.reset == "value":
        n.v = select(spike, 0, v)
    elif variant.reset == "subtract":
        n.v = select(spike, maximum(v - threshold, -STATE_MAX), v)
    else:
        n.v = v
    n.spike = spike


def _send(n: Neuron, v: Value, allowed: Range) -> None:
    """Keep v, and send it in few bits."""
    n.v = v
    n.message = saturate(v >> n.message_shift, allowed.low, allowed.high)


@cache
def neuron(variant: Variant) -> Kind:
    """The kind of a variant: `lif`, `modulated_lif`, `lif_subtract`, ..."""
    message = None if variant.sends == "spikes" else variant.sent
    states = {"u": U, "v": V}
    parameters = dict(PARAMETERS)
    inputs = {"current": CURRENT}
    if variant.gain:
        states |= {"gain": State(GAIN, GAIN_UNITY, slow=True)}
        parameters |= {"modulated_bias": PARAMETERS["bias"]}
        inputs |= {"modulation": Port(GAIN, slow=True)}
    if variant.refractory:
        states |= {"wait": State(WAIT)}
        parameters |= {"refractory": WAIT}
    if message is not None:
        del parameters["threshold"]
        parameters |= {"message_shift": Range(0, STATE_BITS)}

    def step(n: Neuron) -> None:
        v = _integrate(n, variant)
        if message is not None:
            _send(n, v, message)
        else:
            _fire(n, v, variant)

    step.__name__ = variant.name
    step.__doc__ = DOCS.get(variant.name, f"{DOCS['lif']} Here: {variant.name.replace('_', ' ')}.")
    outputs = {"spike": SPIKE} if message is None else {"message": Port(message)}
    registers = Registers(
        decays=(("du", "dv"),),
        thresholds=("threshold",) if message is None else (),
        biases=("bias", "modulated_bias") if variant.gain else ("bias",),
    )
    made = compartment(
        states=states, parameters=parameters, inputs=inputs, outputs=outputs, registers=registers
    )
    return made(step)


DOCS = {
    "lif": "Loihi's compartment: current and voltage decay, hard reset to zero; Lava's stock LIF.",
    "modulated_lif": (
        "LIF whose input (synapses and modulated bias) is multiplied by a gain, kept until the next comes."
    ),
    "li_rectified": "A leaky integrator without a threshold, which sends the positive part of its membrane.",
    "li": "A leaky integrator without a threshold, which sends its membrane in 8 bits.",
}
lif = neuron(Variant())
modulated_lif = neuron(Variant(gain=True))
