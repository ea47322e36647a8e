"""The report of a run: which files it has, what it reads from the run folder, and the page at the end of a command.

A report never costs a run: if it fails, one line says so, and `report RUN` makes it again.
"""

import csv
import json
import math
import os
import re
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

from datamodules.errors import MissingFileError, UserError
from datamodules.spec import HasValidation
from lit_models.report.charts import Line
from lit_models.report.evaluation import read_evaluation, write_evaluation
from lit_models.report.record import Curves, Record
from lit_models.runs.durable import replaced
from lit_models.runs.folder import newest_config
from lit_models.runs.logged import split_of
from lit_models.runs.next_steps import command_line
from lit_models.runs.progress import say, warn
from lit_models.runs.samples import EvaluatedSamples, first_line
from lit_models.runs.stopping import Stopped
from lit_models.tasks.task import LitTask

ReportKind = Literal["html", "none"]
SOURCE = "import-keras.json"
"""What `import-keras` writes into the folder of a run."""
VARIABLE = "LIT_MODELS_REPORT"
"""The environment variable with the kind of report, if no flag and no config sets it."""
PAGE, SAMPLES = "report.html", "evaluation.npz"
NUMBERED = re.compile(r"(results|test)(?:_(\d+))?\.json")
ORDER = ("train", "val", "", "test")
"""Splits in the order of their lines."""
LARGEST = 1e30
"""The largest number in a chart."""
MOST_BYTES = 2**28
"""Size of a text file that is read."""


def kind_of(setting: ReportKind | None) -> ReportKind:
    """The kind of report: the setting, or the environment variable, or "html".

    Raises:
        UserError: the variable has another value.
    """
    value = setting or os.environ.get(VARIABLE) or "html"
    if value not in ("html", "none"):
        raise UserError(f"{VARIABLE} must be html or none, got {value!r}")
    return "none" if value == "none" else "html"


class Reporter:
    """The report of one run.

    Args:
        command: "fit" or "test".
    """

    def __init__(self, command: str) -> None:
        self.command, self.samples = command, EvaluatedSamples()
        self.start = time.perf_counter()

    def callbacks(self, module: L.LightningModule) -> list[Callback]:
        """The callbacks that collect what it needs."""
        surface = isinstance(module, LitTask) and module.hparams.get("num_features") == 2
        return [self.samples, *([self.samples.stages] if surface and self.command == "fit" else [])]

    def take_validation(
        self, trainer: L.Trainer, module: L.LightningModule, data: L.LightningDataModule | None, *, resumed: bool
    ) -> None:
        """Takes the samples of the last validation, because nothing was tested.

        A run that was resumed after its last step has not validated in this process. It validates again, without
        loggers and other callbacks.
        """
        loops, part = cast(Any, trainer), cast(object, data)
        has_part = is_overridden("val_dataloader", data or module)
        if isinstance(part, HasValidation):
            has_part = part.has_validation
        missing = self.samples.loader is None and isinstance(module, LitTask) and loops.limit_val_batches
        if resumed and missing and has_part:
            loops.loggers, loops.callbacks = [], [self.samples]
            try:
                loops.validate(module, datamodule=data, verbose=False)
            except Exception as error:
                if isinstance(error, Stopped):
                    raise
                warn(f"the report has no samples: {first_line(error)}")
                return
        self.samples.finish(trainer, module)

    def save_samples(self, folder: Path, content: dict[str, Any]) -> None:
        """Writes the evaluated samples, and adds the names of the report's files to the results.

        Args:
            folder: the run folder.
            content: the results, before they are written.
        """
        self.start = time.perf_counter()
        page, samples = free_names(folder)
        content["report"] = page
        if self.samples.evaluation is None:
            return
        try:
            with replaced(folder / samples) as part:
                write_evaluation(self.samples.evaluation, part)
        except (UserError, OSError, ValueError, MemoryError) as error:
            warn(f"the report has no samples: {first_line(error)}")
        else:
            content["evaluation"] = samples

    def write_missing(self, folder: Path) -> None:
        """Writes the page of a finished run whose process ended after its results and before its page."""
        results = [path for path in results_files(folder) if path.name.startswith("results")][-1:]
        content = read_json(results[0]) if results else {}
        if "report" in content and not (folder / page_name(content)).exists():
            self.start = time.perf_counter()
            self.write(results[0], read_config(folder))

    def write(self, results: Path, config: str) -> None:
        """Writes the page, and prints where it is. An error is one line, because the run is already complete.

        Args:
            results: the file of results.
            config: the config of the run, YAML.
        """
        folder = results.parent
        try:
            path = write_report(folder, results=results, config=config, start=self.start)
        except Exception as error:
            again = command_line("report", str(folder))
            warn(f"no report: {type(error).__name__}: {first_line(error)}; make it with: {again}")
        else:
            say(f"report in {path}")


