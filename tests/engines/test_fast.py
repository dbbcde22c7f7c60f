"""fast = oracle, every bit of every message and state; and what its kernels' files are."""

import errno
import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from networks import (
    connection,
    differences,
    exchange,
    job,
    network,
    population,
    random_job,
    random_kind,
    random_network,
    random_wires,
)

from astrodeploy.arithmetic import OPERATIONS, STATE_MAX, THRESHOLD_MAX
from astrodeploy.compartments import KINDS, Kind, Range
from astrodeploy.compartments.kind import Port, State
from astrodeploy.compartments.language import compartment, saturate
from astrodeploy.compartments.lif import Variant, lif, modulated_lif, neuron
from astrodeploy.engines.fast import cache, engine, fast, source
from astrodeploy.engines.fast.plan import components, plan
from astrodeploy.engines.oracle import oracle
from astrodeploy.errors import EngineError
from astrodeploy.ir.nodes import COMPARISONS, RESETS
from astrodeploy.ir.wiring import WIRINGS, Dense

DRAWS = 6  # networks per structure: they share its kernels, so that only the oracle's time is paid


def check(each):
    """Run both engines; return the number of values compared."""
    different, compared = differences(fast(each), oracle(each))
    assert different == 0
    assert compared > 0
    return compared


def sweep(kinds, seed, draws=DRAWS):
    """Random networks of one structure."""
    rng = np.random.default_rng(seed)
    wires = random_wires(rng, kinds)
    return sum(check(random_job(rng, random_network(rng, kinds, wires))) for _ in range(draws))


# ---- every bit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_equals_the_oracle_on_random_parameters_and_edges(name):
    assert sweep([KINDS[name]], seed=len(name), draws=12) > 1000


def test_all_kinds_together_equal_the_oracle():
    assert sweep(list(KINDS.values()), seed=1, draws=12) > 10_000


def variants():
    """Every way in which a neuron may differ from Loihi's own."""
    settings = [(r, c, w, "spikes") for r, c, w in product(RESETS, COMPARISONS, (False, True))]
    settings += [("value", ">", False, sends) for sends in ("membrane", "rectified")]
    return [Variant(gain, *each) for gain, each in product((False, True), settings)]


def test_variants_are_kinds_of_their_own():
    kinds = [neuron(each) for each in variants()]
    assert len({kind.name for kind in kinds}) == len({kind.fingerprint for kind in kinds}) == len(kinds) == 28
    assert neuron(Variant()) is lif
    assert neuron(Variant(gain=True)) is modulated_lif
    for kind in kinds:
        assert Kind.from_dict(json.loads(json.dumps(kind.to_dict()))) == kind


COVERED = [  # every setting, and every pair of reset, comparison and refractory period
    Variant(False, "subtract", ">=", False),
    Variant(False, "none", ">", True),
    Variant(True, "value", ">=", True),
    Variant(True, "subtract", ">", True),
    Variant(False, "none", ">=", False),
    Variant(False, sends="membrane"),
    Variant(True, sends="rectified"),
]


def test_variants_of_neurons_equal_the_oracle():
    assert sweep([neuron(each) for each in COVERED], seed=3, draws=12) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("variant", variants(), ids=lambda each: each.name)
def test_every_variant_equals_the_oracle(variant):
    assert sweep([neuron(variant), lif], seed=4, draws=40) > 10_000


def test_all_patterns_and_inputs_come_up():
    rng = np.random.default_rng(0)
    kinds = [neuron(each) for each in COVERED]
    drawn = [random_network(rng, kinds, random_wires(rng, kinds)) for _ in range(20)]
    patterns = [type(c.wiring).__name__ for each in drawn for c in each.connections]
    assert min(patterns.count(name) for name in WIRINGS) > 10
    assert {len(each.inputs) for each in drawn} == {1, 2}
    assert any(c.lag and c.source == c.target for each in drawn for c in each.connections)
    ends = [[(c.source, c.target, c.port) for c in each.connections] for each in drawn]
    assert any(len(set(each)) < len(each) for each in ends)


RANDOM_KINDS = [(6, 10), (28, 33), (37, 0)]


@pytest.mark.parametrize("seeds", RANDOM_KINDS)
def test_random_neuron_programs_in_random_networks_equal_the_oracle(seeds):
    assert sweep([random_kind(seed) for seed in seeds], seed=sum(seeds)) > 1000


