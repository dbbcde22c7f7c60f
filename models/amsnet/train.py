"""Train AM-SNet as a language model of characters on the text that CPython ships, from one seed.

Writes model.pt, the one-step network; test.npz with windows of the test part as the network is fed them: x
(16, 128, inputs), and next (16, 128), the numbers of the characters to come; calibrate.npz with the x of training
text.
"""

import argparse
from math import log
from pathlib import Path

import numpy as np
import torch
from model import DT, AMSNet, Recurrent, Settings, encoded, parameters_of
from text import parts, windows

import astrodeploy

STEPS, BATCH, WINDOW = 700, 16, 64  # of training: each step sees 16 windows of 64 characters, from rest
RATE, DECAY, CLIP = 1.5e-2, 0.01, 1.0  # AdamW's, the weights', and the largest norm of a gradient
CROP = 128  # characters of a window in which text is read after training, from rest
TEST = 16  # windows of the test part that the chip reads
CALIBRATION = 16  # windows of training text


def train(
    model: AMSNet | Recurrent, settings: Settings, seed: int, steps: int = STEPS, rate: float = RATE
) -> None:
    """Cross-entropy of the next character, in parallel over the windows, with surrogate gradients."""
    text, rng = parts().training, np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), rate, (0.9, 0.99), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.1)
    for _ in range(steps):
        starts = rng.integers(0, len(text) - WINDOW, BATCH)
        batch = torch.stack([text[start : start + WINDOW + 1] for start in starts])
        logits = model.parallel(encoded(batch[:, :-1], settings))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        schedule.step()


def spread(text: torch.Tensor, count: int) -> torch.Tensor:
    """Of a text's windows some that are evenly spread over it: (count, CROP + 1)."""
    every = windows(text, CROP)
    return every[torch.linspace(0, len(every) - 1, count).long()]


def bits(logits: torch.Tensor, following: torch.Tensor) -> float:
    """Mean bits per character of logits (windows, steps, characters) for the characters that follow."""
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), following.flatten())
    return float(nats) / log(2)


@torch.no_grad()
def scored(model: AMSNet | Recurrent, settings: Settings, text: torch.Tensor) -> float:
    """Bits per character of all windows of a text in float, each from rest."""
    every = windows(text, CROP)
    logits = torch.cat([model.parallel(encoded(some[:, :-1], settings)) for some in every.split(32)])
    return bits(logits, every[:, 1:])


def samples(settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of the test part as the network is fed them, what follows, and training text to calibrate with."""
    test, calibration = spread(parts().test, TEST), spread(parts().training, CALIBRATION)
    x, calibrate = (encoded(each[:, :-1], settings).numpy() for each in (test, calibration))
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
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, not {options.steps}")
    torch.set_num_threads(1)  # the matrices are small: more threads only wait for each other
    torch.manual_seed(options.seed)
    settings = Settings(rotary=not options.no_rotary)
    model = AMSNet(settings)
    train(model, settings, options.seed, options.steps)
    found = scored(model, settings, parts().test)
    print(f"test text: {found:.3f} bits per character, {parameters_of(model)} parameters")
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(model, options.out / "model.pt", dt=DT, input_shape=(settings.inputs,))
    x, following, calibrate = samples(settings)
    np.savez_compressed(options.out / "test.npz", x=x, next=following)
    np.savez_compressed(options.out / "calibrate.npz", x=calibrate)
    print(f"wrote model.pt, test.npz and calibrate.npz in {options.out}")


if __name__ == "__main__":
    main()
