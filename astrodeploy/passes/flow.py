"""The compiler's flow: its passes, in the order in which they run.

To add a pass, write it as one frozen dataclass in a file here and put it into PASSES where it belongs:
before Lower it changes what the network means, from there on only how the chip does it.
"""

from astrodeploy.errors import AstrodeployError, CompilerBug, DoesNotFit, fault
from astrodeploy.ir import verify
from astrodeploy.passes.base import Draft, Notes, Pass
from astrodeploy.passes.calibrate import Calibrate
from astrodeploy.passes.canonicalise import Canonicalise
from astrodeploy.passes.check import Check, mapping_faults
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

    Raises what a pass raises for the user. Where a pass broke a law of the Graph, or failed in a way that it
    does not mean to, that is a CompilerBug, which names it and those before it.
    """
    reports: list[PassReport] = []
    for name in flow:
        before = ", ".join(r.name for r in reports) or "nothing"
        draft, notes = _applied(draft, name, before)
        reports.append(PassReport(name, notes))
        try:
            verify(draft.graph)
        except AstrodeployError as error:
            raise CompilerBug(f"after the pass {name} (before it: {before}): {error}") from error
    return draft, tuple(reports)


def _applied(draft: Draft, name: str, before: str) -> tuple[Draft, Notes]:
    try:
        return PASSES[name].apply(draft)
    except DoesNotFit as error:
        if isinstance(PASSES[name], Check) and (broken := mapping_faults(draft)):
            raise CompilerBug(f"the pass {name} (before it: {before}): {'; '.join(broken)}") from error
        raise
    except (AstrodeployError, MemoryError, OSError):
        raise
    except Exception as error:  # no pass runs a user's code: whatever else it raises is ours
        raise fault(error, f"the pass {name} (before it: {before})") from error
