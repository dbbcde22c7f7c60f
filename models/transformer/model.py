"""The astromorphic transformer, one layer: in parallel over tokens to be trained, step by step to be deployed.

    digit rows -> embedding X -> write H and s, read L = diag(1/C) phi(Q) H + X -> LN -> FFN -> classifier

README.md names the equations. A token is a row of PIXELS numbers in 0..1, a digit TOKENS of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import elu, layer_norm, relu

from astrodeploy.nn import Astrocyte

TOKENS, PIXELS, CLASSES = 8, 8, 10
WIDTH, HIDDEN, FORWARD = 16, 16, 32  # d, m_hidden, and neurons of the FFN
HALF = PIXELS + TOKENS  # of the input: what is written in a step, or read
EPSILON = 1e-5  # of the layer norm
DT = 1e-3
Tensor = torch.Tensor


@dataclass(frozen=True)
class Settings:
    """What the attention is made of.

    attention  "astromorphic", "softmax", or "none": L = X
    sigma      "inside": sigma(H / m_scale), eq 11 | "outside": sigma(H) / m_scale, eq 18 | "none": H / m_scale
    alpha      exponent of g, eq 14
    astro      whether W_astro is added to phi(K), eq 11
    places     whether a learned position is added to X
    scale      m_scale
    causal     whether token t reads what the tokens 0..t wrote, instead of all
    rate       at which it is trained
    """

    attention: str = "astromorphic"
    sigma: str = "inside"
    alpha: float = 0.25
    astro: bool = True
    places: bool = False
    scale: float = HIDDEN
    causal: bool = False
    rate: float = 3e-2

    @property
    def structure(self) -> tuple[str, str, bool]:
        """What networks that are trained as lanes of one module must share."""
        return self.attention, self.sigma, self.causal


def power(x: Tensor, exponent: Any) -> Tensor:
    """x**exponent where x > 0, else 0, with a gradient of 0: the mask below eq 16."""
    return torch.where(x > 0, torch.where(x > 0, x, 1.0) ** exponent, 0.0)


def phi(x: Tensor) -> Tensor:
    """Eq 4."""
    return elu(x) + 1


def through(x: Tensor, weight: Tensor) -> Tensor:
    """Tokens (lanes, batch, TOKENS, a) times the lanes' weights (lanes, a, b)."""
    return (x.flatten(1, 2) @ weight).unflatten(1, x.shape[1:3])


