"""An independent witness: whether a saved Program is legal on its board, recounted from the folder alone.

    python -m legality.checker PROGRAM        (in tests/)

Nothing of the compiler is used here. Every synapse is listed and counted one by one, with the chip's limits
and accounts of memory as they stand in the Program. What is looked at:

    neurons   each on one core, none lost, none doubled; cores that the board has, each once
    synapses  each on one core; those of the float network, and no others, through relays and partial sums too
    cores     compartments, memory, axons, words of an axon, configurations, programs: counted, stated, allowed
    network   widths of weights, exponents, messages, parameters and accumulators, delays, state, operations
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from legality.folder import Connection, Folder, Population, number, read
from legality.memory import Asked, Memory, Part, asked, stored
from legality.network import NETWORK_RULES, Found, fixed_kind, operations, state_bits, width_of

LIMITS = {  # what a core holds: its name in the Program, and that of the chip's limit
    "compartments": "compartments_per_core",
    "synaptic_memory_bits": "synaptic_memory_bits_per_core",
    "input_axons": "input_axons_per_core",
    "output_axons": "output_axons_per_core",
    "memory_bits": "memory_bits_per_core",
    "threshold_values": "threshold_values_per_core",
    "decay_pairs": "decay_pairs_per_core",
    "synapse_formats": "synapse_formats_per_core",
    "program_instructions": "program_instructions_per_core",
}


def violations(path: Path) -> list[str]:
    """Everything that is wrong with a Program's folder; nothing where it is legal."""
    folder = read(path)
    try:
        counted = Counted(folder)
    except ValueError as error:
        return [str(error)]
    found = [each for rule in NETWORK_RULES for each in rule(folder)]
    return found + [each for rule in CORE_RULES for each in rule(counted)]


# ---- counting ----------------------------------------------------------------------------------------


class Counted:
    """What lies on every core.

    held      by population, how many cores hold each neuron
    loads     by core, in the file's order
    synapses  by connection, how many of its synapses with a weight lie on the cores
    ways      by population, how many boxes each neuron sends to
    arriving  by core, what each connection asks of it, box by box
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        network = folder.network
        self.memory = Memory(folder.chip)
        self.encodings = {c.name: stored(folder, self.memory, c) for c in network.connections}
        self.held = {p.name: np.zeros(p.size, np.int64) for p in network.populations.values()}
        self.loads: list[Counter[str]] = [Counter() for _ in folder.cores]
        self.synapses: Counter[str] = Counter()
        self.ways = {p.name: np.zeros(p.size, np.int64) for p in network.populations.values()}
        self.arriving: list[list[tuple[Connection, Asked]]] = [[] for _ in folder.cores]
        self._homes: defaultdict[str, list[tuple[int, Part]]] = defaultdict(list)
        for i, core in enumerate(folder.cores):
            self._place(i, core["slices"])
        for connection in network.connections:
            self._connect(connection)
        for i in range(len(folder.cores)):
            self.loads[i].update(self._configurations(i))

    def _place(self, i: int, slices: list[dict]) -> None:
        for each in slices:
            population = self.folder.network.populations.get(each["population"])
            if population is None or not _is_inside(each["ranges"], population.shape):
                raise ValueError(f"core {self.index(i)} holds {each}, which the network has not")
            part = Part.of(each["ranges"], population.shape)
            self._homes[population.name].append((i, part))
            self.held[population.name][part.neurons] += 1
            joined = self.folder.chip["execution"]["joined"].get(fixed_kind(self.folder, population))
            self.loads[i]["compartments"] += part.neurons.size * (number(joined) or 1)
            self.loads[i]["memory_bits"] += part.neurons.size * _neuron_bits(population)

    def _connect(self, connection: Connection) -> None:
        """Count a connection's synapses on the cores of its targets, its messages' ways on those of its sources."""
        populations, listed = self.folder.network.populations, connection.synapses
        target, source = populations[connection.target], populations[connection.source]
        ways = np.zeros(source.size, np.int64)  # boxes that each source neuron sends to
        for i, part in self._homes[target.name]:
            held = np.zeros(target.size, np.bool_)
            held[part.neurons] = True
            inside = listed.where(held[listed.target])
            encoding = self.encodings[connection.name]
            takes = asked(self.memory, connection, encoding, source.size, inside, part)
            ways[takes.senders] += 1
            self.synapses[connection.name] += int(np.count_nonzero(inside.weight))
            self.arriving[i].append((connection, takes))
            loads = self.loads[i]
            loads.update(
                synaptic_memory_bits=takes.bits, memory_bits=takes.bits, input_axons=takes.input_axons
            )
            loads["words_per_axon"] = max(loads["words_per_axon"], takes.words)
        self.ways[source.name] += ways
        for i, part in self._homes[source.name]:
            self.loads[i]["output_axons"] += int(ways[part.neurons].sum())

    def _configurations(self, i: int) -> dict[str, int]:
        """How many different thresholds, pairs of decays, formats of synapses; instructions of all programs."""
        thresholds, decays, formats, programs = set(), set(), set(), {}
        for each in self.folder.cores[i]["slices"]:
            population = self.folder.network.populations[each["population"]]
            if population.kind is None:
                continue
            neurons = Part.of(each["ranges"], population.shape).neurons
            kept = {k: v[neurons] for k, v in population.parameters.items()}
            held = population.kind["registers"]
            for name in held["thresholds"]:
                thresholds |= set(kept[name].tolist())
            for current, membrane in held["decays"]:  # of a compartment, or of two that are joined
                decays |= set(zip(kept[current].tolist(), kept[membrane].tolist(), strict=True))
            for c in self.folder.network.connections:
                if c.target == population.name:
                    formats.add((self.encodings[c.name], c.exponent, c.delay > 1))
            programs[population.kind["name"]] = _instructions(self.folder, population)
        return {
            "threshold_values": len(thresholds),
            "decay_pairs": len(decays),
            "synapse_formats": len(formats),
            "program_instructions": sum(programs.values()),
        }

    def index(self, i: int) -> int:
        """A core's number on the board."""
        return int(self.folder.cores[i]["index"])


