"""The study's tables and figure, of the results of all seeds."""

from collections.abc import Iterable
from math import floor, log10
from typing import Any

import numpy as np
from common import agreement, deviation, mean_and_deviation, seeds, table
from dynamics import NAMES
from matplotlib.figure import Figure

Result = dict[str, Any]
Row = tuple[object, ...]
SYMBOLS = {"temperature": "T", "sigma": "sigma", "tau_x": "tau_x", "tau_p": "tau_p"}
PREFIXES = {0: "", -3: "m", -6: "µ", -9: "n"}
SHOWN = 4  # cells of the grid that are named


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """Markdown and the figure."""
    realisations = results[0]["plan"]["realisations"]
    told = f"{seeds(results)}; {realisations} realisations a seed. "
    told += "An error is the mean number of wrong bits after retrieval."
    parts = [told, _claims(results), _compared(results), _protocol(results), _grids(results)]
    parts += [_chip(results), _costs(results), _engines(results)]
    return "\n\n".join(parts) + "\n", _figure(results)


# ---- claims --------------------------------------------------------------------------------------------


def _claims(results: list[Result]) -> str:
    rises = [law["largest_rise"] for r in results for _, law in r["protocol"]["laws"]]
    lower = {name: int((_difference(results, name) < 0).sum()) for name in NAMES if name != "gated"}
    cells = _difference(results, "frozen").size
    rows: list[Row] = [
        ("L never rises", f"the most it rose in a step is {max(rises):.1e}: rounding"),
        ("fixed points have p = softmax(f / T)", _softmax(results)),
        (
            "error below Hopfield's over the whole (K, n) grid",
            f"in {lower['hopfield']} of {cells} cells against binary neurons, in {lower['frozen']} against the same "
            "neurons with frozen gains",
        ),
        (
            "error below recent neuron-astrocyte memories",
            f"in {lower['dense']} of {cells} cells against the dense memory that such astrocytes come to",
        ),
        ("largest gain over Hopfield at high load", _gain(results)),
        ("error exactly 6 at tau_x of about 100", _slowest(results)),
    ]
    return table(("claimed", "measured"), rows)


def _softmax(results: list[Result]) -> str:
    """How close the gains come to softmax(f / T) within a retrieval."""
    told = []
    for i, (temperature, _) in enumerate(results[0]["protocol"]["laws"]):
        path = ("protocol", "laws", i, 1)
        away, largest = (
            np.mean(_values(results, (*path, k))) for k in ("distance_from_softmax", "largest_gain")
        )
        told.append(f"T = {temperature:g}: {away:.1e} away (total variation), largest gain {largest:.3f}")
    return "; ".join(told)


def _slowest(results: list[Result]) -> str:
    found = results[0]["protocol"]["changes"]
    values = {value: i for i, (name, value, _) in enumerate(found) if name == "tau_x"}
    if not values:
        return "not measured"
    slowest = max(values)
    return f"{_at(results, ('protocol', 'changes', values[slowest], 2, 0), '.2f')} at {slowest:g}"


def _means(results: list[Result], name: str, what: str) -> np.ndarray:
    """Means over seeds, (loads, flips)."""
    return np.asarray(np.mean([[cell[name][what] for cell in r["grid"]] for r in results], 0))


def _difference(results: list[Result], name: str, what: str = "errors") -> np.ndarray:
    """The gated memory's less another's."""
    return _means(results, "gated", what) - _means(results, name, what)


def _gain(results: list[Result]) -> str:
    plan = results[0]["plan"]
    loads, flips = plan["grid_patterns"], plan["grid_flips"]
    gain = -_difference(results, "frozen")
    told = []
    for column in _columns(flips)[::2]:
        best = int(gain[:, column].argmax())
        told.append(
            f"{flips[column]} bits wrong: {gain[best, column]:+.2f} bits at K = {loads[best]}, "
            f"{gain[-1, column]:+.2f} at K = {loads[-1]}"
        )
    return f"over frozen gains, with {'; with '.join(told)}"


def _compared(results: list[Result]) -> str:
    """Against every other memory: in how many cells better, in how many worse, and where most."""
    rows: list[Row] = []
    for name in (each for each in NAMES if each != "gated"):
        difference, exact = _difference(results, name), _difference(results, name, "exact")
        rows.append(
            (
                NAMES[name],
                f"{(difference < 0).sum()} / {(difference == 0).sum()} / {(difference > 0).sum()}",
                f"{(exact > 0).sum()} / {(exact == 0).sum()} / {(exact < 0).sum()}",
                _worst(results, difference),
            )
        )
    head = (
        "gated against",
        "error lower / equal / higher",
        "exactly retrieved more / as many / fewer",
        "error higher most at",
    )
    told = f"Cells of the grid of K = {_listed(results, 'grid_patterns')} and n = {_listed(results, 'grid_flips')}:"
    return f"{told}\n\n{table(head, rows)}"


