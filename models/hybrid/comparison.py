"""One set of digits, one number of training digits, one seed: every model on the same noisy streams.

A stream is 300 test digits in a row: 50 clean ones, 200 with one noise at one level, 50 clean ones again. There
is one for every noise and level, and one that stays clean; all hold the same digits in the same order.
"""

from collections.abc import Iterator

import baselines
import numpy as np
import torch
from data import LEVELS, NOISES, Digits, few, for_study, put_aside, tensors
from model import Hybrid
from train import RATE, TUNING_RATE, fit, settle
from whole import answered, counts, encoded, hidden_spikes, stream_counts

CLEAN, NOISY, AGAIN = 50, 200, 50  # digits of a stream: before, under and after noise
BLOCK = 25  # digits whose answers are summed up
CELLS = ("clean", *(f"{kind} {level:.0%}" for kind in NOISES for level in LEVELS))
SHOTS = ("1", "5", "10", "all")
MOST = {"digits": 60, "mnist": 400}  # digits a class that "all" stands for
WEIGHTS, TUNING = 60, 30  # training steps of the two phases; for "all" WEIGHTS_ALL
WEIGHTS_ALL = 200
SETTLE = 100  # digits in each stream while gains settle
DOMAINS = {"": 1, ", 8 astrocytes": 16}
BATCH_UPDATES, BATCH_RATE = 12, 8.0  # of gains set by a whole batch: to its fixed point in a few steps


def divided(name: str, seed: int) -> tuple[Digits, Digits]:
    """A seed's training digits and its test digits, in their order in the streams."""
    return put_aside(for_study(name), CLEAN + NOISY + AGAIN, seed)


def streams(test: Digits, rng: np.random.Generator) -> np.ndarray:
    """Images (length, cells, side, side)."""
    x = np.repeat(test.x[:, None], len(CELLS), 1)
    noisy = slice(CLEAN, CLEAN + NOISY)
    kinds = [(noise, level) for noise in NOISES.values() for level in LEVELS]
    for cell, (noise, level) in enumerate(kinds, start=1):
        x[noisy, cell] = noise(test.x[noisy], level, rng)
    return x


def blocks(predictions: np.ndarray, y: np.ndarray) -> list[list[int]]:
    """Digits recognised, (cells, blocks), of predictions (length, cells)."""
    right = predictions == y[:, None]
    return right.reshape(-1, BLOCK, right.shape[1]).sum(1).T.tolist()


def compare(name: str, shots: str, seed: int) -> dict[str, list[list[int]]]:
    """Digits recognised by each model, (cells, blocks)."""
    rng = np.random.default_rng([seed, len(name), SHOTS.index(shots)])
    torch.manual_seed(int(rng.integers(1 << 31)))
    rest, test = divided(name, seed)
    train = few(rest, MOST[name] if shots == "all" else int(shots), rng)
    x = streams(test, np.random.default_rng([seed, len(name)]))
    flat = torch.from_numpy(x.reshape(*x.shape[:2], -1))
    answers = {k: v.argmax(-1).numpy() for k, v in spiking(train, flat, shots, seed)}
    answers |= {k: v if v.ndim == 2 else v.argmax(-1) for k, v in ordinary(train, x, flat, rng)}
    return {model: blocks(predictions, test.y) for model, predictions in answers.items()}


# ---- the hybrid network --------------------------------------------------------------------------------


def spiking(train: Digits, x: torch.Tensor, shots: str, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Output spikes (length, cells, 10) of the spiking networks."""
    digits, y = tensors(train)
    plain = Hybrid(seed, digits.shape[1])
    fit(plain, digits, y, WEIGHTS_ALL if shots == "all" else WEIGHTS, RATE)
    weights = {name: each.clone() for name, each in plain.state_dict().items() if name.endswith("weight")}
    for text, domain in DOMAINS.items():
        hybrid = Hybrid(seed, digits.shape[1], domain=domain)
        hybrid.load_state_dict(weights, strict=False)
        settle(hybrid, digits, SETTLE)
        fit(hybrid, digits, y, TUNING, TUNING_RATE)
        yield f"hybrid, adapting{text}", stream_counts(hybrid, x)
        if domain == 1:
            frozen, adapted = with_a_batch(hybrid, x)
            yield "hybrid, frozen", frozen
            yield "hybrid, batch", adapted
    fit(plain, digits, y, TUNING, TUNING_RATE)
    yield "no astrocytes", torch.stack([counts(plain, cell) for cell in x.unbind(1)], 1).detach()


@torch.no_grad()
def with_a_batch(model: Hybrid, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output spikes (length, cells, 10), gains at rest; and with gains that the noisy digits of a cell set.

    What no chip can do: activity is averaged over all of a cell's noisy digits at once, gains follow until they
    hardly change, and then the same digits are recognised. Clean digits are answered at rest.
    """
    frozen, adapted = [], []
    for cell in x.unbind(1):
        current = model.expand(encoded(model, cell))
        frozen.append(answered(model, current, model.hidden.log_gain))
        noisy = current[:, CLEAN : CLEAN + NOISY]
        gain = model.hidden.log_gain
        for _ in range(BATCH_UPDATES):
            activity = hidden_spikes(model, noisy, gain).mean((0, 1))
            drive = model.hidden.pool.float() @ activity
            gain = (gain + BATCH_RATE * drive).clamp(model.hidden.low, model.hidden.high)
        adapted.append(frozen[-1].clone())
        adapted[-1][CLEAN : CLEAN + NOISY] = answered(model, noisy, gain)
    return torch.stack(frozen, 1), torch.stack(adapted, 1)


# ---- the others ----------------------------------------------------------------------------------------


def ordinary(
    train: Digits, x: np.ndarray, flat: torch.Tensor, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Scores (length, cells, 10), or classes (length, cells), of the other models."""
    network = baselines.trained(train)
    yield "ann", scores(network, flat)
    yield "ann, running norm", baselines.normalised_running(network, train, flat).numpy()
    parts = flat.split([CLEAN, NOISY, AGAIN])
    yield "ann, batch norm", torch.cat([baselines.normalised(network, train, p) for p in parts]).numpy()
    yield "ann, augmented", scores(baselines.trained(train, baselines.augmented(rng)), flat)
    filtered = torch.from_numpy(baselines.smoothed(x).reshape(flat.shape))
    smooth = Digits(baselines.smoothed(train.x), train.y)
    yield "median, ann", scores(baselines.trained(smooth), filtered)
    yield "1-nn", baselines.nearest(train, x)


@torch.no_grad()
def scores(network: baselines.Ann, x: torch.Tensor) -> np.ndarray:
    """Scores (length, cells, 10)."""
    return network(x).numpy()

