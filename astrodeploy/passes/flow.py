"""The compiler's flow: its passes, in the order in which they run.

To add a pass, write it as one frozen dataclass in a file here and put it into PASSES where it belongs:
before Lower it changes what the network means, from there on only how the chip does it.
"""

from astrodeploy.errors import AstrodeployError
from astrodeploy.ir import verify
from astrodeploy.passes.base import Draft, Pass
from astrodeploy.passes.calibrate import Calibrate
from astrodeploy.passes.canonicalise import Canonicalise
from astrodeploy.passes.check import Check
from astrodeploy.passes.freeze_astrocytes import FreezeAstrocytes
from astrodeploy.passes.lower import Lower
from astrodeploy.passes.partition import Partition
from astrodeploy.passes.place import Place
from astrodeploy.passes.quantise import Quantise
from astrodeploy.passes.relay import Relay
from astrodeploy.passes.retime import Retime
from astrodeploy.passes.split import Split
from astrodeploy.program import PassReport

PASSES: dict[str, Pass] = {
    each.name: each
    for each in (
        Canonicalise(),
        FreezeAstrocytes(),
        Lower(),
        Retime(),
        Calibrate(),
        Relay(),
        Quantise(),
        Split(),
        Partition(),
        Place(),
        Check(),
    )
}

FROZEN_FLOW = tuple(PASSES)
FLOW = tuple(name for name in PASSES if name != "freeze_astrocytes")
INTEGER_FLOW = ("canonicalise", "retime", "split", "partition", "place", "check")  # of integers already


def run_flow(draft: Draft, flow: tuple[str, ...]) -> tuple[Draft, tuple[PassReport, ...]]:
    """Apply the passes in order, verifying the network after each; what each did is reported.

    Raises what a pass raises; where a pass broke a law of the Graph, the message names it and those
    before it.
    """
    reports: list[PassReport] = []
    for name in flow:
        draft, notes = PASSES[name].apply(draft)
        reports.append(PassReport(name, notes))
        try:
            verify(draft.graph)
        except AstrodeployError as error:
            before = ", ".join(r.name for r in reports[:-1]) or "nothing"
            raise AstrodeployError(f"after the pass {name} (before it: {before}): {error}") from error
    return draft, tuple(reports)