def test_the_random_programs_use_every_operation():
    kinds = [random_kind(seed) for pair in RANDOM_KINDS for seed in pair]
    used = frozenset().union(*(kind.operations_used for kind in kinds))
    assert used == {*OPERATIONS, "table"}
    assert any(kind.window and "out" in kind.window.sends for kind in kinds)
    assert any(kind.window and "out" in kind.step.sends for kind in kinds)
    assert {source.is_graded(kind.outputs["out"].range) for kind in kinds} == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160, 3))
def test_many_random_neuron_programs_equal_the_oracle(seed):
    kinds = [random_kind(seed + i, length=16) for i in range(3)]
    assert sweep(kinds, seed, draws=20) > 1000


@compartment(
    states={},
    parameters={"value": Range.signed(19)},
    inputs={"i": Port(Range(0, 1))},
    outputs={"o": Port(Range.signed(19))},
)
def RELAY(n):
    n.o = n.i * n.value


CURRENTS = (-(1 << 18), (1 << 18) - 1, 1 << 16, -(1 << 16) - 1, 1 << 17, -1)


def edge_job(steps=40):
    """LIFs at every corner of their parameters, each fed with one current; all that the port takes among them."""
    corners = np.meshgrid(
        [0, 1, 4096], [0, 1, 4096], [0, THRESHOLD_MAX], [-(1 << 19), 0, (1 << 19) - 1], CURRENTS
    )
    du, dv, threshold, bias, current = (corner.ravel() for corner in corners)
    size, count = du.size, len(CURRENTS)
    rng = np.random.default_rng(2)
    start = {
        "u": rng.choice([STATE_MAX + 1, -STATE_MAX, 0], size),
        "v": rng.choice([STATE_MAX, -STATE_MAX, 0], size),
    }
    nodes = [
        population("r", RELAY, count, value=CURRENTS),
        population("a", "lif", size, initial=start, du=du, dv=dv, threshold=threshold, bias=bias),
    ]
    edges = [
        connection("x", "r", np.eye(count), port="i"),
        connection("r", "a", current[:, None] == np.array(CURRENTS)),
    ]
    spikes = rng.random((2, steps, count)) < np.array([0.5, 1.0])[:, None, None]
    return job(network(count, nodes, edges), spikes)


def test_every_width_at_its_edges_equals_the_oracle():
    each = edge_job()
    recording = fast(each)
    assert differences(recording, oracle(each))[0] == 0
    u, v = recording.states["a", "u"], recording.states["a", "v"]
    assert np.sum(abs(np.diff(u, axis=1)) > STATE_MAX) > 1000  # u wrapped
    assert (u == STATE_MAX + 1).any()
    assert np.sum(v == -STATE_MAX) > 100
    highest = each.program.network["a"].node.parameters["threshold"] == THRESHOLD_MAX
    assert recording.spikes["a"][:, :, highest].sum() > 100  # only a v near its upper end exceeds it
    assert recording.spikes["a"].any()
    assert not recording.spikes["a"].all()


def test_gains_of_0_and_of_the_most_equal_the_oracle():
    nodes = [
        population(
            "a", "modulated_lif", 3, initial={"gain": [0, 1, 4095]}, threshold=100, modulated_bias=5000
        )
    ]
    edges = [
        connection("x", "a", [[90, 1, 0]] * 3, exponent=6),
        connection("x", "a", [[0, 0, 1], [0, 0, 127], [0, 0, 0]], port="modulation", exponent=5),
    ]
    spikes = np.random.default_rng(3).random((2, 30, 3)) < 0.2
    each = job(network(3, nodes, edges), spikes)
    gain = fast(each).states["a", "gain"]
    assert set(gain[:, :, 1].ravel()) == {1, 127 << 5}  # a message of 0 is none: the gain stays
    assert check(each) > 0


