"""The float network itself, in numpy float64: what a Program should do.

It runs in the model's own time, where an edge of lag 0 counts within the step, and gives its result on
the chip's clock: a population of depth k does in step t + k of the chip what it does in step t of the
model. Before its depth it is silent and at rest.
"""

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter

import numpy as np

from astrodeploy.arithmetic import dropped, resets, ticks
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.ir import Astrocyte, Connection, CubaLIF, Graph, Input, Population
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.nodes import Constant, Membrane, SigmaDelta

INTEGRATORS = ("own", "exact")
PORTS = ("current", "modulation", "activity", "left", "right", "factor")


def reference(job: Job, integrator: str = "own") -> Recording:
    """Run the float network that a Program means. States have the names of the integer kinds':

    v         membrane above its reset value, because the chip resets to zero
    u         what the synaptic current adds to the membrane in a step; a LIF's without its bias
    gain      gain that a modulated neuron keeps
    count, trace, log_gain   the astrocytes' (`ir.nodes.Astrocyte`)
    drive, output            theirs too: a window's drive before it is cleared, and f of their state

    All are float64. Raises InputError, UnsupportedError.
    """
    graph = job.program.reference
    depths = {p.name: job.program.network[p.name].depth for p in graph.populations}
    stimulus = {p.name: given(p, job.spikes[p.name]) for p in graph.inputs}
    return simulate(graph, stimulus, job.reset_every, job.record, integrator, depths)


def given(population: Population, sent: Array) -> Array:
    """What an input's messages mean in the model's numbers."""
    node = population.node
    return sent / node.unit if isinstance(node, Input) and node.unit != 1 else sent


def simulate(
    graph: Graph,
    spikes: Array | Mapping[str, Array],
    reset_every: int = 0,
    record: frozenset[StateName] = frozenset(),
    integrator: str = "own",
    depths: Mapping[str, int] | None = None,
) -> Recording:
    """Run a float Graph on spikes (rows, steps, input size), by input where there are several.

    Every row starts from rest.

    reset_every  0: never; else every population clears its fast states every so many steps
    record       (population, state) to record, named as in `reference`; unknown ones are left out
    integrator   "own", as the nodes say, or "exact" for inputs that are constant over a step
    depths       the step in which each population starts; without them all start in step 0

    Raises InputError for an unknown integrator, UnsupportedError for a loop that takes no time.
    """
    if integrator not in INTEGRATORS:
        raise InputError(f"there is no integrator {integrator!r}; there are {', '.join(INTEGRATORS)}")
    depths = depths or dict.fromkeys(graph.layers, 0)
    stimulus = spikes if isinstance(spikes, Mapping) else {graph.input.name: spikes}
    rows, steps, _ = next(iter(stimulus.values())).shape
    groups = [_group(graph[name], graph, rows, integrator) for name in evaluation_order(graph)]
    sent: dict[str, Array] = dict(stimulus)
    sent |= {g.name: np.zeros((rows, steps, g.size), g.dtype) for g in groups}
    states = {name: np.zeros((rows, steps, g.size)) for g in groups for name in g.recordable & record}
    for step in range(steps):
        for group in groups:
            local = step - depths[group.name]
            if local >= 0:
                group.reset(resets(local, 0, reset_every))
                arrived = _arrived(group, local, depths, sent, reset_every)
                sent[group.name][:, step] = group.advance(local, arrived)
            for name in group.recordable & record:
                states[name][:, step] = group.recorded(name[1])
    return Recording(sent, states)


def evaluation_order(graph: Graph) -> list[str]:
    """The populations but the input, each after those that reach it within a step.

    Raises UnsupportedError that names the loop where some wait for each other.
    """
    waits = {p.name: {c.source for c in graph.into(p.name) if c.lag == 0} for p in graph.populations}
    try:
        order = list(TopologicalSorter(waits).static_order())
    except CycleError as error:
        loop = " -> ".join(reversed(error.args[1]))
        raise UnsupportedError(
            f"the loop {loop} takes no time: each waits for the other within one step; "
            "give one of its connections a lag of at least 1 step"
        ) from error
    return [name for name in order if not graph[name].is_input]


