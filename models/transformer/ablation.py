"""Which part of the attention does what: every arm trained alike, with and without positions in the input."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import torch
from model import WIDTH, Parallel, Settings
from sklearn.model_selection import train_test_split
from train import accuracy, train

EPOCHS, VALIDATION = 20, 300
RATES = (3e-3, 1e-2, 3e-2)
LEVELS = (0.85, 0.9)
LINEAR = Settings(sigma="none", alpha=1.0, astro=False)
ARMS = {
    "softmax": Settings(attention="softmax"),
    "linear (eq 1)": replace(LINEAR, scale=1.0),
    "linear (eqs 9, 17)": LINEAR,
    "α alone": replace(Settings(), sigma="none", astro=False),
    "σ alone": replace(Settings(), alpha=1.0, astro=False),
    "W_astro alone": replace(LINEAR, astro=True),
    "full without σ": replace(Settings(), sigma="none"),
    "full without W_astro": replace(Settings(), astro=False),
    "full (eq 11)": Settings(),
    "full (eq 18)": replace(Settings(), sigma="outside"),
    "full (eq 11), m = 500 d": replace(Settings(), scale=500.0 * WIDTH),
    "no attention": replace(Settings(), attention="none"),
}
Lane = tuple[str, Settings]


def ablation(seed: int, data: tuple[torch.Tensor, ...], epochs: int = EPOCHS) -> dict[str, dict[str, Any]]:
    """By arm, and by arm with "+ positions": epochs to each level, test accuracy, learning curve.

    An arm is trained at every rate. For the epochs the rate that gets there first is taken, for accuracy and curve
    the one that ends best on validation digits.
    """
    train_x, test_x, train_y, test_y = data
    parts = train_test_split(
        train_x, train_y, test_size=VALIDATION, random_state=seed, stratify=train_y.numpy()
    )
    shown, held_back, labels, held_back_labels = parts
    found: dict[str, list[tuple[list[float], float]]] = defaultdict(list)
    for lanes in _lanes():
        settings, curves = [each for _, each in lanes], list[list[float]]()

        def watch(model: Parallel, curves: list[list[float]] = curves) -> None:
            curves.append(accuracy(model, held_back, held_back_labels))

        model = train(settings, shown, labels, seed, epochs, watch)
        tests = accuracy(model, test_x, test_y)
        for i, (name, _) in enumerate(lanes):
            found[name].append(([each[i] for each in curves], tests[i]))
    return {name: _summary(runs) for name, runs in found.items()}


def _lanes() -> list[list[Lane]]:
    """Arms, with and without positions, at every rate: lists of what can be trained together."""
    together: dict[Any, list[Lane]] = defaultdict(list)
    for name, settings in ARMS.items():
        for places in (False, True):
            for rate in RATES:
                lane = replace(settings, places=places, rate=rate)
                together[lane.structure].append((name + " + positions" * places, lane))
    return list(together.values())


def _summary(runs: list[tuple[list[float], float]]) -> dict[str, Any]:
    curve, test = max(runs, key=lambda run: run[0][-1])
    epochs = {}
    for level in LEVELS:
        reached = [next((i + 1 for i, a in enumerate(c) if a > level), None) for c, _ in runs]
        epochs[f"{level:.0%}"] = min((each for each in reached if each), default=None)
    return {"epochs": epochs, "test": test, "curve": curve}
