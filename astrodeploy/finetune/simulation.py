"""A differentiable run of a Program: its neuron programs on torch tensors.

It runs on the chip's clock, where every population starts from rest in its own first step, and computes
only the steps that are asked for. What the astrocytes do is left out: gains stay at rest.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from astrodeploy.compartments import Range
from astrodeploy.finetune.neurons import Frame, Neurons, Sent, lag_of
from astrodeploy.finetune.places import places, scale_of
from astrodeploy.finetune.trained import Trained
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.numbers import BIAS, BiasFormat


class Simulation:
    """The network that a Graph's trained numbers make on the chip, as quantised in `network`.

    graph    the float network as it was quantised
    weights  the range of a weight on the chip
    chip     False leaves the rounding, saturation and wrap of weights, parameters and states out: it is
             then the float network, in the chip's units

    Raises UnsupportedError where the integers can't be followed.
    """

    def __init__(
        self,
        trained: Trained,
        graph: Graph,
        network: Graph,
        weights: Range,
        chip: bool = True,
        bias: BiasFormat = BIAS,
    ) -> None:
        self.trained, self.network = trained, network
        self.output, self.how = network[network.output], network.read_outs[network.output].how
        self.sends = getattr(graph[graph.output].node, "sends", "spikes")
        frame = Frame(trained, graph, network, places(graph, network, weights), weights, chip, bias)
        gains = {p.name for p in graph.populations if isinstance(p.node, Astrocyte)}
        neurons = [p for p in network.populations if not (p.is_input or p.name in gains)]
        self.groups = {p.name: Neurons(p, frame) for p in neurons}
        self.followed = frozenset(place.name for place in frame.places.values())

    def run(self, messages: Mapping[str, Tensor], steps: int) -> dict[str, Tensor]:
        """Every population's messages (batch, steps, size), from the inputs' of the same shape."""
        sent, _ = self._run(messages, dict.fromkeys(self.groups, steps))
        return {name: torch.stack(sent[name][:steps], 1) for name in self.groups}

    def outputs(self, messages: Mapping[str, Tensor], steps: int) -> Tensor:
        """What the read-out says, (batch, output size): spikes counted, membranes in the float network's unit."""
        sent, membranes = self._run(messages, {self.output.name: steps})
        if self.sends == "spikes":
            return torch.stack(sent[self.output.name]).sum(0)
        window = torch.stack(membranes)
        window = window.clamp(min=0) if self.sends == "rectified" else window
        reduced = {"last": window[-1], "mean": window.mean(0), "max": window.amax(0)}
        return reduced[self.how] / scale_of(self.output)

    def _run(self, messages: Mapping[str, Tensor], wanted: Mapping[str, int]) -> tuple[Sent, list[Tensor]]:
        """What every population sent in each of its steps, and the output's membranes."""
        needed = self._needed(wanted)
        sent: Sent = {name: list(each.to(self.trained.dtype).unbind(1)) for name, each in messages.items()}
        sent |= {name: [] for name in self.groups}
        membranes = []
        running = [group for group in self.groups.values() if group.name in needed]
        for group in running:
            group.start(len(next(iter(messages.values()))))
        for step in range(max(group.depth + needed[group.name] for group in running)):
            done = [
                (group, group.advance(step - group.depth, sent))
                for group in running
                if 0 <= step - group.depth < needed[group.name]
            ]
            for group, message in done:
                sent[group.name].append(message)
                if group.name == self.output.name:
                    membranes.append(group.states["v"])
        return sent, membranes

    def _needed(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """How many steps of each population the wanted ones hear of."""
        needed = dict(wanted)
        for _ in self.network.populations:
            for c in self.network.connections:
                if c.port == "current" and c.target in needed:
                    needed[c.source] = max(
                        needed.get(c.source, 0), needed[c.target] - lag_of(c, self.network)
                    )
        return needed