def flat(array: Array, size: int) -> FloatArray:
    """A parameter, scalar or of the population's shape, as float64 (size,)."""
    return np.broadcast_to(array.ravel(), (size,)).astype(np.float64)


class _Group:
    """A population on all rows at once: its inputs and, by name, its states (rows, size)."""

    dtype: type[np.generic] = np.float64
    states: tuple[str, ...] = ()

    def __init__(self, population: Population, graph: Graph) -> None:
        self.name, self.size = population.name, population.size
        self.inputs: list[Connection] = list(graph.into(population.name))
        self.recordable = frozenset((self.name, state) for state in self.states)

    def reset(self, what: str) -> None:
        """Clear fast states for "fast"; states are at rest where "all" would clear them."""
        raise NotImplementedError

    def advance(self, step: int, arrived: dict[str, FloatArray]) -> Array:
        """One step of the model; the messages sent, (rows, size)."""
        raise NotImplementedError

    def recorded(self, state: str) -> FloatArray:
        """A state after the step, (rows, size)."""
        raise NotImplementedError

    def is_slow(self, port: str) -> bool:
        """Whether what is under way to a port at a reset still arrives."""
        return port == "modulation"


def _group(population: Population, graph: Graph, rows: int, integrator: str) -> _Group:
    node = population.node
    if isinstance(node, Astrocyte):
        return _Astrocytes(population, node, graph, rows)
    if isinstance(node, Membrane):
        return _Neurons(population, node, graph, rows, integrator)
    if isinstance(node, SigmaDelta):
        return _Values(population, node, graph, rows)
    if isinstance(node, Constant):
        return _Constants(population, graph, rows)
    raise UnsupportedError(
        f"{population.name} is a {type(node).__name__}, which the float engine does not run"
    )


def _arrived(
    group: _Group, local: int, depths: Mapping[str, int], sent: Mapping[str, Array], reset_every: int
) -> dict[str, FloatArray]:
    rows = len(next(iter(sent.values())))
    totals = {port: np.zeros((rows, group.size)) for port in PORTS}
    for each in group.inputs:
        slow = group.is_slow(each.port)
        if local >= each.lag and not dropped(local, 0, each.lag, reset_every, slow):
            messages = sent[each.source][:, local - each.lag + depths[each.source]]
            totals[each.port] += each.wiring.deliver(messages.astype(np.float64))
    return totals


class _Constants(_Group):
    """Sends 1 in every step."""

    dtype = np.uint8

    def __init__(self, population: Population, graph: Graph, rows: int) -> None:
        super().__init__(population, graph)
        self.ones = np.ones((rows, self.size), np.uint8)

    def reset(self, what: str) -> None:
        """It has no state."""

    def advance(self, step: int, arrived: dict[str, FloatArray]) -> Array:
        return self.ones


class _Values(_Group):
    """Sigma-delta neurons."""

    states = ("sigma", "activation", "residue")

    def __init__(self, population: Population, node: SigmaDelta, graph: Graph, rows: int) -> None:
        super().__init__(population, graph)
        self.node, self.rows = node, rows
        self.threshold, self.bias = flat(node.threshold, self.size), flat(node.bias, self.size)
        self.reset("fast")

    def reset(self, what: str) -> None:
        if what:
            self.sigma = np.zeros((self.rows, self.size))
            self.activation, self.residue = np.zeros_like(self.sigma), np.zeros_like(self.sigma)

    def advance(self, step: int, arrived: dict[str, FloatArray]) -> Array:
        self.sigma = arrived["current"] + (self.sigma if self.node.receives == "changes" else 0.0)
        value = self.sigma + self.bias
        value = np.maximum(value, 0) if self.node.activation == "relu" else value
        delta = value - self.activation + self.residue
        sent = np.where(np.abs(delta) >= self.threshold, delta, 0)
        self.activation, self.residue = value, delta - sent
        return sent

    def recorded(self, state: str) -> FloatArray:
        return {"sigma": self.sigma, "activation": self.activation, "residue": self.residue}[state]


