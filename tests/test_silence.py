"""A network that sends nothing, and labels that do not fit: told alike at every door."""

import numpy as np
import pytest
from float_networks import edge, graph, lif

import astrodeploy as ad
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.ir import Population

X = np.ones((8, 10, 6))


@pytest.fixture(scope="module")
def silent():
    layers = [Population("a", (4,), lif()), Population("b", (3,), lif())]
    return ad.compile(graph(6, layers, [edge("x", "a", np.zeros((4, 6))), edge("a", "b", np.zeros((3, 4)))]))


@pytest.mark.parametrize("timing", ["largest", "barrier-after", "queueing"])
def test_weights_that_all_are_0_cost_their_updates_alone(silent, timing):
    for cost in (
        ad.estimate(silent, X, timing=timing),
        ad.estimate(silent, rates=0.1, steps=3, timing=timing),
    ):
        assert cost.energy_joules.typical > 0
        assert sum(n for name, n in cost.events.items() if name.startswith("synaptic")) == 0
        assert cost.events["hops_east_west"] == cost.events["messages_received"] == 0


def test_what_is_undecided_is_told_by_verify_too(silent):
    found = ad.verify(silent, X, engines=("oracle", "fast"), labels=np.zeros(8, int))
    assert "8 of 8 undecided" in found.text
    assert found.distance.total.undecided == 8
    assert found.distance.total.accuracy == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (3, r"shape \(\), needed is one number for each of 8 samples"),
        ([1, [2]], "labels can't be read as an array"),
        (np.arange(10) % 3, "there are 10 labels for 8 samples; a sample has as many steps"),
        (np.zeros(7, int), "there are 7 labels for 8 samples"),
    ],
    ids=["number", "ragged", "steps", "too few"],
)
def test_labels_that_do_not_fit_are_refused_at_every_door(silent, labels, message, tmp_path):
    page = tmp_path / "report.html"
    for door in (
        lambda: silent.run(X).accuracy(labels),
        lambda: ad.verify(silent, X, engines=("fast",), labels=labels),
        lambda: ad.report(silent, X, labels=labels, path=page, engines=("oracle", "fast")),
    ):
        with pytest.raises(InputError, match=message):
            door()
    assert not page.exists()


def test_a_report_replaces_pages_alone(silent, tmp_path):
    data = tmp_path / "x.npz"
    np.savez(data, x=X)
    before = data.read_bytes()
    with pytest.raises(ProgramError, match=r"x.npz exists and is no page \(HTML\): choose another output"):
        ad.report(silent, data, path=data)
    assert data.read_bytes() == before
    page = ad.report(silent, rates=0.1, path=tmp_path / "report.html")
    assert ad.report(silent, rates=0.2, path=page) == page
