"""Every mapping that the tests make is held against the independent checker, small ones each, large ones not at all."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import pytest
from legality.checker import violations

LARGEST = 10_000  # synapses of a network that is looked at: one of more takes longer than its test


def checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """While it lasts, whatever passes the compiler's own check is saved and counted anew; yields how many."""
    from astrodeploy.passes.check import Check
    from astrodeploy.program import Program

    seen: Counter[str] = Counter()
    apply = Check.apply

    def held_against_the_witness(self: Check, draft):
        after, notes = apply(self, draft)
        if sum(c.wiring.synapses for c in after.graph.connections) > LARGEST:
            seen["too large"] += 1
            return after, notes
        if not _is_network(after.graph):  # a test's own, which the compiler would have refused before
            return after, notes
        program = Program(after.graph, after.reference or after.graph, after.board, after.cores, ())
        start = process_time()
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as sooner:
            sooner.setattr("astrodeploy.program._as_nir", lambda graph: "")  # which nothing here reads
            found = violations(program.save(Path(folder) / "program"))
        seen["milliseconds"] += round(1000 * (process_time() - start))
        seen["checked"] += 1
        seen["wrong"] += bool(found)
        assert not found, "the checker in tests/legality says: " + "; ".join(found)
        return after, notes

    monkeypatch.setattr(Check, "apply", held_against_the_witness)
    yield seen


def _is_network(graph) -> bool:
    from astrodeploy.errors import InputError
    from astrodeploy.ir import verify

    try:
        verify(graph)
    except InputError:
        return False
    return True


def summary(seen: Counter[str]) -> str:
    """One line for the end of a run."""
    return (
        f"legality: {seen['checked']} mappings checked independently in {seen['milliseconds'] / 1000:.1f} s of "
        f"processor time, {seen['wrong']} wrong; {seen['too large']} of more than {LARGEST} synapses not looked at"
    )