def free_names(folder: Path) -> tuple[str, str]:
    """Names for a page and its samples: `report.html` and `evaluation.npz`, or with the next free number. Files of an
    attempt that was stopped before it had results are replaced."""
    used: set[str] = set()
    for path in results_files(folder):
        with suppress(UserError):  # a damaged file of an earlier command does not end this one
            used |= {str(read_json(path).get(key)) for key in ("report", "evaluation")}
    number = 1
    while True:
        suffix = "" if number == 1 else f"_{number}"
        names = tuple(f"{Path(name).stem}{suffix}{Path(name).suffix}" for name in (PAGE, SAMPLES))
        if not used & {*names} and all(not (folder / name).exists() or is_ours(folder / name) for name in names):
            return names[0], names[1]
        number += 1


def is_ours(path: Path) -> bool:
    """Whether this program wrote a page or a file of samples."""
    from lit_models.report.page import GENERATOR

    with suppress(OSError, zipfile.BadZipFile):
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return "about.npy" in archive.namelist()
        with path.open("rb") as file:
            return f'<meta name="generator" content="{GENERATOR}">'.encode() in file.read(500)
    return False


def results_files(folder: Path) -> list[Path]:
    """The files of results in a run folder: those of `test`, and then those of `fit`, the newest last."""
    numbers = {path: match for path in folder.glob("*.json") if (match := NUMBERED.fullmatch(path.name))}
    return sorted(numbers, key=lambda path: (numbers[path][1] == "results", int(numbers[path][2] or 1)))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not a JSON text") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it is not a JSON object")
    return content


