"""Synapse encodings: bits by hand, and every box against a count in plain Python."""

from itertools import product

import numpy as np
import pytest
from core_loads import box_of, cheapest, core_parts
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy.chip import load_chip
from astrodeploy.compartments import KINDS
from astrodeploy.formulas import dense_bits, run_length_bits, sparse_bits
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse
from astrodeploy.passes.recount import recount
from astrodeploy.program import Core, Slice
from astrodeploy.synapses import ENCODINGS, PREFERRED, store

CHIPS = ("loihi1", "loihi2", "toy")


def linked(wiring, delay=1):
    return Connection("a", "b", "current", wiring, delay=delay)


def with_formulas(chip, **formulas):
    """The chip with these accounts alone: of each (header, dense index, synapses an entry, least, most skip)."""
    chip = load_chip(chip) if isinstance(chip, str) else chip
    one = next(iter(chip.synapses.formulas.values()))
    keys = (
        "entry_header_bits",
        "dense_index_bits",
        "synapses_per_entry",
        "least_skip_bits",
        "most_skip_bits",
    )
    made = {}
    for name, numbers in formulas.items():
        values = {
            k: v if v is None else one.entry_header_bits.model_copy(update={"value": v})
            for k, v in zip(keys, numbers, strict=True)
        }
        made[name] = one.model_copy(update=values)
    return chip.model_copy(update={"synapses": chip.synapses.model_copy(update={"formulas": made})})


# ---- by hand -----------------------------------------------------------------------------------------


def test_the_dearest_account_counts_axon_by_axon():
    chip = load_chip("loihi1")
    # NxTF: 20 bits an entry of 60; nengo-loihi: 10 bits an entry of 64
    assert dense_bits([5, 6, 512], 1, chip).tolist() == [
        64,
        128,
        4288,
    ]  # 20 + 48 = 68 > 64; 9 * 20 + 4096 = 4276
    assert sparse_bits([3, 60, 61], 1, chip).tolist() == [64, 1152, 1152]  # 10 + 54; 1090; 20 + 1098 = 1118
    nengo = with_formulas(chip, nengo=(10, 0, 64, None, None))
    assert dense_bits([6, 512], 1, nengo).tolist() == [64, 4224]  # 58; 8 * 10 + 4096 = 4176


