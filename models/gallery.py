"""One HTML page of the reference systems: what each README says it measured, and its figure.

python models/gallery.py -o build/models/gallery.html
"""

import argparse
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from astrodeploy.optional import missing

try:
    from markdown_it import MarkdownIt
except ModuleNotFoundError as error:
    raise missing(error) or error from None

MODELS = Path(__file__).resolve().parent
TEMPLATE = MODELS / "gallery.html.j2"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
ORDER = ("hybrid", "transformer", "amsnet", "memory", "tripartite", "combra")


def write_gallery(path: Path) -> None:
    """Write the page, whole or not at all."""
    environment = Environment(autoescape=True)
    systems = [_system(MODELS / name) for name in ORDER if (MODELS / name / "README.md").exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.write_text(
        environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(systems=systems),
        encoding="utf-8",
    )
    fresh.replace(path)


def _system(folder: Path) -> dict[str, object]:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    title, _, rest = readme.partition("\n")
    introduction = rest.strip().split("\n\n")[0]
    measured = readme.partition(BEGIN)[2].partition(END)[0]
    figure = folder / "figure.svg"
    return {
        "name": folder.name,
        "title": title.lstrip("# "),
        "introduction": _html(introduction),
        "measured": _html("\n".join(line for line in measured.splitlines() if not line.startswith("!["))),
        "trained": (folder / "train.py").exists(),
        "figure": Markup(_drawing(figure, folder.name)) if figure.exists() else "",
    }


def _html(markdown: str) -> Markup:
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))


def _drawing(figure: Path, name: str) -> str:
    """An SVG without its head, its ids made its own: several stand on one page."""
    text = figure.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    for mark in ('id="', 'href="#', "url(#"):
        text = text.replace(mark, f"{mark}{name}-")
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("build/models/gallery.html"))
    write_gallery(parser.parse_args().out)
