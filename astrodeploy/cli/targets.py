"""The command targets: chips and boards, and every number of one; the other commands are in `commands.py`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrodeploy.cli import screen
from astrodeploy.cli.commands import app
from astrodeploy.cli.options import Json
from astrodeploy.errors import InputError

if TYPE_CHECKING:
    from astrodeploy.chip import Board
    from astrodeploy.chip.description import Entry
    from astrodeploy.frontends.nir.support import Support

UNITS = {
    "pJ": "pJ",
    "ns": "ns",
    "mW": "mW",
    "bits": "bits",
    "bytes": "bytes",
    "steps": "steps",
    "words": "words",
}


@app.command()
def targets(
    target: Annotated[
        str | None,
        typer.Argument(help="A chip or a board, by name or its .toml file: show every number of it."),
    ] = None,
    nir: Annotated[bool, typer.Option("--nir", help="What becomes of every NIR node on every chip.")] = False,
    as_json: Json = False,
) -> None:
    """List chips and boards, show all numbers of one, or what becomes of every NIR node on the chips."""
    from astrodeploy.chip import board_names, chip_names, load_target

    if nir and target is not None:
        raise InputError("--nir tells of all chips: leave the target out")
    if nir:
        _show_nir(as_json)
    elif target is not None:
        board = load_target(target)
        if as_json:
            screen.print_json(board_facts(board) | {"numbers": list(number_facts(board))})
        else:
            show_target(board)
    else:
        boards = [load_target(name) for name in (*chip_names(), *board_names())]
        if as_json:
            screen.print_json([board_facts(board) for board in boards])
        else:
            show_targets(boards)


def board_facts(board: "Board") -> dict[str, Any]:
    """What a target holds, as plain facts."""
    return {
        "name": board.name,
        "description": board.description,
        "chip": board.chip.name,
        "chips": board.chips,
        "cores_per_chip": board.cores_per_chip,
        "cores": board.cores,
        "neurons": board.neurons,
        "cost_models": list(board.chip.costs),
    }


def number_facts(board: "Board") -> Iterator[dict[str, Any]]:
    """Every number of a target, as plain facts."""
    for key, each in board.numbers():
        facts = each.model_dump(mode="json")
        yield {"key": key, "unit": unit_of(key)} | facts


def unit_of(key: str) -> str:
    """The unit that a key names, such as bits of `widths.weight_bits`; empty for a number of things."""
    words = key.rsplit(".", 1)[-1].split("_")
    return next((UNITS[word] for word in reversed(words) if word in UNITS), "")


def show_targets(boards: "Sequence[Board]") -> None:
    """Chips and boards with what they hold."""
    rows = [(b.name, b.chips, b.cores, f"{b.neurons:,}", b.description) for b in boards]
    screen.table("targets", ("target", ">chips", ">cores", ">neurons at most", "what"), rows)


def show_target(board: "Board") -> None:
    """All numbers of a chip or a board, a table for each table of its file: range, unit, quality, source."""
    screen.say(f"{board.name}: {board.description}; {board.chips} x {board.chip.name}, {board.cores} cores")
    sections: dict[str, list[tuple[object, ...]]] = {}
    for key, each in board.numbers():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, []).extend(_rows(name, each))
    for section, rows in sections.items():
        screen.table(section, ("number", ">value (low to high)", "unit", "quality", "source"), rows)
    for name, model in board.chip.costs.items():
        chosen = " (taken unless told otherwise)" if name == board.chip.cost_model else ""
        screen.say(f"cost model {name}{chosen}: {model.description}")


def _rows(name: str, each: "Entry") -> Iterator[tuple[object, ...]]:
    """A row; of a barrier one for each number of tiles."""
    from astrodeploy.chip import Barrier, Cost, Instructions

    told = unit_of(name), each.quality, each.source
    if isinstance(each, Barrier):
        for tiles in each.tiles:
            yield f"{name}, {tiles} tiles", _span(*each.at(tiles)), *told
            told = unit_of(name), each.quality, "the same"
    elif isinstance(each, Cost):
        yield name, _span(each.low, each.typical, each.high), *told
    else:
        yield name, " ".join(each.instructions) if isinstance(each, Instructions) else each.value, *told


def _span(low: float, typical: float, high: float) -> str:
    return f"{typical:g}" if low == high else f"{typical:g} ({low:g} to {high:g})"


def _show_nir(as_json: bool) -> None:
    from dataclasses import asdict

    from astrodeploy.frontends.nir.support import support

    with screen.err.status("compiling a network of every NIR node for every chip"):
        found = list(support())
    if as_json:
        screen.print_json([asdict(each) for each in found])
    else:
        show_support(found)


def show_support(found: "Sequence[Support]") -> None:
    """What becomes of NIR's nodes: a row a node, a column a chip."""
    chips = sorted({each.chip for each in found})
    rows = []
    for node in dict.fromkeys(each.node for each in found):
        on = {each.chip: each for each in found if each.node == node}
        rows.append((node, *(_support(on[chip]) for chip in chips)))
    screen.table("NIR nodes", ("node", *chips), rows)


def _support(each: "Support") -> str:
    reason = each.reason.split("\n- ")[-1]
    return f"{each.status}: {reason}" if reason else each.status
