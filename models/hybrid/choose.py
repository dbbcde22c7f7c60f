"""The search for three settings, on digits that are put aside for it and are in no study.

    python models/hybrid/choose.py --data mnist --seeds 4

Prints, for 10 examples a class, the mean accuracy over all noises and levels of the hybrid network adapting in
streams, by settings: neurons that an astrocyte watches, its rate (eta), and the sharpness of the loss. Nothing else
is searched for here.
"""

import argparse
from itertools import product

import numpy as np
import torch
from comparison import CLEAN, FIRST, MAIN, NOISY, SECOND, SETTLE, Case, case_of
from data import SIDES, tensors
from model import Hybrid
from rich.console import Console
from rich.table import Table
from train import RATE, TUNING_RATE, fit, settle
from whole import counts, named, stream_counts

DOMAINS, RATES, SHARPNESS = (1, 4, 16), (0.25, 0.5, 1.0), (0.1, 0.3, 1.0)


def accuracies(case: Case, domain: int, rate: float, sharpness: float) -> list[float]:
    """Per cent of noisy digits recognised, gains frozen and adapting."""
    x, y = tensors(case.train)
    torch.manual_seed(case.seed)
    model = Hybrid(case.seed, x.shape[1], domain=domain, rate=rate)
    fit(model, x, y, FIRST, RATE, sharpness=sharpness)
    settle(model, x, SETTLE)
    fit(model, x, y, SECOND, TUNING_RATE, sharpness=sharpness)
    with torch.no_grad():
        frozen = torch.stack([counts(model, cell) for cell in case.pixels.unbind(1)], 1)
    noisy = slice(CLEAN, CLEAN + NOISY)
    right = [
        (named(answers) == case.test.y[:, None])[noisy, 1:]
        for answers in (frozen, stream_counts(model, case.pixels))
    ]
    return [100 * float(each.mean()) for each in right]


def main() -> None:
    """Search, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=sorted(SIDES), default="digits")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case_of(options.data, MAIN, seed, choosing=True) for seed in range(options.seeds)]
    table = Table("neurons an astrocyte", "rate", "sharpness", "frozen, %", "adapting, %")
    grid = [*product(DOMAINS, RATES, SHARPNESS[:1]), *product(DOMAINS[:1], RATES[-1:], SHARPNESS[1:])]
    for settings in grid:
        found = np.mean([accuracies(case, *settings) for case in cases], 0)
        table.add_row(*map(str, settings), *(f"{each:.1f}" for each in found))
    Console().print(table)


if __name__ == "__main__":
    main()
