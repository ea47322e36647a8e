"""Keras' layers that contain other layers: Bidirectional and TimeDistributed.

Source: `keras/src/layers/rnn` in Keras 3.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.recurrent import Recurrent
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
