"""Distance: by cause and by layer, with accuracies; 64 bits stand for integers of any size."""

import numpy as np
import pytest
from float_networks import DT, compiled, edge, graph, job, lif, random_closed_loop
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_kind

import astrodeploy as ad
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.distance import CAUSES, distance
from astrodeploy.engines import idealised, make_plan
from astrodeploy.errors import InputError
from astrodeploy.ir import Population


def two_layers(rng):
    populations = [Population("a", (12,), lif(r=6.0)), Population("b", (4,), lif(r=6.0))]
    edges = [edge("x", "a", rng.normal(0.1, 0.5, (12, 9))), edge("a", "b", rng.normal(0.1, 0.5, (4, 12)))]
    return graph(9, populations, edges)


def test_every_layer_is_told_by_itself():
    rng = np.random.default_rng(0)
    program = ad.compile(two_layers(rng))
    x = (rng.random((6, 70, 9)) < 0.25).astype(np.uint8)
    found = distance(make_plan(program, x))
    floats, chip = program.run(x, engine="reference"), program.run(x, engine="oracle")
    assert [each.name for each in found.layers] == ["a", "b"]
    for each in found.layers:
        theirs, ours = floats.spikes[each.name], chip.spikes[each.name]
        assert each.spikes == theirs.sum()
        assert each.on_chip == ours.sum()
        off = np.abs(theirs.sum(1, dtype=int) - ours.sum(1, dtype=int)).sum() / theirs.sum()
        assert each.counts == pytest.approx(off)
        assert each.total.spikes == (theirs != ours).sum()
        assert [gap.name for gap in each.causes] == list(CAUSES)
        places = sorted((step, sample, n) for sample, step, n in np.argwhere(theirs != ours).tolist())
        assert each.first is not None
        assert (each.first.step, each.first.sample, each.first.neuron) == places[0]
    for i, cause in enumerate(found.causes):
        assert cause.spikes == sum(each.causes[i].spikes for each in found.layers)


def test_a_network_without_distance_has_no_first_divergence():
    """Weights and thresholds are whole, and nothing decays by half an integer."""
    made = graph(3, [Population("a", (3,), lif(tau=DT, v_threshold=90.0))], [edge("x", "a", np.eye(3) * 100)])
    found = distance(make_plan(ad.compile(made), np.ones((2, 5, 3))))
    (layer,) = found.layers
    assert layer.first is None
    assert layer.counts == 0
    assert found.total.spikes == 0


def test_accuracies_of_the_chain():
    rng = np.random.default_rng(1)
    program = ad.compile(two_layers(rng))
    x = (rng.random((20, 60, 9)) < 0.25).astype(np.uint8)
    said = program.run(x, engine="reference").predictions
    labels = np.where(said < 0, 0, said)
    labels[:3] = (labels[:3] + 1) % 3
    right = np.mean(said == labels)
    assert right <= 17 / 20
    found = distance(make_plan(program, x), labels)
    assert found.causes[0].accuracy == pytest.approx(right)  # of euler, which is the reference
    chip = program.run(x, engine="oracle")
    assert found.causes[-1].accuracy == found.total.accuracy == pytest.approx(chip.accuracy(labels))
    assert found.exact is not None
    assert distance(make_plan(program, x)).exact is None
    plain = ad.verify(program, x, ("fast",), labels=labels).to_dict()["distance"]
    assert plain["exact_accuracy"] == found.exact
    assert plain["layers"][0]["name"] == "a"
    with pytest.raises(InputError, match="there are 2 labels for 20 samples"):
        distance(make_plan(program, x), labels[:2])


def test_a_stream_is_told_by_sample():
    program = ad.compile(random_closed_loop(np.random.default_rng(2)))
    x = (np.random.default_rng(3).random((5, 40, 12)) < 0.3).astype(np.uint8)
    plan = make_plan(program, x, carry=("astrocytes",))
    for each in distance(plan).layers:
        assert each.first is None or (each.first.sample < 5 and each.first.step < 40 + program.depth)


# ---- integers of any size --------------------------------------------------------------------------


def recordings(each):
    wide = idealised._run(each, np.int64, lambda name: idealised.UNBOUNDED, idealised.ROOM_BITS)
    python = idealised._run(each, object, lambda name: idealised.UNBOUNDED)
    return wide, python


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32))
def test_64_bits_give_what_integers_of_any_size_give(seed):
    rng = np.random.default_rng(seed)
    program = compiled(random_closed_loop(rng))
    each = job(program, rng.random((2, 40, 12)) < rng.uniform(0.1, 1), reset_every=int(rng.choice([0, 13])))
    wide, python = recordings(each)
    assert all(np.array_equal(wide.spikes[k], python.spikes[k].astype(np.int64)) for k in wide.spikes)
    assert all(np.array_equal(wide.states[k], python.states[k]) for k in wide.states)


def test_which_kinds_have_room():
    kinds = [
        neuron(Variant(gain, reset)) for gain in (False, True) for reset in ("value", "subtract", "none")
    ]
    assert all(idealised.has_room(kind) for kind in [*kinds, KINDS["lif"], neuron(Variant(sends="membrane"))])
    assert not all(idealised.has_room(random_kind(seed)) for seed in range(10))


def test_values_beyond_the_room_fall_back(monkeypatch):
    rng = np.random.default_rng(4)
    node = lif(tau=np.inf, r=1 / DT, v_threshold=1e3)
    program = compiled(graph(2, [Population("a", (2,), node)], [edge("x", "a", np.full((2, 2), -900.7))]))
    each = job(program, rng.random((1, 200, 2)) < 0.9)
    python = idealised._run(each, object, lambda name: idealised.UNBOUNDED)
    monkeypatch.setattr(idealised, "ROOM_BITS", 0)
    with pytest.raises(idealised._OutOfRoomError):
        idealised._run(each, np.int64, lambda name: idealised.UNBOUNDED, 0)
    found = idealised.over_the_integers(each)
    assert all(np.array_equal(found.states[k], python.states[k]) for k in python.states)
