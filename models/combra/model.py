"""combra_loihi's astrocyte in the integers that it is made of: nothing of it is trained.

    inputs -> spike receiver -> IP3 integrator -> SIC generator, joined to a spike generator

The receiver and the integrator are plain compartments, the two generators one joined pair. Weights are
mantissas that arrive shifted left by 6 bits, thresholds too; a decay is a factor per 4096; a step is 1 ms.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

import astrodeploy as ad
from astrodeploy.compartments import KINDS
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Dense, OneToOne

DT = 1e-3
INPUT_WEIGHT, IP3_WEIGHT, SIC_WEIGHT, SIC_DECAY = 10, 20, 20, 40
RECEIVER = {"threshold": 100, "du": 409, "dv": 1024, "bias": 0}
INTEGRATOR = {"threshold": 15000, "du": 4096, "dv": 1, "bias": 0}
GENERATORS = {"threshold": 5000, "dv1": 40, "du2": 409, "dv2": 40}

WEIGHTS = tuple(range(5, 71))  # of the table: from the IP3 integrator to the SIC generator
FRACTIONS = tuple(round(0.01 * i, 2) for i in range(1, 11))  # of 4096: the SIC generator's current decay
BURST_STEPS, RATE_WINDOW = 3000, 250  # ms of a burst that are watched, and in which its rate is taken


def astrocyte(
    inputs: int = 20, ip3_weight: int = IP3_WEIGHT, sic_weight: int = SIC_WEIGHT, sic_decay: int = SIC_DECAY
) -> Graph:
    """One astrocyte that listens to so many neurons; its output is the spike generator.

    ip3_weight             from the receiver to the integrator, 1..100: how soon IP3 gathers
    sic_weight, sic_decay  what shapes the burst; `tuned` finds them for a wanted one
    """
    populations = (
        Population("inputs", (inputs,), Input()),
        _compartments("receiver", "lif", 1, RECEIVER),
        _compartments("ip3", "lif", 1, INTEGRATOR),
        _compartments("sic", "sic", 1, GENERATORS | {"du1": sic_decay}),
    )
    connections = (
        _connection("inputs", "receiver", Dense(np.full((1, inputs), INPUT_WEIGHT, np.int8))),
        _connection("receiver", "ip3", OneToOne(np.full(1, ip3_weight, np.int8))),
        _connection("ip3", "sic", OneToOne(np.full(1, sic_weight, np.int8))),
    )
    return Graph(DT, populations, connections, ("sic",))


def generators(weights: np.ndarray, decays: np.ndarray) -> Graph:
    """The joined pairs alone, one for each weight and current decay, and an IP3 spike of its own for each."""
    size = len(weights)
    populations = (
        Population("ip3", (size,), Input()),
        _compartments("sic", "sic", size, GENERATORS | {"du1": decays}),
    )
    wiring = OneToOne(np.asarray(weights, np.int8))
    return Graph(DT, populations, (_connection("ip3", "sic", wiring),), ("sic",))


def _compartments(name: str, kind: str, size: int, parameters: dict) -> Population:
    """A part of the astrocyte at rest: all of its compartments are."""
    made = KINDS[kind]
    values = {k: np.broadcast_to(np.asarray(v, np.int64), (size,)) for k, v in parameters.items()}
    rest = {k: np.full(size, state.initial) for k, state in made.states.items()}
    return Population(name, (size,), Compartments(made, values, rest), role="astrocytes")


def _connection(source: str, target: str, wiring: Dense | OneToOne) -> Connection:
    return Connection(source, target, "current", wiring, delay=1)


# ---- bursts ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Burst:
    """What one IP3 spike makes of the spike generator.

    rate    the most spikes in any 250 ms, times 4 (Hz)
    window  from the first spike to the last (ms); -1 without a spike
    """

    weight: int
    decay: int
    rate: int
    window: int


def measured(spikes: np.ndarray) -> tuple[int, int]:
    """Rate and window of a spike train (steps,)."""
    steps = np.flatnonzero(spikes)
    if not steps.size:
        return 0, -1
    until = np.concatenate([[0], np.cumsum(spikes, dtype=np.int64)])
    most = (until[RATE_WINDOW:] - until[:-RATE_WINDOW]).max()
    return int(most) * (1000 // RATE_WINDOW), int(steps[-1] - steps[0])


def ip3_spike(size: int) -> np.ndarray:
    """One spike of each in step 0, then `BURST_STEPS` steps: (1, steps, size)."""
    x = np.zeros((1, 1 + BURST_STEPS, size), np.uint8)
    x[:, 0] = 1
    return x


def bursts(
    weights: np.ndarray, decays: np.ndarray, engine: str = "fast", target: str = "loihi1"
) -> list[Burst]:
    """The bursts of joined pairs, all in one run of a Program."""
    program = ad.compile(generators(weights, decays), target)
    sent = program.run(ip3_spike(len(weights)), engine).spikes["sic"][0]
    return [
        Burst(int(weight), int(decay), *measured(train))
        for weight, decay, train in zip(weights, decays, sent.T, strict=True)
    ]


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Weights and current decays of the whole table: every weight with every fraction."""
    fractions = np.repeat(FRACTIONS, len(WEIGHTS))
    return np.tile(WEIGHTS, len(FRACTIONS)), (fractions * 4096).astype(np.int64)


@cache
def all_bursts() -> tuple[Burst, ...]:
    """The bursts of the whole grid."""
    return tuple(bursts(*grid()))


def tuned(rate: float, window: float) -> Burst:
    """The burst of the grid that comes closest to a rate (Hz) and a window (ms), by the sum of squares."""
    return min(all_bursts(), key=lambda each: (each.rate - rate) ** 2 + (each.window - window) ** 2)
