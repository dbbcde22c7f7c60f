"""The memory measured: retrieval in float by the paper's protocol, its laws, and what the chip makes of it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from chip import Case, on_chip
from dynamics import MEMORIES, delayed, errors, euler, lyapunov, softmax
from model import Setting, corrupted, random_patterns
from tables import present

__all__ = ["measure", "present"]

Result = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    realisations    sets of patterns, each with one cue of every number of flips
    setting, flips  the protocol of the paper's figures 1 to 3
    changes         settings beside it: field, values
    frozen_sigmas   sigmas of the memory with frozen gains
    temperatures    at which the laws are tried
    clocks          (dt, period) of the chip's clock beside the paper's Euler
    grid_neurons, grid_patterns, grid_flips   figure 4
    cases           sizes that go to the chip
    """

    realisations: int = 50
    setting: Setting = field(default_factory=Setting)
    flips: int = 6
    changes: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("sigma", (0.5, 2.0, 5.0)),
        ("tau_p", (0.01, 0.1, 10.0, 100.0)),
        ("tau_x", (0.01, 0.1, 10.0, 100.0)),
        ("temperature", (0.1, 1.0, 10.0, 100.0)),
    )
    frozen_sigmas: tuple[float, ...] = (0.5, 2.0, 5.0)
    temperatures: tuple[float, ...] = (0.01, 10.0)
    clocks: tuple[tuple[float, int], ...] = ((2.0**-7, 16), (2.0**-5, 4), (2.0**-5, 8), (2.0**-4, 8))
    grid_neurons: int = 20
    grid_patterns: tuple[int, ...] = (2, 5, 10, 20, 50, 100, 200)
    grid_flips: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    cases: tuple[Case, ...] = (
        Case(30, 100, (6,), 100, 64),
        Case(1024, 1024, (205, 410), 8, 16, dt=0.01),
    )


def measure(seed: int, plan: Plan | None = None) -> Result:
    """Everything of one seed."""
    torch.set_num_threads(1)
    plan = Plan() if plan is None else plan
    rng = np.random.default_rng((seed, 0))
    return {
        "seed": seed,
        "plan": {
            "realisations": plan.realisations,
            "protocol": [plan.setting.neurons, plan.setting.patterns, plan.flips],
            "grid_neurons": plan.grid_neurons,
            "grid_patterns": list(plan.grid_patterns),
            "grid_flips": list(plan.grid_flips),
        },
        "protocol": _protocol(plan, rng),
        "grid": [_cell(plan, number, rng) for number in plan.grid_patterns],
        "chip": [on_chip(case, seed) for case in plan.cases],
    }


# ---- one load and corruption ---------------------------------------------------------------------------


def _protocol(plan: Plan, rng: np.random.Generator) -> Result:
    """All memories on the same cues; the gated one at other settings, and on the chip's clock; its laws."""
    shape = plan.setting.patterns, plan.setting.neurons
    drawn = random_patterns(rng, plan.realisations, *shape)
    patterns = drawn.astype(np.float64)
    cues = corrupted(rng, drawn[:, :1], plan.flips).astype(np.float64)
    usual = plan.setting

    def scored(name: str, setting: Setting) -> list[float]:
        return _scores(MEMORIES[name](patterns, cues, setting, rng), patterns)

    return {
        "memories": {name: scored(name, usual) for name in MEMORIES},
        "changes": _changed(plan, patterns, cues),
        "frozen": [[sigma, scored("frozen", replace(usual, sigma=sigma))] for sigma in plan.frozen_sigmas],
        "clocks": [
            [
                [dt, period],
                _scores(delayed(patterns, cues, replace(usual, dt=dt, period=period))[0], patterns),
            ]
            for dt, period in plan.clocks
        ],
        "laws": [[t, _laws(patterns, cues, replace(usual, temperature=t))] for t in plan.temperatures],
    }


def _scores(retrieved: np.ndarray, patterns: np.ndarray) -> list[float]:
    """Mean number of wrong bits, and share of cues without any."""
    wrong = errors(retrieved, patterns[:, :1])
    return [float(wrong.mean()), float((wrong == 0).mean())]


def _changed(plan: Plan, patterns: np.ndarray, cues: np.ndarray) -> list[Any]:
    """The gated memory at every other setting, all at once: (field, value, scores)."""
    changes = [(name, value) for name, values in plan.changes for value in values]
    settings = [replace(plan.setting, **{name: value}) for name, value in changes]
    *_, (x, _) = euler(patterns, np.repeat(cues, len(settings), axis=1), settings)
    return [[name, value, _scores(x[:, i : i + 1], patterns)] for i, (name, value) in enumerate(changes)]


def _laws(patterns: np.ndarray, cues: np.ndarray, setting: Setting) -> Result:
    """How far L ever rose in a step, and how far the gains are from softmax(f / T) at the end."""
    rise, before = -np.inf, np.full(cues.shape[:2], np.inf)
    for x, z in euler(patterns, cues, setting):
        after = lyapunov(patterns, x, z, setting)
        rise, before = max(rise, float((after - before).max())), after
    m = np.tanh(setting.sigma * x) @ patterns.swapaxes(1, 2)
    ideal = softmax(m**2 / (2 * setting.neurons) / setting.temperature)
    return {
        "largest_rise": rise,
        "distance_from_softmax": float(np.abs(softmax(z) - ideal).sum(-1).mean() / 2),
        "largest_gain": float(softmax(z).max(-1).mean()),
    }


# ---- load and corruption -------------------------------------------------------------------------------


def _cell(plan: Plan, number: int, rng: np.random.Generator) -> Result:
    """Scores of every memory at one load, by number of flips; every realisation has a cue of each."""
    patterns = random_patterns(rng, plan.realisations, number, plan.grid_neurons)
    cues = np.concatenate([corrupted(rng, patterns[:, :1], flips) for flips in plan.grid_flips], 1)
    stored, given = patterns.astype(np.float32), cues.astype(np.float32)
    setting = replace(plan.setting, neurons=plan.grid_neurons, patterns=number)
    found = {}
    for name, memory in MEMORIES.items():
        wrong = errors(memory(stored, given, setting, rng), patterns[:, :1])
        found[name] = {"errors": wrong.mean(0).tolist(), "exact": (wrong == 0).mean(0).tolist()}
    return found
