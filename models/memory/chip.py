"""What becomes of the memory on the chip: what it retrieves, whether all engines agree, what a retrieval costs."""

import json
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import nir
import numpy as np
from common import compared, levels
from dynamics import FINE, delayed, errors, euler
from model import STEP_SECONDS, Frozen, Memory, Setting, corrupted, setting_for, stimulus
from train import made

import astrodeploy as ad
from astrodeploy.answers import answers
from astrodeploy.program import same_but_recipe

ASTROCYTES = ("gains", "gated", "level", "share")
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A size that is measured.

    flips     wrong bits of the cues; the costs and the engines are those of the first
    cues      how many, each of another pattern
    verified  steps of a cue in which the engines are held against the oracle
    dt        Euler step of the paper's dynamics beside it
    """

    neurons: int
    patterns: int
    flips: tuple[int, ...]
    cues: int
    verified: int
    dt: float = FINE

    @property
    def setting(self) -> Setting:
        """The protocol's, at this size."""
        return setting_for(self.neurons, self.patterns)


def on_chip(case: Case, seed: int) -> Result:
    """Everything of one size and seed."""
    setting = case.setting
    patterns, cues, calibration = made(setting, case.flips[0], seed, case.cues, min(case.cues, 16))
    limits, x = stimulus(calibration, setting), stimulus(cues, setting)
    program, told = compiled(patterns, setting, limits)
    frozen = ad.compile(
        Frozen(patterns, setting), target="loihi2", calibrate=limits, input_shape=(case.neurons,)
    )
    trace, plain = program.run(x), frozen.run(x)
    targets = patterns[: case.cues]
    rng = np.random.default_rng((seed, case.neurons))
    retrieved = [_retrieved(case, program, trace, patterns, cues) | {"flips": case.flips[0]}]
    for flips in case.flips[1:]:
        others = corrupted(rng, targets, flips)
        found = _retrieved(case, program, program.run(stimulus(others, setting)), patterns, others)
        retrieved.append(found | {"flips": flips})
    return {
        "neurons": case.neurons,
        "patterns": case.patterns,
        "cues": case.cues,
        "steps": x.shape[1],
        **told,
        "retrieved": retrieved,
        "frozen": _scores(_sent(frozen, plain, setting), targets),
        "costs": {"gated": _costs(program, trace), "frozen": _costs(frozen, plain)},
        "verified": case.verified,
        "engines": compared(program, x[:1, : case.verified]),
    }


def compiled(patterns: np.ndarray, setting: Setting, limits: np.ndarray) -> tuple[ad.Program, Result]:
    """The Program of the checkpoint; what compiling took, and whether NIR gives the same Program."""
    with tempfile.TemporaryDirectory() as folder:
        model, exported = Path(folder) / "model.pt", Path(folder) / "model.nir"
        shape = (setting.neurons,)
        ad.save(Memory(patterns, setting), model, dt=STEP_SECONDS, input_shape=shape)
        started = process_time()
        program = ad.compile(model, target="loihi2", calibrate=limits)
        seconds, peak = process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        ad.export(model, exported)
        again = ad.compile(exported, target="loihi2", calibrate=limits)
        said = json.loads(nir.read(exported).metadata["astrodeploy"])
    return program, {
        "compile": {"seconds": seconds, "peak_mebibytes": peak},
        "nir": {"identical": same_but_recipe(program, again), "core": said["core"]},
    }


# ---- retrieval -----------------------------------------------------------------------------------------


def _retrieved(
    case: Case, program: ad.Program, trace: ad.Trace, patterns: np.ndarray, cues: np.ndarray
) -> Result:
    """Scores of the paper's dynamics, of float as the chip steps it, and of the chip; how the last two differ."""
    setting, targets = case.setting, patterns[: len(cues)]
    stored, given = patterns[None].astype(np.float64), cues[None].astype(np.float64)
    *_, (fine, _) = euler(stored, given, setting, case.dt)
    x, gated = (each[0] for each in delayed(stored, given, setting))
    sent = _sent(program, trace, setting)
    number = np.arange(len(cues))
    return {
        "euler": _scores(fine[0], targets),
        "float": _scores(x, targets),
        "chip": _scores(sent, targets),
        "winner": {
            "float": float((answers(gated, sent=True).classes == number).mean()),
            "chip": trace.accuracy(number),
        },
        "same_errors": float((errors(x, targets) == errors(sent, targets)).mean()),
        "differing_bits": float((np.sign(x) != np.sign(sent)).mean()),
    }


def _scores(retrieved: np.ndarray, targets: np.ndarray) -> list[float]:
    """Mean number of wrong bits, and share of cues without any."""
    wrong = errors(retrieved, targets)
    return [float(wrong.mean()), float((wrong == 0).mean())]


def _sent(program: ad.Program, trace: ad.Trace, setting: Setting) -> np.ndarray:
    """What the neurons send in the last step of a retrieval, (cues, N)."""
    return np.asarray(trace.spikes["neurons"][:, setting.steps - 1 + program.network["neurons"].depth])


# ---- costs ---------------------------------------------------------------------------------------------


def _costs(program: ad.Program, trace: ad.Trace) -> Result:
    """Of one retrieval; the astrocytes' share is that of their units and of what arrives at them."""
    cost = ad.estimate(program, trace)
    operations = cost.parts["operations"].typical
    astrocytes = sum(span.typical for name, span in cost.by_layer.items() if name in ASTROCYTES)
    return {
        "cores": cost.cores,
        "chips": cost.chips,
        "energy_joules": levels(cost.energy_joules),
        "latency_seconds": levels(cost.latency_seconds),
        "operations_joules": operations,
        "astrocyte_share": astrocytes / operations,
        "synaptic_events": sum(n for name, n in cost.events.items() if name.startswith("synap")),
    }
