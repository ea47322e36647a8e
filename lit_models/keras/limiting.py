"""The penalties and constraints of a network of Keras layers, in training.

A penalty is added to the loss of each optimizer step; a constraint changes a weight after each step. Frozen weights
have neither, as in Keras.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lit_models.keras.files.limits import ACTIVITY
from lit_models.keras.network import KerasNetwork
from lit_models.keras.rules.limits import CONSTRAINTS, REGULARIZERS, applied
from lit_models.keras.rules.weights import KerasArray


class Limits:
    """The penalties and constraints of a network.

    Args:
        network: its graph says which layers have them.
    """

    def __init__(self, network: KerasNetwork) -> None:
        self.network = network
        self.of_outputs: list[Tensor] = []
        """Penalties on the outputs of the layers in this step."""
        for call in network.graph:
            if ACTIVITY in call.get("penalties", {}):
                penalty = Activity(self, call["penalties"][ACTIVITY])
                network.layer(call).register_forward_hook(penalty)

    def penalty(self) -> Tensor | None:
        """The sum of all penalties; None if there is none."""
        terms, self.of_outputs = self.of_outputs, []
        for given, array in self.limited("penalties"):
            terms.append(applied(REGULARIZERS, given, array.read()))
        return torch.stack(terms).sum() if terms else None

    @torch.no_grad()
    def constrain(self) -> None:
        """Changes the weights that have a constraint."""
        for given, array in self.limited("constraints"):
            array.write(applied(CONSTRAINTS, given, array.read()))

    def limited(self, group: str) -> Iterator[tuple[dict[str, Any], KerasArray]]:
        """The trained arrays that have a penalty or a constraint."""
        for call in self.network.graph:
            if given := call.get(group):
                for array in self.network.layer(call).arrays():
                    name = array.name.rpartition("/")[2]
                    if name in given and array.parts[0].requires_grad:
                        yield given[name], array


class Activity:
    """A hook that keeps the penalty on a layer's outputs, for the mean over the batch.

    Args:
        limits: where the penalty is kept.
        given: the regularizer, as plain data.
    """

    def __init__(self, limits: Limits, given: dict[str, Any]) -> None:
        self.limits, self.given = limits, given

    def __call__(self, layer: nn.Module, inputs: Any, outputs: Tensor | tuple[Tensor, ...]) -> None:
        if self.limits.network.training:
            several = [outputs] if isinstance(outputs, Tensor) else outputs
            terms = [applied(REGULARIZERS, self.given, output) / len(output) for output in several]
            self.limits.of_outputs += terms
