"""How long a large network takes to compile and to cost, and how much memory: 10 thousand to 1 million neurons.

Ten layers of 3 x 3 convolutions over 16 channels, so about 144 synapses a neuron, described by their filters alone.
Every size runs in a process of its own. Writes README.md and scale.svg beside this file; with sizes given, it
prints their rows only.
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
from astrodeploy.ir.wiring import Conv
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, PASSES
from astrodeploy.program import Program

HERE = Path(__file__).parent
CHANNELS, LAYERS = 16, 10
SIDES = (8, 14, 25, 43, 80)  # pixels: 10,240 to 1,024,000 neurons
PACKS = ("fewest", "fastest")
BOARD = "kapoho-point"
RATE, STEPS = 0.1, 10
SHOWN = ("quantise", "split", "partition", "place", "check")
COLUMNS = ("neurons", "synapses", "pack", "cores", *SHOWN, "estimate", "all", "CPU", "memory")


def network(side: int) -> Graph:
    """Ten layers of side x side pixels and 16 channels."""
    rng, shape = np.random.default_rng(0), (CHANNELS, side, side)
    populations, connections = [Population("x", shape, Input())], []
    for i in range(LAYERS):
        one, zero = np.broadcast_to(1.0, shape), np.broadcast_to(0.0, shape)
        node = LIF(tau=0.01 * one, r=one, v_leak=zero, v_threshold=one, v_reset=zero, bias=zero)
        populations.append(Population(f"layer{i}", shape, node))
        filters = rng.normal(0.02, 0.1, (CHANNELS, CHANNELS, 3, 3))
        wiring = Conv(filters, shape, (1, 1), (1, 1), (1, 1), 1)
        connections.append(Connection(populations[-2].name, f"layer{i}", "current", wiring))
    return Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))


def measured(side: int, pack: str) -> dict[str, float | str]:
    """Seconds of every pass and of the estimate, and gigabytes at the peak, in this process."""
    graph = network(side)
    row: dict[str, float | str] = {
        "neurons": sum(p.size for p in graph.populations[1:]),
        "synapses": sum(c.wiring.synapses for c in graph.connections),
        "pack": pack,
    }
    draft = Draft(graph, load_target(BOARD), pack=pack)
    begun, busy = time.perf_counter(), time.process_time()
    for name in FLOW:
        start = time.perf_counter()
        draft, _ = PASSES[name].apply(draft)
        row[name] = time.perf_counter() - start
    program = Program(draft.graph, draft.reference, draft.board, draft.cores, ())
    start = time.perf_counter()
    astrodeploy.estimate(program, rates=RATE, steps=STEPS)
    row["estimate"] = time.perf_counter() - start
    row["all"], row["CPU"] = time.perf_counter() - begun, time.process_time() - busy
    row["cores"] = len(draft.cores)
    row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return row


def apart(side: int, pack: str) -> dict[str, float | str]:
    """The same in a process of its own, so that memory is that of one size."""
    command = [sys.executable, __file__, "--side", str(side), "--pack", pack, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth(rows: list[dict[str, float | str]]) -> float:
    """The exponent b of time ~ neurons**b, least squares over all sizes."""
    sizes, times = (np.log([float(row[key]) for row in rows]) for key in ("neurons", "CPU"))
    return float(np.polyfit(sizes, times, 1)[0])


def written(rows: list[dict[str, float | str]]) -> None:
    """README.md and scale.svg."""
    lines = [
        "# Time and memory against size",
        "",
        f"Rewritten by `python tests/bench/scale/scale.py`: {(__doc__ or '').splitlines()[2]}",
        f"Compiled for {BOARD}, estimated at a stated rate of {RATE:g} for {STEPS} steps. Seconds; CPU: of all threads;",
        "memory: GB at the peak of the process, Python and libraries among them.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(_cell(row[key]) for key in COLUMNS) + " |" for row in rows]
    lines.append("")
    for pack in PACKS:
        exponent = growth([row for row in rows if row["pack"] == pack])
        lines.append(f"- `--pack {pack}`: CPU time grows as N^{exponent:.2f}.")
    (HERE / "README.md").write_text("\n".join([*lines, "", "![time and memory](scale.svg)", ""]))
    _drawn(rows)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _drawn(rows: list[dict[str, float | str]]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "astrodeploy"
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, key, what in zip(figure.subplots(1, 2), ("all", "memory"), ("seconds", "GB"), strict=True):
        for pack in PACKS:
            mine = [row for row in rows if row["pack"] == pack]
            axes.loglog([r["neurons"] for r in mine], [r[key] for r in mine], "o-", label=pack)
        axes.set(xlabel="neurons", ylabel=what)
        axes.legend()
    figure.savefig(HERE / "scale.svg", metadata={"Date": None})


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, action="append", help="pixels of a layer's side")
    parser.add_argument("--pack", choices=PACKS, action="append")
    parser.add_argument("--json", action="store_true", help="one size in this process, as JSON")
    options = parser.parse_args()
    if options.json:
        sys.stdout.write(json.dumps(measured(options.side[0], options.pack[0])))
        return
    cases = [(side, pack) for pack in options.pack or PACKS for side in options.side or SIDES]
    rows = [apart(*case) for case in track(cases, "measuring", console=Console(stderr=True))]
    if options.side or options.pack:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        written(rows)


if __name__ == "__main__":
    main()
