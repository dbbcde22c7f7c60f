"""One HTML page of the reference systems: what each README says it measured, and its figure.

python models/gallery.py -o build/models/gallery.html
"""

import argparse
from pathlib import Path

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

MODELS = Path(__file__).resolve().parent
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
ORDER = ("hybrid", "transformer", "amsnet", "memory", "tripartite", "combra")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>astrodeploy: reference systems</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
 nav a { margin-right: 1rem } h1, h2, h3 { line-height: 1.2 } section { border-top: 1px solid #d5dce4; margin-top: 3rem }
 table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; display: block; overflow-x: auto }
 th, td { padding: .25rem .6rem; border-bottom: 1px solid #e3e8ee; text-align: left; vertical-align: top }
 th { background: #f4f6f9 } figure { margin: 1rem 0 } figure svg { max-width: 100%; height: auto } code { font-size: 13px }
</style></head><body>
<h1>Reference systems</h1>
<p>From paper to chip: what each of them was measured to do, beside what its paper claims. Every number here is
written by <code>make models</code>; how each system is built, and why, stands in its README.</p>
<nav>{% for each in systems %}<a href="#{{ each.name }}">{{ each.title }}</a>{% endfor %}</nav>
{% for each in systems %}
<section id="{{ each.name }}"><h2>{{ each.title }}</h2>
{{ each.introduction }}
{% if each.figure %}<figure>{{ each.figure }}</figure>{% endif %}
{{ each.measured }}
<p>Train it: <code>astrodeploy train {{ each.name }}</code> &middot; described in <code>models/{{ each.name }}/README.md</code></p>
</section>
{% endfor %}
</body></html>
"""


def write_gallery(path: Path) -> None:
    """Write the page, whole or not at all."""
    environment = Environment(autoescape=True)
    systems = [_system(MODELS / name) for name in ORDER if (MODELS / name / "README.md").exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.write_text(environment.from_string(PAGE).render(systems=systems), encoding="utf-8")
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