def test_slow_astrocytes_over_resets_equal_the_oracle():
    rng = np.random.default_rng(4)
    nodes = [
        population("a", "modulated_lif", 12, du=4096, dv=300, threshold=900, depth=1),
        population("s", "astrocyte", 3, period=4, depth=2, set_point=-3, trace_decay=512, drive=3000, rate=150,
                   drive_shift=2, rate_shift=6, log_gain_low=-100_000, log_gain_high=200_000),
    ]  # fmt: skip
    edges = [
        connection("x", "a", rng.integers(-60, 100, (12, 8)), exponent=2, lag=0),
        connection("a", "a", rng.integers(-60, 60, (12, 12)), exponent=2, delay=2, lag=1),
        connection("a", "s", rng.integers(0, 3, (3, 12)), port="activity", lag=0),
        connection("s", "a", np.repeat(np.eye(3), 4, 0), port="modulation", lag=1, delay=3),
    ]
    each = job(network(8, nodes, edges), rng.random((2, 50, 8)) < 0.4, reset_every=10)
    assert len(set(fast(each).states["a", "gain"].ravel())) > 5
    assert check(each) > 0


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_sparse_dense_and_zero_matrices_equal_the_oracle(share):
    rng = np.random.default_rng(5)
    weight = rng.integers(-128, 128, (7, 600)) * (rng.random((7, 600)) < share)
    graded = weight[:, :5] if share else np.zeros((7, 5))
    nodes = [population("a", GRADED, 5), population("b", GRADED, 7)]
    edges = [
        connection("x", "a", np.full((5, 600), 1), port="i"),
        connection("x", "b", weight, port="i"),
        connection("a", "b", graded, port="j", exponent=-2, delay=2),
    ]
    spikes = rng.random((3, 6, 600)) < np.array([0.1, 0.9, 1.0])[:, None, None]  # more than 252 rows at once
    assert check(job(network(600, nodes, edges), spikes)) > 0


@compartment(
    states={"s": State(Range.signed(24))},
    inputs={"i": Port(Range.signed(24)), "j": Port(Range.signed(40))},
    outputs={"o": Port(Range(-(1 << 31), (1 << 31) - 1))},
)
def GRADED(n):
    n.s = saturate(n.i + n.j, -5_000_000, 5_000_000)
    n.o = saturate(n.s * 1000, -(1 << 31), (1 << 31) - 1)


# ---- the comparison can fail -----------------------------------------------------------------------


def small_job():
    """Two populations in a loop, with rounding to lose."""
    rng = np.random.default_rng(6)
    nodes = [
        population("a", "lif", 5, du=700, dv=300, threshold=200, bias=-50),
        population("b", "lif", 4, du=900, dv=200, threshold=60, bias=-70),
    ]
    edges = [
        connection("x", "a", rng.integers(-50, 100, (5, 6)), exponent=1),
        connection("a", "b", rng.integers(-50, 100, (4, 5)), exponent=1, delay=2),
        connection("b", "a", rng.integers(-90, 60, (5, 4)), exponent=-1),
    ]
    return job(network(6, nodes, edges), rng.random((2, 40, 6)) < 0.3)


def one_weight_2_more(c):
    weight = c.weight.copy()
    weight[0, 0] += 2
    return replace(c, wiring=Dense(weight))


