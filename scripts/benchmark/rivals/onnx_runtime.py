"""Inference of the encoder with ONNX Runtime, in float32."""

import time
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import Job, MissingRival
from scripts.benchmark.clock import since_start
from scripts.benchmark.encoder import encoder
from scripts.benchmark.encoder_batches import batches
from scripts.benchmark.tokens import tokens_of


def run(job: Job) -> dict[str, Any]:
    """Seconds of all batches, after one that is not measured. Tokenizing and the export are not included."""
    import onnxruntime

    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if providers[job.device] not in onnxruntime.get_available_providers():
        raise MissingRival("onnxruntime is installed without support of this GPU")
    inputs = batches(job)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    path = exported(job, inputs[0])
    session = onnxruntime.InferenceSession(str(path), options, providers=[providers[job.device]])
    names = {node.name for node in session.get_inputs()}
    feeds = [{key: value for key, value in batch.items() if key in names} for batch in inputs]
    session.run(None, feeds[0])
    first = since_start()
    began = time.perf_counter()
    for feed in feeds:
        session.run(None, feed)
    seconds = time.perf_counter() - began
    return {"first_step": first, "batches": seconds, "precision": "32", **tokens_of(job)}


def exported(job: Job, batch: dict[str, Any]) -> Path:
    """Writes the encoder as an ONNX file; the batch size and the length of its inputs are dynamic."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(encoder(), num_labels=2)
    path = Path(job.folder) / "encoder.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    free = {name: {0: "batch", 1: "length"} for name in names}
    model.eval().config.return_dict = False
    torch.onnx.export(
        model,
        tuple(torch.from_numpy(batch[name]) for name in names),
        str(path),
        input_names=names,
        output_names=["logits"],
        dynamic_axes=free,
        dynamo=False,
    )
    return path
