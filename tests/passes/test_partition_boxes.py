"""partition of populations with several dimensions: convolutions cut into boxes, their filters shared."""

from dataclasses import replace

import numpy as np
import pytest
from core_loads import assert_legal
from hypothesis import given, settings
from hypothesis import strategies as st

import astrodeploy as ad
from astrodeploy.chip import Board, Chip, load_chip
from astrodeploy.compartments import KINDS
from astrodeploy.errors import DoesNotFit, InputError
from astrodeploy.ir import LIF, Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool
from astrodeploy.mapping.cutting import FanOut
from astrodeploy.passes.base import Draft
from astrodeploy.passes.check import Check
from astrodeploy.passes.partition import Partition
from astrodeploy.program import Slice
from astrodeploy.synapses import ENCODINGS, store


def population(name, shape, depth=1):
    kind, size = KINDS["lif"], int(np.prod(shape))
    values = {k: np.zeros(size, np.int64) for k in kind.parameters}
    initial = {k: np.full(size, s.initial) for k, s in kind.states.items()}
    return Population(name, shape, Compartments(kind, values, initial), depth)


def conv(rng, shape, outputs, kernel, stride=None, padding=None, dilation=None, groups=1, fill=1.0):
    n = len(shape) - 1
    values = rng.integers(-127, 128, (outputs, shape[0] // groups, *kernel))
    values = (values * (rng.random(values.shape) < fill)).astype(np.int8)
    return Conv(values, shape, stride or (1,) * n, padding or (0,) * n, dilation or (1,) * n, groups)


def chain(shape, *wirings):
    """An input and one population for each wiring, of a convolution's own shape."""
    populations, connections = [Population("input", shape, Input())], []
    for i, wiring in enumerate(wirings, start=1):
        made = wiring.output_shape if isinstance(wiring, Conv) else (wiring.shape[0],)
        populations.append(population(f"layer{i}", made, i))
        connections.append(Connection(populations[-2].name, f"layer{i}", "current", wiring, delay=1))
    return Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))


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


def boxes(draft, name):
    return [s.ranges for core in draft.cores for s in core.slices if s.population == name]


# ---- encodings ---------------------------------------------------------------------------------------


def test_filters_are_stored_once_and_a_pixel_is_one_axon():
    rng, chip = np.random.default_rng(0), load_chip("toy")  # header 10, index 4, weight 8, word 64
    stored = store(Connection("a", "b", "current", conv(rng, (3, 8, 8), 5, (3, 3)), delay=1), (5, 6, 6), chip)
    # a list of 45 synapses an input channel: 14 + 360 bits are 6 words; 64 pixels of one word each
    assert stored.encoding == "convolution"
    assert stored.costs["convolution"] == 3 * 6 * 64 + 64 * 64
    # two channels, a row of four: lists of 18 synapses, 158 bits; 3 x 6 pixels, 3 neurons at each
    load = stored.load(Slice("b", ((1, 3), (2, 3), (1, 5))))
    assert load == (3 * 3 * 64 + 18 * 64, 18, 54, 3)


def test_an_input_channel_that_the_box_does_not_read_has_no_list():
    rng, chip = np.random.default_rng(0), load_chip("toy")
    grouped = conv(rng, (4, 6, 6), 4, (3, 3), groups=2)
    stored = store(Connection("a", "b", "current", grouped, delay=1), (4, 4, 4), chip)
    assert stored.load(Slice("b", ((0, 2), (0, 4), (0, 4)))) == (2 * 3 * 64 + 36 * 64, 36, 72, 3)
    sources, _ = stored.synapses(Slice("b", ((0, 2), (0, 4), (0, 4))))
    assert sources.tolist() == list(range(72))


def test_a_chip_without_shared_filters_lists_the_synapses():
    chip, rng = load_chip("toy"), np.random.default_rng(0)
    without = chip.synapses.model_copy(update={"convolution_axon_bits": None})
    link = Connection("a", "b", "current", conv(rng, (3, 8, 8), 5, (3, 3)), delay=1)
    stored = store(link, (5, 6, 6), chip.model_copy(update={"synapses": without}))
    assert (stored.encoding, list(stored.costs)) == ("sparse", ["sparse"])


