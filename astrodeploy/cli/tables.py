"""Programs, runs, comparisons and estimates as tables and as plain facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from astrodeploy.cli.distances import show_distance
from astrodeploy.cli.screen import percent, say, table
from astrodeploy.compartments.text import kind_text
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.graph import array_text
from astrodeploy.ir.wiring import Conv, Sparse, Wiring
from astrodeploy.program import Note, Program
from astrodeploy.synapses import weights

if TYPE_CHECKING:
    from astrodeploy.compare import Comparison
    from astrodeploy.doctor import Finding
    from astrodeploy.trace import Trace
    from astrodeploy.verification import Verification


def run_facts(trace: "Trace", accuracy: float | None) -> dict[str, object]:
    """A run as plain facts; the read-out by name where there are several outputs."""
    read = trace.outputs
    several = isinstance(read, Mapping)
    return {
        "engine": trace.engine,
        "samples": trace.samples,
        "steps": trace.steps,
        "stream": trace.stream,
        "accuracy": accuracy,
        "spikes": dict(trace.messages),
        "readout": {name: each.text for name, each in trace.readout.items()},
        "outputs": {str(name): array.tolist() for name, array in read.items()} if several else read.tolist(),
        "predictions": trace.predictions.tolist(),
        "undecided": trace.answers.undecided,
        "ties": trace.answers.ties,
        "seconds": trace.seconds,
        "versions": dict(trace.versions),
    }


def program_facts(program: Program) -> dict[str, Any]:
    """A Program as plain facts."""
    return graph_facts(program.network) | {
        "reference": graph_facts(program.reference),
        "read": {name: each.text for name, each in program.reference.read_outs.items()},
        "target": program.target,
        "board": {"chips": program.board.chips, "cores": program.board.cores},
        "recipe": None if program.recipe is None else program.recipe.to_plain(),
        "nir_refusal": program.nir_refusal,
        "fingerprint": program.fingerprint,
        "reset_every": program.reset_every,
        "cores": [asdict(core) for core in program.cores],
        "passes": [asdict(each) for each in program.passes],
        "ticks": tick_rows(program),
    }


def graph_facts(graph: Graph) -> dict[str, Any]:
    """A Graph as plain facts."""
    return {
        "dt_seconds": graph.dt,
        "input": graph.input.name,
        "inputs": [p.name for p in graph.inputs],
        "output": graph.output,
        "outputs": list(graph.outputs),
        "readout": graph.readout,
        "read": {name: each.text for name, each in graph.read_outs.items()},
        "depth": graph.depth,
        "host": {where: stage.text for where, stage in graph.stages()},
        "layers": [
            {
                "name": p.name,
                "node": node_name(p),
                "shape": list(p.shape),
                "depth": p.depth,
                "settings": _settings(p),
                "parameters": {k: array_text(v) for k, v in _parameters(p).items()},
            }
            for p in graph.populations
        ],
        "connections": [
            {
                "name": c.name,
                "pattern": pattern_text(c.wiring),
                "synapses": weights(c.wiring),
                "exponent": c.exponent,
                "lag": c.lag,
                "delay": c.delay,
                "weights": array_text(c.wiring.values),
            }
            for c in graph.connections
        ],
    }


def _parameters(population: Population) -> dict[str, Any]:
    node = population.node
    return dict(node.parameters) if isinstance(node, Compartments) else node.arrays()


def _settings(population: Population) -> dict[str, Any]:
    """What a node is told beside its parameters: the integrator, the reset, a period, ..."""
    node = population.node
    return {"period": node.period} if isinstance(node, Compartments) else node.scalars()


def pattern_text(wiring: Wiring) -> str:
    """A pattern in a few words: `Dense 10x512`, `Conv 24x3x3x3 s2 p1` (of stride, padding, dilation, groups)."""
    if isinstance(wiring, Sparse):
        return f"Sparse {_by(wiring.shape)} of {wiring.synapses}"
    words = [type(wiring).__name__, _by(wiring.values.shape)]
    if isinstance(wiring, Conv):
        for letter, setting, usual in (
            ("s", wiring.stride, 1),
            ("p", wiring.padding, 0),
            ("d", wiring.dilation, 1),
            ("g", (wiring.groups,), 1),
        ):
            if set(setting) != {usual}:
                words.append(letter + (_by(setting) if len(set(setting)) > 1 else str(setting[0])))
    return " ".join(words)


def _by(numbers: Iterable[int]) -> str:
    return "x".join(map(str, numbers))


def node_name(population: Population) -> str:
    """The name of a population's node or compartment kind."""
    node = population.node
    return node.kind.name if isinstance(node, Compartments) else type(node).__name__


