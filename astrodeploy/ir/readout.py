"""How a network is read over a sample: what of each output, and what is made of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import Astrocyte, Compartments, Input, Membrane, Node, SigmaDelta

READOUTS = ("count", "sum", "last", "mean", "max")
KNOWN = {
    "spikes": ("count",),
    "messages": ("sum", "last", "mean", "max"),
    "membrane": ("last", "mean", "max"),
    "value": ("last", "mean", "max"),
    "host": ("sum", "last", "mean", "max"),
}
NAMES = {
    "count": "the count",
    "sum": "the sum",
    "last": "the last",
    "mean": "the mean",
    "max": "the largest",
}
AFFINE = frozenset(
    (
        *(
            "Gemm",
            "MatMul",
            "Conv",
            "AveragePool",
            "GlobalAveragePool",
            "ReduceMean",
            "ReduceSum",
            "Add",
            "Sub",
        ),
        *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Cast", "Constant"),
    )
)


@dataclass(frozen=True)
class ReadOut:
    """How an output is read.

    what  "spikes", the "messages" that carry numbers, the "membrane", the "value" of a sigma-delta neuron, or
          what the "host" makes of a step's messages, with `operators`
    how   the "count" of spikes; of numbers the "sum" over a sample's steps, the "last", their "mean" or "max"
    """

    what: str
    how: str
    operators: str = ""

    @property
    def sent(self) -> bool:
        """Whether messages are read, of which 0 is none."""
        return self.what in ("spikes", "messages")

    @property
    def text(self) -> str:
        """In words: "the mean of what the host makes of every step (Gemm, Softmax)"."""
        if self.what == "host":
            return f"{NAMES[self.how]} of what the host makes of every step ({self.operators})"
        return f"{NAMES[self.how]} of its {self.what}{'' if self.sent else ' over a sample'}"


def read_of(node: Node) -> str:
    """What of a population is read, a key of KNOWN; of integer neurons what they send."""
    if isinstance(node, Membrane):
        return "spikes" if node.sends == "spikes" else "membrane"
    if isinstance(node, SigmaDelta):
        return "value"
    if isinstance(node, Compartments):
        ranges = [port.range for port in node.kind.outputs.values()]
        return "spikes" if all((each.low, each.high) == (0, 1) for each in ranges) else "messages"
    if isinstance(node, Input):
        return "spikes" if (node.low, node.high, node.unit) == (0, 1, 1.0) else "messages"
    return "messages" if isinstance(node, Astrocyte) else "spikes"


def counted(node: Node) -> bool:
    """Whether a population of the float network is read by its spikes."""
    return not isinstance(node, Compartments) and read_of(node) == "spikes"


def usual(node: Node) -> str:
    """How a population is read unless it is said: spikes are counted, of a state its last value is what counts."""
    what = read_of(node)
    if what == "messages":
        return "last" if isinstance(node, Astrocyte) and node.remembers else "sum"
    return "count" if what == "spikes" else "last"


def usual_after(stage: HostStage) -> str:
    """How the host's answers to every step are read unless it is said.

    What affine layers make of the steps adds up to what they make of the counts. Of other layers, a softmax
    say, every answer stands by itself: the mean is one of the same kind, and does not grow with the steps.
    """
    return "sum" if AFFINE.issuperset(stage.operators) else "mean"


def words_of(readout: str, nodes: Sequence[Node]) -> tuple[str, ...]:
    """The word for each of several outputs.

    `readout` is one word for each, separated by commas; or one for all that hold numbers, beside which spikes
    are counted; or nothing, which takes the usual ones. Integer neurons don't tell by what they send whether
    their state is read: one word holds for all of them.
    """
    words = tuple(readout.split(",")) if readout else tuple(map(usual, nodes))
    if len(words) != 1 or len(nodes) == 1:
        return words
    spiking = [counted(node) for node in nodes]
    if all(spiking):
        return words * len(nodes)
    return tuple("count" if spikes and words[0] in READOUTS else words[0] for spikes in spiking)


def older_words(readout: str, nodes: Sequence[Node], after: HostStage | None) -> tuple[str, ...]:
    """The words for what a Graph of before meant, whose one word was not always what was read.

    A count of numbers was their sum, of a membrane its last value. What the host makes of every step was
    summed: it is read as one usually does now.
    """
    if after is not None:
        return (usual_after(after),)
    return tuple(_older_word(readout, node) for node in nodes)


def _older_word(readout: str, node: Node) -> str:
    if counted(node):
        return "count"
    if readout != "count" or isinstance(node, Compartments):
        return readout
    return "sum" if read_of(node) == "messages" else "last"


def said(words: Sequence[str]) -> str:
    """The words of several outputs as one text, in their order."""
    return words[0] if len(set(words)) == 1 else ",".join(words)
