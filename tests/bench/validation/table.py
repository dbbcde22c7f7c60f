"""The table and its plot."""

import measured

ENERGY_GOAL, TIME_GOAL = 0.25, 0.30
SPAN_GOAL = {"loihi1": 3.0, "loihi2": 5.0}
COLOURS = {  # of what a row was used for: colour, and what the legend says
    measured.NO: ("tab:blue", "not calibrated on the row"),
    measured.RULE: ("tab:cyan", "the row decided a rule, or an end of the range"),
    measured.BOUND: ("tab:cyan", ""),
    measured.YES: ("tab:gray", "calibrated on the row"),
}
TICKS = (0.03, 0.1, 0.3, 1, 3, 10, 30)
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
    """Ranges over what was measured: a line a row, under the name of its cost model."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "validation", "svg.fonttype": "none"}
    shown = [r for r in rows if r.summary and r.measured.counted]
    groups = {
        model: [r for r in shown if r.model == model] for model in dict.fromkeys(r.model for r in shown)
    }
    figure, axes = pyplot.subplots(
        len(groups),
        figsize=(9, 0.28 * len(shown) + 0.5 * len(groups) + 1.2),
        height_ratios=[len(own) + 0.6 for own in groups.values()],
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for each, (model, own) in zip(axes[:, 0], groups.items(), strict=True):
        draw_ranges(each, own)
        each.set_title(
            f"{own[0].measured.chip}, cost model {model}", fontsize=9, loc="left", fontweight="bold"
        )
    label_ends(figure, axes[-1, 0])
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def draw_ranges(axes, rows):
    """A cost model's rows, the first on top."""
    for place, row in enumerate(reversed(rows)):
        levels = (row.estimated.low, row.estimated.typical, row.estimated.high)
        low, typical, high = (level / row.measured.middle for level in levels)
        colour = COLOURS[row.measured.used][0]
        axes.plot([low, high], [place, place], color=colour, linewidth=5, solid_capstyle="butt")
        axes.plot([typical], [place], "o", color="black", markersize=4)
    names = [f"{r.measured.key}, {r.measured.quantity}" for r in reversed(rows)]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.axvline(1, color="tab:red", linewidth=1, zorder=1.5)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_ends(figure, axes):
    """The scale below the last cost model, and what the colours mean."""
    from matplotlib.patches import Patch

    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS], fontsize=8)
    axes.set_xticks([], minor=True)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, TICKS[0]), max(high, TICKS[-1]))
    axes.set_xlabel("estimated (low to high, typical as a dot) over measured", fontsize=8)
    patches = [Patch(color=colour, label=text) for colour, text in COLOURS.values() if text]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=8, frameon=False)
