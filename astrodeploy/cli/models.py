"""The commands models and train: the reference systems that travel with the package."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.commands import app
from astrodeploy.cli.options import Json
from astrodeploy.errors import InputError
from astrodeploy.resources import data_folder


@app.command()
def models(as_json: Json = False) -> None:
    """List the reference systems that `train` trains, and where their descriptions are."""
    found = [_facts(folder) for folder in _folders()]
    if as_json:
        screen.print_json(found)
        return
    rows = [
        (f["name"], f["title"], "yes" if f["trained"] else "nothing to train", f["readme"]) for f in found
    ]
    screen.table("Reference systems", ("name", "what it is", "train", "described in"), rows)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A reference system; `astrodeploy models` lists them.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to write to; build/NAME unless given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="What everything random comes from.")] = 7,
) -> None:
    """Train a reference system: writes model.pt, test.npz, and calibrate.npz where it is needed.

    Further options go to the system's own train.py, whose README names them.
    """
    script = _folder(name) / "train.py"
    if not script.exists():
        raise InputError(
            f"there is nothing to train in {name}: {script.with_name('README.md')} says what it is"
        )
    folder = Path("build") / name if output is None else output
    if folder.exists() and not folder.is_dir():
        raise InputError(f"-o {folder} is a file: name a folder, which is made where there is none")
    _check_place(folder)
    runner = [sys.executable, "-P", "-m", "astrodeploy.cli.script"]
    command = [*runner, str(script), "-o", str(folder), "--seed", str(seed), *context.args]
    if code := subprocess.run(command, check=False).returncode:
        raise typer.Exit(code if code in (1, 2, 130) else 1)


def _check_place(folder: Path) -> None:
    """Raise InputError where a folder can't be made, or nothing written to it: before minutes of training."""
    whole = folder.absolute()
    there = next(each for each in (whole, *whole.parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"-o {folder} can't be made: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"-o {folder} can't be written: there is no permission to write to {there}")


def _folders() -> list[Path]:
    return sorted(readme.parent for readme in data_folder("models").glob("*/README.md") if _is_system(readme))


def _is_system(readme: Path) -> bool:
    return readme.with_name("model.py").exists()


def _folder(name: str) -> Path:
    known = {folder.name: folder for folder in _folders()}
    if name not in known:
        raise InputError(f"there is no reference system {name!r}; there are {', '.join(known)}")
    return known[name]


def _facts(folder: Path) -> dict[str, Any]:
    readme = folder / "README.md"
    title = readme.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    trained = (folder / "train.py").exists()
    return {"name": folder.name, "title": title, "trained": trained, "readme": _shown(readme)}


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
