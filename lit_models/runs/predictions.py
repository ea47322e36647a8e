"""Predictions: one line per sample on the screen, and a file in input order, also with several processes."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import move_data_to_device, rank_zero_only
from torch import Tensor

from datamodules.base import POOL, GlobalBatchSampler
from datamodules.errors import UserError
from datamodules.spec import HasPredictNames
from lit_models.runs.durable import replaced, save
from lit_models.runs.new_files import named_file, new_file
from lit_models.runs.prediction_rows import RowFile, Rows, Top, form_of, is_table, rows_of
from lit_models.runs.progress import say, show

Place = tuple[int, int]
"""The number of the dataloader, and the position in it."""
SCREEN_LINES = 20
SUFFIXES = (".csv", ".jsonl", ".pt")
STANDARD_OUTPUT = "-"
SOME_SKIPPED = 3
"""Exit status if some inputs cannot be read."""


@dataclass(frozen=True)
class Output:
    """Where predictions are written.

    Args:
        file: a new file; None if predictions are printed, and written to no file.
        standard_output: whether they are written to standard output as JSON Lines.
        top_k: number of classes of a sample; all of them if None.
    """

    file: Path | None = None
    standard_output: bool = False
    top_k: int | None = None

    @classmethod
    def of(cls, output: str | None, top_k: int | None) -> "Output":
        """The output for the values of `--output` and `--top_k`.

        Raises:
            UserError: another suffix, or a file that exists.
            MissingFileError: the folder of the file does not exist.
        """
        if top_k is not None and top_k < 1:
            raise UserError(f"top_k must be at least 1, got {top_k}")
        if output is None or output == STANDARD_OUTPUT:
            return cls(None, output == STANDARD_OUTPUT, top_k)
        if Path(output).suffix.lower() not in SUFFIXES:
            expected = "expected a file .csv, .jsonl or .pt, or - for standard output"
            raise UserError(f"output: {expected}, got {output!r}")
        return cls(named_file(output), False, top_k)


class PredictionWriter(BasePredictionWriter):
    """Puts the predictions of all processes in input order, prints and writes them.

    Predictions of a module with a `target`, and probabilities of any module, are rows. Rows of a module with a `target`
    are written while the next ones are computed, so only some batches are in memory; for several processes, this needs
    data of `datamodules`. Other tensors, and mappings or lists of them, are written with `torch.save`.

    Args:
        output: where rows are written.
        place: gives the folder for `predictions.pt`, for predictions that are not rows, if no file is named.
    """

    def __init__(self, output: Output, place: Callable[[], Path]) -> None:
        super().__init__(write_interval="batch")
        self.output, self.place = output, place
        self.parts: list[tuple[int, list[int] | None, Any]] = []  # dataloader, indices, predictions of each batch
        self.sink: RowSink | None = None
        self.streams: bool | None = None
        """Whether rows are written before the end; unknown before the first batch."""
        self.batches: Iterator[Tensor] | None = None  # the samples of the next batches, if the sampler knows them
        self.batches_done = 0

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
        sampler = _sampler(trainer)
        if isinstance(sampler, GlobalBatchSampler):
            self.batches = self.batches or sampler.batches_of(trainer.global_rank)
            indices = next(self.batches).tolist()
        self.parts.append((dataloader_idx, indices, plain(move_data_to_device(prediction, "cpu"))))
        self.batches_done += 1
        if self.streams is None:
            self.streams = self._can_stream(trainer, pl_module)
        if self.streams and self._is_due(trainer):
            self._write_rows(trainer, pl_module, *in_order(self._placed(trainer)))

    def _can_stream(self, trainer: L.Trainer, module: L.LightningModule) -> bool:
        rows = form_of(module) is not None and is_table(self.parts[0][2])
        kept_whole = self.output.file is not None and self.output.file.suffix.lower() == ".pt"
        several = len(cast(Any, trainer).num_predict_batches) > 1
        return rows and not kept_whole and not several and isinstance(_sampler(trainer), GlobalBatchSampler)

    def _is_due(self, trainer: L.Trainer) -> bool:
        """Whether all samples up to some place have been predicted: the samples of whole pools. All processes answer
        alike, because they wait for each other then."""
        own, several = math.lcm(POOL, trainer.world_size) // trainer.world_size, trainer.world_size
        batches = -(-_sampler(trainer).total // _sampler(trainer).batch_size)
        limited = cast(Any, trainer).num_predict_batches[0] * several
        return self.batches_done % own == 0 and self.batches_done * several <= min(batches, limited)

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        places, predictions = in_order(self._placed(trainer))
        if self.streams:
            self._write_rows(trainer, pl_module, places, predictions)
        elif trainer.is_global_zero:
            rows = rows_of(pl_module, predictions)
            if rows is None or (self.output.file is not None and self.output.file.suffix.lower() == ".pt"):
                self._save(predictions, has_places=places is not None)
                return
            self._write_rows(trainer, pl_module, places, predictions)
        if self.sink is not None:
            self.sink.close()
            self.sink = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if self.sink is not None:
            self.sink.abandon(exception)
            self.sink = None

    def _write_rows(
        self, trainer: L.Trainer, module: L.LightningModule, places: list[Place] | None, predictions: Any
    ) -> None:
        self.parts.clear()
        if not trainer.is_global_zero or not len(predictions):
            return
        rows = rows_of(module, predictions)
        if rows is None or places is None:
            raise UserError(f"predict_step of {type(module).__name__} returns rows for some batches only")
        if self.sink is None:
            several = len(cast(Any, trainer).num_predict_batches) > 1
            self.sink = RowSink(self.output, rows, sample_names(cast(Any, trainer).datamodule, several=several))
        self.sink.add(places, predictions)

    def _save(self, predictions: Any, *, has_places: bool) -> None:
        """Writes predictions that are not rows, or are requested as tensors."""
        if self.output.top_k is not None:
            raise UserError("top_k is for classes and labels, and predict_step returns other values: leave it out")
        path = self.output.file
        if self.output.standard_output or (path is not None and path.suffix.lower() != ".pt"):
            raise UserError(f"the predictions are {described(predictions)} and no rows: use --output FILE.pt")
        path = path or new_file(self.place(), "predictions.pt")
        with replaced(path) as part:
            save(predictions, part)
        if not has_places:
            say("note: predict_step does not return one prediction a sample, so the file has one entry a batch")
        show(f"predictions: {described(predictions)}")
        show(f"written to {path}; read them with torch.load(path, weights_only=True)")

    def _placed(self, trainer: L.Trainer) -> list[tuple[list[Place], Any]]:
        """Gathers the batches of all processes: the places of their samples in the input, and their predictions."""
        gathered: list[Any] = [self.parts]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.parts)
        placed: list[tuple[list[Place], Any]] = []
        for parts in gathered:
            counts: Counter[int] = Counter()
            for loader, known, prediction in parts:
                if known is None:
                    if trainer.world_size > 1:
                        raise UserError("predicting in several processes needs a DataLoader with a sampler")
                    samples = unbatched(prediction)
                    known = range(counts[loader], counts[loader] + (1 if samples is None else len(samples)))
                counts[loader] += len(known)
                placed.append(([(loader, index) for index in known], prediction))
        return placed


def _sampler(trainer: L.Trainer) -> Any:
    return getattr(cast(Any, trainer.predict_dataloaders), "sampler", None)


class RowSink:
    """Prints and writes rows as they come.

    Args:
        output: where they are written.
        rows: the form of the predictions.
        name: gives the name of the sample at a place.
    """

    def __init__(self, output: Output, rows: Rows, name: Callable[[Place], str]) -> None:
        self.output, self.name = output, name
        self.rows: Rows = rows if output.top_k is None else Top(rows, output.top_k)
        to_file = output.file is not None or output.standard_output
        self.file = RowFile(output.file, self.rows) if to_file else None
        self.count = 0

    def add(self, places: Iterable[Place], predictions: Tensor) -> None:
        """Adds samples. On the screen, only the first are shown if all are written to a file."""
        for place, prediction in zip(places, predictions.tolist(), strict=True):
            name = self.name(place)
            if self.file is not None:
                self.file.add(name, prediction)
            if not self.output.standard_output and (self.file is None or self.count < SCREEN_LINES):
                show(f"{self.rows.line(prediction)}  {shortened(name)}")
            self.count += 1
        if self.file is not None:
            self.file.flush()

    def close(self) -> None:
        """Finishes the file, and prints how many there are."""
        counted = f"{self.count:,} prediction{'s' if self.count != 1 else ''}"
        if self.file is None:
            say(f"{counted}; --output FILE.csv or FILE.jsonl writes them with all their numbers")
            return
        self.file.close()
        if self.output.file is not None:
            if self.count > SCREEN_LINES:
                show(f"… and {self.count - SCREEN_LINES:,} more")
            show(f"{counted} in {self.output.file}")

    def abandon(self, error: BaseException) -> None:
        """Removes the file after an error."""
        if self.file is not None:
            self.file.abandon(error)


@rank_zero_only
def _say_skipped(count: int) -> None:
    inputs = "input" if count == 1 else "inputs"
    print(f"{count:,} {inputs} could not be read, so the exit status is {SOME_SKIPPED}", file=sys.stderr)


def report_skipped(count: int) -> int:
    """Prints how many inputs could not be read, in the first process only; returns the exit status."""
    _say_skipped(count)
    return SOME_SKIPPED


def shortened(name: str) -> str:
    """The name of a sample on one line of the screen, without control characters."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(name).split()))
    return text if len(text) <= 60 else text[:59] + "…"


