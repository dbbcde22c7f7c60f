"""freeze_astrocytes: fold the resting gains into weights and biases, and leave the astrocytes out."""

from dataclasses import dataclass, replace

from astrodeploy.ir.astrocytes import resting_gains, without_astrocytes
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class FreezeAstrocytes:
    """A gain that never changes is a factor of the weights: needed where a chip can't multiply."""

    name = "freeze_astrocytes"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft without astrocytes, and a note for each layer that they modulated."""
        notes = tuple(
            Note(
                target,
                "its astrocytes are frozen: their resting gains are folded into its input weights",
                {"least gain": float(gain.min()), "largest gain": float(gain.max())},
            )
            for target, gain in resting_gains(draft.graph).items()
        )
        return replace(draft, graph=without_astrocytes(draft.graph)), notes
