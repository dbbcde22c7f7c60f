"""A Job's rows side by side as one Brian2 network: groups, synapses, monitors, and what they recorded."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse

from astrodeploy.engines.brian2.groups import Bench, astrocytes, neurons
from astrodeploy.engines.brian2.runtime import runtime
from astrodeploy.engines.brian2.transfers import Path, Sender, Weights
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.errors import EngineError
from astrodeploy.ir import LIF, Astrocyte, Connection, Input, Population, RateEncoder
from astrodeploy.ir.nodes import Array, Constant, FloatArray, Membrane, carries_signal

SYNAPSES_AT_ONCE = 2_000_000  # rows run side by side in one network until it has so many synapses
KNOWN = (Input, RateEncoder, Constant, Membrane, Astrocyte)


def brian2(job: Job) -> Recording:
    """Run the float network that a Program means; states are named as in `reference`.

    Spikes are int32, membranes that are sent and the astrocytes' gains float64, states float64. Raises
    EngineError where Brian2 is missing or the network has a node or an edge that it can't say.
    """
    for population in job.program.reference.populations:
        if carries_signal(population.node) or not isinstance(population.node, KNOWN):
            kind = type(population.node).__name__ + (
                " that carries a signal" * carries_signal(population.node)
            )
            raise EngineError(f"{population.name} is a {kind}, which is not said in Brian2: leave brian2 out")
    with runtime() as library:
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
    return sum(c.wiring.synapses for c in job.program.reference.connections)


def _spikes(population: Population) -> bool:
    """Whether its messages are spikes, which Brian2's own synapses carry."""
    node = population.node
    if isinstance(node, Input):
        return (node.low, node.high, node.unit) == (0, 1, 1.0)
    return isinstance(node, RateEncoder) or (isinstance(node, Membrane) and node.sends == "spikes")


