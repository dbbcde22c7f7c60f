"""The study as Markdown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import deviation, mean_and_deviation, seeds, table, typical
from comparison import AGAIN, CELLS, CLEAN, COARSE, FINE, LENGTH, MAIN, MOST, NOISY, SHOTS
from data import LEVELS, NOISES, SIDES
from model import HIDDEN
from scores import (
    AUGMENTED,
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
    parts = [
        "![Accuracy against noise, against digits seen, and with few examples](figure.svg)",
        f"Per cent of digits recognised: {seeds(results)}. Each seed has training digits, test digits, noise, weights "
        "and encoder of its own. Rows marked * use statistics of a whole batch, which no chip has. All models run in "
        "float, in torch, but those `on loihi2`, which run compiled, in the chip's integers.",
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
        "gains that go on adapting, on loihi2, against frozen": (ON_CHIP, FROZEN),
        "the same against an ordinary network with running normalisation": (ON_CHIP, RUNNING),
        "and against an ordinary network that saw noise in training": (ON_CHIP, AUGMENTED),
    }
    lines = []
    for what, models in pairs.items():
        found = [
            f"{name} {_difference(*(accuracy(results, name, MAIN, m, NOISY_CELLS) for m in models))}"
            for name in SIDES
        ]
        lines.append(f"- {what}: {', '.join(found)}")
    return (
        f"In short, {MAIN} examples a class, mean over all noises, differences in points on the same digits (in "
        "brackets the seeds in which the first is ahead):\n\n" + "\n".join(lines)
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
        "measured: hybrid, adapting (float)",
        "best of the others",
    )
    return (
        "### Claimed and measured\n\nClaimed in the note (whether in the paper too, we can't say); measured on "
        f"MNIST, clean and under noise with {10 * MOST['mnist']:,} training digits. All are of the {NOISY} digits that "
        f"noise falls on, so clean numbers are not quite those of the next table, of all {LENGTH}. CIFAR-10 was not "
        "run, and what the custom task is, the note does not say.\n\n" + table(head, rows)
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
        f"### Few examples\n\n{', '.join(SHOTS[:-1])} examples a class, and all: {counts}. "
        f"Clean digits, {LENGTH} a seed:\n\n"
        + table(head, clean)
        + f"\n\nNoisy digits, {NOISY} a seed, mean over the {len(NOISES)} noises at {len(LEVELS)} levels:\n\n"
        + table(head, noisy)
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
    for other in (m for m in MODELS if m != ON_CHIP):
        cells = [
            _difference(accuracy(results, n, MAIN, ON_CHIP, c), accuracy(results, n, MAIN, other, c))
            for n, c, _ in columns
        ]
        rows.append((_marked(other), *cells))
    head = (f"{ON_CHIP}, less", *(f"{name}, {what}" for name, _, what in columns))
    return (
        f"### What adapting on the chip is worth\n\nPaired differences in points, {MAIN} examples a class, on the "
        f"{NOISY} digits that noise falls on (the same digits and noise for both; `clean`: without it): the hybrid "
        "network in loihi2's integers less each of the others in float. ± is the standard deviation of the "
        "difference over seeds; in brackets the seeds in which the hybrid is ahead.\n\n" + table(head, rows)
    )


def _stream(results: Results) -> str:
    shown = (HYBRID, ON_CHIP, FROZEN, PLAIN, "ANN", RUNNING)
    tables = []
    for name in SIDES:
        rows = [
            (
                m,
                *(_text(accuracy(results, name, MAIN, m, NOISY_CELLS, part)) for part in STRETCHES.values()),
            )
            for m in shown
        ]
        tables.append(table((name, *STRETCHES), rows))
    return (
        f"### Accuracy against digits seen\n\nA stream of {CLEAN} clean, {NOISY} noisy and again {AGAIN} clean "
        f"digits, {MAIN} examples a class, mean over the {len(NOISY_CELLS)} streams with noise.\n\n"
        + "\n\n".join(tables)
    )


def _noise(results: Results, name: str) -> str:
    models = [m for m in MODELS if accuracy(results, name, MAIN, m, ["clean"]) is not None]
    rows = [
        (cell.replace("%", " %"), *(_text(accuracy(results, name, MAIN, m, [cell])) for m in models))
        for cell in CELLS
    ]
    return (
        f"### Every noise and level: {name}, {MAIN} examples a class\n\nOf the {NOISY} digits that noise falls on, and "
        "of the same digits clean.\n\n" + table(("", *map(_marked, models)), rows)
    )


# ---- the chip ------------------------------------------------------------------------------------------

EVERY, SOME = (f"{HIDDEN // domain} astrocytes" for domain in (FINE, COARSE))
NETWORKS = {
    "digits": f"digits, {MAIN} examples, {EVERY}",
    "mnist": f"MNIST, {MAIN} examples, {EVERY}",
    "demo": f"the demo's, {SOME}",
}


def _chip(results: Results) -> str:
    head = (
        "network",
        "oracle = fast",
        "oracle = Lava",
        "float reference = Brian2",
        "seeds in which .pt and .nir give the same Program, byte for byte but for its recipe",
        "% of digits with the same class on the chip and in torch",
    )
    rows = []
    for network, text in NETWORKS.items():
        facts = [each["chip"][network] for each in results]
        agreeing = np.array([100 * np.mean(each["agreeing"][network]) for each in results])
        same = sum(each["same from nir"] for each in facts)
        engines = [_bits([each["bits"][engine] for each in facts]) for engine in ("fast", "lava", "brian2")]
        rows.append((text, *engines, f"{same} of {len(facts)}", _text(agreeing)))
    return (
        "### On the chip\n\nCompiled for loihi2; differing values of all compared (messages and states), on digits of "
        "a stream where noise sets in, summed over seeds.\n\n" + table(head, rows) + "\n\n" + _demo(results)
    )


def _demo(results: Results) -> str:
    """Accuracies of the demo's network on whole streams."""
    found = [each["demo"] for each in results]
    rows = [
        (
            cell,
            *(
                _text(100 * np.array([e["accuracy"][cell][where] for e in found]))
                for where in ("torch", "chip")
            ),
        )
        for cell in found[0]["accuracy"]
    ]
    return (
        f"The demo's network, trained here on {found[0]['trained on']:,} digits, on whole streams of {LENGTH} digits, "
        "clean ones included. None of these digits is among those put aside for choosing settings.\n\n"
        + table(("stream", "torch", "loihi2"), rows)
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
    head = (
        "network",
        "",
        "energy a digit, uJ (low to high)",
        "operations alone, uJ",
        "latency, us (low to high)",
        "astrocytes' share of the operations",
        "cores",
    )
    rows = [
        (text if key == "with" else "", what, *_cost([each["chip"][network][key] for each in results]))
        for network, text in NETWORKS.items()
        for key, what in (("with", "with astrocytes"), ("without", "gains frozen into the weights"))
    ]
    return (
        f"### What a digit costs on loihi2\n\nEstimates, mean over seeds, of events counted in a run of {LENGTH} clean "
        "digits; ranges are those of the chip's published and derived constants. Energy holds static power for as long "
        "as the digit takes: without astrocytes fewer cores are chosen, and a step may last longer on them.\n\n"
        + table(head, rows)
    )


def _cost(facts: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return (
        typical([each["energy"] for each in facts], "", 1e6),
        f"{1e6 * np.mean([each['operations'] for each in facts]):.3g}",
        typical([each["latency"] for each in facts], "", 1e6),
        f"{np.mean([100 * each['astrocytes'] for each in facts]):.1f} %",
        f"{np.mean([each['cores'] for each in facts]):.0f}",
    )


# ---- text ----------------------------------------------------------------------------------------------


def _text(values: np.ndarray | None) -> str:
    return "-" if values is None else mean_and_deviation(values)


def _difference(first: np.ndarray | None, second: np.ndarray | None) -> str:
    if first is None or second is None:
        return "-"
    less = first - second
    return f"{less.mean():+.1f} ± {deviation(less):.1f} ({int((less > 0).sum())}/{len(less)})"


def _marked(model: str) -> str:
    return f"{model} *" if model in WHOLE_BATCH else model
