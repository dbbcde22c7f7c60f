"""What a population of the Graph can be: one dataclass per node, with its equation.

Symbols: k = dt / tau; every array has the population's shape or is a scalar array; times are in
seconds, everything else is dimensionless. Before `quantise` a network is made of the float nodes;
after it, of `Compartments` and the two inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from astrodeploy.brief import short
from astrodeploy.compartments.kind import Kind
from astrodeploy.ir.arrays import Array, FloatArray, IntArray, frozen

RESETS = ("value", "subtract", "none")
COMPARISONS = (">", ">=")
INTEGRATORS = ("euler", "exponential")
SENDS = ("spikes", "membrane", "rectified")
OUTPUTS = {
    "gain": "2**L, where L integrates a",
    "identity": "a",
    "exp2": "2**a",
    "log2": "log2(a); 0 where a <= 0",
    "power": "a**exponent; 0 where a <= 0",
    "sigmoid": "1 / (1 + exp(-a))",
    "tanh": "tanh(a)",
    "elu": "a + 1 where a > 0, exp(a) elsewhere",
}

__all__ = ["Array", "FloatArray", "IntArray", "frozen"]


class Node:
    """Base of all nodes; `role` is what a population of the node is where nobody says it."""

    @property
    def role(self) -> str:
        """Of `ir.graph.ROLES`."""
        return "neurons"

    def arrays(self) -> dict[str, Array]:
        """The node's array fields by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {k: v for k, v in values.items() if isinstance(v, np.ndarray)}

    def scalars(self) -> dict[str, object]:
        """The node's other fields by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {k: v for k, v in values.items() if not isinstance(v, np.ndarray)}

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{k}={v}" for k, v in self.scalars().items() if isinstance(v, int | float | str)
        )
        return f"<{type(self).__name__}{f' {short(settings, 160)}' if settings else ''}>"

    def _freeze(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            if each.type is FloatArray:
                object.__setattr__(self, each.name, frozen(getattr(self, each.name), np.float64))


@dataclass(frozen=True, eq=False, repr=False)
class Input(Node):
    """What comes from outside: x[:, t] is what the population sends in step t.

    Spikes are 0 and 1. Graded input is sent as the nearest integer to `unit` x within low..high.
    """

    low: int = 0
    high: int = 1
    unit: float = 1.0

    @property
    def role(self) -> str:
        """An input."""
        return "input"


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Node):
    """Sends 1 in every step: what a bias in a synaptic current becomes."""


@dataclass(frozen=True, eq=False, repr=False)
class RateEncoder(Node):
    """Values in 0..1 become spikes: z[t] = 1 where value > h(seed, t, i) / 65536.

    h is a hash of seed, step and position (`astrodeploy/encoders.py`): the same value always gives
    the same spikes, in torch, in the Graph and in the Program. One sample is `steps` steps long.
    """

    steps: int
    seed: int

    @property
    def role(self) -> str:
        """An input."""
        return "input"


@dataclass(frozen=True, eq=False, repr=False)
class Membrane(Node):
    """Base of the neurons: tau v' = v_leak - v + r I, stepped from v_leak on:

        v <- v + leak (v_leak - v) + drive I;  z = v > v_threshold;  v <- v_reset where z

    What the input I is, the kinds of neurons say; `bias` is a constant part of it. An infinite tau is a
    neuron without leak, v' = r I. What else differs between the tools that train neurons:

    integrator  "euler": leak = k; "exponential": leak = 1 - exp(-k); k = dt / tau. drive = leak r, and
                dt r without leak
    reset       "value": to v_reset; "subtract": v <- v - (v_threshold - v_reset); "none"
    comparison  a spike where v ">" or ">=" v_threshold
    refractory  steps after a spike in which v stays as the reset left it
    sends       "spikes"; without a threshold: "membrane", the message is v itself, or "rectified", max(v, 0)
    """

    tau: FloatArray
    r: FloatArray
    v_leak: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray
    bias: FloatArray
    integrator: str = field(default="euler", kw_only=True)
    reset: str = field(default="value", kw_only=True)
    comparison: str = field(default=">", kw_only=True)
    refractory: int = field(default=0, kw_only=True)
    sends: str = field(default="spikes", kw_only=True)

    def __post_init__(self) -> None:
        self._freeze()

    def leak(self, dt: float) -> FloatArray:
        """Share of the way to v_leak that v goes in a step."""
        return _share(dt / self.tau, self.integrator)

    def drive(self, dt: float) -> FloatArray:
        """What an input of 1 adds to v in a step."""
        return np.where(np.isinf(self.tau), dt, self.leak(dt)) * self.r

    @property
    def reach(self) -> FloatArray:
        """The threshold above the reset value; 1 for a neuron without a threshold."""
        if self.sends != "spikes":
            return np.ones_like(self.v_threshold)
        return self.v_threshold - self.v_reset


def _share(k: FloatArray, integrator: str) -> FloatArray:
    return np.asarray(k if integrator == "euler" else -np.expm1(-k))


@dataclass(frozen=True, eq=False, repr=False)
class LIF(Membrane):
    """A membrane whose input is I = g (weighted messages + bias); g is an astrocyte's gain, 1 without one."""


