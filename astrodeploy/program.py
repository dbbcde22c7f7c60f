"""The Program: all that an engine or a chip sees of a network; a versioned, hashed folder.

program.json         format, version, the integer and the float network, cores, what every pass did, hashes
tensors.safetensors  the tensors of both
graph.nir            the float network for other tools, where NIR can say it
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy import storage
from astrodeploy.chip import Chip
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.ir import Graph, verify
from astrodeploy.ir.plain import fingerprint, from_plain, to_plain

if TYPE_CHECKING:
    import numpy.typing as npt

    from astrodeploy.trace import Trace

FORMAT = "astrodeploy program"
VERSION = 2
MANIFEST = "program.json"
TENSORS = "tensors.safetensors"
GRAPH = "graph.nir"


@dataclass(frozen=True)
class Slice:
    """Neurons start..stop (exclusive) of a population."""

    population: str
    start: int
    stop: int


@dataclass(frozen=True)
class Core:
    """One core in use: what lies on it, and its loads beside the chip's limits (same keys)."""

    index: int
    slices: tuple[Slice, ...]
    loads: Mapping[str, int]
    limits: Mapping[str, int]


@dataclass(frozen=True)
class Note:
    """One thing that a pass did to one object: what was rounded, folded, clipped or split."""

    subject: str
    text: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PassReport:
    """What one pass did."""

    name: str
    notes: tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled network.

    `network` is the integer network, `reference` the float network that it means, `chip` what it was
    compiled for. `reset_every` (steps, 0: never) clears fast states within a run, one step later per depth.
    """

    network: Graph
    reference: Graph
    chip: Chip
    cores: tuple[Core, ...]
    passes: tuple[PassReport, ...]
    reset_every: int = 0

    @property
    def target(self) -> str:
        """The chip's name."""
        return self.chip.name

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all populations, the input first."""
        return self.network.layers

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample in one step (or of one sample's values, with an encoder)."""
        return self.network.input.shape

    @property
    def membranes(self) -> frozenset[str]:
        """The outputs whose membrane v is read, not their spikes."""
        nodes = {p.name: p.node for p in self.reference.populations}
        sends = {name: getattr(nodes.get(name), "sends", "spikes") for name in self.network.outputs}
        return frozenset(name for name, what in sends.items() if what != "spikes")

    @property
    def depth(self) -> int:
        """Steps between a stimulus and the last population's answer."""
        return self.network.depth

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what the Program computes and where."""
        whole = [fingerprint(self.network), self._mapping()]
        return sha256(storage.json_text(whole).encode()).hexdigest()

    def run(
        self,
        x: "npt.ArrayLike",
        engine: str = "fast",
        steps: int | None = None,
        probes: tuple[str, ...] = (),
        carry: tuple[str, ...] = (),
    ) -> "Trace":
        """Run a batch and return its Trace; see `astrodeploy.engines.run`."""
        from astrodeploy.engines import run

        return run(self, x, engine=engine, steps=steps, probes=probes, carry=carry)

    def _mapping(self) -> dict[str, Any]:
        return {
            "chip": self.chip.model_dump(mode="json"),
            "reset_every": self.reset_every,
            "cores": [asdict(core) for core in self.cores],
        }

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the folder whole, or not at all. Raises ProgramError."""
        from safetensors.numpy import save

        plain, tensors = to_plain(self.network)
        content = {
            "format": FORMAT,
            "version": VERSION,
            "network": plain,
            "passes": [asdict(each) for each in self.passes],
        } | self._mapping()
        meant, more = to_plain(self.reference)
        content["reference"] = meant
        tensors |= {f"reference.{k}": v for k, v in more.items()}
        arrays = save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        nir_file = _as_nir(self.reference)
        with storage.atomic_folder(Path(path), is_program) as folder:
            (folder / TENSORS).write_bytes(arrays)
            if nir_file is not None:
                (folder / GRAPH).write_bytes(nir_file)
            storage.write_manifest(folder, MANIFEST, content)
        return Path(path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Program":
        """Read a folder; every byte is checked. Raises ProgramError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(path)
        if not folder.is_dir():
            raise ProgramError(f"{folder} is no Program: compile one first (astrodeploy compile)")
        content = storage.read_manifest(folder, MANIFEST, "Program")
        storage.check_version(content, FORMAT, VERSION, folder)
        try:
            tensors = load_file(folder / TENSORS)
            network = from_plain(content["network"], tensors)
            verify(network)
            meant = {
                k.removeprefix("reference."): v for k, v in tensors.items() if k.startswith("reference.")
            }
            reference = from_plain(content["reference"], meant)
            verify(reference)
            return cls(
                network=network,
                reference=reference,
                chip=Chip.model_validate(content["chip"]),
                cores=tuple(_read_core(c) for c in content["cores"]),
                passes=tuple(_read_report(p) for p in content["passes"]),
                reset_every=int(content["reset_every"]),
            )
        except (InputError, SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"{folder} is malformed ({error}): make the Program anew") from error


def _as_nir(graph: Graph) -> bytes | None:
    """The network as a NIR file for other tools; None where NIR can't say it."""
    from astrodeploy.frontends.nir_file import nir_bytes

    try:
        return nir_bytes(graph)
    except InputError:
        return None


def is_program(folder: Path) -> bool:
    """Whether a folder is a Program (and may be replaced by a new one)."""
    return (folder / MANIFEST).is_file()


def _read_core(plain: Mapping[str, Any]) -> Core:
    slices = tuple(Slice(str(s["population"]), int(s["start"]), int(s["stop"])) for s in plain["slices"])
    loads, limits = ({str(k): int(v) for k, v in plain[group].items()} for group in ("loads", "limits"))
    return Core(int(plain["index"]), slices, loads, limits)


def _read_report(plain: Mapping[str, Any]) -> PassReport:
    return PassReport(
        str(plain["name"]),
        tuple(Note(str(n["subject"]), str(n["text"]), dict(n["values"])) for n in plain["notes"]),
    )
