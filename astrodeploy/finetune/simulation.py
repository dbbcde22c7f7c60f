"""A differentiable run of a Program: its neuron programs on torch tensors, in the model's own time.

Every population starts from rest in its own first step, so that the delays which the chip adds play no
part; only the lags of the model do. What the astrocytes do is left out: gains stay at rest.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from astrodeploy.compartments import Range
from astrodeploy.engines.reference import evaluation_order
from astrodeploy.finetune.neurons import Frame, Neurons, Sent
from astrodeploy.finetune.places import places, scale_of
from astrodeploy.finetune.trained import Trained
from astrodeploy.ir import Graph


class Simulation:
    """The network that a Graph's trained numbers make on the chip, as quantised in `network`.

    graph    the float network as it was quantised
    weights  the range of a weight on the chip
    chip     False leaves the rounding, saturation and wrap of weights, parameters and states out: it is
             then the float network, in the chip's units

    Raises UnsupportedError where the integers can't be followed.
    """

    def __init__(
        self, trained: Trained, graph: Graph, network: Graph, weights: Range, chip: bool = True
    ) -> None:
        self.dtype = trained.dtype
        self.output, self.readout = network[network.output], network.readout
        self.sends = getattr(graph[graph.output].node, "sends", "spikes")
        frame = Frame(trained, graph, network, places(graph, network, weights), weights, chip)
        order = [n for n in evaluation_order(network) if not network[n].is_astrocyte]
        self.groups = {n: Neurons(network[n], frame) for n in order}

    def run(self, messages: Mapping[str, Tensor], steps: int) -> dict[str, Tensor]:
        """Every population's messages (batch, steps, size), from the inputs' of the same shape."""
        sent, _ = self._run(messages, steps)
        return {name: torch.stack(sent[name], 1) for name in self.groups}

    def outputs(self, messages: Mapping[str, Tensor], steps: int) -> Tensor:
        """What the read-out says, (batch, output size): spikes counted, membranes in the float network's unit."""
        sent, membranes = self._run(messages, steps)
        if self.sends == "spikes":
            return torch.stack(sent[self.output.name]).sum(0)
        window = torch.stack(membranes)
        window = window.clamp(min=0) if self.sends == "rectified" else window
        reduced = {"mean": window.mean(0), "max": window.amax(0)}
        return reduced.get(self.readout, window[-1]) / scale_of(self.output)

    def _run(self, messages: Mapping[str, Tensor], steps: int) -> tuple[Sent, list[Tensor]]:
        sent: Sent = {name: list(each[:, :steps].to(self.dtype).unbind(1)) for name, each in messages.items()}
        sent |= {name: [] for name in self.groups}
        membranes = []
        rows = len(next(iter(messages.values())))
        for group in self.groups.values():
            group.start(rows)
        for step in range(steps):
            for group in self.groups.values():
                sent[group.name].append(group.advance(step, sent))
            membranes.append(self.groups[self.output.name].states["v"])
        return sent, membranes
