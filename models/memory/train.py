"""Make a memory of random patterns from one seed: its patterns are its weights, nothing is iterated.

Writes model.pt; test.npz with a corrupted cue of every pattern (of at most 100): x (cues, steps, neurons), the
cue in the first step and nothing later, and y (cues,), the pattern's number; calibrate.npz with x of others.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import STEP_SECONDS, Memory, Setting, corrupted, random_patterns, setting_for, stimulus

import astrodeploy
from astrodeploy.answers import Answers, answers
from astrodeploy.nn import unroll

MOST_CUES, CALIBRATION_CUES = 100, 16


def made(
    setting: Setting, flips: int, seed: int, tests: int = MOST_CUES, calibration: int = CALIBRATION_CUES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patterns (K, N), cues of the first of them to test with, and other cues to calibrate with, (cues, N).

    Every other cue to calibrate with is a pattern as it is: with it overlaps and gains reach the most they can.
    """
    rng = np.random.default_rng(seed)
    patterns = random_patterns(rng, setting.patterns, setting.neurons)
    tested = corrupted(rng, patterns[:tests], flips)
    ranges = corrupted(rng, patterns[-calibration:], flips)
    ranges[::2] = patterns[-calibration:][::2]
    return patterns, tested, ranges


@torch.no_grad()
def answered(model: Memory, x: np.ndarray) -> Answers:
    """The pattern of every cue, that of the largest gated overlap.

    Undecided are cues after which none is above 0: the network has settled on the inverse of a pattern, or on none.
    """
    gated, _ = unroll(model, torch.from_numpy(x).float())
    return answers(gated[:, -1].numpy(), sent=True)


def main() -> None:
    """Make the memory, report, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/memory"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--patterns", type=int, default=100)
    parser.add_argument("--flips", type=float, default=0.2, help="share of a cue's bits that are wrong")
    options = parser.parse_args()
    if min(options.neurons, options.patterns) < 1:
        parser.error(
            f"--neurons and --patterns must be at least 1, not {options.neurons} and {options.patterns}"
        )
    if not 0 <= options.flips <= 1:
        parser.error(f"--flips is a share, 0 to 1, not {options.flips}")
    torch.set_num_threads(1)
    setting = setting_for(options.neurons, options.patterns)
    flips = round(options.flips * options.neurons)
    patterns, tested, calibration = made(setting, flips, options.seed)
    model, x, y = Memory(patterns, setting), stimulus(tested, setting), np.arange(len(tested))
    found = answered(model, x)
    right = float((found.classes == y).mean())
    print(
        f"{len(patterns)} patterns of {options.neurons} neurons; {right:.1%} of {len(y)} cues are answered right, "
        f"{found.undecided} are undecided (no pattern's gated overlap is above 0)"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(model, options.out / "model.pt", dt=STEP_SECONDS, input_shape=(options.neurons,))
    np.savez_compressed(options.out / "test.npz", x=x, y=y)
    np.savez_compressed(options.out / "calibrate.npz", x=stimulus(calibration, setting))
    print(f"wrote model.pt, test.npz and calibrate.npz into {options.out}")


if __name__ == "__main__":
    main()
