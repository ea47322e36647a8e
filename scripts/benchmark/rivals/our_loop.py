"""A bare loop with our own network, kernels and optimizer: the work of `fit` without Lightning."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import kernels
from lit_models.cnn import CNN
from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop
from lit_models.rnn import RNN
from lit_models.startup.memory import keep_memory
from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.torch_training import Data, train


def run(job: Job) -> dict[str, Any]:
    """Trains the CNN or a recurrent network."""
    keep_memory()
    torch.manual_seed(job.repetition)
    if job.options["network"] == "cnn":
        network: nn.Module = CNN().to(job.device)
        data = Data(arrays.load(job, "mnist"), job.device, lambda stored: stored[:, None].float() / 255)
        numbers = train(job, network, data, KerasAdam(network.parameters()), F.cross_entropy)
    else:
        network = RNN(cell=job.options["network"]).to(job.device)
        data = Data(arrays.load(job, "imdb"), job.device, lambda stored: stored.long())
        numbers = train(job, network, data, KerasRMSprop(network.parameters()), binary_loss)
    return numbers | {"kernels": kernels.used()}


def binary_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of two classes."""
    return F.binary_cross_entropy_with_logits(outputs[:, 0], target.float())
