"""A bare PyTorch loop with `nn.RNN`, `nn.LSTM` or `nn.GRU`. If tuned, freed memory stays with the process."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.startup.memory import keep_memory
from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.torch_training import Data, train

LAYERS: dict[str, Any] = {"simple": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Network(nn.Module):
    """Embedding, two recurrent layers, and a dense output on the last state.

    Args:
        kind: "simple", "lstm" or "gru".
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 32)
        self.layers = LAYERS[kind](32, 32, num_layers=2, batch_first=True)
        self.output = nn.Linear(32, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: `(B, T)`; returns logits `(B, 1)`."""
        states, _ = self.layers(self.embedding(tokens))
        outputs: Tensor = self.output(states[:, -1])
        return outputs


def run(job: Job) -> dict[str, Any]:
    """Trains with RMSprop."""
    if job.options.get("tuned"):
        keep_memory()
    torch.manual_seed(job.repetition)
    network = Network(job.options["network"]).to(job.device)
    data = Data(arrays.load(job, "imdb"), job.device, lambda stored: stored)
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    return train(job, network, data, optimizer, binary_loss)


def binary_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of two classes."""
    return F.binary_cross_entropy_with_logits(outputs[:, 0], target.float())
