"""partition: every core legal, every neuron on one core."""

from dataclasses import replace

import numpy as np
import pytest
from core_loads import assert_legal
from float_networks import edge, lif
from float_networks import graph as float_graph
from hypothesis import given, settings
from hypothesis import strategies as st

import astrodeploy as ad
from astrodeploy.chip import Board, Chip, load_chip
from astrodeploy.compartments import KINDS
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, RateEncoder
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Draft
from astrodeploy.passes.check import Check
from astrodeploy.passes.partition import Partition
from astrodeploy.program import Slice
from astrodeploy.synapses import dense_bits, neuron_bits, sparse_bits, store


def population(name, size, kind="lif", depth=1, period=0, **parameters):
    made = KINDS[kind]
    values = {k: np.broadcast_to(np.asarray(parameters.get(k, 0)), size) for k in made.parameters}
    initial = {k: np.full(size, s.initial) for k, s in made.states.items()}
    return Population(name, (size,), Compartments(made, values, initial, period), depth)


def connection(source, target, weight, port="current", delay=1):
    return Connection(source, target, port, Dense(np.asarray(weight, np.int8)), delay=delay)


def network(populations, connections, output=None):
    return Graph(1e-3, tuple(populations), tuple(connections), (output or populations[-1].name,))


def dense_network(*sizes):
    """A chain of layers with weights 1."""
    names = ["input", *[f"layer{i}" for i in range(1, len(sizes))]]
    populations = [Population("input", (sizes[0],), Input())]
    populations += [population(n, s, depth=i) for i, (n, s) in enumerate(zip(names, sizes, strict=True)) if i]
    links = zip(names, names[1:], sizes, sizes[1:], strict=False)
    return network(populations, [connection(a, b, np.ones((t, s))) for a, b, s, t in links])


def tiny(**limits) -> Chip:
    """The toy chip with other limits; its indices reach every neuron of a core."""
    chip = load_chip("toy")
    changed = {k: getattr(chip.limits, k).model_copy(update={"value": v}) for k, v in limits.items()}
    bits = max(4, (limits.get("compartments_per_core", 1) - 1).bit_length())
    wide = {"index_bits": chip.synapses.index_bits.model_copy(update={"value": bits})}
    changes = {
        "limits": chip.limits.model_copy(update=changed),
        "synapses": chip.synapses.model_copy(update=wide),
    }
    return chip.model_copy(update=changes)


def partitioned(graph, chip):
    return Partition().apply(Draft(graph, Board.of(chip), pack="fewest"))


# ---- encodings ------------------------------------------------------------------------------------


def test_bits_of_one_axon_by_hand():
    chip = load_chip("toy")  # header 10, index 4, weight 8, delay 2, word 64, 60 synapses an entry
    assert dense_bits([0, 1, 6, 7], 1, chip).tolist() == [0, 64, 64, 128]  # 14 + 48 = 62, 14 + 56 = 70
    assert dense_bits([5, 6], 2, chip).tolist() == [64, 128]  # 14 + 50 = 64, 14 + 60 = 74
    assert sparse_bits([0, 4, 5], 1, chip).tolist() == [0, 64, 128]  # 10 + 48 = 58, 10 + 60 = 70
    assert dense_bits([60, 61], 1, chip).tolist() == [512, 576]  # 494; 28 + 488 = 516


def test_the_cheaper_encoding_is_taken_and_zeros_count_in_dense_only():
    chip = load_chip("toy")
    full, diagonal = (
        store(connection("a", "b", np.ones((20, 20))), (20,), chip),
        store(connection("a", "b", np.eye(20)), (20,), chip),
    )
    assert (full.encoding, full.costs) == ("dense", {"dense": 20 * 192, "sparse": 20 * 256})
    assert (diagonal.encoding, diagonal.costs) == ("sparse", {"dense": 20 * 192, "sparse": 20 * 64})
    part = Slice("b", ((3, 8),))
    assert [each.tolist() for each in full.synapses(part)] == [list(range(20)), [5] * 20]
    assert [each.tolist() for each in diagonal.synapses(part)] == [[3, 4, 5, 6, 7], [1] * 5]


def test_a_neuron_keeps_its_states_and_the_parameters_that_differ():
    same = population("same", 4, threshold=7)
    differ = population("differ", 4, threshold=np.arange(4))
    assert neuron_bits(same) == KINDS["lif"].state_bits
    assert neuron_bits(differ) == KINDS["lif"].state_bits + KINDS["lif"].parameters["threshold"].bits


