"""However short a sample is, every step of it is answered and read: on every engine, from every front door."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import torch
from float_networks import edge, graph, lif
from golden.eight import EIGHT
from net_files import CUBA, net
from norse.torch import SequentialState
from onnx_models import exported
from torch_networks import box, linear

import astrodeploy as ad
from astrodeploy.engines.reference import simulate
from astrodeploy.ir import Population
from astrodeploy.nn import RateEncoder, unroll
from astrodeploy.program import Program

EXACT = ("fast", "oracle", "reference")
LONGEST = 12  # steps of the run that the short ones are held against
SIZES = (6, 9, 8, 7, 4)


@cache
def folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


def at(name: str) -> Path:
    return Path(folder().name) / name


# ---- front doors -------------------------------------------------------------------------------------


@cache
def deep() -> SequentialState:
    """Four layers of neurons, each with its own weights."""
    return SequentialState(
        *(m for i, pair in enumerate(pairwise(SIZES)) for m in (linear(*pair, i, scale=8.0), box()))
    )


class Encoded(torch.nn.Module):
    """The same behind an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.network = RateEncoder(steps=LONGEST, seed=3), deep()

    def forward(self, x, state=None):
        encoder, network = (None, None) if state is None else state
        x, encoder = self.encoder(x, encoder)
        y, network = self.network(x, network)
        return y, (encoder, network)


def checkpoint() -> Path:
    ad.save(deep(), at("deep.pt"), dt=1e-3, input_shape=(6,))
    return at("deep.pt")


def lava_dl() -> Path:
    rng = np.random.default_rng(5)
    layer = lambda n, m: {
        "type": "dense",
        "shape": [m],
        "inFeatures": n,
        "weight": 2 * rng.integers(-10, 40, (m, n)),
        "neuron": CUBA,
    }
    return net(at("deep.net"), [layer(*pair) for pair in pairwise(SIZES)])


def onnx_file() -> Path:
    torch.manual_seed(2)
    layers = [
        torch.nn.Linear(6, 5),
        torch.nn.ReLU(),
        torch.nn.Linear(5, 4),
        torch.nn.ReLU(),
        torch.nn.Linear(4, 3),
    ]
    onnx.save(exported(torch.nn.Sequential(*layers).eval(), (6,)), at("deep.onnx"))
    return at("deep.onnx")


def float_graph():
    """Layers of unequal depth, feedback over the depth of the network, a bias that fires without input."""
    rng = np.random.default_rng(6)
    wide = lambda m, n: rng.normal(0.15, 0.4, (m, n))
    layers = [Population(name, (5,), lif(r=8.0, bias=b)) for name, b in (("a", 0.15), ("b", 0.0), ("c", 0.0))]
    edges = [edge("x", "a", wide(5, 6)), edge("a", "b", wide(5, 5)), edge("b", "c", wide(5, 5))]
    return graph(6, layers, [*edges, edge("x", "c", wide(5, 6)), edge("c", "a", wide(5, 5), lag=4)])


def last_membrane():
    """The float network, read by the last membrane of its last layer."""
    made = float_graph()
    node = replace(made["c"].node, sends="membrane")
    edges = tuple(c for c in made.connections if c.source != "c")
    return replace(made.with_population(replace(made["c"], node=node)), connections=edges, readout="last")


DOORS = {
    "module": lambda: (deep(), {"dt": 1e-3}),
    "checkpoint": lambda: (checkpoint(), {}),
    "nir": lambda: (ad.export(checkpoint(), at("deep.nir")), {}),
    "lava-dl": lambda: (lava_dl(), {"dt": 1e-3}),
    "onnx": lambda: (onnx_file(), {"calibrate": numbers(LONGEST)}),
    "graph": lambda: (float_graph(), {}),
    "membrane": lambda: (last_membrane(), {}),
    "integers": lambda: (EIGHT["integers"].source(), {}),
    "cleared": lambda: (float_graph(), {"reset_every": 3}),
}


def numbers(steps: int) -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1, (3, steps, 6))


@cache
def program(door: str) -> Program:
    source, options = DOORS[door]()
    return ad.compile(source, "loihi2", **options)


def stimulus(door: str) -> np.ndarray:
    if door == "onnx":
        return numbers(LONGEST) / 2
    return (np.random.default_rng(9).random((3, LONGEST, 6)) < 0.6).astype(np.uint8)


