"""The same of a network here: outputs, gradients, a whole training, with weights as Keras' `get_weights` has them."""

import copy
from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch import nn

from lit_models.keras.rules.weights import load_keras_weights, to_keras_weights
from lit_models.tasks.task import LitTask
from lit_models.testing.examples import quiet_trainer

from .keras_runs import Array, Run

with_lightning = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),  # whole batches, in memory
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),  # no validation part, as in
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),  # the Keras CNN's program
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # fewer than Lightning's logging interval
]
"""Marks of the tests that run a Trainer."""


def our_outputs(model: LitTask, inputs: Array) -> Array:
    """Probabilities, in the columns that the Keras model has: one for two classes."""
    with torch.no_grad():
        logits = model(torch.from_numpy(inputs))
        scores = model.predictions(logits)
    found: Array = scores[:, -logits.shape[1] :].numpy()
    return found


def our_gradients(model: LitTask, inputs: Array, target: Array) -> list[Array]:
    """Gradient of the batch's mean loss by each array of `get_weights`."""
    model.zero_grad()
    losses = model.target.sample_losses(model(torch.from_numpy(inputs)), torch.from_numpy(target))
    losses.mean().backward()  # type: ignore[no-untyped-call]
    held = copy.deepcopy(model.network)
    for place, weight in zip(held.parameters(), model.network.parameters(), strict=True):
        place.data = torch.zeros_like(weight) if weight.grad is None else weight.grad
    return to_keras_weights(held)


def our_fit(model: LitTask, data: L.LightningDataModule, *, start: Sequence[Array], epochs: int) -> Run:
    """Trains in float64 as the command line does, from the weights `start`."""
    load_keras_weights(model.network.double(), start)
    steps, metrics = StepLosses(), EpochMetrics()
    trainer = quiet_trainer(
        max_epochs=epochs,
        precision="64-true",
        logger=metrics,
        num_sanity_val_steps=0,
        callbacks=[steps],
    )
    trainer.fit(model, datamodule=data)
    return Run(np.array(steps.kept), metrics.kept, to_keras_weights(with_one_bias(model.network)))


def with_one_bias(network: nn.Module) -> nn.Module:
    """A copy that computes the same, where an RNN's and an LSTM's second bias is added to the first."""
    folded = copy.deepcopy(network)
    for module in folded.modules():
        if isinstance(module, nn.RNN | nn.LSTM):
            weights = dict(module.named_parameters())
            for name in [name for name in weights if name.startswith("bias_hh")]:
                weights[name.replace("_hh", "_ih")].data += weights[name].data
                weights[name].data.zero_()
    return folded


class StepLosses(Callback):
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.kept: list[float] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.kept.append(float(outputs["loss"]))


class EpochMetrics(Logger):
    """Keeps what is logged, by name and epoch."""

    name = version = "epochs"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[float]] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            if "/" in name:
                self.kept.setdefault(name, []).append(float(value))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass
