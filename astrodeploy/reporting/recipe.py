"""How a page says that it can be made again: from the recipe in the Program, and from what was asked for.

What is printed can be followed as it stands, in a folder that holds the files it names. What lay in memory has
no name: the Python is then a function that takes it, so that no name in it is undefined.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from astrodeploy.frontends.stimulus import count
from astrodeploy.program import Program
from astrodeploy.recipe import Given, Recipe
from astrodeploy.reporting.evidence import Order, Rates

FOLDER = "net.astro"
SAVED = "model.pt"
IMPORT = "import astrodeploy as ad"


@dataclass(frozen=True)
class Again:
    """Python, the lines for a shell (empty where no command line can say it), and what a reader has to know."""

    python: str
    shell: str
    told: tuple[str, ...]


def again(order: Order, file_name: str) -> Again:
    """How to make the page that is called `file_name`."""
    recipe, taken = order.program.recipe, _taken(order)
    compiling = f'ad.Program.load("{FOLDER}")' if recipe is None else compile_call(recipe)
    lines = [f"program = {compiling}", report_call(order, file_name)]
    if taken:
        lines = [f"def again({', '.join(taken)}):", *(f"    {line}" for line in lines)]
    shell = [] if "source" in taken else [compile_command(recipe)] if recipe else []
    shell += [] if taken else [report_command(order, file_name)]
    told = [*_told_of_program(order.program), *_told_of_report(order)]
    if taken == ["source"]:
        told.append(f"The page of that Program comes from {report_command(order, file_name)}.")
    return Again("\n".join([IMPORT, "", *lines]), "\n".join(shell), tuple(told))


def _taken(order: Order) -> list[str]:
    """What has no name outside of the Python that handed it in."""
    recipe = order.program.recipe
    given = {
        "source": recipe is not None and recipe.source.form == "object",
        "verification": order.verification is not None,
        "traces": bool(order.traces),
    }
    return [name for name, taken in given.items() if taken]


# ---- compile -----------------------------------------------------------------------------------------


def compile_call(recipe: Recipe) -> str:
    """The Python that gives the Program."""
    source = "source" if recipe.source.form == "object" else repr(recipe.source.name)
    named = {"target": recipe.target}
    if recipe.calibrate is not None:
        named["calibrate"] = recipe.calibrate.name
    options = [f"{name}={value!r}" for name, value in (named | recipe.chosen()).items()]
    return f"ad.compile({', '.join([source, *options])})"


def compile_command(recipe: Recipe) -> str:
    """The line for a shell that gives the Program."""
    words = ["astrodeploy", "compile", _argument(recipe.source.name), "--target", recipe.target]
    if recipe.calibrate is not None:
        words += ["--calibrate", recipe.calibrate.name]
    for name, value in recipe.chosen().items():
        words.append("--" + name.replace("_", "-"))
        words += [] if value is True else [_word(value)]
    return shlex.join([*words, "-o", FOLDER])


def _argument(name: str) -> str:
    """A file's name as an argument: one that begins with a dash would be taken for an option."""
    return f"./{name}" if name.startswith("-") else name


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


# ---- report ------------------------------------------------------------------------------------------


def report_call(order: Order, file_name: str) -> str:
    """The Python that makes the page of `program`."""
    given = {
        repr(stimulus_name(order)): order.x is not None,
        f"first={count(order.x)}": order.x is not None,
        f"carry={order.carry!r}": bool(order.carry),
        f"rates={_plain(order.rates)!r}": order.rates is not None,
        f"steps={order.steps}": order.steps is not None,
        f"engines={order.engines!r}": bool(order.engines),
        f"samples={order.samples}": order.samples is not None,
        "verification=verification": order.verification is not None,
        "traces=traces": bool(order.traces),
    }
    arguments = ["program", *(text for text, used in given.items() if used), f"path={file_name!r}"]
    return f"ad.report({', '.join(arguments)})"


