"""Collects the populations and connections of a Graph while a torch module is walked."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.torch.cells import Cell, Site, is_cell, is_foreign, package_of, reader_of, refusal
from astrodeploy.frontends.torch.layers import LAYERS, finite, layer_of, numpy
from astrodeploy.frontends.torch.signals import CellState, Past, Shape, Signal, Term, merged, spread
from astrodeploy.frontends.torch.trace import layer_name
from astrodeploy.ir import nodes
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import Input, Membrane, RateEncoder, gain_astrocyte
from astrodeploy.ir.wiring import Dense, Wiring, after
from astrodeploy.nn import Astrocyte, AstrocyteLayer
from astrodeploy.nn import RateEncoder as RateEncoderModule

INPUT = "input"
INSTEAD = {
    "MaxPool": "use AvgPool2d, or a convolution with a stride",
    "AdaptiveMaxPool": "use AvgPool2d, or a convolution with a stride",
    "ReLU": "neurons are what is not linear: leave it out",
    "LayerNorm": "use BatchNorm2d, which is folded into the weights",
    "GroupNorm": "use BatchNorm2d, which is folded into the weights",
    "InstanceNorm": "use BatchNorm2d, which is folded into the weights",
    "RNN": "use recurrent cells like Norse's LIFRecurrentCell",
    "GRU": "use recurrent cells like Norse's LIFRecurrentCell",
    "LSTM": "use recurrent cells like Norse's LIFRecurrentCell",
}


@dataclass
class Builder:
    """A Graph in the making; `input_shape` is None until something tells it."""

    dt: float
    input_shape: Shape | None
    input_node: Input | RateEncoder = field(default_factory=Input)
    populations: list[Population] = field(default_factory=list)
    graded: set[Any] = field(default_factory=set)  # populations whose spikes count a factor
    connections: list[Connection] = field(default_factory=list)
    fed: dict[tuple[str, str], tuple[Term, ...]] = field(default_factory=dict)  # by population and port

    @property
    def input(self) -> Signal:
        """What the input sends."""
        return Signal((Term(INPUT),), self.input_shape)

    def signal(self, value: Past) -> Signal:
        """A value of one step ago; what it is shows when the forward returns."""
        return Signal((Term(value),), None)

    def call(self, path: str, module: torch.nn.Module, value: Any) -> Any:
        """What a module makes of a value, in the form in which its forward returns it."""
        if not is_known(module):
            raise _unsupported(path, module)
        signal = value
        if not isinstance(signal, Signal):
            raise UnsupportedError(f"{path} is fed something that is neither spikes nor a current")
        if isinstance(module, RateEncoderModule):
            return self._encoder(path, module, signal)
        if isinstance(module, AstrocyteLayer):
            return self._astrocyte_layer(path, module, signal)
        if is_cell(module):
            return self._cell(path, module, signal)
        _check_single_step(path, module)
        layer = layer_of(module)
        assert layer is not None
        return self.learn(layer(path, module, self.told(signal)))

    def told(self, signal: Signal) -> Signal:
        """A signal with the input's shape, where something told that meanwhile."""
        return signal.known_as(self.input_shape) if _is_input(signal) else signal

    def learn(self, made: Any) -> Any:
        """Note the input's shape, where weights tell it that nobody gave; the value itself."""
        if self.input_shape is None and isinstance(made, Signal):
            sizes = [t.wiring.shape[1] for t in made.terms if t.source == INPUT and t.wiring is not None]
            self.input_shape = (sizes[0],) if sizes else None
        return made

    def _encoder(self, path: str, module: RateEncoderModule, signal: Signal) -> Any:
        if signal.population != INPUT:
            raise UnsupportedError(f"{path}: an encoder stands at the input, before everything else")
        self.input_node = RateEncoder(steps=module.steps, seed=module.seed)
        return signal, CellState(INPUT)

    def _cell(self, path: str, module: torch.nn.Module, signal: Signal) -> Any:
        reader = reader_of(module)
        assert reader is not None
        signal = self.told(signal)
        if reader.weights is not None:
            (weight,) = finite(path, input_weights=reader.weights(module))
            assert weight is not None
            signal = self._weighted(path, weight, signal)
        cell = reader.cell(self._site(path, signal), module)
        sent = self._add(path, cell, signal)
        state = CellState(layer_name(path))
        return tuple(sent if name == "z" else state for name in cell.returns) or sent

    def _weighted(self, path: str, weight: Any, signal: Signal) -> Signal:
        signal = signal.known_as((weight.shape[1],))
        if signal.shape != (weight.shape[1],):
            raise InputError(
                f"{path} takes {weight.shape[1]} inputs, what is before it has {_text(signal.shape)}"
            )
        weighted: Signal = self.learn(signal.through(Dense(weight), (len(weight),), None, path))
        return weighted

    def _site(self, path: str, signal: Signal) -> Site:
        if signal.shape is None:
            raise InputError(
                "the module has no Linear layer to tell its input's shape: give input_shape (--input-shape)"
            )
        bias = np.zeros(signal.size) if signal.bias is None else signal.bias
        return Site(path, signal.shape, bias.reshape(signal.shape), self.dt)

    def _add(self, path: str, cell: Cell, signal: Signal) -> Signal:
        """A new population driven by a signal, and what it sends."""
        name, shape = self._name(path), signal.shape
        assert shape is not None
        node, terms = cell.node, signal.terms
        if cell.recurrence is not None:
            terms += (Term(name, cell.recurrence.wiring, lag=1),)
            if cell.recurrence.bias is not None:
                node = replace(node, bias=node.bias + cell.recurrence.bias.reshape(shape))
        self.populations.append(Population(name, shape, node))
        self.fed[name, "current"] = terms
        sent = Signal((Term(name),), shape)
        if cell.factor is None:
            return sent
        self.graded.add(name)
        return sent.scaled(cell.factor)

    def _name(self, path: str) -> str:
        name = layer_name(path)
        if name in (INPUT, *(p.name for p in self.populations)):
            raise UnsupportedError(
                f"{path} is used twice in one step, or two modules go by that name: give each use a "
                "module and a name of its own (and write the forward for one step, without a loop over time)"
            )
        return name

    def astrocyte(self, path: str, module: Astrocyte, ports: dict[str, Any]) -> Any:
        """A population of astrocytes that carry a signal, and what it sends."""
        name, shape = self._name(path), tuple(module.shape)
        biases: dict[str, Array] = {}
        for port, given in ports.items():
            if isinstance(given, torch.Tensor | float | int):
                given = Signal((), shape, spread(numpy(torch.as_tensor(given)), shape))
            if not isinstance(given, Signal):
                held = f"; a factor of torch.ones{(1, *shape)} holds its value between windows" * (
                    port == "factor"
                )
                raise UnsupportedError(f"{path} is fed something that is neither spikes nor a current{held}")
            signal = self.learn(self.told(given).known_as(shape))
            if signal.shape != shape:
                raise InputError(f"{path} is of shape {_text(shape)}, its {port} has {_text(signal.shape)}")
            if self.input_shape is None and _is_input(given):
                self.input_shape = shape
            if port != "activity" and signal.bias is not None and not any(map(_carries, signal.terms)):
                self._constant(name, port, signal.bias)
                continue
            if signal.bias is not None:
                biases[port] = signal.bias.reshape(shape)
            self.fed[name, port] = signal.terms
        node = _signal_node(module, biases)
        self.populations.append(Population(name, shape, node, role=module.role or ""))
        return Signal((Term(name),), shape), CellState(name)

    def _constant(self, name: str, port: str, value: Array) -> None:
        """A port that is always fed the same: a neuron that always fires sends it."""
        source = f"{name}_{port}"
        self.populations.append(Population(source, (1,), nodes.Constant()))
        self.connections.append(Connection(source, name, port, Dense(value.reshape(-1, 1))))

    def _astrocyte_layer(self, path: str, module: AstrocyteLayer, signal: Signal) -> Any:
        signal = self.told(signal).known_as((module.neurons,))
        if signal.size != module.neurons:
            raise InputError(f"{path} has {module.neurons} neurons, its input has {signal.size}")
        if self.input_shape is None and _is_input(signal):
            self.input_shape = signal.shape
        reader = reader_of(module.cell)
        if reader is None:
            raise refusal(f"{path}.cell", module.cell)
        sent = self._add(path, reader.cell(self._site(f"{path}.cell", signal), module.cell), signal)
        self._astrocytes(layer_name(path), module)
        return sent, CellState(layer_name(path))

    def _astrocytes(self, layer: str, module: AstrocyteLayer) -> None:
        log_gain = numpy(module.log_gain)
        astrocyte = gain_astrocyte(
            period=module.period,
            decay=module.decay,
            rate=module.rate,
            set_point=module.set_point,
            low=module.low,
            high=module.high,
            log_gain=log_gain,
        )
        name = f"{layer}_astrocytes"
        self.populations.append(Population(name, log_gain.shape, astrocyte))
        spread = np.eye(len(log_gain))[numpy(module.domain_of).astype(np.int64)]
        self.connections.append(Connection(layer, name, "activity", Dense(numpy(module.pool)), lag=1))
        self.connections.append(Connection(name, layer, "modulation", Dense(spread), lag=1))

    # ---- the end ---------------------------------------------------------------------------------

    def output(self, end: Any) -> str:
        """The population that an output of the forward is. Raises UnsupportedError."""
        if isinstance(end, CellState) and end.population != INPUT:
            return self._read_membrane(end.population)
        name = end.population if isinstance(end, Signal) else None
        if name is None or name == INPUT:
            if graded := sorted(self.graded & {t.source for t in getattr(end, "terms", ())}):
                raise UnsupportedError(
                    f"the output of the network must be spikes of 0 and 1, and {graded[0]}'s have a factor "
                    "(graded_spikes_factor): leave it out of the last layer, and scale what you read instead"
                )
            raise UnsupportedError("the output of the network must be the spikes of a layer of neurons")
        return name

    def shape_of(self, name: str) -> Shape:
        """The shape of a population."""
        return next(p.shape for p in self.populations if p.name == name)

    def _read_membrane(self, name: str) -> str:
        """Make a population that is read out by its membrane send that."""
        at = next(i for i, p in enumerate(self.populations) if p.name == name)
        node = self.populations[at].node
        assert isinstance(node, Membrane)
        if node.sends == "spikes" and node.reset != "none":
            raise UnsupportedError(
                f"the output is the membrane of {name}, which is reset by its spikes: read out its spikes, or a "
                'layer that is not reset (snnTorch: reset_mechanism="none"; Norse: LICell)'
            )
        if any(t.source == name for terms in self.fed.values() for t in terms):
            raise UnsupportedError(
                f"the output is the membrane of {name}, whose spikes go to other layers too"
            )
        self.populations[at] = replace(self.populations[at], node=replace(node, sends="membrane"))
        return name

    def graph(
        self,
        outputs: tuple[str, ...],
        returned: Any,
        before: HostStage | None,
        behind: HostStage | None,
    ) -> Graph:
        """What was collected. `returned` is the state that the forward returns."""
        sizes = {p.name: p.size for p in self.populations}
        for (name, port), terms in self.fed.items():
            known = [t for term in terms for t in _resolved(term, returned)]
            for source, lag, wiring in merged(known, sizes[name]):
                self.connections.append(Connection(str(source), name, port, wiring, lag=lag))
        if self.input_shape is None:
            raise InputError("the module does nothing with its input")
        start = Population(INPUT, self.input_shape, self.input_node)
        return Graph(
            self.dt,
            (start, *self.populations),
            tuple(self.connections),
            outputs,
            before=before,
            after=behind,
        )


