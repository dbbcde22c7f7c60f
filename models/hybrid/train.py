"""Train the reference hybrid network on scikit-learn's digits, in two phases, from one seed.

1. Weights, with all gains at rest (a digit is shorter than the astrocytes' period).
2. The training digits pass by as streams with the astrocytes at work; the gains that they reach become
   the resting gains, and the weights are tuned to them.

Writes model.pt, and test.npz with the held-back digits: x (400, 64) in 0..1, y (400,).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import DT, PIXELS, STEPS, Hybrid
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import astrodeploy
from astrodeploy.nn import carry, unroll

TEST_DIGITS = 400
BATCH = 128
STREAMS = 8


def digits(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels in 0..1 and labels: train x, test x, train y, test y, split by class."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(
        (x / 16).astype(np.float32), y, test_size=TEST_DIGITS, random_state=seed, stratify=y
    )
    return tuple(torch.from_numpy(part) for part in parts)


def train(model: Hybrid, x: torch.Tensor, y: torch.Tensor, epochs: int, rate: float, what: str) -> None:
    """Cross-entropy on the output's spike counts, surrogate gradients, every digit from rest."""
    optimiser = torch.optim.Adam([*model.expand.parameters(), *model.classify.parameters()], rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in track(range(epochs), what):
        for batch in torch.randperm(len(x)).split(BATCH):
            spikes, _ = unroll(model, x[batch], STEPS)
            loss = torch.nn.functional.cross_entropy(spikes.sum(1), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


@torch.no_grad()
def adapt(model: Hybrid, x: torch.Tensor) -> None:
    """Let the digits pass by and keep the gains that the astrocytes reach."""
    length = len(x) // STREAMS
    streams = x[torch.randperm(len(x))[: length * STREAMS]].reshape(STREAMS, length, PIXELS)
    state = None
    for i in track(range(length), "gains settle"):
        _, state = unroll(model, streams[:, i], STEPS, carry(state))
    model.hidden.rest_at(state[1])


@torch.no_grad()
def stream_accuracy(model: Hybrid, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of digits recognised in one stream, the astrocytes adapting as they pass by."""
    right, state = 0, None
    for pixels, label in zip(x, y, strict=True):
        spikes, state = unroll(model, pixels[None], STEPS, carry(state))
        right += int(spikes.sum(1).argmax() == label)
    return right / len(x)


@torch.no_grad()
def accuracy(model: Hybrid, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of digits recognised with all gains at rest."""
    spikes, _ = unroll(model, x, STEPS)
    return float((spikes.sum(1).argmax(1) == y).double().mean())


def main() -> None:
    """Train, report, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/hybrid"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # the layers are small: more threads only wait for each other
    train_x, test_x, train_y, test_y = digits(options.seed)
    model = Hybrid(options.seed)
    train(model, train_x, train_y, options.epochs, 1e-2, "weights     ")
    adapt(model, train_x)
    train(model, train_x, train_y, max(1, options.epochs // 5), 2e-3, "fine tuning")
    print(f"test digits, gains at rest:  {accuracy(model, test_x, test_y):.1%} of {len(test_x)}")
    print(f"test digits, as one stream:  {stream_accuracy(model, test_x, test_y):.1%} of {len(test_x)}")
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(model, options.out / "model.pt", dt=DT, input_shape=(PIXELS,))
    np.savez_compressed(options.out / "test.npz", x=test_x.numpy(), y=test_y.numpy())
    print(f"wrote {options.out / 'model.pt'} and {options.out / 'test.npz'}")


if __name__ == "__main__":
    main()
