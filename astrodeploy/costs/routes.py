"""Messages on their way: hops, links between tiles, and interfaces between chips.

A message goes along its row of tiles first, then along a column (XY); the mesh of a board is that of its
chips side by side. Between two neighbouring chips there is one interface each way, which all their rows
(or columns) of tiles share. The input's messages enter at the first tile of the chip that they go to,
where its processors hand them in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from astrodeploy.chip import LEVELS, Board, CostModel
from astrodeploy.costs.placed import OUTSIDE, Placed, Wired
from astrodeploy.ir.arrays import FloatArray, IntArray

CHUNK = 1 << 22  # numbers that are held at a time, where there are rows or links times moments


@dataclass(frozen=True, eq=False)
class Ways:
    """From where to where, (2, n) each: columns and rows of tiles, and of chips."""

    start: IntArray
    stop: IntArray
    first_chip: IntArray
    last_chip: IntArray

    @classmethod
    def of(cls, placed: Placed, wired: Wired) -> "Ways":
        """The ways of a connection's rows of messages."""
        outside = wired.senders == OUTSIDE
        chips = placed.chips[wired.receivers]
        entry = placed.board.tiles(chips * placed.board.chip.limits.cores.value)
        last = placed.board.chip_places(chips)
        sender = np.where(outside, 0, wired.senders)
        first = placed.board.chip_places(placed.chips[sender])
        return cls(
            np.where(outside, entry, placed.tiles[:, sender]),
            placed.tiles[:, wired.receivers],
            np.where(outside, last, first),
            last,
        )

    @property
    def hops(self) -> IntArray:
        """Tiles that a message crosses, east or west and north or south, (2, n)."""
        return np.asarray(np.abs(self.stop - self.start))

    @property
    def crossings(self) -> IntArray:
        """Chips that it leaves for a neighbour, (n,)."""
        return np.asarray(np.abs(self.last_chip - self.first_chip).sum(0))


class Links:
    """The links between tiles, and how many messages each carries.

    Ways from the same tile to the same tile are one.
    """

    def __init__(self, board: Board, ways: Sequence[Ways]) -> None:
        self.board = board
        joined = [
            np.concatenate([getattr(w, name) for w in ways], axis=1) for name in Ways.__dataclass_fields__
        ]
        ends = np.concatenate(joined[:2])
        key = np.ravel_multi_index(tuple(ends), tuple(ends.max(1, initial=0) + 1))
        _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
        self.ways = Ways(*(each[:, first] for each in joined))
        self._of_row = np.split(of_row, np.cumsum([w.start.shape[1] for w in ways])[:-1])

    @property
    def count(self) -> int:
        """How many ways there are."""
        return int(self.ways.start.shape[1])

    def rows(self, number: int) -> "scipy.sparse.csr_array":
        """The rows of messages of a connection that go each way, (ways, rows)."""
        way = self._of_row[number]
        return scipy.sparse.csr_array((np.ones(way.size), (way, np.arange(way.size))), (self.count, way.size))

    @cached_property
    def _window(self) -> tuple[IntArray, IntArray]:
        """The first column and row of all ways, and how many there are of each."""
        both = np.concatenate([self.ways.start, self.ways.stop], axis=1)
        if not both.size:  # a network whose weights are all 0 sends nothing anywhere
            return np.zeros(2, np.int64), np.ones(2, np.int64)
        low = both.min(1)
        return low, both.max(1) - low + 1

    @cached_property
    def _changes(self) -> "scipy.sparse.csr_array":
        """What a message on every way adds where it begins to use a line of links, and takes back where it ends.

        (directions * rows * columns, ways); directions are east, west, north and south.
        """
        low, (columns, rows) = self._window
        (x0, y0), (x1, y1) = self.ways.start - low[:, None], self.ways.stop - low[:, None]
        way = np.arange(x0.size)
        along = (np.where(x1 > x0, 0, 1) * rows + y0) * columns
        across = np.where(y1 > y0, 2, 3) * rows * columns + x1
        places = [
            along + np.minimum(x0, x1),
            along + np.maximum(x0, x1),
            across + np.minimum(y0, y1) * columns,
            across + np.maximum(y0, y1) * columns,
        ]
        signs = np.repeat([1.0, -1.0, 1.0, -1.0], x0.size)
        return scipy.sparse.csr_array(
            (signs, (np.concatenate(places), np.tile(way, 4))), (4 * rows * columns, x0.size)
        )

    def loads(self, messages: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Messages on links within chips, and on interfaces between them: ((links, n), (interfaces, n)).

        `messages` are those of every way, (ways, n). Link i of a direction lies between a tile and the next one
        to the east or south.
        """
        _, (columns, rows) = self._window
        change = np.asarray(self._changes @ messages).reshape(4, rows, columns, -1)
        level, upright = change[:2].cumsum(2), change[2:].cumsum(1)
        inner, outer = zip(self._shared(level, 0), self._shared(upright.swapaxes(1, 2), 1), strict=True)
        n = messages.shape[1]
        return (
            np.concatenate([each.reshape(-1, n) for each in inner]),
            np.concatenate([each.reshape(-1, n) for each in outer]),
        )

    def _shared(self, loads: FloatArray, axis: int) -> tuple[FloatArray, FloatArray]:
        """Links (directions, lines, places, n) within chips; between chips, all lines of a chip together."""
        low, _ = self._window
        limits = self.board.chip.limits
        size = (limits.tiles_x.value, limits.tiles_y.value)
        leaves = (np.arange(loads.shape[2]) + low[axis] + 1) % size[axis] == 0
        lines = (np.arange(loads.shape[1]) + low[1 - axis]) // size[1 - axis]
        first = np.flatnonzero(np.diff(lines, prepend=-1))
        return loads[:, :, ~leaves], np.add.reduceat(loads[:, :, leaves], first, axis=1)


@dataclass(frozen=True, eq=False)
class Transport:
    """What the network between the cores does, by moment.

    link       messages on the busiest link within a chip
    interface  messages on the busiest interface between two chips
    longest    nanoseconds of the longest way that a message goes, by level; of one that is expected in a part
               of the steps only, that part
    """

    link: FloatArray
    interface: FloatArray
    longest: dict[str, FloatArray]

    def time(self, model: CostModel, board: Board, level: str) -> FloatArray:
        """Nanoseconds of the busiest link or interface, and of the longest way."""
        busy = self.link * float(getattr(model.time_per_message_on_link_ns, level))
        if board.crossing is not None:
            each = float(getattr(board.crossing.time_per_message_on_link_ns, level))
            busy = np.maximum(busy, self.interface * each)
        return np.asarray(busy + self.longest[level])


def transport(links: Links, messages: FloatArray, model: CostModel) -> Transport:
    """Of messages on every way, (ways, moments), of one run."""
    moments = messages.shape[1]
    link, interface = np.zeros(moments), np.zeros(moments)
    longest = {level: np.zeros(moments) for level in LEVELS}
    times = {level: _way_times(links, model, level) for level in LEVELS}
    _, (columns, rows) = links._window
    size = max(1, CHUNK // max(1, 4 * int(columns) * int(rows), len(messages)))
    for start in range(0, moments, size):
        part = slice(start, start + size)
        sent = messages[:, part]
        inner, outer = links.loads(sent)
        link[part], interface[part] = inner.max(0, initial=0.0), outer.max(0, initial=0.0)
        for level in LEVELS:
            longest[level][part] = (times[level][:, None] * np.minimum(sent, 1)).max(0, initial=0.0)
    return Transport(link, interface, longest)


def _way_times(links: Links, model: CostModel, level: str) -> FloatArray:
    """Nanoseconds that a message is under way."""
    across, along = links.ways.hops
    time = across * getattr(model.time_per_hop_east_west_ns, level)
    time = time + along * getattr(model.time_per_hop_north_south_ns, level)
    if links.board.crossing is not None:
        time = time + links.ways.crossings * getattr(links.board.crossing.time_per_crossing_ns, level)
    return np.asarray(time, np.float64)
