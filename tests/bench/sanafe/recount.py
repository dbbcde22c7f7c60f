"""SANA-FE's energy and step time from counted events, and a queueing term for its default timing model.

With N neurons, U of them updated and F fired, M messages sent, A messages and S synapses arriving at a core:

    energy  51.2 N + 21.6 U + 69.3 F + (35.5 | 33.6 | 24.0) S + 111 M pJ, and 3.0 or 4.2 pJ a hop and message
    time    barrier + max over cores of max(6.0 N + 3.7 U + 30 F + 5.1 M,  16 A + (3.8 | 4.7 | 3.1) S) ns

A message is one spike to one core that holds a target. Input neurons cost their messages only. Nothing that the
`simple` timing model does not know of is in the time: neither hops nor links.

The default model makes messages wait for those ahead on their route. `queueing` reckons with a steady flow: of a
message that takes h hops, each of the h + 2 links and buffers of its route holds a share until the receiver has
taken it in, and what it waits is the receivers' time for what stands on its route, over the h + 1 stages that
drain at once. The occupancies of the links then feed on each other, and the shortest time Q in which a step's
messages get through is the greatest eigenvalue of a matrix over the links, times the time to take one message in.
The last message finds buffers half full, 8 of 16 messages. The busiest receiver can begin when messages were made.
With G and R the busiest sender's and receiver's time and d the mean time to take one message in:

    time    barrier + ((R + G)^4 + (Q + 8 d)^4)^(1/4)

The exponent, between a sum and the larger of the two, since neither hides the other whole, and the 8 were chosen
on 28 mappings to 4 to 60 cores, of which they miss none by more than 15 %; all else follows from the mapping.
"""

from dataclasses import dataclass

import numpy as np
from mapped import CORES, Activity, Flow, Mapped, flows

PICO, NANO = 1e-12, 1e-9
ACCESS, UPDATE, SPIKE, MESSAGE = 51.2, 21.6, 69.3, 111.0
EAST_WEST, NORTH_SOUTH = 3.0, 4.2
SYNAPSE = {"dense": 35.5, "sparse": 33.6, "conv": 24.0}
ACCESS_NS, UPDATE_NS, SPIKE_NS, MESSAGE_NS, ARRIVAL_NS = 6.0, 3.7, 30.0, 5.1, 16.0
SYNAPSE_NS = {"dense": 3.8, "sparse": 4.7, "conv": 3.1}
BARRIER_NS = {1: 600.0, 2: 1000.0, 4: 1400.0, 29: 1800.0}
TILE = 4  # cores a tile, and tiles a column
ROUNDS = 60
BLEND, HALF_FULL = 4, 8


@dataclass(frozen=True)
class Recount:
    """Joules of the run; seconds of every step by the simple model and with the queueing term, (steps,)."""

    energy: float
    simple: np.ndarray
    queueing: np.ndarray


def recounted(network: Mapped, activity: Activity) -> Recount:
    """Energy and step times of a run."""
    between = flows(network, activity)
    energy, sending = _neurons(network, activity)
    receiving = np.zeros_like(sending)
    for (source, target), flow in between.items():
        energy += flow.messages.sum() * (MESSAGE + _hop_energy(source, target))
        energy += sum(SYNAPSE[name] * count.sum() for name, count in flow.synapses.items())
        sending[:, source] += MESSAGE_NS * flow.messages
        receiving[:, target] += _taking_in(flow)
    sent, received, barrier = sending.max(1), receiving.max(1), _barrier(network)
    waiting, each = queueing(between, network.steps)
    late = ((sent + received) ** BLEND + (waiting + HALF_FULL * each) ** BLEND) ** (1 / BLEND)
    return Recount(
        energy * PICO,
        (np.maximum(sent, received) + barrier) * NANO,
        (late + barrier) * NANO,
    )


def _neurons(network: Mapped, activity: Activity) -> tuple[float, np.ndarray]:
    """Picojoules of all updates and spikes, and their nanoseconds by step and core."""
    energy, time = 0.0, np.zeros((network.steps, CORES))
    for layer in network.layers:
        on_core = np.eye(CORES)[network.cores[layer.name]]
        updated, fired = activity.updated[layer.name], activity.fired[layer.name]
        energy += ACCESS * updated.size + UPDATE * updated.sum() + SPIKE * fired.sum()
        time += ACCESS_NS * on_core.sum(0) + UPDATE_NS * (updated @ on_core) + SPIKE_NS * (fired @ on_core)
    return energy, time


def _taking_in(flow: Flow) -> np.ndarray:
    """Nanoseconds that the receiver spends on a flow, (steps,)."""
    return ARRIVAL_NS * flow.messages + sum(SYNAPSE_NS[n] * count for n, count in flow.synapses.items())


def place(core: int) -> tuple[int, int]:
    """Column and row of a core's tile."""
    return divmod(core // TILE, TILE)


def _hop_energy(source: int, target: int) -> float:
    (x, y), (to_x, to_y) = place(source), place(target)
    return EAST_WEST * abs(x - to_x) + NORTH_SOUTH * abs(y - to_y)


def _barrier(network: Mapped) -> float:
    tiles = len({int(core) // TILE for cores in network.cores.values() for core in cores})
    return BARRIER_NS[max(count for count in BARRIER_NS if count <= tiles)]


def route(source: int, target: int) -> list[tuple[int, ...]]:
    """The sender's own link, and the link into every tile on the way, columns first."""
    (x, y), (to_x, to_y) = place(source), place(target)
    links: list[tuple[int, ...]] = [(source,)]
    while (x, y) != (to_x, to_y):
        step = (int(np.sign(to_x - x)), 0) if x != to_x else (0, int(np.sign(to_y - y)))
        x, y = x + step[0], y + step[1]
        links.append((x, y, *step))
    return links


def queueing(between: dict[tuple[int, int], Flow], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nanoseconds in which each step's messages get through the links, and to take the mean one in, (steps,) each."""
    routes = [route(*pair) for pair in between]
    links = {link: i for i, link in enumerate(dict.fromkeys(link for r in routes for link in r))}
    uses = np.zeros((len(links), len(routes)))
    for i, each in enumerate(routes):
        uses[[links[link] for link in each], i] = 1
    stages = uses.sum(0)  # h + 1
    messages = np.array([flow.messages for flow in between.values()], float).T
    taken = np.array([_taking_in(flow) for flow in between.values()], float).T
    share = np.ones((steps, len(links)))
    for _ in range(ROUNDS):
        share /= np.maximum(np.linalg.norm(share, axis=1, keepdims=True), 1e-30)
        waiting = share @ uses * messages / stages
        share = waiting / (stages + 1) @ uses.T
    each = np.divide(taken, messages, out=np.zeros_like(taken), where=messages > 0)
    of_waiting = (waiting * each).sum(1) / np.maximum(waiting.sum(1), 1e-30)
    of_all = taken.sum(1) / np.maximum(messages.sum(1), 1e-30)
    return np.linalg.norm(share, axis=1) * np.maximum(of_waiting, of_all), of_all
