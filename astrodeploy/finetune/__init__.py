"""Fine-tuning: training that goes through a chip's own rounding.

straight_through.py  the chip's operations with useful gradients
wirings.py           connections' patterns as torch maps
trained.py           the numbers that are trained
places.py            where they stand on the chip
neurons.py           a population of the Program on torch tensors
simulation.py        the whole Program on torch tensors
samples.py           the user's data
training.py          the loop over epochs
"""

from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrodeploy.ir import Graph


def fine_tune(
    source: Any,
    x: Any,
    y: Any,
    target: str | PathLike[str] = "loihi2",
    **settings: Any,
) -> "Graph":
    """The network of a source (see `load`), its weights and biases trained through a chip's rounding.

    x         samples as `engines.run` takes them; by input where there are several
    y         (samples,) the class of each: which neuron of the read-out is to be largest
    settings  epochs, learning_rate, batch, held_back, seed, calibrate, freeze_astrocytes, and what
              the source does not say of itself: see `finetune.training.Settings`

    The epoch that is best on the samples held back is kept, the network as it came among them. Compile
    the result with the same target and calibration. Raises InputError and its kinds, DoesNotFit.
    """
    from astrodeploy.finetune.training import Settings, tune

    return tune(source, x, y, Settings(target=target, **settings)).graph