class _Neurons(_Group):
    """LIF and CubaLIF, spiking or sending their membrane."""

    states = ("v", "u", "gain")

    def __init__(
        self, population: Population, node: Membrane, graph: Graph, rows: int, integrator: str
    ) -> None:
        super().__init__(population, graph)
        self.node = node
        self.dtype = np.int32 if node.sends == "spikes" else np.float64
        self.parameters = {name: flat(array, self.size) for name, array in node.arrays().items()}
        self.leak, self.drive = flat(node.leak(graph.dt), self.size), flat(node.drive(graph.dt), self.size)
        self.synapse = node if isinstance(node, CubaLIF) else None
        if self.synapse is not None:
            self.fall = flat(self.synapse.fall(graph.dt), self.size)
        self.integrate = self._stepped
        memoryless = self.synapse is None and bool(np.all(self.leak == 1))  # there is nothing to solve
        if integrator == "exact" and not memoryless:
            self.k = graph.dt / self.parameters["tau"]
            self.exact_drive = np.where(self.k == 0, graph.dt, -np.expm1(-self.k)) * self.parameters["r"]
            self.integrate = self._exact
        self.dt = graph.dt
        self.origin = self.parameters["v_reset"] if node.sends == "spikes" else np.zeros(self.size)
        self.gain = np.tile(resting_gains(graph).get(population.name, np.ones(self.size)), (rows, 1))
        self.u = np.zeros((rows, self.size))
        self.reset("fast")

    def reset(self, what: str) -> None:
        if what:
            self.v = np.tile(self.parameters["v_leak"], (len(self.gain), 1))
            self.i = np.zeros_like(self.v)
            self.u = np.zeros_like(self.v)
            self.wait = np.zeros(self.v.shape, np.int64)

    def advance(self, step: int, arrived: dict[str, FloatArray]) -> Array:
        message = arrived["modulation"]
        self.gain = np.where(message == 0, self.gain, message)
        held = self.v
        self.integrate(self.gain * (arrived["current"] + self.parameters["bias"]))
        passing = self.i if self.synapse is not None else self.gain * arrived["current"]
        self.u = self.drive * passing
        if self.node.sends != "spikes":
            return np.maximum(self.v, 0) if self.node.sends == "rectified" else self.v
        free = self.wait == 0
        self.v = np.where(free, self.v, held)
        threshold = self.parameters["v_threshold"]
        above = self.v >= threshold if self.node.comparison == ">=" else self.v > threshold
        spike = above & free
        self.wait = np.where(spike, self.node.refractory, np.maximum(self.wait - 1, 0))
        self.v = np.where(spike, self._after_spike(), self.v)
        return np.asarray(spike)

    def _after_spike(self) -> FloatArray:
        p = self.parameters
        if self.node.reset == "value":
            return p["v_reset"]
        return self.v - (p["v_threshold"] - p["v_reset"]) if self.node.reset == "subtract" else self.v

    def recorded(self, state: str) -> FloatArray:
        if state == "v":
            return self.v - self.origin
        return self.gain if state == "gain" else self.u

    def _stepped(self, current: FloatArray) -> None:
        p = self.parameters
        if self.synapse is not None:
            current = self.i * (1 - self.fall) + self.fall * p["w_in"] * current
            self.i = current
        self.v = self.v + self.leak * (p["v_leak"] - self.v) + self.drive * current

    def _exact(self, current: FloatArray) -> None:
        """Both equations solved over one step, in which what arrives is constant."""
        p = self.parameters
        leak = -np.expm1(-self.k)
        if self.synapse is None:
            self.v = self.v + leak * (p["v_leak"] - self.v) + self.exact_drive * current
            return
        k_syn = self.dt / p["tau_syn"]
        settled = p["w_in"] * current
        excess = self.i - settled
        self.i = settled + excess * np.exp(-k_syn)
        steady = leak * (p["v_leak"] - self.v) + self.exact_drive * settled
        self.v = self.v + steady + p["r"] * excess * self._transfer(k_syn)

    def _transfer(self, k_syn: FloatArray) -> FloatArray:
        """What one unit of decaying current adds to the membrane in a step: k e^-k where k = k_syn."""
        fast, slow = np.maximum(self.k, k_syn), np.minimum(self.k, k_syn)
        gap = fast - slow
        share = np.divide(-np.expm1(-gap), gap, out=np.ones_like(gap), where=gap != 0)
        return np.asarray(np.where(self.k == 0, self.dt, self.k) * np.exp(-slow) * share)


