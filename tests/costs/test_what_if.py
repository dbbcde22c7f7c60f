"""One thing changed at a time."""

import json

import numpy as np
import pytest
from hand_mapped import connection, population, program_of
from priced import SPIKES, closed_loop, trace_of, two_neurons

from astrodeploy.costs import estimate, what_if
from astrodeploy.errors import ChipError, InputError
from astrodeploy.ir import Input, Population, RateEncoder


def loihi1():
    return program_of(
        [Population("input", (3,), Input()), population("layer", 4)],
        [connection("input", "layer", np.ones((4, 3)))],
        {0: ["layer"]},
        "loihi1",
    )


def test_every_case_is_the_estimate_with_that_one_thing_changed():
    program = loihi1()
    vary = {
        "steps": [8, 16],
        "rate": [0.5],
        "board": ["kapoho-bay"],
        "model": ["sana-fe"],
        "timing": ["queueing"],
    }
    found = what_if(program, rates=0.1, steps=4, vary=vary)
    given = {"rates": 0.1, "steps": 4}
    changed = [
        {"steps": 8},
        {"steps": 16},
        {"rates": 0.5},
        None,
        {"model": "sana-fe"},
        {"timing": "queueing"},
    ]
    assert found.base == estimate(program, **given)
    assert [(case.setting, case.value) for case in found.cases] == [
        (k, v) for k, vs in vary.items() for v in vs
    ]
    for case, change in zip(found.cases, changed, strict=True):
        if change is not None:
            assert case.estimate == estimate(program, **given | change)
    board = found.cases[3].estimate
    assert (board.target, board.chips, board.idle_chips) == ("kapoho-bay", 1, 1)


def test_boards_that_do_not_do_say_why():
    cores = {core: [("layer", (core, core + 1))] for core in range(128)}
    wide = {core: [("layer", (core, core + 1))] for core in range(130)}
    layer = population("layer", 130)
    program = program_of([Population("input", (3,), Input()), layer], [], cores | wide, "kapoho-bay")
    found = what_if(program, rates=0.1, vary={"board": ["loihi1", "oheo-gulch", "nahuku-8"]})
    assert "uses 130 cores, loihi1 has 128" in found.cases[0].reason
    assert "compiled for loihi1, oheo-gulch carries loihi2" in found.cases[1].reason
    assert found.cases[2].estimate.target == "nahuku-8"
    assert [case.estimate is None for case in found.cases] == [True, True, False]
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))["what_if"]
    assert plain[0]["reason"] and "energy_joules" not in plain[0]
    assert plain[2]["energy_joules"]["typical"] == found.cases[2].estimate.energy_joules.typical


def test_data_are_run_again_with_other_steps():
    program = closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0)))
    x = np.random.default_rng(0).random((3, 3))
    found = what_if(program, x, vary={"steps": [12], "rate": [0.2]})
    assert found.base == estimate(program, program.run(x))
    assert found.cases[0].estimate == estimate(program, program.run(x, steps=12))
    assert found.cases[1].estimate == estimate(program, rates=0.2, steps=6)  # shown as long as the data
    assert found.cases[1].estimate.basis == "assumed"
    kept = what_if(program, x, carry=("astrocytes",), vary={})
    assert kept.base == estimate(program, program.run(x, carry=("astrocytes",)))


def test_a_trace_keeps_its_events():
    program = two_neurons("loihi1")
    trace = trace_of(program, SPIKES)
    found = what_if(program, trace, vary={"model": ["sana-fe"], "board": ["nahuku-32"]})
    assert found.cases[0].estimate == estimate(program, trace, model="sana-fe")
    assert found.cases[1].estimate.events == found.base.events
    with pytest.raises(InputError, match="needs the batch itself, or rates"):
        what_if(program, trace, vary={"steps": [3]})


@pytest.mark.parametrize(
    ("vary", "error", "message"),
    [
        ({"size": [3]}, InputError, "what-if changes steps, rate, board, model, timing, not size"),
        ({"steps": [0]}, InputError, "steps must be at least 1, not 0"),
        ({"rate": [2.0]}, InputError, "the rate of input must lie in 0..1"),
        ({"board": ["nowhere"]}, ChipError, "there is no target 'nowhere': choose a chip"),
        ({"model": ["mine"]}, ChipError, "has no cost model 'mine': choose one of davies-2018, sana-fe"),
        ({"timing": ["mine"]}, InputError, "there is no timing 'mine': choose one of largest"),
    ],
)
def test_wrong_settings_and_values(vary, error, message):
    with pytest.raises(error, match=message):
        what_if(loihi1(), rates=0.1, vary=vary)
