"""check: every rule, alone and together."""

from dataclasses import replace

import numpy as np
import pytest

import astrodeploy as ad
from astrodeploy.chip import Board, load_chip, load_target
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.kind import OperationList, Range, State
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import LIF, Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.nodes import RateEncoder
from astrodeploy.ir.wiring import Dense
from astrodeploy.legality.configurations import instructions
from astrodeploy.legality.cores import CORE_RULES, Placed, configurations_are_few
from astrodeploy.legality.network import NETWORK_RULES
from astrodeploy.passes.base import Draft
from astrodeploy.passes.check import Check, network_violations, refusal
from astrodeploy.passes.partition import Partition
from astrodeploy.program import Core, Slice


def population(name, size, kind="lif", depth=1, period=0, **parameters):
    made = KINDS[kind] if isinstance(kind, str) else kind
    values = {k: np.broadcast_to(np.asarray(parameters.get(k, 0)), size) for k in made.parameters}
    initial = {k: np.full(size, s.initial) for k, s in made.states.items()}
    return Population(name, (size,), Compartments(made, values, initial, period), depth)


def connection(source, target, weight, port="current", delay=1, exponent=0):
    return Connection(
        source, target, port, Dense(np.asarray(weight, np.int8)), exponent=exponent, delay=delay
    )


def layer(size=4, inputs=3, weight=2, kind="lif", delay=1, exponent=0, **parameters):
    """An input and one layer."""
    populations = (Population("input", (inputs,), Input()), population("layer", size, kind, **parameters))
    weights = np.full((size, inputs), weight)
    return Graph(
        1e-3, populations, (connection("input", "layer", weights, "current", delay, exponent),), "layer"
    )


def closed_loop():
    populations = (
        Population("input", (3,), Input()),
        population("layer", 4, "modulated_lif"),
        population("astro", 2, "astrocyte", depth=2, period=8),
    )
    pool = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    connections = (
        connection("input", "layer", np.ones((4, 3))),
        connection("layer", "astro", pool, "activity"),
        connection("astro", "layer", pool.T, "modulation"),
    )
    return Graph(1e-3, populations, connections, ("layer",))


def changed(chip, section, **values):
    """The chip with other numbers in a section."""
    part = getattr(chip, section)
    new = {k: v if v is None else getattr(part, k).model_copy(update={"value": v}) for k, v in values.items()}
    return chip.model_copy(update={section: part.model_copy(update=new)})


def on(draft, chip):
    """The same draft on another chip."""
    cores = tuple(replace(core, limits=chip.core_limits) for core in draft.cores)
    return replace(draft, board=Board.of(chip), cores=cores)


def with_limit(chip, name, value, section="limits"):
    """The chip with a limit that it does not have."""
    part = getattr(chip, section)
    number = chip.limits.cores.model_copy(update={"value": value})
    return chip.model_copy(update={section: part.model_copy(update={name: number})})


def one_core(graph, chip="toy"):
    """All on one core, whatever it holds."""
    chip = load_chip(chip) if isinstance(chip, str) else chip
    slices = tuple(Slice(p.name, tuple((0, n) for n in p.shape)) for p in graph.populations if not p.is_input)
    bare = Draft(graph, Board.of(chip), cores=(Core(0, slices, {}, chip.core_limits),))
    (loads,) = Placed(bare).counted
    counted = {name: loads[name] for name in chip.core_limits}
    return replace(bare, cores=(replace(bare.cores[0], loads=counted),))


def draft_of(graph, chip="toy"):
    chip = load_chip(chip) if isinstance(chip, str) else chip
    return Partition().apply(Draft(graph, Board.of(chip), pack="fewest"))[0]


def refused(draft, message, violations=1):
    with pytest.raises(DoesNotFit, match=message) as caught:
        Check().apply(draft)
    text = str(caught.value)
    assert text.count("\n- ") == violations, text
    assert f"{violations} violation{'s' * (violations > 1)}:" in text


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "toy"])
def test_a_plain_network_is_legal_everywhere_and_stays_as_it_is(chip):
    draft = draft_of(layer(du=4096, dv=100, threshold=300, bias=64), chip)
    after, _ = Check().apply(draft)
    assert after is draft


