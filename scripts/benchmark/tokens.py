"""How many tokens a job reads, without padding."""

import json
from pathlib import Path

from scripts.benchmark.cells import Job


def tokens_of(job: Job) -> dict[str, int]:
    """`{"tokens": number}` for an epoch or a prediction; empty if the job does not read texts."""
    part, texts = job.settings.get("part"), job.settings.get("texts")
    if not part:
        return {}
    counts = json.loads((Path(job.data) / "tokens.json").read_text(encoding="utf-8"))[part]
    return {"tokens": sum(counts[:texts])}
