"""what_if: the same estimate with one thing changed at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from astrodeploy.brief import listed, plural, short
from astrodeploy.chip import Board, load_target
from astrodeploy.costs.answer import Estimate
from astrodeploy.costs.estimating import estimate
from astrodeploy.costs.moving import OtherChip
from astrodeploy.errors import DoesNotFit, InputError
from astrodeploy.program import Program
from astrodeploy.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

SETTINGS = ("steps", "rate", "board", "model", "timing")
Value = int | float | str


@dataclass(frozen=True)
class Case:
    """One setting with another value, and what an inference costs then: None where `reason` says why not."""

    setting: str
    value: Value
    estimate: Estimate | None
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.setting}={self.value}"

    def __repr__(self) -> str:
        return f"<Case {short(str(self))}: {short(self.reason, 160) if self.estimate is None else self.estimate!r}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: without the numbers that all cases share."""
        told: dict[str, Any] = {"setting": self.setting, "value": self.value, "reason": self.reason}
        if self.estimate is not None:
            whole = self.estimate.to_dict()
            told |= {
                k: whole[k] for k in ("target", "model", "timing", "steps", "basis", "basis_text", "parts")
            }
            told |= {
                k: whole[k]
                for k in (
                    "energy_joules",
                    "latency_seconds",
                    "clearing_seconds",
                    "power_watts",
                    "inferences_per_second",
                )
            }
        return told


@dataclass(frozen=True)
class WhatIf:
    """An estimate, and the cases beside it."""

    base: Estimate
    cases: tuple[Case, ...]

    def __repr__(self) -> str:
        return f"<WhatIf: {plural(len(self.cases), 'case')}: {listed(map(str, self.cases))}\n {self.base!r}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: the estimate's, and the cases under "what_if"."""
        return self.base.to_dict() | {"what_if": [case.to_dict() for case in self.cases]}


def what_if(
    program: Program,
    x: "npt.ArrayLike | Trace | None" = None,
    *,
    rates: float | Mapping[str, float] | None = None,
    steps: int | None = None,
    model: str | None = None,
    timing: str = "largest",
    carry: tuple[str, ...] = (),
    vary: Mapping[str, Sequence[Value]],
) -> WhatIf:
    """An estimate as `estimate` makes it, and one for every value in `vary`, all else as it is.

    A batch is run with `steps` and `carry` as `Program.run` has them.

    vary  "steps"  that a sample is shown, where rates are given or an encoder shows it
          "rate"   messages per neuron and step of every layer, assumed in place of what was given or counted
          "board"  by name or .toml file: the same mapping there, where its chip is the same and it fits
          "model"  cost models of the chip, and "timing": how a step's time is put together

    Raises InputError and its kinds for a wrong setting or value; why a board does not do stands in its case.
    """
    if unknown := sorted(set(vary) - set(SETTINGS)):
        raise InputError(f"what-if changes {', '.join(SETTINGS)}, not {', '.join(unknown)}")
    given = _Given(program, x, rates, steps, model, timing, carry)
    return WhatIf(given.estimate(), tuple(given.case(k, v) for k, values in vary.items() for v in values))


@dataclass(frozen=True, eq=False)
class _Given:
    """What was asked; a batch is run once for all cases with its steps."""

    program: Program
    x: Any
    rates: float | Mapping[str, float] | None
    steps: int | None
    model: str | None
    timing: str
    carry: tuple[str, ...]

    @cached_property
    def trace(self) -> Trace | None:
        """The run that events are counted in; None with rates."""
        if self.x is None or isinstance(self.x, Trace):
            return self.x
        return self.program.run(self.x, steps=self.steps, carry=self.carry)

    def estimate(self, board: Board | None = None) -> Estimate:
        """As asked, perhaps on another board."""
        return estimate(
            self.program,
            self.trace,
            rates=self.rates,
            steps=None if self.rates is None else self.steps,
            model=self.model,
            timing=self.timing,
            board=board,
        )

    def case(self, setting: str, value: Value) -> Case:
        """With one thing changed."""
        if setting == "board":
            return self._on_board(value)
        return Case(setting, value, self._changed(setting, value).estimate())

    def _changed(self, setting: str, value: Value) -> "_Given":
        match setting:
            case "steps":
                return self._with_steps(value)
            case "rate":
                return self._with_rate(value)
            case "model":
                return self._as_run(model=value)
            case _:
                return self._as_run(timing=value)

    def _as_run(self, **changed: Any) -> "_Given":
        """With another account of the same events."""
        model, timing = changed.get("model", self.model), changed.get("timing", self.timing)
        return replace(self, x=self.trace, model=model, timing=timing)

    def _with_steps(self, steps: Any) -> "_Given":
        if isinstance(self.x, Trace):
            raise InputError(
                "what if steps were others needs the batch itself, or rates: a Trace has its own"
            )
        return replace(self, steps=steps)

    def _with_rate(self, rate: Any) -> "_Given":
        steps = self.steps if self.trace is None else self.trace.steps
        return replace(self, x=None, rates=rate, steps=steps)

    def _on_board(self, name: Any) -> Case:
        board = load_target(name)
        try:
            return Case("board", str(name), self.estimate(board))
        except (DoesNotFit, OtherChip) as error:
            return Case("board", str(name), None, str(error))
