"""Does every engine work here? Each really runs a program of two neurons, and is held to the oracle."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from astrodeploy.compare import compare
from astrodeploy.engines import ENGINES, engine_named, make_plan
from astrodeploy.errors import AstrodeployError
from astrodeploy.ir import LIF, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Dense
from astrodeploy.pipeline import compile
from astrodeploy.program import Program

INTEGER = ("oracle", "fast", "lava")


@dataclass(frozen=True)
class Finding:
    """One engine: whether it works, how long it took, and what it said or what to do."""

    engine: str
    works: bool
    seconds: float
    text: str


def two_neurons() -> Program:
    """A program of two LIF neurons in a chain, for loihi2."""
    one = np.ones(1)
    neuron = LIF(tau=10e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one, bias=0 * one)
    populations = (
        Population("input", (1,), Input()),
        Population("first", (1,), neuron),
        Population("second", (1,), neuron),
    )
    connections = (
        Connection("input", "first", "current", Dense(np.full((1, 1), 4.0))),
        Connection("first", "second", "current", Dense(np.full((1, 1), 8.0))),
    )
    return compile(Graph(1e-3, populations, connections, ("second",)), "loihi2")


def examine() -> Iterator[Finding]:
    """Run every engine on the same 40 spikes, one after the other."""
    program = two_neurons()
    plan = make_plan(program, np.ones((1, 40, 1), np.uint8))
    expected = engine_named("oracle")(plan.job)
    for name in ENGINES:
        start = perf_counter()
        try:
            recording = engine_named(name)(plan.job)
        except AstrodeployError as error:
            yield Finding(name, False, perf_counter() - start, str(error))
            continue
        seconds = perf_counter() - start
        spikes = sum(int(recording.spikes[layer].sum()) for layer in ("first", "second"))
        comparison = compare(expected, recording, ("oracle", name), states=False)
        if name in INTEGER and not comparison.equal:
            yield Finding(name, False, seconds, f"differs from the oracle: {comparison.first_divergence}")
        else:
            versions = ", ".join(f"{k} {v}" for k, v in recording.versions.items() if k != "arithmetic")
            yield Finding(name, True, seconds, f"{spikes} spikes" + (f"; {versions}" if versions else ""))
