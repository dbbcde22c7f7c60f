"""The float network once more, as Brian2 equations: a witness that shares no code with `reference`.

It runs on the chip's clock, with the Program's delays: Brian2 delivers a spike after the thresholds of
its step, so that a synapse without a delay of its own takes one step, as on the chip. Everything is
interpreted with numpy in float64; no compiler is needed.

Source: Stimberg, Brette, Goodman, eLife 2019, 10.7554/eLife.47314.
"""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.errors import EngineError
from astrodeploy.ir import LIF, Astrocyte, Connection, CubaLIF, Population
from astrodeploy.ir.nodes import Array, FloatArray, Membrane

SYNAPSES_AT_ONCE = 2_000_000  # rows run side by side in one network until it has so many synapses

MEMBRANE = {
    "LIF": "dv/dt = awake * (v_leak - v + r * (drive + gain * bias)) / tau : 1",
    "CubaLIF": """
        change = (w_in * (drive + gain * bias) - synaptic) / tau_syn : Hz
        dsynaptic/dt = awake * change : 1
        dv/dt = awake * (v_leak - v + r * (synaptic + dt * change)) / tau : 1
        w_in : 1 (constant)
        tau_syn : second (constant)""",
}
NEURON = """
    tau : second (constant)
    r : 1 (constant)
    v_leak : 1 (constant)
    v_threshold : 1 (constant)
    v_reset : 1 (constant)
    bias : 1 (constant)
    drive : 1
    gain : 1"""
ASTROCYTE = """
    own : 1
    target : 1
    calcium : 1
    log_gain : 1
    gain : 1"""


