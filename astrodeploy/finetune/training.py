"""Train a network's weights and biases through the chip's own rounding, on the user's data.

Every epoch begins with the Program that the numbers of now compile to: its scales and exponents hold for
that epoch. The forward pass is the Program's, on torch tensors. After every epoch the network is
compiled and run, on the fast engine, on samples that are held back; the best one is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from astrodeploy.answers import answers
from astrodeploy.chip.formats import Formats
from astrodeploy.engines import make_plan
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.finetune.samples import Samples, samples_of
from astrodeploy.finetune.simulation import Simulation
from astrodeploy.finetune.trained import Trained, untied
from astrodeploy.ir import Astrocyte, Graph
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import Membrane
from astrodeploy.pipeline import compile
from astrodeploy.program import Program

AT_ONCE = 250  # samples that the fast engine runs at once
CHECKS = 500  # training samples that check an epoch where none are held back
SHARPNESS = 2.0 ** np.arange(-10, 21)  # factors of the read-out that are tried for the loss
GRADIENT_MOST = 1.0  # norm to which the gradient is clipped, weights in units of their root mean square


@dataclass(frozen=True)
class Settings:
    """How to tune.

    target             the chip whose rounding is trained through
    epochs, batch      passes over the samples, and samples a step of the optimiser
    learning_rate      at the start, relative to each tensor's root mean square; it falls to 0 as a cosine
    held_back          share of the samples that choose the best epoch and are not trained on; they must be new
                       to the network, else it looks best as it came. With 0 the last epoch is kept
    seed               of the split and of the order of samples
    calibrate          samples that scales are chosen from, as in `compile`
    freeze_astrocytes  fold the gains at rest into the weights first, as in `compile`
    dt, input_shape, reset, threshold, if_r
                       what the source does not say, as in `load`
    """

    target: str | PathLike[str] = "loihi2"
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 3e-3
    held_back: float = 0.2
    seed: int = 0
    calibrate: Any = None
    freeze_astrocytes: bool = False
    dt: float | None = None
    input_shape: tuple[int, ...] | None = None
    reset: str | None = None
    threshold: str | None = None
    if_r: str | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise InputError(f"epochs and batch must be at least 1, not {self.epochs} and {self.batch}")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"the learning rate must be a positive number, not {self.learning_rate}")
        if not 0 <= self.held_back < 1:
            raise InputError(
                f"the share of samples held back must be at least 0 and below 1, not {self.held_back}"
            )


@dataclass(frozen=True)
class Epoch:
    """What an epoch gave; accuracy and loss are the Program's, on the samples that check it.

    These are the ones held back; without any, some of those that are trained on. Epoch 0 is the network
    as it came, with no training loss (0).
    """

    number: int
    training_loss: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Progress:
    """How far it is: batches done, of how many in all, and the last epoch that ended."""

    done: int
    total: int
    last: Epoch


@dataclass(frozen=True, eq=False)
class Tuning:
    """The tuned network, all epochs, the one that was kept, and how many samples held back chose it."""

    graph: Graph
    epochs: tuple[Epoch, ...]
    kept: Epoch
    held_back: int
    notes: tuple[str, ...]


def tune(
    source: Any, x: Any, y: Any, settings: Settings, watch: Callable[[Progress], None] | None = None
) -> Tuning:
    """Fine-tune a source (see `load`) on samples x with classes y (samples,).

    `watch` is called after every batch and every epoch. Raises InputError and its kinds, DoesNotFit.
    """
    program = compile(
        source,
        settings.target,
        calibrate=settings.calibrate,
        dt=settings.dt,
        input_shape=settings.input_shape,
        reset=settings.reset,
        threshold=settings.threshold,
        if_r=settings.if_r,
        freeze_astrocytes=settings.freeze_astrocytes,
    )
    notes = _examined(program)
    data = samples_of(x, y, program.network[program.network.output].size)
    rng = np.random.default_rng(settings.seed)
    training, held = data.split(settings.held_back, rng)
    return _Tuner(settings, program, training, held, rng, watch).run(notes)


def _examined(program: Program) -> tuple[str, ...]:
    """What is to be known about tuning this network. Raises UnsupportedError where it can't be."""
    graph = program.reference
    if graph.after is not None:
        raise UnsupportedError(
            f"ordinary layers follow {graph.output} on the host ({', '.join(graph.after.operators)}): fine-tuning "
            "trains what lies on the chip up to its read-out, so cut them off, or tune with them in your framework"
        )
    if len(graph.outputs) > 1:
        raise UnsupportedError(
            f"the network has the outputs {', '.join(graph.outputs)}: fine-tuning needs the one that names the class"
        )
    neurons = [p for p in graph.populations if any(c.port == "current" for c in graph.into(p.name))]
    if foreign := [p for p in neurons if not isinstance(p.node, Membrane)]:
        names = ", ".join(f"{p.name} is a {type(p.node).__name__}" for p in foreign)
        raise UnsupportedError(f"fine-tuning trains LIF and CubaLIF neurons with their variants; {names}")
    if not neurons:
        raise UnsupportedError("the network has no weights between neurons: there is nothing to fine-tune")
    astrocytes = ", ".join(p.name for p in graph.populations if isinstance(p.node, Astrocyte))
    return (f"{astrocytes}: gains stayed at rest while training",) if astrocytes else ()