# ---- partition ------------------------------------------------------------------------------------


def test_a_small_network_shares_one_core():
    graph, chip = dense_network(8, 6, 4), load_chip("toy")
    draft, notes = partitioned(graph, chip)
    assert [[str(s) for s in c.slices] for c in draft.cores] == [["layer1[0..5]", "layer2[0..3]"]]
    assert_legal(graph, draft.cores, chip)
    assert [n.text for n in notes] == [
        "stored dense: on one core dense would take 512 bits, sparse 1024",
        "stored sparse: on one core dense would take 384 bits, sparse 384",
        "uses 1 core",
    ]


def test_a_larger_network_is_cut_and_the_cuts_are_told():
    graph, chip = dense_network(64, 40, 10), load_chip("toy")
    draft, notes = partitioned(graph, chip)
    assert len(draft.cores) > 3
    assert_legal(graph, draft.cores, chip)
    assert any(n.subject == "layer1" and "cut into" in n.text and ": 0..15, 16..31" in n.text for n in notes)
    assert notes[-1].values == {"cores": len(draft.cores)}


def test_the_same_network_gives_the_same_cores():
    first, again = (partitioned(dense_network(64, 40, 10), load_chip("toy"))[0].cores for _ in range(2))
    assert first == again


def test_loihi2_takes_a_digits_network_on_few_cores():
    graph, chip = dense_network(784, 512, 10), load_chip("loihi2")
    draft, _ = partitioned(graph, chip)
    # 784 axons of 9 entries: 512 neurons need 784 * 4352 bits = 3.25 cores of 2**20 bits
    assert len(draft.cores) == 4
    Check().apply(draft)


def test_output_axons_decide_where_targets_are_cut():
    chip = tiny(output_axons_per_core=24)
    graph = dense_network(4, 16, 64)  # every neuron of layer1 sends to each range of layer2
    draft, _ = partitioned(graph, chip)
    ranges = sum(s.population == "layer2" for c in draft.cores for s in c.slices)
    assert ranges >= 4
    assert all(c.loads["output_axons"] <= 24 for c in draft.cores)
    assert sum(c.loads["output_axons"] for c in draft.cores) == 16 * ranges
    assert_legal(graph, draft.cores, chip)


def astrocyte_network(size, domains):
    pool = np.zeros((domains, size), np.int8)
    pool[np.arange(size) % domains, np.arange(size)] = 1
    return network(
        [
            Population("input", (8,), Input()),
            population("hidden", size, "modulated_lif"),
            population("out", 12, depth=2),
            population("astro", domains, "astrocyte", depth=2, period=8),
        ],
        [
            connection("input", "hidden", np.ones((size, 8))),
            connection("hidden", "out", np.ones((12, size))),
            connection("hidden", "astro", pool, "activity"),
            connection("astro", "hidden", pool.T, "modulation"),
        ],
        "out",
    )


def test_astrocytes_lie_with_what_they_modulate():
    graph, chip = astrocyte_network(8, 2), load_chip("toy")
    draft, _ = partitioned(graph, chip)
    assert len(draft.cores) == 2  # 8 + 2 + 12 neurons on cores of 16: the astrocytes come before "out"
    assert [s.population for s in draft.cores[0].slices] == ["hidden", "astro"]
    assert_legal(graph, draft.cores, chip)


def test_gaps_are_filled():
    graph = dense_network(4, 10, 10, 10)  # 30 neurons; whole layers need 3 cores of 16
    chip = tiny(cores=2)
    draft, _ = partitioned(graph, chip)
    assert len(draft.cores) == 2
    assert_legal(graph, draft.cores, chip)


def test_a_neuron_that_does_not_fit_is_named_with_all_numbers():
    message = (
        r"neuron 0 of layer1 alone does not fit a core of toy: it needs input_axons 100 of 96 "
        r"\(within the limits: compartments 1 of 16, synaptic_memory_bits 6400 of 12288, output_axons 0 of 48, "
        r"memory_bits \d+ of 16384\); give it"
    )
    with pytest.raises(DoesNotFit, match=message):
        partitioned(dense_network(100, 2), load_chip("toy"))


def test_too_few_cores_are_told_with_all_numbers():
    message = (
        "the network needs 3 cores, toy has 1: it needs, of what these cores hold in all, compartments 44 of 16, "
        r"synaptic_memory_bits \d+ of 12288, .*; no board of toy that is known here holds it: use fewer"
    )
    with pytest.raises(DoesNotFit, match=message):
        partitioned(dense_network(4, 40, 4), tiny(cores=1))