def test_a_gap_that_the_skip_can_not_hold_begins_an_entry():
    weights = np.zeros((40, 1), np.int8)
    weights[[0, 1, 5, 10, 11, 12, 29, 30]] = 1  # passes over 3, 4, then 16 neurons
    chip = with_formulas("loihi1", mine=(10, 10, 60, 2, 5))
    for skip, entries in ((2, 3), (3, 2), (4, 2), (5, 1)):
        stored = ENCODINGS["runlength"](linked(Dense(weights)), (40,), chip, {})
        counted = stored.positions.runs(Slice("b", ((0, 40),)))(1 << skip, 60)
        assert counted.tolist() == [entries], skip
        bits = run_length_bits([8], {"mine": counted}, skip, 1, chip)
        assert bits.tolist() == [-(-(20 * entries + 8 * (8 + skip)) // 64) * 64]


def test_an_entry_holds_few_synapses():
    chip = with_formulas("loihi1", mine=(10, 10, 4, 2, 5))
    stored = ENCODINGS["runlength"](linked(Dense(np.ones((10, 1), np.int8))), (10,), chip, {})
    assert stored.positions.runs(Slice("b", ((1, 10),)))(4, 4).tolist() == [3]
    assert stored.load(Slice("b", ((1, 10),))).bits == 192  # 3 * 20 + 9 * 10 = 150


def test_an_entry_ends_with_its_line():
    chip = load_chip("toy")
    stored = ENCODINGS["runlength"](linked(Dense(np.ones((12, 1), np.int8))), (3, 4), chip, {})
    assert stored.positions.runs(Slice("b", ((0, 3), (0, 4))))(4, 60).tolist() == [3]
    assert stored.positions.runs(Slice("b", ((0, 2), (1, 2))))(4, 60).tolist() == [2]


def test_neighbouring_synapses_are_stored_run_length():
    """A band of a large matrix: its indices would be wide, its zeros many."""
    weights = np.zeros((1000, 100), np.int8)
    for source in range(100):
        weights[10 * source : 10 * source + 10, source] = 1
    stored = store(linked(Dense(weights)), (1000,), load_chip("loihi1"))
    assert stored.encoding == "runlength"
    assert stored.skip_bits == 2
    # 20 + 10 * (8 + 2) = 120 bits; with indices 10 + 10 * 18 = 190
    assert stored.costs["runlength"] == 100 * 128 < stored.costs["sparse"] == 100 * 192
    assert stored.load(Slice("b", ((5, 15),))) == (2 * 128, 2, 2, 2)


def test_a_chip_without_run_length_entries():
    weights = np.tile(np.repeat([1, 0], 5), (2, 100)).T.astype(np.int8)
    assert "runlength" in store(linked(Dense(weights)), (1000,), load_chip("loihi1")).costs
    plain = with_formulas("loihi1", nengo=(10, 0, 64, None, None))
    assert set(store(linked(Dense(weights)), (1000,), plain).costs) == {"dense", "sparse"}


@pytest.mark.parametrize("wiring", [Dense(np.ones((50, 20), np.int8)), OneToOne(np.ones(50, np.int8))])
def test_run_length_is_not_weighed_where_it_can_not_win(wiring, monkeypatch):
    monkeypatch.setattr("astrodeploy.positions.Entries", None)
    assert "runlength" not in store(linked(wiring), (wiring.shape[0],), load_chip("loihi1")).costs


def test_of_a_large_pattern_a_sample_decides(monkeypatch):
    rng = np.random.default_rng(0)
    spread = Sparse.of((rng.random((3000, 300)) < 0.01).astype(np.int8))
    close = Sparse.of(np.kron(np.eye(300), np.ones((10, 1))).astype(np.int8))
    for wiring, encoding in ((spread, "sparse"), (close, "runlength")):
        exact = store(linked(wiring), (3000,), load_chip("loihi1"))
        monkeypatch.setattr("astrodeploy.synapses.SAMPLE", 500)
        sampled = store(linked(wiring), (3000,), load_chip("loihi1"))
        monkeypatch.undo()
        assert sampled.encoding == exact.encoding == encoding
        assert sampled.costs[encoding] == exact.costs[encoding]


def test_the_longest_list_of_an_axon_is_told():
    chip, whole = load_chip("loihi1"), Slice("b", ((0, 512),))
    assert store(linked(Dense(np.ones((512, 3), np.int8))), (512,), chip).load(whole).words == 4288 // 64
    weights = np.zeros((512, 3), np.int8)
    weights[::50, 0] = weights[0, 1] = 1
    stored = store(linked(Dense(weights)), (512,), chip)
    assert stored.load(whole).words == 4  # 10 + 11 * 18 = 208 bits
    assert stored.load(Slice("b", ((1, 2),))) == (0, 0, 0, 0)


# ---- against plain counting --------------------------------------------------------------------------


def random_wiring(rng):
    """A pattern and the shape of its targets; its weights lie anywhere, or in bands."""
    fill = rng.choice([0.02, 0.1, 0.3, 0.7, 1.0])
    if rng.random() < 0.3:
        n = int(rng.integers(1, 3))
        shape, groups = (
            (int(rng.choice([2, 4])), *(int(s) for s in rng.integers(4, 8, n))),
            int(rng.choice([1, 2])),
        )
        values = rng.integers(
            1, 9, (groups * int(rng.integers(1, 3)), shape[0] // groups, *rng.integers(1, 4, n))
        )
        values = (values * (rng.random(values.shape) < fill)).astype(np.int8)
        pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, n))
        wiring = Conv(values, shape, pick(1, 2), pick(0, 2), (1,) * n, groups)
        return wiring, wiring.output_shape if rng.random() < 0.7 else (wiring.shape[0],)
    shape = ((int(rng.integers(1, 60)),), (2, 3, int(rng.integers(1, 9))))[int(rng.integers(2))]
    targets, sources = int(np.prod(shape)), int(rng.integers(1, 9))
    weights = rng.integers(1, 9, (targets, sources)) * (rng.random((targets, sources)) < fill)
    if rng.random() < 0.5:
        weights[int(targets * rng.random()) :] = 0
    made = weights.astype(np.int8)
    if rng.random() < 0.2:
        return OneToOne(rng.integers(0, 2, targets).astype(np.int8)), shape
    return (Dense(made) if rng.random() < 0.5 else Sparse.of(made)), shape


def random_box(rng, shape):
    ends = [sorted(int(e) for e in rng.choice(n + 1, 2, replace=False)) for n in shape]
    return Slice("b", tuple((a, b) for a, b in ends))


def within(rng, cut):
    ranges = []
    for start, stop in cut.ranges:
        a, b = sorted(int(e) for e in rng.choice(np.arange(start, stop + 1), 2, replace=False))
        ranges.append((a, b))
    return Slice(cut.population, tuple(ranges))


def random_chip(rng):
    """A chip, sometimes with short entries of several accounts."""
    if rng.random() < 0.5:
        return load_chip(str(rng.choice(CHIPS)))
    least = int(rng.integers(1, 3))
    return with_formulas(
        str(rng.choice(CHIPS)),
        one=(10, 4, int(rng.integers(2, 9)), least, least + int(rng.integers(0, 3))),
        two=(7, 0, int(rng.integers(2, 9)), least, 4),
        three=(12, 3, 5, None, None),
    )


def population(name, shape):
    kind, size = KINDS["lif"], int(np.prod(shape))
    values = {k: np.zeros(size, np.int64) for k in kind.parameters}
    return Population(name, shape, Compartments(kind, values, {k: np.zeros(size) for k in kind.states}), 1)


def recounted(stored, cut):
    """Loads of one box by the passes' own recount."""
    wiring, shape = stored.connection.wiring, stored.shape
    source = wiring.input_shape if isinstance(wiring, Conv) else (wiring.shape[1],)
    graph = Graph(
        1e-3, (Population("a", source, Input()), population("b", shape)), (stored.connection,), ("b",)
    )
    (loads,) = recount(graph, stored.chip, [Core(0, (cut,), {}, {})], {"b": [stored]})
    return loads


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_every_box_is_counted_exactly(seed):
    rng = np.random.default_rng(seed)
    (wiring, shape), chip = random_wiring(rng), random_chip(rng)
    stored = store(linked(wiring, int(rng.integers(1, 3))), shape, chip)
    skip = stored.skip_bits if stored.encoding == "runlength" else 0
    assert (stored.encoding, skip) == cheapest(stored.connection, shape, chip)
    cut = random_box(rng, shape)
    load, loads = stored.load(cut), recounted(stored, cut)
    sources, bits, axons = core_parts((stored.encoding, skip), stored.connection, box_of(cut, shape), chip)
    assert (load.bits, load.input_axons, load.sources) == (bits, axons, len(sources))
    assert loads["synaptic_memory_bits"] == bits
    assert (loads["input_axons"], loads["words_per_axon"]) == (axons, load.words)
    assert load.words * chip.synapses.word_bits.value <= bits


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(ENCODINGS)))
def test_every_encoding_is_counted_exactly_chosen_or_not(seed, encoding):
    rng = np.random.default_rng(seed)
    (wiring, shape), chip = random_wiring(rng), random_chip(rng)
    stored = ENCODINGS[encoding](linked(wiring), shape, chip, {})
    if encoding == "convolution" and stored.positions.fields is None:
        return
    skip = stored.skip_bits if encoding == "runlength" else 0
    cut = random_box(rng, shape)
    load, loads = stored.load(cut), recounted(stored, cut)
    sources, bits, axons = core_parts((encoding, skip), stored.connection, box_of(cut, shape), chip)
    assert (load.bits, load.input_axons, load.sources) == (bits, axons, len(sources))
    assert (loads["synaptic_memory_bits"], loads["input_axons"]) == (bits, axons)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(ENCODINGS)))