def report_command(order: Order, file_name: str) -> str:
    """The line for a shell that makes the page."""
    words = ["astrodeploy", "report", FOLDER]
    if order.x is not None:
        words += ["--input", stimulus_name(order), "--samples", str(count(order.x))]
    for name in order.carry:
        words += ["--carry", name]
    for rate in _rate_words(order.rates):
        words += ["--rate", rate]
    words += [] if order.steps is None else ["--steps", str(order.steps)]
    words += ["--engines", ",".join(order.engines)] if order.engines else []
    words += [] if order.samples is None else ["--verified", str(order.samples)]
    return shlex.join([*words, "-o", file_name])


def _plain(rates: Rates | None) -> Any:
    return dict(sorted(rates.items())) if isinstance(rates, Mapping) else rates


def _rate_words(rates: Rates | None) -> list[str]:
    if isinstance(rates, Mapping):
        return [f"{layer}={rate}" for layer, rate in sorted(rates.items())]
    return [] if rates is None else [str(rates)]


def stimulus_name(order: Order) -> str:
    """What the samples' file is called here: its own name, unless the calibration's, of other content, is that."""
    recipe = order.program.recipe
    calibrate = None if recipe is None else recipe.calibrate
    taken = calibrate is not None and calibrate.name == order.file and calibrate.sha256 != order.file_sha256
    return f"report-{order.file}" if taken else order.file


# ---- what a reader has to know -------------------------------------------------------------------------


def _told_of_program(program: Program) -> list[str]:
    recipe = program.recipe
    if recipe is None:
        return [
            "This Program does not say how it was compiled: an earlier version wrote it, or it was put together "
            f"in Python. {FOLDER} stands for its folder."
        ]
    told = [_told_of_source(recipe)]
    if recipe.target.endswith(".toml"):
        told.append(
            f"{recipe.target} is the file of the target, which stands in the Program whole; where it is a board's "
            "that names the file of its chip, that one lies beside it."
        )
    if recipe.calibrate is not None:
        told.append(
            f"{recipe.calibrate.name} is an .npz file with the calibration data as x, or as x.NAME for each of "
            f"several inputs; SHA-256 of what they hold: {recipe.calibrate.sha256}."
        )
    return told


def _told_of_source(recipe: Recipe) -> str:
    source = recipe.source
    if source.form == "file":
        return f"{source.name} is the file that was compiled, SHA-256 {source.sha256}."
    gave = f"the network that it gave has the fingerprint {source.sha256}."
    if source.form == "factory":
        module, _, function = source.name.partition(":")
        return f"{source.name} is the function {function} of the module {module}, which Python has to find; {gave}"
    return (
        f"A {source.name} that lay in memory was compiled, which has no name here: hand your own in as source; {gave} "
        f"No command line can say it: kept with ad.save as {SAVED}, the same network, of another source, comes from "
        f"{compile_command(replace(recipe, source=Given('file', SAVED, source.sha256)))}."
    )


def _told_of_report(order: Order) -> list[str]:
    told = []
    if order.x is not None:
        labels = "" if order.labels is None else f", and as y the labels, {described(order.labels)}"
        told.append(
            f"{stimulus_name(order)} is an .npz file with the samples as x, or as x.NAME for each of several "
            f"inputs{labels}; its first {count(order.x)} are {described(order.x)}."
        )
    if order.verification is not None:
        told.append(
            "What verify found was handed in from Python: hand your own in as verification; no command line can say it."
        )
    if order.traces:
        engines = ", ".join(trace.engine for trace in order.traces)
        told.append(
            f"Runs were handed in from Python, of {engines}: hand your own in as traces; no command line can say it."
        )
        if order.labels is not None and order.x is None:
            told.append(f"So were labels, {described(order.labels)}.")
    return told


def described(x: Any) -> str:
    """What an array is, so that the same one can be recognised; of several inputs, each."""
    if isinstance(x, Mapping):
        return "; ".join(f"{name} {described(np.asarray(array))}" for name, array in x.items())
    digest = sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    return f"{x.dtype} {x.shape}, SHA-256 {digest[:16]}…"
