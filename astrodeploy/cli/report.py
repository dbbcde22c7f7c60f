"""The command report; the other commands are in `commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.commands import app
from astrodeploy.cli.options import Carry, ProgramPath, Rate, Samples, Steps, load_program, names_of
from astrodeploy.errors import InputError


@app.command()
def report(
    program_path: ProgramPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path(
        "report.html"
    ),
    input_: Annotated[
        Path | None,
        typer.Option("--input", help="An .npz file: x of (batch, steps, *shape), and y optional."),
    ] = None,
    carry: Carry = None,
    samples: Samples = None,
    steps: Steps = None,
    rate: Rate = None,
    engines: Annotated[
        str | None,
        typer.Option("--engines", help="Verify the first 10 samples on these, separated by commas."),
    ] = None,
    verified: Annotated[
        int | None,
        typer.Option("--verified", min=0, help="Verify so many samples; 0: none. A few unless given."),
    ] = None,
) -> None:
    """Write everything about a Program into one self-contained HTML file."""
    from astrodeploy import storage
    from astrodeploy.costs.rates import stated
    from astrodeploy.reporting import report

    storage.check_file(output)
    program = load_program(program_path)
    for option, given, what in (
        ("--engines", engines, "verifies a run"),
        ("--verified", verified, "says how many samples are verified"),
        ("--samples", samples, "says how many samples are run"),
    ):
        if given is not None and input_ is None:
            raise InputError(f"{option} {what}: give it samples with --input x.npz")
    if rate and input_ is not None:
        raise InputError("the report counts events in the run of --input: leave --rate out")
    with screen.err.status("writing the report"):
        path = report(
            program,
            input_,
            path=output,
            first=samples,
            carry=tuple(carry or ()),
            steps=steps,
            rates=stated(program, rate) if rate else None,
            engines=() if engines is None else names_of(engines),
            samples=verified,
        )
    screen.say(f"wrote {path}")
