"""Sigma-delta neurons: values that are sent only where they change, as in Lava's SigmaDelta and Delta.

An activation of 1.0 is 2**12, a message of 1.0 is 2**6 (Lava's spike_exp and state_exp of 6 each). Lava
does not keep the bits that a message drops; neither do we.
"""

from functools import cache

from astrodeploy.arithmetic import STATE_MAX
from astrodeploy.compartments.kind import Kind, Port, Range, Registers, State
from astrodeploy.compartments.language import Neuron, compartment, maximum, saturate, select

MESSAGE_BITS = 6  # a message of 1.0 is 2**6
STATE_EXPONENT = 6
ACTIVATION_BITS = MESSAGE_BITS + STATE_EXPONENT

SIGMA = State(Range(-STATE_MAX, STATE_MAX))
ACTIVATION = State(Range(-2 * STATE_MAX, 2 * STATE_MAX))
DELTA = Port(Range.signed(21))


@cache
def sigma_delta(rectified: bool, accumulates: bool) -> Kind:
    """The kind: its activation is rectified or not; what arrives are changes to sum up, or values."""

    def step(n: Neuron) -> None:
        if accumulates:
            n.sigma = saturate(n.sigma + n.current, -STATE_MAX, STATE_MAX)
        else:
            n.sigma = saturate(n.current << ACTIVATION_BITS, -STATE_MAX, STATE_MAX)
        activation = maximum(n.sigma + n.bias, 0) if rectified else n.sigma + n.bias
        delta = activation - n.activation + n.residue
        sent = select((delta >= n.threshold) | (delta <= 0 - n.threshold), delta, 0)
        n.residue = saturate(delta - sent, -STATE_MAX, STATE_MAX)
        n.activation = activation
        n.delta = sent >> STATE_EXPONENT

    step.__name__ = ("sigma_delta" if accumulates else "delta") + ("" if rectified else "_linear")
    step.__doc__ = "Sums up changes, and sends its activation's change where it reaches the threshold."
    made = compartment(
        states={"sigma": SIGMA, "activation": ACTIVATION, "residue": SIGMA},
        parameters={"threshold": Range(0, STATE_MAX), "bias": SIGMA.range},
        inputs={"current": Port(Range.signed(48 if accumulates else 20))},
        outputs={"delta": DELTA},
        registers=Registers(biases=("bias",)),
    )
    return made(step)
