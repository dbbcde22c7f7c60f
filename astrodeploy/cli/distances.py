"""How far a Program is from the float network, as tables."""

from typing import TYPE_CHECKING

from astrodeploy.cli.screen import percent, say, table

if TYPE_CHECKING:
    from astrodeploy.distance import Cause, Distance, LayerDistance


def show_distance(distance: "Distance") -> None:
    """By cause, with the accuracy of every stage where there are labels, and by layer."""
    labelled = distance.exact is not None
    columns = ["cause", ">spikes differing", ">share", ">membrane rms / threshold", ">predictions changed"]
    rows = [_cause(each, labelled) for each in (*distance.causes, distance.total)]
    table("distance between quantised and float, by cause", [*columns, *[">accuracy"] * labelled], rows)
    if distance.exact is not None:
        say(f"accuracy is that with the cause; with none of them, solved exactly, {percent(distance.exact)}")
    columns = ["layer", ">spikes float", ">on chip", ">counts off by", "first divergence", *_SHORT]
    table("by layer", columns, [_layer(each) for each in distance.layers])
    for layer, counts in distance.bounded.items():
        say(f"{layer}: " + ", ".join(f"{count} values met {what}" for what, count in counts.items()))


_SHORT = (">discretisation", ">parameters", ">states", ">saturation")


def _cause(each: "Cause", labelled: bool) -> tuple[object, ...]:
    changed = f"{each.predictions} of {each.samples}"
    row = (each.name, each.spikes, percent(each.share), f"{each.membrane:.4g}", changed)
    return (*row, "-" if each.accuracy is None else percent(each.accuracy)) if labelled else row


def _layer(each: "LayerDistance") -> tuple[object, ...]:
    first, sends = each.first, each.spikes or each.on_chip
    where = "-" if first is None else f"sample {first.sample}, step {first.step}, neuron {first.neuron}"
    # of spikes the share that differs, of a membrane that is sent its error in units of the float network
    gaps = (percent(gap.share) if sends else f"{gap.membrane:.3g}" for gap in each.causes)
    return each.name, each.spikes, each.on_chip, percent(each.counts), where, *gaps
