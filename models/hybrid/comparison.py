"""Every model on the same noisy streams: one set of digits, one number of training digits, one seed.

A stream is 300 test digits in a row: 50 clean ones, 200 with one noise at one level, 50 clean ones again. There
is one for every noise and level, and one that stays clean; all hold the same digits in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import baselines
import numpy as np
import torch
from data import LEVELS, NOISES, Digits, few, for_study, put_aside, tensors
from model import Hybrid
from train import DOMAIN, RATE, TUNING_RATE, fit, settle
from whole import answered, counts, encoded, hidden_spikes, named, stream_counts

CLEAN, NOISY, AGAIN = 50, 200, 50  # digits of a stream: before, under and after noise
LENGTH = CLEAN + NOISY + AGAIN
BLOCK = 25  # digits whose answers are summed up
CELLS = ("clean", *(f"{kind} {level:.0%}" for kind in NOISES for level in LEVELS))
SHOTS = ("1", "5", "10", "all")
MAIN = "10"  # the shots at which two more forms of the hybrid network, and the chip, are compared too
MOST = {"digits": 60, "mnist": 400}  # digits a class that "all" stands for
FIRST, FIRST_ALL, SECOND = 60, 150, 30  # updates of weights: first phase, the same for "all", second phase
SETTLE = 100  # digits in each stream while gains settle
FINE, COARSE = 1, DOMAIN  # neurons an astrocyte watches: in this study's hybrid network, and in the demo's
BATCH_UPDATES, BATCH_RATE = 12, 8.0  # of gains set by a whole batch: near their fixed point in a few steps


@dataclass(frozen=True)
class Case:
    """What one comparison is about; streams are images (length, cells, side, side)."""

    seed: int
    shots: str
    train: Digits
    test: Digits
    streams: np.ndarray

    @property
    def pixels(self) -> torch.Tensor:
        """The streams as (length, cells, pixels)."""
        return torch.from_numpy(self.streams.reshape(*self.streams.shape[:2], -1))

    @property
    def is_main(self) -> bool:
        """Whether all forms of the hybrid network are compared."""
        return self.shots == MAIN


def case_of(name: str, shots: str, seed: int, choosing: bool = False) -> Case:
    """A seed's training and test digits; `choosing`: of those that settings are chosen on."""
    rng = np.random.default_rng([seed, len(name), SHOTS.index(shots)])
    torch.manual_seed(int(rng.integers(1 << 31)))
    rest, test = put_aside(for_study(name, choosing), LENGTH, seed)
    train = few(rest, MOST[name] if shots == "all" else int(shots), rng)
    streams = noisy_streams(test, np.random.default_rng([seed, len(name)]))
    return Case(seed, shots, train, test, streams)


def noisy_streams(test: Digits, rng: np.random.Generator) -> np.ndarray:
    """Images (length, cells, side, side) of test digits in their order."""
    x = np.repeat(test.x[:, None], len(CELLS), 1)
    noisy = slice(CLEAN, CLEAN + NOISY)
    kinds = [(noise, level) for noise in NOISES.values() for level in LEVELS]
    for cell, (noise, level) in enumerate(kinds, start=1):
        x[noisy, cell] = noise(test.x[noisy], level, rng)
    return x


def right_in_blocks(predictions: np.ndarray, y: np.ndarray) -> list[list[int]]:
    """Digits recognised, (cells, blocks), of predictions (length, cells)."""
    right = predictions == y[:, None]
    return right.reshape(-1, BLOCK, right.shape[1]).sum(1).T.tolist()


# ---- the hybrid network --------------------------------------------------------------------------------


def networks(case: Case) -> dict[str, Hybrid]:
    """The spiking networks, trained alike: phase 1 is the same for all, phase 2 as many steps."""
    x, y = tensors(case.train)
    plain = Hybrid(case.seed, x.shape[1])
    fit(plain, x, y, FIRST_ALL if case.shots == "all" else FIRST, RATE)
    weights = {name: each.clone() for name, each in plain.state_dict().items() if name.endswith("weight")}
    made = {"no astrocytes": plain}
    for name, domain in (("hybrid", FINE), ("coarse", COARSE))[: 1 + case.is_main]:
        made[name] = Hybrid(case.seed, x.shape[1], domain=domain)
        made[name].load_state_dict(weights, strict=False)
        settle(made[name], x, SETTLE)
    for network in made.values():
        fit(network, x, y, SECOND, TUNING_RATE)
    return made


@torch.no_grad()
def spiking(made: dict[str, Hybrid], x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Output spikes (length, cells, 10) for streams (length, cells, pixels), by model."""
    yield "hybrid, adapting", stream_counts(made["hybrid"], x)
    yield "hybrid, gains frozen", torch.stack([counts(made["hybrid"], cell) for cell in x.unbind(1)], 1)
    yield "no astrocytes", torch.stack([counts(made["no astrocytes"], cell) for cell in x.unbind(1)], 1)
    if "coarse" in made:
        yield "hybrid, adapting, 8 astrocytes", stream_counts(made["coarse"], x)
        yield "hybrid, gains set by the batch", set_by_batch(made["hybrid"], x)


@torch.no_grad()
def set_by_batch(model: Hybrid, x: torch.Tensor) -> torch.Tensor:
    """Output spikes (length, cells, 10); noisy digits with gains that they set together, clean ones at rest."""
    rest, answers = model.hidden.log_gain, []
    for cell in x.unbind(1):
        before, noisy, after = model.expand(encoded(model, cell)).split([CLEAN, NOISY, AGAIN], 1)
        parts = ((before, rest), (noisy, gain_of_batch(model, noisy)), (after, rest))
        answers.append(torch.cat([answered(model, part, gain) for part, gain in parts]))
    return torch.stack(answers, 1)


@torch.no_grad()
def gain_of_batch(model: Hybrid, current: torch.Tensor) -> torch.Tensor:
    """The log gains (domains,) that follow the mean activity of a whole batch, currents (steps, batch, n).

    What no chip can do: all digits are seen before the first is recognised.
    """
    gain = model.hidden.log_gain
    for _ in range(BATCH_UPDATES):
        drive = model.hidden.pool.float() @ hidden_spikes(model, current, gain).mean((0, 1))
        gain = (gain + BATCH_RATE * drive).clamp(model.hidden.low, model.hidden.high)
    return gain


# ---- the others ----------------------------------------------------------------------------------------


@torch.no_grad()
def ordinary(case: Case) -> Iterator[tuple[str, torch.Tensor]]:
    """Scores (length, cells, 10) of the models that do not spike, and last the classes of 1-NN."""
    train, x = case.train, case.pixels
    network = baselines.trained(train)
    yield "ANN", network(x)
    yield "ANN, running normalisation", baselines.normalised_running(network, train, x)
    parts = x.split([CLEAN, NOISY, AGAIN])
    yield "ANN, batch normalisation", torch.cat([baselines.normalised(network, train, p) for p in parts])
    rng = np.random.default_rng(case.seed)
    yield "ANN, noise in training", baselines.trained(train, baselines.augmented(rng))(x)
    filtered = torch.from_numpy(baselines.smoothed(case.streams).reshape(x.shape))
    yield "median filter, ANN", baselines.trained(Digits(baselines.smoothed(train.x), train.y))(filtered)
    yield "1-NN", torch.nn.functional.one_hot(baselines.nearest(train, x))


def predictions(case: Case, made: dict[str, Hybrid]) -> dict[str, np.ndarray]:
    """Classes (length, cells) by model."""
    counted = {name: named(counts) for name, counts in spiking(made, case.pixels)}
    return counted | {name: scores.argmax(-1).numpy() for name, scores in ordinary(case)}
