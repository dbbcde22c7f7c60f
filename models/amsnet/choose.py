"""The choice of the learning rate, of the decays and of the positions, on validation text, from a seed in no study.

    python models/amsnet/choose.py

Prints bits per character of the validation part, in float, in windows as for the test part: three networks, each
at every rate; then AM-SNet at train.py's rate with slow decays, and without rotary positions.
"""

import argparse

import torch
from model import COMPARED, Settings, drawn
from text import parts
from train import RATE, STEPS, scored, train

RATES = (0.005, 0.015, 0.03, 0.06)
SLOW = Settings(
    membranes=(0.0, 0.5, 0.75, 0.875),
    heads=(0.75, 0.75, 0.875, 0.875, 0.9375, 0.9375, 0.96875, 0.96875),
)
OTHERS = {"amsnet, slow decays": SLOW, "amsnet, no rotary positions": Settings(rotary=False)}


def validated(name: str, settings: Settings, seed: int, steps: int, rate: float) -> float:
    """Bits per character of the validation part after a training."""
    model = drawn(name, settings, seed)
    train(model, settings, seed, steps, rate)
    return scored(model, settings, parts().validation)


def main() -> None:
    """Search, and print what came out, as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS, help="of every training")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, not {options.steps}")
    torch.set_num_threads(1)
    every = COMPARED | OTHERS
    runs = [(name, rate) for name in COMPARED for rate in options.rates] + [(name, RATE) for name in OTHERS]
    for name, rate in runs:
        found = validated(name, every[name], options.seed, options.steps, rate)
        print(f"{name}, rate {rate:g}: {found:.3f}", flush=True)


if __name__ == "__main__":
    main()