def tick_rows(program: Program) -> list[dict[str, Any]]:
    """When each population acts: depth, delays in and out, window and period."""
    network = program.network
    return [
        {
            "layer": p.name,
            "depth": p.depth,
            "delays in": _delays((f"{c.source}.{c.port}", c) for c in network.into(p.name)),
            "delays out": _delays((f"{c.target}.{c.port}", c) for c in network.out_of(p.name)),
            "window starts": p.depth,
            "period": p.node.period if isinstance(p.node, Compartments) and p.node.period else 1,
        }
        for p in network.populations
    ]


def _delays(named: Iterable[tuple[str, Connection]]) -> dict[str, int]:
    """Delays by the other end; where one has several connections, each with its lag."""
    ends = list(named)
    names = [name for name, _ in ends]
    return {f"{n} {c.lag:+d}" if names.count(n) > 1 else n: c.delay for n, c in ends}


def show_program(program: Program) -> None:
    """What every pass did, and what it costs in cores, neurons and synaptic memory."""
    notes = [(report.name, note) for report in program.passes for note in report.notes]
    rows = [(name, note.subject, note.text) for name, note in notes if not _of_the_chip(program, note)]
    if assumed := len(notes) - len(rows):
        rows.append(("check", program.target, f"{assumed} of its entries are assumed: the report lists them"))
    table("what the passes did", ("pass", "object", "what"), rows)
    show_layers(program)
    show_cores(program)
    _show_nir_refusal(program)


def _show_nir_refusal(program: Program) -> None:
    if program.nir_refusal:
        say(f"no graph.nir for other tools: {program.nir_refusal}")


def _of_the_chip(program: Program, note: Note) -> bool:
    """Whether a note is about an entry of the chip's file rather than about the network."""
    return note.subject.startswith(f"{program.chip.name}.")


def show_layers(program: Program) -> None:
    """Populations with neurons, synapses and depth; and what the host computes before and after them."""
    network = program.network
    rows = []
    for p in network.populations:
        synapses = sum(weights(c.wiring) for c in network.into(p.name))
        rows.append((p.name, node_name(p), p.size, synapses, p.depth))
    table("layers", ("layer", "kind", ">neurons", ">synapses in", ">depth"), rows)
    for where, stage in network.stages():
        say(f"ordinary layers {where} the network, on the host: {stage.text}")


def show_cores(program: Program) -> None:
    """Cores with their loads against the limits."""
    if not program.cores:
        return
    loads = list(program.cores[0].loads)
    rows = [
        (
            core.index,
            ", ".join(map(str, core.slices)),
            *[f"{core.loads[k]} / {core.limits[k]}" for k in loads],
        )
        for core in program.cores
    ]
    columns = ("core", "holds", *[">" + name.replace("_", " ") for name in loads])
    count = f"{len(program.cores)} core{'s' if len(program.cores) > 1 else ''}"
    table(f"{count} of {program.target}, which has {program.board.cores}", columns, rows)


def show_inspection(program: Program) -> None:
    """Graph, neuron programs, tick table, cores."""
    say(program.network.text())
    kinds = {
        p.node.kind.name: p.node.kind for p in program.network.populations if isinstance(p.node, Compartments)
    }
    for kind in kinds.values():
        say(kind_text(kind))
    show_settings(program.reference)
    show_patterns(program.network)
    rows = [
        (
            row["layer"],
            row["depth"],
            _pairs(row["delays in"]),
            _pairs(row["delays out"]),
            row["window starts"],
            row["period"],
        )
        for row in tick_rows(program)
    ]
    columns = ("layer", ">depth", "delays in", "delays out", ">window starts", ">period")
    table("tick table (steps)", columns, rows)
    show_read_outs(program)
    show_cores(program)
    show_recipe(program)
    _show_nir_refusal(program)


