"""What a token costs as the text grows: a unit of AM-SNet beside softmax attention with its cache, both in torch."""

import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from model import Settings, Unit
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
TIMED = 33  # steps that are timed at a length; the fastest counts, because a machine has other work too
Step = Callable[[], None]


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
def growth(unit: Unit, seed: int, lengths: tuple[int, ...] = LENGTHS) -> list[dict[str, Any]]:
    """At each length: bytes kept, most bytes that a step allocates, and microseconds a step, of both.

    The unit runs through every token. The cache is filled with noise up to the length instead: what it
    holds makes no difference to what it costs.
    """
    torch.manual_seed(seed)
    settings = unit.settings
    softmax = Softmax(settings, lengths[-1] + TIMED)
    stream, angles = torch.randn(1, settings.width), torch.randn(1, 2 * settings.angles)
    state, position, found = unit.at_rest(1), 0, []

    def step() -> None:
        nonlocal state
        _, state = unit(stream, angles, state)

    for length in lengths:
        for _ in range(length - position - 2 * TIMED):
            step()
        rows: dict[str, Any] = {"length": length, "unit": _cost(step)}
        rows["unit"]["kept"] = _bytes(state)
        position = length - TIMED
        softmax.length = length - 2 * TIMED
        rows["softmax"] = _cost(lambda: softmax(stream))
        rows["softmax"]["kept"] = softmax.held.numel() * softmax.held.element_size()
        found.append(rows)
    return found


def _cost(step: Step) -> dict[str, float]:
    """Microseconds of a step, the fastest of TIMED, and the most bytes that one holds beyond what is kept."""
    times = []
    for _ in range(TIMED):
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
    with Watched() as watched:
        step()
    return {"microseconds": min(times) * 1e6, "allocated": watched.most}


def _bytes(state: Any) -> int:
    """Bytes of all tensors in a state, each counted once."""
    membrane, memory = state
    tensors = [membrane, memory.count, memory.trace, memory.output]
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())