def test_notes_tell_operations_per_neuron_and_step():
    _, notes = Check().apply(draft_of(closed_loop(), "loihi2"))
    by_subject = {n.subject: n for n in notes}
    astrocyte = by_subject["astro"].values
    assert astrocyte["period"] == 8
    assert astrocyte["operations_per_window"] > astrocyte["operations_per_step"] == 2
    assert by_subject["astro"].text == (
        f"astrocyte: 2 operations per neuron and step, and {astrocyte['operations_per_window']} more every 8 steps; "
        f"a program of {astrocyte['instructions']} instructions"
    )
    assert astrocyte["instructions"] > astrocyte["operations_per_window"]
    assert by_subject["layer"].text.endswith(" instructions")


def test_a_kind_that_the_chip_has_takes_no_program():
    _, notes = Check().apply(draft_of(layer(), "loihi1"))
    assert notes[0].text.endswith("operations per neuron and step")
    assert notes[0].values["instructions"] == 0


def test_notes_tell_what_is_assumed_and_used():
    _, notes = Check().apply(draft_of(closed_loop(), "loihi2"))
    subjects = {n.subject for n in notes}
    assert "loihi2.limits.output_axons_per_core" in subjects
    assert "loihi2.execution.operations.shift_floor" in subjects
    assert "loihi2.execution.operations.table" not in subjects  # not used by this network
    assert "loihi2.limits.cores" not in subjects  # published
    (note,) = [n for n in notes if n.subject == "loihi2.limits.output_axons_per_core"]
    assert note.text == "4096 is assumed: not published; Loihi 1's number"


def test_astrocytes_are_refused_by_name_on_loihi1():
    message = (
        r"layer is of the kind modulated_lif, which needs .*multiply.*; loihi1 executes the kinds lif, sic: .*"
        r"--freeze-astrocytes.*\n- astro is of the kind astrocyte, .*--freeze-astrocytes"
    )
    refused(draft_of(closed_loop(), "loihi1"), message, violations=3)


def test_a_program_without_astrocytes_is_not_told_to_freeze_them():
    draft = draft_of(layer(kind=neuron(Variant(comparison=">="))), "loihi1")
    with pytest.raises(DoesNotFit, match="layer is of the kind lif_at_least") as caught:
        Check().apply(draft)
    assert "freeze" not in str(caught.value)


def test_an_operation_that_the_chip_lacks():
    chip = load_chip("toy")
    operations = {k: v for k, v in chip.execution.operations.items() if k != "wrap"}
    chip = chip.model_copy(update={"execution": chip.execution.model_copy(update={"operations": operations})})
    refused(
        draft_of(layer(), chip),
        r"kind lif, which needs wrap; toy executes programs of add, and, .*programmable",
    )


def test_weights_beyond_their_width():
    chip = changed(load_chip("toy"), "widths", weight_bits=4)
    Check().apply(draft_of(layer(weight=7), chip))
    refused(
        draft_of(layer(weight=8), chip), r"input -> layer.current has weights 8..8, toy holds -8..7: quantise"
    )


def test_weight_exponents():
    Check().apply(draft_of(layer(exponent=7), "loihi1"))
    message = "has the weight exponent -9, loihi1 allows -8..7: scale"
    refused(draft_of(layer(exponent=-9), "loihi1"), message)


def test_graded_messages_need_a_payload():
    Check().apply(draft_of(closed_loop(), changed(load_chip("toy"), "widths", message_bits=12)))
    chip = changed(load_chip("toy"), "widths", message_bits=11)
    refused(
        draft_of(closed_loop(), chip),
        r"astro sends 0..4095, which takes 12 bits, a spike of toy carries 11: send",
    )


def test_delays():
    Check().apply(draft_of(layer(delay=4)))
    refused(
        draft_of(layer(delay=5)), "input -> layer.current has a delay of 5 steps, toy allows 4: shorten it"
    )


def test_thresholds_and_decays():
    chip = changed(load_chip("loihi1"), "widths", threshold_mantissa_bits=8, decay_bits=10)
    Check().apply(draft_of(layer(threshold=255, du=1024, dv=1024), chip))
    message = r"layer.threshold is 256..256, loihi1 holds 0..255: rescale(.|\n)*layer.du is 1025..1025"
    refused(draft_of(layer(threshold=256, du=1025), chip), message, violations=2)


