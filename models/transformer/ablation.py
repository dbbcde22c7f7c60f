"""Which part of the attention does what: every arm trained alike, with and without positions in the input."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import torch
from model import WIDTH, Parallel, Settings
from train import accuracy, train

from astrodeploy.optional import missing

try:
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    raise missing(error) or error from None

EPOCHS, VALIDATION = 20, 300
RATES = (3e-3, 1e-2, 3e-2)
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
    """By arm, and by arm with "+ positions": the rate chosen, the learning curve at it, and the test accuracy.

    An arm is trained at every rate. The one that ends best on validation digits is chosen, and all is of this one.
    Validation digits are held back of the training digits; nothing is chosen by test digits.
    """
    train_x, test_x, train_y, test_y = data
    parts = train_test_split(
        train_x, train_y, test_size=VALIDATION, random_state=seed, stratify=train_y.numpy()
    )
    shown, held_back, labels, held_back_labels = parts
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lanes in _lanes():
        settings, curves = [each for _, each in lanes], list[list[float]]()

        def watch(model: Parallel, curves: list[list[float]] = curves) -> None:
            curves.append(accuracy(model, held_back, held_back_labels))

        model = train(settings, shown, labels, seed, epochs, watch)
        tests = accuracy(model, test_x, test_y)
        for i, (name, lane) in enumerate(lanes):
            found[name].append({"rate": lane.rate, "curve": [each[i] for each in curves], "test": tests[i]})
    return {name: chosen(runs) for name, runs in found.items()}


def chosen(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of an arm's runs, one a rate, that which ends best on validation digits."""
    return max(runs, key=lambda run: run["curve"][-1])


def _lanes() -> list[list[Lane]]:
    """Arms, with and without positions, at every rate: lists of what can be trained together."""
    together: dict[Any, list[Lane]] = defaultdict(list)
    for name, settings in ARMS.items():
        for places in (False, True):
            for rate in RATES:
                lane = replace(settings, places=places, rate=rate)
                together[lane.structure].append((name + " + positions" * places, lane))
    return list(together.values())
