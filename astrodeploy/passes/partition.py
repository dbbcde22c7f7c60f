"""partition: cut the populations into boxes of neurons that a core can hold, and assign them to cores.

A neuron's whole fan-in lies on one core. A box loads its core with

    compartments          its neurons; of joined compartments as many as they are
    synaptic_memory_bits  the synapses that end in it (`astrodeploy/synapses.py`)
    input_axons           its axons, per connection: source neurons with a stored synapse in it; of a
                          convolution whose filters are shared, the pixels that it reads
    output_axons          boxes that each of its neurons sends to, per connection
    memory_bits           synapses and neurons together, where the chip limits that
    time                  what it takes of a step (`astrodeploy/mapping/work.py`), where a pace is to be held

How many boxes a neuron sends to follows from how its targets were cut, so the last population is cut
first (`astrodeploy/mapping/cutting.py`). Loops are cut anew, with the fan-outs that were found, until
nothing changes; fan-outs never shrink on the way, so that this ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from astrodeploy.chip import Board, boards_of
from astrodeploy.costs.clearing import clearings
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Graph
from astrodeploy.mapping.cutting import Network
from astrodeploy.mapping.pace import Inference, Mapping, fastest, sparing
from astrodeploy.mapping.packing import fan_outs
from astrodeploy.mapping.traffic import traffic
from astrodeploy.mapping.work import PICOSECONDS
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.passes.check import refusal
from astrodeploy.program import Core, Note

STATED_STEPS = 10  # of a sample, where nothing says how many: the fewer, the less more cores can gain
LISTED = 6  # boxes of a population that a note lists


@dataclass(frozen=True)
class Partition:
    """Use the fewest cores, or the fewest with which a step is fastest, or an inference where clearing counts."""

    name = "partition"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its cores, in order. Raises DoesNotFit with every number."""
        board = draft.board
        network = Network(draft.graph, board.chip, traffic(draft.graph, draft.calibration))
        try:
            mapping = _mapped(network, draft)
        except DoesNotFit as error:
            raise refusal(draft, [str(error)]) from error
        cores = _cores(network, mapping, board)
        notes = (*_stored_notes(network), *_cut_notes(draft.graph, cores), _pace_note(network, mapping))
        return replace(draft, cores=cores, wired=network), notes


def _mapped(network: Network, draft: Draft) -> Mapping:
    """Boxes in cores. Raises DoesNotFit."""
    board = draft.board
    mapping = (sparing if draft.pack == "fewest" else fastest)(network, board, _inference(draft))
    if len(mapping.bins) > board.cores:
        raise _too_many(network, mapping, board)
    return mapping


def _inference(draft: Draft) -> Inference:
    """Steps and clearings of an inference: of the encoder, of the calibration data, or else as stated."""
    graph, given = draft.graph, next(iter(draft.stimulus.values()), None)
    if graph.encoder is not None:
        shown, text = graph.encoder.steps, "the encoder's"
    elif given is not None:
        shown, text = given.shape[1], "the calibration data's"
    else:
        shown, text = STATED_STEPS, f"{STATED_STEPS} stated, not known"
    reference = graph if draft.reference is None else draft.reference
    times = clearings(reference, draft.reset_every, shown)
    return Inference(shown + graph.depth, times, f"{text}, and the way through the layers")


def _cores(network: Network, mapping: Mapping, board: Board) -> tuple[Core, ...]:
    """The cores, chip by chip."""
    found, limits = fan_outs(network, mapping.bins), network.chip.core_limits
    cores = []
    for i, each in enumerate(mapping.bins):
        parts = [network.loads(cut, found[cut.population]) for cut in each.slices]
        loads = {k: sum(part[k] for part in parts) for k in limits}
        cores.append(Core(board.core(*divmod(i, board.cores_per_chip)), tuple(each.slices), loads, limits))
    return tuple(cores)


def _too_many(network: Network, mapping: Mapping, board: Board) -> DoesNotFit:
    bins, limits = mapping.bins, network.chip.core_limits
    totals = {k: sum(b.loads[k] for b in bins) for k in limits}
    numbers = ", ".join(f"{k} {totals[k]} of {limit * board.cores}" for k, limit in limits.items())
    larger = next((each for each in boards_of(board.chip) if each.cores >= len(bins)), None)
    advice = (
        f"the smallest board that holds it is {larger.name} ({larger.cores} cores, --target {larger.name})"
        if larger
        else f"no board of {board.chip.name} that is known here holds it: use fewer neurons or synapses"
    )
    return DoesNotFit(
        f"the network needs {len(bins)} cores, {board.name} has {board.cores}: it needs, of what these cores hold in "
        f"all, {numbers}; {advice}{board.doubt}"
    )


def _pace_note(network: Network, mapping: Mapping) -> Note:
    count = len(mapping.bins)
    text = f"uses {count} core{'s' * (count != 1)}"
    if mapping.compared:
        text += f", {mapping.compared} ({network.work.traffic.text})"
    if mapping.step_ps is None:
        return Note("network", text, {"cores": count})
    pace = mapping.step_ps / PICOSECONDS
    text += f", none of which should take more than {pace:.4g} ns of a step ({network.work.traffic.text})"
    return Note("network", text, {"cores": count, "pace_ns": pace})


def _stored_notes(network: Network) -> Iterator[Note]:
    for each in network.stored:
        costs = list(each.costs.items())
        (first, least), *others = costs
        told = ", ".join([f"{first} would take {least} bits", *(f"{name} {bits}" for name, bits in others)])
        yield Note(
            each.connection.name,
            f"stored {each.encoding}: on one core {told}",
            {f"{name}_bits": bits for name, bits in costs},
        )


def _cut_notes(graph: Graph, cores: tuple[Core, ...]) -> Iterator[Note]:
    for population in graph.populations:
        boxes = [s for core in cores for s in core.slices if s.population == population.name]
        if len(boxes) > 1:
            form, what = ("{}", "ranges") if len(population.shape) == 1 else ("[{}]", "boxes")
            told = [form.format(box.ranges_text) for box in boxes]
            listed = told if len(told) <= LISTED else [*told[: LISTED - 1], "...", told[-1]]
            text = f"cut into {len(boxes)} {what}: {', '.join(listed)}"
            yield Note(population.name, text, {"ranges": len(boxes)})