def brian2(job: Job) -> Recording:
    """Run the float network that a Program means; states are named as in `reference`.

    Spikes are int32, the astrocytes' messages float64 gains, states float64. Raises EngineError where
    Brian2 is missing or the network has an edge that it can't say.
    """
    with _runtime() as library:
        at_once = max(1, SYNAPSES_AT_ONCE // max(1, _synapse_count(job)))
        blocks = [
            _Block(library, job, {k: s[start : start + at_once] for k, s in job.spikes.items()}).run()
            for start in range(0, job.rows, at_once)
        ]
        version = str(library.__version__)
    return Recording(
        spikes={k: np.concatenate([b.spikes[k] for b in blocks]) for k in blocks[0].spikes},
        states={k: np.concatenate([b.states[k] for b in blocks]) for k in blocks[0].states},
        versions={"brian2": version},
    )


def _synapse_count(job: Job) -> int:
    return sum(int(np.count_nonzero(c.weight)) for c in job.program.reference.connections)


class _Block:
    """Some rows side by side in one Brian2 network: neuron i of row r is index r * size + i."""

    def __init__(self, library: Any, job: Job, spikes: Mapping[str, Array]) -> None:
        self.library, self.job, self.spikes = library, job, spikes
        self.rows = len(next(iter(spikes.values())))
        self.graph = job.program.reference
        self.depths = {name: job.program.network[name].depth for name in self.graph.layers}
        self.delays = {c.name: c.delay for c in job.program.network.connections}
        self.clock = library.Clock(self.graph.dt * library.second)
        self.network = library.Network()
        self.monitors: dict[StateName, Any] = {}
        self.events: dict[str, Any] = {}
        self.groups = {p.name: self._add(self._group(p)) for p in self.graph.populations}
        for number, each in enumerate(self.graph.connections):
            self._connect(number, each)
        for name, group in self.groups.items():
            self._monitor(self.graph[name], group)

    def run(self) -> Recording:
        """Simulate the rows and read the monitors."""
        steps = self.job.steps
        self.network.run(steps * self.graph.dt * self.library.second, namespace={})
        spikes: dict[str, Array] = dict(self.spikes)
        spikes |= {name: self._messages(name) for name in self.groups if name in self.events}
        return Recording(spikes, {key: self._state(*key) for key in self.monitors})

    def _add(self, thing: Any) -> Any:
        self.network.add(thing)
        return thing

    # ---- populations -------------------------------------------------------------------------------

    def _group(self, population: Population) -> Any:
        node = population.node
        if isinstance(node, Membrane):
            return self._neurons(population, node)
        if isinstance(node, Astrocyte):
            return self._astrocytes(population, node)
        rows, steps, indices = np.nonzero(self.spikes[population.name])
        return self.library.SpikeGeneratorGroup(
            self.rows * population.size,
            rows * population.size + indices,
            steps * self.graph.dt * self.library.second,
            clock=self.clock,
        )

    def _neurons(self, population: Population, node: Membrane) -> Any:
        depth = self.depths[population.name]
        inputs = self._arriving(population.name)
        group = self.library.NeuronGroup(
            self.rows * population.size,
            MEMBRANE[type(node).__name__] + NEURON + _awake(depth) + _accumulators(inputs),
            threshold="v > v_threshold and awake == 1",
            reset="v = v_reset",
            method="euler",
            clock=self.clock,
        )
        for name, array in node.arrays().items():
            unit = self.library.second if name.startswith("tau") else 1
            setattr(group, name, self._tiled(array, population.size) * unit)
        group.v = self._tiled(node.v_leak, population.size)
        group.gain = np.tile(self._resting_gain(population), self.rows)
        fast = [name for name, c in inputs.items() if c.port == "current"]
        kept = [name for name, c in inputs.items() if c.port == "modulation"]
        code = self._clearing(depth, inputs, "synaptic" if isinstance(node, CubaLIF) else "")
        for name in kept:
            code.append(f"gain = {name} * int({name} != 0) + gain * int({name} == 0)")
        code.append(f"drive = gain * ({' + '.join(fast) or '0'})")
        code += [f"{name} = 0" for name in inputs]
        group.run_regularly("\n".join(code), when="before_groups", clock=self.clock)
        return group

    def _clearing(self, depth: int, inputs: Mapping[str, Connection], synaptic: str) -> list[str]:
        """A new sample: membranes at rest, and spikes that are still under way from before are lost."""
        every = self.job.reset_every
        if not every:
            return []
        age = f"((t_in_timesteps - {depth}) % {every})"
        code = [f"v = v_leak * int({age} == 0) + v * int({age} != 0)"]
        if synaptic:
            code.append(f"{synaptic} = {synaptic} * int({age} != 0)")
        late = {name: c.lag for name, c in inputs.items() if c.port == "current" and c.lag}
        return code + [f"{name} = {name} * int({age} >= {lag})" for name, lag in late.items()]

    def _astrocytes(self, population: Population, node: Astrocyte) -> Any:
        """What a domain's own activity is, against its target, over a window; then the gain."""
        depth = self.depths[population.name]
        due = f"awake * int((t_in_timesteps - {depth} + 1) % {node.period} == 0)"
        inputs = self._arriving(population.name)
        group = self.library.NeuronGroup(
            self.rows * population.size,
            f"due = {due} : integer" + ASTROCYTE + _awake(depth) + _accumulators(inputs),
            events={"tick": "due == 1"},
            clock=self.clock,
        )
        group.log_gain = self._tiled(node.log_gain, population.size)
        code = [
            f"own += own_{name}\ntarget += target_{name}\nown_{name} = 0\ntarget_{name} = 0"
            for name in inputs
        ]
        settings = (node.set_point, node.decay, node.rate, node.low, node.high)
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
        group.run_regularly("\n".join(code), when="groups", clock=self.clock)
        return group

    def _arriving(self, name: str) -> dict[str, Connection]:
        numbered = enumerate(self.graph.connections)
        return {f"arrived_{number}": c for number, c in numbered if c.target == name}

    def _resting_gain(self, population: Population) -> FloatArray:
        total = np.zeros(population.size)
        for each in self.graph.into(population.name):
            node = self.graph[each.source].node
            if isinstance(node, Astrocyte):
                gains = np.full(each.weight.shape[1], 2.0 ** node.log_gain.reshape(-1))
                total = total + np.dot(each.weight, gains)
        total[total == 0] = 1.0
        return total

    def _tiled(self, array: Array, size: int) -> FloatArray:
        return np.tile(np.full(size, array.reshape(-1), np.float64), self.rows)

    # ---- connections -------------------------------------------------------------------------------

    def _connect(self, number: int, each: Connection) -> None:
        node = self.graph[each.target].node
        if not isinstance(node, Astrocyte):
            self._synapses(each, each.weight, f"arrived_{number}")
            return
        target = np.maximum(each.weight.max(1, keepdims=True), 0) * np.ones(each.weight.shape)
        self._synapses(each, target, f"target_arrived_{number}")
        self._synapses(each, target - each.weight, f"own_arrived_{number}")

    def _synapses(self, each: Connection, weight: Array, variable: str) -> None:
        source, target = self.groups[each.source], self.groups[each.target]
        posts, pres = np.nonzero(weight)
        if not len(posts):
            return
        source_node = self.graph[each.source].node
        graded = isinstance(source_node, Astrocyte)
        delay = self._delay(each, source_node.period if isinstance(source_node, Astrocyte) else 0)
        synapses = self.library.Synapses(
            source,
            target,
            "w : 1 (constant)",
            on_pre=f"{variable}_post += w * gain_pre" if graded else f"{variable}_post += w",
            on_event="tick" if graded else "spike",
            delay=delay * self.graph.dt * self.library.second,
            clock=self.clock,
        )
        rows = np.arange(self.rows)[:, None]
        synapses.connect(
            i=(rows * weight.shape[1] + pres).ravel(), j=(rows * weight.shape[0] + posts).ravel()
        )
        synapses.w = np.tile(weight[posts, pres], self.rows)
        self._add(synapses)

    def _delay(self, each: Connection, period: int) -> int:
        """Brian2's own delay in steps: one less than the chip's."""
        delay = self.delays.get(each.name)
        if delay is None:
            raise EngineError(
                f"{each.name} is in the float network but not in the Program: its delay is unknown"
            )
        if period and delay > period:
            raise EngineError(
                f"{each.name} delays gains by {delay} steps, its astrocytes send every {period}: "
                "Brian2 reads a gain when it arrives, so the delay must not exceed the period"
            )
        return delay - 1

    # ---- monitors ----------------------------------------------------------------------------------

    def _monitor(self, population: Population, group: Any) -> None:
        node = population.node
        if isinstance(node, Astrocyte):
            known = {"trace": ("calcium",), "log_gain": ("log_gain",), "count": ("own", "target")}
            monitor = self.library.EventMonitor(group, "tick", variables="gain")
        elif isinstance(node, Membrane):
            flow = "drive" if isinstance(node, LIF) else "synaptic"
            known = {"v": ("v",), "gain": ("gain",), "u": (flow,)}
            monitor = self.library.SpikeMonitor(group)
        else:
            return
        self.events[population.name] = self._add(monitor)
        for state, variables in known.items():
            if (population.name, state) in self.job.record:
                monitor = self.library.StateMonitor(
                    group, variables, record=True, when="end", clock=self.clock
                )
                self.monitors[population.name, state] = self._add(monitor)

    def _messages(self, name: str) -> Array:
        monitor, size = self.events[name], self.graph[name].size
        graded = isinstance(self.graph[name].node, Astrocyte)
        messages = np.zeros((self.rows, self.job.steps, size), np.float64 if graded else np.int32)
        indices = np.asarray(monitor.i)
        steps = np.rint(np.asarray(monitor.t) / self.graph.dt).astype(int)
        messages[indices // size, steps, indices % size] = np.asarray(monitor.gain) if graded else 1
        return messages

    def _state(self, name: str, state: str) -> FloatArray:
        node, read = self.graph[name].node, self._read
        if isinstance(node, Astrocyte):
            if state == "count":
                return read(name, state, "target") - read(name, state, "own")
            return read(name, state, "calcium" if state == "trace" else state)
        assert isinstance(node, Membrane)
        if state == "v":
            return read(name, state, "v") - node.v_reset.reshape(-1)
        if state == "gain":
            return read(name, state, "gain")
        flow = read(name, state, "drive" if isinstance(node, LIF) else "synaptic")
        return flow * node.r.reshape(-1) * (self.graph.dt / node.tau.reshape(-1))

    def _read(self, name: str, state: str, variable: str) -> FloatArray:
        """What a monitor holds of one of its variables, as (rows, steps, size)."""
        flat = np.asarray(getattr(self.monitors[name, state], variable), np.float64)
        return flat.reshape(self.rows, self.graph[name].size, -1).transpose(0, 2, 1)


def _awake(depth: int) -> str:
    return f"\n    awake = int(t_in_timesteps >= {depth}) : integer"


def _accumulators(inputs: Mapping[str, Connection]) -> str:
    lines = []
    for name, each in inputs.items():
        names = (f"own_{name}", f"target_{name}") if each.port == "activity" else (name,)
        lines += [f"\n    {each_name} : 1" for each_name in names]
    return "".join(lines)


# ---- Brian2's global state -------------------------------------------------------------------------


@contextmanager
def _runtime() -> Iterator[Any]:
    """Brian2, interpreting in float64; its settings are as before afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own dependencies
        library = _load()
        device, prefs = import_module("brian2.devices.device"), library.prefs
        foreign = device.get_device() is not device.runtime_device
        settings = {"codegen.target": "numpy", "core.default_float_dtype": np.float64}
        before = {key: prefs[key] for key in settings}
        if foreign:
            device.set_device("runtime")
        try:
            for key, value in settings.items():
                prefs[key] = value
            yield library
        finally:
            for key, value in before.items():
                prefs[key] = value
            if foreign:
                device.reset_device()


def _load() -> Any:
    """Import Brian2 and take back what the import leaves behind.

    That is a log file and a copy of the main script in the temporary folder, handlers of uncaught
    exceptions, of Ctrl-C and of all Python warnings.
    """
    if (loaded := sys.modules.get("brian2")) is not None:
        return loaded
    excepthook, interrupt, show = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
    try:
        library = import_module("brian2")
    except ImportError as error:
        raise EngineError(f"Brian2 can't be imported: {error}; pip install brian2") from error
    logger = library.BrianLogger
    if warnings.showwarning is not show:
        logging.captureWarnings(False)
    logging.getLogger("py.warnings").removeHandler(logger.console_handler)
    sys.excepthook = excepthook
    signal.signal(signal.SIGINT, interrupt)
    if logger.file_handler is not None:
        logging.getLogger("brian2").removeHandler(logger.file_handler)
        logger.file_handler.close()
        logger.file_handler = None
    for left in (logger.tmp_log, logger.tmp_script):
        if left is not None:
            Path(left).unlink(missing_ok=True)
    logger.tmp_log = logger.tmp_script = None
    return library
