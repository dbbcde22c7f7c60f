"""What the hybrid network is compared with: ordinary networks of the same size, and no network at all."""

from collections.abc import Callable

import numpy as np
import torch
from data import NOISES, Digits, tensors
from model import CLASSES, HIDDEN
from scipy.ndimage import median_filter

UPDATES, BATCH, RATE = 300, 128, 3e-3  # of the weights; none of them was searched for
FORGETS = 0.04  # of running statistics, a digit: as fast as the astrocytes' trace
SMALL = 1e-3  # a unit that never varies is not blown up


class Ann(torch.nn.Module):
    """pixels -> Linear -> ReLU -> Linear: the hybrid network's sizes, ordinary units."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.expand = torch.nn.Linear(pixels, HIDDEN)
        self.classify = torch.nn.Linear(HIDDEN, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores (..., 10) of pixels (..., pixels)."""
        return self.classify(torch.relu(self.expand(pixels)))


@torch.enable_grad()
def trained(digits: Digits, altered: Callable[[Digits], Digits] = lambda batch: batch) -> Ann:
    """An Ann trained with Adam on batches of the digits, each altered anew."""
    network = Ann(digits.x[0].size)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, UPDATES)
    batches: list[torch.Tensor] = []
    for _ in range(UPDATES):
        batches = batches or list(torch.randperm(len(digits)).split(BATCH))
        x, y = tensors(altered(digits[batches.pop().numpy()]))
        loss = torch.nn.functional.cross_entropy(network(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network


def augmented(rng: np.random.Generator) -> Callable[[Digits], Digits]:
    """Every digit gets one of the noises, or none; each noise has in a batch one level, from 0.02 to 0.7."""
    noises = [lambda x, level, rng: x, *NOISES.values()]

    def altered(digits: Digits) -> Digits:
        x, kind = digits.x.copy(), rng.integers(len(noises), size=len(digits))
        for number, noise in enumerate(noises):
            chosen = np.flatnonzero(kind == number)
            if len(chosen):
                x[chosen] = noise(x[chosen], rng.uniform(0.02, 0.7), rng)
        return Digits(x, digits.y)

    return altered


def smoothed(x: np.ndarray) -> np.ndarray:
    """Images (..., side, side) through a median filter of 3 x 3."""
    return median_filter(x, size=(*(1,) * (x.ndim - 2), 3, 3), mode="constant")


def nearest(train: Digits, x: torch.Tensor) -> torch.Tensor:
    """Classes (length, rows) of pixels (length, rows, pixels): those of the nearest training digit."""
    known, classes = tensors(train)
    distances = [known.square().sum(1) - 2 * digits @ known.T for digits in x]  # squared, less x's own length
    return torch.stack([classes[each.argmin(1)] for each in distances])


# ---- test-time normalisation: every hidden unit gets back the mean and spread that it had in training --


@torch.no_grad()
def normalised(network: Ann, train: Digits, x: torch.Tensor) -> torch.Tensor:
    """Scores (length, rows, 10) of streams (length, rows, pixels), by statistics over each whole stream."""
    units, (mean, spread) = network.expand(x), _of_training(network, train)
    standard = (units - units.mean(0)) / (units.std(0) + SMALL)
    return network.classify(torch.relu(standard * spread + mean))


@torch.no_grad()
def normalised_running(network: Ann, train: Digits, x: torch.Tensor) -> torch.Tensor:
    """The same by running statistics of each stream, which forget; a digit counts before it is recognised."""
    mean, spread = _of_training(network, train)
    middle, variance, scores = mean, spread**2, []
    for units in network.expand(x):
        distance = units - middle
        middle = middle + FORGETS * distance
        variance = (1 - FORGETS) * (variance + FORGETS * distance**2)
        standard = (units - middle) / (variance.sqrt() + SMALL)
        scores.append(network.classify(torch.relu(standard * spread + mean)))
    return torch.stack(scores)


def _of_training(network: Ann, train: Digits) -> tuple[torch.Tensor, torch.Tensor]:
    units = network.expand(tensors(train)[0])
    return units.mean(0), units.std(0)
