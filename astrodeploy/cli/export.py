"""The command export; the other commands are in `commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.commands import app
from astrodeploy.cli.options import Dt, IfR, InputShape, Reset, Threshold, shape_of


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="A .pt file, or package.module:function.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .nir file to write.")],
    dt: Dt = None,
    input_shape: InputShape = None,
    reset: Reset = None,
    threshold: Threshold = None,
    if_r: IfR = None,
) -> None:
    """Write a network as a .nir file, checked before it is written."""
    from astrodeploy.pipeline import export

    with screen.err.status(f"exporting {source}"):
        path = export(
            source,
            output,
            dt=dt,
            input_shape=shape_of(input_shape),
            reset=reset,
            threshold=threshold,
            if_r=if_r,
        )
    screen.say(f"wrote {path}")
