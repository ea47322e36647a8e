"""A training step on front-padded reviews, beside one on the same number of real tokens without padding."""

import time
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_models import kernels
from lit_models.rnn import RNN
from lit_models.startup.memory import keep_memory
from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.torch_training import Data


def run(job: Job) -> dict[str, Any]:
    """The ratio of the two, the seconds of a step, and the difference of the gradients from those of PyTorch's
    layers."""
    keep_memory()
    torch.manual_seed(job.repetition)
    network = RNN(cell=job.options["network"]).to(job.device)
    data = Data(arrays.load(job, "imdb"), job.device, lambda stored: stored.long())
    batches = list(data.batches("train", job.settings["batch_size"]))
    dense = [(without_padding(tokens), target) for tokens, target in batches]
    seconds: dict[str, list[float]] = {"padded": [], "dense": []}
    for round_ in range(job.settings["rounds"] + 1):
        for name, part in (("padded", batches), ("dense", dense)):
            began = time.perf_counter()
            for tokens, target in part:
                gradients(network, tokens, target)
            if round_:
                seconds[name].append((time.perf_counter() - began) / len(part))
    used = kernels.used()
    padded, alone = (median(seconds[name]) for name in ("padded", "dense"))
    real = sum(int((tokens != 0).sum()) for tokens, _ in batches) / sum(tokens.numel() for tokens, _ in batches)
    return {
        "step": padded,
        "dense": alone,
        "cost": padded / alone,
        "real": real,
        "gradient_difference": difference(network, *batches[0]),
        "kernels": used,
    }


def without_padding(tokens: Tensor) -> Tensor:
    """The same numbers of rows and of real tokens, but all rows have the same length: `(B, T)`."""
    real = tokens[tokens != 0]
    length = len(real) // len(tokens)
    return real[: length * len(tokens)].view(len(tokens), length)


def gradients(network: RNN, tokens: Tensor, target: Tensor) -> list[Tensor]:
    """Gradients of one batch."""
    network.zero_grad(set_to_none=True)
    F.binary_cross_entropy_with_logits(network(tokens)[:, 0], target.float()).backward()  # type: ignore[no-untyped-call]
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def difference(network: RNN, tokens: Tensor, target: Tensor) -> float:
    """The largest difference of a gradient from that of PyTorch's layers."""
    fast = gradients(network, tokens, target)
    kernels.choose("plain")
    plain = gradients(network, tokens, target)
    return max(float((a - b).abs().max()) for a, b in zip(fast, plain, strict=True))