@pytest.mark.parametrize("bias", [0, -4096, 4095, 4095 << 7, -4096 << 7, 4096, -96])
def test_biases_with_a_mantissa(bias):
    Check().apply(draft_of(layer(bias=bias), "loihi1"))


@pytest.mark.parametrize("bias", [4097, -4097, (4095 << 7) + 64, 4095 * 128 + 127])
def test_biases_without_a_mantissa(bias):
    message = (
        rf"layer.bias is {bias} at neuron 2 \(1 such\), loihi1 holds a mantissa of 13 bits << 0..7: round"
    )
    refused(draft_of(layer(bias=np.array([0, 1, bias, 2])), "loihi1"), message)


def test_the_accumulator_of_loihi1():
    # 2**21 - 2**6 is 32767 << 6
    Check().apply(draft_of(layer(inputs=258, weight=127), "loihi1"))  # 32766
    message = (
        r"layer.current may receive 0..2105152 in one step \(after the shift by 6 bits\), loihi1's accumulator "
        r"holds -2097088..2097088: use fewer inputs"
    )
    refused(draft_of(layer(inputs=259, weight=127), "loihi1"), message)  # 32893
    refused(draft_of(layer(inputs=256, weight=-128), "loihi1"), "may receive -2097152..0")
    Check().apply(draft_of(layer(inputs=258, weight=-127), "loihi1"))


def test_state_memory():
    chip = changed(load_chip("toy"), "limits", state_bytes_per_neuron=6)
    message = "layer keeps 7 bytes of state per neuron, toy allows 6: declare narrower"  # 25 + 24 bits
    refused(draft_of(layer(), chip), message)
    wide = {f"s{i}": State(Range.signed(32)) for i in range(1025)}
    empty = OperationList((), {}, {})
    kind = replace(KINDS["lif"], name="wide", states=wide, step=replace(empty, sends={}), outputs={})
    draft = replace(draft_of(layer(), "loihi2"), graph=layer(kind=kind))
    with pytest.raises(DoesNotFit, match="layer keeps 4100 bytes of state per neuron, loihi2 allows 4096"):
        Check().apply(draft)


def test_more_cores_than_there_are():
    draft = draft_of(layer(size=40))
    refused(on(draft, changed(draft.chip, "limits", cores=2)), r"uses the cores \[2\], toy has 2, each once")


def test_cores_that_a_board_does_not_use():
    board = load_target("hala-point")  # 122 of 128 cores a chip
    draft = replace(draft_of(layer(), "loihi2"), board=board)
    for index in (0, 121, 128, 128 * 1151 + 121):
        Check().apply(replace(draft, cores=(replace(draft.cores[0], index=index),)))
    for index in (122, 127, 128 * 1152):
        wrong = replace(draft, cores=(replace(draft.cores[0], index=index),))
        refused(wrong, rf"uses the cores \[{index}\], hala-point has 140544, each once: place it anew")


def test_a_core_that_is_used_twice():
    draft = draft_of(layer(size=20))
    twice = (draft.cores[0], replace(draft.cores[1], index=0))
    with pytest.raises(DoesNotFit, match=r"uses the cores \[0, 0\], toy has 16, each once"):
        Check().apply(replace(draft, cores=twice))


def test_a_neuron_on_no_core():
    draft = draft_of(layer(size=20))
    refused(
        replace(draft, cores=draft.cores[:1]),
        "4 of layer's 20 neurons lie on no core or on several: partition",
    )


def test_a_neuron_on_two_cores():
    draft = draft_of(layer(size=4))
    again = replace(draft.cores[0], index=1)
    refused(
        replace(draft, cores=(draft.cores[0], again)), "4 of layer's 4 neurons lie on no core or on several"
    )


def test_cores_are_counted_anew_against_the_limits():
    draft = draft_of(layer(size=16))
    chip = changed(draft.chip, "limits", compartments_per_core=15, input_axons_per_core=2)
    message = (
        r"core 0 needs compartments 16, toy has 15 a core: cut(.|\n)*core 0 needs input_axons 3, toy has 2"
    )
    refused(on(draft, chip), message, violations=2)


