"""The machine's own rate: the fastest of several matrix products."""

import time
from typing import Any

import torch
from torch import Tensor

from scripts.benchmark.cells import Job

SMALL, SLOW = 256, 2.0
"""Size of the matrices if a product of the full size would take more than `SLOW` seconds. It takes a minute on a
processor without instructions for bfloat16."""


def run(job: Job) -> dict[str, Any]:
    """Operations a second of `torch.mm` in float32 and in bfloat16."""
    return {"float32": rate(job, torch.float32), "bfloat16": rate(job, torch.bfloat16)}


def rate(job: Job, dtype: torch.dtype) -> float:
    """Operations a second."""
    size = job.settings["size"]
    if seconds_of(*square(SMALL, dtype, job.device)) * (size / SMALL) ** 3 > SLOW:
        size = SMALL
    a, b = square(size, dtype, job.device)
    fastest = min(seconds_of(a, b) for _ in range(job.settings["products"]))
    return float(2 * size**3 / fastest)


def square(size: int, dtype: torch.dtype, device: str) -> list[Tensor]:
    """Two matrices of random numbers."""
    return [torch.randn(size, size, device=device).to(dtype) for _ in range(2)]


def seconds_of(a: Tensor, b: Tensor) -> float:
    """Seconds of one product."""
    began = time.perf_counter()
    float(torch.mm(a, b)[0, 0])  # waits for a GPU
    return time.perf_counter() - began
