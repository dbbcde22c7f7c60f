"""Train the reference hybrid network in two phases, from one seed.

1. Weights, with all gains at rest (a digit is shorter than the astrocytes' period).
2. The training digits pass by as streams with the astrocytes at work; the gains that they reach become
   the resting gains, and the weights are tuned to them.

Writes model.pt, and test.npz with the held-back digits: x (400, pixels) in 0..1, y (400,).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from data import SIDES, Digits, few, load, put_aside, tensors
from model import DT, Hybrid
from rich.progress import track
from whole import Stream, counts, named, stream_counts

import astrodeploy

TEST_DIGITS, MOST = 400, 400  # held back; trained on at most, a class
EPOCHS, BATCH = 25, 128
STREAMS = 8
DOMAIN = 16  # neurons that an astrocyte of the demo watches
RATE, TUNING_RATE = 2e-2, 5e-3
SHARPNESS = 0.1  # of the softmax over spike counts


def fit(
    model: Hybrid,
    x: torch.Tensor,
    y: torch.Tensor,
    updates: int,
    rate: float,
    what: str | None = None,
    sharpness: float = SHARPNESS,
) -> None:
    """Cross-entropy on the output's spike counts, surrogate gradients, every digit from rest."""
    optimiser = torch.optim.Adam([*model.expand.parameters(), *model.classify.parameters()], rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    batches: list[torch.Tensor] = []
    for _ in range(updates) if what is None else track(range(updates), what):
        batches = batches or list(torch.randperm(len(x)).split(BATCH))
        batch = batches.pop()
        loss = torch.nn.functional.cross_entropy(sharpness * counts(model, x[batch]), y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def settle(model: Hybrid, x: torch.Tensor, digits: int) -> None:
    """Let so many digits pass by in each stream and keep the gains that the astrocytes reach."""
    rounds = -(-digits * STREAMS // len(x))
    order = torch.cat([torch.randperm(len(x)) for _ in range(rounds)])[: digits * STREAMS]
    state = Stream.at_rest(model, STREAMS)
    stream_counts(model, x[order].reshape(digits, STREAMS, -1), state)
    model.hidden.log_gain.copy_(state.log_gain.mean(0))


@torch.no_grad()
def stream_accuracy(model: Hybrid, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of digits recognised in one stream, the astrocytes adapting as they pass by."""
    return float((named(stream_counts(model, x[:, None])[:, 0]) == y.numpy()).mean())


@torch.no_grad()
def accuracy(model: Hybrid, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of digits recognised with all gains at rest."""
    return float((named(counts(model, x)) == y.numpy()).mean())


def options_given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/hybrid"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--data", choices=sorted(SIDES), default="digits")
    parser.add_argument("--domain", type=int, default=DOMAIN, help="neurons an astrocyte watches")
    options = parser.parse_args()
    if min(options.epochs, options.domain) < 1:
        parser.error(f"--epochs and --domain must be at least 1, not {options.epochs} and {options.domain}")
    return options


def trained(
    seed: int, digits: Digits, held_back: int = TEST_DIGITS, epochs: int = EPOCHS, domain: int = DOMAIN
) -> tuple[Hybrid, Digits, Digits]:
    """A network trained on most of the digits, those that it was trained on, and those held back."""
    torch.manual_seed(seed)
    rest, test = put_aside(digits, held_back, seed)
    train = few(rest, MOST, np.random.default_rng(seed))
    x, y = tensors(train)
    model = Hybrid(seed, x.shape[1], domain=domain)
    batches = -(-len(x) // BATCH)
    fit(model, x, y, epochs * batches, RATE, "weights     ")
    settle(model, x, len(x) // STREAMS)
    fit(model, x, y, max(1, epochs // 5) * batches, TUNING_RATE, "fine tuning ")
    return model, train, test


def main() -> None:
    """Train, report, and write the files."""
    options = options_given()
    torch.set_num_threads(1)  # the layers are small: more threads only wait for each other
    digits = load(options.data)
    model, _, test = trained(options.seed, digits, epochs=options.epochs, domain=options.domain)
    test_x, test_y = tensors(test)
    print(f"test digits, gains at rest:  {accuracy(model, test_x, test_y):.1%} of {len(test_x)}")
    print(f"test digits, as one stream:  {stream_accuracy(model, test_x, test_y):.1%} of {len(test_x)}")
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(model, options.out / "model.pt", dt=DT, input_shape=test_x.shape[1:])
    np.savez_compressed(options.out / "test.npz", x=test_x.numpy(), y=test_y.numpy())
    print(f"wrote {options.out / 'model.pt'} and {options.out / 'test.npz'}")


if __name__ == "__main__":
    main()
