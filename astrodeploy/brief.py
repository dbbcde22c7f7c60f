"""Objects in a few lines, as a notebook or a debugger shows them: what they are, never all that they hold."""

from collections.abc import Iterable, Sequence

MOST = 8  # of a list that are named
LONGEST = 48  # characters of a name


def short(text: str, longest: int = LONGEST) -> str:
    """A name in one line; the middle of a long one is left out."""
    line = " ".join(text.split())
    half = (longest - 3) // 2
    return line if len(line) <= longest else f"{line[:half]}...{line[-half:]}"


def listed(items: Iterable[str], most: int = MOST) -> str:
    """Names, the first ones and the last where there are many; how many are left out."""
    names = [short(each) for each in items]
    if len(names) > most:
        left = len(names) - most
        names = [*names[: most - 1], f"... {left} more ...", names[-1]]
    return ", ".join(names) or "none"


def plural(number: int, what: str) -> str:
    """`1 core`, `2 cores`."""
    return f"{number} {what}{'s' * (number != 1)}"


def shape_text(shape: Sequence[int]) -> str:
    """`4x8x8`; `()` of a single number."""
    return "x".join(map(str, shape)) or "()"
