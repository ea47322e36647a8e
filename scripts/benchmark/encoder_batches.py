"""The reviews of an inference as batches of equal length, for rivals that do not read text themselves."""

from typing import Any

from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.encoder import LENGTH, encoder


def batches(job: Job) -> list[dict[str, Any]]:
    """Arrays `input_ids`, `attention_mask` and `token_type_ids` of each batch, int64; reviews sorted by length."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder())
    reviews, _ = arrays.texts(job, "predict")
    ids = tokenizer(reviews, truncation=True, max_length=LENGTH)
    order = sorted(range(len(reviews)), key=lambda i: len(ids["input_ids"][i]))
    size = job.settings["batch_size"]
    return [
        dict(
            tokenizer.pad({key: [ids[key][i] for i in order[first : first + size]] for key in ids}, return_tensors="np")
        )
        for first in range(0, len(order), size)
    ]