# ---- the law --------------------------------------------------------------------------------------


@st.composite
def networks(draw):
    """Random networks with chains, skips, recurrence, zeros and astrocytes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    fill = draw(st.sampled_from([0.05, 0.3, 1.0]))
    weight = lambda t, s: rng.integers(-128, 128, (t, s)) * (rng.random((t, s)) < fill)
    populations = [Population("p0", (sizes[0],), Input())]
    populations += [population(f"p{i}", n, "modulated_lif", i) for i, n in enumerate(sizes) if i]
    pairs = [(i, j) for i in range(len(sizes)) for j in range(1, len(sizes)) if i < j or draw(st.booleans())]
    links = [connection(f"p{i}", f"p{j}", weight(sizes[j], sizes[i]), delay=1 + (i >= j)) for i, j in pairs]
    if draw(st.booleans()):
        domains = draw(st.integers(1, 4))
        populations.append(population("astro", domains, "astrocyte", 2, 4))
        links.append(connection("p1", "astro", weight(domains, sizes[1]), "activity"))
        links.append(connection("astro", "p1", weight(sizes[1], domains), "modulation"))
    return network(populations, links, "p1")


@settings(max_examples=60, deadline=None)
@given(
    networks(),
    st.integers(1, 20),
    st.sampled_from([2048, 8192, 65536]),
    st.integers(20, 200),
    st.integers(4, 200),
    st.sampled_from([4, 16]),
)
def test_a_partition_is_legal_or_refused(graph, compartments, memory, inputs, outputs, cores):
    chip = tiny(
        cores=cores,
        compartments_per_core=compartments,
        synaptic_memory_bits_per_core=memory,
        memory_bits_per_core=2 * memory,
        input_axons_per_core=inputs,
        output_axons_per_core=outputs,
    )
    try:
        draft, _ = partitioned(graph, chip)
    except DoesNotFit as error:
        assert "alone does not fit" in str(error) or f"toy has {cores}" in str(error)
        return
    assert_legal(graph, draft.cores, chip)
    Check().apply(draft)


# ---- the fastest of a chip that is cleared core by core -----------------------------------------------


def spreading(inputs=None):
    """100 -> 200 float neurons, which 'fastest' spreads where clearing costs nothing."""
    rng = np.random.default_rng(0)
    made = float_graph(100, [Population("a", (200,), lif())], [edge("x", "a", rng.normal(0, 1, (200, 100)))])
    if inputs is None:
        return made
    return replace(made, populations=(Population("x", (100,), inputs), *made.populations[1:]))


def told(program):
    """What the note on the cores says."""
    return next(n.text for report in program.passes for n in report.notes if n.text.startswith("uses "))


def test_the_steps_of_an_inference_are_the_encoders_the_datas_or_stated():
    x = (np.random.default_rng(1).random((3, 25, 100)) < 0.1).astype(float)
    stated = ad.compile(spreading(), "loihi1")
    given = ad.compile(spreading(), "loihi1", calibrate=x)
    encoded = ad.compile(spreading(RateEncoder(40, 0)), "loihi1")
    assert f"inferences of {10 + stated.depth} steps (10 stated, not known" in told(stated)
    assert f"inferences of {25 + given.depth} steps (the calibration data's" in told(given)
    assert f"inferences of {40 + encoded.depth} steps (the encoder's" in told(encoded)


def test_many_steps_are_worth_cores_and_resets_within_a_run_take_them_back():
    cores = lambda steps, **more: len(ad.compile(spreading(RateEncoder(steps, 0)), "loihi1", **more).cores)
    assert cores(10**7) > cores(20) == cores(20, pack="fewest")
    assert cores(10**7, reset_every=20) == cores(20)


def test_a_chip_that_says_nothing_of_clearing_compares_steps_alone():
    program = ad.compile(spreading(RateEncoder(20, 0)), "loihi2")
    assert "inference" not in told(program) and len(program.cores) > 3


@pytest.mark.parametrize("steps", [1, 20, 200])
def test_fastest_is_no_slower_than_fewest(steps):
    x = (np.random.default_rng(2).random((2, steps, 100)) < 0.1).astype(float)
    fast, few = (
        ad.estimate(ad.compile(spreading(), "loihi1", pack=pack), x) for pack in ("fastest", "fewest")
    )
    assert fast.latency_seconds.typical <= few.latency_seconds.typical * (1 + 1e-9)
