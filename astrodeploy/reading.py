"""A Program read back from its plain data; nothing that stands in a file is ignored.

What was read is written again and compared: so a key that is unknown or missing, a number of another type and
a tensor that nobody asks for are refused by name, whichever part of the Program they stand in.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from astrodeploy import storage
from astrodeploy.chip import Board
from astrodeploy.compartments.kind import Kind
from astrodeploy.errors import InputError
from astrodeploy.ir import Graph, verify
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.nodes import Compartments, Node
from astrodeploy.ir.plain import from_plain
from astrodeploy.program import LONGEST_RUN, MANIFEST, OLDEST, VERSION, Core, Note, PassReport, Program, Slice
from astrodeploy.recipe import Recipe, require_keys

V = TypeVar("V")
KEYS = (
    "format",
    "version",
    "recipe",
    "network",
    "reference",
    "passes",
    "board",
    "reset_every",
    "cores",
)


def read_program(content: dict[str, Any], tensors: Mapping[str, Array]) -> Program:
    """The Program of what program.json says, of this version or one before. Raises InputError and `MALFORMED`."""
    program = _read(migrated(content), tensors)
    _check_mapping(program)
    _require_all_read(program, content, tensors)
    return program


def in_file_order(program: Program) -> Program:
    """The same Program with its tables in the order of a file, so that it is shown as one that was read."""
    populations = tuple(replace(p, node=_ordered(p.node)) for p in program.network.populations)
    cores = (replace(c, loads=_sorted(c.loads), limits=_sorted(c.limits)) for c in program.cores)
    passes = (
        replace(each, notes=tuple(replace(note, values=_sorted(note.values)) for note in each.notes))
        for each in program.passes
    )
    network = replace(program.network, populations=populations)
    return replace(program, network=network, cores=tuple(cores), passes=tuple(passes))


def _ordered(node: Node) -> Node:
    if not isinstance(node, Compartments):
        return node
    return replace(
        node,
        kind=Kind.from_dict(json.loads(storage.json_text(node.kind.to_dict()))),
        parameters=_sorted(node.parameters),
        initial=_sorted(node.initial),
        units=_sorted(node.units),
    )


def _sorted(table: Mapping[str, V]) -> dict[str, V]:
    return dict(sorted(table.items()))


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """What program.json says, as the present version has it. Raises InputError."""
    if content["version"] == OLDEST:
        if "recipe" in content:
            raise InputError(f"version {OLDEST} holds no 'recipe'")
        return content | {"version": VERSION, "recipe": None}
    return content


def _read(content: dict[str, Any], tensors: Mapping[str, Array]) -> Program:
    require_keys("program.json", content, list(KEYS))
    meant = {k.removeprefix("reference."): v for k, v in tensors.items() if k.startswith("reference.")}
    reference = from_plain(content["reference"], meant)
    verify(reference)
    # whether a state of integer neurons is read is known of the float network that they mean
    network = replace(from_plain(content["network"], tensors), readout=reference.readout)
    verify(network)
    return Program(
        network=network,
        reference=reference,
        board=Board.model_validate(content["board"]),
        cores=tuple(_read_core(c, network) for c in content["cores"]),
        passes=tuple(_read_report(p) for p in content["passes"]),
        reset_every=int(content["reset_every"]),
        recipe=None if content["recipe"] is None else Recipe.from_plain(content["recipe"]),
    )


def _require_all_read(program: Program, content: dict[str, Any], tensors: Mapping[str, Array]) -> None:
    """Raise InputError, with the first place, where a folder says something that was not taken as it stands."""
    again, made = program.content()
    strict = content["version"] == VERSION
    if told := storage.difference(content, again | {"version": content["version"]}, strict=strict):
        raise InputError(f"in {MANIFEST} {told}")
    kinds = [{k: f"{v.dtype} {v.shape}" for k, v in each.items()} for each in (tensors, made)]
    if told := storage.difference(kinds[0], kinds[1], strict=strict):
        raise InputError(f"of its tensors {told}")


def _check_mapping(program: Program) -> None:
    """Raise InputError where the cores of a file can't be those of its board."""
    if not 0 <= program.reset_every <= LONGEST_RUN:
        raise InputError(
            f"reset_every is {program.reset_every}, needed are 1..{LONGEST_RUN} steps, or 0 for never"
        )
    indices = np.array([core.index for core in program.cores], np.int64)
    if not np.all(program.board.is_usable(indices)) or np.unique(indices).size != indices.size:
        raise InputError(f"its cores are numbered {indices.tolist()}, which {program.board.name} has not")
    slices = [each for core in program.cores for each in core.slices]
    for population in program.network.populations:
        placed = np.zeros(population.shape, np.int64)
        for each in slices:
            if each.population == population.name:
                placed[each.index] += 1
        if np.any(placed != (not population.is_input)):
            raise InputError(f"its cores do not hold each neuron of {population.name} once")


def _read_core(plain: Mapping[str, Any], network: Graph) -> Core:
    require_keys("a core", plain, ["index", "slices", "loads", "limits"])
    slices = tuple(_read_slice(each, network) for each in plain["slices"])
    loads, limits = ({str(k): int(v) for k, v in plain[group].items()} for group in ("loads", "limits"))
    if set(loads) != set(limits):
        raise InputError(
            f"core {plain['index']} has the loads {sorted(loads)}, and the limits {sorted(limits)}"
        )
    return Core(int(plain["index"]), slices, loads, limits)


def _read_slice(plain: Mapping[str, Any], network: Graph) -> Slice:
    require_keys("a part of a core", plain, ["population", "ranges"])
    cut = Slice(str(plain["population"]), tuple((int(start), int(stop)) for start, stop in plain["ranges"]))
    shape = network[cut.population].shape
    inside = all(0 <= start < stop <= n for (start, stop), n in zip(cut.ranges, shape, strict=True))
    if not inside:
        raise ValueError(f"a core holds {cut}, outside the population's shape {shape}")
    return cut


def _read_report(plain: Mapping[str, Any]) -> PassReport:
    require_keys("a pass", plain, ["name", "notes"])
    return PassReport(str(plain["name"]), tuple(_read_note(each) for each in plain["notes"]))


def _read_note(plain: Mapping[str, Any]) -> Note:
    require_keys("a note of a pass", plain, ["subject", "text", "values"])
    values = dict(plain["values"])
    if wrong := [v for v in values.values() if type(v) not in (int, float)]:
        raise InputError(f"a note of {plain['subject']} holds the value {wrong[0]!r}, which is no number")
    return Note(str(plain["subject"]), str(plain["text"]), values)
