"""The slow compartment that turns pooled activity into a gain."""

from astrodeploy.arithmetic import DECAY_UNITY, STATE_MAX
from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import Neuron, Value, compartment, saturate, shift_toward_zero
from astrodeploy.compartments.lif import GAIN, GAIN_BITS, decay

TRACE_BITS = 20  # a trace of 1.0 spike per neuron and step is 2**20
LOG_BITS = 16  # an octave of gain is 2**16
OCTAVES = 4  # log2 of the gain lies within -4..4

# 2**f on 0..1 as 1 + f * (LINEAR + SQUARE * f), exact at both ends; at most 0.25 % off between them
LINEAR = 43025
SQUARE = (1 << LOG_BITS) - LINEAR

SLOW = State(Range(-STATE_MAX, STATE_MAX), slow=True)
LOG_GAIN = Range(-(OCTAVES << LOG_BITS), (OCTAVES << LOG_BITS) - 1)


def power_of_two(log_gain: Value) -> Value:
    """2**log_gain with GAIN_BITS fraction bits, by shift and a quadratic: no table is needed."""
    shifted = log_gain + (OCTAVES << LOG_BITS)
    octave = shifted >> LOG_BITS
    fraction = saturate(shifted - (octave << LOG_BITS), 0, (1 << LOG_BITS) - 1)
    slope = ((fraction * SQUARE) >> LOG_BITS) + LINEAR
    mantissa = ((fraction * slope) >> LOG_BITS) + (1 << LOG_BITS)
    return (mantissa << octave) >> (LOG_BITS - GAIN_BITS + OCTAVES)


def tick(n: Neuron) -> None:
    """Window's end: leaky trace of the pooled drive, log-gain integrates it, the gain is sent."""
    drive = shift_toward_zero((n.count + n.set_point) * n.drive, n.drive_shift)
    n.trace = saturate(decay(n.trace, n.trace_decay) + drive, -STATE_MAX, STATE_MAX)
    change = shift_toward_zero(n.trace * n.rate, n.rate_shift)
    n.log_gain = saturate(n.log_gain + change, n.log_gain_low, n.log_gain_high)
    n.gain = power_of_two(n.log_gain)
    n.count = 0


@compartment(
    states={"count": SLOW, "trace": SLOW, "log_gain": State(LOG_GAIN, slow=True)},
    parameters={
        "set_point": SLOW.range,  # added to the count of a window
        "trace_decay": Range(0, DECAY_UNITY),  # per 4096, a window
        "drive": Range.unsigned(12),  # drive / 2**drive_shift: from a window's count to the trace
        "drive_shift": Range(0, 31),
        "rate": Range.unsigned(12),  # rate / 2**rate_shift: from the trace to log2 gain
        "rate_shift": Range(0, 31),
        "log_gain_low": Range(LOG_GAIN.low, 0),
        "log_gain_high": Range(0, LOG_GAIN.high),
    },
    inputs={"activity": Port(Range.signed(19), slow=True)},
    outputs={"gain": Port(GAIN)},
    window=tick,
    role="astrocytes",
)
def astrocyte(n: Neuron) -> None:
    """Astrocyte of a domain: counts pooled spikes, and turns them into a gain once a window."""
    n.count = saturate(n.count + n.activity, -STATE_MAX, STATE_MAX)