def _signal_node(module: Astrocyte, biases: dict[str, Array]) -> nodes.Astrocyte:
    """The node of an Astrocyte; a constant in its activity is added up over a window like any other."""
    drive, offset = numpy(module.drive), numpy(module.offset)
    if "activity" in biases:
        offset = offset + drive * biases["activity"] * module.period
    node = nodes.Astrocyte(
        period=module.period,
        decay=numpy(module.decay),
        drive=drive,
        offset=offset,
        output=module.output,
        exponent=float(module.exponent),
        slow=int(module.slow),
    )
    factors = {f"{port}_bias": bias for port, bias in biases.items() if port != "activity"}
    return replace(node, **factors)  # type: ignore[arg-type]


def _carries(term: Term) -> bool:
    return term.wiring is None or bool(np.any(term.wiring.values))


def _resolved(term: Term, returned: Any, seen: tuple[Past, ...] = ()) -> list[Term]:
    """A term of a state as terms of populations, one step later."""
    if isinstance(term.source, str):
        return [term]
    value, reader = part_at(returned, term.source.path), term.reader or "a layer"
    if isinstance(value, Past):
        value = Signal((Term(value),), None)
    if not isinstance(value, Signal) or term.source in seen:
        raise UnsupportedError(f"{reader} is fed something that is neither spikes nor a current")
    if value.bias is not None:
        raise UnsupportedError(
            f"{reader} is fed a state that holds a constant: add it after the state is read"
        )
    late = [replace(t, wiring=_joined(term.wiring, t.wiring), lag=t.lag + term.lag + 1) for t in value.terms]
    return [t for each in late for t in _resolved(each, returned, (*seen, term.source))]


