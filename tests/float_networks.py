"""Small float networks for tests: hand-made and random, and the Programs that they become."""

from collections.abc import Sequence

import numpy as np

from astrodeploy.chip import load_chip
from astrodeploy.engines.recording import Job
from astrodeploy.ir import LIF, Astrocyte, Compartments, Connection, CubaLIF, Graph, Input, Population, verify
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Draft
from astrodeploy.passes.canonicalise import Canonicalise
from astrodeploy.passes.quantise import Quantise
from astrodeploy.passes.retime import Retime
from astrodeploy.program import Program

DT = 1e-3
Generator = np.random.Generator


def lif(**given: object) -> LIF:
    """A LIF that loses a tenth of its membrane in a step; parameters are scalars or arrays."""
    rest = {"tau": 10 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": 0.0}
    return LIF(**{k: np.asarray(v, np.float64) for k, v in (rest | given).items()})


def cuba(**given: object) -> CubaLIF:
    """A LIF with a synaptic current of time constant 4 steps."""
    rest = {"tau": 10 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": 0.0}
    rest |= {"tau_syn": 4 * DT, "w_in": 4.0}
    return CubaLIF(**{k: np.asarray(v, np.float64) for k, v in (rest | given).items()})


def astrocyte(log_gain: object, **given: object) -> Astrocyte:
    """Gain control of window 4 that acts fast enough to be seen in a test."""
    rest = {"period": 4, "decay": 0.05, "rate": 3.0, "set_point": 0.0, "low": -2.0, "high": 2.0}
    return Astrocyte(**(rest | given), log_gain=np.asarray(log_gain, np.float64))


def edge(source: str, target: str, weight: object, port: str = "current", lag: int = 0) -> Connection:
    """Weights (target size, source size)."""
    return Connection(source, target, port, Dense(np.asarray(weight, np.float64)), lag=lag)


def graph(inputs: int, populations: Sequence[Population], edges: Sequence[Connection]) -> Graph:
    """A float network that keeps every law; its input is `x`, its output the last that is no astrocyte."""
    outputs = [p.name for p in populations if not p.is_astrocyte]
    made = Graph(DT, (Population("x", (inputs,), Input()), *populations), tuple(edges), (outputs[-1],))
    verify(made)
    return made


def gain_control(layer: str, domains: np.ndarray, node: Astrocyte, *, mean: bool) -> list[object]:
    """The astrocytes of a layer and their two edges; `domains` (neurons,) numbers the domain of each.

    Their target is the layer's mean activity, or the node's set point.
    """
    count = int(domains.max()) + 1
    members = (np.arange(count)[:, None] == domains[None]).astype(np.float64)
    pool = -members / members.sum(1, keepdims=True) + (1 / len(domains) if mean else 0)
    return [
        Population("astro", (count,), node),
        edge(layer, "astro", pool, "activity", lag=1),
        edge("astro", layer, members.T, "modulation", lag=1),
    ]


def random_closed_loop(rng: Generator, inputs: int = 12) -> Graph:
    """LIF with closed-loop gain control, recurrent CubaLIF, read-out; paths of unequal length; biases."""
    n, m, k = (int(s) for s in rng.integers(12, 18, 3))
    domains = rng.permutation(np.arange(n) % 3)
    mean = bool(rng.random() < 0.5)
    node = astrocyte(
        rng.uniform(-0.5, 0.5, 3),
        period=int(rng.integers(4, 7)),
        set_point=0.0 if mean else rng.uniform(0, 0.3),
    )
    astro, *loop = gain_control("a", domains, node, mean=mean)
    varied = lambda size: {
        "tau": rng.uniform(2, 20, size) * DT,
        "r": rng.uniform(1, 8, size),
        "v_leak": rng.uniform(-0.2, 0.1, size),
        "v_reset": rng.uniform(-0.3, 0.1, size),
        "v_threshold": rng.uniform(0.6, 1.2, size),
    }
    return graph(
        inputs,
        [
            Population("a", (n,), lif(**varied(n), bias=rng.normal(0, 0.05, n))),
            Population("b", (m,), cuba(**varied(m), tau_syn=rng.uniform(1, 6, m) * DT)),
            Population("c", (k,), lif(**varied(k))),
            astro,
        ],
        [
            edge("x", "a", rng.normal(0.1, 0.5, (n, inputs))),
            edge("a", "b", rng.normal(0.05, 0.2, (m, n))),
            edge("b", "b", rng.normal(0, 0.1, (m, m)), lag=1),
            edge("b", "a", rng.normal(0, 0.2, (n, m)), lag=3),
            edge("b", "c", rng.normal(0.1, 0.4, (k, m))),
            edge("x", "c", rng.normal(0, 0.2, (k, inputs))),
            *loop,
        ],
    )


def compiled(float_graph: Graph, reset_every: int = 0) -> Program:
    """The Program of a float network, without cores."""
    draft = Draft(float_graph, load_chip("loihi2"))
    for each in (Canonicalise(), Retime(), Quantise()):
        draft, _ = each.apply(draft)
    verify(draft.graph)
    return Program(draft.graph, draft.reference, draft.chip, (), (), reset_every)


def job(program: Program, spikes: object, reset_every: int = 0) -> Job:
    """Run spikes (rows, steps, inputs) and record every state."""
    record = frozenset(
        (p.name, state)
        for p in program.network.populations
        if isinstance(p.node, Compartments)
        for state in p.node.kind.states
    )
    return Job(program, {program.network.input.name: np.asarray(spikes, np.uint8)}, reset_every, record)
