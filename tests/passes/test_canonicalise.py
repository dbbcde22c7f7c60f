"""canonicalise: one form, whatever the order in which a network was written down."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import edge, graph, lif, random_closed_loop

from astrodeploy.chip import load_target
from astrodeploy.errors import InputError
from astrodeploy.ir import Population
from astrodeploy.ir.plain import fingerprint
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Draft
from astrodeploy.passes.canonicalise import Canonicalise


def canonicalised(each):
    draft, notes = Canonicalise().apply(Draft(each, load_target("loihi2")))
    assert notes == ()
    return draft.graph


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    original = random_closed_loop(rng)
    expected = canonicalised(original)
    for _ in range(5):
        shuffled = replace(
            original,
            populations=tuple(original.populations[i] for i in rng.permutation(len(original.populations))),
            connections=tuple(original.connections[i] for i in rng.permutation(len(original.connections))),
        )
        assert fingerprint(canonicalised(shuffled)) == fingerprint(expected)
    assert fingerprint(canonicalised(expected)) == fingerprint(expected)


def test_populations_come_by_distance_then_name_and_connections_by_target():
    populations = [Population(name, (2,), lif()) for name in ("c", "b", "a", "far")]
    edges = [("b", "far"), ("a", "far"), ("x", "b"), ("x", "a"), ("a", "c")]
    made = canonicalised(graph(2, populations, [edge(s, t, np.eye(2)) for s, t in edges]))
    assert made.layers == ("x", "a", "b", "c", "far")
    assert [(c.source, c.target) for c in made.connections] == [
        ("x", "a"),
        ("x", "b"),
        ("a", "c"),
        ("a", "far"),
        ("b", "far"),
    ]


def test_unreached_populations_come_last():
    populations = [Population(name, (2,), lif()) for name in ("a", "b")]
    made = canonicalised(graph(2, populations, [edge("x", "b", np.eye(2))]))
    assert made.layers == ("x", "b", "a")


def test_scalars_are_spread_and_numbers_become_float64():
    weight = edge("x", "a", np.eye(3))
    narrow = replace(weight, wiring=Dense(np.eye(3, dtype=np.float32)))
    made = canonicalised(graph(3, [Population("a", (3,), lif(bias=0.5))], [narrow]))
    node = made["a"].node
    assert all(array.shape == (3,) for array in node.arrays().values())
    assert (node.bias == 0.5).all()
    assert made.connections[0].weight.dtype == np.float64
    assert fingerprint(made) == fingerprint(
        canonicalised(graph(3, [Population("a", (3,), lif(bias=np.full(3, 0.5)))], [weight]))
    )


def test_a_connection_to_nobody():
    made = graph(2, [Population("a", (2,), lif())], [edge("x", "a", np.eye(2))])
    wrong = replace(made, connections=(*made.connections, edge("a", "nobody", np.eye(2))))
    with pytest.raises(
        InputError, match="the connection a -> nobody.current names a population that does not exist"
    ):
        canonicalised(wrong)