class _Block:
    """Some rows side by side in one Brian2 network."""

    def __init__(self, library: Any, job: Job, spikes: Mapping[str, Array]) -> None:
        self.library, self.job, self.spikes = library, job, spikes
        self.graph = job.program.reference
        self.depths = {name: job.program.network[name].depth for name in self.graph.layers}
        self.delays = {c.name: c.delay for c in job.program.network.connections}
        rows = len(next(iter(spikes.values())))
        clock = library.Clock(self.graph.dt * library.second)
        self.bench = Bench(library, clock, self.graph.dt, rows, job.reset_every)
        self.network = library.Network()
        self.monitors: dict[StateName, Any] = {}
        self.messages: dict[str, Any] = {}
        self.groups: dict[str, Any] = {}
        self.senders: dict[str, Sender] = {}
        for population in self.graph.populations:
            self._populate(population)
        for number, each in enumerate(self.graph.connections):
            self._connect(number, each)
        for name, group in self.groups.items():
            self._monitor(self.graph[name], group)
        for sender in self.senders.values():
            self._add(sender.operation(library, clock))

    def run(self) -> Recording:
        """Simulate the rows and read the monitors."""
        self.network.run(self.job.steps * self.graph.dt * self.library.second, namespace={})
        sent = {name: self._sent(self.graph[name]) for name in self.graph.layers}
        return Recording(sent, {key: self._state(*key) for key in self.monitors})

    def _add(self, thing: Any) -> Any:
        self.network.add(thing)
        return thing

    # ---- populations -------------------------------------------------------------------------------

    def _populate(self, population: Population) -> None:
        """A group, and what carries its messages where Brian2's synapses can't."""
        name, node, depth = population.name, population.node, self.depths[population.name]
        numbered = enumerate(self.graph.connections)
        inputs = {f"arrived_{number}": c for number, c in numbered if c.target == name}
        shape = (self.bench.rows, population.size)
        if isinstance(node, Membrane):
            gains = self._resting_gain(population)
            group = self._add(neurons(self.bench, population, node, depth, inputs, gains))
            self.groups[name] = group
            if not _spikes(population):
                self.senders[name] = Sender(lambda _: np.asarray(group.message[:]).reshape(shape))
        elif isinstance(node, Astrocyte):
            self.groups[name] = self._add(astrocytes(self.bench, population, node, depth, inputs))
        elif isinstance(node, Constant):
            self.senders[name] = Sender(lambda step: np.full(shape, float(step >= depth)))
        elif _spikes(population):
            self.groups[name] = self._add(self._generator(population))
        else:
            self.senders[name] = Sender(lambda step: self._given(population)[:, step])

    def _generator(self, population: Population) -> Any:
        rows, steps, indices = np.nonzero(self.spikes[population.name])
        return self.library.SpikeGeneratorGroup(
            self.bench.rows * population.size,
            rows * population.size + indices,
            steps * self.graph.dt * self.library.second,
            clock=self.bench.clock,
        )

    def _given(self, population: Population) -> FloatArray:
        """A graded input in the model's numbers, (rows, steps, size)."""
        assert isinstance(population.node, Input)
        return np.asarray(self.spikes[population.name] / population.node.unit)

    def _resting_gain(self, population: Population) -> FloatArray:
        total = np.zeros(population.size)
        for each in self.graph.into(population.name):
            node = self.graph[each.source].node
            if isinstance(node, Astrocyte):
                gains = np.broadcast_to(2.0 ** node.log_gain.reshape(-1), (each.wiring.shape[1],))
                total = total + each.wiring.sparse @ gains
        total[total == 0] = 1.0
        return total

    # ---- connections -------------------------------------------------------------------------------

    def _connect(self, number: int, each: Connection) -> None:
        weights = each.wiring.sparse.astype(np.float64)
        if not isinstance(self.graph[each.target].node, Astrocyte):
            self._carry(each, weights, f"arrived_{number}")
            return
        # a pool is (target - own activity): the target's share is every row's positive weight
        dense = weights.toarray()
        target = np.maximum(dense.max(1, keepdims=True), 0) * np.ones(dense.shape)
        self._carry(each, scipy.sparse.csr_array(target), f"target_arrived_{number}")
        self._carry(each, scipy.sparse.csr_array(target - dense), f"own_arrived_{number}")

    def _carry(self, each: Connection, weights: Weights, variable: str) -> None:
        source = self.graph[each.source]
        period = source.node.period if isinstance(source.node, Astrocyte) else 0
        delay = self._delay(each, period)
        if each.source in self.senders:
            path = Path(weights, self.groups[each.target], variable, delay)
            self.senders[each.source].paths.append(path)
        else:
            self._synapses(each, weights, variable, delay, graded=period > 0)

    def _synapses(
        self, each: Connection, weights: Weights, variable: str, delay: int, *, graded: bool
    ) -> None:
        found = weights.tocoo()
        there = found.data != 0
        posts, pres = (index[there].astype(np.int64) for index in found.coords)
        if not len(posts):
            return
        synapses = self.library.Synapses(
            self.groups[each.source],
            self.groups[each.target],
            "w : 1 (constant)",
            on_pre=f"{variable}_post += w * gain_pre" if graded else f"{variable}_post += w",
            on_event="tick" if graded else "spike",
            delay=(delay - 1) * self.graph.dt * self.library.second,  # Brian2's is one less than the chip's
            clock=self.bench.clock,
        )
        rows, (targets, sources) = np.arange(self.bench.rows)[:, None], weights.shape
        synapses.connect(i=(rows * sources + pres).ravel(), j=(rows * targets + posts).ravel())
        synapses.w = np.tile(found.data[there], self.bench.rows)
        self._add(synapses)

    def _delay(self, each: Connection, period: int) -> int:
        """Steps on the chip: the Program's, or where it has no such connection, those of the depths."""
        delay = self.delays.get(each.name, each.lag + self.depths[each.target] - self.depths[each.source])
        if period and delay > period:
            raise EngineError(
                f"{each.name} delays gains by {delay} steps, its astrocytes send every {period}: "
                "Brian2 reads a gain when it arrives, so the delay must not exceed the period"
            )
        return delay

    # ---- monitors ----------------------------------------------------------------------------------

    def _monitor(self, population: Population, group: Any) -> None:
        node, name = population.node, population.name
        if isinstance(node, Astrocyte):
            known = {"trace": ("calcium",), "log_gain": ("log_gain",), "count": ("own", "target")}
            self.messages[name] = self._add(self.library.EventMonitor(group, "tick", variables="gain"))
        elif isinstance(node, Membrane):
            known = {"v": ("v",), "gain": ("gain",), "u": (_flow(node),)}
            spiking = _spikes(population)
            monitor = self.library.SpikeMonitor(group) if spiking else self._over_time(group, ("message",))
            self.messages[name] = self._add(monitor)
        else:
            return
        for state, variables in known.items():
            if (name, state) in self.job.record:
                self.monitors[name, state] = self._add(self._over_time(group, variables))

    def _over_time(self, group: Any, variables: tuple[str, ...]) -> Any:
        return self.library.StateMonitor(group, variables, record=True, when="end", clock=self.bench.clock)

    def _sent(self, population: Population) -> Array:
        """A population's messages, (rows, steps, size)."""
        name, node, size = population.name, population.node, population.size
        if name in self.spikes:
            return self.spikes[name]
        messages = np.zeros((self.bench.rows, self.job.steps, size), np.int32)
        if isinstance(node, Constant):
            messages[:, self.depths[name] :] = 1
            return messages
        monitor = self.messages[name]
        if isinstance(node, Membrane) and not _spikes(population):
            return self._folded(monitor.message, size)
        graded = isinstance(node, Astrocyte)
        messages = messages.astype(np.float64 if graded else np.int32)
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
            return read(name, state, "v") - (node.v_reset.reshape(-1) if node.sends == "spikes" else 0.0)
        if state == "gain":
            return read(name, state, "gain")
        return read(name, state, _flow(node)) * _pushed(node, self.graph.dt)

    def _read(self, name: str, state: str, variable: str) -> FloatArray:
        """What a monitor holds of one of its variables, as (rows, steps, size)."""
        return self._folded(getattr(self.monitors[name, state], variable), self.graph[name].size)

    def _folded(self, recorded: Any, size: int) -> FloatArray:
        flat = np.asarray(recorded, np.float64)
        return flat.reshape(self.bench.rows, size, -1).transpose(0, 2, 1)


def _flow(node: Membrane) -> str:
    """The variable of what reaches the membrane: of a LIF without its bias."""
    return "drive" if isinstance(node, LIF) else "synaptic"


def _pushed(node: Membrane, dt: float) -> FloatArray:
    """What a flow of 1 adds to the membrane in a step."""
    tau, r = node.tau.reshape(-1), node.r.reshape(-1)
    share = 1 - np.exp(-dt / tau) if node.integrator == "exponential" else dt / tau
    return np.asarray(np.where(np.isinf(tau), dt, share) * r)
