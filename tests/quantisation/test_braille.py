"""A published recurrent network on real tactile samples: within 1.5 points of float on both chips."""

from pathlib import Path

import numpy as np
import pytest

import astrodeploy as ad

DATA = Path(__file__).parents[2] / "../shared/data/nir/braille_zero"
MOST_LOST = 0.015

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the Braille network and its samples lie in ../shared/data"
)


@pytest.fixture(scope="module")
def samples():
    arrays = np.load(DATA / "samples.npz")
    return np.unpackbits(arrays["x"], axis=1), arrays["y"]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
@pytest.mark.parametrize("calibrated", [False, True])
def test_accuracy_on_the_chip(samples, target, calibrated):
    x, y = samples
    program = ad.compile(
        DATA / "braille_noDelay_bias_zero.nir",
        target,
        calibrate=x if calibrated else None,
        dt=1e-4,
        reset="zero",
    )
    theirs, ours = (program.run(x, engine=name).accuracy(y) for name in ("reference", "fast"))
    assert theirs == pytest.approx(0.962, abs=0.005)
    assert ours >= theirs - MOST_LOST
