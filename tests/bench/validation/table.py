"""The table and its plot."""

import measured
import numpy as np

ENERGY_GOAL, TIME_GOAL = 0.25, 0.30
SPAN_GOAL = {"loihi1": 3.0, "loihi2": 5.0}
COLUMNS = (
    "row",
    "compared",
    "unit",
    "measured",
    "estimated: low",
    "typical",
    "high",
    "error",
    "inside",
    "span",
    "used for calibration",
    "events",
    "mapping",
)


def number(value):
    """Three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def cells(row):
    """A row of the table."""
    m, e = row.measured, row.estimated
    what = number(m.low) if m.low == m.high else f"{number(m.low)} to {number(m.high)}"
    shown = [number(v) for v in (e.low, e.typical, e.high)]
    judged = [f"{row.error:+.0%}", "yes" if row.inside else "no", number(row.span)]
    return [m.key, m.quantity, m.unit, what, *shown, *judged, m.used, row.events, row.mapping]


def lines(titles, body):
    """A Markdown table."""
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for each in body:
        yield "| " + " | ".join(each) + " |"


def within(row):
    """Whether the error keeps the goal."""
    return abs(row.error) <= (TIME_GOAL if row.is_time else ENERGY_GOAL)


def told(row):
    """What a row has to say: the term that it lacks, the constant that makes it wide."""
    m = row.measured
    if m.lacks and not (row.inside and within(row)):
        yield f"{m.key}, {m.quantity}: missing is {m.lacks}"
    elif not within(row) and m.counted and not m.wide:
        yield f"{m.key}, {m.quantity}: missed by {row.error:+.0%}; the term is not known"
    if row.span > SPAN_GOAL[m.chip]:
        wide = m.wide or "not named: a miss"
        yield f"{m.key}, {m.quantity}: the range spans {number(row.span)}, for {wide}"


def tally(rows):
    """The goal, counted over the rows' own lines."""
    counted = [r for r in rows if r.summary and r.measured.counted]
    free = [r for r in counted if r.measured.used in (measured.NO, measured.RULE, measured.BOUND)]
    energies, times = ([r for r in free if r.is_time == is_time] for is_time in (False, True))
    narrow = [r for r in counted if r.span <= SPAN_GOAL[r.measured.chip]]
    yield "energy within 25 %, rows not calibrated on", sum(map(within, energies)), len(energies)
    yield "latency within 30 %, rows not calibrated on", sum(map(within, times)), len(times)
    yield "measured inside the range", sum(r.inside for r in counted), len(counted)
    yield "range no wider than the goal", len(narrow), len(counted)
    yield "inside, of those", sum(r.inside for r in narrow), len(narrow)


def tally_of(what, rows):
    """How many rows keep one part of the goal, and of how many."""
    return next((met, of) for name, met, of in tally(rows) if name == what)


def section(title, rows):
    """A cost model: its table, what it lacks, and the goal."""
    yield f"## {title}\n"
    yield from lines(COLUMNS, map(cells, rows))
    yield ""
    for row in rows:
        if row.summary:
            yield from (f"- {text}." for text in told(row))
    yield ""
    yield from (f"- {what}: **{met} of {of}**." for what, met, of in tally(rows) if of)
    yield ""


def sources(rows):
    """Where the measurements stand."""
    found = dict.fromkeys((r.measured.key, r.measured.source) for r in rows)
    return lines(("row", "source"), found)


def plot(rows, path):
    """Ranges over what was measured, a line a row."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "validation", "svg.fonttype": "none"}
    shown = [r for r in rows if r.summary and r.measured.counted]
    figure, axes = pyplot.subplots(figsize=(8, 0.34 * len(shown) + 1), layout="constrained")
    for place, row in enumerate(reversed(shown)):
        low, typical, high = (
            np.array([row.estimated.low, row.estimated.typical, row.estimated.high]) / row.measured.middle
        )
        colour = (
            "tab:blue"
            if row.measured.used == measured.NO
            else "tab:gray"
            if row.measured.used == measured.YES
            else "tab:cyan"
        )
        axes.plot([low, high], [place, place], color=colour, linewidth=4, solid_capstyle="butt")
        axes.plot([typical], [place], "o", color="black", markersize=4)
    names = [f"{r.model}: {r.measured.key}, {r.measured.quantity}" for r in reversed(shown)]
    axes.set_yticks(range(len(shown)), names, fontsize=7)
    axes.axvline(1, color="tab:red", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel(
        "estimated over measured (grey: calibrated on the row; cyan: the row decided a rule or an end)",
        fontsize=7,
    )
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
