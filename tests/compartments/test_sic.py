"""Joined compartments: the law of the slow inward current, the public table row for row, two places on loihi1."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import connection, differences, job, network, population
from typer.testing import CliRunner

import astrodeploy as ad
from astrodeploy.chip import load_chip
from astrodeploy.cli.commands import app
from astrodeploy.compartments import KINDS
from astrodeploy.costs.rest import awake_after
from astrodeploy.engines.fast import fast
from astrodeploy.engines.lava import lava
from astrodeploy.engines.oracle import oracle
from astrodeploy.errors import ChipError, DoesNotFit, EngineError, InputError
from astrodeploy.ir import Compartments, Input, Population
from astrodeploy.ir.wiring import OneToOne

PUBLIC = Path(__file__).parents[3] / "shared/data/combra/sic_table.csv"
GOLDEN = Path(__file__).with_name("sic_golden.json")
STEPS = 3000
DEFAULT = {"dv1": 40, "du2": 409, "dv2": 40, "threshold": 5000}


# ---- a witness: one pair of compartments in Python's own integers --------------------------------------


def toward_zero(x, factor):
    kept = abs(x) * (4096 - factor) // 4096
    return kept if x >= 0 else -kept


def held(x):
    return max(-(2**23 - 1), min(2**23 - 1, x))


def wrapped(x):
    return x - 2**24 if x > 2**23 else x + 2**24 if x <= -(2**23) else x


def witness(arriving, parent_arriving, du1, dv1, du2, dv2, threshold):
    """Spikes, and u1, v1, u2, v2 after every step, of what arrives at both compartments."""
    u1 = v1 = u2 = v2 = 0
    spikes, states = [], []
    for first, second in zip(arriving, parent_arriving, strict=True):
        u1 = wrapped(toward_zero(u1, du1) + first * 64)
        v1 = held(toward_zero(v1, dv1) + u1)
        u2 = wrapped(toward_zero(u2, du2) + second * 64)
        v2 = held(toward_zero(v2, dv2) + u2 + (v1 if v1 > 0 else 0))
        spikes.append(int(v2 > threshold * 64))
        v2 = 0 if spikes[-1] else v2
        states.append((u1, v1, u2, v2))
    return spikes, states


def burst_of(spikes):
    """Most spikes in any 250 steps, times 4, and steps from the first to the last; 0, -1 without any."""
    at = [step for step, spike in enumerate(spikes) if spike]
    most = max((sum(start <= step < start + 250 for step in at) for start in at), default=0)
    return [4 * most, at[-1] - at[0] if at else -1]


# ---- bursts of a Program ---------------------------------------------------------------------------------


def pairs(weights, decays):
    """One pair for every weight and current decay, each with an IP3 spike of its own."""
    size = len(weights)
    wiring = OneToOne(np.asarray(weights, np.int8))
    graph = network(
        size,
        [population("sic", "sic", size, depth=1, du1=np.asarray(decays), **DEFAULT)],
        [replace(connection("x", "sic", np.ones((size, size))), wiring=wiring)],
    )
    return ad.compile(graph, "loihi1", pack="fewest")


def bursts(program, engine="fast", steps=STEPS):
    x = np.zeros((1, steps + 1, *program.input_shape), np.uint8)
    x[:, 0] = 1
    return [burst_of(train) for train in program.run(x, engine).spikes["sic"][0].T]


@pytest.fixture(scope="module")
def public():
    """Weights, current decays, and (rate, window) of the table that combra_loihi publishes, as far as it is here."""
    if not PUBLIC.exists():
        pytest.skip(f"the public table is not at {PUBLIC}")
    with PUBLIC.open() as file:
        rows = list(csv.DictReader(file))
    weights = [int(row["ip3_to_sic_weight"]) for row in rows]
    decays = [int(float(row["sic_current_decay_fraction"]) * 4096) for row in rows]
    return weights, decays, [[int(row["max_rate_hz"]), int(row["window_ms"])] for row in rows]


def test_every_row_of_the_public_table(public):
    weights, decays, expected = public
    assert len(expected) == 330
    assert bursts(pairs(weights, decays)) == expected


@pytest.mark.parametrize("engine", ["oracle", "lava"])
def test_rows_of_the_public_table_on_the_other_engines(public, engine):
    few = slice(0, 330, 55)
    weights, decays, expected = (each[few] for each in public)
    assert bursts(pairs(weights, decays), engine, steps=1000) == expected  # all are over by then


def test_our_own_table_is_what_the_law_gives():
    rows = json.loads(GOLDEN.read_text())
    for weight, decay, *expected in rows:
        spikes, _ = witness([weight] + [0] * (STEPS - 1), [0] * STEPS, decay, 40, 409, 40, 5000)
        assert burst_of(spikes) == expected
    weights, decays, *_ = zip(*rows, strict=True)
    assert bursts(pairs(weights, decays)) == [row[2:] for row in rows]


# ---- the law ---------------------------------------------------------------------------------------------


def random_job(seed):
    """Two pairs that hear both signs at both compartments, strongly enough to wrap and to saturate."""
    rng = np.random.default_rng(seed)
    strong = seed % 2
    parameters = {name: rng.integers(0, 4097, 2) for name in ("du1", "dv1", "du2", "dv2")}
    parameters["threshold"] = rng.integers(0, 131072 if strong else 3000, 2)
    weights = rng.integers(-128, 128, (2, 2, 6))
    graph = network(
        6,
        [population("sic", "sic", 2, depth=1, **parameters)],
        [
            connection("x", "sic", weights[0], exponent=8 * strong),
            connection("x", "sic", weights[1], port="parent_current", exponent=8 * strong),
        ],
    )
    return job(graph, rng.random((1, 120, 6)) < 0.4), weights << 8 * strong


@pytest.mark.parametrize("seed", range(6))
def test_oracle_and_fast_do_as_the_law_says(seed):
    made, weights = random_job(seed)
    first, second = (
        np.concatenate([np.zeros((1, 2), int), (made.spikes["x"][0] @ w.T)[:-1]]) for w in weights
    )
    found = oracle(made)
    assert differences(found, fast(made))[0] == 0
    parameters = made.program.network["sic"].node.parameters
    for n in range(2):
        own = {name: int(values[n]) for name, values in parameters.items()}
        spikes, states = witness(first[:, n].tolist(), second[:, n].tolist(), **own)
        assert found.spikes["sic"][0, :, n].tolist() == spikes
        kept = np.stack([found.states["sic", name][0, :, n] for name in ("u1", "v1", "u2", "v2")], axis=1)
        assert kept.tolist() == [list(each) for each in states]


def test_lava_does_the_same():
    made, _ = random_job(1)
    wrong, compared = differences(oracle(made), lava(made))
    assert (wrong, compared) == (0, 120 * (6 + 2 + 8))


def test_only_a_positive_membrane_is_passed_on():
    for sign, fires in ((1, True), (-1, False)):
        spikes, states = witness([sign * 100] * 50, [0] * 50, 4096, 40, 409, 40, 10)
        made = job(
            network(
                1,
                [population("sic", "sic", 1, depth=1, **DEFAULT | {"threshold": 10}, du1=4096)],
                [connection("x", "sic", [[sign * 100]])],
            ),
            np.ones((1, 51, 1)),
        )
        found = oracle(made)
        assert found.spikes["sic"][0, 1:, 0].tolist() == spikes
        assert bool(sum(spikes)) is fires
        assert found.states["sic", "v1"][0, -1, 0] == states[-1][1] != 0


# ---- on a chip -------------------------------------------------------------------------------------------


def test_loihi1_has_it_as_two_compartments_and_loihi2_as_a_program():
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    kind = KINDS["sic"]
    assert loihi1.missing_operations(kind) == loihi2.missing_operations(kind) == ()
    assert (loihi1.compartments_of(kind), loihi2.compartments_of(kind)) == (2, 1)
    assert loihi1.compartments_of(KINDS["lif"]) == 1
    called = kind.renamed("other", lambda group, name: f"{group}_{name}")
    assert loihi1.compartments_of(called) == 2  # what it is called decides nothing
    assert loihi1.compartments_of(replace(kind, states={**kind.states, "u1": KINDS["lif"].states["v"]})) == 1
    impostor = replace(KINDS["astrocyte"], name="sic")
    assert loihi1.missing_operations(impostor)


def test_a_core_holds_half_as_many():
    weights = np.full(1024, 20)
    program = pairs(weights, weights * 2)
    assert [core.loads["compartments"] for core in program.cores] == [1024, 1024]
    assert sum(cut.size for core in program.cores for cut in core.slices) == 1024
    notes = {
        note.subject: note for report in program.passes for note in report.notes if report.name == "check"
    }
    assert notes["sic"].values["instructions"] == 0
    one = pairs([20], [40])
    assert one.cores[0].loads["compartments"] == 2


def test_its_decays_count_as_two_pairs_a_compartment_each():
    size = 40  # different decays of the first compartment, more than the 32 pairs of a core
    program = pairs(np.full(size, 20), np.arange(size))
    assert len(program.cores) == 2


def test_a_pair_stays_awake_until_all_its_states_are_gone():
    quick = population("sic", "sic", 1, du1=4096, dv1=4096, du2=4096, dv2=40, threshold=5000)
    slow = population("sic", "sic", 1, du1=40, dv1=40, du2=4096, dv2=40, threshold=5000)
    alone = population("a", "lif", 1, du=4096, dv=40, threshold=5000)
    assert awake_after(quick) == awake_after(alone)
    assert awake_after(slow) == 3 * awake_after(alone)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('sic = { value = 1, source = "s", quality = "assumed" }', "joined.sic: it must take at least 2"),
        (
            'lif = { value = 2, source = "s", quality = "assumed" }',
            "joined.lif: it must take .* not be one of kinds",
        ),
        ('sik = { value = 2, source = "s", quality = "assumed" }', "joined.sik: there is no kind sik"),
    ],
)
def test_a_chips_file_that_joins_what_can_not_be(tmp_path, entry, message):
    from astrodeploy.resources import data_folder

    lines = (data_folder("targets") / "loihi1" / "chip.toml").read_text().splitlines()
    changed = [entry if line.startswith("sic = ") else line for line in lines]
    path = tmp_path / "chip.toml"
    path.write_text("\n".join(changed))
    with pytest.raises(ChipError, match=message):
        load_chip(path)


# ---- a Graph of integers ----------------------------------------------------------------------------------


def test_a_program_of_integers_means_itself(tmp_path):
    program = pairs([20, 30], [40, 80])
    assert program.reference.is_integer
    again = ad.Program.load(program.save(tmp_path / "sic.astro"))
    assert again.fingerprint == program.fingerprint
    x = np.zeros((1, 60, 2), np.uint8)
    x[:, 0] = 1
    found = ad.verify(again, x, ("oracle", "fast", "brian2"))
    assert found.equal
    assert found.distance is found.brian2 is found.to_dict()["distance"] is None
    assert "compiled from integers" in found.not_run["brian2"]
    with pytest.raises(EngineError, match="torch runs the float network, .*choose fast, oracle or lava"):
        again.run(x, "torch")
    page = ad.report(again, x, path=tmp_path / "report.html").read_text()
    assert "there is no float network to be far from" in page
    np.savez(tmp_path / "x.npz", x=x)
    command = ["verify", str(tmp_path / "sic.astro"), "--input", str(tmp_path / "x.npz"), "--engines", "fast"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0
    assert "equal" in answer.output


def test_its_depths_and_delays_follow_from_its_lags():
    graph = network(
        1,
        [population("a", "lif", 1, threshold=1), population("b", "lif", 1, threshold=1)],
        [
            connection("x", "a", [[5]]),
            connection("a", "b", [[5]]),
            connection("x", "b", [[5]]),
            connection("b", "a", [[5]], lag=2),
        ],
    )
    timed = ad.compile(graph, "loihi1").network
    assert {p.name: p.depth for p in timed.populations} == {"x": 0, "a": 1, "b": 2}
    assert {(c.source, c.target): c.delay for c in timed.connections} == {
        ("x", "a"): 1,
        ("a", "b"): 1,
        ("x", "b"): 2,
        ("b", "a"): 1,
    }
    assert all(c.wiring.values.dtype == np.int8 for c in timed.connections)


def test_it_must_be_one_of_integers_throughout_and_is_not_quantised(tmp_path):
    from float_networks import lif

    whole = pairs([20], [40]).reference
    mixed = replace(
        whole,
        populations=(*whole.populations, Population("float", (1,), lif())),
        connections=(*whole.connections, replace(connection("x", "float", [[1]]), delay=0)),
    )
    with pytest.raises(InputError, match="integers, but for float: give all"):
        ad.compile(mixed, "loihi1")
    with pytest.raises(InputError, match="nothing to calibrate and no gain to freeze"):
        ad.compile(whole, "loihi1", freeze_astrocytes=True)
    with pytest.raises(InputError, match="nothing to calibrate"):
        ad.compile(whole, "loihi1", calibrate=np.zeros((1, 5, 1)))
    with pytest.raises(InputError, match="NIR"):
        ad.export(whole, tmp_path / "sic.nir")


def test_what_the_chip_lacks_is_refused_by_name():
    node = Compartments(
        KINDS["modulated_lif"],
        {name: np.zeros(1) for name in KINDS["modulated_lif"].parameters},
        {name: np.zeros(1) for name in KINDS["modulated_lif"].states},
    )
    graph = network(1, [Population("a", (1,), node)], [connection("x", "a", [[1]])])
    assert isinstance(graph.input.node, Input)
    with pytest.raises(DoesNotFit, match="loihi1 executes the kinds lif, sic"):
        ad.compile(graph, "loihi1")
