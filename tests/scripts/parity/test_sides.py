"""The sides of the parity study: initial weights, order of batches, metrics of an epoch."""

from typing import Any

import numpy as np
import torch

from datamodules import MNISTDataModule
from scripts.parity.programs import PROGRAMS
from scripts.parity.sides import batch_order, by_epoch, initial_module
from tests.parity.originals import XOR_INPUTS, NumpyXOR


def test_the_numpy_programs_own_weights_differ_from_ours() -> None:
    """Otherwise "paired" and "original" could be the same run."""
    module = initial_module(PROGRAMS["xor_mlp"], seed=0)
    ours = module.network(torch.from_numpy(XOR_INPUTS)).sigmoid().detach().numpy()
    assert np.abs(NumpyXOR.drawn(0).forward(XOR_INPUTS) - ours).max() > 0.01


def test_a_paired_run_has_the_order_of_fit() -> None:
    data = MNISTDataModule(dataset="digits", seed=3)
    data.setup("fit")
    sampler: Any = data.train_dataloader().sampler
    order = batch_order(len(data.train_table or ()), PROGRAMS["mnist_cnn"], seed=3)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        assert order(epoch).tolist() == [i for batch in sampler for i in batch.tolist()]


def test_the_metrics_of_an_epoch_are_joined() -> None:
    rows = [
        {"epoch": "0", "val/loss": "0.5", "val/acc": "0.75", "train/loss": ""},
        {"epoch": "0", "val/loss": "", "val/acc": "", "train/loss": "0.25"},
        {"epoch": "1", "val/loss": "", "val/acc": "", "train/loss": "0.125"},
        {"epoch": "1", "test/loss": "9"},
    ]
    assert by_epoch(rows) == [{"val_loss": 0.5, "val_acc": 0.75, "loss": 0.25}, {"loss": 0.125}]