def test_a_flat_population_has_no_boxes_to_share_filters_in():
    rng = np.random.default_rng(0)
    link = Connection("a", "b", "current", conv(rng, (3, 8, 8), 5, (3, 3)), delay=1)
    assert store(link, (180,), load_chip("toy")).encoding == "sparse"


def wirings(rng):
    """A pattern of every kind onto a population of shape (4, 3, 5)."""
    plain = conv(rng, (2, 7, 5), 4, (3, 2), (2, 1), (0, 1), (1, 2), fill=0.4)
    assert plain.output_shape == (4, 3, 5)
    return [
        plain,
        conv(rng, (4, 3, 5), 4, (3, 3), padding=(1, 1), groups=4, fill=0.2),
        Sparse.of(plain.sparse),
        Dense(plain.matrix()),
        Dense(np.full((60, 7), 3, np.int8)),
        OneToOne(rng.integers(0, 2, 60).astype(np.int8)),
    ]


EVERY = [(i, encoding) for i in range(6) for encoding in ("dense", "sparse", "convolution")[: 3 - (i > 1)]]


@pytest.mark.parametrize(("which", "encoding"), EVERY)
def test_synapses_of_a_box_are_those_of_the_matrix(which, encoding):
    wiring, shape = wirings(np.random.default_rng(which))[which], (4, 3, 5)
    stored = ENCODINGS[encoding](
        Connection("a", "b", "current", wiring, delay=1), shape, load_chip("toy"), {}
    )
    pattern = {
        "dense": np.ones(wiring.shape),
        "sparse": wiring.matrix() != 0,
        "convolution": wiring.with_values(np.ones_like(wiring.values)).matrix(),
    }[encoding]
    for ranges in (((0, 4), (0, 3), (0, 5)), ((1, 3), (0, 1), (2, 5)), ((3, 4), (2, 3), (0, 1))):
        cut = Slice("b", ranges)
        rows = np.arange(60).reshape(shape)[cut.index].ravel()
        assert cut.neurons(shape).tolist() == rows.tolist()
        sources, counts = stored.synapses(cut)
        expected = pattern[rows].sum(0)
        assert sources.tolist() == np.flatnonzero(expected).tolist()
        assert counts.tolist() == expected[expected > 0].tolist()
        assert stored.load(cut).sources == sources.size
    values = np.random.default_rng(0).random((3, wiring.shape[1]))
    gathered = np.broadcast_to(stored.gathered(values), (3, 60))
    np.testing.assert_allclose(gathered, values @ pattern.T)


# ---- boxes -------------------------------------------------------------------------------------------


def test_a_box_in_words():
    assert str(Slice("conv-0", ((0, 24), (0, 4), (0, 99)))) == "conv-0[0..23, 0..3, 0..98]"
    assert str(Slice("fc", ((16, 32),))) == "fc[16..31]"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
def test_axons_within_a_box_are_a_sum(shape, data):
    counts = np.random.default_rng(len(shape)).integers(0, 9, shape)
    ranges = tuple((a := data.draw(st.integers(0, n - 1)), data.draw(st.integers(a + 1, n))) for n in shape)
    cut = Slice("p", ranges)
    rates = np.random.default_rng(0).random(shape)
    fan_out = FanOut(counts, rates)
    assert fan_out.axons(cut) == counts[cut.index].sum()
    assert fan_out.messages(cut) == pytest.approx((counts * rates)[cut.index].sum())


