"""What no mapping can do better than: a lower bound of the busiest core's time.

A core that holds n neurons of a layer takes at least m + n * w of every step, where w is what a neuron takes
by itself and m what it takes to receive the messages that every neuron of the layer needs (a densely
stored layer needs all of its sources'). So it holds at most (T - m) / w of them if the step is to take T,
or a part of that where it also holds others, and all layers together need

    sum over layers of  neurons * w / (T - m)

cores. The least T for which that is no more than there are is the bound; the dearest single neuron is
another. Where sending overlaps receiving, each has a bound of its own, and the larger one counts.
"""

from dataclasses import dataclass, replace

from astrodeploy.ir import Population
from astrodeploy.mapping.cutting import Network
from astrodeploy.program import Slice

PRECISION = 1e-4  # of the bound, relative


@dataclass(frozen=True)
class Share:
    """A layer in one pipeline of a core, in picoseconds: all its neurons' own time, and `fixed` on every core."""

    own: float
    fixed: float
    neuron: float


def busiest_core_at_least(network: Network, cores: int) -> float:
    """Picoseconds that the busiest of so many cores takes of a step at least."""
    shares = [_shares(network, p) for p in network.populations]
    pipelines = list(zip(*shares, strict=True))
    if not network.work.model.sending_overlaps_receiving:
        pipelines = [tuple(_added(both) for both in shares)]
    return max((_least(each, cores) for each in pipelines), default=0.0)


def _added(both: tuple[Share, Share]) -> Share:
    first, second = both
    return Share(first.own + second.own, first.fixed + second.fixed, first.neuron + second.neuron)


def _least(shares: "tuple[Share, ...]", cores: int) -> float:
    """The least time in which so many cores hold all layers."""
    low = max((share.neuron for share in shares), default=0.0)
    high = low + sum(share.own for share in shares) + 1.0

    def enough(time: float) -> bool:
        needed = (share.own / (time - share.fixed) for share in shares if share.own)
        return all(time > share.fixed for share in shares if share.own) and sum(needed) <= cores

    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return low


def _shares(network: Network, population: Population) -> tuple[Share, Share]:
    """Sending and receiving of a layer."""
    work, whole = network.work, Slice(population.name, tuple((0, n) for n in population.shape))
    targets = sum(1 for _ in network.graph.out_of(population.name))
    sent = work.neurons[population.name].sent.within(whole)
    sending = work.sending(whole, sent * targets)
    operations, fixed, neuron = 0.0, 0.0, 0.0
    first = replace(whole, ranges=tuple((0, 1) for _ in whole.ranges))
    for stored in network.into(population.name):
        operations += work.arrivals(stored, whole)[1] * work.operation_time(stored)
        messages, caused = work.arrivals(stored, first)
        received = messages * work.message_time
        fixed += received if stored.encoding == "dense" else 0.0
        neuron += received + caused * work.operation_time(stored)
    return Share(sending, 0.0, sending / population.size), Share(operations, fixed, neuron)