def in_order(placed: list[tuple[list[Place], Any]]) -> tuple[list[Place] | None, Any]:
    """Sorts predictions by their place in the input; returns places and predictions. If a batch does not have one
    prediction per sample, returns no places, and a list with the predictions of each batch."""
    apart = [(places, unbatched(prediction)) for places, prediction in placed]
    if any(samples is None or len(samples) != len(places) for places, samples in apart):
        return None, [prediction for _, prediction in sorted(placed, key=lambda part: part[0][:1])]
    pairs = [pair for places, samples in apart for pair in zip(places, samples or [], strict=True)]
    pairs.sort(key=lambda pair: pair[0])
    return [place for place, _ in pairs], batched([sample for _, sample in pairs])


def sample_names(data: object, *, several: bool) -> Callable[[Place], str]:
    """Gives a name for each sample: from the data, or its place, with the number of its dataloader if there are
    several."""
    if isinstance(data, HasPredictNames):
        names = data.predict_names()
        return lambda place: names[place[1]]
    return lambda place: f"loader[{place[0]}][{place[1]}]" if several else f"sample[{place[1]}]"


def plain(prediction: Any) -> Any:
    """Converts a prediction to plain values that can be saved: tensors, numbers and strings in dicts, tuples and lists.

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
    """Splits the predictions of a batch into a list with one per sample; None if that is not possible."""
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
    """Rows from columns of equal length; None if the lengths differ."""
    lengths = {None if column is None else len(column) for column in columns}
    if len(lengths) != 1 or None in lengths:
        return None
    return list(zip(*cast(list[list[Any]], columns), strict=True))


def batched(samples: list[Any]) -> Any:
    """Joins the predictions of all samples: stacks tensors of equal shape, also inside mappings and tuples."""
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


def described(predictions: Any) -> str:
    """Types and shapes of predictions in words, such as "float32 (97, 1, 28, 28)"."""
    if isinstance(predictions, Tensor):
        return f"{str(predictions.dtype).removeprefix('torch.')} {tuple(predictions.shape)}"
    if isinstance(predictions, dict):
        return ", ".join(f"{name} {described(value)}" for name, value in predictions.items())
    if isinstance(predictions, tuple):
        return ", ".join(described(value) for value in predictions)
    return f"a list of {len(predictions)}"
