"""The commands: read the options, call the Python face, show the answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.options import (
    Carry,
    Dt,
    IfR,
    Input,
    InputShape,
    Json,
    ProgramPath,
    Rate,
    Reset,
    Samples,
    Steps,
    Threshold,
    load_program,
    names_of,
    shape_of,
    stem,
)
from astrodeploy.errors import EngineError, InputError, UnsupportedError

if TYPE_CHECKING:
    from astrodeploy.ir.arrays import Array

app = typer.Typer(
    help="Compile trained spiking networks with astrocytes for Loihi-style chips, run them bit-exactly, "
    "and say what an inference costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

VERIFIED = 10  # samples that are verified unless said otherwise: the oracle is slow


@app.command("compile")
def compile_(
    source: Annotated[
        str, typer.Argument(help="A .pt, .nir, .net or .onnx file, or package.module:function.")
    ],
    target: Annotated[
        str, typer.Option("--target", "-t", help="A chip or a board, by name or its .toml file.")
    ] = "loihi2",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The Program folder to write.")
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate", help="An .npz file: x of (batch, steps, *shape); scales come from what it makes."
        ),
    ] = None,
    dt: Dt = None,
    input_shape: InputShape = None,
    reset: Reset = None,
    threshold: Threshold = None,
    if_r: IfR = None,
    freeze_astrocytes: Annotated[
        bool, typer.Option("--freeze-astrocytes", help="Fold their resting gains into the weights.")
    ] = False,
    allow_delay: Annotated[
        bool, typer.Option("--allow-delay", help="Let loops take longer that the chip can't close in time.")
    ] = False,
    reset_every: Annotated[
        int | None, typer.Option("--reset-every", help="Clear fast states every so many steps of a run.")
    ] = None,
    pack: Annotated[
        str,
        typer.Option(
            "--pack",
            help="fewest: the fewest cores that hold it; fastest: the shortest step, and clearing where known.",
        ),
    ] = "fastest",
    model: Annotated[
        str | None, typer.Option("--model", help="The chip's cost model that fastest goes by, by name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile a trained network into a Program."""
    from astrodeploy import storage
    from astrodeploy.cli.tables import program_facts, show_program
    from astrodeploy.engines.stimulus import axes
    from astrodeploy.pipeline import compile, require_source
    from astrodeploy.program import is_program

    require_source(source, dt)
    path = output or Path(stem(source) + ".astro")
    storage.check_folder(path, is_program)
    there = _fingerprint_at(path)
    with screen.err.status(f"compiling {source} for {target}"):
        program = compile(
            source,
            target,
            calibrate=calibrate,
            dt=dt,
            input_shape=shape_of(input_shape),
            reset=reset,
            threshold=threshold,
            if_r=if_r,
            freeze_astrocytes=freeze_astrocytes,
            allow_delay=allow_delay,
            reset_every=reset_every,
            pack=pack,
            model=model,
        )
        program.save(path)
    replaced = None if there == program.fingerprint else there
    if as_json:
        screen.print_json(program_facts(program) | {"path": str(path), "replaced": replaced})
    else:
        show_program(program)
        if calibrate is not None:
            screen.say(f"calibrated: {axes(program, _stimulus(calibrate, None)[0])}")
        told = f"; it replaced another Program, {replaced[:16]}" if replaced else ""
        screen.say(f"wrote {path}{told}")


@app.command()
def run(
    program_path: ProgramPath,
    input_: Input,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            help="fast, oracle, lava; or the float network on reference, torch, brian2. Repeat it to compare; "
            "lava:10 runs the first 10 samples only.",
        ),
    ] = None,
    carry: Carry = None,
    samples: Samples = None,
    steps: Steps = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A Trace folder to write.")] = None,
    as_json: Json = False,
) -> None:
    """Run a Program on one or more engines, side by side."""
    from astrodeploy import storage
    from astrodeploy.cli.tables import run_facts, show_runs
    from astrodeploy.engines.stimulus import axes
    from astrodeploy.frontends.stimulus import count, part
    from astrodeploy.trace import is_trace

    if output is not None:
        storage.check_folder(output, is_trace)
    program, (x, y) = load_program(program_path), _stimulus(input_, samples)
    wanted = [_wanted(each) for each in engine or ["fast"]]
    if output is not None and len(wanted) > 1:
        raise InputError("one Trace can be written: give --output with a single --engine")
    rows, refused = [], dict[str, EngineError | UnsupportedError]()
    for name, limit in wanted:
        first = part(x, slice(0, limit))
        try:
            with screen.err.status(f"running {count(first)} samples on {name}"):
                trace = program.run(first, engine=name, steps=steps, carry=tuple(carry or ()))
        except (EngineError, UnsupportedError) as error:  # of this engine: the others' results stand
            refused[name] = error
            continue
        labels = None if y is None else y[:limit]
        rows.append((trace, None if labels is None else trace.accuracy(labels)))
        if output is not None:
            trace.save(output)
    if refused and not rows:
        raise next(iter(refused.values()))
    if as_json:
        screen.print_json(
            [run_facts(*row) | {"axes": axes(program, x, steps)} for row in rows]
            + [{"engine": name, "not_run": str(why)} for name, why in refused.items()]
        )
    else:
        show_runs(program, rows)
        screen.say(axes(program, x, steps))
        if output is not None:
            screen.say(f"wrote {output}")
    for name, why in refused.items():
        screen.complain(f"not run: {name}: {why}")
    if refused:
        raise typer.Exit(next(iter(refused.values())).exit_code)


