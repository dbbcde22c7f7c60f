"""The Trace: what a run gave; a versioned folder like the Program."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy import storage
from astrodeploy.answers import Answers, answers, checked_labels
from astrodeploy.brief import listed, plural, shape_text, short
from astrodeploy.errors import ProgramError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.readout import ReadOut

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = "astrodeploy trace"
VERSION = 2
MANIFEST = "trace.json"
TENSORS = "arrays.safetensors"


@dataclass(frozen=True, eq=False)
class Trace:
    """Spikes, probed states, outputs and event counts of one run.

    spikes   layer -> integers (batch, steps + depth, *layer shape) on the program's clock, which runs
             `Program.depth` steps longer than a sample: a layer of depth k answers x[b, t] at [b, t + k]. A
             graded layer (astrocytes) holds its messages. Before its step k a layer of the chip runs too
             (a bias may make it fire) and then starts anew; the float engines are silent there. Traces of
             plain spikes that were saved by 0.1.0's first versions lack the last `depth` steps.
    states   (layer, state) -> (batch, steps + depth, *layer shape), after each step
    outputs  (batch, *output shape): the read-out, spike counts of the output layer over its window (steps k to
             k + steps - 1 of a layer of depth k), or its membrane there; by name, in the Graph's order, where
             there are several outputs
    readout  how each output was read, by its name
    messages that every layer sent, in all samples together: none of one that is read by its membrane and reaches
             no other, of which a float engine has values in `spikes`
    events   what happened, per core and step, summed over the batch: name -> (cores, steps)
    steps    of one sample, and `stream` where slow states were carried from sample to sample: then
             row b holds what each layer did for sample b, and zeros outside that window
    seconds  that the engine took, and `host_seconds` those of ordinary layers before and after it
    """

    engine: str
    program: str
    steps: int
    stream: bool
    spikes: Mapping[str, Array]
    states: Mapping[tuple[str, str], Array]
    outputs: Any
    events: Mapping[str, Array]
    seconds: float
    versions: Mapping[str, str]
    host_seconds: float = 0.0
    readout: Mapping[str, ReadOut] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        layers = listed(f"{name} {shape_text(array.shape)}" for name, array in self.spikes.items())
        how = "as one stream" if self.stream else "each from rest"
        return (
            f"<Trace of {short(self.engine)}: {plural(self.samples, 'sample')} of {plural(self.steps, 'step')}, {how}, "
            f"{self.seconds:.3g} s; {plural(len(self.states), 'state')} recorded\n spikes: {layers}>"
        )

    @property
    def output(self) -> Array:
        """The read-out of the first output, (batch, *output shape)."""
        several = isinstance(self.outputs, Mapping)
        return np.asarray(next(iter(self.outputs.values())) if several else self.outputs)

    @property
    def samples(self) -> int:
        """Samples of the batch."""
        return len(self.output)

    @property
    def answers(self) -> Answers:
        """The classes that the (first) output speaks for, which of them are undecided, and which are ties."""
        read = next(iter(self.readout.values()), None)
        return answers(self.output, sent=read is not None and read.sent)

    @property
    def predictions(self) -> Array:
        """Class of every sample, that of the largest of its (first) output.

        -1 where no class stands out: all have the same score, or nothing was sent for any. Of a tie of some
        classes the first is taken; `answers` tells which.
        """
        return self.answers.classes

    def accuracy(self, labels: "npt.ArrayLike") -> float:
        """Share of samples whose largest output is the label, 0..1; undecided ones are never right.

        Labels (samples,) are whole numbers from 0 on, one class each. Raises InputError.
        """
        classes = self.output.size // max(1, self.samples)
        known = checked_labels(labels, self.samples, classes, self.steps)
        return float(np.mean(self.predictions == known))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the folder whole, or not at all. Raises ProgramError."""
        from safetensors.numpy import save

        arrays = {f"spikes/{k}": v for k, v in self.spikes.items()}
        arrays |= {f"states/{layer}/{state}": v for (layer, state), v in self.states.items()}
        arrays |= {f"events/{k}": v for k, v in self.events.items()}
        several = self.outputs if isinstance(self.outputs, Mapping) else {}
        arrays |= {f"outputs/{k}": v for k, v in several.items()} or {"outputs": self.outputs}
        content = {
            "format": FORMAT,
            "version": VERSION,
            "engine": self.engine,
            "program": self.program,
            "steps": self.steps,
            "stream": self.stream,
            "seconds": self.seconds,
            "host_seconds": self.host_seconds,
            "versions": dict(self.versions),
            "layers": list(self.spikes),
            "states": [list(key) for key in self.states],
            "events": list(self.events),
            "outputs": list(several),
            "readout": {name: asdict(each) for name, each in self.readout.items()},
            "messages": dict(self.messages),
        }
        tensors = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        with storage.atomic_folder(Path(path), is_trace) as folder:
            (folder / TENSORS).write_bytes(tensors)
            storage.write_manifest(folder, MANIFEST, content)
        return Path(path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Trace":
        """Read a folder; every byte is checked. Raises ProgramError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(path)
        if not folder.is_dir():
            raise ProgramError(f"{folder} is no Trace folder")
        content: dict[str, Any] = storage.read_manifest(folder, MANIFEST, "Trace")
        storage.check_version(content, FORMAT, VERSION, folder)
        try:
            arrays = load_file(folder / TENSORS)
            return cls(
                engine=str(content["engine"]),
                program=str(content["program"]),
                steps=int(content["steps"]),
                stream=bool(content["stream"]),
                spikes={k: arrays[f"spikes/{k}"] for k in content["layers"]},
                states={(p, s): arrays[f"states/{p}/{s}"] for p, s in content["states"]},
                outputs=_outputs(content.get("outputs", []), arrays),
                events={k: arrays[f"events/{k}"] for k in content["events"]},
                seconds=float(content["seconds"]),
                host_seconds=float(content.get("host_seconds", 0.0)),
                versions=dict(content["versions"]),
                readout={str(k): ReadOut(**each) for k, each in content.get("readout", {}).items()},
                messages=_messages(content, arrays),
            )
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProgramError(f"{folder} is malformed ({error}): run the Program again") from error


def is_trace(folder: Path) -> bool:
    """Whether a folder is a Trace (and may be replaced by a new one)."""
    return (folder / MANIFEST).is_file()


def _messages(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, int]:
    """How many messages every layer sent; a folder of before tells by its spikes alone."""
    told = content.get("messages", {})
    return {str(k): int(told.get(k, np.count_nonzero(arrays[f"spikes/{k}"]))) for k in content["layers"]}


def _outputs(names: list[str], arrays: Mapping[str, Array]) -> Array | dict[str, Array]:
    """One output's array, or several by name."""
    return {str(k): arrays[f"outputs/{k}"] for k in names} if names else arrays["outputs"]
