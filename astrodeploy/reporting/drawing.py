"""A drawing of the network: populations in columns by depth, connections as curves between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from astrodeploy.ir import Connection, Graph, Population
from astrodeploy.reporting.tables import kind_name, role, synapses
from astrodeploy.reporting.text import count

WIDTH, HEIGHT = 148, 58  # of a box
ACROSS, DOWN = 104, 66  # between boxes
MARGIN = 12
APART = 22  # half the distance of two curves between the same boxes
LIFT = 76  # how far a curve swings above the boxes, and how much farther for each column that it crosses
FARTHER = 40
MOST_POPULATIONS, MOST_COLUMNS = 24, 8
LONGEST_NAME = 17

Route = tuple[str, float, float, str]  # a path, where its label stands, and the label's anchor


@dataclass(frozen=True)
class Box:
    """A population; x and y are its upper left corner."""

    name: str
    label: str
    what: str
    role: str
    column: int
    row: int
    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """A connection: the path, what stands beside it at (x, y) with its anchor, and its whole name."""

    path: str
    slow: bool
    label: str
    name: str
    x: float
    y: float
    anchor: str = "middle"


@dataclass(frozen=True)
class Drawing:
    """Boxes and curves; `view` is the SVG's view box: left, top, width, height."""

    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    view: tuple[float, float, float, float]


def draw(network: Graph) -> Drawing | None:
    """The network, or None where it is too large for a drawing that can be read."""
    if len(network.populations) > MOST_POPULATIONS or network.depth >= MOST_COLUMNS:
        return None
    boxes = _boxes(network)
    curves = tuple(_curve(c, boxes, network) for c in network.connections)
    right = max(box.x for box in boxes.values()) + WIDTH
    bottom = max(box.y for box in boxes.values()) + HEIGHT
    above = max((_height(c, boxes) for c in network.connections), default=0)
    view = (-MARGIN, -MARGIN - above, right + 2 * MARGIN, bottom + 2 * MARGIN + above)
    return Drawing(tuple(boxes.values()), curves, view)


def _boxes(network: Graph) -> dict[str, Box]:
    rows: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for population in sorted(network.populations, key=lambda p: (p.depth, p.is_astrocyte)):
        row = rows.get(population.depth, 0)
        rows[population.depth] = row + 1
        boxes[population.name] = _box(network, population, row)
    return boxes


def _box(network: Graph, population: Population, row: int) -> Box:
    name = population.name
    return Box(
        name=name,
        label=name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…",
        what=f"{count(population.size)} · {kind_name(population)}",
        role=role(network, population),
        column=population.depth,
        row=row,
        x=population.depth * (WIDTH + ACROSS),
        y=row * (HEIGHT + DOWN),
    )


def _height(connection: Connection, boxes: Mapping[str, Box]) -> int:
    """How high above its ends a curve's control points lie: 0 where it needs no way around."""
    across = boxes[connection.target].column - boxes[connection.source].column
    if across == 1 or (across == 0 and connection.source != connection.target):
        return 0
    return LIFT + FARTHER * max(0, abs(across) - 1)


def _curve(connection: Connection, boxes: Mapping[str, Box], network: Graph) -> Curve:
    a, b = boxes[connection.source], boxes[connection.target]
    if height := _height(connection, boxes):
        path, x, y, anchor = _over(a, b, height)
    elif a.column == b.column:
        path, x, y, anchor = _vertical(a, b)
    else:
        path, x, y, anchor = _forward(a, b)
    slow = network[a.name].is_astrocyte or network[b.name].is_astrocyte
    label = connection.port if slow else f"{count(synapses(connection))} syn."
    if connection.delay > 1:
        label += f", delay {connection.delay}"
    return Curve(path, slow, label, connection.name, x, y, anchor)


def _forward(a: Box, b: Box) -> Route:
    """From a's right side to b's left side, in the next column."""
    x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2
    path = f"M{x1:g} {y1:g}C{x1 + ACROSS / 2:g} {y1:g} {x2 - ACROSS / 2:g} {y2:g} {x2:g} {y2:g}"
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return (path, x - 3, y - 8, "middle") if y1 == y2 else (path, x - 10, y, "end")


def _over(a: Box, b: Box, height: float) -> Route:
    """From top to top: over what lies between, back to an earlier column, or around to the box itself."""
    side = -1 if b.column < a.column else 1
    out, wide = (WIDTH / 4, 40) if a is not b else (-APART, -APART)
    x1, x2, top = a.x + WIDTH / 2 + side * out, b.x + WIDTH / 2 - side * out, min(a.y, b.y) - height
    path = f"M{x1:g} {a.y:g}C{x1 + side * wide:g} {top:g} {x2 - side * wide:g} {top:g} {x2:g} {b.y:g}"
    return path, (x1 + x2) / 2, (a.y + b.y) / 8 + top * 0.75 - 6, "middle"


def _vertical(a: Box, b: Box) -> Route:
    """Within a column: down on the left, up on the right, bulging where boxes lie between."""
    side = -1 if b.y > a.y else 1
    x = a.x + WIDTH / 2 + side * APART
    y1, y2 = (a.y + HEIGHT, b.y) if b.y > a.y else (a.y, b.y + HEIGHT)
    bulge = 0 if abs(a.row - b.row) == 1 else WIDTH * 0.75
    away = f"{x + side * bulge:g}"
    path = f"M{x:g} {y1:g}C{away} {(2 * y1 + y2) / 3:g} {away} {(y1 + 2 * y2) / 3:g} {x:g} {y2:g}"
    return path, x + side * (0.75 * bulge + 7), (y1 + y2) / 2 + 4, "end" if side < 0 else "start"
