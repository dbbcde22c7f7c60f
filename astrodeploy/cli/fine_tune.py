"""The command fine-tune, in a file of its own: the other commands are in `commands.py`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.commands import app
from astrodeploy.cli.options import Dt, IfR, InputShape, Json, Reset, Threshold, shape_of, stem
from astrodeploy.errors import InputError

if TYPE_CHECKING:
    from astrodeploy.finetune.training import Tuning

__all__ = ["app"]


@app.command("fine-tune")
def fine_tune(
    source: Annotated[str, typer.Argument(help="A trained network, as compile takes it.")],
    data: Annotated[Path, typer.Option("--data", help="An .npz file: x as the Program takes it, and y.")],
    target: Annotated[
        str, typer.Option("--target", "-t", help="The chip whose rounding is trained through.")
    ] = "loihi2",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .pt file to write; SOURCE.tuned.pt without it.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the data.")] = 10,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="At the start, relative to each layer's weights.")
    ] = 3e-3,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a step of the optimiser.")] = 64,
    held_back: Annotated[
        float,
        typer.Option("--held-back", help="Share of the data that chooses the epoch; 0: the last is kept."),
    ] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the split and the order of the data.")] = 0,
    calibrate: Annotated[
        Path | None, typer.Option("--calibrate", help="An .npz file to choose scales from, as in compile.")
    ] = None,
    dt: Dt = None,
    input_shape: InputShape = None,
    reset: Reset = None,
    threshold: Threshold = None,
    if_r: IfR = None,
    freeze_astrocytes: Annotated[
        bool, typer.Option("--freeze-astrocytes", help="Fold their resting gains into the weights first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a network's weights and biases through the chip's own rounding."""
    from astrodeploy import storage
    from astrodeploy.finetune.training import Settings, tune
    from astrodeploy.frontends.stimulus import read_stimulus
    from astrodeploy.frontends.torch.checkpoint import write_checkpoint
    from astrodeploy.pipeline import require_source

    require_source(source, dt)
    path = output or Path(f"{stem(source)}.tuned.pt")
    storage.check_file(path)
    x, y = read_stimulus(data)
    if y is None:
        raise InputError(f"{data} holds no y: fine-tuning needs the class of every sample")
    settings = Settings(
        target=target,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        held_back=held_back,
        seed=seed,
        calibrate=calibrate,
        freeze_astrocytes=freeze_astrocytes,
        dt=dt,
        input_shape=shape_of(input_shape),
        reset=reset,
        threshold=threshold,
        if_r=if_r,
    )
    with screen.progress("fine-tuning") as bar:
        words = "held back, on the chip"
        tuning = tune(
            source,
            x,
            y,
            settings,
            lambda p: bar(p.done, p.total, f"{screen.percent(p.last.accuracy)} {words}"),
        )
    write_checkpoint(tuning.graph, path)
    if as_json:
        screen.print_json(_facts(tuning) | {"path": str(path)})
    else:
        _show(tuning, target, calibrate)
        screen.say(f"wrote {path}")


def _facts(tuning: "Tuning") -> dict[str, Any]:
    return {
        "epochs": [asdict(epoch) for epoch in tuning.epochs],
        "kept": tuning.kept.number,
        "held_back": tuning.held_back,
        "notes": list(tuning.notes),
    }


def _show(tuning: "Tuning", target: str, calibrate: Path | None) -> None:
    """The epochs as a table; which one was kept, and how to compile it."""
    rows = [
        (
            epoch.number or "before",
            f"{epoch.training_loss:.4f}" if epoch.number else "-",
            f"{epoch.loss:.4f}",
            screen.percent(epoch.accuracy),
            "kept" if epoch is tuning.kept else "",
        )
        for epoch in tuning.epochs
    ]
    which = f"{tuning.held_back} samples held back" if tuning.held_back else "training samples"
    title = f"fine-tuning for {target}; loss and accuracy are the Program's, on {which}"
    screen.table(title, ["epoch", ">training loss", ">loss", ">accuracy", ""], rows)
    if tuning.kept.number == 0:
        screen.say(
            "no epoch was better than the network as it came: where it was trained on these data before, it knows "
            "those held back too, so give new ones, or keep the last epoch with --held-back 0"
        )
    for note in tuning.notes:
        screen.say(note)
    options = f" --calibrate {calibrate}" if calibrate else ""
    screen.say(f"compile it as it was tuned: --target {target}{options}")
