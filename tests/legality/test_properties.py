"""Random networks on random tiny chips and boards: legal for the independent checker, or refused with a number."""

import re
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from legality.checker import violations
from legality.pace import Assumed, core_times
from random_mappings import mapped, random_board, random_network

from astrodeploy.costs.rest import always_awake, awake_after
from astrodeploy.errors import DoesNotFit
from astrodeploy.mapping.cutting import Network
from astrodeploy.mapping.packing import fan_outs
from astrodeploy.mapping.traffic import traffic

SEEDS = st.integers(0, 2**32)
PACKS = st.sampled_from(["fewest", "fastest"])
OVER = (  # needed and allowed, as the messages name them
    r"(\d+) of (\d+)",
    r"needs (\d+) cores, \S+ has (\d+)",
    r"needs \w+ (\d+), \S+ has (\d+)",
    r"uses (\d+) different [^,]*, \S+ holds (\d+)",
    r"takes (\d+) bits, .* carries (\d+)",
    r"programs of (\d+) instructions .*holds (\d+)",
    r"a delay of (\d+) steps, \S+ allows (\d+)",
    r"an axon of (\d+) words .*has (\d+)",
)


def case(seed):
    rng = np.random.default_rng(seed)
    return random_network(rng), random_board(rng)


def names_a_number_over_its_limit(message):
    pairs = [pair for pattern in OVER for pair in re.findall(pattern, message)]
    return any(int(needed) > int(allowed) for needed, allowed in pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saves a Program in a new folder, without its NIR file, which takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as sooner:
        sooner.setattr("astrodeploy.program._as_nir", lambda graph: "")
        yield lambda program: program.save(tmp_path_factory.mktemp("mapped") / "program")


@settings(max_examples=80, deadline=None)
@given(SEEDS, PACKS)
def test_a_mapping_is_legal_or_refused_with_a_number(folder, seed, pack):
    network, board = case(seed)
    try:
        program = mapped(network, board, pack)
    except DoesNotFit as error:
        assert names_a_number_over_its_limit(str(error)), error
        return
    assert violations(folder(program)) == []


def test_most_of_the_random_networks_are_mapped_somewhere(folder):
    """Those that are refused above are not all of them."""
    legal = cut = chips = 0
    for seed in range(40):
        network, board = case(seed)
        try:
            program = mapped(network, board, "fewest")
        except DoesNotFit:
            continue
        legal += 1
        cut += len(program.cores) > 1
        chips += len({int(board.chip_of(np.array(core.index))) for core in program.cores}) > 1
    assert legal >= 10
    assert cut >= 5
    assert chips >= 1


@settings(max_examples=15, deadline=None)
@given(SEEDS, PACKS)
def test_the_same_network_is_mapped_the_same_way(seed, pack):
    try:
        first, again = (mapped(*case(seed), pack) for _ in range(2))
    except DoesNotFit:
        return
    assert first.fingerprint == again.fingerprint
    assert [asdict(each) for each in first.passes] == [asdict(each) for each in again.passes]


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_stated_pace_holds(folder, seed):
    """No core takes longer than the mapping says, and the fewest cores are no more than the fastest's."""
    network, board = case(seed)
    try:
        fewest, fastest = (mapped(network, board, pack) for pack in ("fewest", "fastest"))
    except DoesNotFit:
        return
    assert len(fewest.cores) <= len(fastest.cores)
    stated = pace_of(fastest)
    times = core_times(folder(fastest), assumed(fastest))
    if stated is not None:
        assert max(times) <= stated * (1 + 1e-9)
    slower = core_times(folder(fewest), assumed(fewest))
    assert max(times) <= max(slower) * (1 + 1e-9) or max(times) <= barrier(board)


@settings(max_examples=20, deadline=None)
@given(SEEDS, PACKS)
def test_the_time_of_a_core_is_what_the_compiler_takes_it_for(folder, seed, pack):
    """Counted here from the saved Program alone, in the compiler box by box, each rounded up to a picosecond."""
    network, board = case(seed)
    try:
        program = mapped(network, board, pack)
    except DoesNotFit:
        return
    known = Network(program.network, program.chip, traffic(program.network, None))
    found = fan_outs(known, program.cores)
    for core, time in zip(program.cores, core_times(folder(program), assumed(program)), strict=True):
        parts = [known.loads(cut, found[cut.population], paced=True)["busy_ps"] for cut in core.slices]
        assert sum(parts) - len(parts) <= time * 1000 <= sum(parts) + 1e-6 * time


def assumed(program):
    """Rates and activity as the compiler takes them where nothing was measured; the rest is counted."""

    def active(name, operations):
        population = program.network[name]
        lasts = 1 + awake_after(population)
        return float(np.where(always_awake(population), 1.0, -np.expm1(-operations * lasts)).mean())

    rates = {name: float(each.mean()) for name, each in traffic(program.network, None).rates.items()}
    return Assumed(rates, active)


def pace_of(program):
    """The stated nanoseconds of the slowest core, if any are stated."""
    (report,) = [each for each in program.passes if each.name == "partition"]
    return next((n.values["pace_ns"] for n in report.notes if "pace_ns" in n.values), None)


def barrier(board):
    return max(board.chip.cost().time_per_barrier_ns.typical)
