"""Predictions: a line a sample on the screen, and a file with every class's probability, in input order."""

import csv
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lit_models.runs.folder import new_file
from lit_models.runs.progress import say

SCREEN_LINES = 20


class PredictionWriter(Callback):
    """Collects the scores of all processes, puts them in input order, prints and writes them.

    Args:
        folder: where the file goes.
        file_format: "csv" or "jsonl".
    """

    def __init__(self, folder: Path, file_format: str) -> None:
        self.folder, self.file_format = folder, file_format
        self.scores: list[Tensor] = []

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        scores = isinstance(outputs, Tensor) and outputs.ndim == 2 and outputs.is_floating_point()
        if not scores or not bool(((outputs >= 0) & (outputs <= 1)).all()):
            raise ValueError("predict needs a model whose predict_step returns probabilities, float (B, num_classes)")
        self.scores.append(outputs.float().cpu())

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        places, scores = self._in_order(trainer)
        if not trainer.is_global_zero:
            return
        data = cast(Any, trainer).datamodule
        every = data.predict_names() if hasattr(data, "predict_names") else None
        names = [every[i] if every is not None else f"sample[{i}]" for i in places.tolist()]
        classes = pl_module.hparams.get("class_names") or [str(i) for i in range(scores.shape[1])]
        show(names, classes, scores)
        path = new_file(self.folder, f"predictions.{self.file_format}")
        write(path, names, classes, scores)
        say(f"{len(scores):,} predictions in {path}")

    def _in_order(self, trainer: L.Trainer) -> tuple[Tensor, Tensor]:
        """Places in the input, int64 `(N,)`, rising, and the scores there, `(N, num_classes)`, of all processes."""
        mine = torch.cat(self.scores) if self.scores else torch.empty(0, 0)
        parts: list[Any] = [mine]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, mine)
        sampler = cast(Any, trainer.predict_dataloaders).sampler
        if not hasattr(sampler, "batches_of"):
            if trainer.world_size > 1:
                raise ValueError("predicting in several processes needs data of datamodules.base.DataModule")
            return torch.arange(len(mine)), mine
        none = torch.empty(0, dtype=torch.int64)
        places = torch.cat([torch.cat([none, *sampler.batches_of(r)])[: len(p)] for r, p in enumerate(parts)])
        scores = torch.cat([part for part in parts if len(part)])
        order = places.argsort()
        return places[order], scores[order]


def show(names: Sequence[str], classes: Sequence[str], scores: Tensor) -> None:
    """Prints label, probability and sample, a line each; of many, the first."""
    best = scores.max(dim=1)
    width = max(len(c) for c in classes)
    rows = zip(names, best.values.tolist(), best.indices.tolist(), strict=True)
    for name, score, label in itertools.islice(rows, SCREEN_LINES):
        text = " ".join(str(name).split())
        say(f"{' '.join(classes[label].split()):<{width}}  {score:.4f}  {text if len(text) <= 80 else text[:79] + '…'}")
    if len(scores) > SCREEN_LINES:
        say(f"… and {len(scores) - SCREEN_LINES:,} more")


def write(path: Path, names: Sequence[str], classes: Sequence[str], scores: Tensor) -> None:
    """Writes input, label, its probability, and the probability of each class, a row or a JSON object a sample."""
    best = scores.max(dim=1)
    rows = zip(names, best.indices.tolist(), best.values.tolist(), scores.tolist(), strict=True)
    with path.open("x", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            for name, label, score, each in rows:
                record = {"input": name, "label": classes[label], "probability": score}
                record["probabilities"] = dict(zip(classes, each, strict=True))
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            return
        table = csv.writer(file)
        table.writerow(["input", "label", "probability", *(f"p({c})" for c in classes)])
        for name, label, score, each in rows:
            table.writerow([name, classes[label], f"{score:.8g}", *(f"{p:.8g}" for p in each)])
