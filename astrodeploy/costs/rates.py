"""Rates of every layer, from those that are stated."""

from collections.abc import Mapping, Sequence
from typing import Any

from astrodeploy import arguments
from astrodeploy.errors import InputError
from astrodeploy.ir import Graph, Population
from astrodeploy.program import Program


def all_rates(program: Program, rates: float | Mapping[str, float]) -> dict[str, float]:
    """Messages per neuron and step of every layer but those that send by their own clock.

    Stated are those of the network that was compiled; layers that compiling added follow from them. Raises InputError.
    """
    network = program.network
    meant = {p.name for p in program.reference.populations}
    layers = [p for p in network.populations if not p.keeps_time]
    asked = [p.name for p in layers if p.name in meant]
    if not isinstance(rates, Mapping):
        rates = dict.fromkeys(asked, rates)
    unknown = [str(name) for name in rates if name not in {p.name for p in layers}]
    if unknown:
        clocked = any(p.name in unknown for p in network.populations)
        raise InputError(
            f"there is no layer {', '.join(map(repr, unknown))}: " * (not clocked)
            + f"rates are taken of {', '.join(asked)}, not of {', '.join(unknown)}"
            + ": the others send by their own clock" * clocked
        )
    if missing := [name for name in asked if name not in rates]:
        raise InputError(f"rates are needed for {', '.join(asked)}; that of {', '.join(missing)} is missing")
    for name, rate in rates.items():
        if not arguments.is_number(rate) or not 0 <= rate <= 1:
            raise InputError(
                f"the rate of {name} must lie in 0..1 messages per neuron and step, not {_told(rate)}"
            )
    known = {name: float(rate) for name, rate in rates.items()}
    for layer in layers:
        known[layer.name] = _rate(network, layer, known)
    return {layer.name: known[layer.name] for layer in layers}


def stated(program: Program, texts: Sequence[str]) -> dict[str, float]:
    """Rates as they are written: "0.1" for every layer, "layer=0.05" for one; the latter count more.

    Raises InputError.
    """
    general, named = {}, {}
    own = {p.name for p in program.network.populations if p.keeps_time}
    asked = [name for name in program.reference.layers if name not in own]
    for text in texts:
        layer, equals, number = text.rpartition("=")
        try:
            rate = float(number)
        except ValueError:
            raise InputError(f"--rate takes a number, or layer=number, not {text!r}") from None
        if equals:
            named[layer] = rate
        else:
            general = dict.fromkeys(asked, rate)
    return general | named


def _told(rate: Any) -> str:
    return f"{rate:g}" if arguments.is_number(rate) else repr(rate)


def _rate(network: Graph, layer: Population, known: dict[str, float]) -> float:
    """As stated; else a relay sends what its source sends, and what nothing arrives at fires always."""
    if layer.name in known:
        return known[layer.name]
    sources = [known[c.source] for c in network.into(layer.name) if c.source in known]
    return max(sources, default=1.0)
