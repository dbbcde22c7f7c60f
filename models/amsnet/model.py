"""AM-SNet: spiking units whose memory is astrocytes; in parallel over a text to be trained, by steps to be deployed.

    characters -> units: linear membranes -> spikes -> q, k, v -> astrocytes H = lambda H + k v -> q H -> logits

README.md names the equations. `forward` is one step, `parallel` a whole text; both have the same parameters.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from text import VOCABULARY

from astrodeploy.nn import Astrocyte
from astrodeploy.optional import missing

try:
    import snntorch
except ModuleNotFoundError as error:
    raise missing(error) or error from None

DT = 1e-3
THRESHOLD = 1.0
MEMBRANES = (0.0, 0.25, 0.5, 0.75)  # beta, each of an equal share of a layer's neurons
HEADS = (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.875, 0.96875)  # lambda, one a head; all are whole in 4096ths
Tensor = torch.Tensor


@dataclass(frozen=True)
class Settings:
    """What the network is made of.

    width       of the residual stream, which is linear: the chip never forms it
    neurons     of a layer
    membranes   beta of the neurons' membranes
    heads       lambda of the astrocytes, one a head
    keys, values   rows and columns of a head's state
    layers      AM-SU units, one after the other
    rotary      whether q and k are turned by an angle that grows with the step
    astrocytes  without them y = 0: membranes, spikes, residual stream and read-out are all there is
    """

    width: int = 64
    neurons: int = 64
    membranes: tuple[float, ...] = MEMBRANES
    heads: tuple[float, ...] = HEADS
    keys: int = 8
    values: int = 8
    layers: int = 2
    rotary: bool = True
    astrocytes: bool = True

    @property
    def angles(self) -> int:
        """How many angles the input brings beside the character."""
        return self.keys // 2 if self.rotary else 0

    @property
    def inputs(self) -> int:
        """Numbers a step: the character, one-hot; cosines and sines."""
        return len(VOCABULARY) + 2 * self.angles


def encoded(characters: Tensor, settings: Settings) -> Tensor:
    """Characters (batch, steps) as the network is fed them: (batch, steps, inputs)."""
    batch, steps = characters.shape
    x = torch.zeros(batch, steps, settings.inputs)
    x[:, :, : len(VOCABULARY)] = torch.nn.functional.one_hot(characters, len(VOCABULARY))
    if settings.rotary:
        speeds = 10.0 ** (-torch.arange(settings.angles) / settings.angles)
        turned = torch.arange(steps)[:, None] * speeds
        x[:, :, len(VOCABULARY) :] = torch.cat([turned.cos(), turned.sin()], 1)
    return x


@cache
def kernel(decays: tuple[float, ...], steps: int, dtype: torch.dtype) -> Tensor:
    """decay**(t - i) where i <= t, else 0: (decays, steps t, steps i)."""
    age = (torch.arange(steps)[:, None] - torch.arange(steps)).to(dtype)
    return torch.where(age >= 0, torch.tensor(decays, dtype=dtype)[:, None, None] ** age.clamp(min=0), 0.0)


def integrated(current: Tensor, betas: tuple[float, ...]) -> Tensor:
    """Eq 4 in parallel: u_t = sum of beta**(t - i) times the current (batch, steps, neurons) of step i."""
    decays = kernel(betas, current.shape[1], current.dtype)
    return torch.bmm(decays, current.permute(2, 1, 0)).permute(2, 1, 0)


def retained(q: Tensor, k: Tensor, v: Tensor, lambdas: tuple[float, ...]) -> Tensor:
    """Eq 8: Y = (Q K^T o D) V with D = lambda**(t - i), all of (batch, heads, steps, keys or values)."""
    return ((q @ k.transpose(-1, -2)) * kernel(lambdas, q.shape[2], q.dtype)) @ v


class Unit(torch.nn.Module):
    """An AM-SU: eqs 4 and 5 and the read-out; its input and output are the residual stream (batch, width)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        neurons, share = settings.neurons, settings.neurons // len(settings.membranes)
        self.betas = tuple(beta for beta in settings.membranes for _ in range(share))
        self.enter = torch.nn.Linear(settings.width, neurons, bias=False)
        torch.nn.init.normal_(self.enter.weight, std=settings.width**-0.5)
        self.membrane = snntorch.Leaky(
            torch.tensor(self.betas), THRESHOLD, snntorch.surrogate.atan(2.0), reset_mechanism="none"
        )
        self.read = 0
        if settings.astrocytes:
            self._grow(len(settings.heads), settings.keys, settings.values)
        self.leave = torch.nn.Linear(neurons + self.read, settings.width, bias=False)

    def _grow(self, heads: int, keys: int, values: int) -> None:
        """The projections of the spikes, and the astrocytes. A projection is sent once, to all that need it."""
        self.turned, self.read = 2 * heads * keys, heads * values
        self.project = torch.nn.Linear(self.settings.neurons, self.turned + self.read, bias=False)
        if self.settings.rotary:
            self.vectors = Astrocyte(self.turned)
            self.cosine, self.sine = Astrocyte(self.turned), Astrocyte(self.turned)
            self.value = Astrocyte(self.read)
        else:
            self.projected = Astrocyte(self.turned + self.read)
        decay = 1 - torch.tensor(self.settings.heads).reshape(-1, 1, 1).expand(-1, keys, values)
        self.memory = Astrocyte(heads, keys, values, decay=decay)
        self.reading = Astrocyte(self.read)

    # ---- one step ----------------------------------------------------------------------------------

    def forward(self, stream: Tensor, angles: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """One step: the stream with what the unit adds to it, and (membrane, H)."""
        potential, memory = state
        spikes, potential = self.membrane(self.enter(stream), potential)
        if not self.settings.astrocytes:
            return stream + self.leave(spikes), (potential, memory)
        message, memory = self._remember(spikes, angles, memory)
        return stream + self.leave(torch.cat([spikes, message], 1)), (potential, memory)

    def _remember(self, spikes: Tensor, angles: Tensor | None, memory: Any) -> tuple[Tensor, Any]:
        """Eq 5, and y_t = q_t H_t."""
        heads, keys, values = len(self.settings.heads), self.settings.keys, self.settings.values
        if angles is not None:
            vectors, value = self._rotated(self.project(spikes), angles)
        else:
            sent, _ = self.projected(self.project(spikes))
            vectors, value = sent[:, : self.turned], sent[:, self.turned :]
        half = self.turned // 2
        query, key = (
            part.reshape(-1, heads, keys, 1).expand(-1, heads, keys, values)
            for part in (vectors[:, :half], vectors[:, half:])
        )
        value = value.reshape(-1, heads, 1, values).expand(-1, heads, keys, values)
        products, memory = self.memory(None, memory, left=key, right=value, factor=query)
        message, _ = self.reading(products.sum(2).reshape(-1, self.read))
        return message, memory

    def _rotated(self, projected: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        """q and k, turned: products with the cosines and with the sines; and v."""
        groups, half = 2 * len(self.settings.heads), self.settings.angles
        vectors, _ = self.vectors(projected[:, : self.turned])
        value, _ = self.value(projected[:, self.turned :])
        cosines, sines = (
            part.reshape(-1, 1, 1, half).expand(-1, groups, 2, half).reshape(-1, self.turned)
            for part in (angles[:, :half], angles[:, half:])
        )
        pairs = vectors.reshape(-1, groups, 2, half)
        across = torch.cat([-pairs[:, :, 1], pairs[:, :, 0]], 2).reshape(-1, self.turned)
        along, _ = self.cosine(left=vectors, right=cosines)
        turned, _ = self.sine(left=across, right=sines)
        return along + turned, value

    def at_rest(self, batch: int) -> Any:
        """The state before the first step."""
        like = torch.zeros(batch, 1)
        memory = self.memory.at_rest(like) if self.settings.astrocytes else None
        return torch.zeros(batch, self.settings.neurons), memory

    # ---- a whole text ------------------------------------------------------------------------------

    def parallel(self, stream: Tensor, angles: Tensor) -> Tensor:
        """All steps at once, (batch, steps, width), from rest."""
        potential = integrated(self.enter(stream), self.betas)
        spikes = self.membrane.spike_grad(potential - THRESHOLD).to(stream.dtype)
        left = spikes
        if self.settings.astrocytes:
            left = torch.cat([spikes, self._retained(self.project(spikes), angles)], 2)
        added: Tensor = self.leave(left)
        return stream + added

    def _retained(self, projected: Tensor, angles: Tensor) -> Tensor:
        batch, steps, _ = projected.shape
        heads = len(self.settings.heads)
        vectors, value = projected[..., : self.turned], projected[..., self.turned :]
        pairs = vectors.reshape(batch, steps, 2 * heads, self.settings.keys).transpose(1, 2)
        if self.settings.rotary:
            pairs = _turned(pairs, angles[:, None])
        parts = value.reshape(batch, steps, heads, self.settings.values).transpose(1, 2)
        read = retained(pairs[:, :heads], pairs[:, heads:], parts, self.settings.heads)
        return read.transpose(1, 2).reshape(batch, steps, self.read)


def _turned(vectors: Tensor, angles: Tensor) -> Tensor:
    """Vectors whose halves are the two coordinates of pairs, turned by angles given as cosines and sines."""
    (first, second), (cosines, sines) = vectors.chunk(2, -1), angles.chunk(2, -1)
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], -1)


class AMSNet(torch.nn.Module):
    """One step: (character and angles (batch, inputs), state) -> (logits of the next (batch, characters), state)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.embed = torch.nn.Linear(len(VOCABULARY), settings.width, bias=False)
        torch.nn.init.normal_(self.embed.weight)
        self.units = torch.nn.ModuleList(Unit(settings) for _ in range(settings.layers))
        self.classify = torch.nn.Linear(settings.width, len(VOCABULARY))
        self.logits = Astrocyte(len(VOCABULARY))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step of the network."""
        before = self.at_rest(len(x)) if state is None else state
        angles = x[:, len(VOCABULARY) :] if self.settings.rotary else None
        stream, after = self.embed(x[:, : len(VOCABULARY)]), []
        for i, unit in enumerate(self.layers):
            stream, kept = unit(stream, angles, before[i])
            after.append(kept)
        logits, _ = self.logits(self.classify(stream))
        return logits, tuple(after)

    @property
    def layers(self) -> list[Unit]:
        """The units."""
        return [cast(Unit, each) for each in self.units]

    def at_rest(self, batch: int) -> Any:
        """The state before the first step."""
        return tuple(unit.at_rest(batch) for unit in self.layers)

    def parallel(self, x: Tensor) -> Tensor:
        """Logits of a whole text: (batch, steps, inputs) -> (batch, steps, characters), from rest."""
        characters, angles = x[..., : len(VOCABULARY)], x[..., len(VOCABULARY) :]
        stream = self.embed(characters)
        for unit in self.layers:
            stream = unit.parallel(stream, angles)
        logits: Tensor = self.classify(stream)
        return logits


