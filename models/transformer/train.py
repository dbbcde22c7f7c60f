"""Train the astromorphic transformer on scikit-learn's digits, a row a token, from one seed.

Writes model.pt, the one-step network; test.npz with the held-back digits as the host sends them: x (400, steps, 32)
and y (400,); calibrate.npz with the x of training digits.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from model import DT, HALF, PIXELS, TOKENS, Parallel, Settings, deployed, steps_of

import astrodeploy
from astrodeploy.optional import missing

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    raise missing(error) or error from None

TEST_DIGITS, CALIBRATION = 400, 128
EPOCHS, BATCH = 50, 32
DECAY, CLIP = 0.1, 1.0  # of weights, and the largest norm of a gradient
Watch = Callable[[Parallel], None]


def digits(seed: int, held_back: int = TEST_DIGITS) -> tuple[torch.Tensor, ...]:
    """Digits (n, TOKENS, PIXELS) in 0..1 and labels: train x, held-back x, train y, held-back y, by class."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, TOKENS, PIXELS)
    parts = train_test_split(x, y, test_size=held_back, random_state=seed, stratify=y)
    return tuple(torch.from_numpy(part) for part in parts)


def train(
    lanes: Sequence[Settings],
    x: torch.Tensor,
    y: torch.Tensor,
    seed: int,
    epochs: int = EPOCHS,
    watch: Watch | None = None,
) -> Parallel:
    """AdamW with a cosine schedule, each lane at its own rate; `watch` is called after every epoch."""
    torch.manual_seed(seed)
    model = Parallel(lanes)
    rates = torch.tensor([each.rate for each in lanes]).reshape(-1, 1, 1)
    steps, step, labels = epochs * -(-len(x) // BATCH), 0, y.expand(len(lanes), -1)
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            step += 1
            logits = model(x[batch]).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, labels[:, batch].flatten(), reduction="sum")
            gradients = _gradients(model, loss / len(batch))
            _update(model, gradients, moments, rates * (0.5 + 0.5 * cos(pi * step / steps)), step)
        if watch is not None:
            watch(model)
    return model


def _gradients(model: Parallel, loss: torch.Tensor) -> list[torch.Tensor]:
    """Those of all parameters, of every lane clipped to a norm of CLIP."""
    found = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    norm = sum((each**2).sum((1, 2), keepdim=True) for each in found) ** 0.5
    return [each * (CLIP / norm.clamp(min=CLIP)) for each in found]


@torch.no_grad()
def _update(
    model: Parallel,
    gradients: list[torch.Tensor],
    moments: list[tuple[torch.Tensor, torch.Tensor]],
    rates: torch.Tensor,
    step: int,
) -> None:
    """A step of AdamW, of which torch's own has one rate for all lanes."""
    for p, gradient, (first, second) in zip(model.parameters(), gradients, moments, strict=True):
        first.lerp_(gradient, 0.1)
        second.lerp_(gradient**2, 0.001)
        change = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        p -= rates * (change + DECAY * p)


@torch.no_grad()
def accuracy(model: Parallel, x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """Share of digits that each lane recognises."""
    return (model(x).argmax(-1) == y).double().mean(1).tolist()


def main() -> None:
    """Train, report, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/transformer"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--causal", action="store_true", help="a token reads what came before it, and itself")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {options.epochs}")
    torch.set_num_threads(1)  # the matrices are small: more threads only wait for each other
    settings = replace(Settings(), causal=options.causal)
    train_x, test_x, train_y, test_y = digits(options.seed)
    model = train([settings], train_x, train_y, options.seed, options.epochs)
    print(f"test digits: {accuracy(model, test_x, test_y)[0]:.1%} of {len(test_x)}")
    options.out.mkdir(parents=True, exist_ok=True)
    network = deployed(model)
    astrodeploy.save(network, options.out / "model.pt", dt=DT, input_shape=(2 * HALF,))
    sent = {name: steps_of(x.numpy(), settings) for name, x in (("test", test_x), ("train", train_x))}
    np.savez_compressed(options.out / "test.npz", x=sent["test"], y=test_y.numpy())
    np.savez_compressed(options.out / "calibrate.npz", x=sent["train"][:CALIBRATION])
    print(f"wrote model.pt, test.npz and calibrate.npz in {options.out}")


if __name__ == "__main__":
    main()