@pytest.mark.parametrize(
    ("limit", "name", "needed", "instead"),
    [
        ("compartments_per_core", "compartments", 6, "smaller boxes"),
        ("synaptic_memory_bits_per_core", "synaptic_memory_bits", 9 * 64, "smaller boxes, or leave out"),
        ("input_axons_per_core", "input_axons", 9, "read fewer neurons"),
        ("output_axons_per_core", "output_axons", 6, "spread its neurons"),
        ("memory_bits_per_core", "memory_bits", 9 * 64 + 4 * 74 + 2 * 57, "declare narrower states"),
    ],
)
def test_every_load_has_its_limit(limit, name, needed, instead):
    draft = one_core(closed_loop())
    node = draft.graph["layer"].node, draft.graph["astro"].node
    if name == "memory_bits":
        needed = 9 * 64 + 4 * node[0].kind.state_bits + 2 * node[1].kind.state_bits
    Check().apply(on(draft, changed(draft.chip, "limits", **{limit: needed})))
    message = rf"core 0 needs {name} {needed}, toy has {needed - 1} a core: .*{instead}"
    refused(on(draft, changed(draft.chip, "limits", **{limit: needed - 1})), message)


def test_loads_that_are_not_true():
    draft = draft_of(layer())
    (core,) = draft.cores
    lie = replace(core, loads=dict(core.loads) | {"synaptic_memory_bits": 1})
    message = "core 0 says synaptic_memory_bits 1, counted are 192: partition anew"  # 3 axons of one word
    refused(replace(draft, cores=(lie,)), message)


def test_limits_that_are_not_the_chips():
    draft = draft_of(layer())
    (core,) = draft.cores
    lie = replace(core, limits=dict(core.limits) | {"compartments": 17})
    refused(replace(draft, cores=(lie,)), "core 0 names limits that are not toy's: partition anew")


def test_output_axons_are_counted_per_range():
    draft = draft_of(closed_loop())
    split = tuple(
        replace(
            draft.cores[0],
            index=i,
            slices=(Slice("layer", ((2 * i, 2 * i + 2),)), *([Slice("astro", ((0, 2),))] * (i == 0))),
        )
        for i in range(2)
    )
    # core 0: a neuron's one to astro, twice, and two of each astrocyte, to both ranges of layer; core 1: two neurons
    with pytest.raises(DoesNotFit, match="core 1 says output_axons 6, counted are 2") as caught:
        Check().apply(replace(draft, cores=split))
    assert draft.cores[0].loads["output_axons"] == 4 + 2
    assert "core 0 says output_axons" not in str(caught.value)  # 2 + 4


def test_an_axon_has_few_words():
    chip = with_limit(load_chip("toy"), "words_per_axon", 2, "synapses")
    Check().apply(one_core(layer(size=14), chip))  # 14 + 112 bits
    message = "core 0 holds an axon of 3 words of synapses, toy has 2 an axon: cut"
    refused(one_core(layer(size=15), chip), message)


def test_few_thresholds_a_core():
    Check().apply(one_core(layer(size=16, threshold=np.arange(16)), "loihi1"))
    message = (
        "core 0 uses 17 different threshold values, loihi1 holds 16 a core: share thresholds among neurons"
    )
    refused(one_core(layer(size=17, threshold=np.arange(17)), "loihi1"), message)


