"""The text: the chapters of Python's language reference that CPython ships (pydoc_data.topics, PSF licence).

In lower case, with runs of white space as one space and a line feed after a paragraph. A paragraph that
several chapters have is kept where it comes first, so that none is in both parts.
"""

import re
from functools import cache
from pydoc_data import topics

import numpy as np
import torch

VOCABULARY = "\n abcdefghijklmnopqrstuvwxyz0123456789.,-\"_*=()':>|+[]/?"  # any other character becomes "?"
EVERY, HELD_BACK = 8, 5  # of the chapters by name, number 5 of every 8 is held back


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
def parts() -> tuple[torch.Tensor, torch.Tensor]:
    """The text to train on and the text held back, as numbers of characters."""
    texts = list(chapters().values())
    held = [i % EVERY == HELD_BACK for i in range(len(texts))]
    train, test = (
        "".join(t for t, h in zip(texts, held, strict=True) if h is which) for which in (False, True)
    )
    return numbered(train), numbered(test)


def numbered(text: str) -> torch.Tensor:
    """Places of the characters in VOCABULARY."""
    known = {each: i for i, each in enumerate(VOCABULARY)}
    return torch.tensor([known.get(each, len(VOCABULARY) - 1) for each in text])


def counted(order: int, least: float = 0.05) -> float:
    """Bits per held-back character of plain counting: how often it followed the `order` characters before it.

    `least` is added to every count.
    """
    train, test = (part.numpy() for part in parts())
    n = len(VOCABULARY)
    counts = np.full((n**order, n), least)
    np.add.at(counts, _contexts(train, order), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return float(-np.log2(shares[_contexts(test, order)]).mean())


def _contexts(text: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every character but the first: a number for those before it, and itself."""
    before = sum(
        (text[order - 1 - i : len(text) - 1 - i] * len(VOCABULARY) ** i for i in range(order)),
        start=np.zeros(len(text) - order, np.int64),
    )
    return before, text[order:]
