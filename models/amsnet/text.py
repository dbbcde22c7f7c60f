"""The text: the chapters of Python's language reference that CPython ships (pydoc_data.topics, PSF licence).

In lower case, with runs of white space as one space and a line feed after a paragraph. A paragraph that
several chapters have is kept where it comes first, so that none is in two parts.
"""

import re
from functools import cache
from pydoc_data import topics
from typing import NamedTuple

import numpy as np
import torch

VOCABULARY = "\n abcdefghijklmnopqrstuvwxyz0123456789.,-\"_*=()':>|+[]/?"  # any other character becomes "?"
EVERY, HELD_BACK = 8, 5  # of the chapters by name, number 5 of every 8 is held back


class Parts(NamedTuple):
    """The text in three, as numbers of characters; no chapter is in two of them."""

    training: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor


@cache
def chapters() -> dict[str, str]:
    """The chapters by name."""
    seen: set[str] = set()
    found = {}
    for name in sorted(topics.topics):
        paragraphs = [re.sub(r"\s+", " ", each).strip().lower() for each in topics.topics[name].split("\n\n")]
        new = [each for each in dict.fromkeys(paragraphs) if each and each not in seen]
        seen.update(new)
        found[name] = "".join(each + "\n" for each in new)
    return found


@cache
def parts() -> Parts:
    """The text to train on; the text that choices are made on; and the text that results are of.

    Of the chapters held back, by length, every second is for validation: the longest is in the test.
    """
    texts = list(chapters().values())
    held = sorted(texts[HELD_BACK::EVERY], key=len, reverse=True)
    training = [each for i, each in enumerate(texts) if i % EVERY != HELD_BACK]
    return Parts(*(numbered("".join(each)) for each in (training, held[1::2], held[::2])))


def numbered(text: str) -> torch.Tensor:
    """Places of the characters in VOCABULARY."""
    known = {each: i for i, each in enumerate(VOCABULARY)}
    return torch.tensor([known.get(each, len(VOCABULARY) - 1) for each in text])


def windows(text: torch.Tensor, length: int) -> torch.Tensor:
    """All of a text in windows that share no character to predict: (windows, length + 1).

    A window's last character is the first of the next one. The few characters after the last window are left out.
    """
    return text.unfold(0, length + 1, length)


def counted(order: int, given: torch.Tensor, least: float = 0.05) -> float:
    """Bits per character of plain counting in training text: how often it followed the `order` characters before it.

    All characters of the windows but their first are predicted; where a window has fewer than `order` before
    one, those it has are used. `least` is added to every count.
    """
    text = given.numpy()
    shares = [_shares(length, least) for length in range(order + 1)]
    found = []
    for place in range(1, text.shape[1]):
        length = min(order, place)
        before = _number(text[:, place - length : place])
        found.append(-np.log2(shares[length][before, text[:, place]]))
    return float(np.mean(found))


def _shares(order: int, least: float) -> np.ndarray:
    """Of every sequence of `order` characters: the shares of those that follow it in training text."""
    runs = parts().training.unfold(0, order + 1, 1).numpy()
    counts = np.full((len(VOCABULARY) ** order, len(VOCABULARY)), least)
    np.add.at(counts, (_number(runs[:, :-1]), runs[:, -1]), 1)
    return counts / counts.sum(1, keepdims=True)


def _number(characters: np.ndarray) -> np.ndarray:
    """A number for every row of characters."""
    return characters @ len(VOCABULARY) ** np.arange(characters.shape[1])
