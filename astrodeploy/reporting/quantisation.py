"""The report's tables of quantisation: what every layer and its weights lost, and how far it is from float."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from astrodeploy.distance import Distance, LayerDistance
from astrodeploy.program import Note, Program


@dataclass(frozen=True)
class Weights:
    """A connection: its exponent, and the shares of its weights that are changed."""

    name: str
    exponent: int
    changed: float
    zeroed: float
    saturated: float
    largest_error: float


@dataclass(frozen=True)
class Rounded:
    """A layer: integers that make 1.0 of its membrane, and the relative errors of its parameters.

    own_error  of its spike counts or values when it is fed as in the float network, on calibration data;
               None without them
    distance   from float within the network, on the samples of the report; None where none were run
    """

    name: str
    scale: float
    errors: Mapping[str, float]
    own_error: float | None
    distance: LayerDistance | None


PARAMETERS = ("threshold", "dv", "du", "bias", "modulated_bias")


def weights(program: Program) -> list[Weights]:
    """One record a connection that was quantised."""
    return [
        Weights(
            name=note.subject,
            exponent=int(note.values["exponent"]),
            changed=note.values["changed"],
            zeroed=note.values["rounded to zero"],
            saturated=note.values["saturated"],
            largest_error=note.values["largest error"],
        )
        for note in _notes(program)
        if {"exponent", "changed", "rounded to zero", "saturated"} <= set(note.values)
    ]


def layers(program: Program, distance: Distance | None) -> list[Rounded]:
    """One record a layer of neurons."""
    found = {each.name: each for each in distance.layers} if distance else {}
    own = {note.subject: note.values["own error"] for note in _notes(program) if "own error" in note.values}
    return [
        Rounded(
            name=note.subject,
            scale=note.values["scale"],
            errors={key: note.values.get(key, 0.0) for key in PARAMETERS},
            own_error=own.get(note.subject),
            distance=found.get(note.subject),
        )
        for note in _notes(program)
        if "scale" in note.values
    ]


def _notes(program: Program) -> Iterator[Note]:
    return (note for report in program.passes if report.name == "quantise" for note in report.notes)