def _listed(results: list[Result], what: str) -> str:
    return ", ".join(map(str, results[0]["plan"][what]))


def _worst(results: list[Result], difference: np.ndarray) -> str:
    plan = results[0]["plan"]
    places = np.dstack(np.unravel_index(np.argsort(-difference, axis=None), difference.shape))[0]
    told = [
        f"K = {plan['grid_patterns'][i]}, n = {plan['grid_flips'][j]} ({difference[i, j]:+.2f})"
        for i, j in places[:SHOWN]
        if difference[i, j] > 0
    ]
    return "; ".join(told) or "-"


# ---- tables --------------------------------------------------------------------------------------------


def _protocol(results: list[Result]) -> str:
    neurons, patterns, flips = results[0]["plan"]["protocol"]
    first = results[0]["protocol"]

    def row(text: str, *path: Any) -> Row:
        return text, *(_at(results, ("protocol", *path, i), form) for i, form in ((0, ".2f"), (1, ".1%")))

    rows = [row(text, "memories", name) for name, text in NAMES.items()]
    rows += [
        row(f"gated, {SYMBOLS[name]} = {value:g}", "changes", i, 2)
        for i, (name, value, _) in enumerate(first["changes"])
    ]
    rows += [
        row(f"gains frozen, sigma = {sigma:g}", "frozen", i, 1)
        for i, (sigma, _) in enumerate(first["frozen"])
    ]
    rows += [
        row(f"gated, on the chip's clock, dt = 1/{1 / dt:g}, gains every {period} steps", "clocks", i, 1)
        for i, ((dt, period), _) in enumerate(first["clocks"])
    ]
    told = (
        f"N = {neurons}, K = {patterns}, {flips} bits wrong; sigma = tau_x = tau_p = 1, T = 0.01 unless said:"
    )
    return f"{told}\n\n" + table(("memory", "error", "exactly retrieved"), rows)


def _grids(results: list[Result]) -> str:
    plan, tables = results[0]["plan"], []
    for column in _columns(plan["grid_flips"])[::2]:
        rows = [
            (load, *(_cell(results, i, name, column) for name in NAMES))
            for i, load in enumerate(plan["grid_patterns"])
        ]
        size = f"N = {plan['grid_neurons']}, {plan['grid_flips'][column]} bits wrong"
        told = f"{size}; error, and share exactly retrieved:"
        tables.append(f"{told}\n\n" + table(("K", *NAMES.values()), rows))
    return "\n\n".join(tables)


