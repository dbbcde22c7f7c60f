"""inspect: a source's graph, and what was found in it; also of a file that can't be used."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrodeploy.cli import screen
from astrodeploy.cli.tables import graph_facts
from astrodeploy.errors import NirError

if TYPE_CHECKING:
    from astrodeploy.frontends.findings import Finding


def inspect_source(source: str, as_json: bool, rules: dict[str, Any]) -> None:
    """Show a source that is no Program. Raises InputError; of a .nir file that is refused all is shown first."""
    from astrodeploy.pipeline import read

    try:
        reading = read(source, **rules)
    except NirError as error:
        _show_refused(source, error, as_json)
        raise
    if as_json:
        screen.print_json(graph_facts(reading.graph) | {"findings": [asdict(f) for f in reading.findings]})
    else:
        screen.say(reading.graph.text().rstrip())
        show_file_findings(reading.findings)


def _show_refused(source: str, error: NirError, as_json: bool) -> None:
    from astrodeploy.frontends.nir.overview import overview

    nodes = overview(Path(source)) if Path(source).suffix == ".nir" else []
    if as_json:
        found = [asdict(each) for each in error.findings]
        screen.print_json({"error": str(error), "findings": found, "nodes": nodes})
        return
    if nodes:
        rows = [(n["name"], n["type"], ", ".join(f"{k} {v}" for k, v in n["fields"].items())) for n in nodes]
        screen.table(f"nodes of {source}", ("node", "type", "fields"), rows)
    show_file_findings([each for each in error.findings if each.severity != "error"])


def show_file_findings(findings: "Sequence[Finding]") -> None:
    """What was mended, assumed or refused; nothing where nothing was found."""
    if findings:
        rows = [(each.severity, each.node or "the file", each.text) for each in findings]
        screen.table("findings", ("severity", "node", "what"), rows)
