"""Our estimate beside SANA-FE on the same legal mapping and the same spikes.

    python tests/bench/sanafe/compare.py --sanafe /path/to/its/environment/bin/python

SANA-FE (2.2.9, GPL-3) is no part of this project: install `sanafe` and `numpy` in an environment of its own. It
runs there with its own Loihi table on a file; ours uses the cost model "sana-fe" of targets/loihi1. A third
count, by numpy alone (recount.py), stands beside both. Spikes have to agree in every layer.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from mapped import Mapped, stepped
from problem import benchmark, mapped
from problem import compiled as on_loihi1
from recount import Recount, recounted

import astrodeploy

SIDE = Path(__file__).with_name("sanafe_side.py")
MODELS = ("simple", "detailed")
PLACES = {"fewest": "corner", "fastest": "spread"}  # one core for all inputs would set the pace of many cores


def main() -> None:
    """Compare every packing that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sanafe", required=True, help="the python of SANA-FE's environment")
    parser.add_argument("--pack", nargs="+", default=list(PLACES), choices=list(PLACES))
    given = parser.parse_args()
    graph, spikes = benchmark()
    for pack in given.pack:
        compare(graph, spikes, pack, given.sanafe)


def compare(graph, spikes, pack, python):
    """Compile, run both sides, check and print one table."""
    start = time.perf_counter()
    program = on_loihi1(graph, pack)
    compiled = time.perf_counter() - start
    network = mapped(program, spikes, PLACES[pack])
    with tempfile.TemporaryDirectory() as folder:
        theirs = run_sanafe(network, Path(folder), python)
    ours, estimated = timed_estimate(program, spikes)
    activity = stepped(network)
    check_spikes(program, spikes, activity, theirs)
    counted = recounted(network, activity)
    print(f"\n784-1024-512-10 on {len(program.cores)} cores (--pack {pack}), {network.steps} steps, loihi1")
    print_costs(ours, theirs, counted)
    print_walls(theirs, compiled, estimated)


def run_sanafe(network: Mapped, folder: Path, python: str):
    """What sanafe_side.py writes."""
    network.save(folder / "mapped.npz", MODELS)
    result = folder / "result.json"
    subprocess.run([python, SIDE, folder / "mapped.npz", result], check=True, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def timed_estimate(program, spikes):
    """The estimate with SANA-FE's table, and the seconds that a second one takes, its run included."""
    for _ in range(2):
        start = time.perf_counter()
        found = astrodeploy.estimate(program, spikes, model="sana-fe", timing="barrier-after")
        seconds = time.perf_counter() - start
    return found, seconds


def check_spikes(program, spikes, activity, theirs):
    """Every layer fires as often on the fast engine, in SANA-FE and in the recount."""
    trace = program.run(spikes)
    for name, fired in activity.fired.items():
        counts = {"fast": int(trace.spikes[name].sum()), "recount": int(fired.sum())}
        counts |= {model: found["spikes"][name] for model, found in theirs["models"].items()}
        if len(set(counts.values())) != 1:
            raise SystemExit(f"{name} fires differently: {counts}")
        if not np.array_equal(trace.spikes[name][0].reshape(len(fired), -1) != 0, fired):
            raise SystemExit(f"{name} fires as often as in the recount, but not at the same times")
    print("spikes agree:", {name: int(fired.sum()) for name, fired in activity.fired.items()})


def print_costs(ours, theirs, counted: Recount):
    """Energy and time, and what ours are of SANA-FE's."""
    simple, default = (theirs["models"][model] for model in MODELS)
    rows = [
        ("energy, uJ", 1e6, simple["energy"]["total"], ours.parts["operations"].typical, counted.energy),
        ("`simple` time, ms", 1e3, simple["seconds"], ours.steps_seconds.typical, counted.simple.sum()),
        ("default time, ms", 1e3, default["seconds"], None, counted.queueing.sum()),
    ]
    print(f"{'':20s}{'SANA-FE':>12s}{'ours':>12s}{'ratio':>8s}{'recount':>12s}{'ratio':>8s}")
    for name, unit, reference, mine, recount in rows:
        shown = f"{'-':>12s}{'-':>8s}" if mine is None else f"{mine * unit:12.4f}{mine / reference:8.4f}"
        print(f"{name:20s}{reference * unit:12.4f}{shown}{recount * unit:12.4f}{recount / reference:8.4f}")
    steps = counted.simple / np.array(simple["step_seconds"])
    print(f"recount of every step's `simple` time: {steps.min():.6f} to {steps.max():.6f} of SANA-FE's")
    print(f"default over `simple` in SANA-FE: {default['seconds'] / simple['seconds']:.3f}")


def print_walls(theirs, compiled, estimated):
    """What both sides take on this machine."""
    wall = theirs["models"]["simple"]["wall"]
    whole = theirs["wall"]["build"] + wall["load"] + wall["simulate"]
    print(
        f"wall: SANA-FE builds {theirs['wall']['build']:.2f} s, loads {wall['load']:.2f} s, simulates "
        f"{wall['simulate']:.2f} s; ours compiles {compiled:.2f} s, runs and estimates {estimated:.3f} s "
        f"({whole / estimated:.0f} times faster than the three, {whole / (compiled + estimated):.1f} with compiling)"
    )


if __name__ == "__main__":
    main()