MUTATIONS = {
    "one weight": one_weight_2_more,
    "the delay": lambda c: replace(c, delay=c.delay + 1),
    "the exponent": lambda c: replace(c, exponent=c.exponent - 1),
    "the lowest weight bit": lambda c: replace(c, wiring=Dense(c.weight & -2)),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_changed_connection_is_seen(what):
    each = small_job()
    for c in each.program.network.connections:
        different, _ = differences(fast(exchange(each, MUTATIONS[what](c))), oracle(each))
        assert different > 0, c.name


def test_a_changed_operation_is_seen(monkeypatch):
    each = small_job()
    monkeypatch.setitem(source.EXPRESSIONS, "shift_toward_zero", "{0} >> {1}".format)
    assert differences(fast(each), oracle(each))[0] > 0


# ---- groups and kernels ----------------------------------------------------------------------------


def test_only_loops_are_fused_and_sources_come_first():
    nodes = [population(name, "lif", 2, threshold=9) for name in "edcba"]
    pairs = ["xa", "ab", "bc", "cb", "cd", "ad", "dd", "de"]
    edges = [connection(p[0], p[1], np.ones((2, 2))) for p in pairs]
    assert components(network(2, nodes, edges)) == [["a"], ["c", "b"], ["d"], ["e"]]


def test_equal_structure_shares_a_kernel_whatever_sizes_and_numbers():
    first = network(3, [population("a", "lif", 2, threshold=3)], [connection("x", "a", np.ones((2, 3)))])
    nodes = [population("other", "lif", 5, threshold=7, depth=2)]
    second = network(4, nodes, [connection("x", "other", np.eye(5, 4), delay=3, exponent=-2, lag=1)])
    assert plan(first)[0].kernel is plan(second)[0].kernel
    assert plan(first) is plan(first)


def test_a_source_holds_no_name_of_the_program():
    @compartment(
        states={"state'); import os": State(Range.signed(9))},
        parameters={"parameter\n": Range.signed(4)},
        inputs={'"""': Port(Range.signed(4))},
        outputs={"sent out": Port(Range.signed(9))},
        tables={"#table": (1, -2)},
    )
    def hostile(n):
        value = getattr(n, "parameter\n") + getattr(n, '"""')
        setattr(n, "state'); import os", value)
        setattr(n, "sent out", value)

    text = source.generate([source.Member(hostile, (source.Input('"""', True),))])
    assert not any(
        name in text for name in ("hostile", "import os", "parameter\n", '"""', "sent out", "#table")
    )
    node = population("x'); quit(", hostile, 2, **{"parameter\n": 3})
    assert (
        check(
            job(network(2, [node], [connection("x", node.name, np.eye(2), port='"""')]), np.ones((1, 3, 2)))
        )
        > 0
    )


def test_rows_steps_and_connections_may_be_none():
    graph = network(2, [population("a", "lif", 2, threshold=1, bias=100)], [])
    assert check(job(graph, np.zeros((1, 4, 2)))) > 0
    assert fast(job(graph, np.zeros((0, 4, 2)))).spikes["a"].shape == (0, 4, 2)
    assert fast(job(graph, np.zeros((3, 0, 2)))).spikes["a"].shape == (3, 0, 2)


def test_only_the_states_asked_for_are_recorded_and_runs_do_not_touch_each_other():
    each = small_job()
    whole = fast(each)
    part = fast(replace(each, record=frozenset({("b", "v")})))
    assert list(part.states) == [("b", "v")]
    assert np.array_equal(part.states["b", "v"], whole.states["b", "v"])
    assert differences(fast(each), whole)[0] == 0


def test_read_only_strided_input_is_taken():
    each = small_job()
    spikes = np.asfortranarray(each.stimulus)
    spikes.flags.writeable = False
    assert differences(fast(replace(each, spikes={"x": spikes})), fast(each))[0] == 0


# ---- errors, and files in the cache ----------------------------------------------------------------


def test_a_run_beyond_memory_is_refused():
    each = small_job()
    spikes = np.broadcast_to(np.uint8(0), (10**9, 10**6, 6))
    with pytest.raises(EngineError, match="1000000000 rows of 1000000 steps need more memory than there is"):
        fast(replace(each, spikes={"x": spikes}))


def test_a_full_disk_is_told(monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine, "plan", full)
    with pytest.raises(EngineError, match=r"can't be kept: .*No space left on device; .* ASTRODEPLOY_CACHE"):
        fast(small_job())


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTRODEPLOY_CACHE", str(tmp_path))
    return tmp_path


def test_a_source_becomes_a_file_that_is_never_rewritten(own_cache):
    text = "def run():\n    return 5\n"
    assert cache.load(text).run() == 5
    (path,) = own_cache.glob(f"{cache.LAYOUT}/*.py")
    assert path.stem == cache.module_name(text)
    before = path.stat()
    assert cache._written(path.stem, text) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_damaged_file_is_replaced(own_cache):
    text = "def run():\n    return 6\n"
    path = cache._written(cache.module_name(text), text)
    path.write_text("def run():\n    return 7\n")
    assert cache.load(text).run() == 6
    assert path.read_text() == text


def test_a_folder_that_cannot_be_written_gives_way_to_a_private_one(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASTRODEPLOY_CACHE", str(tmp_path / "file"))
    with pytest.warns(
        RuntimeWarning, match=r"compiled kernels are not kept.*Not a directory.*ASTRODEPLOY_CACHE"
    ):
        chosen = cache.folder()
    assert chosen.stat().st_mode & 0o077 == 0
    assert cache.folder() == chosen


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.delenv("ASTRODEPLOY_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, appauthor: tmp_path / name)
    assert cache.folder() == tmp_path / "astrodeploy" / cache.LAYOUT