class Parallel(torch.nn.Module):
    """All tokens at once: digits (batch, TOKENS, PIXELS) -> logits (lanes, batch, CLASSES).

    Every parameter has a lane for each of the settings, which share their structure; all lanes start from the
    same numbers.
    """

    alpha: Tensor
    astro: Tensor
    places: Tensor
    scale: Tensor
    distance: Tensor

    def __init__(self, lanes: Sequence[Settings]) -> None:
        super().__init__()
        (structure,) = {each.structure for each in lanes}
        self.lanes, (self.attention, self.sigma, self.causal) = tuple(lanes), structure
        for name in ("alpha", "astro", "places", "scale"):
            values = [float(getattr(each, name)) for each in lanes]
            self.register_buffer(name, torch.tensor(values).reshape(-1, 1, 1))
        token = torch.arange(TOKENS)
        self.register_buffer("distance", 1 / (1.0 + (token[:, None] - token).abs()))  # P of eq 12
        self.embed, self.place = self._drawn(PIXELS, WIDTH, 0.7), self._drawn(TOKENS, WIDTH, 0.5)
        self.to_key, self.to_query = self._drawn(WIDTH, HIDDEN), self._drawn(WIDTH, HIDDEN)
        self.to_value = self._drawn(WIDTH, WIDTH)
        self.basis = self._drawn(HIDDEN, TOKENS, 0.5)  # M of eq 12
        self.expand, self.contract = self._drawn(WIDTH, FORWARD), self._drawn(FORWARD, WIDTH)
        self.classify = self._drawn(WIDTH, CLASSES)

    def _drawn(self, rows: int, columns: int, deviation: float | None = None) -> torch.nn.Parameter:
        drawn = torch.randn(rows, columns) * (deviation or rows**-0.5)
        return torch.nn.Parameter(drawn.expand(len(self.lanes), rows, columns).clone())

    def astrocytic(self) -> Tensor:
        """W_astro transposed, (lanes, TOKENS, HIDDEN): eq 12."""
        relative = self.basis @ self.distance @ self.basis.mT  # D
        return phi(self.basis.mT @ relative) * self.astro

    def forward(self, digits: Tensor) -> Tensor:
        """Logits, the mean over tokens."""
        x = digits.expand(len(self.lanes), *digits.shape)
        x = through(x, self.embed) + (self.places * self.place).unsqueeze(1)
        y = layer_norm(x + self.attended(x), (WIDTH,), eps=EPSILON)
        forward = through(relu(through(y, self.expand)), self.contract)
        return (forward + y).mean(-2) @ self.classify

    def attended(self, x: Tensor) -> Tensor:
        """What the attention adds to X, (lanes, batch, TOKENS, WIDTH)."""
        if self.attention == "none":
            return torch.zeros_like(x)
        k, q, v = (through(x, weight) for weight in (self.to_key, self.to_query, self.to_value))
        if self.attention == "softmax":
            return torch.softmax(q @ k.mT / HIDDEN**0.5, -1) @ v
        k, q = phi(k), phi(q)
        left, alpha, scale = (
            k + self.astrocytic().unsqueeze(1),
            self.alpha.unsqueeze(1),
            self.scale.unsqueeze(1),
        )
        if self.causal:
            hebbian = self._bounded((left.unsqueeze(-1) * v.unsqueeze(-2)).cumsum(-3), scale.unsqueeze(1))
            read, s = (q.unsqueeze(-2) @ hebbian).squeeze(-2), k.cumsum(-2)
        else:
            read, s = q @ self._bounded(left.mT @ v, scale), k.sum(-2, keepdim=True)
        c = (q * power(s, alpha)).sum(-1, keepdim=True)  # eqs 14, 15
        return read * power(c, -1.0)  # eqs 16, 17

    def _bounded(self, hebbian: Tensor, scale: Tensor) -> Tensor:
        if self.sigma == "outside":
            return torch.sigmoid(hebbian) / scale
        return torch.sigmoid(hebbian / scale) if self.sigma == "inside" else hebbian / scale


class Tail(torch.nn.Module):
    """Layer norm, FFN with its residual, classifier: L (batch, WIDTH) and the read bit -> logits of this token.

    Silent where the read bit is 0, so that the sum over all steps is that over the tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        # apart: ±1 in place of 1 - 1/d and -1/d, of which 8 bits lose a part of the mean
        self.mean = Astrocyte(1)
        self.square = Astrocyte(WIDTH)
        self.deviation = Astrocyte(1, offset=EPSILON, output="power", exponent=-0.5)
        self.norm = Astrocyte(WIDTH)
        self.expand = torch.nn.Linear(WIDTH, FORWARD, bias=False)
        self.rectified = Astrocyte(FORWARD, output="power", exponent=1.0)
        self.contract = torch.nn.Linear(FORWARD, WIDTH, bias=False)
        self.classify = torch.nn.Linear(WIDTH, CLASSES, bias=False)
        self.logits = Astrocyte(CLASSES)

    def forward(self, tokens: Tensor, bit: Tensor) -> Tensor:
        """A step."""
        mean, _ = self.mean(tokens.mean(1, keepdim=True))
        centred = tokens - mean.expand(-1, WIDTH)
        square, _ = self.square(left=centred, right=centred)
        deviation, _ = self.deviation(square.mean(1, keepdim=True), factor=bit)
        y, _ = self.norm(left=centred, right=deviation.expand(-1, WIDTH))
        forward, _ = self.rectified(self.expand(y))
        logits, _ = self.logits(self.classify(self.contract(forward) + y))
        return logits


class Astromorphic(torch.nn.Module):
    """One step: (what is written and what is read (batch, 2 HALF), state) -> (logits (batch, CLASSES), state).

    Each half of the input is a token and its one-hot position, or zeros; `steps_of` makes it of digits. The
    sum of the outputs over a digit's steps is TOKENS times the logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        m, d = HIDDEN, WIDTH
        inside, outside = (settings.scale if settings.sigma != "outside" else 1.0), settings.scale
        self.share = 1 / outside if settings.sigma == "outside" else 1.0
        self.embed = torch.nn.Linear(HALF, d, bias=False)
        self.to_key, self.to_query = (torch.nn.Linear(d, m, bias=False) for _ in range(2))
        self.to_value = torch.nn.Linear(d, d, bias=False)
        self.to_astro = torch.nn.Linear(TOKENS, m, bias=False)
        self.key, self.query = Astrocyte(m, output="elu"), Astrocyte(m, output="elu")
        self.value, self.astro = Astrocyte(d), Astrocyte(m)
        output = "identity" if settings.sigma == "none" else "sigmoid"
        self.hebbian = Astrocyte(m, d, decay=0.0, drive=1 / inside, output=output)
        self.calcium = Astrocyte(m, decay=0.0, output="power", exponent=settings.alpha)
        self.reciprocal = Astrocyte(1, output="power", exponent=-1.0)
        self.tokens = Astrocyte(d)
        self.tail = Tail()

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """A step."""
        hebbian, calcium = (None, None) if state is None else state
        written, read = x[:, :HALF], x[:, HALF:]
        places, bit = written[:, PIXELS:], read[:, PIXELS:].sum(1, keepdim=True)
        write_bit = places.sum(1, keepdim=True)
        k, _ = self.key(self.to_key(self.embed(written)), factor=write_bit.expand(-1, HIDDEN))
        q, _ = self.query(self.to_query(self.embed(read)), factor=bit.expand(-1, HIDDEN))
        v, _ = self.value(self.to_value(self.embed(written)))
        astro, _ = self.astro(self.to_astro(places))
        h, hebbian = self.hebbian(
            None,
            hebbian,
            left=(k + astro).unsqueeze(2).expand(-1, HIDDEN, WIDTH),
            right=v.unsqueeze(1).expand(-1, HIDDEN, WIDTH),
            factor=q.unsqueeze(2).expand(-1, HIDDEN, WIDTH),
        )
        g, calcium = self.calcium(k, calcium, factor=q)
        p, _ = self.reciprocal(g.sum(1, keepdim=True))
        tokens, _ = self.tokens(self.embed(read), left=h.sum(1) * self.share, right=p.expand(-1, WIDTH))
        return self.tail(tokens, bit), (hebbian, calcium)