class _Astrocytes(_Group):
    """A drive, a slow state, an output (`ir.nodes.Astrocyte`)."""

    states = ("count", "trace", "log_gain", "drive", "output")

    def __init__(self, population: Population, node: Astrocyte, graph: Graph, rows: int) -> None:
        super().__init__(population, graph)
        self.node, self.rows = node, rows
        self.parameters = {name: flat(array, self.size) for name, array in node.arrays().items()}
        self.ports = {c.port for c in self.inputs}
        self.rest()

    def rest(self) -> None:
        """All states as they start."""
        self.count = np.zeros((self.rows, self.size))
        self.drive, self.trace = np.zeros_like(self.count), np.zeros_like(self.count)
        self.log_gain = np.tile(self.parameters["log_gain"], (self.rows, 1))
        self.output = self._output()

    def is_slow(self, port: str) -> bool:
        return bool(self.node.slow)

    def reset(self, what: str) -> None:
        """Slow states outlive the resets between samples."""
        if what and not self.node.slow:
            self.rest()

    def advance(self, step: int, arrived: dict[str, FloatArray]) -> Array:
        p, node = self.parameters, self.node
        self.drive = self.count + arrived["activity"]
        if "left" in self.ports:
            self.drive += (arrived["left"] + p["left_bias"]) * (arrived["right"] + p["right_bias"])
        due = ticks(step, 0, node.period)
        held = self.output
        self.count = np.zeros_like(self.count) if due else self.drive
        if due:
            self.trace = (1 - p["decay"]) * self.trace + p["drive"] * self.drive + p["offset"]
            self.log_gain = np.clip(self.log_gain + node.rate * self.trace, node.low, node.high)
            self.output = self._output()
        if "factor" in self.ports:
            factor = arrived["factor"] + p["factor_bias"]
            return np.asarray((self.output if node.period == 1 else held) * factor)
        return self.output if due else np.zeros_like(self.count)

    def _output(self) -> FloatArray:
        return output_of(self.node, self.log_gain if self.node.modulates else self.trace)

    def recorded(self, state: str) -> FloatArray:
        return np.asarray(getattr(self, state))


def output_of(node: Astrocyte, state: FloatArray) -> FloatArray:
    """The output function of an astrocyte, of its state or log gain."""
    positive = state > 0
    functions: dict[str, Callable[[], FloatArray]] = {
        "gain": lambda: np.exp2(state),
        "identity": lambda: state,
        "exp2": lambda: np.exp2(state),
        "log2": lambda: np.where(positive, np.log2(np.where(positive, state, 1.0)), 0.0),
        "power": lambda: np.where(positive, np.where(positive, state, 1.0) ** node.exponent, 0.0),
        "sigmoid": lambda: 0.5 + 0.5 * np.tanh(state / 2),
        "tanh": lambda: np.tanh(state),
        "elu": lambda: np.where(positive, state + 1, np.exp(np.minimum(state, 0.0))),
    }
    return np.asarray(functions[node.output]())