def _columns(flips: list[int]) -> list[int]:
    """A middle number of flips, a larger one, and the largest."""
    return [len(flips) // 2 - 1, (5 * len(flips)) // 6 - 1, len(flips) - 1]


def _cell(results: list[Result], load: int, name: str, column: int) -> str:
    error = _at(results, ("grid", load, name, "errors", column), ".2f")
    return f"{error}, {np.mean(_values(results, ('grid', load, name, 'exact', column))):.0%}"


def _chip(results: list[Result]) -> str:
    rows: list[Row] = []
    for i, size in enumerate(results[0]["chip"]):
        for j, found in enumerate(size["retrieved"]):
            path = ("chip", i, "retrieved", j)
            ways = (_both(results, (*path, way)) for way in ("euler", "float", "chip"))
            same, bits = (_at(results, (*path, key), ".2%") for key in ("same_errors", "differing_bits"))
            rows.append((f"{_size(size)}, {found['flips']} bits wrong", *ways, same, bits))
        plain = f"{_size(size)}, {size['retrieved'][0]['flips']} bits wrong, without astrocytes"
        rows.append((plain, "", "", _both(results, ("chip", i, "frozen")), "", ""))
    head = (
        "error, exactly retrieved",
        "the paper's Euler",
        "float on the chip's clock",
        "loihi2",
        "cues with the same error as in float",
        "bits that differ",
    )
    cues = "; ".join(f"{size['cues']} cues a seed for {_size(size)}" for size in results[0]["chip"])
    return f"On the chip, {cues}:\n\n" + table(head, rows)


def _both(results: list[Result], path: tuple[Any, ...]) -> str:
    return f"{_at(results, (*path, 0), '.2f')}, {_at(results, (*path, 1), '.1%')}"


def _size(size: Result) -> str:
    return f"N = {size['neurons']}, K = {size['patterns']}"


def _costs(results: list[Result]) -> str:
    rows = []
    for i, size in enumerate(results[0]["chip"]):
        for kind, text in (("gated", "with astrocytes"), ("frozen", "without")):
            costs = [r["chip"][i]["costs"][kind] for r in results]
            rows.append(
                (
                    f"{_size(size)}, {text}",
                    _range(each["cores"] for each in costs),
                    _levels([each["energy_joules"] for each in costs], "J"),
                    _levels([each["latency_seconds"] for each in costs], "s"),
                    f"{np.mean([each['synaptic_events'] for each in costs]):.3g}",
                    f"{np.mean([each['astrocyte_share'] for each in costs]):.1%}" if kind == "gated" else "-",
                )
            )
    told = (
        f"A retrieval of {results[0]['chip'][0]['steps']} steps on loihi2, typical (low to high); the astrocytes' "
        "share is that of their units, and of what arrives at them, in the energy of the operations:"
    )
    head = ("network", "cores", "energy", "latency", "synaptic events", "astrocytes' share")
    return f"{told}\n\n" + table(head, rows)


def _engines(results: list[Result]) -> str:
    told = []
    for i in range(len(results[0]["chip"])):
        found = [r["chip"][i] for r in results]
        same = sum(each["nir"]["identical"] for each in found)
        seconds = np.mean([each["compile"]["seconds"] for each in found])
        peak = max(each["compile"]["peak_mebibytes"] for each in found)
        engines = agreement([each["engines"] for each in found])
        chips = _range(each["costs"]["gated"]["chips"] for each in found)
        told.append(
            f"- {_size(found[0])}: {found[0]['verified']} steps of a cue against the oracle, {engines}. From "
            f'model.pt and through NIR ("{found[0]["nir"]["core"]}") the same Program, byte for byte but for its '
            f"recipe, for {same} of "
            f"{len(found)} seeds. Compiled in {seconds:.1f} s of one core's time; the process held at most "
            f"{peak:.0f} MiB until then. Chips: {chips}."
        )
    return "\n".join(told)


def _figure(results: list[Result]) -> Figure:
    """Error and exact retrieval over the load, for three numbers of flips."""
    plan = results[0]["plan"]
    columns = _columns(plan["grid_flips"])
    figure = Figure((3.2 * len(columns), 5.2), layout="constrained")
    axes = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    for place, column in enumerate(columns):
        for row, what in enumerate(("errors", "exact")):
            for i, (name, text) in enumerate(NAMES.items()):
                values = np.array([[cell[name][what][column] for cell in r["grid"]] for r in results])
                mean, spread = values.mean(0), [deviation(each) for each in values.T]
                axis, wide = axes[row, place], 2.2 if name == "gated" else 1.1
                axis.plot(plan["grid_patterns"], mean, label=text, color=f"C{i}", lw=wide)
                band = (plan["grid_patterns"], mean - spread, mean + spread)
                axis.fill_between(*band, color=f"C{i}", alpha=0.15, lw=0)
        axes[0, place].set(title=f"{plan['grid_flips'][column]} of {plan['grid_neurons']} bits wrong")
        axes[1, place].set(xlabel="patterns K", xscale="log")
    axes[0, 0].set(ylabel="wrong bits after retrieval")
    axes[1, 0].set(ylabel="share exactly retrieved")
    axes[1, -1].legend(fontsize="x-small")
    return figure


# ---- words ---------------------------------------------------------------------------------------------


def _values(results: list[Result], path: tuple[Any, ...]) -> list[float]:
    """What stands at a place, seed by seed."""
    found: list[Any] = results
    for key in path:
        found = [each[key] for each in found]
    return found


def _at(results: list[Result], path: tuple[Any, ...], form: str) -> str:
    return mean_and_deviation(_values(results, path), form)


def _levels(runs: list[list[float]], unit: str) -> str:
    low, typical, high = map(float, np.mean(runs, 0))
    return f"{_quantity(typical, unit)} ({_quantity(low, unit)} to {_quantity(high, unit)})"


def _quantity(value: float, unit: str) -> str:
    power = max(-9, min(0, 3 * floor(log10(value) / 3))) if value > 0 else 0
    return f"{value / 10.0**power:.3g} {PREFIXES[power]}{unit}"


def _range(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
