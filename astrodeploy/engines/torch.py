"""The float network as torch modules in float32: Norse's cells, our own where it has none, and AstrocyteLayers.

It is built anew from the Graph, in float32 as it was trained, runs in the model's own time and gives
its result on the chip's clock, like the float reference.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrodeploy.arithmetic import dropped, resets
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.engines.reference import evaluation_order, flat, given
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.graph import Connection
from astrodeploy.ir.nodes import Constant, Membrane, carries_signal


def torch(job: Job) -> Recording:
    """Run the float network in torch. No states are recorded but membranes that are sent.

    Raises UnsupportedError for a layer of neurons that are no membranes, and for astrocytes that carry a signal.
    """
    from importlib.metadata import version

    import torch as library

    graph = job.program.reference
    depths = {p.name: job.program.network[p.name].depth for p in graph.populations}
    sent: dict[str, Array] = {p.name: given(p, job.spikes[p.name]) for p in graph.inputs}
    for p in graph.populations:
        if isinstance(p.node, Constant):
            sent[p.name] = np.ones((job.rows, job.steps, p.size), np.uint8)
    layers = _layers(graph, job)
    for layer in layers:
        sent |= layer.messages
    with library.no_grad():
        for step in range(job.steps):
            for layer in layers:
                layer.advance(step, depths, sent, job.reset_every)
    states = {(n, s): sent[n] for n, s in job.record if s == "v" and _sends_membrane(graph, n)}
    return Recording(sent, states, {"torch": version("torch"), "norse": version("norse")})


def _sends_membrane(graph: Graph, name: str) -> bool:
    node = graph[name].node if name in graph.layers else None
    return isinstance(node, Membrane) and node.sends != "spikes"


def _layers(graph: Graph, job: Job) -> list["_Layer"]:
    modulated = {c.target: c.source for c in graph.connections if c.port == "modulation"}
    for p in graph.populations:
        if carries_signal(p.node):
            raise UnsupportedError(
                f"the torch engine can't run {p.name}, an astrocyte that carries a signal: run your own module"
            )
        if not (p.is_input or isinstance(p.node, Membrane | Astrocyte | Constant)):
            raise UnsupportedError(
                f"the torch engine can't run {p.name}, a {type(p.node).__name__}: choose the engine reference"
            )
    names = [n for n in evaluation_order(graph) if isinstance(graph[n].node, Membrane)]
    return [_Layer(graph, name, modulated.get(name), job) for name in names]


class _Layer:
    """One layer of cells, with its astrocytes where it has some."""

    def __init__(self, graph: Graph, name: str, astrocytes: str | None, job: Job) -> None:
        self.population, self.astrocytes, self.graph = graph[name], astrocytes, graph
        size = self.population.size
        self.inputs = [_Synapses(c) for c in graph.into(name) if c.port == "current"]
        self.cell, factor = self._made()
        self.factor = flat(factor, size).astype(np.float32)
        node: Any = self.population.node
        self.bias = flat(node.bias, size).astype(np.float32)
        self.state: Any = None
        kind = np.uint8 if node.sends == "spikes" else np.float64
        self.messages = {name: np.zeros((job.rows, job.steps, size), kind)}
        if astrocytes is not None:
            self.cell = self._modulated(self.cell)
            self.messages[astrocytes] = np.zeros((job.rows, job.steps, len(self.cell.log_gain)))

    def _made(self) -> tuple[Any, Array]:
        from astrodeploy.frontends.torch.membranes import Neurons
        from astrodeploy.frontends.torch.norse_cells import cell_of

        node: Any = self.population.node
        try:
            return cell_of(node, self.graph.dt)
        except UnsupportedError:  # Norse can't say these neurons
            cell = Neurons(node, self.graph.dt, self.population.size)
            return cell, cell.factor

    def _modulated(self, cell: Any) -> Any:
        """The cell in an AstrocyteLayer with the Graph's own pool, gains and settings."""
        import torch

        from astrodeploy.nn import AstrocyteLayer

        node = self.graph[str(self.astrocytes)].node
        assert isinstance(node, Astrocyte)
        (pool,) = self.graph.into(str(self.astrocytes))
        (spread,) = self.graph.out_of(str(self.astrocytes))
        layer = AstrocyteLayer(cell, self.population.size, domain=1, period=1, tau=self.graph.dt)
        layer.period, layer.decay, layer.rate = node.period, float(node.decay.flat[0]), node.rate
        layer.low, layer.high, layer.set_point = node.low, node.high, node.set_point
        layer.pool = torch.from_numpy(np.array(pool.weight, np.float64))
        layer.domain_of = torch.from_numpy(spread.weight.argmax(1))
        layer.log_gain = torch.from_numpy(np.array(node.log_gain, np.float32))
        return layer

    def advance(
        self, step: int, depths: Mapping[str, int], sent: Mapping[str, Array], reset_every: int
    ) -> None:
        """One step of the chip's clock; before the layer's depth it is silent and at rest."""
        import torch

        local = step - depths[self.population.name]
        if local < 0:
            return
        self._reset(resets(local, 0, reset_every))
        messages = self.messages[self.population.name]
        current = np.tile(self.bias, (len(messages), 1))
        for each in self.inputs:
            lag = each.lag
            if local >= lag and not dropped(local, 0, lag, reset_every, False):
                current += each.deliver(sent[each.source][:, local - lag + depths[each.source]])
        z, self.state = self.cell(torch.from_numpy(current * self.factor), self.state)
        messages[:, step] = z.numpy()
        if self.astrocytes is not None and self.state.message is not None:
            self.messages[self.astrocytes][:, step] = self.state.message.numpy()

    def _reset(self, what: str) -> None:
        if what == "all" or (what == "fast" and self.astrocytes is None):
            self.state = None
        elif what == "fast":
            self.state = self.state.carried()


class _Synapses:
    """A connection in float32."""

    def __init__(self, connection: Connection) -> None:
        self.source, self.lag = connection.source, connection.lag
        wiring = connection.wiring
        self.wiring = wiring.with_values(wiring.values.astype(np.float32))

    def deliver(self, messages: Array) -> Array:
        """Totals (rows, targets) of messages (rows, sources)."""
        return self.wiring.deliver(messages.astype(np.float32))
