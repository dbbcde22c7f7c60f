"""check: every limit of the chip, each a small function in `astrodeploy/legality`; all violations at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from astrodeploy.chip import Instructions, operation_count
from astrodeploy.errors import DoesNotFit
from astrodeploy.legality.configurations import instructions, is_fixed
from astrodeploy.legality.cores import CORE_RULES, MAPPING_RULES, Placed
from astrodeploy.legality.network import NETWORK_RULES, neurons
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Check:
    """Hold the network against its chip; the draft stays as it is."""

    name = "check"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The same draft. Raises DoesNotFit with all violations."""
        placed = Placed(draft)
        found = [each for rule in CORE_RULES for each in rule(placed)]
        if found or network_violations(draft):
            raise refusal(draft, found)
        return draft, (*_work_notes(draft), *_assumption_notes(draft))


def mapping_faults(draft: Draft) -> list[str]:
    """What is wrong with the cores themselves, which the compiler assigns and counts: no network is to blame."""
    placed = Placed(draft)
    return [each for rule in MAPPING_RULES for each in rule(placed)]


def network_violations(draft: Draft) -> list[str]:
    """What the network breaks wherever its neurons lie: it needs no cores yet."""
    return [each for rule in NETWORK_RULES for each in rule(draft)]


def refusal(draft: Draft, found: Iterable[str] = ()) -> DoesNotFit:
    """The answer to a network that can't run: what it breaks wherever it lies, and what else was found."""
    findings = [*network_violations(draft), *found]
    listed = "".join(f"\n- {each}" for each in findings)
    count = f"{len(findings)} violation{'s' * (len(findings) != 1)}"
    return DoesNotFit(f"the network can't run on {draft.board.name}, {count}:{listed}")


def _work_notes(draft: Draft) -> Iterator[Note]:
    """Operations of every population's neurons, and what they are in the chip's instructions."""
    for population, node in neurons(draft.graph):
        step, window = operation_count(node.kind.step), operation_count(node.kind.window)
        slow = f", and {window} more every {node.period} steps" if window else ""
        program, counted = instructions(node.kind, draft.chip), is_fixed(node.kind, draft.chip)
        told = "" if counted else f"; a program of {program} instructions"
        yield Note(
            population.name,
            f"{node.kind.name}: {step} operations per neuron and step{slow}{told}",
            {
                "operations_per_step": step,
                "operations_per_window": window,
                "period": node.period,
                "instructions": program,
            },
        )


def _assumption_notes(draft: Draft) -> Iterator[Note]:
    """The limits and instructions that this network rests on and that nobody has published."""
    chip = draft.chip
    used = {op for _, node in neurons(draft.graph) for op in node.kind.operations_used}
    unused = {f"execution.operations.{op}" for op in set(chip.execution.operations) - used}
    for key, each in chip.numbers():
        if each.quality == "assumed" and not key.startswith(("costs.", "power.")) and key not in unused:
            what = (
                " ".join(each.instructions) if isinstance(each, Instructions) else getattr(each, "value", "")
            )
            yield Note(f"{chip.name}.{key}", f"{what} is assumed: {each.source}")
