"""Writes `metrics.csv`, based on Lightning's CSVLogger. A resumed run continues the file after the row of its
checkpoint."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from datamodules.errors import UserError
from lit_models.runs.durable import flush_to_disk, replaced


class MetricsFile(CSVLogger):
    """Writes `metrics.csv` into a run folder.

    Args:
        folder: the run folder.
        continues: whether the run is resumed in this folder.
    """

    def __init__(self, folder: Path, *, continues: bool = False) -> None:
        super().__init__(folder.parent.parent, name=folder.parent.name, version=folder.name)
        self.folder, self.continues = folder, continues

    @property
    @rank_zero_experiment
    def experiment(self) -> "MetricsWriter":
        """The writer of the file."""
        if self._experiment is None:
            self._experiment = MetricsWriter(self.folder, continues=self.continues)
        assert isinstance(self._experiment, MetricsWriter)
        return self._experiment


class MetricsWriter(ExperimentWriter):
    """Adds rows to `metrics.csv`. If there are new columns, the whole file is replaced atomically.

    Args:
        folder: the run folder.
        continues: add to the existing rows.
    """

    def __init__(self, folder: Path, *, continues: bool) -> None:
        self.path, self.continues = folder / self.NAME_METRICS_FILE, continues
        super().__init__(log_dir=str(folder))
        before = self._read() if continues and self.path.exists() else []
        self.rows = len(before)
        """Rows of the file."""
        self.metrics_keys = list(before[0]) if before else []

    def _check_log_dir_exists(self) -> None:
        """Removes the file of a run that starts again, and keeps that of a run that is resumed."""
        if not self.continues:
            self.path.unlink(missing_ok=True)

    def save(self) -> None:
        self.rows += len(self.metrics)
        super().save()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self._replace(self._read()[: self.rows], fieldnames)

    def position(self) -> dict[str, Any]:
        """The number of rows and the columns that are written. Flushes the file to the disk."""
        self.save()
        if self.path.exists():
            flush_to_disk(self.path)
        return {"rows": self.rows, "columns": list(self.metrics_keys)}

    def go_back(self, position: dict[str, Any]) -> None:
        """Removes the rows and columns that were written after a checkpoint was saved.

        Raises:
            UserError: the file has fewer rows than the checkpoint says.
        """
        self.rows, self.metrics_keys = position["rows"], list(position["columns"])
        rows = self._read() if self.path.exists() else []
        if len(rows) < self.rows:
            raise UserError(f"{self.path} has {len(rows)} rows, and the checkpoint was saved after {self.rows}")
        if self.rows:
            self._replace(rows[: self.rows], self.metrics_keys)
        else:
            self.path.unlink(missing_ok=True)

    def _read(self) -> list[dict[str, str]]:
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _replace(self, rows: list[dict[str, str]], columns: list[str]) -> None:
        with replaced(self.path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
