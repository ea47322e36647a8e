"""Predictions: a line a sample on the screen, and a file in input order, also from several processes."""

import csv
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor

from datamodules.base import GlobalBatchSampler
from datamodules.errors import UserError
from datamodules.spec import HasPredictNames
from lit_models.runs.durable import replaced, save
from lit_models.runs.folder import new_file
from lit_models.runs.progress import say
from lit_models.tasks.targets import Classification

Place = tuple[int, int]
"""Number of the dataloader, and position in it."""
SCREEN_LINES = 20
FORMULA = re.compile(r"[ \n]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""The beginning of a text that a spreadsheet reads as a formula; also with full-width characters."""
INNER_FORMULA = re.compile(r'([;\t\r\n][\s"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20](?!\)))')
"""The same inside a text. A spreadsheet that splits lines at semicolons or tabs makes a cell of what comes after. It
sees the quotes around a text only where one of its own cells begins. The smiley ;-) stays as it is."""
NUMBER = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?")


@runtime_checkable
class Rows(Protocol):
    """Says what a prediction looks like: as columns of a file, and as a line on the screen."""

    def row(self, prediction: list[float]) -> dict[str, Any]:
        """One prediction by column name, plain values."""
        ...

    def line(self, prediction: list[float]) -> str:
        """One prediction as a short text."""
        ...


@runtime_checkable
class HasTarget(Protocol):
    """A module that says what its predictions look like."""

    @property
    def target(self) -> Rows:
        """Rows and lines of its predictions."""
        ...


class PredictionWriter(BasePredictionWriter):
    """Collects the predictions of all processes, puts them in input order, prints and writes them.

    Predictions of a module with a `target`, and probabilities of any module, are rows of a CSV or JSON Lines file. All
    other tensors, and mappings or lists of them, are kept in a file of torch's, `predictions.pt`.

    Args:
        folder: where the file goes.
        file_format: "csv" or "jsonl", for rows.
    """

    def __init__(self, folder: Path, file_format: str) -> None:
        super().__init__(write_interval="batch")
        self.folder, self.file_format = folder, file_format
        self.parts: list[tuple[int, list[int] | None, Any]] = []  # dataloader, indices, predictions of each batch

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if prediction is None:
            raise UserError(f"predict_step of {type(pl_module).__name__} returns nothing, expected predictions")
        indices = list(batch_indices) if batch_indices else None
        self.parts.append((dataloader_idx, indices, plain(move_data_to_device(prediction, "cpu"))))

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        places, predictions = in_order(self._placed(trainer))
        if not trainer.is_global_zero:
            return
        rows = rows_of(pl_module, predictions)
        if rows is None:
            path = new_file(self.folder, "predictions.pt")
            with replaced(path) as part:
                save(predictions, part)
            if places is None:
                say("note: predict_step does not return one prediction a sample, so the file has one entry a batch")
            say(f"predictions: {described(predictions)}")
            say(f"written to {path}; read them with torch.load(path, weights_only=True)")
            return
        assert places is not None, "rows are predictions of samples"
        names = sample_names(cast(Any, trainer).datamodule, places)
        show(names, rows, predictions)
        path = new_file(self.folder, f"predictions.{self.file_format}")
        write(path, names, rows, predictions)
        say(f"{len(predictions):,} predictions in {path}")

    def _placed(self, trainer: L.Trainer) -> list[tuple[list[Place], Any]]:
        """The batches of all processes: the places of their samples in the input, and their predictions."""
        gathered: list[Any] = [self.parts]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.parts)
        sampler = getattr(cast(Any, trainer.predict_dataloaders), "sampler", None)
        placed: list[tuple[list[Place], Any]] = []
        for rank, parts in enumerate(gathered):
            batches = list(sampler.batches_of(rank)) if isinstance(sampler, GlobalBatchSampler) else []
            counts: Counter[int] = Counter()
            for i, (loader, indices, prediction) in enumerate(parts):
                known = batches[i].tolist() if batches else indices
                if known is None:
                    if trainer.world_size > 1:
                        raise UserError("predicting in several processes needs a DataLoader with a sampler")
                    samples = unbatched(prediction)
                    known = range(counts[loader], counts[loader] + (1 if samples is None else len(samples)))
                counts[loader] += len(known)
                placed.append(([(loader, index) for index in known], prediction))
        return placed


def in_order(placed: list[tuple[list[Place], Any]]) -> tuple[list[Place] | None, Any]:
    """Rising places and the predictions there. Where a batch does not have one prediction a sample: no places, and a
    list with the predictions of each batch."""
    apart = [(places, unbatched(prediction)) for places, prediction in placed]
    if any(samples is None or len(samples) != len(places) for places, samples in apart):
        return None, [prediction for _, prediction in sorted(placed, key=lambda part: part[0][:1])]
    pairs = [pair for places, samples in apart for pair in zip(places, samples or [], strict=True)]
    pairs.sort(key=lambda pair: pair[0])
    return [place for place, _ in pairs], batched([sample for _, sample in pairs])


def sample_names(data: object, places: list[Place]) -> list[str]:
    """A name for each sample: the data's own, or its place, with the number of its dataloader if there are several."""
    if isinstance(data, HasPredictNames):
        every = data.predict_names()
        return [every[index] for _, index in places]
    several = len({loader for loader, _ in places}) > 1
    return [f"loader[{loader}][{index}]" if several else f"sample[{index}]" for loader, index in places]