def part_at(whole: Any, path: tuple[int | str, ...]) -> Any:
    """The part of a nested state that a path says; None where there is none."""
    for key in path:
        try:
            if isinstance(whole, dict) and key not in whole:
                whole = tuple(whole.values())  # a named tuple that is read by position
            whole = whole[key] if isinstance(whole, dict) or isinstance(key, int) else getattr(whole, key)
        except (LookupError, AttributeError, TypeError):
            return None
    return whole


def _joined(second: Wiring | None, first: Wiring | None) -> Wiring | None:
    if second is None or first is None:
        return first if second is None else second
    if second.shape[1] != first.shape[0]:
        raise InputError(f"a state of {first.shape[0]} values is read as one of {second.shape[1]}")
    return after(second, first)


def is_known(module: torch.nn.Module) -> bool:
    """Whether a module is one that a chip can do."""
    own = isinstance(module, Astrocyte | AstrocyteLayer | RateEncoderModule)
    return own or is_cell(module) or layer_of(module) is not None


def _check_single_step(path: str, module: torch.nn.Module) -> None:
    if package_of(module) == "spikingjelly":
        from astrodeploy.frontends.torch.spikingjelly_cells import check_single_step

        check_single_step(path, module)


def _unsupported(path: str, module: torch.nn.Module) -> UnsupportedError:
    if is_foreign(module):
        return refusal(path, module)
    kind = type(module).__name__
    reasons = [what for name, what in INSTEAD.items() if kind.startswith(name)]
    names = ", ".join(each.__name__ for each in LAYERS)
    reason = reasons[0] if reasons else f"supported between layers of neurons are {names}"
    return UnsupportedError(f"{path} is a {package_of(module)} {kind}, which is not supported: {reason}")


def _is_input(signal: Signal) -> bool:
    return any(t.source == INPUT for t in signal.terms)


def _text(shape: Shape | None) -> str:
    return "unknown" if shape is None else "x".join(str(n) for n in shape)