class Plain(torch.nn.Module):
    """The same network without attention, L = X: one step reads a token and its position (batch, HALF)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(HALF, WIDTH, bias=False)
        self.tokens = Astrocyte(WIDTH)
        self.tail = Tail()

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """A step."""
        tokens, _ = self.tokens(self.embed(x))
        return self.tail(tokens, x[:, PIXELS:].sum(1, keepdim=True)), None


@torch.no_grad()
def deployed(trained: Parallel, lane: int = 0) -> Astromorphic | Plain:
    """The network of a lane, to be run step by step; W_astro is a number from here on."""
    settings = trained.lanes[lane]
    if settings.attention == "softmax":
        raise ValueError(
            "softmax attention reads every token at once: it has no form of one step after the other"
        )
    made: Any = Plain() if settings.attention == "none" else Astromorphic(settings)
    weights = {name: parameter[lane] for name, parameter in trained.named_parameters()}
    made.embed.weight.copy_(torch.cat([weights["embed"], weights["place"] * float(settings.places)]).T)
    for name in ("expand", "contract", "classify"):
        getattr(made.tail, name).weight.copy_(weights[name].T)
    if settings.attention == "astromorphic":
        for name in ("to_key", "to_query", "to_value"):
            getattr(made, name).weight.copy_(weights[name].T)
        made.to_astro.weight.copy_(trained.astrocytic()[lane].T)
    return made


def steps_of(digits: np.ndarray, settings: Settings) -> np.ndarray:
    """What the host sends for digits (n, TOKENS, PIXELS): (n, steps, 2 HALF), or HALF without attention.

    First every token to be written, then every token to be read; causal: each to both in the same step.
    """
    places = np.broadcast_to(np.eye(TOKENS, dtype=np.float32), (len(digits), TOKENS, TOKENS))
    tokens = np.concatenate([digits, places], 2, dtype=np.float32)
    nothing = np.zeros_like(tokens)
    if settings.attention == "none":
        parts = [tokens]
    elif settings.causal:
        parts = [np.concatenate([tokens, tokens], 2)]
    else:
        parts = [np.concatenate([tokens, nothing], 2), np.concatenate([nothing, tokens], 2)]
    return np.concatenate(parts, 1)
