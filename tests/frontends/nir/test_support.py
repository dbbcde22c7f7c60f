"""The README's table of NIR nodes says what really becomes of them."""

from pathlib import Path

from astrodeploy.frontends.nir.support import support

README = Path(__file__).parents[3] / "README.md"


def told():
    """(node, chip) -> the first word of the README's cell."""
    lines = [line for line in README.read_text().splitlines() if line.startswith("|")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| node |"))
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:])
    found = {}
    for row in rows[1:]:
        if len(row) != len(head):
            break
        found |= {(row[0], chip): cell.split(":")[0] for chip, cell in zip(head[1:], row[1:], strict=True)}
    return found


def test_the_table_of_the_readme_is_true():
    expected = {(s.node, s.chip): s.status for s in support() if s.chip in ("loihi1", "loihi2")}
    assert told() == expected
    assert len(expected) > 40
