"""The Program: all that an engine or a chip sees of a network; a versioned, hashed folder.

program.json         format, version, the integer and the float network, cores, what every pass did, hashes
tensors.safetensors  the tensors of both
before.onnx, after.onnx  ordinary layers that the host computes, where the network has some
graph.nir            the float network for other tools, where NIR can say it
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy import storage
from astrodeploy.chip import Board, Chip
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.ir import Graph, Population, verify
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.nodes import Membrane, Node, SigmaDelta
from astrodeploy.ir.plain import fingerprint, from_plain, to_plain

if TYPE_CHECKING:
    import numpy.typing as npt

    from astrodeploy.trace import Trace

FORMAT = "astrodeploy program"
VERSION = 4
MANIFEST = "program.json"
TENSORS = "tensors.safetensors"
GRAPH = "graph.nir"
STAGES = ("before.onnx", "after.onnx")


@dataclass(frozen=True)
class Slice:
    """A box of a population's neurons: start..stop (exclusive) of each of its dimensions."""

    population: str
    ranges: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(stop - start for start, stop in self.ranges)

    @property
    def index(self) -> tuple[slice, ...]:
        """Cuts the box out of an array of the population's shape."""
        return tuple(slice(start, stop) for start, stop in self.ranges)

    def neurons(self, shape: tuple[int, ...]) -> IntArray:
        """The neurons' numbers in a population of that shape, ascending."""
        places = np.ix_(*(np.arange(start, stop) for start, stop in self.ranges))
        return np.asarray(np.ravel_multi_index(places, shape).ravel())

    def __str__(self) -> str:
        """The population's name and, in brackets, the first and last of every dimension."""
        return f"{self.population}[{self.ranges_text}]"

    @property
    def ranges_text(self) -> str:
        """The first and last of every dimension: 0..23, 0..3, 0..98."""
        return ", ".join(f"{start}..{stop - 1}" for start, stop in self.ranges)


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

    `network` is the integer network, `reference` the float network that it means, `board` what it was
    compiled for: a chip alone is the board of one. `reset_every` (steps, 0: never) clears fast states within
    a run, one step later per depth.
    """

    network: Graph
    reference: Graph
    board: Board
    cores: tuple[Core, ...]
    passes: tuple[PassReport, ...]
    reset_every: int = 0

    @property
    def target(self) -> str:
        """The name of the board, or of the chip alone."""
        return self.board.name

    @property
    def chip(self) -> Chip:
        """The chip that the board carries."""
        return self.board.chip

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all populations, the input first."""
        return self.network.layers

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample in one step (or of one sample's values, with an encoder)."""
        return self.input_shape_of(self.network.input)

    def input_shape_of(self, population: Population) -> tuple[int, ...]:
        """The same of one of the inputs: what ordinary layers before the network take, where there are some."""
        before = self.network.before
        return population.shape if before is None else before.inputs

    @property
    def read_states(self) -> Mapping[str, str]:
        """The state that is read of every output that is not read by its spikes."""
        nodes = {p.name: p.node for p in self.reference.populations}
        states = {name: _read_state(nodes.get(name)) for name in self.network.outputs}
        return {name: state for name, state in states.items() if state}

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
            "board": self.board.model_dump(mode="json"),
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
        stages = _without_stages(tensors)
        arrays = save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        nir_file = _as_nir(self.reference)
        with storage.atomic_folder(Path(path), is_program) as folder:
            (folder / TENSORS).write_bytes(arrays)
            for name, model in stages.items():
                (folder / name).write_bytes(model)
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
        storage.check_version(content, FORMAT, VERSION, folder, since=VERSION)
        try:
            tensors = load_file(folder / TENSORS) | _stages_in(folder)
            meant = {
                k.removeprefix("reference."): v for k, v in tensors.items() if k.startswith("reference.")
            }
            reference = from_plain(content["reference"], meant)
            verify(reference)
            network = replace(from_plain(content["network"], tensors), readout=reference.readout)
            verify(network)
            return cls(
                network=network,
                reference=reference,
                board=Board.model_validate(content["board"]),
                cores=tuple(_read_core(c, network) for c in content["cores"]),
                passes=tuple(_read_report(p) for p in content["passes"]),
                reset_every=int(content["reset_every"]),
            )
        except (InputError, SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"{folder} is malformed ({error}): make the Program anew") from error


def _as_nir(graph: Graph) -> bytes | None:
    """The network as a NIR file for other tools; None where NIR can't say it."""
    from astrodeploy.frontends.nir.file import nir_bytes

    try:
        return nir_bytes(graph)
    except InputError:
        return None


def _without_stages(tensors: dict[str, Array]) -> dict[str, bytes]:
    """Take the ordinary layers' models, which both networks share, out of the tensors: file name -> content."""
    stages = {}
    for name in STAGES:
        tensors.pop(f"reference.{name}", None)
        model = tensors.pop(name, None)
        if model is not None:
            stages[name] = model.tobytes()
    return stages


def _stages_in(folder: Path) -> dict[str, Array]:
    """The models of ordinary layers as the tensors of both networks."""
    present = [name for name in STAGES if (folder / name).is_file()]
    models = {name: np.frombuffer((folder / name).read_bytes(), np.uint8) for name in present}
    return models | {f"reference.{name}": model for name, model in models.items()}


def _read_state(node: Node | None) -> str:
    if isinstance(node, SigmaDelta):
        return "activation"
    return "v" if isinstance(node, Membrane) and node.sends != "spikes" else ""


def is_program(folder: Path) -> bool:
    """Whether a folder is a Program (and may be replaced by a new one)."""
    return (folder / MANIFEST).is_file()


def _read_core(plain: Mapping[str, Any], network: Graph) -> Core:
    slices = tuple(_read_slice(each, network) for each in plain["slices"])
    loads, limits = ({str(k): int(v) for k, v in plain[group].items()} for group in ("loads", "limits"))
    return Core(int(plain["index"]), slices, loads, limits)


def _read_slice(plain: Mapping[str, Any], network: Graph) -> Slice:
    cut = Slice(str(plain["population"]), tuple((int(start), int(stop)) for start, stop in plain["ranges"]))
    shape = network[cut.population].shape
    inside = all(0 <= start < stop <= n for (start, stop), n in zip(cut.ranges, shape, strict=True))
    if not inside:
        raise ValueError(f"a core holds {cut}, outside the population's shape {shape}")
    return cut


def _read_report(plain: Mapping[str, Any]) -> PassReport:
    return PassReport(
        str(plain["name"]),
        tuple(Note(str(n["subject"]), str(n["text"]), dict(n["values"])) for n in plain["notes"]),
    )
