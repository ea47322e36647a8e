"""A bare PyTorch loop of the CNN: a straightforward version, or a tuned one."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.startup.memory import keep_memory
from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.torch_training import Data, train

CHANNELS = (1, 32, 64, 64)


def run(job: Job) -> dict[str, Any]:
    """Trains. Tuned: the channels-last layout, the ReLU after the pooling, freed memory that stays with the process,
    and compiled on a GPU; on CPUs the compiled network was slower."""
    tuned = job.options.get("tuned", False)
    if tuned:
        keep_memory()
    torch.manual_seed(job.repetition)
    network: nn.Module = Tuned() if tuned else plain()
    network.to(job.device)
    if tuned:
        network.to(memory_format=torch.channels_last)
    data = Data(arrays.load(job, "mnist"), job.device, to_images)
    optimizer = torch.optim.Adam(network.parameters(), fused=tuned)
    if tuned and job.device == "cuda":
        network.compile()
    return train(job, network, data, optimizer, F.cross_entropy)


def to_images(stored: Tensor) -> Tensor:
    """Images float32 `(B, 1, 28, 28)` in 0 to 1."""
    return stored[:, None].float() / 255


def plain() -> nn.Sequential:
    """The network as the Keras program lists its layers."""
    layers: list[nn.Module] = []
    for i, (n, m) in enumerate(pairwise(CHANNELS)):
        layers += [nn.Conv2d(n, m, 3), nn.ReLU(), *([nn.MaxPool2d(2)] if i < 2 else [])]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10))


class Tuned(nn.Module):
    """The same function with a quarter of the ReLUs, for images in the channels-last layout."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(n, m, 3) for n, m in pairwise(CHANNELS))
        self.hidden, self.output = nn.Linear(576, 64), nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: `(B, 1, 28, 28)`; returns logits `(B, 10)`."""
        x = images.contiguous(memory_format=torch.channels_last)
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = F.relu(F.max_pool2d(x, 2) if i < 2 else x)
        outputs: Tensor = self.output(F.relu(self.hidden(x.flatten(1))))
        return outputs
