"""Numbers of a chip's file: a value or a range, where it stands, and how sure it is."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Quality = Literal["published", "derived", "calibrated", "assumed"]


class Data(BaseModel):
    """A table of a file: every key is known, and of its exact type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


LARGEST_COST = (
    1e15  # of any unit: a thousand joules or eleven days an event; sums of larger ones could overflow
)
Finite = Annotated[float, Field(ge=0, le=LARGEST_COST)]


class Number(Data):
    """A whole number, where it stands, and how sure it is."""

    value: Annotated[int, Field(ge=0, le=1 << 48)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality

    @property
    def doubt(self) -> str:
        """Where it stands, in brackets, of a limit that nobody has published; nothing of a published one."""
        if self.quality == "published":
            return ""
        return f" (a{'n' * (self.quality == 'assumed')} {self.quality} limit: {self.source})"


class Cost(Data):
    """A cost as a range, where it stands, and how sure it is."""

    low: Finite
    typical: Finite
    high: Finite
    source: Annotated[str, Field(min_length=1)]
    quality: Quality

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.typical <= self.high:
            raise ValueError(f"low <= typical <= high is needed, not {self.low}, {self.typical}, {self.high}")
        return self


class Instructions(Data):
    """The chip's instructions that do one of our operations."""

    instructions: Annotated[tuple[str, ...], Field(strict=False)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality
