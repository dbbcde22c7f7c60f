"""freeze_astrocytes: fold the resting gains into weights and biases, and leave the astrocytes out."""

from dataclasses import dataclass, replace

from astrodeploy.errors import UnsupportedError
from astrodeploy.ir.astrocytes import resting_gains, without_astrocytes
from astrodeploy.ir.nodes import Astrocyte, Node
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class FreezeAstrocytes:
    """A gain that never changes is a factor of the weights: needed where a chip can't multiply."""

    name = "freeze_astrocytes"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft without gain control, and a note for each layer that it modulated.

        Raises UnsupportedError where an astrocyte carries a signal, which is no factor of any weight.
        """
        if carriers := [p.name for p in draft.graph.populations if p.is_astrocyte and not _is_gain(p.node)]:
            raise UnsupportedError(
                f"{', '.join(carriers)} can't be frozen: not a gain, but a part of what the network computes"
            )
        notes = tuple(
            Note(
                target,
                "its astrocytes are frozen: their resting gains are folded into its input weights",
                {"least gain": float(gain.min()), "largest gain": float(gain.max())},
            )
            for target, gain in resting_gains(draft.graph).items()
        )
        return replace(draft, graph=without_astrocytes(draft.graph)), notes


def _is_gain(node: Node) -> bool:
    return isinstance(node, Astrocyte) and node.modulates
