"""Training that goes on from a Keras file: puts the state of Keras' optimizer into the optimizer here."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from lit_models.keras.files.optimizer_state import OptimizerState
from lit_models.keras.files.reading import Array
from lit_models.keras.rules.keras_optimizer import KerasOptimizer
from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop

ADAM_NAMES = {"momentum": "exp_avg", "velocity": "exp_avg_sq"}
"""Keras' names of Adam's numbers, and those of torch."""


Arrays = dict[str, list[Array]]
"""Arrays of each layer, by its name."""


@torch.no_grad()
def load_state(
    optimizer: torch.optim.Optimizer,
    network: nn.Module,
    state: OptimizerState,
    write: Callable[[nn.Module, Arrays], None],
) -> None:
    """Puts the state of Keras' optimizer into a new optimizer of the network's parameters.

    Args:
        optimizer: changed in place.
        network: the network.
        state: what the file has.
        write: writes arrays in Keras' layout into a network. A copy of the network converts the state.
    """
    for slot, by_layer in state.slots.items():
        copied = copy.deepcopy(network)
        write(copied, by_layer)
        name = ADAM_NAMES[slot] if isinstance(optimizer, KerasAdam) else slot
        for weight, numbers in zip(network.parameters(), copied.parameters(), strict=True):
            if weight.requires_grad:
                optimizer.state[weight][name] = numbers.detach().clone()
    for group in optimizer.param_groups:
        if isinstance(optimizer, KerasAdam):
            group["keras_step"] = state.iterations
            for weight in group["params"]:
                optimizer.state[weight]["step"] = torch.tensor(float(state.iterations))
        elif isinstance(optimizer, KerasOptimizer):
            group |= {"iterations": state.iterations, "single": dict(state.single)}
        else:
            assert isinstance(optimizer, KerasRMSprop | torch.optim.SGD)  # they do not count steps