def plain(prediction: Any) -> Any:
    """A prediction of tensors, numbers and texts, in dictionaries, tuples and lists, as a file can keep it.

    Raises:
        UserError: a part of another type.
    """
    if isinstance(prediction, np.ndarray):
        return torch.from_numpy(prediction)
    if isinstance(prediction, np.generic):
        return prediction.item()
    if isinstance(prediction, Mapping):
        return {name: plain(part) for name, part in prediction.items()}
    if isinstance(prediction, tuple | list):
        parts = [plain(part) for part in prediction]
        return tuple(parts) if isinstance(prediction, tuple) else parts
    if prediction is None or isinstance(prediction, Tensor | str | int | float):
        return prediction
    expected = "expected tensors, numbers or texts, or mappings, tuples or lists of them"
    raise UserError(f"predict_step returns a {type(prediction).__name__}, {expected}")


def unbatched(prediction: Any) -> list[Any] | None:
    """One batch's predictions as a list of one a sample; None where they do not come apart."""
    if isinstance(prediction, Tensor):
        return list(prediction) if prediction.ndim else None
    if isinstance(prediction, dict):
        columns = {name: unbatched(value) for name, value in prediction.items()}
        rows = _zipped(list(columns.values()))
        return None if rows is None else [dict(zip(columns, values, strict=True)) for values in rows]
    if isinstance(prediction, tuple) and all(isinstance(p, Tensor) for p in prediction):
        return _zipped([unbatched(p) for p in prediction])
    return prediction if isinstance(prediction, list) else None


def _zipped(columns: list[list[Any] | None]) -> list[tuple[Any, ...]] | None:
    """The rows of columns of one length; None where there are other columns."""
    lengths = {None if column is None else len(column) for column in columns}
    if len(lengths) != 1 or None in lengths:
        return None
    return list(zip(*cast(list[list[Any]], columns), strict=True))


def batched(samples: list[Any]) -> Any:
    """All samples' predictions: tensors of one shape are stacked, mappings and tuples by their parts."""
    first = samples[0] if samples else torch.empty(0)
    if not samples:
        return torch.empty(0, 0)
    if isinstance(first, Tensor):
        return torch.stack(samples) if len({s.shape for s in samples}) == 1 else samples
    if isinstance(first, dict):
        return {name: batched([sample[name] for sample in samples]) for name in first}
    if isinstance(first, tuple):
        return tuple(batched(list(column)) for column in zip(*samples, strict=True))
    return samples


def rows_of(module: L.LightningModule, predictions: Any) -> Rows | None:
    """What the predictions look like as rows: the module's own answer, or, for probabilities of any module, classes.
    None for predictions of another form."""
    if not isinstance(predictions, Tensor) or predictions.ndim != 2 or not predictions.is_floating_point():
        return None
    if isinstance(module, HasTarget) and isinstance(module.target, Rows):
        return module.target
    within = bool(((predictions >= 0) & (predictions <= 1)).all())
    sums = predictions.double().sum(dim=1)
    if predictions.shape[1] < 2 or not within or not bool(((sums - 1).abs() < 1e-3).all()):
        return None
    names = module.hparams.get("class_names")
    return Classification(predictions.shape[1], names if names and len(names) == predictions.shape[1] else None)


def described(predictions: Any) -> str:
    """Types and shapes of predictions, such as "float32 (97, 1, 28, 28)"."""
    if isinstance(predictions, Tensor):
        return f"{str(predictions.dtype).removeprefix('torch.')} {tuple(predictions.shape)}"
    if isinstance(predictions, dict):
        return ", ".join(f"{name} {described(value)}" for name, value in predictions.items())
    if isinstance(predictions, tuple):
        return ", ".join(described(value) for value in predictions)
    return f"a list of {len(predictions)}"


def show(names: Sequence[str], rows: Rows, predictions: Tensor) -> None:
    """Prints prediction and sample, a line each; of many, the first."""
    for name, prediction in itertools.islice(zip(names, predictions, strict=True), SCREEN_LINES):
        text = " ".join(str(name).split())
        say(f"{rows.line(prediction.tolist())}  {text if len(text) <= 60 else text[:59] + '…'}")
    if len(predictions) > SCREEN_LINES:
        say(f"… and {len(predictions) - SCREEN_LINES:,} more")


def write(path: Path, names: Sequence[str], rows: Rows, predictions: Tensor) -> None:
    """Writes the input and its prediction, a row or a JSON object a sample. The texts of a CSV file are no formulas.

    Raises:
        UserError: the file cannot be written; nothing is left of it.
    """
    records: Iterable[dict[str, Any]] = (
        {"input": name, **rows.row(prediction.tolist())} for name, prediction in zip(names, predictions, strict=True)
    )
    with replaced(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(nested(record), ensure_ascii=False) + "\n" for record in records)
            return
        table = csv.writer(file)
        for i, record in enumerate(records):
            if i == 0:
                table.writerow([cell(name) for name in record])
            table.writerow([cell(value) for value in record.values()])


def cell(value: Any) -> Any:
    """A value as it stands in a CSV file. A text that a spreadsheet would compute as a formula has an apostrophe before
    it, as OWASP advises, and so has such a part of a text after a semicolon, a tab or the end of a line. Numbers stay
    numbers."""
    if isinstance(value, float):
        return f"{value:.8g}"
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    text = INNER_FORMULA.sub(r"\1'", value)
    return f"'{text}" if FORMULA.match(text) else text


def nested(record: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns `p(NAME)` are one object, `probabilities`."""
    plain = {name: value for name, value in record.items() if not name.startswith("p(")}
    each = {name[2:-1]: value for name, value in record.items() if name.startswith("p(")}
    return {**plain, "probabilities": each} if each else plain