@app.command()
def verify(
    program_path: ProgramPath,
    input_: Input,
    engines: Annotated[
        str, typer.Option("--engines", help="Separated by commas.")
    ] = "oracle,fast,lava,brian2",
    carry: Carry = None,
    samples: Samples = VERIFIED,
    steps: Steps = None,
    as_json: Json = False,
) -> None:
    """Hold the engines against each other, bit for bit; exit code 1 where they differ."""
    from astrodeploy.cli.tables import show_verification
    from astrodeploy.engines.stimulus import axes
    from astrodeploy.frontends.stimulus import count
    from astrodeploy.verification import verify

    program, (x, y) = load_program(program_path), _stimulus(input_, samples)
    kept = tuple(carry or ())
    with screen.err.status(f"running {count(x)} samples on {engines}"):
        verification = verify(program, x, names_of(engines), carry=kept, steps=steps, labels=y)
    if as_json:
        screen.print_json(verification.to_dict() | {"axes": axes(program, x, steps)})
    else:
        screen.say(axes(program, x, steps))
        show_verification(verification)
    if not verification.equal:
        raise typer.Exit(1)


@app.command()
def estimate(
    program_path: ProgramPath,
    input_: Annotated[
        Path | None,
        typer.Option("--input", help="An .npz file with x of (batch, steps, *shape); else --rate."),
    ] = None,
    rate: Rate = None,
    carry: Carry = None,
    samples: Samples = None,
    steps: Steps = None,
    model: Annotated[str | None, typer.Option("--model", help="A cost model of the chip, by name.")] = None,
    timing: Annotated[
        str,
        typer.Option(
            "--timing",
            metavar="largest|barrier-after|queueing",
            help="A step: the largest of core, link and barrier; the barrier after them; with messages waiting.",
        ),
    ] = "largest",
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="steps|rate|board|model|timing=A,B,...",
            help="Also the cost with one thing changed at a time. Repeat it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Energy and latency of one inference, with their range."""
    from astrodeploy.cli.costs import show_cases, show_estimate, varied
    from astrodeploy.costs import what_if as compare
    from astrodeploy.costs.rates import stated
    from astrodeploy.engines.stimulus import axes

    vary, program = varied(what_if or ()), load_program(program_path)
    if (input_ is None) == (not rate):
        raise InputError(
            "estimate counts events in a run (--input x.npz) or assumes a rate (--rate 0.1): give one"
        )
    if input_ is None and (carry or samples):
        raise InputError("--carry and --samples say how a run is made: give --input x.npz, or leave them out")
    x = None if input_ is None else _stimulus(input_, samples)[0]
    rates, kept = stated(program, rate) if rate else None, tuple(carry or ())
    with screen.err.status("counting events"):
        found = compare(
            program, x, rates=rates, steps=steps, model=model, timing=timing, carry=kept, vary=vary
        )
    if as_json:
        screen.print_json(found.to_dict() if vary else found.base.to_dict())
        return
    if x is not None:
        screen.say(axes(program, x, steps))
    show_estimate(found.base)
    if vary:
        show_cases(found)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="A Program folder, a .pt or .nir file, or module:function.")],
    dt: Dt = None,
    input_shape: InputShape = None,
    reset: Reset = None,
    threshold: Threshold = None,
    if_r: IfR = None,
    as_json: Json = False,
) -> None:
    """Show the graph, and what was found in its file; of a Program also its neuron programs, ticks and cores."""
    from astrodeploy.cli import tables
    from astrodeploy.cli.inspection import inspect_source
    from astrodeploy.program import is_program

    if is_program(Path(source)):
        program = load_program(Path(source))
        if as_json:
            screen.print_json(tables.program_facts(program))
        else:
            tables.show_inspection(program)
    else:
        rules = {"dt": dt, "reset": reset, "threshold": threshold, "if_r": if_r}
        inspect_source(source, as_json, rules | {"input_shape": shape_of(input_shape)})


@app.command()
def doctor(as_json: Json = False) -> None:
    """Really run every engine on a two-neuron Program, and say what is missing."""
    from dataclasses import asdict

    from astrodeploy.cli.tables import show_findings
    from astrodeploy.doctor import examine

    findings = []
    examination = examine()
    with screen.err.status("running every engine on a two-neuron Program"):
        findings = list(examination)
    if as_json:
        screen.print_json([asdict(finding) for finding in findings])
    else:
        show_findings(findings)
    if not all(finding.works for finding in findings):
        raise typer.Exit(1)


def _fingerprint_at(path: Path) -> str | None:
    """That of the Program that lies there, or "unreadable"; None where there is none."""
    from astrodeploy.errors import ProgramError
    from astrodeploy.program import is_program

    if not is_program(path):
        return None
    try:
        return load_program(path).fingerprint
    except ProgramError:
        return "unreadable"


def _stimulus(path: Path, samples: int | None) -> "tuple[Any, Array | None]":
    from astrodeploy.frontends.stimulus import part, read_stimulus

    x, y = read_stimulus(path)
    return part(x, slice(samples)), None if y is None else y[:samples]


def _wanted(engine: str) -> tuple[str, int | None]:
    name, colon, limit = engine.partition(":")
    if colon and not (limit.isdecimal() and int(limit)):
        raise InputError(
            f"--engine {engine}: after the colon stands how many samples to run, a positive number"
        )
    return name, int(limit) if colon else None
