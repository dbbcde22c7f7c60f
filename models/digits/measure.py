"""What the chips make of the two networks: accuracy on the digits held back, and what each step loses.

Takes the folder that train.py wrote. For each network and chip: compiled as it is, with calibration, and
after fine-tuning; every difference is paired, digit by digit, against the float network.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import astrodeploy
from astrodeploy.finetune.training import Settings, tune
from astrodeploy.frontends.torch.checkpoint import write_checkpoint
from astrodeploy.paired import paired

NETWORKS, TARGETS = ("convolutional", "recurrent"), ("loihi2", "loihi1")
AT_ONCE = 250  # digits that are run at once
BATCH = 128  # of fine-tuning
CALIBRATION = 500  # training digits that scales are chosen from


def right(program: astrodeploy.Program, x: np.ndarray, y: np.ndarray, engine: str = "fast") -> np.ndarray:
    """Which digits are recognised."""
    parts = [program.run(x[i : i + AT_ONCE], engine).predictions for i in range(0, len(x), AT_ONCE)]
    return np.concatenate(parts) == y


def tuned(folder: Path, name: str, target: str, options: argparse.Namespace) -> Path:
    """Fine-tune a network for a chip, on the training digits alone; the file that is written."""
    train = np.load(folder / f"{name}_train.npz")
    settings = Settings(
        target, options.epochs, BATCH, options.learning_rate, held_back=0.0, seed=options.seed
    )
    with Progress() as bar:
        task = bar.add_task(f"{name} for {target}")
        watch = lambda p: bar.update(task, completed=p.done, total=p.total)  # noqa: E731
        tuning = tune(folder / f"{name}.pt", train["x"], train["y"], settings, watch)
    path = folder / f"{name}_{target}.pt"
    write_checkpoint(tuning.graph, path)
    return path


def measure(folder: Path, name: str, options: argparse.Namespace) -> list[dict[str, object]]:
    """The rows of one network."""
    with np.load(folder / f"{name}_test.npz") as test, np.load(folder / f"{name}_train.npz") as train:
        x, y, calibration = test["x"], test["y"], train["x"][:CALIBRATION]
    source = folder / f"{name}.pt"
    baseline = right(astrodeploy.compile(source), x, y, "reference")
    rows = [{"network": name, "what": "float", "accuracy": float(baseline.mean()), "difference": ""}]
    for target in options.target or TARGETS:
        versions = {
            "compiled": lambda t=target: astrodeploy.compile(source, t),
            "calibrated": lambda t=target: astrodeploy.compile(source, t, calibrate=calibration),
            "fine-tuned": lambda t=target: astrodeploy.compile(tuned(folder, name, t, options), t),
        }
        for what, program in versions.items():
            answers = right(program(), x, y)
            rows.append(
                {
                    "network": name,
                    "what": f"{target}, {what}",
                    "accuracy": float(answers.mean()),
                    "difference": str(paired(answers, baseline)),
                }
            )
            (folder / "measured.json").write_text(json.dumps(rows, indent=1))
    return rows


def main() -> None:
    """Read the options, measure, and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/digits"))
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--epochs", type=int, default=3, help="of fine-tuning")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="of fine-tuning")
    parser.add_argument("--seed", type=int, default=0, help="of fine-tuning")
    options = parser.parse_args()
    table = Table("network", "what", "accuracy", "against float, 95 % interval")
    for name in options.network or NETWORKS:
        for row in measure(options.folder, name, options):
            table.add_row(row["network"], row["what"], f"{row['accuracy']:.2%}", row["difference"])
    Console().print(table)


if __name__ == "__main__":
    main()