def read_text(path: Path) -> str:
    """The text of a file in a run folder.

    Raises:
        UserError: it is not a file, or it is too large.
    """
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is not a file of at most {MOST_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8", errors="replace")


def write_report(
    folder: Path,
    *,
    results: Path | None = None,
    config: str | None = None,
    output: Path | None = None,
    start: float | None = None,
) -> Path:
    """Writes the page of one run; returns its path.

    Args:
        folder: the run folder.
        results: the file of results; the newest of `fit` if not given, or that of `test` if there is none.
        config: the config, YAML; that of the run folder if not given.
        output: where the page is written; where the results say if not given.
        start: `time.perf_counter()` when the work began.

    Raises:
        MissingFileError: no such run folder.
        UserError: a file is damaged or cannot be written.
    """
    from lit_models.report.page import page

    start = time.perf_counter() if start is None else start
    record = read_record(folder, results=results, config=config)
    path = output or folder / page_name(record.results)
    text = page(record, start=start)
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def page_name(results: Mapping[str, Any]) -> str:
    """The name of the page of some results; a damaged name is not followed out of the folder."""
    name = results.get("report")
    return name if isinstance(name, str) and re.fullmatch(r"report(_\d+)?\.html", name) else PAGE


def read_record(folder: Path, *, results: Path | None = None, config: str | None = None) -> Record:
    """What a run folder has: config, results, curves and samples. A part that is missing or damaged is a note.

    Args:
        folder: the run folder.
        results: the file of results; the newest of `fit` if not given, or that of `test` if there is none.
        config: the config, YAML; that of the run folder if not given.

    Raises:
        MissingFileError: the folder does not exist, or is not a run folder.
        UserError: the results are damaged.
    """
    if not folder.is_dir():
        raise MissingFileError(f"no run folder {folder}: name one such as runs/digits_cnn/version_0")
    files = [results] if results is not None else results_files(folder)[-1:]
    if not files and not newest_config(folder).is_file():
        raise MissingFileError(f"{folder} is not a run folder: it has no config.yaml and no results.json")
    imported = folder / SOURCE
    if not files and imported.is_file():
        files = [imported]
    content = read_json(files[0]) if files else {}
    record = Record(name=str(folder), config=config or read_config(folder), results=content)
    notes = [] if files else ["The run is not finished, so it has no results yet."]
    if files:
        record = replace(record, finished=f"{datetime.fromtimestamp(files[0].stat().st_mtime):%Y-%m-%d %H:%M:%S}")
    try:
        record = replace(record, curves=read_curves(folder / "metrics.csv"))
    except UserError as error:
        notes.append(str(error))
    name = content.get("evaluation")
    if isinstance(name, str) and re.fullmatch(r"evaluation(_\d+)?\.npz", name):
        try:
            record = replace(record, evaluation=read_evaluation(folder / name))
        except UserError as error:
            notes.append(str(error))
    elif files == [imported]:
        record = replace(record, layers=compared_layers(content))
    elif files:
        notes.append("The run kept no evaluated samples, so the page has no charts of classes or errors.")
    return replace(record, notes=tuple(notes))


def compared_layers(content: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The rows of the comparison with Keras; empty if there are none, or if they are damaged."""
    rows, types = content.get("layers"), {"name": str, "kind": str, "shape": list, "parameters": int}
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ()
    whole = all(isinstance(row.get(name), kind) for row in rows for name, kind in types.items())
    return tuple(rows) if whole else ()


def read_config(folder: Path) -> str:
    """The newest config of a run folder; empty if there is none."""
    path = newest_config(folder)
    return read_text(path) if path.is_file() else ""


def read_curves(path: Path) -> tuple[Curves, ...]:
    """The metrics in a `metrics.csv`, one chart per metric with a line per split; empty without the file.

    Raises:
        UserError: the file is not a table of numbers.
    """
    if not path.is_file():
        return ()
    columns: dict[str, list[tuple[float, float, float]]] = {}
    try:
        for row in csv.DictReader(read_text(path).splitlines(), strict=True):
            epoch, step = (_drawable(float(row.get(name) or "nan")) for name in ("epoch", "step"))
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    columns.setdefault(name, []).append((epoch, step, _drawable(float(value))))
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged: it is not a table of numbers") from error
    return grouped(columns)


def _drawable(number: float) -> float:
    """A number that a chart can show; NaN and infinity are left out of it later.

    Raises:
        ValueError: the number is finite, and too large.
    """
    if LARGEST < abs(number) < math.inf:
        raise ValueError(f"{number} is too large for a chart")
    return number


def grouped(columns: Mapping[str, Iterable[tuple[float, float, float]]]) -> tuple[Curves, ...]:
    """Columns of epoch, step and value, as one chart per metric. A metric is drawn over the epochs if it has at most
    one value per epoch, otherwise over the steps. The test has one value, and is not drawn."""
    charts: dict[tuple[str, str], list[Line]] = {}
    for name in sorted(columns, key=lambda name: ORDER.index(split_of(name)[0])):
        split, metric = split_of(name)
        finite = [row for row in columns[name] if math.isfinite(row[2])]
        if split == "test" or not finite:
            continue
        epochs = [epoch for epoch, _, _ in finite]
        by_epoch = len(set(epochs)) == len(epochs) and not any(map(math.isnan, epochs))
        x = [epoch + 1 if by_epoch else step for epoch, step, _ in finite]
        key = (metric, "epoch" if by_epoch else "step")
        charts.setdefault(key, []).append((split or metric, x, [value for _, _, value in finite]))
    return tuple(Curves(metric, tuple(lines), label) for (metric, label), lines in charts.items())


def compare_runs(folders: Sequence[Path], output: Path, *, start: float | None = None) -> Path:
    """Writes the page that compares runs; returns its path.

    Args:
        folders: the run folders; the first one is the baseline.
        output: where the page is written.
        start: `time.perf_counter()` when the work began.

    Raises:
        MissingFileError: one of the folders is not a run folder.
        UserError: a file is damaged or cannot be written.
    """
    from lit_models.report.comparison import comparison

    text = comparison([read_record(folder) for folder in folders], start=start)
    with replaced(output) as part:
        part.write_text(text, encoding="utf-8")
    return output