class Recurrent(torch.nn.Module):
    """The baseline: a GRU over one-hot characters."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(len(VOCABULARY), hidden, batch_first=True)
        self.classify = torch.nn.Linear(hidden, len(VOCABULARY))

    def parallel(self, x: Tensor) -> Tensor:
        """Logits as AMSNet.parallel gives them."""
        logits: Tensor = self.classify(self.gru(x)[0])
        return logits


def parameters_of(module: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in module.parameters())


def as_large(size: int) -> Recurrent:
    """The GRU whose number of parameters is nearest to `size`."""
    n = len(VOCABULARY)
    gap = {h: abs(3 * h * (n + h + 2) + n * (h + 1) - size) for h in range(1, 513)}
    return Recurrent(min(gap, key=lambda h: gap[h]))


COMPARED = {
    "amsnet": Settings(),
    "plain": Settings(rotary=False, astrocytes=False),
    "gru": Settings(rotary=False),  # what it is fed; it is as large as AM-SNet
}


def drawn(name: str, settings: Settings, seed: int) -> AMSNet | Recurrent:
    """A network before its training, from a seed: the GRU, or AM-SNet of these settings."""
    torch.manual_seed(seed)
    network = AMSNet(settings)
    if name != "gru":
        return network
    torch.manual_seed(seed)
    return as_large(parameters_of(network))
