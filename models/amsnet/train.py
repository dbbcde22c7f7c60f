"""Train AM-SNet as a language model of characters on the text that CPython ships, from one seed.

Writes model.pt, the one-step network; test.npz with held-back text as the network is fed it: x (16, steps, inputs), the
last SILENT steps empty because the chip answers some steps late, and next (16, 128), the numbers of the
characters to come; calibrate.npz with the x of training text.
"""

import argparse
from math import log
from pathlib import Path

import numpy as np
import torch
from model import DT, AMSNet, Recurrent, Settings, encoded, parameters_of
from text import parts

import astrodeploy

STEPS, BATCH, WINDOW = 700, 16, 64  # of training: each step sees 16 windows of 64 characters, from rest
RATE, DECAY, CLIP = 1.5e-2, 0.01, 1.0  # AdamW's, the weights', and the largest norm of a gradient
TEST, CROP = 16, 128  # windows of held-back text that the chip reads, and their characters
CALIBRATION = 16  # windows of training text
SILENT = 12  # steps after the last character, at least as many as the program is deep


def train(model: AMSNet | Recurrent, settings: Settings, seed: int, steps: int = STEPS) -> None:
    """Cross-entropy of the next character, in parallel over the windows, with surrogate gradients."""
    text, rng = parts()[0], np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, (0.9, 0.99), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    for _ in range(steps):
        starts = rng.integers(0, len(text) - WINDOW, BATCH)
        windows = torch.stack([text[start : start + WINDOW + 1] for start in starts])
        logits = model.parallel(encoded(windows[:, :-1], settings))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        schedule.step()


def spread(text: torch.Tensor, windows: int, length: int) -> torch.Tensor:
    """Windows of `length` characters and the one after them, spread evenly over a text: (windows, length + 1)."""
    starts = np.linspace(0, len(text) - length - 1, windows).astype(int)
    return torch.stack([text[start : start + length + 1] for start in starts])


def bits(logits: torch.Tensor, following: torch.Tensor) -> float:
    """Mean bits per character of logits (windows, steps, characters) for the characters that follow."""
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), following.flatten())
    return float(nats) / log(2)


@torch.no_grad()
def held_back(model: AMSNet | Recurrent, settings: Settings, windows: int = 64) -> float:
    """Bits per character of held-back text in float, every window from rest."""
    text = spread(parts()[1], windows, CROP)
    return bits(model.parallel(encoded(text[:, :-1], settings)), text[:, 1:])


def samples(settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-back text as the network is fed it, what follows, and training text to calibrate with."""
    test = spread(parts()[1], TEST, CROP)
    calibration = spread(parts()[0], CALIBRATION, CROP)[:, :-1]
    fed = (encoded(text, settings, SILENT).numpy() for text in (test[:, :-1], calibration))
    x, calibrate = fed
    return x, test[:, 1:].numpy(), calibrate


def main() -> None:
    """Train, report, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/amsnet"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument(
        "--no-rotary", action="store_true", help="leave q and k as they are, whatever the position"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)  # the matrices are small: more threads only wait for each other
    torch.manual_seed(options.seed)
    settings = Settings(rotary=not options.no_rotary)
    model = AMSNet(settings)
    train(model, settings, options.seed, options.steps)
    print(
        f"held-back text: {held_back(model, settings):.3f} bits per character, {parameters_of(model)} parameters"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(model, options.out / "model.pt", dt=DT, input_shape=(settings.inputs,))
    x, following, calibrate = samples(settings)
    np.savez_compressed(options.out / "test.npz", x=x, next=following)
    np.savez_compressed(options.out / "calibrate.npz", x=calibrate)
    print(f"wrote model.pt, test.npz and calibrate.npz in {options.out}")


if __name__ == "__main__":
    main()
