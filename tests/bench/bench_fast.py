"""The fast engine against a bare loop that only adds the same rows of weights.

    python tests/bench/bench_fast.py

A network of 784-1024-512-10 LIF neurons, 100 steps, input neurons that fire in 10 % of the steps.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import networks

SIZES = (784, 1024, 512, 10)
THRESHOLDS = (1100, 1500, 1500)
STEPS = 100


def classifier(rng, sizes=SIZES, thresholds=THRESHOLDS):
    """A feed-forward network of LIF neurons with random weights."""
    nodes, edges, before = [], [], "x"
    for i, size in enumerate(sizes[1:]):
        nodes.append(
            networks.population(f"l{i}", "lif", size, du=2048, dv=200, threshold=thresholds[i], depth=i + 1)
        )
        edges.append(networks.connection(before, f"l{i}", rng.integers(-100, 104, (size, sizes[i]))))
        before = f"l{i}"
    return networks.network(sizes[0], nodes, edges)


def bare(rows, events, ends, totals):
    """Add rows[i] to the totals for every event i of every step."""
    start = 0
    for end in ends:
        totals[:] = 0
        for i in events[start:end]:
            row = rows[i]
            for j in range(row.size):
                totals[j] += row[j]
        start = end


def bare_inputs(graph, recording):
    """The arguments of `bare` for every connection."""
    for c in graph.connections:
        sent = recording.spikes[c.source][0]
        rows = np.ascontiguousarray(c.weight.T).copy()
        yield (
            rows,
            np.nonzero(sent)[1],
            np.cumsum(sent.astype(np.int64).sum(1)),
            np.zeros(len(c.weight), np.int32),
        )


def milliseconds(function, repeats=100):
    """The least and the median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), float(np.median(times))


def first_result(job):
    """Seconds from nothing imported to a first result, as this process sees it."""
    start = time.perf_counter()
    from astrodeploy.engines.fast import fast

    recording = fast(job)
    return fast, recording, time.perf_counter() - start


def main() -> None:
    rng = np.random.default_rng(0)
    graph = classifier(rng)
    job = networks.job(graph, rng.random((1, STEPS, SIZES[0])) < 0.1, record_all=False)
    fast, recording, seconds = first_result(job)
    print(f"first result (numba's import and compilation or its cache): {seconds:.2f} s")
    print("spikes per neuron and step:", {k: round(float(v.mean()), 3) for k, v in recording.spikes.items()})

    import numba

    compiled = numba.njit(bare)
    inputs = list(bare_inputs(graph, recording))
    additions = sum(len(events) * rows.shape[1] for rows, events, _, _ in inputs)

    def add_all():
        for each in inputs:
            compiled(*each)

    add_all()
    (least, median), (bare_least, bare_median) = milliseconds(lambda: fast(job)), milliseconds(add_all)
    print(f"{additions / 1e6:.1f} M additions, {STEPS * sum(SIZES[1:])} neuron updates")
    print(f"fast       {least:.3f} ms at best, {median:.3f} ms median")
    print(f"bare loop  {bare_least:.3f} ms at best, {bare_median:.3f} ms median")
    print(f"ratio      {least / bare_least:.2f} at best, {median / bare_median:.2f} median")
    many = networks.job(graph, rng.random((64, STEPS, SIZES[0])) < 0.1, record_all=False)
    least, median = milliseconds(lambda: fast(many), repeats=5)
    print(f"64 rows    {least / 64:.3f} ms a row at best, {median / 64:.3f} ms median")


if __name__ == "__main__":
    main()