@dataclass(frozen=True, eq=False, repr=False)
class CubaLIF(Membrane):
    """A membrane whose input is a synaptic current, which is updated first:

        i <- i (1 - fall) + fall w_in g (weighted messages + bias);  I = i

    with fall = dt / tau_syn, or 1 - exp(-dt / tau_syn) where the integrator is exponential. In Norse's
    LIFCell the current jumps by its input and decays after use: w_in = tau_syn / dt says the same, with
    the one factor 1 - dt / tau_syn at the right place.
    """

    tau_syn: FloatArray
    w_in: FloatArray

    def fall(self, dt: float) -> FloatArray:
        """Share of the synaptic current that is lost in a step."""
        return _share(dt / self.tau_syn, self.integrator)


@dataclass(frozen=True, eq=False, repr=False)
class SigmaDelta(Node):
    """A value that is sent only where it changes; `bias` is a part of the value.

    s <- s + I where it receives "changes", s <- I where it receives "values"
    a <- max(s + bias, 0) where its activation is "relu", s + bias where it is "none"
    d = a - (a before) + residue;  message d where |d| >= threshold, else 0;  residue = d - message
    """

    threshold: FloatArray
    bias: FloatArray
    activation: str = "relu"
    receives: str = "changes"

    def __post_init__(self) -> None:
        self._freeze()


def _nothing() -> FloatArray:
    return np.zeros(())


@dataclass(frozen=True, eq=False, repr=False)
class Astrocyte(Node):
    """A drive, a leaky state on a slow clock, an output: what astrocytes are, whatever they do to their targets.

        drive    c: what arrived at "activity" in a window of `period` steps, plus what arrived in the same
                 step at "left" times what arrived at "right" (each plus its bias), summed over the window
        state    a <- (1 - decay) a + drive c + offset, at the window's end
        output   f(a), by `output`; "gain" integrates first: L <- clip(L + rate a, low, high), f = 2**L
        message  f, at the window's end; or, where something is connected to "factor": f times what arrives
                 there (plus its bias), in every step

    With a period of 1 the state follows in the very step; with a longer one f is new in the step after
    the window's end. A decay of 1 is no memory: the message is a function of what arrives. `slow`
    states outlive the end of a sample in a stream. Outputs are named in OUTPUTS; L starts at `log_gain`.
    """

    period: int
    decay: FloatArray
    drive: FloatArray
    offset: FloatArray = field(default_factory=_nothing)
    output: str = "identity"
    exponent: float = 1.0
    slow: int = 0
    left_bias: FloatArray = field(default_factory=_nothing)
    right_bias: FloatArray = field(default_factory=_nothing)
    factor_bias: FloatArray = field(default_factory=_nothing)
    rate: float = 0.0
    low: float = 0.0
    high: float = 0.0
    log_gain: FloatArray = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        self._freeze()

    @property
    def modulates(self) -> bool:
        """Whether its message is the gain of a population, kept by that until the next comes."""
        return self.output == "gain"

    @property
    def set_point(self) -> float:
        """Of gain control: the target that the mean of a window's drive is held against."""
        decay = float(self.decay.flat[0])
        return float(self.offset.flat[0]) / decay if decay else 0.0

    def unused(self) -> frozenset[str]:
        """Fields that say nothing: of another output, or nothing added."""
        control = () if self.modulates else ("rate", "low", "high", "log_gain")
        power = () if self.output == "power" else ("exponent",)
        biases = ("left_bias", "right_bias", "factor_bias")
        return frozenset((*control, *power, *(b for b in biases if not np.any(getattr(self, b)))))

    @property
    def remembers(self) -> bool:
        """Whether it has a state, and is not a mere function of what arrives."""
        return self.period > 1 or bool(np.any(self.decay != 1))

    @property
    def role(self) -> str:
        """Astrocytes where it has a state; a mere function of what arrives belongs to the neurons."""
        return "astrocytes" if self.remembers else "neurons"


def gain_astrocyte(
    period: int, decay: float, rate: float, set_point: float, low: float, high: float, log_gain: Array
) -> Astrocyte:
    """The astrocyte that holds the activity of its domain at a set point by its gain:

        a <- a + decay ((c / period + set_point) - a);  L <- clip(L + rate a, low, high);  2**L is sent

    The pool c is (target - own activity): its weights are minus one over the domain's size, plus one
    over the layer's size where the target is the layer's mean; `set_point` is a target that is constant.
    """
    return Astrocyte(
        period=period,
        decay=np.array(decay),
        drive=np.array(decay / max(1, period)),
        offset=np.array(decay * set_point),
        output="gain",
        slow=1,
        rate=rate,
        low=low,
        high=high,
        log_gain=log_gain,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Compartments(Node):
    """Integer neurons of one compartment kind.

    `parameters` holds one int64 array of the population's size per parameter of the kind, `initial`
    the states at rest, `period` the window of the slow list (0: none), `units` how many integer
    steps make 1.0 of a state of the float network.
    """

    kind: Kind
    parameters: Mapping[str, IntArray]
    initial: Mapping[str, IntArray]
    period: int = 0
    units: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Compartments of {short(self.kind.name)}, period {self.period}>"

    def __post_init__(self) -> None:
        for name in ("parameters", "initial"):
            arrays = {k: frozen(v, np.int64) for k, v in getattr(self, name).items()}
            object.__setattr__(self, name, arrays)

    @property
    def role(self) -> str:
        """As the kind's definition says."""
        return self.kind.role


def carries_signal(node: Node) -> bool:
    """Whether a node is an astrocyte that is no gain control."""
    return isinstance(node, Astrocyte) and not node.modulates


FLOAT_NODES: dict[str, type[Node]] = {
    node.__name__: node for node in (Input, RateEncoder, Constant, LIF, CubaLIF, SigmaDelta, Astrocyte)
}
