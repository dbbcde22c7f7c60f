"""relay: a delay beyond the chip's is kept to the step, by populations that send spikes on."""

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif

import astrodeploy as ad
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Input, Population
from astrodeploy.ir.nodes import SigmaDelta


def delayed(lag, **settings):
    """A layer that hears the input and another layer `lag` steps late."""
    populations = [
        Population("a", (3,), lif(tau=5 * DT, r=5.0, **settings)),
        Population("b", (2,), lif(tau=5 * DT, r=5.0)),
    ]
    edges = [
        edge("x", "a", 0.8 * np.eye(3)),
        edge("a", "b", np.full((2, 3), 0.7), lag=lag),
        edge("x", "b", np.full((2, 3), 0.4), lag=lag),
    ]
    return graph(3, populations, edges)


@pytest.mark.parametrize("lag", [62, 64, 65, 127, 150])
def test_spikes_come_when_they_are_meant_to(lag):
    program = ad.compile(delayed(lag), "loihi2")
    longest = program.chip.limits.maximal_delay_steps.value
    assert max(c.delay for c in program.network.connections) <= longest
    x = (np.random.default_rng(0).random((2, 250, 3)) < 0.3).astype(np.uint8)
    fast, meant = program.run(x), program.run(x, engine="reference")
    for name in ("a", "b"):
        assert meant.spikes[name].sum() > 50
        np.testing.assert_array_equal(fast.spikes[name], meant.spikes[name])


def test_relays_are_shared_and_told():
    program = ad.compile(delayed(150), "loihi2")
    relays = [name for name in program.layers if "relay" in name]
    assert relays == ["x.relay-1", "x.relay-2", "a.relay-1", "a.relay-2"]
    (report,) = (each for each in program.passes if each.name == "relay")
    assert [note.text for note in report.notes] == [
        "waits 150 steps, through 2 relays of 63 each",
        "waits 149 steps, through 2 relays of 63 each",
    ]


def test_a_graded_message_is_not_relayed():
    with pytest.raises(DoesNotFit, match="has a delay of 1.. steps, loihi2 allows 63"):
        ad.compile(
            delayed(
                150,
            ).with_population(Population("a", (3,), lif(sends="membrane"))),
            "loihi2",
        )


def test_changes_of_a_value_come_when_they_are_meant_to():
    """A sigma-delta layer hears another so late, through relays: as it would hear it at once, that much later."""
    rng = np.random.default_rng(1)
    layer = lambda size, **more: SigmaDelta(np.full(size, 0.5), np.zeros(size), **more)

    def program(lag):
        populations = [Population("a", (3,), first), Population("b", (2,), second)]
        made = graph(3, populations, [edge("x", "a", np.eye(3)), edge("a", "b", weight, lag=lag)])
        return ad.compile(made.with_population(Population("x", (3,), Input(-64, 64))), "loihi2")

    first, second = layer(3, receives="values", activation="none"), layer(2)
    weight = rng.integers(-40, 40, (2, 3)) / 64
    late, early = program(130), program(1)
    assert [name for name in late.layers if "relay" in name] == ["a.relay-1", "a.relay-2"]
    x = np.repeat(rng.integers(-9, 9, (2, 25, 3)), 8, axis=1)
    for engine in ("fast", "oracle"):
        sent, wanted = (each.run(x, engine=engine).spikes["b"] for each in (late, early))
        assert np.count_nonzero(wanted) > 10
        np.testing.assert_array_equal(sent[:, 130:200], wanted[:, 2:72])  # 128 steps later
