"""Which edges of a NIR network close a loop: those carry what was sent in the step before.

NIR's loops take no time of their own. Every tool that steps them lets one edge carry z(t - 1); here
it is the one that a depth-first walk from the Inputs finds to lead back. Where the walk has a choice it goes
first where the Output is farthest, then by name, so that what leads on to the Output is taken as forward.
A loop through a Delay of a step or more has its time already.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.sparse.csgraph

from astrodeploy.frontends.nir.network import Edge, Network, natural

FAR = 1 << 60
Order = dict[str, tuple[int, tuple[tuple[int, int, str], ...]]]


def closing_edges(network: Network, slow: frozenset[str]) -> frozenset[Edge]:
    """The edges that close loops; the nodes `slow` are delays of at least a step."""
    from_input = _distances(network.ports("Input"), network.after)
    to_output = _distances(network.ports("Output"), network.before)
    order = {name: (-to_output.get(name, FAR), natural(name)) for name in network.nodes}
    starts = network.ports("Input")
    starts += sorted(network.nodes, key=lambda n: (from_input.get(n, FAR), order[n]))
    walked: set[str] = set()
    closing: set[Edge] = set()
    for start in starts:
        if start not in walked:
            closing |= _walk(network, start, order, walked)
    return frozenset(closing & _timeless(network, slow))


def _timeless(network: Network, slow: frozenset[str]) -> set[Edge]:
    """The edges on loops that no slow node is part of."""
    number = {name: i for i, name in enumerate(n for n in network.nodes if n not in slow)}
    fast = [(s, t) for s, t in network.edges if s in number and t in number]
    ends = np.array([(number[s], number[t]) for s, t in fast], np.int64).reshape(-1, 2)
    shape = (len(number), len(number))
    matrix = scipy.sparse.csr_array((np.ones(len(fast)), (ends[:, 0], ends[:, 1])), shape=shape)
    _, part = scipy.sparse.csgraph.connected_components(matrix, connection="strong")
    return {edge for edge, (s, t) in zip(fast, ends, strict=True) if part[s] == part[t]}


def _distances(starts: Iterable[str], neighbours: Callable[[str], list[str]]) -> dict[str, int]:
    found = dict.fromkeys(starts, 0)
    waiting = list(found)
    for name in waiting:
        for each in neighbours(name):
            if each not in found:
                found[each] = found[name] + 1
                waiting.append(each)
    return found


def _walk(network: Network, start: str, order: Order, walked: set[str]) -> set[Edge]:
    """Depth first from a node; the edges that lead back to a node on the way to where they begin."""

    def onward(name: str) -> Iterator[str]:
        return iter(sorted(network.after(name), key=order.__getitem__))

    closing: set[Edge] = set()
    way, on_the_way = [(start, onward(start))], {start}
    walked.add(start)
    while way:
        name, following = way[-1]
        each = next(following, None)
        if each is None:
            on_the_way.discard(way.pop()[0])
        elif each in on_the_way:
            closing.add((name, each))
        elif each not in walked:
            walked.add(each)
            on_the_way.add(each)
            way.append((each, onward(each)))
    return closing


def linear_order(network: Network, linear: Iterable[str]) -> tuple[list[str], list[str]]:
    """Linear nodes, each after those that feed it; and one circle of them, or nothing."""
    names = set(linear)
    waits = {name: sum(b in names for b in network.before(name)) for name in names}
    ready = sorted((n for n, count in waits.items() if count == 0), key=natural)
    for name in ready:
        for each in network.after(name):
            if each in names:
                waits[each] -= 1
                if waits[each] == 0:
                    ready.append(each)
    left = names - set(ready)
    return ready, _circle(network, left)


def _circle(network: Network, left: set[str]) -> list[str]:
    """A circle among nodes that all wait for each other, in the direction of the edges."""
    if not left:
        return []
    way = [min(left, key=natural)]
    while True:
        before = next(n for n in sorted(network.before(way[-1]), key=natural) if n in left)
        if before in way:
            return [*way[way.index(before) :], before][::-1]
        way.append(before)
