"""Small float networks for tests: hand-made and random, and the Programs that they become."""

from collections.abc import Sequence

import numpy as np

from astrodeploy.chip import load_target
from astrodeploy.engines.recording import Job
from astrodeploy.ir import LIF, Astrocyte, Compartments, Connection, CubaLIF, Graph, Input, Population, verify
from astrodeploy.ir.nodes import Constant, Membrane, gain_astrocyte
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool
from astrodeploy.passes.base import Draft
from astrodeploy.passes.canonicalise import Canonicalise
from astrodeploy.passes.lower import Lower
from astrodeploy.passes.quantise import Quantise
from astrodeploy.passes.retime import Retime
from astrodeploy.program import Program

DT = 1e-3
Generator = np.random.Generator


def lif(**given: object) -> LIF:
    """A LIF that loses a tenth of its membrane in a step; parameters are scalars or arrays."""
    rest = {"tau": 10 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": 0.0}
    return LIF(**_fields(rest | given))


def cuba(**given: object) -> CubaLIF:
    """A LIF with a synaptic current of time constant 4 steps."""
    rest = {"tau": 10 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": 0.0}
    rest |= {"tau_syn": 4 * DT, "w_in": 4.0}
    return CubaLIF(**_fields(rest | given))


def _fields(given: dict[str, object]) -> dict[str, object]:
    """Numbers as arrays; settings (the integrator, the reset, ...) as they are."""
    settings = ("integrator", "reset", "comparison", "refractory", "sends")
    return {k: v if k in settings else np.asarray(v, np.float64) for k, v in given.items()}


def astrocyte(log_gain: object, **given: object) -> Astrocyte:
    """Gain control of window 4 that acts fast enough to be seen in a test."""
    rest = {"period": 4, "decay": 0.05, "rate": 3.0, "set_point": 0.0, "low": -2.0, "high": 2.0}
    return gain_astrocyte(**(rest | given), log_gain=np.asarray(log_gain, np.float64))


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
    draft = Draft(float_graph, load_target("loihi2"))
    for each in (Canonicalise(), Lower(), Retime(), Quantise()):
        draft, _ = each.apply(draft)
    verify(draft.graph)
    return Program(draft.graph, draft.reference, draft.board, (), (), reset_every)


def job(program: Program, spikes: object, reset_every: int = 0) -> Job:
    """Run spikes (rows, steps, inputs) and record every state."""
    record = frozenset(
        (p.name, state)
        for p in program.network.populations
        if isinstance(p.node, Compartments)
        for state in p.node.kind.states
    )
    return Job(program, {program.network.input.name: np.asarray(spikes, np.uint8)}, reset_every, record)


# ---- float networks on the chip's clock, not quantised ---------------------------------------------


def float_job(net: Graph, spikes: object, reset_every: int = 0) -> Job:
    """A job for the float engines alone, with all states; spikes (rows, steps, inputs), or by input."""
    draft = Draft(net, load_target("loihi2"))
    for each in (Canonicalise(), Lower(), Retime()):
        draft, _ = each.apply(draft)
    program = Program(draft.graph, draft.reference, draft.board, (), (), reset_every)
    given = spikes if isinstance(spikes, dict) else {program.network.input.name: np.asarray(spikes, np.uint8)}
    neurons = [p.name for p in draft.reference.populations if isinstance(p.node, Membrane)]
    return Job(program, given, reset_every, frozenset((n, s) for n in neurons for s in ("v", "u", "gain")))


def varied(rng: Generator, size: int, **settings: object) -> dict[str, object]:
    """Parameters of a membrane, each neuron with its own."""
    return {
        "tau": rng.uniform(2, 20, size) * DT,
        "r": rng.uniform(1, 6, size),
        "v_leak": rng.uniform(-0.2, 0.1, size),
        "v_reset": rng.uniform(-0.3, 0.1, size),
        "v_threshold": rng.uniform(0.6, 1.2, size),
        "bias": rng.normal(0.05, 0.1, size),
    } | settings


def settings_job(rng: Generator, settings: dict[str, object], reset_every: int = 0) -> Job:
    """A LIF and a CubaLIF of the same settings, each recurrent, with a bias; and a gain-modulated one."""
    astro, *loop = gain_control("a", np.array([0, 1, 1, 0, 0]), astrocyte([0.3, -0.4]), mean=True)
    net = graph(
        6,
        [
            Population("a", (5,), cuba(**varied(rng, 5, **settings), tau_syn=rng.uniform(1, 6, 5) * DT)),
            Population("b", (4,), lif(**varied(rng, 4, **settings))),
            Population("c", (4,), cuba(**varied(rng, 4, **settings), tau_syn=rng.uniform(1, 6, 4) * DT)),
            astro,
        ],
        [
            edge("x", "a", rng.normal(0.2, 0.6, (5, 6))),
            edge("a", "b", rng.normal(0.4, 0.6, (4, 5))),
            edge("b", "b", rng.normal(0, 0.4, (4, 4)), lag=1),
            edge("b", "c", rng.normal(0.4, 0.4, (4, 4))),
            edge("b", "c", rng.normal(0, 0.4, (4, 4)), lag=2),
            edge("x", "c", rng.normal(0, 0.3, (4, 6))),
            edge("c", "a", rng.normal(0, 0.3, (5, 4)), lag=3),
            *loop,
        ],
    )
    return float_job(net, rng.random((2, 60, 6)) < 0.35, reset_every)


def several_inputs(rng: Generator) -> Job:
    """Spikes and graded input, a bias neuron, convolution, pooling, sparse and one-to-one connections."""
    images, values = (2, 6, 5), (7,)
    conv = Conv(rng.normal(0.2, 0.6, (4, 1, 3, 2)), images, (2, 1), (1, 0), (1, 2), 2)
    shape = conv.output_shape
    pooled = pool(shape, (1, 2), (1, 2), (0, 1), 0.5)
    n = int(np.prod(pooled.output_shape))
    sparse = Sparse.of(rng.normal(0, 1, (n, 7)) * (rng.random((n, 7)) < 0.3))
    net = Graph(
        DT,
        (
            Population("camera", images, Input()),
            Population("sensor", values, Input(-20, 30, 16.0)),
            Population("one", (1,), Constant()),
            Population("a", shape, lif(v_threshold=0.4, reset="subtract")),
            Population("b", pooled.output_shape, lif(r=4.0, comparison=">=")),
            Population("c", pooled.output_shape, cuba(sends="membrane", bias=0.1)),
        ),
        (
            Connection("camera", "a", "current", conv),
            Connection("a", "b", "current", pooled),
            Connection("sensor", "b", "current", sparse),
            Connection("sensor", "b", "current", sparse.scaled(np.full(n, -0.3)), lag=2),
            Connection("b", "c", "current", OneToOne(rng.normal(0, 1, n))),
            Connection("one", "c", "current", Dense(rng.normal(0, 0.1, (n, 1)))),
            Connection("one", "b", "current", Dense(np.full((n, 1), 0.05)), lag=3),
        ),
        ("c", "b"),
        "mean",
    )
    verify(net)
    spikes = (rng.random((2, 40, 60)) < 0.3).astype(np.uint8)
    graded = rng.integers(-20, 31, (2, 40, 7)).astype(np.int32)
    return float_job(net, {"camera": spikes, "sensor": graded}, reset_every=int(rng.choice([0, 15])))
