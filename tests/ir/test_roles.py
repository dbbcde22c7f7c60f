"""Roles: said where a network is made, kept to the end; and that what things are called decides nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from float_networks import DT, astrocyte, cuba, edge
from networks import connection, network, population

import astrodeploy as ad
from astrodeploy.compartments import KINDS, Range
from astrodeploy.compartments.graded import Form, astrocyte_of
from astrodeploy.compartments.kind import Kind, Port, Registers, State
from astrodeploy.compartments.language import compartment, saturate, select
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.compartments.partial_sum import partial_sum
from astrodeploy.compartments.sigma_delta import sigma_delta
from astrodeploy.errors import InputError
from astrodeploy.ir import Graph, Input, Population, verify
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.plain import from_plain, to_plain
from astrodeploy.nn import Astrocyte
from astrodeploy.program import Program

STEPS = 24


def gate(**chosen):
    """A form of an astrocyte that carries a signal."""
    parts = {"window": False, "memory": True, "pool": True, "product": False, "factor": False}
    return astrocyte_of(Form(**{**parts, "output": "identity", "slow": False, **chosen}))


VARIANTS = [
    Variant(gain=True, reset="subtract"),
    Variant(comparison=">=", refractory=True),
    Variant(reset="none"),
    Variant(sends="membrane"),
    Variant(sends="rectified"),
]
FORMS = [
    gate(),
    gate(memory=False),
    gate(window=True),
    gate(window=True, factor=True, slow=True, output="exp2"),
    gate(product=True, output="tanh"),
]
EVERY = [
    *KINDS.values(),
    *map(neuron, VARIANTS),
    *FORMS,
    sigma_delta(True, True),
    sigma_delta(False, False),
    partial_sum(Range(-1000, 1000)),
]


def of_kind(kind: Kind) -> Graph:
    """Neurons of a kind, one of whose parameters each is at a value that is neither end; spikes come to every port."""
    size = 3
    parameters = {
        k: (3 * r.low + 5 * r.high) // 8 if r.high > 63 else max(r.low, min(2, r.high))
        for k, r in kind.parameters.items()
    }
    parameters |= dict.fromkeys(kind.registers.biases, 3 << 4)
    cells = population("cells", kind, size, period=4 if kind.window else 0, **parameters)
    ports = [
        connection("x", "cells", np.arange(6).reshape(3, 2) + 1, port=port, delay=1 + i)
        for i, port in enumerate(kind.inputs)
    ]
    return network(2, [cells], ports)


def costs(program: Program, x: np.ndarray) -> dict:
    """Everything that an estimate says, of a run and of a rate."""
    found = ad.estimate(program, x).to_dict()
    rated = [p.name for p in program.network.populations if not p.keeps_time]
    return {
        "run": found,
        "rates": ad.estimate(program, rates=dict.fromkeys(rated, 0.1), steps=STEPS).to_dict(),
    }


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
def test_what_a_kind_and_its_parts_are_called_changes_nothing(kind):
    other = kind.renamed(
        "misnomer", lambda group, name: f"{name[::-1]}_{group}" if group != "inputs" else name
    )
    assert other.meaning == kind.meaning
    x = (np.random.default_rng(0).random((2, STEPS, 2)) < 0.4).astype(np.uint8)
    target = "loihi1" if kind in (KINDS["lif"], KINDS["sic"]) else "loihi2"
    one, two = (ad.compile(of_kind(each), target) for each in (kind, other))
    assert one.network["cells"].role == two.network["cells"].role
    assert one.cores == two.cores
    assert costs(one, x) == costs(two, x)
    runs = [program.run(x, engine="fast").spikes["cells"] for program in (one, two)]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
def test_names_taken_from_astrocytes_and_decays_change_nothing(kind):
    """The names that once decided, given to parts of which they are not true."""
    telling = ["trace", "count", "log_gain", "window", "v", "u", "w"]
    fields = [
        "dv",
        "du",
        "threshold",
        "bias",
        "modulated_bias",
        "dv1",
        "du1",
        "message_shift",
        *"abcdefghijkl",
    ]

    def called(group, name):
        new = {"states": telling, "parameters": fields}.get(group)
        return name if new is None else new[list(getattr(kind, group)).index(name)]

    other = kind.renamed("astrocyte", called)
    x = (np.random.default_rng(1).random((2, STEPS, 2)) < 0.4).astype(np.uint8)
    one, two = (ad.compile(of_kind(each), "loihi2") for each in (kind, other))
    assert one.network["cells"].role == two.network["cells"].role
    assert costs(one, x) == costs(two, x)


@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("state", ["trace", "log_gain", "adaptation"])
def test_a_neuron_with_a_state_of_an_astrocytes_name_is_a_neuron(state, window):
    def step(n):
        v = saturate(n.v + n.current, -(1 << 22), 1 << 22)
        fires = v > n.__getattr__(state)
        n.v = select(fires, 0, v)
        n.spike = fires

    def slow(n):
        n.__setattr__(state, saturate(n.__getattr__(state) + 64, 0, 1 << 22))

    kind = compartment(
        states={"v": State(Range.signed(24)), state: State(Range.signed(24))},
        inputs={"current": Port(Range.signed(19))},
        outputs={"spike": Port(Range(0, 1))},
        window=slow if window else None,
    )(step)
    program = ad.compile(of_kind(kind), "loihi2")
    assert program.network["cells"].role == "neurons"
    assert ad.estimate(program, rates=0.1, steps=STEPS).astrocyte_share == 0


def test_a_population_can_say_what_it_is():
    plain = of_kind(KINDS["lif"])
    said = plain.with_population(replace(plain["cells"], role="astrocytes"))
    neurons, astrocytes = (ad.compile(each, "loihi1") for each in (plain, said))
    assert ad.estimate(neurons, rates=0.1, steps=STEPS).astrocyte_share == 0
    assert ad.estimate(astrocytes, rates=0.1, steps=STEPS).astrocyte_share == 1
    assert "role=astrocytes" in astrocytes.network.text()
    whole = [ad.estimate(each, rates=0.1, steps=STEPS).parts for each in (neurons, astrocytes)]
    assert whole[0] == whole[1]  # a role decides what is counted apart, not what it costs


@pytest.mark.parametrize(("name", "role"), [("cells", "input"), ("x", "neurons"), ("cells", "glia")])
def test_a_role_must_be_true(name, role):
    plain = of_kind(KINDS["lif"])
    with pytest.raises(InputError, match=rf"{name} .*role.*{role}"):
        verify(plain.with_population(replace(plain[name], role=role)))


def test_descriptions_without_roles_are_read_as_they_were_meant():
    loop = network(
        2,
        [population("cells", "modulated_lif", 3), population("astro", "astrocyte", 1, period=4, depth=1)],
        [
            connection("x", "cells", np.ones((3, 2))),
            connection("cells", "astro", np.ones((1, 3)), port="activity"),
            connection("astro", "cells", np.ones((3, 1)), port="modulation"),
        ],
    )
    plain, tensors = to_plain(loop)
    older = {
        **plain,
        "populations": [{k: v for k, v in p.items() if k != "role"} for p in plain["populations"]],
        "kinds": {
            name: {k: v for k, v in kind.items() if k not in ("role", "registers")}
            for name, kind in plain["kinds"].items()
        },
    }
    again = from_plain(older, tensors)
    assert [p.role for p in again.populations] == ["input", "neurons", "astrocytes"]
    assert to_plain(again)[0] == plain


def test_registers_of_older_kinds_are_found_by_name():
    for kind in (KINDS["lif"], KINDS["sic"], neuron(Variant(gain=True))):
        plain = {k: v for k, v in kind.to_dict().items() if k != "registers"}
        assert Kind.from_dict(plain) == kind


# ---- from torch to the chip ------------------------------------------------------------------------------


class Pair(torch.nn.Module):
    """Two leaky sums that do the same; the second one is what it is told to be."""

    def __init__(self, role):
        super().__init__()
        self.first = Astrocyte(3, decay=0.25)
        self.second = Astrocyte(3, decay=0.25, role=role)

    def forward(self, x, state=None):
        first, second = (None, None) if state is None else state
        a, first = self.first(x, first)
        b, second = self.second(a, second)
        return b, (first, second)


@pytest.mark.parametrize(
    ("role", "kept"), [(None, "astrocytes"), ("astrocytes", "astrocytes"), ("neurons", "neurons")]
)
def test_a_module_says_what_it_is(role, kept, tmp_path):
    module = Pair(role)
    for path in (tmp_path / "model.pt", tmp_path / "model.nir"):
        if path.suffix == ".pt":
            ad.save(module, path, dt=1e-3, input_shape=(3,))
        else:
            ad.export(module, path, dt=1e-3, input_shape=(3,))
        read = ad.load(path)
        assert [p.role for p in read.populations] == ["input", "astrocytes", kept]
        x = (np.random.default_rng(0).random((2, 8, 3)) < 0.5).astype(np.uint8)
        program = ad.compile(path, "loihi2", calibrate=x)
        program = Program.load(program.save(tmp_path / f"{path.suffix[1:]}.astro"))
        assert [p.role for p in program.network.populations] == ["input", "astrocytes", kept]
        assert [p.role for p in program.reference.populations] == ["input", "astrocytes", kept]


def test_a_module_must_know_its_role():
    with pytest.raises(ValueError, match="role must be one of neurons, astrocytes, not 'glia'"):
        Astrocyte(3, role="glia")


def test_what_a_pass_adds_has_the_role_of_what_it_serves():
    """Relays of a long delay and the neuron that sends a bias: they are there for the astrocyte."""
    said = Population("cells", (3,), cuba(bias=np.full(3, 0.1)), role="astrocytes")
    edges = [edge("x", "cells", np.full((3, 2), 2.0)), edge("cells", "cells", np.eye(3), lag=100)]
    program = ad.compile(
        Graph(DT, (Population("x", (2,), Input()), said), tuple(edges), ("cells",)), "loihi1"
    )
    added = [p.role for p in program.network.populations if p.name not in ("x", "cells")]
    assert added == ["astrocytes", "astrocytes"]


def test_renaming_the_registers_of_a_kind_keeps_what_they_are():
    other = KINDS["sic"].renamed("sic", lambda group, name: f"my_{name}")
    assert other.registers == Registers((("my_du1", "my_dv1"), ("my_du2", "my_dv2")), ("my_threshold",))


def test_an_input_is_an_input():
    assert Population("x", (2,), Input()).role == "input"
    assert canonical(of_kind(KINDS["lif"])).input.role == "input"
    assert Population("a", (2,), astrocyte(0.0)).role == "astrocytes"
