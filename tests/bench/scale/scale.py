"""How long a large network takes to compile and to cost, and how much memory: 10 thousand to 1 million neurons.

Ten layers each, described by their pattern and never expanded:

    convolutional  3 x 3 over 16 channels, about 144 synapses a neuron, described by the filters
    sparse         100 synapses a neuron, drawn from the 2,000 sources nearest to it, described by the draw

Every size runs in a process of its own. Writes README.md and scale.svg beside this file; with a kind
given, it prints its rows only.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

import astrodeploy
from astrodeploy.chip import load_target
from astrodeploy.ir import LIF, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Random, Wiring
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, PASSES
from astrodeploy.program import Program

HERE = Path(__file__).parent
CHANNELS, LAYERS = 16, 10
INPUTS, WINDOW, WEIGHTS = 100, 2000, 256
SIDES = (8, 14, 25, 43, 80)  # pixels of a layer: 10,240 to 1,024,000 neurons
WIDTHS = (1_000, 3_000, 10_000, 30_000, 100_000)  # neurons of a layer
PACKS = ("fewest", "fastest")
BOARDS = {"convolutional": "kapoho-point", "sparse": "nahuku-32"}  # that hold the largest
SIZES = {"convolutional": SIDES, "sparse": WIDTHS}
SERIES = tuple((kind, pack) for kind in SIZES for pack in PACKS)
RATE, STEPS = 0.1, 10
SHOWN = ("quantise", "split", "partition", "place", "check")
COLUMNS = ("network", "neurons", "synapses", "pack", "cores", *SHOWN, "estimate", "all", "elapsed", "memory")


def network(kind: str, size: int) -> Graph:
    """Ten layers of 16 channels of size x size pixels, or of so many neurons."""
    rng, shape = np.random.default_rng(0), (CHANNELS, size, size) if kind == "convolutional" else (size,)
    populations, connections = [Population("x", shape, Input())], []
    for i in range(LAYERS):
        one, zero = np.broadcast_to(1.0, shape), np.broadcast_to(0.0, shape)
        node = LIF(tau=0.01 * one, r=one, v_leak=zero, v_threshold=one, v_reset=zero, bias=zero)
        populations.append(Population(f"layer{i}", shape, node))
        wiring = _wiring(rng, shape, i)
        connections.append(Connection(populations[-2].name, f"layer{i}", "current", wiring))
    return Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))


def _wiring(rng: np.random.Generator, shape: tuple[int, ...], layer: int) -> Wiring:
    if len(shape) == 1:
        weights, window = rng.normal(0.02, 0.1, WEIGHTS), min(WINDOW, *shape)
        return Random(weights, *shape, *shape, INPUTS, window, seed=layer)
    filters = rng.normal(0.02, 0.1, (CHANNELS, CHANNELS, 3, 3))
    return Conv(filters, shape, (1, 1), (1, 1), (1, 1), 1)


def measured(kind: str, size: int, pack: str) -> dict[str, float | str]:
    """CPU seconds of every pass and of the estimate, and gigabytes at the peak, in this process."""
    graph = network(kind, size)
    row: dict[str, float | str] = {
        "network": kind,
        "neurons": sum(p.size for p in graph.populations[1:]),
        "synapses": sum(c.wiring.synapses for c in graph.connections),
        "pack": pack,
    }
    draft = Draft(graph, load_target(BOARDS[kind]), pack=pack)
    begun, busy = time.perf_counter(), time.process_time()
    for name in FLOW:
        start = time.process_time()
        draft, _ = PASSES[name].apply(draft)
        row[name] = time.process_time() - start
    program = Program(draft.graph, draft.reference, draft.board, draft.cores, ())
    start = time.process_time()
    astrodeploy.estimate(program, rates=RATE, steps=STEPS)
    row["estimate"] = time.process_time() - start
    row["all"], row["elapsed"] = time.process_time() - busy, time.perf_counter() - begun
    row["cores"] = len(draft.cores)
    row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return row


def apart(kind: str, size: int, pack: str) -> dict[str, float | str]:
    """The same in a process of its own, so that memory is that of one size."""
    command = [sys.executable, __file__, kind, "--size", str(size), "--pack", pack, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth(rows: list[dict[str, float | str]]) -> float:
    """The exponent b of time ~ neurons**b, least squares over all sizes."""
    sizes, times = (np.log([float(row[key]) for row in rows]) for key in ("neurons", "all"))
    return float(np.polyfit(sizes, times, 1)[0])


def written(rows: list[dict[str, float | str]]) -> None:
    """README.md and scale.svg."""
    lines = [
        "# Time and memory against size",
        "",
        f"Rewritten by `python tests/bench/scale/scale.py`. {LAYERS} layers each, described by their pattern and never",
        "expanded: convolutional, 3 x 3 over 16 channels, about 144 synapses a neuron; sparse, 100 synapses a neuron,",
        f"drawn from the {WINDOW:,} sources nearest to it. Compiled for {_told(BOARDS)};",
        f"estimated at a stated rate of {RATE:g} for {STEPS} steps. CPU seconds of all threads, and those that elapsed;",
        "memory: GB at the peak of the process, Python and libraries among them.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(_cell(row[key]) for key in COLUMNS) + " |" for row in rows]
    lines.append("")
    for kind, pack in SERIES:
        exponent = growth(_series(rows, kind, pack))
        lines.append(f"- {kind}, `--pack {pack}`: CPU time grows as N^{exponent:.2f}.")
    (HERE / "README.md").write_text("\n".join([*lines, "", "![time and memory](scale.svg)", ""]))
    _drawn(rows)


def _told(boards: dict[str, str]) -> str:
    return " and ".join(f"{board} ({kind})" for kind, board in boards.items())


def _series(rows: list[dict[str, float | str]], kind: str, pack: str) -> list[dict[str, float | str]]:
    return [row for row in rows if (row["network"], row["pack"]) == (kind, pack)]


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _drawn(rows: list[dict[str, float | str]]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "astrodeploy"
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    plots = zip(figure.subplots(1, 2), ("all", "memory"), ("CPU seconds", "GB at the peak"), strict=True)
    for axes, key, what in plots:
        for (kind, pack), style in zip(SERIES, ("C0o-", "C0s--", "C1o-", "C1s--"), strict=True):
            mine = _series(rows, kind, pack)
            axes.loglog([r["neurons"] for r in mine], [r[key] for r in mine], style, label=f"{kind}, {pack}")
        axes.set(xlabel="neurons", ylabel=what)
        axes.grid(alpha=0.3)
    axes.set(yscale="linear", ylim=(0, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(HERE / "scale.svg", metadata={"Date": None})


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=SIZES, help="both, where none is named")
    parser.add_argument("--size", type=int, action="append", help="pixels of a layer's side, or its neurons")
    parser.add_argument("--pack", choices=PACKS, action="append")
    parser.add_argument("--json", action="store_true", help="one size in this process, as JSON")
    options = parser.parse_args()
    if options.json:
        sys.stdout.write(json.dumps(measured(options.kind, options.size[0], options.pack[0])))
        return
    kinds = (options.kind,) if options.kind else tuple(SIZES)
    cases = [(k, n, p) for k in kinds for p in options.pack or PACKS for n in options.size or SIZES[k]]
    rows = [apart(*case) for case in track(cases, "measuring", console=Console(stderr=True))]
    if options.kind:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        written(rows)


if __name__ == "__main__":
    main()