def test_few_decays_a_core():
    decays = {"du": np.arange(33) % 3, "dv": np.arange(33) // 3}
    message = "core 0 uses 33 different decay pairs, loihi1 holds 32 a core: share decays"
    refused(one_core(layer(size=33, **decays), "loihi1"), message)
    Check().apply(one_core(layer(size=33, **decays), "loihi2"))


def test_thresholds_are_counted_over_all_boxes_of_a_core():
    graph = layer(size=30, threshold=np.arange(30) % 10)
    draft = one_core(graph, changed(load_chip("loihi1"), "limits", threshold_values_per_core=9))
    (core,) = draft.cores
    parts = tuple(Slice("layer", ((a, a + 5),)) for a in range(0, 30, 5))
    refused(draft, "uses 10 different threshold values")
    parted = replace(draft, cores=(replace(core, slices=parts),))
    assert list(configurations_are_few(Placed(parted))) == list(configurations_are_few(Placed(draft)))


def exponents(count):
    """A layer with that many inputs, each of another exponent."""
    names = [f"input{i}" for i in range(count)]
    links = [
        connection(n, "layer", np.ones((2, 1)), exponent=i % 8, delay=1 + i // 8) for i, n in enumerate(names)
    ]
    populations = [Population(n, (1,), Input()) for n in names]
    return Graph(1e-3, (*populations, population("layer", 2)), tuple(links), ("layer",))


def test_few_formats_of_synapses_a_core():
    """Eight exponents without delays, and seven with."""
    Check().apply(one_core(exponents(15), "loihi1"))
    message = "core 0 uses 16 different synapse formats, loihi1 holds 15 a core: share weight exponents"
    refused(one_core(exponents(16), "loihi1"), message)
    Check().apply(one_core(exponents(16), "loihi2"))


def test_programs_of_a_core_fit_together():
    draft = one_core(closed_loop())
    counts = [instructions(draft.graph[name].node.kind, draft.chip) for name in ("layer", "astro")]
    needed = sum(counts)
    assert min(counts) > 10
    Check().apply(on(draft, changed(draft.chip, "limits", program_instructions_per_core=needed)))
    message = rf"core 0 runs programs of {needed} instructions \(astrocyte, modulated_lif\), toy holds {needed - 1} a core"
    refused(on(draft, changed(draft.chip, "limits", program_instructions_per_core=needed - 1)), message)


def test_a_fixed_kind_is_no_program():
    lif, chip = KINDS["lif"], with_limit(load_chip("loihi1"), "program_instructions_per_core", 0)
    assert instructions(lif, chip) == 0
    Check().apply(one_core(layer(), chip))
    assert instructions(lif, load_chip("loihi2")) > 10


def test_graded_input_needs_a_payload():
    graph = layer()
    for node in (Input(), RateEncoder(4, 0), Input(0, 1, 0.5)):
        Check().apply(
            one_core(
                replace(graph, populations=(replace(graph["input"], node=node), graph["layer"])), "loihi1"
            )
        )
    node = Input(-3, 12)
    graded = replace(graph, populations=(replace(graph["input"], node=node), graph["layer"]))
    message = "input sends -3..12, which takes 5 bits, a spike of loihi1 carries 0: give it spikes, or choose a chip"
    refused(one_core(graded, "loihi1"), message)
    Check().apply(one_core(graded, "loihi2"))


def test_graded_input_that_the_network_itself_names_is_refused_by_compile():
    one = np.ones(())
    node = LIF(tau=4e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one, bias=0 * one)
    for sent, fits in ((Input(), True), (Input(-3, 12), False)):
        populations = (Population("input", (3,), sent), Population("layer", (2,), node))
        link = Connection("input", "layer", "current", Dense(np.ones((2, 3))))
        graph = Graph(1e-3, populations, (link,), ("layer",))
        ad.compile(graph, "loihi2")
        if fits:
            ad.compile(graph, "loihi1")
        else:
            with pytest.raises(
                DoesNotFit, match=r"input sends -3..12, .* a spike of loihi1 carries 0: give it spikes"
            ):
                ad.compile(graph, "loihi1")


def test_what_was_found_before_there_are_cores_comes_with_all_that_the_network_breaks():
    draft = Draft(layer(delay=5, size=3), Board.of(load_chip("toy")))
    assert network_violations(draft) == [
        "input -> layer.current has a delay of 5 steps, toy allows 4: shorten it, or relay through another population "
        "(an assumed limit: made up)"
    ]
    text = str(refusal(draft, ["it needs 17 cores, toy has 16"]))
    assert text.startswith(
        "the network can't run on toy, 2 violations:\n- input -> layer.current has a delay"
    )
    assert text.endswith("\n- it needs 17 cores, toy has 16")


def test_all_violations_come_together():
    graph = layer(inputs=300, weight=127, delay=64, threshold=5, bias=4097)
    message = r"can't run on loihi1, 3 violations:\n- .*delay of 64 steps.*\n- .*bias.*\n- .*accumulator"
    refused(draft_of(graph, "loihi1"), message, violations=3)


def test_rules_are_named_after_what_they_demand():
    rules = (*NETWORK_RULES, *CORE_RULES)
    assert len({rule.__name__ for rule in rules}) == len(rules) == 20
    assert all(rule.__doc__ for rule in rules)
