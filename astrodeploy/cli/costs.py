"""Estimates as tables, and the options that only `estimate` has."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from astrodeploy.cli.screen import percent, say, si, span, table
from astrodeploy.costs import SETTINGS, Span
from astrodeploy.errors import InputError

if TYPE_CHECKING:
    from astrodeploy.costs import Case, Estimate, WhatIf

MOST_CORES = 12  # that are listed


def varied(texts: Sequence[str]) -> dict[str, list[int | float | str]]:
    """What to vary, from texts such as "steps=8,16". Raises InputError."""
    found: dict[str, list[int | float | str]] = {}
    for text in texts:
        setting, equals, values = text.partition("=")
        parts = [each.strip() for each in values.split(",") if each.strip()]
        if setting not in SETTINGS or not equals or not parts:
            raise InputError(
                f"--what-if takes {', '.join(SETTINGS)} and values, such as steps=8,16, not {text!r}"
            )
        found.setdefault(setting, []).extend(_value(setting, each) for each in parts)
    return found


def _value(setting: str, text: str) -> int | float | str:
    if setting not in ("steps", "rate"):
        return text
    try:
        return int(text) if setting == "steps" else float(text)
    except ValueError:
        what = "whole numbers" if setting == "steps" else "numbers in 0..1"
        raise InputError(f"--what-if {setting}= takes {what}, not {text!r}") from None


def show_estimate(estimate: "Estimate") -> None:
    """Energy and latency with their range, parts, layers, cores, and how sure they are."""
    plural = "s" * (estimate.steps != 1)
    say(f"one inference on {estimate.target}, {estimate.steps} step{plural}; {estimate.basis_text}")
    timing = "" if estimate.timing == "largest" else f", timing {estimate.timing}"
    say(f"cost model {estimate.model}{timing}; {_in_use(estimate)}")
    table("cost of an inference", ("what", ">typical (low to high)"), _whole(estimate))
    shares = ", ".join(f"{name} {percent(share)}" for name, share in estimate.bounds.items() if share)
    say(f"the steps last as long as: {shares or 'nothing happens in them'}")
    say(estimate.clearing_text)
    if estimate.host_text:
        say(estimate.host_text)
    _split("operations by event", "event", estimate.operations.items())
    _split("operations by layer", "layer", estimate.by_layer.items())
    dearest = sorted(estimate.by_core.items(), key=lambda each: (-each[1].typical, each[0]))
    some = f", the dearest {MOST_CORES} of {len(dearest)}" if len(dearest) > MOST_CORES else ""
    _split(f"operations by core{some}", "core", dearest[:MOST_CORES])
    table(
        "constants",
        ("constant", ">low", ">typical", ">high", "quality", "source"),
        [
            (c.name, f"{c.low:.4g}", f"{c.typical:.4g}", f"{c.high:.4g}", c.quality, c.source)
            for c in estimate.constants
        ],
    )


def _in_use(estimate: "Estimate") -> str:
    cores = f"{estimate.cores} core{'s' * (estimate.cores != 1)}"
    chips = f"{estimate.chips} chip{'s' * (estimate.chips != 1)}"
    idle = f", {estimate.idle_chips} more idle" if estimate.idle_chips else ""
    return f"{cores} on {chips} in use{idle}"


def _whole(estimate: "Estimate") -> list[tuple[str, str]]:
    alone = _alone(estimate)
    rows = [(f"energy{alone}", _span(estimate.energy_joules, "J"))]
    rows += [(f"  {name}", _span(s, "J")) for name, s in estimate.parts.items()]
    rows.append((f"latency{alone}", _span(estimate.latency_seconds, "s")))
    if estimate.clearing_seconds.high:
        rows.append(("  steps", _span(estimate.steps_seconds, "s")))
        rows.append(("  clearing between samples", _span(estimate.clearing_seconds, "s")))
    rows.append((f"inferences, one after the other{alone}", _span(estimate.inferences_per_second, "/s")))
    rows.append((f"power then{alone}", _span(estimate.power_watts, "W")))
    if estimate.idle_chips:
        rows.append(("not in it: idle chips, static", _span(estimate.idle_chips_joules, "J")))
    if estimate.host_text:
        time = f"{si(estimate.host_seconds, 's')} on this machine, measured"
        rows.append(("not in it: ordinary layers on the host", f"{time}; energy not known"))
    share = f", {percent(estimate.astrocyte_share)} of the operations"
    rows.append(("of which astrocytes", _span(estimate.astrocyte_joules, "J") + share))
    return rows


def _alone(estimate: "Estimate") -> str:
    """What is said of a number that holds the chip's part only, where the host has one too."""
    return ", chip alone" if estimate.host_text else ""


def show_cases(found: "WhatIf") -> None:
    """A row for the estimate as it is, and one for every case."""
    rows = [("as it is", *_case(found.base))]
    rows += [(f"{case.setting} {case.value}", *_told(case)) for case in found.cases]
    alone = _alone(found.base)
    energy, latency = (f">{what}{alone} (low to high)" for what in ("energy", "latency"))
    columns = ("what if", energy, latency, ">power", "events")
    table("one thing changed at a time", columns, rows)
    for case in found.cases:
        if case.reason:
            say(f"{case.setting} {case.value}: {case.reason}")


def _told(case: "Case") -> tuple[str, ...]:
    return ("-",) * 4 if case.estimate is None else _case(case.estimate)


def _case(estimate: "Estimate") -> tuple[str, ...]:
    energy, latency = _span(estimate.energy_joules, "J"), _span(estimate.latency_seconds, "s")
    return energy, latency, si(estimate.power_watts.typical, "W"), estimate.basis


def _split(title: str, column: str, parts: Iterable[tuple[object, Span]]) -> None:
    table(title, (column, ">energy"), [(name, _span(s, "J")) for name, s in parts])


def _span(each: Span, unit: str) -> str:
    return span(each.low, each.typical, each.high, unit)
