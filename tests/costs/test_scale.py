"""Large convolutions are costed from their pattern: no synapse is listed, and no array is cores by neurons."""

import time
import tracemalloc

import numpy as np
from hand_mapped import connection, population, program_of

from astrodeploy.chip import load_target
from astrodeploy.costs import estimate
from astrodeploy.ir import Input, Population
from astrodeploy.ir.wiring import Conv

CHANNELS, SIDE, STEP = 16, 96, 8


def columns(layers):
    """Convolutions one after the other, each cut into squares of 8 x 8 on a core each."""
    rng = np.random.default_rng(0)
    populations, connections, cores = [Population("input", (3, SIDE, SIDE), Input())], [], {}
    for i in range(layers):
        name, before = f"layer{i}", populations[-1]
        filters = rng.integers(1, 9, (CHANNELS, before.shape[0], 3, 3)).astype(np.int8)
        wiring = Conv(filters, before.shape, (1, 1), (1, 1), (1, 1))
        populations.append(population(name, (CHANNELS, SIDE, SIDE), depth=i + 1))
        connections.append(connection(before.name, name, wiring))
        for x in range(0, SIDE, STEP):
            for y in range(0, SIDE, STEP):
                cores[len(cores)] = [(name, (0, CHANNELS), (x, x + STEP), (y, y + STEP))]
    return program_of(populations, connections, cores, load_target("nahuku-32"))


def refuse(*_):
    raise AssertionError("a convolution was written out")


def test_six_hundred_thousand_neurons_in_seconds(monkeypatch):
    program = columns(4)
    assert len(program.cores) == 576 and sum(p.size for p in program.network.populations[1:]) == 589_824
    monkeypatch.setattr(Conv, "sparse", property(refuse))
    start = time.perf_counter()
    tracemalloc.start()
    e = estimate(program, rates=0.1, steps=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.perf_counter() - start < 20  # 2 s where nothing else runs, most of them in tracemalloc
    assert peak < 150e6  # one number for every core and neuron would take 2.7 GB
    inner = 3 * (SIDE * 3 - 2) ** 2 * CHANNELS * CHANNELS  # taps that lie within the image
    first = (SIDE * 3 - 2) ** 2 * CHANNELS * 3
    counted = e.events["synaptic_operations_convolution"]
    np.testing.assert_allclose(counted, 0.1 * 100 * (inner + first), rtol=1e-9)
    assert e.chips == 5 and e.events["chip_crossings"] > 0
