"""What the chip has of all that: one leaky state on a slow clock, and an output function, fitted to the full model.

It is the astrocyte of the compiler (drive, leaky state, output): at the end of each window of P steps

    a <- (1 - decay) a + drive c + offset        c presynaptic spikes came in the window
    calcium = scale f(a)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from model import STEP, SYNAPSES, WINDOW, Recording, window_seconds
from scipy.optimize import least_squares
from scipy.signal import lfilter

LEAST = 2.0**-16  # below it a logarithm is that of it, as in the compiler's astrocyte
FUNCTIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "identity": lambda a, exponent: a,
    "exp2": lambda a, exponent: np.exp2(a),
    "log2": lambda a, exponent: np.log2(np.maximum(a, LEAST)),
    "power": lambda a, exponent: np.maximum(a, 0) ** exponent,
    "sigmoid": lambda a, exponent: 1 / (1 + np.exp(-a)),
    "tanh": lambda a, exponent: np.tanh(a),
}
OUTPUTS = tuple(FUNCTIONS)
HOMOGENEOUS = ("identity", "log2", "power")  # a factor of the state is one of the scale, or needs no name


@dataclass(frozen=True)
class SlowUnit:
    """The reduced compartment as plain numbers; scale is in uM, times are in steps of 1 ms."""

    period: int
    decay: float
    drive: float
    offset: float
    output: str
    exponent: float
    scale: float

    def states(self, arrived: np.ndarray) -> np.ndarray:
        """a at the end of each window, (windows, models), from 0 on; arrived as in a Recording."""
        each = self.drive * arrived + self.offset
        return np.asarray(lfilter([1.0], [1.0, self.decay - 1], each, axis=0))

    def calcium(self, arrived: np.ndarray) -> np.ndarray:
        """The output at the end of each window, (windows, models), uM."""
        return self.scale * FUNCTIONS[self.output](self.states(arrived), self.exponent)

    @property
    def seconds(self) -> float:
        """The state's time constant."""
        return -self.period * STEP / 1000 / float(np.log1p(-self.decay))


def staircases(seed: int, holds: int, models: int) -> np.ndarray:
    """Rates (holds, models) of 1 to 50 Hz, drawn evenly on the log axis."""
    generator = np.random.default_rng([seed, 1])
    return np.exp(generator.uniform(np.log(1), np.log(50), (holds, models)))


def unit(seconds: float, gain: float, rest: float, output: str, exponent: float, scale: float) -> SlowUnit:
    """The compartment whose state settles at gain * rate + rest, for the rate of a train in Hz."""
    decay = -float(np.expm1(-window_seconds() / seconds))
    drive = decay * gain / (SYNAPSES * window_seconds())
    return SlowUnit(WINDOW, decay, float(drive), float(decay * rest), output, exponent, scale)


def fit(recording: Recording, output: str, settling: int, exponent: float | None = None) -> SlowUnit:
    """The compartment closest to a recording in the mean square, its first `settling` windows left out.

    Fitted are the time constant, the state at rest, the gain where it matters, the exponent unless it is
    given, and the scale, which for all the others is a quotient of two sums.
    """
    target = recording.calcium[settling:]

    def candidate(values: np.ndarray) -> tuple[SlowUnit, np.ndarray]:
        gain = 1.0 if output in HOMOGENEOUS else np.exp(values[2])
        power = values[3] if exponent is None else exponent
        found = unit(np.exp(values[0]), gain, values[1], output, float(power), 1.0)
        shape = found.calcium(recording.arrived)[settling:]
        scale = float((shape * target).sum() / (shape * shape).sum())
        return SlowUnit(**{**vars(found), "scale": scale}), scale * shape - target

    start = {"exp2": 0.01, "sigmoid": 0.1, "tanh": 0.1}.get(output, 1.0)
    guess = np.array([np.log(10.0), 1.0, np.log(start), 0.5])
    least = (
        -20.0 if output == "sigmoid" else 0.0
    )  # at rest; powers and logarithms need a state that is positive
    low, high = np.array([np.log(0.5), least, -9.0, 0.02]), np.array([np.log(200.0), 60.0, 3.0, 2.0])
    found = least_squares(
        lambda v: candidate(v)[1].ravel(), guess, bounds=(low, high), x_scale=(1, 1, 1, 0.2)
    )
    return candidate(found.x)[0]
