"""Write combra_loihi's astrocyte as files: there is nothing to train, its numbers are given.

Writes model.pt, and test.npz with Poisson trains of the neurons that it listens to: x (samples, steps, inputs).
"""

import argparse
from pathlib import Path

import numpy as np
from model import DT, astrocyte

from astrodeploy.frontends.torch.checkpoint import write_checkpoint

SAMPLES, STEPS = 3, 1500


def poisson(rng: np.random.Generator, samples: int, steps: int, inputs: int, rate: float) -> np.ndarray:
    """Spikes (samples, steps, inputs) of neurons that fire independently at a rate (Hz)."""
    return (rng.random((samples, steps, inputs), np.float32) < rate * DT).astype(np.uint8)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/combra"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--rate", type=float, default=20.0, help="of every input, in Hz")
    options = parser.parse_args()
    if options.inputs < 1 or not 0 <= options.rate <= 1 / DT:
        parser.error(
            f"--inputs must be at least 1 and --rate 0 to {1 / DT:g}, not {options.inputs} and {options.rate}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    write_checkpoint(astrocyte(options.inputs), options.out / "model.pt")
    x = poisson(np.random.default_rng(options.seed), SAMPLES, STEPS, options.inputs, options.rate)
    np.savez_compressed(options.out / "test.npz", x=x)
    print(
        f"{options.inputs} inputs at {x.mean() / DT:.1f} Hz in {SAMPLES} samples of {STEPS} steps; nothing to train"
    )
    print(f"wrote {options.out / 'model.pt'} and {options.out / 'test.npz'}")


if __name__ == "__main__":
    main()