def test_a_convolution_is_cut_by_rows_first():
    rng, chip = np.random.default_rng(0), tiny(compartments_per_core=40, input_axons_per_core=60)
    graph = chain((1, 12, 12), conv(rng, (1, 12, 12), 2, (3, 3)))
    draft, notes = partitioned(graph, chip)
    # 2 x 10 neurons a row, and 12 pixels of three rows and more: 40 neurons are two rows of 48 pixels
    assert boxes(draft, "layer1") == [((0, 2), (a, a + 2), (0, 10)) for a in range(0, 10, 2)]
    assert [core.loads["input_axons"] for core in draft.cores] == [48] * 5
    assert_legal(graph, draft.cores, chip)
    assert notes[1].text.startswith("cut into 5 boxes: [0..1, 0..1, 0..9], [0..1, 2..3, 0..9]")


def test_columns_are_cut_where_a_row_does_not_fit():
    rng, chip = np.random.default_rng(0), tiny(input_axons_per_core=30)
    graph = chain((1, 4, 16), conv(rng, (1, 4, 16), 1, (3, 3)))  # a row of 14 reads 48 pixels
    draft, _ = partitioned(graph, chip)
    # three strips of two rows, 4 x 7 pixels at most; of two strips, each row would be a box of its own
    assert boxes(draft, "layer1") == [((0, 1), (0, 2), columns) for columns in ((0, 4), (4, 9), (9, 14))]
    assert_legal(graph, draft.cores, chip)


def test_channels_are_cut_where_the_filters_do_not_fit():
    rng, chip = np.random.default_rng(0), tiny(synaptic_memory_bits_per_core=9000)
    graph = chain((8, 3, 3), conv(rng, (8, 3, 3), 16, (3, 3)))  # 8 lists of 144 synapses: 8 x 1216 bits
    draft, _ = partitioned(graph, chip)
    assert boxes(draft, "layer1") == [((0, 8), (0, 1), (0, 1)), ((8, 16), (0, 1), (0, 1))]
    assert_legal(graph, draft.cores, chip)


def test_a_pixel_that_does_not_fit_is_named():
    rng, chip = np.random.default_rng(0), tiny(input_axons_per_core=8)
    message = r"neuron \(0, 0, 0\) of layer1 alone does not fit a core of toy: it needs input_axons 9 of 8 "
    with pytest.raises(DoesNotFit, match=message):
        partitioned(chain((1, 4, 4), conv(rng, (1, 4, 4), 2, (3, 3))), chip)


def test_rows_that_two_boxes_read_send_twice():
    rng, chip = np.random.default_rng(0), tiny(compartments_per_core=24, output_axons_per_core=100)
    graph = chain((1, 6, 6), conv(rng, (1, 6, 6), 1, (1, 1)), conv(rng, (1, 6, 6), 8, (3, 3)))
    draft, _ = partitioned(graph, chip)
    assert_legal(graph, draft.cores, chip)
    ends = sorted(boxes(draft, "layer2"))
    sent = sum((b[1][1] - b[1][0] + 2) * (b[2][1] - b[2][0] + 2) for b in ends)
    assert sum(core.loads["output_axons"] for core in draft.cores) == sent > 36


def test_a_loop_of_more_neurons_than_cores_have_axons_is_refused_soon():
    weights = np.ones((60, 60), np.int8)
    graph = chain((2,), Dense(np.ones((60, 2), np.int8)))
    loop = Connection("layer1", "layer1", "current", Dense(weights), delay=1)
    graph = replace(graph, connections=(*graph.connections, loop))
    with pytest.raises(
        DoesNotFit, match="the network needs 20 cores, toy has 16: .* output_axons 900 of 768"
    ):
        partitioned(graph, tiny(input_axons_per_core=200))


