"""What a reader found in a file: what it mended, what it assumed, and what can't be used."""

from collections.abc import Iterable
from dataclasses import dataclass

from astrodeploy.ir.graph import Graph

SEVERITIES = ("note", "warning", "error")
LISTED = 40  # errors in one message


@dataclass(frozen=True)
class Finding:
    """One thing that was found in one node, or in the file where `node` is empty.

    A note is a mend or an assumption that keeps the meaning, a warning one that may not, an error
    keeps the file from being used. `text` goes on after the node's name.
    """

    node: str
    severity: str
    text: str

    def __str__(self) -> str:
        return f"{self.node or 'the file'} {self.text}"


@dataclass(frozen=True, eq=False)
class Reading:
    """A Graph, and what was found in its file; `unity` integers make 1.0 of a membrane in a file of integers."""

    graph: Graph
    findings: tuple[Finding, ...] = ()
    unity: float | None = None


class Findings:
    """Gathers findings, each once, in the order in which they come."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def note(self, node: str, text: str) -> None:
        """A mend or an assumption that keeps the meaning."""
        self._found[Finding(node, "note", text)] = None

    def warn(self, node: str, text: str) -> None:
        """A mend or an assumption that may change the meaning."""
        self._found[Finding(node, "warning", text)] = None

    def error(self, node: str, text: str) -> None:
        """What keeps the file from being used."""
        self._found[Finding(node, "error", text)] = None

    @property
    def all(self) -> tuple[Finding, ...]:
        """Every finding."""
        return tuple(self._found)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that keep the file from being used."""
        return tuple(each for each in self._found if each.severity == "error")


def message(what: str, errors: Iterable[Finding]) -> str:
    """All errors of a file in one message: a sentence, or a list where there are several."""
    listed = list(errors)
    more = f"\n- and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    if len(listed) == 1:
        return f"{what}: {listed[0]}" if listed[0].node else f"{what} {listed[0].text}"
    lines = "".join(f"\n- {each}" for each in listed[:LISTED])
    return f"{what} can't be used, {len(listed)} errors:{lines}{more}"
