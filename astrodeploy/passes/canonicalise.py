"""canonicalise: one order and one form, so that the same network always gives the same Program."""

from dataclasses import dataclass, replace

from astrodeploy.ir.canonical import canonical
from astrodeploy.passes.base import Draft, Notes


@dataclass(frozen=True)
class Canonicalise:
    """Sort populations and connections, spread scalar parameters over their population."""

    name = "canonicalise"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its network in canonical form."""
        return replace(draft, graph=canonical(draft.graph)), ()
