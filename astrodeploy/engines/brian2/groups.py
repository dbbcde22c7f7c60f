"""Neurons and astrocytes as groups of Brian2, on the chip's clock.

What arrives is summed in one variable a connection, `arrived_<number>`, and used up in the next step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrodeploy.ir import Astrocyte, Connection, CubaLIF, Population
from astrodeploy.ir.nodes import Array, FloatArray, Membrane

Inputs = Mapping[str, Connection]  # by the variable that sums what arrives

MEMBRANE = """
    dv/dt = free * (rate * (v_leak - v) + push * flow) : 1
    rate : Hz (constant)
    push : Hz (constant)
    v_leak : 1 (constant)
    v_threshold : 1 (constant)
    v_reset : 1 (constant)
    bias : 1 (constant)
    drive : 1
    gain : 1
    wait : integer
    awake : integer
    free : integer"""
FLOWS = {
    "LIF": """
    flow = drive + gain * bias : 1""",
    "CubaLIF": """
    flow = synaptic : 1
    synaptic : 1
    w_in : 1 (constant)
    tau_syn : second (constant)""",
}
FALLS = {"euler": "dt / tau_syn", "exponential": "(1 - exp(-dt / tau_syn))"}
RESETS = {"value": "v = v_reset", "subtract": "v -= v_threshold - v_reset", "none": ""}
MESSAGES = {"membrane": "v", "rectified": "v * int(v > 0)"}
ASTROCYTE = """
    own : 1
    target : 1
    calcium : 1
    log_gain : 1
    gain : 1"""


@dataclass(frozen=True)
class Bench:
    """What all groups of one Brian2 network share; neuron i of row r is index r * size + i."""

    library: Any
    clock: Any
    dt: float
    rows: int
    reset_every: int

    def tiled(self, array: Array, size: int) -> FloatArray:
        """A parameter of one row's neurons, for all rows."""
        return np.tile(np.broadcast_to(array.reshape(-1), (size,)).astype(np.float64), self.rows)


def neurons(
    bench: Bench, population: Population, node: Membrane, depth: int, inputs: Inputs, gains: FloatArray
) -> Any:
    """A population of LIF or CubaLIF; `gains` are those at rest."""
    method, rates = _rates(node, bench.dt)
    spiking = node.sends == "spikes"
    message = "" if spiking else f"\n    message = awake * {MESSAGES[node.sends]} : 1"
    group = bench.library.NeuronGroup(
        bench.rows * population.size,
        MEMBRANE + FLOWS[type(node).__name__] + message + _accumulators(inputs),
        threshold=f"v {node.comparison} v_threshold and free == 1" if spiking else None,
        reset=f"{RESETS[node.reset]}\nwait = {node.refractory}" if spiking else None,
        method=method,
        clock=bench.clock,
    )
    second = bench.library.second
    for name, array in (node.arrays() | rates).items():
        if name not in ("tau", "r"):
            unit = {"tau_syn": second, "rate": 1 / second, "push": 1 / second}.get(name, 1)
            setattr(group, name, bench.tiled(array, population.size) * unit)
    group.v = bench.tiled(node.v_leak, population.size)
    group.gain = np.tile(gains, bench.rows)
    code = _neurons_step(bench, node, depth, inputs)
    group.run_regularly("\n".join(code), when="before_groups", clock=bench.clock)
    return group


def _rates(node: Membrane, dt: float) -> tuple[str, dict[str, FloatArray]]:
    """Brian2's method, and per second: the leak, and what an input adds.

    Brian2 itself solves the exponential integrator's equation, but for neurons without leak.
    """
    leaking = np.isfinite(node.tau)
    rate, method = 1 / node.tau, "euler"
    if node.integrator == "exponential" and leaking.all():
        method = "exact"
    elif node.integrator == "exponential":
        rate = (1 - np.exp(-dt / node.tau)) / dt
    return method, {"rate": rate, "push": node.r * np.where(leaking, rate, 1.0)}


def _neurons_step(bench: Bench, node: Membrane, depth: int, inputs: Inputs) -> list[str]:
    """What happens before the equations: a new sample, what arrived, the synaptic current, who may fire."""
    fast = [name for name, c in inputs.items() if c.port == "current"]
    kept = [name for name, c in inputs.items() if c.port == "modulation"]
    code = [f"awake = int(t_in_timesteps >= {depth})"]
    code += _clearing(bench, node, depth, inputs)
    code += [f"gain = {name} * int({name} != 0) + gain * int({name} == 0)" for name in kept]
    code.append(f"drive = gain * ({' + '.join(fast) or '0'})")
    if isinstance(node, CubaLIF):
        settled = "w_in * (drive + gain * bias)"
        code.append(f"synaptic += awake * {FALLS[node.integrator]} * ({settled} - synaptic)")
    code += [f"{name} = 0" for name in inputs]
    return [*code, "free = awake * int(wait == 0)", "wait = clip(wait - 1, 0, wait)"]


def _clearing(bench: Bench, node: Membrane, depth: int, inputs: Inputs) -> list[str]:
    """A new sample: membranes at rest, and spikes that are still under way from before are lost."""
    if not bench.reset_every:
        return []
    age = f"((t_in_timesteps - {depth}) % {bench.reset_every})"
    code = [f"kept = int({age} != 0)", "v = v_leak + kept * (v - v_leak)", "wait = wait * kept"]
    if isinstance(node, CubaLIF):
        code.append("synaptic = synaptic * kept")
    late = {name: c.lag for name, c in inputs.items() if c.port == "current" and c.lag}
    return code + [f"{name} = {name} * int({age} >= {lag})" for name, lag in late.items()]


def astrocytes(bench: Bench, population: Population, node: Astrocyte, depth: int, inputs: Inputs) -> Any:
    """What a domain's own activity is, against its target, over a window; then the gain."""
    awake = f"int(t_in_timesteps >= {depth})"
    due = f"{awake} * int((t_in_timesteps - {depth} + 1) % {node.period} == 0)"
    group = bench.library.NeuronGroup(
        bench.rows * population.size,
        f"due = {due} : integer" + ASTROCYTE + _accumulators(inputs),
        events={"tick": "due == 1"},
        clock=bench.clock,
    )
    group.log_gain = bench.tiled(node.log_gain, population.size)
    code = [
        f"own += own_{name}\ntarget += target_{name}\nown_{name} = 0\ntarget_{name} = 0" for name in inputs
    ]
    settings = (node.set_point, node.decay.flat[0], node.rate, node.low, node.high)
    set_point, rate_of_trace, rate, low, high = (repr(float(each)) for each in settings)
    code += [
        f"error = target / {node.period} + {set_point} - own / {node.period}",
        f"calcium += due * {rate_of_trace} * (error - calcium)",
        f"bounded = clip(log_gain + {rate} * calcium, {low}, {high})",
        "log_gain = bounded * due + log_gain * (1 - due)",
        "gain = 2.0 ** log_gain",
        "own *= 1 - due",
        "target *= 1 - due",
    ]
    group.run_regularly("\n".join(code), when="groups", clock=bench.clock)
    return group


def _accumulators(inputs: Inputs) -> str:
    lines = []
    for name, each in inputs.items():
        names = (f"own_{name}", f"target_{name}") if each.port == "activity" else (name,)
        lines += [f"\n    {each_name} : 1" for each_name in names]
    return "".join(lines)
