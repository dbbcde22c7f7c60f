"""The float network as the torch modules that a user trains with: Norse cells and AstrocyteLayers.

It is built anew from the Graph, in float32 as it was trained, runs in the model's own time and gives
its result on the chip's clock, like the float reference.
"""

from typing import Any

import numpy as np

from astrodeploy.arithmetic import resets
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.engines.reference import evaluation_order
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.arrays import Array


def torch(job: Job) -> Recording:
    """Run the float network in torch. States are not recorded. Raises UnsupportedError."""
    from importlib.metadata import version

    import torch as library

    network = job.program.network
    graph = job.program.reference
    with library.no_grad():
        layers = _layers(graph)
        spikes: dict[str, Array] = dict(job.spikes)
        for layer in layers:
            depth = network[layer.name].depth
            spikes |= layer.run(spikes, depth, {p.name: p.depth for p in network.populations}, job)
    return Recording(spikes, {}, {"torch": version("torch"), "norse": version("norse")})


def _layers(graph: Graph) -> list["_Layer"]:
    loops = {c.source: c.target for c in graph.connections if c.port == "modulation"}
    modulated = {target: source for source, target in loops.items()}
    names = [name for name in evaluation_order(graph) if name not in loops]
    return [_Layer(graph, name, modulated.get(name)) for name in names]


class _Layer:
    """One layer of cells, with its astrocytes where it has some."""

    def __init__(self, graph: Graph, name: str, astrocytes: str | None) -> None:
        from astrodeploy.frontends.cells import cell_of

        self.name, self.astrocytes, self.graph = name, astrocytes, graph
        self.inputs = [c for c in graph.into(name) if c.port == "current"]
        if any(c.lag for c in self.inputs):
            raise UnsupportedError(f"{name} has a recurrent input, which the torch engine does not run")
        self.cell: Any = cell_of(graph[name].node, graph.dt)
        if astrocytes is not None:
            self.cell = self._modulated(self.cell)

    def _modulated(self, cell: Any) -> Any:
        """The cell in an AstrocyteLayer with the Graph's own pool, gains and settings."""
        import torch

        from astrodeploy.nn import AstrocyteLayer

        node = self.graph[str(self.astrocytes)].node
        assert isinstance(node, Astrocyte)
        (pool,) = self.graph.into(str(self.astrocytes))
        (spread,) = self.graph.out_of(str(self.astrocytes))
        layer = AstrocyteLayer(cell, self.graph[self.name].size, domain=1, period=1, tau=self.graph.dt)
        layer.period, layer.decay, layer.rate = node.period, node.decay, node.rate
        layer.low, layer.high, layer.set_point = node.low, node.high, node.set_point
        layer.pool = torch.from_numpy(np.array(pool.weight, np.float64))
        layer.domain_of = torch.from_numpy(spread.weight.argmax(1))
        layer.log_gain = torch.from_numpy(np.array(node.log_gain, np.float32))
        return layer

    def run(self, spikes: dict[str, Array], depth: int, depths: dict[str, int], job: Job) -> dict[str, Array]:
        """Its spikes and its astrocytes' messages, (rows, steps, size) on the chip's clock."""
        import torch

        node: Any = self.graph[self.name].node
        bias = torch.from_numpy(np.array(node.bias, np.float32).reshape(-1))
        weights = [(c, torch.from_numpy(c.weight.astype(np.float32).T.copy())) for c in self.inputs]
        out = np.zeros((job.rows, job.steps, self.graph[self.name].size), np.uint8)
        gains = np.zeros((job.rows, job.steps, 0 if self.astrocytes is None else len(self.cell.log_gain)))
        state: Any = None
        for step in range(depth, job.steps):
            state = self._rested(state, resets(step, depth, job.reset_every))
            local = step - depth
            current = bias.expand(job.rows, -1)
            for c, weight in weights:
                arrived = spikes[c.source][:, local + depths[c.source]].astype(np.float32)
                current = current + torch.from_numpy(arrived) @ weight
            z, state = self.cell(current, state)
            out[:, step] = z.numpy()
            if self.astrocytes is not None and state.message is not None:
                gains[:, step] = state.message.numpy()
        return {self.name: out} | ({} if self.astrocytes is None else {self.astrocytes: gains})

    def _rested(self, state: Any, reset: str) -> Any:
        if reset == "all" or (reset == "fast" and self.astrocytes is None):
            return None
        return state.carried() if reset == "fast" else state