def show_recipe(program: Program) -> None:
    """How the Program was compiled: every option, what each input is called, and its hash."""
    if program.recipe is None:
        say("how it was compiled is not known: an earlier version wrote it, or it was put together in Python")
        return
    inputs = {k: v for k, v in program.recipe.to_plain().items() if isinstance(v, dict)}
    rows = [(k, v["name"], f"SHA-256 {v['sha256']}") for k, v in inputs.items()]
    rows += [(k, v, "") for k, v in ({"target": program.recipe.target} | program.recipe.chosen()).items()]
    table("recipe: other options of compile are their defaults", ("option", "value", "what it held"), rows)


def show_settings(graph: Graph) -> None:
    """What the float network's nodes are told beside their parameters."""
    rows = [
        (p.name, node_name(p), ", ".join(f"{k} {v}" for k, v in _settings(p).items()))
        for p in graph.populations
    ]
    table("as the model has it", ("layer", "node", "settings"), rows)
    for where, stage in graph.stages():
        say(f"ordinary layers {where} the network, on the host: {stage.text}")


def show_patterns(graph: Graph) -> None:
    """Who is connected to whom, and how many weights that takes."""
    rows = [
        (c.name, pattern_text(c.wiring), c.wiring.values.size, weights(c.wiring)) for c in graph.connections
    ]
    table("connections", ("connection", "pattern", ">numbers stored once", ">synapses"), rows)


def _pairs(delays: dict[str, int]) -> str:
    return ", ".join(f"{name} {steps}" for name, steps in delays.items())


def show_runs(program: Program, runs: "Iterable[tuple[Trace, float | None]]") -> None:
    """Runs side by side."""
    runs = list(runs)
    rows = [
        (
            _label(trace.engine),
            trace.samples,
            "-" if accuracy is None else percent(accuracy),
            ", ".join(f"{name} {trace.messages[name]}" for name in program.layers),
            f"{trace.seconds:.2f} s",
        )
        for trace, accuracy in runs
    ]
    stream = "one stream, astrocytes carried" if runs[0][0].stream else "every sample from rest"
    columns = ("engine", ">samples", ">accuracy", "messages sent", ">time")
    table(f"runs: {runs[0][0].steps} steps a sample, {stream}", columns, rows)
    for trace, _ in runs:
        if told := trace.answers.text:
            say(f"{trace.engine}: {told}")
    _show_agreement(runs)
    show_read_outs(program)


def show_read_outs(program: Program) -> None:
    """What is read of every output."""
    for name, each in program.reference.read_outs.items():
        say(f"{name} is read by {each.text}")


def _label(engine: str) -> str:
    float_engines = ("reference", "torch", "brian2")
    return f"{engine} (float)" if engine in float_engines else f"{engine} (quantised)"


def _show_agreement(runs: "Sequence[tuple[Trace, float | None]]") -> None:
    first = runs[0][0]
    for trace, _ in runs[1:]:
        n = min(trace.samples, first.samples)
        same = int((trace.predictions[:n] == first.predictions[:n]).sum())
        say(f"{trace.engine} and {first.engine} predict the same for {same} of {n} samples")


def show_verification(verification: "Verification") -> None:
    """Pairs of engines, Brian2 on its own line, the distance by cause."""
    rows = [_comparison(each) for each in verification.comparisons]
    table(
        "integer engines, bit for bit", ("pair", ">spikes", ">states", ">differing", "first divergence"), rows
    )
    for name, reason in verification.not_run.items():
        say(f"not run: {name}: {reason}")
    if verification.brian2 is not None:
        b = verification.brian2
        say(
            f"Brian2 against the float graph: {b.spikes} messages and {b.states} states compared, {b.differing} "
            f"differing, {b.excused} excused within 1e-9 of the threshold"
        )
        if b.first_divergence is not None:
            say(f"  first: {b.first_divergence}")
    if verification.distance is not None:
        show_distance(verification.distance)
    say(verification.text)


def _comparison(each: "Comparison") -> tuple[object, ...]:
    first = "-" if each.first_divergence is None else str(each.first_divergence)
    return f"{each.left} = {each.right}", each.spikes, each.states, each.differing, first


def show_findings(findings: "Sequence[Finding]") -> None:
    """What the doctor found."""
    rows = [
        (f.engine, "works" if f.works else "DOES NOT WORK", f"{f.seconds:.2f} s", f.text) for f in findings
    ]
    table("engines, each run on a two-neuron Program", ("engine", "state", ">time", "what"), rows)