@cache
def long_run(door: str, engine: str) -> ad.Trace:
    return program(door).run(stimulus(door), engine)


def lengths(door: str) -> range:
    return range(1, program(door).depth + 4)


# ---- laws --------------------------------------------------------------------------------------------


def held_against_a_long_run(door: str, engine: str, steps: int) -> None:
    """What is sent in answer to the first steps is the same, whether or not more steps follow."""
    made, long = program(door), long_run(door, engine)
    short = made.run(stimulus(door)[:, :steps], engine)
    assert short.steps == steps
    for p in made.network.populations:
        assert short.spikes[p.name].shape == (3, steps + made.depth, *p.shape)
        answers = slice(p.depth, p.depth + steps)
        assert np.array_equal(short.spikes[p.name][:, answers], long.spikes[p.name][:, answers]), p.name


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("door", DOORS)
def test_no_step_of_a_sample_is_lost(door, engine):
    if engine == "reference" and program(door).reference.is_integer:
        engine = "oracle"
    for steps in lengths(door):
        held_against_a_long_run(door, engine, steps)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lava", "brian2", "torch"])
@pytest.mark.parametrize("door", ["checkpoint", "graph", "cleared"])
def test_no_step_of_a_sample_is_lost_on_the_witnesses(door, engine):
    for steps in (1, program(door).depth, program(door).depth + 3):
        held_against_a_long_run(door, engine, steps)


@pytest.mark.parametrize("door", [d for d in DOORS if d != "integers"])
def test_what_is_read_is_what_the_float_network_says_of_as_many_steps(door):
    """In the model's own time, where nothing is late: counts, last membranes, and sums of signals."""
    made, x = program(door), stimulus(door)
    meant = made.reference
    given = x.reshape(*x.shape[:2], -1) * np.float64(getattr(meant.input.node, "unit", 1))
    for steps in lengths(door):
        sent = simulate(
            meant, np.rint(given[:, :steps]) / getattr(meant.input.node, "unit", 1), made.reset_every
        )
        answers = sent.spikes[meant.output]
        wanted = answers[:, -1] if made.read_states else answers.sum(1)
        read = made.run(x[:, :steps], "reference").output.reshape(wanted.shape)
        assert np.allclose(read, wanted, rtol=1e-12, atol=1e-12), steps


@pytest.mark.parametrize("door", ["module", "checkpoint", "nir"])
def test_what_is_read_is_what_the_torch_module_counts(door):
    x = stimulus(door)
    for steps in lengths(door):
        counted = unroll(deep(), torch.from_numpy(x[:, :steps].astype(np.float32)))[0].sum(1)
        assert np.array_equal(program(door).run(x[:, :steps], "reference").outputs, counted.detach().numpy())


def test_an_encoder_and_a_stream_last_as_long():
    made = ad.compile(Encoded(), dt=1e-3, input_shape=(6,))
    values = np.random.default_rng(1).random((4, 6))
    long = made.run(values)
    for steps in range(1, made.depth + 4):
        for carry in ((), ("astrocytes",)):
            short = made.run(values, steps=steps, carry=carry)
            last = made.network[made.network.output]
            assert short.spikes[last.name].shape == (4, steps + made.depth, *last.shape)
            answers = slice(last.depth, last.depth + steps)
            assert np.array_equal(short.spikes[last.name][0, answers], long.spikes[last.name][0, answers])
            assert np.array_equal(short.outputs, short.spikes[last.name][:, answers].sum(1))


@pytest.mark.parametrize("door", DOORS)
def test_the_shortest_sample_is_verified_and_costed(door):
    made, x = program(door), stimulus(door)[:, :1]
    found = ad.verify(made, x, ("oracle", "fast"))
    assert found.equal
    assert found.comparisons[0].spikes > 0
    cost = ad.estimate(made, x)
    assert cost.steps == 1 + made.depth
    assert cost.events["input_messages"] == np.count_nonzero(x) / len(x) * _copies(made)


def _copies(made: Program) -> float:
    """How many messages one of the input becomes: all go to every core, or no case here has several."""
    assert len(made.cores) == 1
    return float(sum(1 for _ in made.network.out_of(made.network.input.name)))
