"""What a NIR file leaves open: the time step, the reset, the comparison, what an IF's r means.

What can't be known is asked for by the option that answers it; what is assumed is a finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.nir.network import natural
from astrodeploy.frontends.nir.nodes import SPIKING, Neuron, NirNode, Shape
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.nodes import COMPARISONS, LIF, CubaLIF, Membrane
from astrodeploy.ir.verify import SINGLE_PRECISION

RESETS = ("zero", "subtract", "value")
IF_R = ("per_second", "per_step")
UNSURE_R = (0.1, 10.0)  # of an IF: both a step's and, in slow neurons, a second's
LONG_TAU = 1.0  # seconds; longer ones are suspected to be steps
SHORT_DT = 0.02  # seconds
FUSED = "LI + Threshold"  # a kind of our own: a membrane without a reset


@dataclass(frozen=True)
class NirOptions:
    """What is known about a file from elsewhere; None is asked for where the file is silent.

    dt           seconds per step
    reset        "zero" | "subtract" | "value" (the file's v_reset)
    threshold    ">" | ">="
    if_r         "per_second" | "per_step": what a step adds to an IF's membrane is dt r I, or r I
    input_shape  of an Input that declares none
    """

    dt: float | None = None
    reset: str | None = None
    threshold: str | None = None
    if_r: str | None = None
    input_shape: Shape | None = None

    def __post_init__(self) -> None:
        if self.dt is not None and not (isfinite(self.dt) and self.dt > 0):
            raise InputError(f"dt must be a positive number of seconds, not {self.dt!r}")
        for option, value, known in (
            ("reset", self.reset, RESETS),
            ("threshold", self.threshold, COMPARISONS),
            ("if-r", self.if_r, IF_R),
        ):
            if value is not None and value not in known:
                raise InputError(f"--{option} is {value!r}, known are {', '.join(known)}")


def ask(nodes: Mapping[str, NirNode], options: NirOptions, findings: Findings) -> None:
    """An error for every question that a file leaves open, a note for every assumption."""
    ordered = [nodes[name] for name in sorted(nodes, key=natural)]
    neurons = [node for node in ordered if isinstance(node, Neuron)]
    if options.dt is None:
        findings.error("", "does not say its time step: give it with --dt (seconds), or dt=")
    _ask_reset(neurons, options, findings)
    _ask_r(neurons, options, findings)
    if neurons:
        findings.note("", "does not say how it is stepped: taken is forward Euler, a synaptic current first")
    _tell_start(neurons, findings)
    _tell_w_in(neurons, options, findings)
    if options.threshold is None and any(n.kind in (*SPIKING, "Threshold") for n in neurons):
        findings.note("", "spikes where v > v_threshold, as NIR has it; --threshold '>=' takes the other")
    for node in neurons:
        _suspect_steps(node, options, findings)


def _ask_reset(neurons: list[Neuron], options: NirOptions, findings: Findings) -> None:
    spiking = [n for n in neurons if n.kind in SPIKING]
    silent = [n.name for n in spiking if "v_reset" not in n.parameters]
    if silent and options.reset in (None, "value"):
        findings.error(
            "",
            f"does not say how {_names(silent)} reset{'s' * (len(silent) == 1)}, it has no v_reset: give "
            "--reset zero or --reset subtract, or reset=",
        )
    for node in spiking:
        v_reset = node.parameters.get("v_reset", np.zeros(1))
        if options.reset == "zero" and np.any(v_reset):
            findings.warn(node.name, f"has v_reset {_span(v_reset)}, and is reset to 0 as --reset zero says")
    if spiking and not silent and options.reset is None:
        findings.note("", "resets to its v_reset; --reset subtract takes the other rule, which NIR can't say")

    leaking = [n.name for n in spiking if n.kind != "IF"]
    if leaking and options.reset == "subtract":
        findings.note(
            "",
            f"has {_names(leaking)} reset by taking v_threshold off with the spike, before the next step's leak; "
            "snnTorch takes it off after that leak: compile its module itself, not its NIR file",
        )


def _rests_elsewhere(parameters: Mapping[str, Array]) -> bool:
    """Whether v_leak is not v_reset; of shapes that don't go together others tell."""
    leak, reset = (parameters.get(name, np.zeros(1)) for name in ("v_leak", "v_reset"))
    try:
        return bool(np.any(np.not_equal(leak, reset)))
    except ValueError:
        return False


def _tell_start(neurons: list[Neuron], findings: Findings) -> None:
    away = [n.name for n in neurons if _rests_elsewhere(n.parameters)]
    if away:
        findings.note(
            "",
            f"does not say where the membrane of {_names(away)} starts: taken is v_leak, as Norse has it, neither "
            "0 nor v_reset",
        )


def _tell_w_in(neurons: list[Neuron], options: NirOptions, findings: Findings) -> None:
    """Norse's to_nir leaves out w_in = tau_syn / dt, with which its synaptic currents jump by the whole input."""
    plain = [n for n in neurons if n.kind in ("CubaLI", "CubaLIF") and _within(_w_in(n), 1.0, 1.0)]
    slow = [n.name for n in plain if options.dt is None or np.any(n.parameters["tau_syn"] > options.dt)]
    if slow:
        findings.note(
            "",
            f"has w_in = 1 in {_names(slow)}: an input of 1 adds dt / tau_syn to the synaptic current, as NIR has it; "
            "Norse's LIFCell adds 1, which its to_nir does not write: compile such a module itself",
        )


def _w_in(neuron: Neuron) -> FloatArray:
    return neuron.parameters.get("w_in", np.ones(1))


def _ask_r(neurons: list[Neuron], options: NirOptions, findings: Findings) -> None:
    integrators = [n for n in neurons if n.kind in ("I", "IF")]
    unsure = [n for n in integrators if _within(n.parameters["r"], *UNSURE_R)]
    if unsure and options.if_r is None:
        names = _names([n.name for n in unsure])
        findings.error(
            "",
            f"does not say whether r = {_span(unsure[0].parameters['r'])} of {names} is per second, as NIR has "
            "it, or per step, as several tools write it: give --if-r per_second or --if-r per_step, or if_r=",
        )
    for node in integrators:
        if options.if_r == "per_step" and node not in unsure:
            findings.warn(
                node.name,
                f"has r = {_span(node.parameters['r'])}, much for a step: is --if-r per_step meant?",
            )
        elif node not in unsure:
            findings.note(node.name, f"has r = {_span(node.parameters['r'])}, taken per second")


def _within(values: FloatArray, low: float, high: float) -> bool:
    return bool(np.all((np.abs(values) >= low) & (np.abs(values) <= high)))


def _suspect_steps(node: Neuron, options: NirOptions, findings: Findings) -> None:
    for key, tau in node.parameters.items():
        if (
            key.startswith("tau")
            and options.dt is not None
            and options.dt <= SHORT_DT
            and tau.max() >= LONG_TAU
        ):
            findings.warn(
                node.name,
                f"has {key} = {_span(tau)} s, {tau.max() / options.dt:.6g} steps of dt = {options.dt:g} s: if "
                "its tool meant steps, give --dt 1",
            )


def membrane(
    node: Neuron, numbers: Mapping[str, FloatArray], bias: FloatArray, options: NirOptions
) -> Membrane:
    """A neuron's float node; `numbers` and `bias` have its shape. `ask` has answered what was open."""
    dt = options.dt
    assert dt is not None
    if node.kind == "Threshold":
        return _threshold(numbers["threshold"], bias, dt, options)
    none = np.zeros_like(bias)
    v_reset = none if options.reset == "zero" else numbers.get("v_reset", none)
    spikes = node.kind in (*SPIKING, FUSED)
    whole: dict[str, Any] = {
        "tau": numbers.get("tau", numbers.get("tau_mem", np.full_like(bias, np.inf))),
        "r": numbers["r"] / (dt if node.kind in ("I", "IF") and options.if_r == "per_step" else 1.0),
        "v_leak": numbers.get("v_leak", none),
        "v_threshold": numbers.get("v_threshold", np.ones_like(bias)),
        "v_reset": v_reset,
        "bias": bias,
    }
    rules: dict[str, Any] = {
        "reset": "none"
        if node.kind == FUSED
        else "subtract"
        if options.reset == "subtract" and spikes
        else "value",
        "comparison": (options.threshold or ">") if spikes else ">",
        "sends": "spikes" if spikes else "membrane",
    }
    if "tau_syn" not in numbers:
        return LIF(**whole, **rules)
    w_in = numbers.get("w_in", np.ones_like(bias))
    return CubaLIF(**whole, **rules, tau_syn=numbers["tau_syn"], w_in=w_in)


def _threshold(threshold: FloatArray, bias: FloatArray, dt: float, options: NirOptions) -> LIF:
    """A neuron that forgets everything within a step; what it is reset to does not matter."""
    below = np.where(threshold > 0, 0.0, threshold - 1)
    rest = forgetful(bias, dt)
    return LIF(**rest | {"v_threshold": threshold, "v_reset": below}, comparison=options.threshold or ">")


def forgetful(bias: FloatArray, dt: float) -> dict[str, Any]:
    """Parameters with which v is the step's input and nothing else."""
    one, none = np.ones_like(bias), np.zeros_like(bias)
    return {"tau": dt * one, "r": one, "v_leak": none, "v_threshold": one, "v_reset": none, "bias": bias}


def check(name: str, node: Membrane, dt: float, findings: Findings) -> None:
    """What a Graph's laws ask of a neuron, said about the node of the file."""
    taus = {"tau": node.tau} | ({"tau_syn": node.tau_syn} if isinstance(node, CubaLIF) else {})
    for key, tau in taus.items():
        if np.any(tau < dt * (1 - SINGLE_PRECISION)):
            findings.error(
                name,
                f"has {key} = {tau.min():g} s, shorter than dt = {dt:g} s: choose a smaller dt, or export anew where "
                "the file has tau in other units (Norse: to_nir(..., dt=1.0) writes seconds)",
            )
    resets = node.sends == "spikes" and node.reset != "none"
    if resets and np.any(node.v_threshold <= node.v_reset):
        at = int(np.argmax((node.v_threshold <= node.v_reset).ravel()))
        findings.error(
            name,
            f"resets neuron {at} to {node.v_reset.ravel()[at]:g}, not below its threshold "
            f"{node.v_threshold.ravel()[at]:g}",
        )


def _names(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _span(values: FloatArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
