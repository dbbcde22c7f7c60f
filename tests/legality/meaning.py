"""Whether the network on the chip has the synapses of the float network that it means.

The chip's network may hold neurons that the float network does not: relays, and partial sums of a fan-in that is
too large for a core. A path through them stands for the synapse between its ends. Weights that rounding made
zero may be missing: rounding moves a weight by no more than one step of the connection's integers. How large
that is, is known of neurons with an integer of LARGE or more; of others nothing is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from legality.folder import Connection, Folder, Network

LARGE = 16
ROUNDED = 1.1  # steps that rounding may move a weight; the step is known from a weight that is rounded itself


@dataclass(frozen=True)
class Paths:
    """All ways from one population to another: (targets, sources).

    times   how many synapses, or paths through helpers, join two neurons
    weight  their weights with the power of two, summed without sign
    step    what one more in an integer weight adds to that; the largest of several connections
    """

    times: scipy.sparse.csr_array
    weight: scipy.sparse.csr_array
    step: float

    def __add__(self, other: "Paths") -> "Paths":
        return Paths(self.times + other.times, self.weight + other.weight, max(self.step, other.step))

    def after(self, first: "Paths") -> "Paths":
        """First the others, then these."""
        return Paths(self.times @ first.times, self.weight @ first.weight, self.step * first.step)


Into = dict[str, Paths]  # by the population where they start


def synapses_are_those_of_the_float_network(folder: Folder) -> Iterator[str]:
    """What is missing, and what is there too much, between any two populations."""
    known = set(folder.reference.populations)
    for name in sorted(known & set(folder.network.populations)):
        meant, there = (_into(each, name, known) for each in (folder.reference, folder.network))
        for source in sorted({*meant, *there}):
            between = f"{source} -> {name}"
            if source not in there:
                yield f"{between} is missing on the chip"
            elif source not in meant:
                yield f"{between} is not in the float network"
            else:
                yield from _compared(between, meant[source], there[source])
    if missing := sorted(known - set(folder.network.populations)):
        yield f"{', '.join(missing)} of the float network are missing on the chip"


def _compared(between: str, meant: Paths, there: Paths) -> Iterator[str]:
    if more := int(((there.times - meant.times) > 0).sum()):
        yield f"{between} has {more} synapses more often than the float network"
    if lost := _lost(meant, there):
        yield f"{between} lacks {lost} synapses of the float network"


def _lost(meant: Paths, there: Paths) -> int:
    """Synapses that are missing and too large to be rounded to nothing."""
    weight, meant_weight = there.weight / there.step, meant.weight
    if not weight.nnz:
        return 0
    rows, largest = np.arange(weight.shape[0]), np.ravel(weight.argmax(axis=1))
    integer, real = (np.ravel(each[rows, largest]) for each in (weight, meant_weight))
    step = np.where(integer >= LARGE, real / np.maximum(integer, 1), np.inf)
    missing = (meant_weight - meant_weight * (weight != 0)).tocoo()
    return int(np.count_nonzero(missing.data > ROUNDED * step[missing.row]))


def _into(network: Network, name: str, known: set[str], through: tuple[str, ...] = ()) -> Into:
    """All paths that end in a population and come from one that both networks have."""
    if name in through:
        raise ValueError(f"{name} is not in the float network, and feeds itself")
    found: Into = {}
    for each in (c for c in network.connections if c.target == name):
        direct = _direct(each, network, helps=not {each.source, name} <= known)
        if each.source in known:
            parts = {each.source: direct}
        else:
            before = _into(network, each.source, known, (*through, name))
            parts = {source: direct.after(first) for source, first in before.items()}
        for source, paths in parts.items():
            found[source] = found[source] + paths if source in found else paths
    return found


def _direct(connection: Connection, network: Network, helps: bool) -> Paths:
    """One connection; where it only `helps`, its one weight is the step of what goes through it."""
    listed = connection.synapses.where(connection.synapses.weight != 0)
    shape = network.populations[connection.target].size, network.populations[connection.source].size
    weight = np.abs(listed.weight.astype(np.float64)) * 2.0**connection.exponent
    places = listed.target, listed.source
    times = scipy.sparse.csr_array((np.ones(weight.size, np.int64), places), shape)
    alike = helps and connection.pattern == "OneToOne" and weight.size and weight.min() == weight.max()
    step = float(weight[0]) if alike else 2.0**connection.exponent
    return Paths(times, scipy.sparse.csr_array((weight, places), shape), step)
