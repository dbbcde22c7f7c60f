"""What the studies of several systems need: the same measurements, and the words of their tables."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import astrodeploy as ad

# ---- measurements ------------------------------------------------------------------------------------


def compared(program: ad.Program, x: np.ndarray) -> dict[str, Any]:
    """fast and Lava against the oracle on x: for each of `engines` what was compared and what differs.

    An engine that can't run here stands in `not run`, with the reason.
    """
    found = ad.verify(program, x, engines=("oracle", "fast", "lava"))
    return {
        "engines": {
            each.right: {"messages": each.spikes, "states": each.states, "differing": each.differing}
            for each in found.comparisons
        },
        "not run": dict(found.not_run),
    }


def levels(span: Any, scale: float = 1.0) -> list[float]:
    """A span's low, typical and high, as plain data."""
    return [float(each) * scale for each in (span.low, span.typical, span.high)]


# ---- tables ------------------------------------------------------------------------------------------


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """Standard deviation over seeds, as a sample's; 0 of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def mean_and_deviation(values: Sequence[float] | np.ndarray, form: str = ".1f") -> str:
    """The mean over seeds ± their standard deviation."""
    return f"{np.mean(values):{form}} ± {deviation(values):{form}}"


def seeds(results: Sequence[object]) -> str:
    """What the numbers of a table are."""
    return f"{len(results)} seed{'s' * (len(results) > 1)}, mean ± standard deviation over seeds"


def typical(spans: Sequence[Sequence[float]], unit: str, scale: float = 1.0) -> str:
    """Of low, typical, high of every seed the means: `typical unit (low to high)`."""
    low, middle, high = np.mean(spans, 0) * scale
    return f"{middle:.3g}{f' {unit}' if unit else ''} ({low:.3g} to {high:.3g})"


def agreement(found: Sequence[dict[str, Any]]) -> str:
    """What `compared` found, seed by seed, in words: an engine's sums, and in how many seeds it ran."""
    told = []
    for engine in ("fast", "lava"):
        ran = [each["engines"][engine] for each in found if engine in each["engines"]]
        messages, states, wrong = (
            sum(each[key] for each in ran) for key in ("messages", "states", "differing")
        )
        told.append(
            f"{engine}: {messages} messages and {states} states, {wrong} differing ({len(ran)} of {len(found)} seeds)"
            if ran
            else f"{engine}: not run"
        )
    return "; ".join(told)
