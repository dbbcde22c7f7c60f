"""What a compartment kind is: declared states, parameters and ports, and branch-free operation lists.

Kinds are data: they stand in Programs, every engine is derived from them, and `proof.py` shows that no
value leaves its range.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

from astrodeploy.brief import listed, short
from astrodeploy.errors import ProgramError
from astrodeploy.storage import MALFORMED

Operation = tuple[Any, ...]


@dataclass(frozen=True, order=True)
class Range:
    """The closed interval of integers low..high."""

    low: int
    high: int

    @classmethod
    def signed(cls, bits: int) -> "Range":
        """Two's complement of that many bits."""
        return cls(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @classmethod
    def unsigned(cls, bits: int) -> "Range":
        """0 to 2**bits - 1."""
        return cls(0, (1 << bits) - 1)

    def contains(self, other: "Range") -> bool:
        """Whether all of `other` lies inside."""
        return self.low <= other.low and other.high <= self.high

    @property
    def bits(self) -> int:
        """Width that holds the interval: unsigned where it has no negative part, else signed."""
        if self.low >= 0:
            return max(1, self.high.bit_length())
        return max((-self.low - 1).bit_length(), max(self.high, 0).bit_length()) + 1

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class State:
    """One integer a neuron keeps; `slow` ones outlive the resets between the samples of a stream."""

    range: Range
    initial: int = 0
    slow: bool = False


@dataclass(frozen=True)
class Port:
    """Where summed messages come in, or one message goes out; a message of 0 is no message.

    `slow` input ports feed slow states: what is under way at a reset still arrives.
    """

    range: Range
    slow: bool = False


@dataclass(frozen=True)
class OperationList:
    """A branch-free list: operations, then the states to store and the message to send (registers)."""

    operations: tuple[Operation, ...]
    stores: Mapping[str, int]
    sends: Mapping[str, int]


@dataclass(frozen=True)
class Registers:
    """Which parameters lie in the registers that Loihi's compartments have; all others are a program's own.

    A chip's widths, and how many different values a core holds, are limits of registers.

    decays      pairs of decay factors, of a current and its membrane: one a compartment
    thresholds  mantissas, << 6
    biases      added in every step: a mantissa << an exponent
    """

    decays: tuple[tuple[str, str], ...] = ()
    thresholds: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All parameters that lie in one."""
        return frozenset((*self.thresholds, *self.biases, *(name for pair in self.decays for name in pair)))


@dataclass(frozen=True)
class Kind:
    """A compartment kind: what one neuron keeps, reads, computes and sends.

    `step` runs in every step, `window` (or None) at the end of every window of P steps, after it.
    What its parts are called decides nothing: `registers` says which parameters a chip's limits are about,
    `role` what a population of the kind is where nobody says it (of `ir.graph.ROLES`).
    """

    name: str
    states: dict[str, State]
    parameters: dict[str, Range]
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    tables: dict[str, tuple[int, ...]]
    step: OperationList
    window: OperationList | None = None
    registers: Registers = Registers()
    role: str = "neurons"
    doc: str = field(default="", compare=False)

    def __repr__(self) -> str:
        operations = ", ".join(f"{len(each.operations)} operations" for each in self.lists)
        return f"<Kind {short(self.name)}: states {listed(self.states)}; {operations}>"

    @property
    def lists(self) -> tuple[OperationList, ...]:
        """The lists in the order in which they run."""
        return (self.step,) if self.window is None else (self.step, self.window)

    @property
    def operations_used(self) -> frozenset[str]:
        """Names of all operations that compute something."""
        free = {"constant", "state", "parameter", "input"}
        return frozenset(op[0] for each in self.lists for op in each.operations) - free

    @property
    def state_bits(self) -> int:
        """Bits of state a neuron needs, each state at its own width."""
        return sum(state.range.bits for state in self.states.values())

    @property
    def keeps_time(self) -> bool:
        """Whether its messages go out once a window: how often is known without knowing what arrives."""
        return self.window is not None and bool(self.window.sends)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it stands in a Program."""
        return {
            "name": self.name,
            "states": {k: [s.range.low, s.range.high, s.initial, s.slow] for k, s in self.states.items()},
            "parameters": {k: [r.low, r.high] for k, r in self.parameters.items()},
            "inputs": _ports_to_dict(self.inputs),
            "outputs": _ports_to_dict(self.outputs),
            "tables": {k: list(t) for k, t in self.tables.items()},
            "step": _list_to_dict(self.step),
            "window": None if self.window is None else _list_to_dict(self.window),
            "registers": {
                "decays": [list(pair) for pair in self.registers.decays],
                "thresholds": list(self.registers.thresholds),
                "biases": list(self.registers.biases),
            },
            "role": self.role,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Kind":
        """Read back plain data and prove it again. Raises ProgramError where the proof fails."""
        from astrodeploy.compartments.proof import prove  # which needs Kind

        try:
            kind = cls(
                name=str(data["name"]),
                states={
                    str(k): State(Range(int(a), int(b)), int(i), bool(s))
                    for k, (a, b, i, s) in data["states"].items()
                },
                parameters={str(k): Range(int(a), int(b)) for k, (a, b) in data["parameters"].items()},
                inputs=_ports_from_dict(data["inputs"]),
                outputs=_ports_from_dict(data["outputs"]),
                tables={str(k): tuple(int(v) for v in t) for k, t in data["tables"].items()},
                step=_list_from_dict(data["step"]),
                window=None if data["window"] is None else _list_from_dict(data["window"]),
                registers=_registers_from_dict(data),
                role=str(data["role"]) if "role" in data else _role_of_older(data),
            )
        except MALFORMED as error:
            raise ProgramError(f"a compartment kind is malformed: {error!r}") from error
        prove(kind)
        return kind

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the kind means."""
        return sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def meaning(self) -> str:
        """The fingerprint of the same kind with numbers for names: equal where two kinds do the same."""
        number = {part: f"{i:04}" for i, part in enumerate(self._mentioned())}
        return replace(self.renamed("", lambda group, name: number[group, name]), role="").fingerprint

    def _mentioned(self) -> dict[tuple[str, str], None]:
        """Groups and names of all parts, in the order in which the lists mention them; the others by what they are."""
        found: list[tuple[str, str]] = []
        for each in self.lists:
            found += ((NAMING[op[0]], op[1]) for op in each.operations if op[0] in NAMING)
            found += (("states", name) for name, _ in sorted(each.stores.items(), key=lambda item: item[1]))
            found += (("outputs", name) for name in each.sends)
        idle = sorted((g, repr(part), name) for g in GROUPS for name, part in getattr(self, g).items())
        return dict.fromkeys([*found, *((group, name) for group, _, name in idle)])

    def renamed(self, name: str, called: Callable[[str, str], str]) -> "Kind":
        """The same kind of another name; `called` tells a part's new one from its group, like "states", and its old."""
        groups = {g: {called(g, k): v for k, v in getattr(self, g).items()} for g in GROUPS}
        parameter = partial(called, "parameters")
        registers = Registers(
            tuple((parameter(u), parameter(v)) for u, v in self.registers.decays),
            tuple(map(parameter, self.registers.thresholds)),
            tuple(map(parameter, self.registers.biases)),
        )
        window = None if self.window is None else _renamed(self.window, called)
        step, lists = _renamed(self.step, called), {"window": window, "registers": registers}
        return replace(self, name=name, step=step, **groups, **lists)  # type: ignore[arg-type]


GROUPS = ("states", "parameters", "inputs", "outputs", "tables")
NAMING = {"state": "states", "parameter": "parameters", "input": "inputs", "table": "tables"}  # operations


def _renamed(each: OperationList, called: Callable[[str, str], str]) -> OperationList:
    return OperationList(
        tuple(
            (op, called(NAMING[op], rest[0]), *rest[1:]) if op in NAMING else (op, *rest)
            for op, *rest in each.operations
        ),
        {called("states", name): register for name, register in each.stores.items()},
        {called("outputs", name): register for name, register in each.sends.items()},
    )


def _registers_from_dict(data: Mapping[str, Any]) -> Registers:
    if "registers" not in data:
        return _registers_of_older(data["parameters"])
    told = data["registers"]
    return Registers(
        tuple((str(u), str(v)) for u, v in told["decays"]),
        tuple(map(str, told["thresholds"])),
        tuple(map(str, told["biases"])),
    )


def _registers_of_older(parameters: Mapping[str, Any]) -> Registers:
    """Of a Program that was written before kinds declared them, when their names told."""
    decays = [(f"du{n}", f"dv{n}") for n in (name[2:] for name in parameters if name.startswith("du"))]
    return Registers(
        tuple(pair for pair in decays if pair[1] in parameters),
        tuple(name for name in ("threshold",) if name in parameters),
        tuple(name for name in ("bias", "modulated_bias") if name in parameters),
    )


def _role_of_older(data: Mapping[str, Any]) -> str:
    """Of a Program that was written before kinds declared it, when a window or a state's name told."""
    return "astrocytes" if data["window"] is not None or "trace" in data["states"] else "neurons"


def _ports_to_dict(ports: Mapping[str, Port]) -> dict[str, Any]:
    return {name: [port.range.low, port.range.high, port.slow] for name, port in ports.items()}


def _ports_from_dict(data: Mapping[str, Any]) -> dict[str, Port]:
    return {str(k): Port(Range(int(low), int(high)), bool(slow)) for k, (low, high, slow) in data.items()}


def _list_to_dict(each: OperationList) -> dict[str, Any]:
    operations = [list(op) for op in each.operations]
    return {"operations": operations, "stores": dict(each.stores), "sends": dict(each.sends)}


def _list_from_dict(data: Mapping[str, Any]) -> OperationList:
    operations = tuple(tuple(op) for op in data["operations"])
    return OperationList(operations, dict(data["stores"]), dict(data["sends"]))
