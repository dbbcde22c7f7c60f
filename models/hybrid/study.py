"""The few-shot and noise study: `measure` one seed, `present` all of them."""

from typing import Any

import numpy as np
import torch
from chip import measured
from comparison import CELLS, LENGTH, SHOTS, case_of, networks, noisy_streams, predictions, right_in_blocks
from data import SIDES, for_study
from figure import drawn
from matplotlib.figure import Figure
from tables import written
from train import trained
from whole import named, stream_counts

NOISE = CELLS.index("impulse 50%")
DEMO_CELLS = [0, CELLS.index("occlusion 50%"), NOISE]


def measure(seed: int) -> dict[str, Any]:
    """Everything of one seed as plain data.

    right     set -> shots -> model -> digits recognised, (cells, blocks); see `comparison`
    chip      network -> bits, costs and whether NIR gives the same Program; see `chip`
    agreeing  network -> share of digits, by cell, for which the chip and torch give the same class
    demo      the demo's network, on digits that nothing was chosen on: digits that it was trained on, and
              cell -> accuracy on the chip and in torch
    """
    torch.set_num_threads(1)
    right: dict[str, Any] = {name: {} for name in SIDES}
    chip, agreeing = {}, {}
    for name in SIDES:
        for shots in SHOTS:
            case = case_of(name, shots, seed)
            made = networks(case)
            answers = predictions(case, made)
            if case.is_main:
                chip[name], answers["hybrid, adapting, on loihi2"] = measured(
                    made["hybrid"], case.streams, NOISE
                )
                same = answers["hybrid, adapting"] == answers["hybrid, adapting, on loihi2"]
                agreeing[name] = same.mean(0).tolist()
            right[name][shots] = {k: right_in_blocks(v, case.test.y) for k, v in answers.items()}
    chip["demo"], agreeing["demo"], demo = _demo(seed)
    return {"seed": seed, "right": right, "chip": chip, "agreeing": agreeing, "demo": demo}


def _demo(seed: int) -> tuple[dict[str, Any], list[float], dict[str, Any]]:
    """The network of `make demo`, trained and tested on the study's digits alone, on some of the streams."""
    model, train, test = trained(seed, for_study("digits"), LENGTH)
    streams = noisy_streams(test, np.random.default_rng(seed))[:, DEMO_CELLS]
    pixels = torch.from_numpy(streams.reshape(*streams.shape[:2], -1))
    facts, on_chip = measured(model, streams, noisy=2)
    in_torch = named(stream_counts(model, pixels))
    scores = {
        CELLS[cell]: {
            "chip": float((on_chip[:, i] == test.y).mean()),
            "torch": float((in_torch[:, i] == test.y).mean()),
        }
        for i, cell in enumerate(DEMO_CELLS)
    }
    return facts, (on_chip == in_torch).mean(0).tolist(), {"trained on": len(train), "accuracy": scores}


def present(results: list[dict[str, Any]]) -> tuple[str, Figure]:
    """Markdown and the figure, over all seeds."""
    return written(results), drawn(results)