class _Tuner:
    """The loop over epochs: compile, train through the Program's numbers, check on what is held back."""

    def __init__(
        self,
        settings: Settings,
        program: Program,
        training: Samples,
        held: Samples,
        rng: np.random.Generator,
        watch: Callable[[Progress], None] | None,
    ) -> None:
        self.settings, self.training, self.held, self.rng = settings, training, held, rng
        self.watch = watch or (lambda progress: None)
        self.limits = Formats.of(program.chip)
        self.program = program
        self.trained = Trained(untied(program.reference, program.network), torch.float32)
        self.batches = -(-len(training) // settings.batch)
        self.optimiser = torch.optim.Adam(self.trained.parameters(), settings.learning_rate)
        steps = settings.epochs * self.batches
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, steps)
        self.checks = held if len(held) else training[np.linspace(0, len(training) - 1, CHECKS).astype(int)]
        self.sharpness = 1.0
        self.done = 0

    def run(self, notes: tuple[str, ...]) -> Tuning:
        """Train, and keep the epoch that recognises most of what is held back; of equals, the least loss.

        Without samples held back the last is kept.
        """
        notes += self._left_out()
        epochs = [self._checked(0, 0.0)]
        kept, graph = epochs[0], self.program.reference
        for number in range(1, self.settings.epochs + 1):
            loss = self._epoch(epochs[-1])
            tuned = self.trained.graph()
            self.program = compile(tuned, self.settings.target, calibrate=self.settings.calibrate)
            epochs.append(self._checked(number, loss))
            self.watch(Progress(self.done, self.settings.epochs * self.batches, epochs[-1]))
            better = (epochs[-1].accuracy, -epochs[-1].loss) > (kept.accuracy, -kept.loss)
            if better or not len(self.held):
                kept, graph = epochs[-1], tuned
        return Tuning(graph, tuple(epochs), kept, len(self.held), notes)

    def _simulation(self) -> Simulation:
        return Simulation(
            self.trained,
            self.trained.graph(),
            self.program.network,
            self.limits.weight,
            bias=self.limits.bias,
        )

    def _left_out(self) -> tuple[str, ...]:
        """Notes on the numbers that the chip holds in a way that training does not follow."""
        followed = self._simulation().followed
        names = [c.name for c in self.program.reference.connections if c.port == "current"]
        return tuple(f"{name}: not trained" for name in names if name not in followed)

    def _epoch(self, last: Epoch) -> float:
        """One pass over the training samples; the mean loss."""
        simulation = self._simulation()
        order = self.rng.permutation(len(self.training))
        losses = []
        for start in range(0, len(order), self.settings.batch):
            part = self.training[order[start : start + self.settings.batch]]
            losses.append(self._step(simulation, part) * len(part))
            self.done += 1
            self.watch(Progress(self.done, self.settings.epochs * self.batches, last))
        return float(sum(losses) / len(order))

    def _step(self, simulation: Simulation, samples: Samples) -> float:
        loss = cross_entropy(
            self.sharpness * _simulated(simulation, self.program, samples.x), torch.from_numpy(samples.y)
        )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.trained.parameters(), GRADIENT_MOST)
        self.optimiser.step()
        self.schedule.step()
        return float(loss.detach())

    def _checked(self, number: int, training_loss: float) -> Epoch:
        """What the Program makes of samples; they also say how sharp the softmax of the loss is to be."""
        samples = self.checks
        parts = [samples[i : i + AT_ONCE] for i in range(0, len(samples), AT_ONCE)]
        outputs = np.concatenate([_outputs(self.program, part.x) for part in parts])
        self.sharpness = _sharpness(outputs, samples.y)
        sent = self.program.reference.read_outs[self.program.reference.output].sent
        accuracy = float(np.mean(answers(outputs, sent).classes == samples.y))
        return Epoch(number, training_loss, accuracy, _loss(outputs * self.sharpness, samples.y))


def _simulated(simulation: Simulation, program: Program, x: Any) -> Tensor:
    """What the read-out says of samples, (samples, classes), with gradients."""
    plan = make_plan(program, x)
    messages = {name: torch.from_numpy(each) for name, each in plan.job.spikes.items()}
    return simulation.outputs(messages, plan.steps)


def _outputs(program: Program, x: Any) -> FloatArray:
    """What the read-out says of samples on the fast engine, (samples, classes)."""
    outputs = program.run(x).outputs
    return np.asarray(outputs, np.float64).reshape(len(outputs), -1)


def _sharpness(outputs: FloatArray, labels: Any) -> float:
    """The factor of the read-out at which a softmax of it says the classes best."""
    spread = float(outputs.std()) or 1.0
    return float(min(SHARPNESS / spread, key=lambda factor: _loss(outputs * factor, labels)))


def _loss(logits: FloatArray, labels: Any) -> float:
    """Mean cross-entropy."""
    shifted = logits - logits.max(1, keepdims=True)
    likelihood = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(1))
    return float(-likelihood.mean())
