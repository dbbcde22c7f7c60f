"""placing: short ways, the same every time."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.layers import board, dense
from scipy.optimize import quadratic_assignment

from astrodeploy.chip import load_target
from astrodeploy.mapping.placing import Talk, placed, positions, talk, way_cost
from astrodeploy.passes.base import Draft
from astrodeploy.passes.partition import Partition
from astrodeploy.passes.place import Place


def random_talk(seed, cores, density=0.1):
    rng = np.random.default_rng(seed)
    between = scipy.sparse.random_array((cores, cores), density=density, rng=rng, format="csr")
    return Talk(between, rng.random(cores) * (rng.random(cores) < 0.2))


def cost_by_hand(said, on, numbers):
    """Every pair and every way from outside, one by one."""
    model = on.chip.cost()
    across, along = model.energy_per_hop_east_west_pJ.typical, model.energy_per_hop_north_south_pJ.typical
    crossing = on.crossing.energy_per_crossing_pJ.typical if on.crossing else 0.0
    tiles, chips = on.tiles(numbers).T.tolist(), on.chip_places(on.chip_of(numbers)).T.tolist()

    def way(a, b, chip, other):
        hops = across * abs(a[0] - b[0]) + along * abs(a[1] - b[1])
        return hops + crossing * (abs(chip[0] - other[0]) + abs(chip[1] - other[1]))

    total = sum(n * way(tiles[i], (0, 0), chips[i], (0, 0)) for i, n in enumerate(said.outside.tolist()))
    pairs = said.between.tocoo()
    for i, j, n in zip(pairs.row.tolist(), pairs.col.tolist(), pairs.data.tolist(), strict=True):
        total += n * way(tiles[i], tiles[j], chips[i], chips[j])
    return total


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(["loihi1", "loihi2", "kapoho-bay", "kapoho-point"]),
    st.integers(1, 150),
)
def test_cores_lie_on_different_usable_positions_no_worse_than_in_order(seed, target, cores):
    on = load_target(target)
    cores = min(cores, on.cores)
    said = random_talk(seed, cores)
    numbers = placed(said, on)
    assert len(set(numbers.tolist())) == cores and np.all(on.is_usable(numbers))
    in_order = positions(on, cores)[:cores]
    assert way_cost(said, on, numbers) <= way_cost(said, on, in_order) * (1 + 1e-9)
    assert way_cost(said, on, numbers) == pytest.approx(cost_by_hand(said, on, numbers), rel=1e-9)
    assert np.array_equal(placed(said, on), numbers)


def test_as_few_tiles_and_chips_as_hold_the_cores():
    on = load_target("kapoho-bay")
    assert len(np.unique(on.tiles(positions(on, 9)), axis=1).T) == 3
    assert np.unique(on.chip_of(positions(on, on.cores_per_chip))).tolist() == [0]
    assert np.unique(on.chip_of(positions(on, on.cores_per_chip + 1))).tolist() == [0, 1]


def test_as_good_as_a_dense_quadratic_assignment():
    """Beside SciPy's 2-opt, which searches the same costs over all pairs of positions."""
    on, cores = board("loihi1"), 32
    said = random_talk(3, cores, density=0.2)
    where = positions(on, cores)
    flow = np.zeros((cores + 1, cores + 1))
    flow[:cores, :cores] = said.between.toarray()
    flow[cores, :cores] = said.outside
    distance = np.zeros_like(flow)
    for i, a in enumerate([*where, where[0]]):  # the outside is where the first tile is
        for j, b in enumerate([*where, where[0]]):
            distance[i, j] = np.abs(on.tiles(np.array([a])) - on.tiles(np.array([b])))[:, 0] @ [3.0, 4.0]
    fixed = np.array([[cores, cores]])
    options = {"partial_match": fixed, "rng": np.random.default_rng(0)}
    best = min(quadratic_assignment(flow, distance, method="2opt", options=options).fun for _ in range(3))
    assert way_cost(said, on, placed(said, on)) <= 1.02 * best


def test_the_pass_moves_cores_and_nothing_else():
    on = board("loihi1")
    draft, _ = Partition().apply(Draft(dense(784, 256, 10), on))
    after, (note,) = Place().apply(draft)
    assert note.values["ways_pJ"] <= note.values["ways_in_order_pJ"]
    assert sorted(map(str, (c.slices for c in after.cores))) == sorted(
        map(str, (c.slices for c in draft.cores))
    )
    assert [c.index for c in after.cores] == sorted(c.index for c in after.cores)


def test_what_cores_say_to_each_other_by_hand():
    """4 inputs, 3 + 2 neurons, every layer on a core of its own: all neurons send to the next core."""
    on = board("toy", compartments_per_core=3)
    draft, _ = Partition().apply(Draft(dense(4, 3, 2), on, pack="fewest"))
    said = talk(draft.wired, draft.cores)
    assert said.outside.tolist() == pytest.approx([0.4, 0.0])
    assert said.between.toarray().tolist() == [[0.0, pytest.approx(0.3)], [0.0, 0.0]]
