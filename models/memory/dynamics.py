"""Retrieval in float: the gated memory as the paper integrates it, and what it is held against.

Everything runs on many realisations at once: patterns (realisations, K, N) and cues (realisations, cues, N)
of -1 and 1; what is retrieved has the shape of the cues. Equation numbers are those of arXiv 2604.25481.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from model import Setting

FINE = 1e-3  # the paper's Euler step
SWEEPS = 30  # at most, of asynchronous updates
BETA = 1.0  # of the softmax memory


def euler(
    patterns: np.ndarray,
    cues: np.ndarray,
    setting: Setting | Sequence[Setting],
    dt: float = FINE,
    gated: bool = True,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """States x (4) and z, with p = softmax(z) (6), before the first step and after each; `gated`: else p = 1/K.

    setting: one for all cues, or one for each; the first says how long. The two arrays are changed in place.
    """
    number, neurons = patterns.shape[1:]
    settings = [setting] if isinstance(setting, Setting) else setting
    names = ("sigma", "tau_x", "tau_p", "temperature")
    sigma, tau_x, tau_p, temperature = (_for_cues([getattr(s, name) for s in settings]) for name in names)
    back = patterns.swapaxes(1, 2).copy()
    x = np.array(cues, patterns.dtype)
    z = np.zeros((*cues.shape[:2], number), patterns.dtype)
    yield x, z
    for _ in range(round(settings[0].duration / dt)):
        m = np.tanh(sigma * x) @ back
        recalled = (number / neurons) * ((softmax(z) if gated else 1 / number) * m) @ patterns
        x += (dt / tau_x) * (recalled - x)
        if gated:
            z += (dt / tau_p) * (m * m / (2 * neurons) - temperature * z)
        yield x, z


def _for_cues(values: list[float]) -> Any:
    """A number, or one for each cue as (cues, 1)."""
    return values[0] if len(values) == 1 else np.array(values)[:, None]


def delayed(patterns: np.ndarray, cues: np.ndarray, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """x and the gated overlaps after a retrieval as the chip steps it: what `model.Memory` does, in numpy.

    Gains follow once a period, and what one layer sends another takes a step.
    """
    number, neurons = patterns.shape[1:]
    back = patterns.swapaxes(1, 2).copy()
    x, phi = np.zeros(cues.shape), np.zeros(cues.shape)
    nothing = np.zeros((*cues.shape[:2], number))
    overlaps = [nothing] * 4  # of this step and those before
    p, sent, z, f = nothing, nothing, nothing, nothing.copy()
    excess = np.zeros((*cues.shape[:2], 1))
    for step in range(setting.steps):
        overlaps = [phi @ back, *overlaps[:3]]
        f += overlaps[3] ** 2 / (2 * neurons)
        gated = p * overlaps[1]
        x = x + setting.dt / setting.tau_x * (number / neurons * sent @ patterns - x)
        x = cues + x if step == 0 else x
        if (step + 1) % setting.period == 0:
            leak = setting.period * setting.dt * setting.temperature / setting.tau_p
            z = (1 - leak) * z + setting.dt / setting.tau_p * f - excess
            total = np.exp(z).sum(-1, keepdims=True)
            p, excess, f = np.exp(z) / total, np.log(total), np.zeros_like(f)
        phi, sent = np.tanh(setting.sigma * x), gated
    return x, sent


def softmax(z: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def lyapunov(patterns: np.ndarray, x: np.ndarray, z: np.ndarray, setting: Setting) -> np.ndarray:
    """L of states (realisations, cues), (9) with its integral solved."""
    number, neurons = patterns.shape[1:]
    phi = np.tanh(setting.sigma * x)
    f = (phi @ patterns.swapaxes(1, 2)) ** 2 / (2 * neurons)
    p = softmax(z)
    top = z.max(-1, keepdims=True)
    log_p = z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))
    log_cosh = np.logaddexp(setting.sigma * x, -setting.sigma * x) - np.log(2)
    of_gains = number * (p * (setting.temperature * log_p - f)).sum(-1)
    return np.asarray(of_gains + (x * phi - log_cosh / setting.sigma).sum(-1))


# ---- memories: (patterns, cues, setting, rng) -> what is retrieved -------------------------------------


def _gated(patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    *_, (x, _) = euler(patterns, cues, setting)
    return x


def _frozen(patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """The same neurons, p = 1/K for ever: a Hopfield network in continuous time."""
    *_, (x, _) = euler(patterns, cues, setting, 10 * FINE, gated=False)
    return x


def _hopfield(
    patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator
) -> np.ndarray:
    """Binary neurons, one after the other, weights Xi' Xi / N without a diagonal."""
    weights = patterns.swapaxes(1, 2) @ patterns
    rows = np.arange(len(cues))[:, None]
    weights *= 1 - np.eye(weights.shape[1], dtype=weights.dtype)

    def field(state: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        return np.asarray((state * weights[rows, neuron]).sum(-1))

    return _one_by_one(cues, field, rng)


def _dense(patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Dense associative memory, E = - sum of (xi s)**4: what Kozachkov's astrocytes come to where they are fast."""
    back, rows = patterns.swapaxes(1, 2).copy(), np.arange(len(cues))[:, None]

    def field(state: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        own = back[rows, neuron]
        rest = state @ back - own * np.take_along_axis(state, neuron[..., None], -1)
        return np.asarray(((rest + own) ** 4 - (rest - own) ** 4).sum(-1))

    return _one_by_one(cues, field, rng)


def _one_by_one(
    cues: np.ndarray, field: Callable[[np.ndarray, np.ndarray], np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Binary neurons take the sign of their field (and stay where it is 0), in random orders, until none turns."""
    state = cues.astype(np.float64)
    for _ in range(SWEEPS):
        before = state.copy()
        for neuron in np.moveaxis(np.argsort(rng.random(cues.shape), axis=-1), -1, 0):
            place = neuron[..., None]
            found = np.sign(field(state, neuron))[..., None]
            kept = np.where(found == 0, np.take_along_axis(state, place, -1), found)
            np.put_along_axis(state, place, kept, -1)
        if np.array_equal(before, state):
            break
    return state


def _modern(patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Softmax memory: x <- Xi' softmax(beta Xi x), to its fixed point."""
    x = cues.astype(np.float64)
    for _ in range(100):
        x, before = softmax(BETA * x @ patterns.swapaxes(1, 2)) @ patterns, x
        if np.abs(x - before).max() < 1e-9:
            break
    return x


def _nearest(
    patterns: np.ndarray, cues: np.ndarray, setting: Setting, rng: np.random.Generator
) -> np.ndarray:
    """The stored pattern with the largest overlap."""
    best = (cues @ patterns.swapaxes(1, 2)).argmax(-1)
    return np.take_along_axis(patterns, best[:, :, None], 1)


MEMORIES: dict[str, Callable[[np.ndarray, np.ndarray, Setting, np.random.Generator], np.ndarray]] = {
    "gated": _gated,
    "frozen": _frozen,
    "hopfield": _hopfield,
    "dense": _dense,
    "modern": _modern,
    "nearest": _nearest,
}
NAMES = {
    "gated": "gated by astrocytes",
    "frozen": "same, gains frozen",
    "hopfield": "Hopfield, asynchronous",
    "dense": "dense, n = 4",
    "modern": "softmax, beta = 1",
    "nearest": "nearest pattern",
}


def errors(retrieved: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Wrong bits of what was retrieved; a neuron at 0 is wrong. Shapes (..., N) -> (...)."""
    return np.asarray((np.sign(retrieved) != patterns).sum(-1))
