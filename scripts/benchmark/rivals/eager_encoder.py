"""Inference of the encoder with plain PyTorch: eager, with masked padding."""

import time
from typing import Any

import torch

from scripts.benchmark.cells import Job
from scripts.benchmark.clock import since_start
from scripts.benchmark.encoder import encoder
from scripts.benchmark.encoder_batches import batches
from scripts.benchmark.tokens import tokens_of
from scripts.benchmark.torch_training import autocast


@torch.inference_mode()
def run(job: Job) -> dict[str, Any]:
    """Seconds of all batches, after one that is not measured. Tokenizing is not included."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(encoder(), num_labels=2)
    model.eval().to(job.device)
    inputs = [{key: torch.from_numpy(value) for key, value in batch.items()} for batch in batches(job)]
    precision = job.options.get("precision", "32")

    def compute(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with autocast(job.device, precision):
            logits: torch.Tensor = model(**{key: value.to(job.device) for key, value in batch.items()}).logits
        return logits.float().cpu()

    compute(inputs[0])
    first = since_start()
    began = time.perf_counter()
    for batch in inputs:
        compute(batch)
    seconds = time.perf_counter() - began
    return {"first_step": first, "batches": seconds, "precision": precision, **tokens_of(job)}
