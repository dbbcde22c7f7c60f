"""The study as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from comparison import CELLS, CLEAN, CLOSELY, MOST, NOISY, SHOTS
from data import SIDES
from scores import (
    FROZEN,
    HYBRID,
    MODELS,
    NOISY_CELLS,
    ON_CHIP,
    PARTS,
    PLAIN,
    RUNNING,
    WHOLE_BATCH,
    Results,
    accuracy,
    spread,
)

CLAIMS = (  # what, claimed of an ordinary and of the hybrid network, where we measure it: shots and cell
    ("MNIST, 1 example a class", "~65", "~85", "1", "clean"),
    ("clean", "95", "96", "all", "clean"),
    ("30 % occlusion", "70", "92", "all", "occlusion 30%"),
    ("50 % impulse", "35", "88", "all", "impulse 50%"),
    ("70 % combined", "15", "75", "all", "combined 70%"),
)
NOT_RUN = (("CIFAR-10, 5 examples a class", "~45", "~72"), ("custom, 10 examples", "~50", "~80"))
STRETCHES = {  # digits of a stream: blocks of 25
    "clean, 1-50": PARTS["clean"],
    "noisy, 1-25": slice(2, 3),
    "26-50": slice(3, 4),
    "51-100": slice(4, 6),
    "101-200": slice(6, 10),
    "clean again, 1-25": slice(10, 11),
    "26-50 ": slice(11, 12),
}


def written(results: Results) -> str:
    """All tables, in the README's order."""
    seeds = len(results)
    parts = [
        "![Accuracy against noise, against digits seen, and with few examples](figure.svg)",
        f"Per cent of digits recognised: mean ± standard deviation over {seeds} seed{'s' * (seeds != 1)}, each with "
        "training digits, test digits, noise, weights and encoder of its own. Rows marked * use statistics of a "
        "whole batch, which no chip has.",
        _in_short(results),
        _claims(results),
        _few_shot(results),
        _paired(results),
        _stream(results),
        *(_noise(results, name) for name in SIDES),
        _chip(results),
        _costs(results),
    ]
    return "\n\n".join(parts)


# ---- accuracy ------------------------------------------------------------------------------------------


def _in_short(results: Results) -> str:
    pairs = {
        "gains that astrocytes found in training, then frozen, against the same network without": (
            FROZEN,
            PLAIN,
        ),
        "gains that go on adapting on the chip, against frozen": (HYBRID, FROZEN),
        "the same against an ordinary network with running normalisation": (HYBRID, RUNNING),
        "and against an ordinary network that saw noise in training": (HYBRID, "ANN, noise in training"),
    }
    lines = []
    for what, models in pairs.items():
        found = [
            f"{name} {_difference(*(accuracy(results, name, CLOSELY, m, NOISY_CELLS) for m in models))}"
            for name in SIDES
        ]
        lines.append(f"- {what}: {', '.join(found)}")
    return (
        "In short, 10 examples a class, mean over all noises, differences in points on the same digits (in brackets "
        "the seeds in which the first is ahead):\n\n" + "\n".join(lines)
    )


def _claims(results: Results) -> str:
    rows = []
    for what, ordinary, hybrid, shots, cell in CLAIMS:
        scores = {m: accuracy(results, "mnist", shots, m, [cell]) for m in MODELS if m not in WHOLE_BATCH}
        others = {m: s for m, s in scores.items() if s is not None and not m.startswith("hybrid")}
        best = max(others, key=lambda m: others[m].mean())
        ours = [_text(scores[m]) for m in ("ANN", HYBRID)]
        rows.append((what, ordinary, hybrid, *ours, f"{_text(others[best])} ({best})"))
    rows += [(what, ordinary, hybrid, "not run", "not run", "") for what, ordinary, hybrid in NOT_RUN]
    head = (
        "what",
        "claimed: standard ANN",
        "claimed: hybrid",
        "measured: ANN",
        "measured: hybrid, adapting",
        "best of the others",
    )
    return (
        "### Claimed and measured\n\nClaimed in seed 1 (a note on the paper; source paper not accessible); measured on "
        f"MNIST, noise with {10 * MOST['mnist']:,} training digits. CIFAR-10 was not run, and what the custom task is, "
        "the note does not say.\n\n" + _table(head, rows)
    )


def _few_shot(results: Results) -> str:
    head = ("", *(f"{name}, {shots}" for name in SIDES for shots in SHOTS))
    columns = [(name, shots) for name in SIDES for shots in SHOTS]
    clean = [
        (_marked(m), *(_text(accuracy(results, n, s, m, ["clean"], PARTS["all"])) for n, s in columns))
        for m in MODELS
    ]
    noisy = [
        (_marked(m), *(_text(accuracy(results, n, s, m, NOISY_CELLS)) for n, s in columns)) for m in MODELS
    ]
    counts = " and ".join(f"{10 * MOST[name]:,} ({name})" for name in SIDES)
    return (
        f"### Few examples\n\n1, 5, 10 examples a class, and all: {counts}. Clean digits:\n\n"
        + _table(head, clean)
        + "\n\nNoisy digits, mean over the 4 noises at 4 levels:\n\n"
        + _table(head, noisy)
    )


