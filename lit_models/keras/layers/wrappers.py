"""Keras' layers that contain other layers: Bidirectional, RNN and TimeDistributed.

Source: `keras/src/layers/rnn` in Keras 3.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from lit_models.keras.rules.weights import KerasArray


class Bidirectional(KerasLayer):
    """A recurrent layer that reads forwards and another one that reads backwards."""

    uses_masks: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        *states: Shape,
        layer: dict[str, Any],
        backward_layer: dict[str, Any] | None = None,
        merge_mode: str | None = "concat",
    ) -> None:
        from lit_models.keras.layers import build_layer

        super().__init__()
        if merge_mode not in ("concat", "sum", "ave", "mul"):
            raise UserError(f"merge_mode is {merge_mode!r}; supported: concat, sum, ave, mul")
        opposite = {**layer, "settings": {**layer["settings"], "go_backwards": True}}
        built = build_layer(layer, shape), build_layer(backward_layer or opposite, shape)
        if not (isinstance(built[0], Recurrent) and isinstance(built[1], Recurrent)):
            raise UserError(f"it contains {layer['kind']}; SimpleRNN, LSTM and GRU are supported")
        self.forwards, self.backwards = built
        self.merge_mode = merge_mode

    def forward(self, x: Tensor, *states: Tensor, masks: list[Mask]) -> Tensor | tuple[Tensor, ...]:
        half = len(states) // 2
        y, *last = as_list(self.forwards(x, *states[:half], masks=masks))
        z, *reverse_last = as_list(self.backwards(x, *states[half:], masks=masks))
        if self.forwards.return_sequences:
            z = z.flip(1)
        merged = {"concat": lambda: torch.cat([y, z], -1), "sum": lambda: y + z, "ave": lambda: (y + z) / 2}
        result = merged.get(self.merge_mode, lambda: y * z)()
        return (result, *last, *reverse_last) if self.forwards.return_state else result

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return self.forwards.output_mask(inputs, masks)

    def arrays(self) -> list[KerasArray]:
        ways = (("forward", self.forwards), ("backward", self.backwards))
        return [array._replace(name=f"{name}/{array.name}") for name, way in ways for array in way.arrays()]


def as_list(result: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    """One output or several, as a list."""
    return [result] if isinstance(result, Tensor) else list(result)


class Cell(Recurrent):
    """What one step computes. It stands inside of RNN, where it reads `(B, T, I)` as the layer of that name does."""

    def __init__(self, shape: Shape, **settings: Any) -> None:
        if len(shape) != 2:
            raise UserError("a cell is supported inside of RNN only")
        super().__init__(shape, **settings)


class SimpleRNNCell(Cell, SimpleRNN):
    """A step of SimpleRNN."""


class LSTMCell(Cell, LSTM):
    """A step of LSTM."""


class GRUCell(Cell, GRU):
    """A step of GRU."""


class RNN(KerasLayer):
    """A cell that reads `(B, T, I)` step by step."""

    uses_masks: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        *states: Shape,
        cell: dict[str, Any],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
    ) -> None:
        from lit_models.keras.layers import build_layer

        super().__init__()
        given = {"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards}
        given["zero_output_for_mask"] = zero_output_for_mask
        built = build_layer({**cell, "settings": {**cell["settings"], **given}}, shape)
        if not isinstance(built, Cell):
            raise UserError(f"its cell is {cell['kind']}; SimpleRNNCell, LSTMCell and GRUCell are supported")
        self.steps = built

    def forward(self, x: Tensor, *states: Tensor, masks: list[Mask]) -> Tensor | tuple[Tensor, ...]:
        result: Tensor | tuple[Tensor, ...] = self.steps(x, *states, masks=masks)
        return result

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return self.steps.output_mask(inputs, masks)

    def arrays(self) -> list[KerasArray]:
        return self.steps.arrays()


class TimeDistributed(KerasLayer):
    """A layer that is applied to each step by itself."""

    def __init__(self, shape: Shape, *, layer: dict[str, Any]) -> None:
        from lit_models.keras.layers import build_layer

        super().__init__()
        self.layer = build_layer(layer, shape[1:])
        if self.layer.uses_masks:
            raise UserError(f"it contains {layer['kind']}, which depends on masks; this is not supported")

    def forward(self, x: Tensor) -> Tensor:
        steps = self.layer(x.flatten(0, 1))  # (B * T, …)
        result: Tensor = steps.unflatten(0, x.shape[:2])
        return result

    def arrays(self) -> list[KerasArray]:
        return self.layer.arrays()
