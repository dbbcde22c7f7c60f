"""What a compartment kind is: declared states, parameters and ports, and branch-free operation lists.

Kinds are data: they stand in Programs, every engine is derived from them, and `proof.py` shows that no
value leaves its range.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from astrodeploy.brief import listed, short
from astrodeploy.errors import ProgramError

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
class Kind:
    """A compartment kind: what one neuron keeps, reads, computes and sends.

    `step` runs in every step, `window` (or None) at the end of every window of P steps, after it.
    """

    name: str
    states: dict[str, State]
    parameters: dict[str, Range]
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    tables: dict[str, tuple[int, ...]]
    step: OperationList
    window: OperationList | None = None
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
    def decays(self) -> tuple[tuple[str, str], ...]:
        """The pairs of decay factors among its parameters, of a current and its membrane: one a compartment."""
        numbers = [name[2:] for name in self.parameters if name.startswith("du")]
        return tuple((f"du{n}", f"dv{n}") for n in numbers if f"dv{n}" in self.parameters)

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
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProgramError(f"a compartment kind is malformed: {error!r}") from error
        prove(kind)
        return kind

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the kind means."""
        return sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


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
