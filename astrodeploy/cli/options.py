"""What several commands share: their options, and what these say in the package's own types."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrodeploy.errors import InputError

if TYPE_CHECKING:
    from astrodeploy.program import Program

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
ProgramPath = Annotated[Path, typer.Argument(metavar="PROGRAM", help="A Program folder.")]
Dt = Annotated[float | None, typer.Option("--dt", help="Seconds per step, where the source does not say it.")]
Reset = Annotated[
    str | None,
    typer.Option(
        "--reset", metavar="zero|subtract", help="How neurons reset, where a NIR file does not say it."
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option("--threshold", metavar=">|>=", help="When neurons of a NIR file spike; > unless given."),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="1,8,8",
        help="Of one sample in one step, such as channels, height, width; where the source does not say it.",
    ),
]
IfR = Annotated[
    str | None,
    typer.Option(
        "--if-r", metavar="per_second|per_step", help="What r = 1 of an integrator in a NIR file means."
    ),
]
Carry = Annotated[
    list[str] | None,
    typer.Option("--carry", metavar="astrocytes", help="Run the samples as one stream, keeping this state."),
]
Rate = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="RATE|LAYER=RATE",
        help="Assumed messages per neuron and step, 0..1, of all layers or of one. Repeat it.",
    ),
]
Samples = Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first so many samples.")]
Input = Annotated[
    Path,
    typer.Option(
        "--input",
        help="An .npz file: x of (batch, steps, *shape), or (batch, *shape) for values that are shown for some steps "
        "(x.NAME for each of several inputs); y optional, (batch,), the class of every sample from 0 on.",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="How long a sample is shown (encoders).")]


def stem(source: str) -> str:
    """What a source is called, without its kind."""
    path = Path(source)
    return path.stem if path.suffix in (".pt", ".nir", ".net", ".onnx") else path.name.replace(":", ".")


def shape_of(text: str | None) -> tuple[int, ...] | None:
    """A shape as it is written on the command line, 1,8,8 or 1x8x8. Raises InputError."""
    if text is None:
        return None
    numbers = text.replace("x", ",").split(",")
    if not all(number.strip().isdecimal() and int(number) for number in numbers):
        raise InputError(f"--input-shape takes positive whole numbers, such as 1,8,8 or 1x8x8, not {text!r}")
    return tuple(int(number) for number in numbers)


def names_of(engines: str) -> tuple[str, ...]:
    """Names that are separated by commas. Raises InputError where there is none."""
    names = tuple(name.strip() for name in engines.split(",") if name.strip())
    if not names:
        raise InputError(f"--engines takes names of engines, separated by commas, not {engines!r}")
    return names


def load_program(path: Path) -> "Program":
    """The Program in a folder. Raises ProgramError."""
    from astrodeploy.program import Program

    return Program.load(path)
