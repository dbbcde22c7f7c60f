"""What the host computes before and after the chip: ordinary layers, as ONNX."""

from dataclasses import dataclass

from astrodeploy.brief import short


@dataclass(frozen=True, eq=False)
class HostStage:
    """Ordinary layers as one ONNX model, whose one input and output have a free first dimension.

    onnx       the model's bytes, in one piece
    inputs     shape of one sample's input, without the first dimension
    outputs    shape of one sample's output
    operators  names of its ONNX operators in order
    """

    onnx: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<HostStage {short(self.text, 160)}, {len(self.onnx)} bytes>"

    @property
    def text(self) -> str:
        """One line: shapes and operators."""
        shapes = ["x".join(str(n) for n in shape) for shape in (self.inputs, self.outputs)]
        return f"{shapes[0]} -> {shapes[1]}: {', '.join(self.operators)}"
