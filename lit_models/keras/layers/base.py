"""What all layers of a Keras graph share here.

A layer computes in Keras' layout: the batch first, and the channel last unless `data_format` says otherwise. It takes
Keras' own settings, by Keras' names and with Keras' defaults, and the shapes of its inputs without the batch.
"""

from typing import ClassVar

from torch import Tensor, nn

from lit_models.keras.rules.weights import KerasArray

Shape = tuple[int | None, ...]
"""Sizes of one sample; None for a length that may differ from batch to batch."""
Mask = Tensor | None
"""Boolean `(B, T)`, true where a step counts; None if all count."""


class KerasLayer(nn.Module):
    """A layer of Keras as a torch module.

    The constructor of a subclass takes the shapes of the layer's inputs, and Keras' settings by name. Settings that
    only initialise or restrict the weights are not among them.
    """

    uses_masks: ClassVar[bool] = False
    """Whether `forward` takes `masks`, one for each input."""
    passes_mask: ClassVar[bool] = True
    """Whether the mask of the first input is that of the output: Keras' `supports_masking`."""

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        """The mask of the output."""
        return masks[0] if self.passes_mask else None

    def arrays(self) -> list[KerasArray]:
        """The layer's numbers in the order of Keras' `get_weights`, as views of its parameters and buffers."""
        return []

    @staticmethod
    def array(name: str, *parts: Tensor, shape: tuple[int, ...] | None = None) -> KerasArray:
        """One array of Keras; `parts` hold its numbers when they are joined along the last axis."""
        joined = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        return KerasArray(name, parts, joined if shape is None else shape)
