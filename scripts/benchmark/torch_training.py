"""A bare training loop for the rivals that are written in PyTorch: no logging, no checkpoints, data in memory."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from scripts.benchmark.arrays import Arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.clock import Clock

Batch = tuple[Tensor, Tensor]
Loss = Callable[..., Tensor]
WARM_UP = 3
"""Steps before the first measured epoch."""


class Data:
    """The arrays of a job as tensors on its device.

    Args:
        arrays: the result of `arrays.load`.
        device: device of the tensors.
        prepare: converts a batch of stored inputs to inputs of the network.
    """

    def __init__(self, arrays: Arrays, device: str, prepare: Callable[[Tensor], Tensor]) -> None:
        self.tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        self.device, self.prepare = device, prepare

    def batches(self, part: str, size: int, *, shuffled: bool = False) -> Any:
        """Inputs and targets of each batch; the last one may be short."""
        inputs, target = self.tensors[f"{part}_inputs"], self.tensors[f"{part}_target"]
        order = torch.randperm(len(inputs), device=self.device) if shuffled else None
        for first in range(0, len(inputs), size):
            chosen = slice(first, first + size) if order is None else order[first : first + size]
            yield self.prepare(inputs[chosen]), target[chosen]


def train(job: Job, network: nn.Module, data: Data, optimizer: torch.optim.Optimizer, loss: Loss) -> dict[str, Any]:
    """Trains for the warm-up and the measured epochs; an epoch includes its validation if the data have one.

    Args:
        job: the job.
        network: the network, on the job's device.
        data: the data of the job.
        optimizer: optimizer of the network's parameters.
        loss: computes the loss from outputs and targets.
    """
    clock, size, epochs = Clock(), job.settings["batch_size"], job.settings.get("rival_epochs", 1)
    network.train()
    for batch in islice(data.batches("train", size, shuffled=True), WARM_UP):
        step(job, network, batch, optimizer, loss).item()
        clock.step()
    accuracy = None
    for _ in range(epochs):
        with clock.epoch():
            total = torch.zeros((), device=job.device)
            for batch in data.batches("train", size, shuffled=True):
                total += step(job, network, batch, optimizer, loss)
            total.item()  # waits for a GPU
            accuracy = evaluate(job, network, data, "val") if "val_inputs" in data.tensors else None
    return {
        "first_step": clock.first_step,
        "epochs": clock.epochs,
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "steps": -(-len(data.tensors["train_inputs"]) // size),
        "precision": job.options.get("precision", "32"),
        "accuracy": evaluate(job, network, data, "test") if accuracy is None else accuracy,
        "accuracy_after": epochs,
    }


def step(job: Job, network: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, loss: Loss) -> Tensor:
    """One step of the training; returns its loss."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(job.device, job.options.get("precision", "32")):
        value = loss(network(batch[0]), batch[1])
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value.detach()


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 if `precision` is "bf16"; otherwise does nothing."""
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()


@torch.no_grad()
def evaluate(job: Job, network: nn.Module, data: Data, part: str) -> float:
    """Accuracy on a part: of the largest of several outputs, or of the sign of one."""
    network.eval()
    right = torch.zeros((), device=job.device)
    for inputs, target in data.batches(part, job.settings["batch_size"]):
        with autocast(job.device, job.options.get("precision", "32")):
            outputs = network(inputs)
        predicted = outputs.argmax(dim=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0
        right += (predicted == target).sum()
    network.train()
    return float(right) / len(data.tensors[f"{part}_inputs"])