def _is_inside(box: list[list[int]], shape: tuple[int, ...]) -> bool:
    return len(box) == len(shape) and all(
        0 <= start < stop <= n for (start, stop), n in zip(box, shape, strict=True)
    )


def _neuron_bits(population: Population) -> int:
    """A neuron's states, and the parameters that differ within its population."""
    if population.kind is None:
        return 0
    own = [k for k, values in population.parameters.items() if np.unique(values).size > 1]
    return state_bits(population.kind) + sum(width_of(*population.kind["parameters"][k]) for k in own)


def _instructions(folder: Folder, population: Population) -> int:
    """The chip's instructions of a population's program; none where the chip has the kind as it is."""
    execution = folder.chip["execution"]
    if fixed_kind(folder, population) is not None:
        return 0
    known = execution["operations"]
    return sum(len(known[name]["instructions"]) for name in operations(population.kind) if name in known)


# ---- rules of the cores ------------------------------------------------------------------------------


def cores_are_the_boards(counted: Counted) -> Found:
    """The board has every core, and none is used twice."""
    board, arrangement = counted.folder.board, counted.folder.board["arrangement"]
    chips, cores = number(arrangement["chips"]), counted.folder.limit("cores")
    usable = number(arrangement["usable_cores_per_chip"]) or cores
    used = Counter(counted.index(i) for i in range(len(counted.loads)))
    for index, times in used.items():
        chip, place = divmod(index, cores)
        if not (0 <= chip < chips and place < usable):
            yield f"core {index} is not on {board['name']}, which has {chips} chips of {usable} usable cores"
        if times > 1:
            yield f"core {index} is used {times} times"


def every_neuron_lies_on_one_core(counted: Counted) -> Found:
    """No neuron is lost or doubled; what comes from outside takes no core."""
    for name, held in counted.held.items():
        wanted = 0 if counted.folder.network.populations[name].kind is None else 1
        for n in np.flatnonzero(held != wanted)[:3].tolist():
            wrong = int(np.count_nonzero(held != wanted))
            yield f"neuron {n} of {name} lies on {held[n]} cores, not on {wanted} ({wrong} such)"


def every_synapse_lies_on_one_core(counted: Counted) -> Found:
    """As many synapses with a weight lie on the cores as the network has."""
    for connection in counted.folder.network.connections:
        whole, lies = int(np.count_nonzero(connection.synapses.weight)), counted.synapses[connection.name]
        if lies != whole:
            yield f"{connection.name} has {whole} synapses, {lies} lie on the cores"


def cores_hold_what_they_carry(counted: Counted) -> Found:
    """No load is over its limit."""
    limits = {name: counted.folder.limit(key) for name, key in LIMITS.items()}
    limits["words_per_axon"] = number(counted.folder.chip["synapses"]["words_per_axon"])
    for i, loads in enumerate(counted.loads):
        for name, limit in limits.items():
            if limit is not None and loads[name] > limit:
                yield f"core {counted.index(i)} needs {name} {loads[name]} of {limit}"


def cores_say_what_they_carry(counted: Counted) -> Found:
    """The Program states every core's main loads, and the limits beside them, as they are."""
    main = [k for k in list(LIMITS)[:5] if counted.folder.limit(LIMITS[k]) is not None]
    for i, core in enumerate(counted.folder.cores):
        for name in sorted({*main, *core["loads"], *core["limits"]}):
            said, limit = core["loads"].get(name), core["limits"].get(name)
            if said != counted.loads[i][name]:
                yield f"core {core['index']} says {name} {said}, counted are {counted.loads[i][name]}"
            if name in LIMITS and limit != counted.folder.limit(LIMITS[name]):
                yield f"core {core['index']} says that it holds {name} {limit}, the chip's file says otherwise"


CORE_RULES: tuple[Callable[[Counted], Found], ...] = (
    cores_are_the_boards,
    every_neuron_lies_on_one_core,
    every_synapse_lies_on_one_core,
    cores_hold_what_they_carry,
    cores_say_what_they_carry,
)


if __name__ == "__main__":
    found = violations(Path(sys.argv[1]))
    sys.stdout.write("\n".join(found or ["legal"]) + "\n")
    sys.exit(bool(found))
