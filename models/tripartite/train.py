"""Fit the reduced compartment to the full model in Brian2: nothing is trained by gradients through a network.

Writes model.pt, the compartment of one astrocyte; test.npz with x, the spikes of ten trains at rates in steps,
(2, steps, 10); calibrate.npz with x of others.
"""

import argparse
from pathlib import Path

import numpy as np
from compartment import DT, Compartment, spikes_of
from model import SYNAPSES, VARIANTS, simulate
from reduced import OUTPUTS, fit, staircases

import astrodeploy

FITTED, TESTED = 8, 2  # staircases
HOLDS = 8
MODELS = "what acts back on the synapse: " + "; ".join(f'"{name}"' for name in VARIANTS)
WINDOWS = 100  # that a rate is held for


def main() -> None:
    """Simulate, fit, report, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/tripartite"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", choices=VARIANTS, default="DSE", metavar="MODEL", help=MODELS)
    parser.add_argument("--output", choices=OUTPUTS, default="power")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="of 0.256 s, that a rate is held for")
    options = parser.parse_args()
    if options.windows < 1:
        parser.error(f"--windows must be at least 1, not {options.windows}")
    rates = staircases(options.seed, HOLDS, FITTED + TESTED)
    recording = simulate(rates, [options.model] * rates.shape[1], options.seed, options.windows)
    unit = fit(recording.models(0, FITTED), options.output, settling=options.windows)
    test = recording.models(FITTED, TESTED)
    error = (unit.calcium(test.arrived) - test.calcium)[options.windows :]
    print(unit)
    print(
        f"off by {np.sqrt((error**2).mean()):.3f} uM rms over time on other spikes; time constant {unit.seconds:.1f} s"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    astrodeploy.save(Compartment(unit), options.out / "model.pt", dt=DT, input_shape=(SYNAPSES,))
    shown = 2 * options.windows  # two rates
    np.savez_compressed(options.out / "test.npz", x=spikes_of(test.arrived[:shown]))
    np.savez_compressed(options.out / "calibrate.npz", x=spikes_of(recording.arrived[:, :FITTED]))
    print(f"wrote model.pt, test.npz and calibrate.npz into {options.out}")


if __name__ == "__main__":
    main()