@st.composite
def convolutional(draw):
    """Random chains of convolutions and pools with a dense or sparse end, sometimes with a loop."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 2))
    pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, n))
    shape = (int(rng.integers(1, 5)), *pick(3, 8))
    first, wirings = shape, []
    for _ in range(draw(st.integers(1, 3))):
        groups = int(rng.choice([g for g in (1, 2, 4) if shape[0] % g == 0]))
        fill = float(rng.choice([0.1, 1.0]))
        try:
            made = conv(
                rng,
                shape,
                groups * int(rng.integers(1, 4)),
                pick(1, 3),
                pick(1, 2),
                pick(0, 1),
                pick(1, 2),
                groups,
                fill,
            )
        except InputError:
            made = pool(shape, (1,) * n, (1,) * n, (0,) * n)
            made = made.with_values(made.values.astype(np.int8))
        wirings.append(made)
        shape = made.output_shape
    ends = rng.integers(-9, 9, (int(rng.integers(1, 9)), int(np.prod(shape)))).astype(np.int8)
    wirings.append(Dense(ends) if rng.random() < 0.5 else Sparse.of(ends * (rng.random(ends.shape) < 0.2)))
    graph = chain(first, *wirings)
    if draw(st.booleans()):
        size = graph["layer1"].size
        back = Connection("layer1", "layer1", "current", OneToOne(np.ones(size, np.int8)), delay=1)
        graph = replace(graph, connections=(*graph.connections, back))
    return graph


@settings(max_examples=60, deadline=None)
@given(
    convolutional(),
    st.integers(3, 60),
    st.sampled_from([2048, 8192, 65536]),
    st.integers(9, 80),
    st.integers(6, 200),
    st.sampled_from([6, 60]),
)
def test_boxes_are_legal_or_refused(graph, compartments, memory, inputs, outputs, cores):
    chip = tiny(
        cores=cores,
        tiles_x=16,
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


# ---- whole networks ----------------------------------------------------------------------------------


def neurons(name, shape):
    one = np.ones(())
    node = LIF(tau=4e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one, bias=0 * one)
    return Population(name, shape, node)


def float_network(shape, layers):
    """A network of LIF neurons with random weights: settings of convolutions, and sizes of dense layers."""
    rng = np.random.default_rng(0)
    populations, connections = [Population("input", shape, Input())], []
    for i, layer in enumerate(layers):
        if isinstance(layer, int):
            wiring = Dense(rng.normal(0, 1 / np.sqrt(populations[-1].size), (layer, populations[-1].size)))
        else:
            outputs, kernel, stride, padding = layer
            values = rng.normal(0, 1, (outputs, populations[-1].shape[0], *kernel))
            wiring = Conv(values, populations[-1].shape, stride, padding, (1, 1))
        populations.append(neurons(f"l{i}", wiring.output_shape if isinstance(wiring, Conv) else (layer,)))
        connections.append(Connection(populations[-2].name, f"l{i}", "current", wiring))
    return Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))


def test_a_network_of_the_size_of_pilotnet_fits_loihi2():
    two, none = (2, 2), (0, 0)
    convolutions = [
        (24, two, none),
        (36, two, none),
        (48, two, none),
        (64, (2, 1), (1, 0)),
        (64, (1, 1), none),
    ]
    layers = [(n, (3, 3), *each) for n, *each in convolutions] + [100, 50, 10, 1]
    program = ad.compile(float_network((3, 66, 200), layers), "loihi2", pack="fewest")
    assert program.network["l0"].shape == (24, 32, 99)
    assert program.network["l4"].shape == (64, 2, 20)
    # Intel's compiler put the layers of the published network on 25, 13, 3, 3, 2 and 12, 1, 1, 1 cores
    used = [len(boxes(program, f"l{i}")) for i in range(9)]
    assert used == [21, 8, 3, 2, 2, 3, 1, 1, 1]
    assert len(program.cores) < 61


def test_a_small_convolutional_network_takes_few_cores():
    layers = [
        (16, (5, 5), (2, 2), (2, 2)),
        (16, (3, 3), (1, 1), (1, 1)),
        (8, (6, 6), (2, 2), (2, 2)),  # a sum pool of 2 x 2, and then 3 x 3
        256,
        10,
    ]
    for chip, most in (("loihi2", 4), ("loihi1", 24)):
        program = ad.compile(float_network((2, 34, 34), layers), chip, pack="fewest")
        assert len(program.cores) <= most