def test_a_larger_box_takes_no_less_and_its_parts_no_less_than_it(seed, encoding):
    rng = np.random.default_rng(seed)
    (wiring, shape), chip = random_wiring(rng), random_chip(rng)
    stored = ENCODINGS[encoding](linked(wiring), shape, chip, {})
    if encoding == "convolution" and stored.positions.fields is None:
        return
    cut = random_box(rng, shape)
    large, small = stored.load(cut), stored.load(within(rng, cut))
    assert all(a >= b for a, b in zip(large, small, strict=True))
    for axis, (start, stop) in enumerate(cut.ranges):
        for middle in range(start + 1, stop):
            ends = [[*cut.ranges], [*cut.ranges]]
            ends[0][axis], ends[1][axis] = (start, middle), (middle, stop)
            assert sum(stored.load(Slice("b", tuple(each))).bits for each in ends) >= large.bits


@given(st.lists(st.integers(0, 300), min_size=1), st.integers(1, 2), st.sampled_from(CHIPS))
def test_no_account_asks_for_more_than_the_dearest(synapses, delay, name):
    chip = load_chip(name)
    for rule in (dense_bits, sparse_bits):
        alone = []
        for formula in chip.synapses.formulas.values():
            one = chip.synapses.model_copy(update={"formulas": {"one": formula}})
            alone.append(rule(synapses, delay, chip.model_copy(update={"synapses": one})))
        assert np.array_equal(np.max(alone, 0), rule(synapses, delay, chip))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_encoding_is_the_cheapest_that_there_is(seed):
    rng = np.random.default_rng(seed)
    (wiring, shape), chip = random_wiring(rng), random_chip(rng)
    stored = store(linked(wiring), shape, chip)
    every = {name: kind(linked(wiring), shape, chip, {}) for name, kind in ENCODINGS.items()}
    possible = {n: each for n, each in every.items() if n != "convolution" or each.is_open}
    costs = {name: each.load(each.whole).bits for name, each in possible.items()}
    assert costs[stored.encoding] == min(costs.values())
    assert all(costs[name] == bits for name, bits in stored.costs.items())
    tied = [name for name in PREFERRED if costs.get(name) == min(costs.values())]
    assert stored.encoding == tied[0]


def test_gathered_values_are_those_of_the_stored_synapses():
    rng = np.random.default_rng(0)
    weights = (rng.random((30, 12)) < 0.4).astype(np.int8)
    values = rng.random((3, 12))
    for name, wiring in product(("sparse", "runlength"), (Dense(weights), Sparse.of(weights))):
        stored = ENCODINGS[name](linked(wiring), (30,), load_chip("toy"), {})
        np.testing.assert_allclose(stored.gathered(values), values @ weights.T)
