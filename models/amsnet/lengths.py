"""What a token costs as the text grows: a unit of AM-SNet beside softmax attention with its cache, both in torch."""

import weakref
from collections.abc import Callable
from functools import partial
from math import inf
from time import process_time
from typing import Any

import torch
from model import Settings, Unit
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
ROUNDS, TIMED = 25, 8  # of timing all lengths in turn, and steps of each in a round
Step = Callable[[], object]


class Softmax(torch.nn.Module):
    """Causal softmax attention of a unit's width and heads, one token a step, with a cache of keys and values."""

    def __init__(self, settings: Settings, most: int) -> None:
        super().__init__()
        self.heads = len(settings.heads)
        self.project = torch.nn.Linear(settings.width, 3 * settings.width, bias=False)
        self.leave = torch.nn.Linear(settings.width, settings.width, bias=False)
        self.cache = torch.randn(2, self.heads, most, settings.width // self.heads)
        self.length = 0

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        """One token (1, width); the cache grows by it."""
        query, *new = self.project(stream).reshape(3, self.heads, -1)
        self.cache[:, :, self.length] = torch.stack(new)
        self.length += 1
        keys, values = self.held
        scores = torch.einsum("hd,htd->ht", query, keys) * keys.shape[-1] ** -0.5
        read = torch.einsum("ht,htd->hd", scores.softmax(1), values)
        added: torch.Tensor = self.leave(read.reshape(1, -1))
        return stream + added

    @property
    def held(self) -> torch.Tensor:
        """Keys and values of all tokens so far: (2, heads, tokens, values)."""
        return self.cache[:, :, : self.length]


class Watched(TorchDispatchMode):
    """Adds up the bytes of the tensors that operations make, for as long as these live."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = 0, 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation as it is."""
        made = operation(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in tree_leaves(args) if isinstance(t, torch.Tensor)}
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in given:
                self._add(tensor.untyped_storage().nbytes())
                weakref.finalize(tensor, self._add, -tensor.untyped_storage().nbytes())
        return made

    def _add(self, count: int) -> None:
        self.now += count
        self.most = max(self.most, self.now)


@torch.no_grad()
def growth(
    unit: Unit, seed: int, lengths: tuple[int, ...] = LENGTHS, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """After each length: bytes kept, most bytes that a step allocates, and microseconds of a step, of both.

    The unit has run through every token. The cache is filled with noise up to the length instead: what it
    holds makes no difference to what it costs.
    """
    torch.manual_seed(seed)
    softmax = Softmax(unit.settings, lengths[-1] + 1)
    stream, angles = torch.randn(1, unit.settings.width), torch.randn(1, 2 * unit.settings.angles)
    states = _reached(unit, stream, angles, lengths)

    def attend(length: int) -> None:
        softmax.length = length
        softmax(stream)

    steps: dict[tuple[str, int], Step] = {}
    for length in lengths:
        steps["unit", length] = partial(unit, stream, angles, states[length])
        steps["softmax", length] = partial(attend, length)
    times = _fastest(steps, rounds)
    found = []
    for length in lengths:
        softmax.length = length
        kept = {"unit": _bytes(states[length]), "softmax": softmax.held.numel() * softmax.held.element_size()}
        costs = {
            which: {
                "kept": kept[which],
                "allocated": _allocated(steps[which, length]),
                "microseconds": times[which, length] * 1e6,
            }
            for which in kept
        }
        found.append({"length": length, **costs})
    return found


def _reached(
    unit: Unit, stream: torch.Tensor, angles: torch.Tensor, lengths: tuple[int, ...]
) -> dict[int, Any]:
    """The unit's state after each of the lengths, fed the same in every step."""
    state, found = unit.at_rest(1), {}
    for step in range(1, lengths[-1] + 1):
        _, state = unit(stream, angles, state)
        if step in lengths:
            found[step] = state
    return found


def _fastest(steps: dict[tuple[str, int], Step], rounds: int) -> dict[tuple[str, int], float]:
    """Of each kind of step the fastest, in seconds of this process alone.

    All kinds take turns, round after round: what else the machine does slows none of them down more than another.
    """
    found = dict.fromkeys(steps, inf)
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # what the others left in the processor's caches is not timed
            for _ in range(TIMED):
                start = process_time()
                step()
                found[name] = min(found[name], process_time() - start)
    return found


def _allocated(step: Step) -> int:
    """The most bytes that a step holds beyond what is kept."""
    with Watched() as watched:
        step()
    return watched.most


def _bytes(state: Any) -> int:
    """Bytes of all tensors in a state, each counted once."""
    membrane, memory = state
    tensors = [membrane, memory.count, memory.trace, memory.output]
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())
