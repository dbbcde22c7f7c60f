"""What the commands write: messages and progress on stderr, tables or JSON on stdout."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 120  # of tables that go into a file or a pipe

out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err = Console(stderr=True, highlight=False, emoji=False)


def complain(message: str) -> None:
    """An error, on stderr."""
    err.print("error: ", style="bold red", end="")
    err.print(message, markup=False, soft_wrap=True)


def say(message: str) -> None:
    """A line of plain text, on stdout."""
    out.print(message, markup=False, soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr; the function that it gives takes what is done, the total, and a few words."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, words: bar.update(task, completed=done, total=total, description=words)


def print_json(data: Any) -> None:
    """Plain data as JSON, on stdout; nothing else is printed there then."""
    print(json.dumps(data, indent=1, sort_keys=True, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; columns whose name starts with > are set to the right."""
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        shown.add_column(
            column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        shown.add_row(*[_plain(cell) for cell in row])
    out.print(shown)


def _plain(cell: object) -> str:
    return str(cell).replace("[", r"\[")


def si(value: float, unit: str) -> str:
    """A number with three digits and an engineering prefix."""
    if value == 0:
        return f"0 {unit}"
    for power, prefix in ((9, "G"), (6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "u"), (-9, "n"), (-12, "p")):
        if abs(value) >= 0.9995 * 10.0**power:
            return f"{value / 10.0**power:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def span(low: float, typical: float, high: float, unit: str) -> str:
    """A typical value with its range."""
    return f"{si(typical, unit)} ({si(low, unit)} to {si(high, unit)})"


def percent(share: float) -> str:
    """A share as per cent with one digit."""
    return f"{100 * share:.1f} %"
