"""traffic: how often every neuron sends, counted or stated."""

import numpy as np
from networks import connection, network, population

from astrodeploy.engines.recording import Recording
from astrodeploy.ir import Connection
from astrodeploy.ir.wiring import OneToOne
from astrodeploy.mapping.traffic import STATED_RATE, traffic
from astrodeploy.quantisation.seen import Calibration


def relayed():
    """x -> hidden; always -> hidden; hidden -> relay, one to one; an astrocyte that listens."""
    return network(
        3,
        [
            population("always", "lif", 1, du=4096, dv=4095, bias=1),
            population("hidden", "lif", 4, depth=1),
            population("relay", "lif", 4, depth=2),
            population("astro", "astrocyte", 2, period=16, depth=2),
        ],
        [
            connection("x", "hidden", np.ones((4, 3))),
            connection("always", "hidden", np.ones((4, 1)), port="current", lag=1),
            Connection("hidden", "relay", "current", OneToOne(np.ones(4, np.int8)), delay=1),
            connection("hidden", "astro", np.ones((2, 4)), port="activity"),
        ],
    )


def test_without_data_rates_are_stated_or_follow_from_the_network():
    found = traffic(relayed(), None)
    assert not found.measured and "stated" in found.text
    assert found.rates["x"].tolist() == [STATED_RATE] * 3
    assert found.rates["always"].tolist() == [1.0]
    assert found.rates["relay"].tolist() == found.rates["hidden"].tolist() == [STATED_RATE] * 4
    assert found.rates["astro"].tolist() == [1 / 16] * 2


def test_with_data_rates_are_those_of_the_run_neuron_by_neuron():
    sent = np.zeros((2, 5, 4), np.int64)
    sent[0, :, 1], sent[1, 0, 2] = 7, -3  # graded messages count once
    calibration = Calibration(
        {"x": np.ones((2, 5, 3), np.int64)}, Recording({"hidden": sent}, {}), {}, offered=2
    )
    found = traffic(relayed(), calibration)
    assert found.measured
    assert found.rates["x"].tolist() == [1.0] * 3
    assert found.rates["hidden"].tolist() == [0.0, 0.5, 0.1, 0.0]
    assert found.rates["relay"].tolist() == found.rates["hidden"].tolist()
    assert found.rates["astro"].tolist() == [1 / 16] * 2
