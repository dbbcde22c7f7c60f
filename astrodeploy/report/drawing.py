"""A drawing of the network: populations in columns by depth, connections as curves between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from astrodeploy.ir import Connection, Graph, Population
from astrodeploy.report.tables import kind_name, role, synapses
from astrodeploy.report.text import count

WIDTH, HEIGHT = 148, 58  # of a box
ACROSS, DOWN = 104, 66  # between boxes
MARGIN = 12
APART = 22  # half the distance of two curves between the same boxes
LIFT = 74  # how far a curve swings out of the way of boxes between its ends
MOST_POPULATIONS, MOST_COLUMNS = 24, 8
LONGEST_NAME = 19


@dataclass(frozen=True)
class Box:
    """A population; x and y are its upper left corner."""

    name: str
    label: str
    kind: str
    role: str
    neurons: int
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
    above = LIFT if any(_swings(c, boxes) or c.source == c.target for c in network.connections) else 0
    below = LIFT if any(_backward(c, boxes) for c in network.connections) else 0
    view = (-MARGIN, -MARGIN - above, right + 2 * MARGIN, bottom + 2 * MARGIN + above + below)
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
        kind=kind_name(population),
        role=role(network, population),
        neurons=population.size,
        column=population.depth,
        row=row,
        x=population.depth * (WIDTH + ACROSS),
        y=row * (HEIGHT + DOWN),
    )


def _swings(connection: Connection, boxes: Mapping[str, Box]) -> bool:
    """Whether a curve leads forward over boxes between its ends."""
    a, b = boxes[connection.source], boxes[connection.target]
    return b.column > a.column + 1


def _backward(connection: Connection, boxes: Mapping[str, Box]) -> bool:
    return boxes[connection.target].column < boxes[connection.source].column


def _curve(connection: Connection, boxes: Mapping[str, Box], network: Graph) -> Curve:
    a, b = boxes[connection.source], boxes[connection.target]
    if a is b:
        path, x, y, anchor = _around(a)
    elif a.column == b.column:
        path, x, y, anchor = _vertical(a, b)
    elif _backward(connection, boxes):
        path, x, y, anchor = _under(a, b)
    else:
        path, x, y, anchor = _forward(a, b, LIFT if _swings(connection, boxes) else 0)
    slow = network[a.name].is_astrocyte or network[b.name].is_astrocyte
    label = connection.port if slow else f"{count(synapses(connection))} syn."
    if connection.delay > 1:
        label += f", delay {connection.delay}"
    return Curve(path, slow, label, connection.name, x, y, anchor)


def _forward(a: Box, b: Box, lift: float) -> tuple[str, float, float, str]:
    """From a's right side to b's left side, or from top to top over what lies between."""
    if lift:
        x1, x2, top = a.x + WIDTH * 0.75, b.x + WIDTH * 0.25, min(a.y, b.y) - lift
        path = f"M{x1:g} {a.y:g}C{x1 + ACROSS:g} {top:g} {x2 - ACROSS:g} {top:g} {x2:g} {b.y:g}"
        return path, (x1 + x2) / 2, (a.y + b.y) / 8 + top * 0.75 - 6, "middle"
    x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2
    path = f"M{x1:g} {y1:g}C{x1 + ACROSS / 2:g} {y1:g} {x2 - ACROSS / 2:g} {y2:g} {x2:g} {y2:g}"
    return path, (x1 + x2) / 2 - (10 if y1 != y2 else 3), (y1 + y2) / 2 - 8, "end" if y1 != y2 else "middle"


def _vertical(a: Box, b: Box) -> tuple[str, float, float, str]:
    """Within a column: down on the left, up on the right, bulging where boxes lie between."""
    down = b.y > a.y
    side = -1 if down else 1
    x = a.x + WIDTH / 2 + side * APART
    y1, y2 = (a.y + HEIGHT, b.y) if down else (a.y, b.y + HEIGHT)
    bulge = 0 if abs(a.row - b.row) == 1 else WIDTH * 0.75
    path = f"M{x:g} {y1:g}C{x + side * bulge:g} {(2 * y1 + y2) / 3:g} {x + side * bulge:g} {(y1 + 2 * y2) / 3:g} {x:g} {y2:g}"
    return path, x + side * (0.75 * bulge + 7), (y1 + y2) / 2 + 4, "end" if down else "start"


def _under(a: Box, b: Box) -> tuple[str, float, float, str]:
    """Back to an earlier column, below both boxes."""
    x1, y1, x2, y2 = a.x + WIDTH / 2, a.y + HEIGHT, b.x + WIDTH / 2 + APART, b.y + HEIGHT
    low = max(y1, y2) + LIFT
    path = f"M{x1:g} {y1:g}C{x1 - APART:g} {low:g} {x2 + APART:g} {low:g} {x2:g} {y2:g}"
    return path, (x1 + x2) / 2, (y1 + y2) / 8 + low * 0.75 + 14, "middle"


def _around(a: Box) -> tuple[str, float, float, str]:
    """From a box to itself, over its top."""
    x, top = a.x + WIDTH / 2, a.y - LIFT * 0.8
    path = f"M{x - APART:g} {a.y:g}C{x - 2 * APART:g} {top:g} {x + 2 * APART:g} {top:g} {x + APART:g} {a.y:g}"
    return path, x, a.y - LIFT * 0.6 - 6, "middle"
