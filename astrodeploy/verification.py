"""Does every engine say the same, and is the network still itself? What `verify` runs, and what it found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from astrodeploy import arguments
from astrodeploy.brief import listed, short
from astrodeploy.compare import Comparison, Divergence, compare, compare_near_threshold
from astrodeploy.distance import Distance, distance
from astrodeploy.engines import Plan, engine_named, make_plan, require_floats
from astrodeploy.engines.recording import Job, StateName
from astrodeploy.engines.reference import reference
from astrodeploy.errors import EngineError, InputError
from astrodeploy.ir import Astrocyte, Compartments, Graph
from astrodeploy.ir.nodes import Array, Membrane
from astrodeploy.program import Program

INTEGER_ENGINES = ("oracle", "fast", "lava")


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    comparisons  the oracle against every other integer engine that ran: all messages and all states
    brian2       the float network in Brian2 against the float reference: all messages, membranes, gains and
                 the astrocytes' states; None where it was not asked for or could not run
    distance     the Program against the float network, by cause; None where there is none
    not_run      engines that were asked for and could not run, with the reason
    """

    comparisons: tuple[Comparison, ...]
    brian2: Comparison | None
    distance: Distance | None
    not_run: Mapping[str, str]

    def __repr__(self) -> str:
        pairs = [
            f"{c.left} = {c.right}" if c.equal else f"{c.left} differs from {c.right}"
            for c in self.comparisons
        ]
        first = "" if self.first_divergence is None else f"; first: {short(str(self.first_divergence), 240)}"
        return (
            f"<Verification: {'equal' if self.equal else 'not equal'}: {listed(pairs)}{first}; not run: "
            f"{listed(self.not_run)}\n {self.distance!r}>"
        )

    @property
    def equal(self) -> bool:
        """Whether at least two integer engines ran and agree in every bit, and Brian2, where it ran, with the float
        reference but for what is excused.
        """
        return bool(self.comparisons) and all(each.equal for each in self._held)

    @property
    def _held(self) -> tuple[Comparison, ...]:
        """All comparisons that decide."""
        return (*self.comparisons, *([] if self.brian2 is None else [self.brian2]))

    @property
    def first_divergence(self) -> Divergence | None:
        """That of the first pair of integer engines that differ; else that of Brian2."""
        return next((c.first_divergence for c in self._held if not c.equal), None)

    @property
    def faithful(self) -> bool | None:
        """Whether the Program predicts the same as the float network for every sample; None where there is none.

        Undecided is a prediction too. Spikes may differ nevertheless: `distance` tells how many.
        """
        return None if self.distance is None else self.distance.total.predictions == 0

    @property
    def text(self) -> str:
        """The verdict in a line: whether the engines agree, and whether the network is still itself."""
        engines = "equal" if self.equal else "NOT EQUAL"
        if not self.comparisons:
            engines = "NOT VERIFIED: no engine but the oracle ran"
        elif not self.equal and all(each.equal for each in self.comparisons):
            engines = "NOT EQUAL: Brian2 differs from the float reference"
        return engines + ("" if self.distance is None else f"; {self.distance.text}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `astrodeploy verify --json` prints it."""
        first = self.first_divergence
        return {
            "equal": self.equal,
            "faithful": self.faithful,
            "comparisons": [each.to_dict() for each in self.comparisons],
            "first_divergence": None if first is None else asdict(first),
            "brian2": None if self.brian2 is None else self.brian2.to_dict(),
            "distance": None if self.distance is None else self.distance.to_dict(),
            "not_run": dict(self.not_run),
        }


def verify(
    program: Program,
    x: Any,
    engines: tuple[str, ...] = ("oracle", "fast", "lava", "brian2"),
    carry: tuple[str, ...] = (),
    steps: int | None = None,
    labels: Array | None = None,
) -> Verification:
    """Run a batch on several engines and hold them against each other; `x` as in `astrodeploy.engines.run`.

    With labels (samples,) the distance tells the accuracy of every simulation in its chain. A network that
    was compiled from integers has no float network: then neither Brian2 nor the distance is there.

    The oracle always runs: it is what the integer engines are held against. An engine that can't run
    is listed in `not_run` and decides nothing. Raises InputError for an engine that has no place here, StimulusError.
    """
    engines = arguments.names("engines", engines)
    _require_comparable(engines)
    plan = make_plan(program, x, steps, carry, _all_states(program))
    oracle = engine_named("oracle")(plan.job)
    comparisons: list[Comparison] = []
    brian2 = None
    not_run: dict[str, str] = {}
    for name in engines:
        try:
            if name == "brian2":
                require_floats(program, "brian2")
                brian2 = _by_sample(plan, _brian2(plan.job))
            elif name != "oracle":
                recording = engine_named(name)(plan.job)
                comparisons.append(_by_sample(plan, compare(oracle, recording, ("oracle", name))))
        except EngineError as error:
            not_run[name] = str(error)
    found = None if program.reference.is_integer else distance(plan, labels)
    return Verification(tuple(comparisons), brian2, found, not_run)


def _require_comparable(engines: tuple[str, ...]) -> None:
    if unknown := sorted(set(engines) - {*INTEGER_ENGINES, "brian2"}):
        raise InputError(
            f"verify compares {', '.join(INTEGER_ENGINES)} and brian2, not {', '.join(unknown)}: name engines of these"
        )
    if not {"fast", "lava"} & set(engines):
        raise InputError(
            "verify holds integer engines against the oracle: name fast or lava too, "
            f"not only {', '.join(engines) or 'none'}"
        )


def _all_states(program: Program) -> frozenset[StateName]:
    return frozenset(
        (population.name, state)
        for population in program.network.populations
        if isinstance(population.node, Compartments)
        for state in population.node.kind.states
    )


def _brian2(job: Job) -> Comparison:
    graph = job.program.reference
    witnessed = replace(job, record=_float_states(graph))
    recordings = [reference(witnessed), engine_named("brian2")(witnessed)]
    return compare_near_threshold(recordings[0], recordings[1], graph, ("reference", "brian2"))


def _float_states(graph: Graph) -> frozenset[StateName]:
    """The states in which two float engines are held against each other: all that change."""
    modulated = {c.target for c in graph.connections if c.port == "modulation"}
    found = set()
    for population in graph.populations:
        if isinstance(population.node, Membrane):
            found |= {
                (population.name, s)
                for s in ("v", "u", "gain")
                if s != "gain" or population.name in modulated
            }
        elif isinstance(population.node, Astrocyte):
            found |= {(population.name, s) for s in ("count", "trace", "log_gain")}
    return frozenset(found)


def _by_sample(plan: Plan, comparison: Comparison) -> Comparison:
    """In a stream, the first divergence's sample and step are those of a Trace, not of the one long row."""
    first = comparison.first_divergence
    if first is None or not plan.stream:
        return comparison
    local = max(0, first.step - plan.job.program.network[first.layer].depth)
    sample = min(local // plan.steps, plan.samples - 1)
    moved = replace(first, sample=sample, step=first.step - sample * plan.steps)
    return replace(comparison, first_divergence=moved)
