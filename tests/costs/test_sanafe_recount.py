"""The cost model "sana-fe" against a count of SANA-FE's charges that shares no code with it (tests/bench/sanafe)."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import astrodeploy

STEPS = 30


@pytest.fixture
def bench(monkeypatch):
    """The modules of the side-by-side with SANA-FE."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "bench" / "sanafe"))
    return {name: import_module(name) for name in ("mapped", "problem", "recount")}


@pytest.mark.parametrize(("pack", "inputs"), [("fewest", "corner"), ("fastest", "spread")])
def test_benchmark_network_costs_what_the_recount_says(bench, pack, inputs):
    graph, spikes = bench["problem"].benchmark()
    spikes = spikes[:, :STEPS]
    program = bench["problem"].compiled(graph, pack)
    network = bench["problem"].mapped(program, spikes, inputs)
    activity = bench["mapped"].stepped(network)
    counted = bench["recount"].recounted(network, activity)
    found = astrodeploy.estimate(program, spikes, model="sana-fe", timing="barrier-after")
    trace = program.run(spikes)
    for name, fired in activity.fired.items():
        assert np.array_equal(trace.spikes[name][0] != 0, fired), name
    # inputs that are spread come from other tiles than ours, which all enter at the first one
    assert found.parts["operations"].typical == pytest.approx(counted.energy, rel=5e-3)
    # once the inputs are silent, a neuron that has just fired is at rest there; here until what reached it has decayed
    assert found.steps_seconds.typical == pytest.approx(counted.simple.sum(), rel=3e-5)
    assert counted.queueing.sum() > counted.simple.sum()