def _paired(results: Results) -> str:
    columns = [
        (name, cells, what)
        for name in SIDES
        for cells, what in (
            (NOISY_CELLS, "all noise"),
            (["occlusion 50%"], "occlusion 50 %"),
            (["impulse 50%"], "impulse 50 %"),
            (["clean"], "clean"),
        )
    ]
    rows = []
    for other in MODELS[1:]:
        cells = [
            _difference(accuracy(results, n, CLOSELY, HYBRID, c), accuracy(results, n, CLOSELY, other, c))
            for n, c, _ in columns
        ]
        rows.append((_marked(other), *cells))
    head = ("hybrid, adapting, less", *(f"{name}, {what}" for name, _, what in columns))
    return (
        "### What adapting on the chip is worth\n\nPaired differences in points, 10 examples a class, on the 200 noisy "
        "digits (the same digits and noise for both); in brackets the seeds in which the hybrid is ahead.\n\n"
        + _table(head, rows)
    )


def _stream(results: Results) -> str:
    shown = (HYBRID, ON_CHIP, FROZEN, PLAIN, "ANN", RUNNING)
    tables = []
    for name in SIDES:
        rows = [
            (
                m,
                *(
                    _text(accuracy(results, name, CLOSELY, m, NOISY_CELLS, part))
                    for part in STRETCHES.values()
                ),
            )
            for m in shown
        ]
        tables.append(_table((name, *STRETCHES), rows))
    return (
        f"### Accuracy against digits seen\n\nA stream of {CLEAN} clean, {NOISY} noisy and again {CLEAN} clean "
        "digits, 10 examples a class, mean over the 16 noises.\n\n" + "\n\n".join(tables)
    )


def _noise(results: Results, name: str) -> str:
    models = [m for m in MODELS if accuracy(results, name, CLOSELY, m, ["clean"]) is not None]
    rows = [
        (cell.replace("%", " %"), *(_text(accuracy(results, name, CLOSELY, m, [cell])) for m in models))
        for cell in CELLS
    ]
    return f"### Every noise and level: {name}, 10 examples a class\n\n" + _table(
        ("", *map(_marked, models)), rows
    )


# ---- the chip ------------------------------------------------------------------------------------------

NETWORKS = {
    "digits": "digits, 10 examples, 128 astrocytes",
    "mnist": "MNIST, 10 examples, 128 astrocytes",
    "demo": "the demo's, 8 astrocytes",
}


def _chip(results: Results) -> str:
    rows = []
    for network, text in NETWORKS.items():
        facts = [each["chip"][network] for each in results]
        agreeing = np.array([100 * np.mean(each["agreeing"][network]) for each in results])
        same = sum(each["same from nir"] for each in facts)
        engines = [_bits([each["bits"][engine] for each in facts]) for engine in ("fast", "lava", "brian2")]
        rows.append((text, *engines, f"{same} of {len(facts)}", _text(agreeing)))
    head = (
        "network",
        "oracle = fast",
        "oracle = Lava",
        "float reference = Brian2",
        "seeds in which .pt and .nir give the same Program, byte for byte",
        "% of digits with the same class on the chip and in torch",
    )
    demo = [
        (
            cell,
            *(
                _text(100 * np.array([e["demo"][cell][where] for e in results]))
                for where in ("torch", "chip")
            ),
        )
        for cell in results[0]["demo"]
    ]
    return (
        "### On the chip\n\nCompiled for loihi2; differing values of all compared (messages and states), on digits of "
        "a stream where noise sets in, summed over seeds.\n\n"
        + _table(head, rows)
        + "\n\nThe demo's network (1,397 training digits) on whole streams of 300 digits, clean digits included:\n\n"
        + _table(("stream", "torch", "loihi2"), demo)
    )


def _bits(found: Sequence[dict[str, Any] | None]) -> str:
    ran = [each for each in found if each is not None]
    if not ran:
        return "not run"
    differing, compared = (
        sum(sum(each[key] for key in keys) for each in ran) for keys in (("differing",), ("spikes", "states"))
    )
    return f"{differing} of {compared:,} ({ran[0]['digits']} digits a seed)"


def _costs(results: Results) -> str:
    rows = []
    for network, text in NETWORKS.items():
        for key, what in (("with", "with astrocytes"), ("without", "gains frozen into the weights")):
            facts = [each["chip"][network][key] for each in results]
            energy, latency = (np.array([each[k] for each in facts]).mean(0) for k in ("energy", "latency"))
            rows.append(
                (
                    text if key == "with" else "",
                    what,
                    "{1:.3g} ({0:.3g} to {2:.3g})".format(*(energy * 1e6)),
                    f"{1e6 * np.mean([each['operations'] for each in facts]):.3g}",
                    "{1:.3g} ({0:.3g} to {2:.3g})".format(*(latency * 1e6)),
                    f"{np.mean([100 * each['astrocytes'] for each in facts]):.1f} %",
                    f"{np.mean([each['cores'] for each in facts]):.0f}",
                )
            )
    head = (
        "network",
        "",
        "energy a digit, uJ (low to high)",
        "operations alone, uJ",
        "latency, us (low to high)",
        "astrocytes' share of the operations",
        "cores",
    )
    return (
        "### What a digit costs on loihi2\n\nEstimates, mean over seeds, of events counted in a run of 300 clean "
        "digits; ranges are those of the chip's published and derived constants. Energy holds static power for as long "
        "as the digit takes: without astrocytes fewer cores are chosen, and a step may last longer on them.\n\n"
        + _table(head, rows)
    )


# ---- text ----------------------------------------------------------------------------------------------


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(values: np.ndarray | None) -> str:
    return "-" if values is None else f"{values.mean():.1f} ± {spread(values):.1f}"


def _difference(first: np.ndarray | None, second: np.ndarray | None) -> str:
    if first is None or second is None:
        return "-"
    less = first - second
    return f"{less.mean():+.1f} ± {spread(less):.1f} ({int((less > 0).sum())}/{len(less)})"


def _marked(model: str) -> str:
    return f"{model} *" if model in WHOLE_BATCH else model
