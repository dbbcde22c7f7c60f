"""Sums of 0 that rounding destroys are told, by how much they are off."""

import numpy as np
import pytest
import torch
from float_networks import DT, edge, graph, lif
from hypothesis import given, settings
from hypothesis import strategies as st

import astrodeploy as ad
from astrodeploy.ir import Population
from astrodeploy.ir.wiring import Conv, Dense
from astrodeploy.nn import Astrocyte
from astrodeploy.quantisation.conservation import sum_notes

FLOWS = "what flows is no longer conserved"


def laplacian(side):
    """Of a lattice of side x side: every row and every column sums to 0."""
    ends = np.arange(side * side).reshape(side, side)
    matrix = np.zeros((side * side, side * side))
    for a, b in ((ends[:-1], ends[1:]), (ends[:, :-1], ends[:, 1:])):
        matrix[a.ravel(), b.ravel()] = matrix[b.ravel(), a.ravel()] = 1
    return matrix - np.diag(matrix.sum(1))


class Lattice(torch.nn.Module):
    """Calcium that spreads to its neighbours."""

    def __init__(self, coupling):
        super().__init__()
        self.spread = torch.nn.Linear(9, 9, bias=False)
        self.spread.weight.data = torch.from_numpy(laplacian(3) * coupling).float()
        self.calcium = Astrocyte(9, decay=1 / 64, slow=True)

    def forward(self, x, state=None):
        sent, kept = (torch.zeros_like(x), None) if state is None else state
        sent, kept = self.calcium(x + self.spread(sent), kept)
        return sent, (sent, kept)


def told(program):
    return [n for report in program.passes for n in report.notes if "adds up to" in n.text]


@pytest.mark.parametrize(("coupling", "exact"), [(0.1, False), (0.125, False), (127 / 512, False)])
def test_gap_junctions_that_leak_on_the_chip(coupling, exact):
    x = np.zeros((1, 100, 9), np.float32)
    x[0, 5:20, 4] = 1
    program = ad.compile(Lattice(coupling), dt=1e-3, input_shape=(9,), calibrate=x)
    (spread,) = [c for c in program.network.connections if c.source == c.target]
    columns = (spread.weight.astype(np.int64)).sum(0)
    notes = [n for n in told(program) if FLOWS in n.text]
    assert bool(notes) == bool(np.any(columns))
    if notes:
        per_weight = coupling / np.abs(spread.weight[spread.weight > 0]).mean()
        (found,) = notes[0].values.values()
        assert found == pytest.approx(np.abs(columns).max() * per_weight, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_what_is_told_are_the_sums_that_the_chip_has(seed, by_source):
    """Random weights whose rows or columns sum to 0, and their rounding: told where a sum is off, else not."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(int(rng.integers(1, 6)), int(rng.integers(2, 6))))
    weight = (
        (weight - weight.mean(1, keepdims=True)).T if by_source else weight - weight.mean(1, keepdims=True)
    )
    kept = np.rint(weight * 40) / 40
    notes = list(sum_notes("a -> b", Dense(weight), Dense(kept)))
    off = np.abs(kept.sum(0 if by_source else 1))
    wanted = [n for n in notes if (FLOWS in n.text) == by_source]
    assert bool(wanted) == bool(np.any(off > 1e-9))
    if wanted:
        assert next(iter(wanted[0].values.values())) == pytest.approx(off.max())
        assert f"{np.count_nonzero(off > 1e-9)} neuron" in wanted[0].text


def test_a_layer_that_reads_differences_of_its_inputs():
    """By columns: without data the rows are rounded so that their sums stay."""
    weight = np.array([[0.31, -0.11, -0.2], [-0.2, 0.4, -0.2], [-0.11, -0.29, 0.4]])
    program = ad.compile(graph(3, [Population("a", (3,), lif(tau=DT))], [edge("x", "a", weight)]))
    (connection,) = program.network.connections
    columns = connection.weight.astype(np.int64).sum(0)
    assert np.any(columns) == bool([n for n in told(program) if FLOWS in n.text])
    assert not np.any(connection.weight.astype(np.int64).sum(1))
    assert not [n for n in told(program) if FLOWS not in n.text]


def test_mixing_that_keeps_the_whole():
    mixing = np.eye(3) + 0.1 * laplacian(2)[:3, :3]
    mixing /= mixing.sum(0)
    (note,) = [n for n in sum_notes("a", Dense(mixing), Dense(np.rint(mixing * 16) / 16)) if FLOWS in n.text]
    assert "adds up to 1 in float" in note.text


def test_a_filter_of_differences_is_told_by_rows_and_columns():
    filters = np.array([[0.1, 0.1, 0.1], [0.1, -0.8, 0.1], [0.1, 0.1, 0.1]]).reshape(1, 1, 3, 3)
    made = Conv(filters, (1, 5, 5), (1, 1), (0, 0), (1, 1))
    rounded = made.with_values(np.rint(filters * 7) / 7)
    assert len(list(sum_notes("a", made, rounded))) == 2
    assert not list(sum_notes("a", made, made))


def test_trained_weights_are_no_sums():
    weight = np.random.default_rng(0).normal(size=(6, 6))
    assert not list(sum_notes("a", Dense(weight), Dense(np.rint(weight * 9) / 9)))
    assert not list(sum_notes("a", Dense(np.eye(3)), Dense(np.eye(3) * 0.99)))
