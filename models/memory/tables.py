"""The study's tables and figure, of the results of all seeds."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from dynamics import NAMES
from matplotlib.figure import Figure

Result = dict[str, Any]
Row = tuple[object, ...]
ENGINE_SIZE = "N = {neurons}, K = {patterns}"


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """Markdown and the figure."""
    parts = [_claims(results), _protocol(results), _grid(results), _chip(results), _costs(results)]
    return "\n\n".join([*parts, _engines(results)]) + "\n", _figure(results)


# ---- claims --------------------------------------------------------------------------------------------


def _claims(results: list[Result]) -> str:
    rises = [law["largest_rise"] for r in results for law in r["protocol"]["laws"].values()]
    softmax = "; ".join(
        f"T = {t}: distance {_over(results, lambda r, t=t: r['protocol']['laws'][t]['distance_from_softmax'], '.1e')}, "
        f"largest gain {_over(results, lambda r, t=t: r['protocol']['laws'][t]['largest_gain'], '.3f')}"
        for t in results[0]["protocol"]["laws"]
    )
    scans = results[0]["protocol"]["scans"]
    slow = max(scans.get("tau_x", {}), key=float, default="")
    rows: list[Row] = [
        ("L never rises", f"the most it rose in a step: {max(rises):.1e}, in 64-bit rounding"),
        ("fixed points have p = softmax(f / T)", f"after the run: {softmax}"),
        ("error below Hopfield's over the whole (K, n) grid", _against(results, ("hopfield", "frozen"))),
        ("error below recent neuron-astrocyte memories", _against(results, ("dense",))),
        ("largest gain at high load", _gain(results)),
        ("(not claimed) softmax memory, nearest pattern", _against(results, ("modern", "nearest"))),
    ]
    if slow:
        error = _over(results, lambda r: r["protocol"]["scans"]["tau_x"][slow][0], ".2f")
        rows.append((f"error exactly 6 at tau_x of about {slow}", f"{error} at {slow}"))
    realisations = results[0]["plan"]["realisations"]
    told = (
        f"{len(results)} seeds, {realisations} realisations each; mean ± standard deviation over seeds. "
        "An error is the mean number of wrong bits."
    )
    return f"{told}\n\n" + _markdown(("claimed", "measured"), rows)


def _cells(results: list[Result], name: str, what: str) -> np.ndarray:
    """Means over seeds by load and flips, (loads, flips)."""
    return np.mean([[cell[name][what] for cell in r["grid"].values()] for r in results], 0)


def _against(results: list[Result], others: Iterable[str]) -> str:
    """In how many cells of the grid the gated memory is better and worse, and where it is worse."""
    told = []
    loads, flips = list(results[0]["grid"]), results[0]["plan"]["grid_flips"]
    for name in others:
        difference = _cells(results, "gated", "errors") - _cells(results, name, "errors")
        exact = _cells(results, "gated", "exact") - _cells(results, name, "exact")
        worse = [
            f"K = {loads[i]}, n = {flips[j]} ({difference[i, j]:+.2f})"
            for i, j in zip(*np.nonzero(difference > 0), strict=True)
        ]
        most = sorted(worse, key=lambda text: -float(text[text.index("(") + 1 : -1]))[:4]
        where = f", most at {'; '.join(most)}" if worse else ""
        told.append(
            f"{NAMES[name]}: error lower in {(difference < 0).sum()} of {difference.size} cells, higher in "
            f"{len(worse)}{where}; exact rate higher in {(exact > 0).sum()}, lower in {(exact < 0).sum()}"
        )
    return ". ".join(told)


def _gain(results: list[Result]) -> str:
    """The frozen memory's error less the gated one's, over the loads, at a middle and the largest number of flips."""
    gain = _cells(results, "frozen", "errors") - _cells(results, "gated", "errors")
    loads, flips = list(results[0]["grid"]), results[0]["plan"]["grid_flips"]
    told = []
    for column in sorted({len(flips) // 2 - 1, len(flips) - 1}):
        best = int(gain[:, column].argmax())
        told.append(
            f"n = {flips[column]}: largest at K = {loads[best]} ({gain[best, column]:+.2f} bits over frozen gains), "
            f"{gain[-1, column]:+.2f} at K = {loads[-1]}"
        )
    return "; ".join(told)


# ---- tables --------------------------------------------------------------------------------------------


def _protocol(results: list[Result]) -> str:
    neurons, patterns, flips = results[0]["plan"]["protocol"]
    first = results[0]["protocol"]

    def row(text: str, *path: str) -> Row:
        return text, _at(results, ("protocol", *path, 0), ".2f"), _at(results, ("protocol", *path, 1), ".0%")

    rows = [row(NAMES[name], "memories", name) for name in first["memories"]]
    rows += [row(f"gated, sigma = {value}", "sigma", value, "gated") for value in first["sigma"]]
    rows += [row(f"gains frozen, sigma = {value}", "sigma", value, "frozen") for value in first["sigma"]]
    rows += [
        row(f"gated, {'T' if name == 'temperature' else name} = {value}", "scans", name, value)
        for name, values in first["scans"].items()
        for value in values
    ]
    rows += [
        row(f"gated, as the chip steps it, dt, period = {each}", "steps", each) for each in first["steps"]
    ]
    told = f"N = {neurons}, K = {patterns}, {flips} bits of the cue wrong; sigma, tau_x, tau_p = 1, T = 0.01 unless said."
    return f"{told}\n\n" + _markdown(("memory", "wrong bits", "exactly retrieved"), rows)


def _grid(results: list[Result]) -> str:
    flips, neurons = results[0]["plan"]["grid_flips"], results[0]["plan"]["grid_neurons"]
    tables = []
    for column in sorted({len(flips) // 2 - 1, len(flips) - 1}):
        rows = [
            (load, *(_cell(results, load, name, column) for name in NAMES)) for load in results[0]["grid"]
        ]
        told = (
            f"N = {neurons}, {flips[column]} bits wrong: wrong bits after retrieval, share exactly retrieved."
        )
        tables.append(f"{told}\n\n" + _markdown(("K", *NAMES.values()), rows))
    return "\n\n".join(tables)


def _cell(results: list[Result], load: str, name: str, column: int) -> str:
    error = _at(results, ("grid", load, name, "errors", column), ".2f")
    return f"{error}, {np.mean(_values(results, ('grid', load, name, 'exact', column))):.0%}"


def _chip(results: list[Result]) -> str:
    rows: list[Row] = []
    for i, size in enumerate(results[0]["chip"]):
        for j, found in enumerate(size["retrieved"]):
            path = ("chip", i, "retrieved", j)
            scores = [
                f"{_at(results, (*path, way, 0), '.2f')}, {_at(results, (*path, way, 1), '.1%')}"
                for way in ("euler", "float", "chip")
            ]
            same, bits = (_at(results, (*path, key), ".2%") for key in ("same_errors", "differing_bits"))
            name = ENGINE_SIZE.format(**size)
            rows.append((f"{name}, {found['flips']} wrong, {size['cues']} cues", *scores, same, bits))
        frozen = f"{_at(results, ('chip', i, 'frozen', 0), '.2f')}, {_at(results, ('chip', i, 'frozen', 1), '.1%')}"
        rows.append((f"{ENGINE_SIZE.format(**size)}, gains frozen", "", "", frozen, "", ""))
    head = (
        "wrong bits, exactly retrieved",
        "the paper's Euler",
        "float, as the chip steps it",
        "loihi2",
        "cues with as many wrong bits in both",
        "bits that differ",
    )
    return _markdown(head, rows)


def _costs(results: list[Result]) -> str:
    rows = []
    for i, size in enumerate(results[0]["chip"]):
        for kind, text in (("gated", "with astrocytes"), ("frozen", "without")):
            costs = [r["chip"][i]["costs"][kind] for r in results]
            share = np.mean([each["astrocyte_share"] for each in costs])
            rows.append(
                (
                    f"{ENGINE_SIZE.format(**size)}, {text}",
                    _range(each["cores"] for each in costs),
                    _levels([each["energy_joules"] for each in costs], 1e6, "µJ"),
                    _levels([each["latency_seconds"] for each in costs], 1e6, "µs"),
                    f"{np.mean([each['synaptic_events'] for each in costs]):.3g}",
                    f"{share:.1%}" if kind == "gated" else "-",
                )
            )
    told = (
        f"A retrieval of {results[0]['chip'][0]['steps']} steps on loihi2, typical (low to high). The astrocytes' share "
        "is that of their units and of what arrives at them in the operations' energy."
    )
    head = ("network", "cores", "energy", "latency", "synaptic events", "astrocytes' share")
    return f"{told}\n\n" + _markdown(head, rows)


def _engines(results: list[Result]) -> str:
    told = []
    for i, size in enumerate(results[0]["chip"]):
        found = [r["chip"][i] for r in results]
        engines = [each["engines"] for each in found]
        pairs = []
        for name in engines[0]["compared"]:
            ran = [each["compared"][name] for each in engines if name in each["compared"]]
            messages, states, wrong = (
                sum(each[key] for each in ran) for key in ("messages", "states", "differing")
            )
            pairs.append(f"oracle = {name} ({messages} messages, {states} states, {wrong} differing)")
        same = sum(each["nir"]["identical"] for each in found)
        seconds = np.mean([each["compile"]["seconds"] for each in found])
        peak = max(each["compile"]["peak_mebibytes"] for each in found)
        chips = _range(each["costs"]["gated"]["chips"] for each in found)
        told.append(
            f"- {ENGINE_SIZE.format(**size)}: {engines[0]['steps']} steps of a cue, {', '.join(pairs)}. From model.pt and "
            f'through NIR ("{found[0]["nir"]["core"]}") the same Program, byte for byte, for {same} of {len(found)} '
            f"seeds. Compiled in {seconds:.1f} s of a core's time, the process then holding at most {peak:.0f} MiB; "
            f"{chips} chip."
        )
    return "\n".join(told)


def _figure(results: list[Result]) -> Figure:
    """Wrong bits and exact retrieval over the load, for three numbers of flips."""
    flips = results[0]["plan"]["grid_flips"]
    loads = [int(each) for each in results[0]["grid"]]
    columns = sorted({len(flips) // 2 - 1, (3 * len(flips)) // 4 - 1, len(flips) - 1})
    figure = Figure((3.2 * len(columns), 5.2), layout="constrained")
    axes = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    for place, column in enumerate(columns):
        for row, what in enumerate(("errors", "exact")):
            for i, (name, text) in enumerate(NAMES.items()):
                values = np.array([[c[name][what][column] for c in r["grid"].values()] for r in results])
                mean, spread = values.mean(0), values.std(0)
                style = {"color": f"C{i}", "lw": 2.2 if name == "gated" else 1.1}
                axes[row, place].plot(loads, mean, label=text, **style)
                axes[row, place].fill_between(
                    loads, mean - spread, mean + spread, color=f"C{i}", alpha=0.15, lw=0
                )
        axes[0, place].set(title=f"{flips[column]} bits wrong", xscale="log")
        axes[1, place].set(xlabel="patterns K")
    axes[0, 0].set(ylabel="wrong bits after retrieval")
    axes[1, 0].set(ylabel="share exactly retrieved")
    axes[0, 0].legend(fontsize="x-small")
    return figure


# ---- words ---------------------------------------------------------------------------------------------


def _values(results: list[Result], path: tuple[Any, ...]) -> list[float]:
    found: list[Any] = results
    for key in path:
        found = [each[key] for each in found]
    return found


def _at(results: list[Result], path: tuple[Any, ...], form: str) -> str:
    return _spread(_values(results, path), form)


def _over(results: list[Result], value: Any, form: str) -> str:
    return _spread([value(r) for r in results], form)


def _spread(values: list[float], form: str) -> str:
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}"


def _levels(runs: list[list[float]], scale: float, unit: str) -> str:
    low, typical, high = (float(level) * scale for level in np.mean(runs, 0))
    return f"{typical:.3g} {unit} ({low:.3g} to {high:.3g})"


def _range(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _markdown(head: Row, rows: list[Row]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
