"""What lies on the cores against what they hold, counted from the weights themselves."""

from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from astrodeploy.ir import Compartments
from astrodeploy.legality.configurations import configurations, instructions
from astrodeploy.legality.network import Findings, neurons
from astrodeploy.passes.base import Draft
from astrodeploy.passes.recount import recount
from astrodeploy.synapses import Stored, store


class Placed:
    """A draft whose cores are assigned, and what was counted on them.

    into     by population, what ends in it as it is stored
    counted  the loads of every core, in their order
    """

    def __init__(self, draft: Draft) -> None:
        graph, chip = draft.graph, draft.chip
        self.draft = draft
        self.into: defaultdict[str, list[Stored]] = defaultdict(list)
        for connection in graph.connections:
            self.into[connection.target].append(store(connection, graph[connection.target].shape, chip))
        self.counted: list[Counter[str]] = recount(graph, chip, draft.cores, self.into)


def cores_are_available(placed: Placed) -> Findings:
    """No more cores are used than the board has, each once."""
    board = placed.draft.board
    indices = np.array([core.index for core in placed.draft.cores], np.int64)
    wrong = indices[~board.is_usable(indices)].tolist()
    if len(np.unique(indices)) != len(indices) or wrong:
        yield (
            f"the network uses the cores {wrong or indices.tolist()}, {board.name} has {board.cores}, "
            f"each once: place it anew{board.doubt}"
        )


def every_neuron_has_one_core(placed: Placed) -> Findings:
    """The cores' boxes hold every neuron exactly once."""
    held = {p.name: np.zeros(p.shape, np.int64) for p, _ in neurons(placed.draft.graph)}
    for core in placed.draft.cores:
        for cut in core.slices:
            held[cut.population][cut.index] += 1
    for name, times in held.items():
        if wrong := int(np.count_nonzero(times != 1)):
            yield f"{wrong} of {name}'s {times.size} neurons lie on no core or on several: partition anew"


def compartments_have_room(placed: Placed) -> Findings:
    """A core holds no more neurons than it has compartments, of which joined ones take several."""
    yield from _over(placed, "compartments", "cut its populations into smaller boxes")


def synapses_have_room(placed: Placed) -> Findings:
    """The synapses of a core fit its synaptic memory, by the dearest of the chip's formulas."""
    yield from _over(
        placed, "synaptic_memory_bits", "cut its populations into smaller boxes, or leave out weak synapses"
    )


def input_axons_are_few(placed: Placed) -> Findings:
    """A core has few ways in."""
    yield from _over(placed, "input_axons", "cut it into boxes that read fewer neurons")


def output_axons_are_few(placed: Placed) -> Findings:
    """A core has few ways out."""
    yield from _over(placed, "output_axons", "spread its neurons, or cut their targets into fewer boxes")


def memory_has_room(placed: Placed) -> Findings:
    """Synapses and neurons together fit a core's memory."""
    yield from _over(
        placed, "memory_bits", "cut its populations into smaller boxes, or declare narrower states"
    )


def _over(placed: Placed, name: str, instead: str) -> Findings:
    chip = placed.draft.chip
    limit = chip.core_numbers.get(name)
    for core, loads in zip(placed.draft.cores, placed.counted, strict=True):
        if limit is not None and loads[name] > limit.value:
            yield (
                f"core {core.index} needs {name} {loads[name]}, {chip.name} has {limit.value} a core: "
                f"{instead}{limit.doubt}"
            )


def axons_are_short(placed: Placed) -> Findings:
    """The synapses of one axon in a core take few words."""
    chip = placed.draft.chip
    limit = chip.synapses.words_per_axon
    for core, loads in zip(placed.draft.cores, placed.counted, strict=True):
        if limit is not None and loads["words_per_axon"] > limit.value:
            yield (
                f"core {core.index} holds an axon of {loads['words_per_axon']} words of synapses, {chip.name} has "
                f"{limit.value} an axon: cut its populations into smaller boxes{limit.doubt}"
            )


def configurations_are_few(placed: Placed) -> Findings:
    """A core holds few different thresholds, pairs of decays and formats of synapses."""
    graph, chip = placed.draft.graph, placed.draft.chip
    for core in placed.draft.cores if chip.configuration_limits else ():
        asked = [configurations(graph[s.population], s, placed.into[s.population], chip) for s in core.slices]
        for name, limit in chip.configuration_numbers.items():
            different = len(frozenset().union(*(each[name] for each in asked)))
            if different > limit.value:
                yield (
                    f"core {core.index} uses {different} different {name.replace('_', ' ')}, {chip.name} holds "
                    f"{limit.value} a core: {SHARED[name]}, or put its populations on several cores{limit.doubt}"
                )


SHARED = {
    "threshold_values": "share thresholds among neurons",
    "decay_pairs": "share decays among neurons",
    "synapse_formats": "share weight exponents among connections",
}


def programs_have_room(placed: Placed) -> Findings:
    """The neuron programs of a core fit its program memory together."""
    chip, graph = placed.draft.chip, placed.draft.graph
    limit = chip.limits.program_instructions_per_core
    for core in placed.draft.cores if limit is not None else ():
        nodes = [graph[s.population].node for s in core.slices]
        kinds = {n.kind.fingerprint: n.kind for n in nodes if isinstance(n, Compartments)}
        needed = sum(instructions(kind, chip) for kind in kinds.values())
        if limit is not None and needed > limit.value:
            names = ", ".join(sorted(kind.name for kind in kinds.values()))
            yield (
                f"core {core.index} runs programs of {needed} instructions ({names}), {chip.name} holds "
                f"{limit.value} a core: use fewer kinds of neurons, or shorter ones{limit.doubt}"
            )


def cores_tell_the_truth(placed: Placed) -> Findings:
    """Every core says of itself what is counted on it, beside the chip's limits."""
    chip = placed.draft.chip
    for core, counted in zip(placed.draft.cores, placed.counted, strict=True):
        if core.limits != chip.core_limits:
            yield f"core {core.index} names limits that are not {chip.name}'s: partition anew"
        for name in chip.core_limits:
            said = core.loads.get(name)
            if said != counted[name]:
                yield f"core {core.index} says {name} {said}, counted are {counted[name]}: partition anew"


MAPPING_RULES: tuple[Callable[[Placed], Findings], ...] = (  # of every mapping, whatever network it is of
    cores_are_available,
    every_neuron_has_one_core,
    cores_tell_the_truth,
)
CORE_RULES: tuple[Callable[[Placed], Findings], ...] = (
    cores_are_available,
    every_neuron_has_one_core,
    compartments_have_room,
    synapses_have_room,
    input_axons_are_few,
    output_axons_are_few,
    memory_has_room,
    axons_are_short,
    configurations_are_few,
    programs_have_room,
    cores_tell_the_truth,
)
