"""Leaky integrate-and-fire compartments, plain and with a multiplicative gain."""

from astrodeploy.arithmetic import ALIGNMENT, DECAY_BITS, DECAY_UNITY, STATE_BITS, STATE_MAX, THRESHOLD_MAX
from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import (
    Neuron,
    Value,
    compartment,
    latch,
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
PARAMETERS = {
    "du": Range(0, DECAY_UNITY),  # decay factor of u, per 4096
    "dv": Range(0, DECAY_UNITY),  # decay factor of v, per 4096
    "threshold": Range(0, THRESHOLD_MAX),  # mantissa, << 6
    "bias": Range.signed(20),  # added to v in every step (mantissa of 13 bits << exponent 0..7)
}
MODULATED_PARAMETERS = PARAMETERS | {"modulated_bias": PARAMETERS["bias"]}  # multiplied by the gain


def decay(x: Value, factor: Value) -> Value:
    """x * (4096 - factor) >> 12, toward zero."""
    return shift_toward_zero(x * (DECAY_UNITY - factor), DECAY_BITS)


def integrate_and_fire(n: Neuron, current: Value, bias: Value) -> None:
    """u' = decay(u) + current; v' = decay(v) + u' + bias; spike where v' > threshold, then v' = 0."""
    n.u = wrap(decay(n.u, n.du) + current, STATE_BITS)
    v = saturate(decay(n.v, n.dv) + n.u + bias, -STATE_MAX, STATE_MAX)
    spike = v > (n.threshold << ALIGNMENT)
    n.v = select(spike, 0, v)
    n.spike = spike


@compartment(
    states={"u": U, "v": V},
    parameters=PARAMETERS,
    inputs={"current": CURRENT},
    outputs={"spike": SPIKE},
)
def lif(n: Neuron) -> None:
    """Loihi's compartment: current and voltage decay, hard reset to zero; Lava's stock LIF."""
    integrate_and_fire(n, n.current << ALIGNMENT, n.bias)


@compartment(
    states={"u": U, "v": V, "gain": State(GAIN, GAIN_UNITY, slow=True)},
    parameters=MODULATED_PARAMETERS,
    inputs={"current": CURRENT, "modulation": Port(GAIN, slow=True)},
    outputs={"spike": SPIKE},
)
def modulated_lif(n: Neuron) -> None:
    """LIF whose input (synapses and modulated bias) is multiplied by a gain, kept until the next comes."""
    n.gain = latch(n.gain, n.modulation)
    current = shift_toward_zero(n.current * n.gain, GAIN_BITS - ALIGNMENT)
    modulated = shift_toward_zero(n.modulated_bias * n.gain, GAIN_BITS)
    integrate_and_fire(n, current, n.bias + modulated)
