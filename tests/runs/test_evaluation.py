"""Metrics and prediction files do not depend on the number of processes, for any number of samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules import DataModule, TensorTable
from datamodules.spec import TaskName
from lit_models import LitMLP, LitTask
from lit_models.runs.predictions import Output, PredictionWriter
from lit_models.testing.examples import quiet_trainer
from tests.programs import Programs, forked

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Total length of `.*` across ranks is zero"),  # no sample
    pytest.mark.filterwarnings("ignore:Couldn't infer the batch indices"),  # the writer asks the sampler
    pytest.mark.filterwarnings("ignore:It is recommended to use .self.log.*sync_dist=True"),
]


class Samples(DataModule):
    """Samples of three numbers, in batches of eight."""

    kind = "features"

    def __init__(self, num_samples: int, task: TaskName) -> None:
        super().__init__(batch_size=8)
        self.num_samples, self.task = num_samples, task

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.num_samples, 3, generator=generator)
        target = torch.randint(3, (self.num_samples,), generator=generator)
        if self.task == "multilabel":
            target = torch.nn.functional.one_hot(target, 3).float()
        if self.task == "regression":
            target = torch.randn(self.num_samples, 2, generator=generator)
        self.test_table = self.predict_table = TensorTable(inputs, target)


def model_of(task: TaskName) -> LitTask:
    torch.manual_seed(0)
    sizes: Any = {"num_targets": 2} if task == "regression" else {"num_classes": 3}
    return LitMLP(task=task, num_features=3, hidden_sizes=[64, 64], **sizes)


class Largest(PredictionWriter):
    """Counts the batches in memory."""

    largest = 0

    def write_on_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.largest = max(self.largest, len(self.parts) + 1)
        super().write_on_batch_end(*args, **kwargs)


def predicted(task: TaskName, num_samples: int, processes: int, folder: Path) -> bytes:
    """The file of predictions."""
    file = folder / "predictions.csv"
    trainer = quiet_trainer(callbacks=[PredictionWriter(Output(file), lambda: folder)], **forked(processes))
    trainer.predict(model_of(task), datamodule=Samples(num_samples, task), return_predictions=False)
    content = file.read_bytes()
    file.unlink()
    return content


def measured(task: TaskName, num_samples: int, processes: int) -> Mapping[str, float]:
    """The metrics of the test split."""
    trainer = quiet_trainer(**forked(processes))
    (metrics,) = trainer.test(model_of(task), datamodule=Samples(num_samples, task), verbose=False)
    return metrics


NUMBERS_OF_SAMPLES = (1, 2, 11, 97)


def all_predicted(task: TaskName, processes: int, folder: Path) -> list[bytes]:
    return [predicted(task, num_samples, processes, folder) for num_samples in NUMBERS_OF_SAMPLES]


def all_measured(task: TaskName, processes: int) -> list[Mapping[str, float]]:
    return [measured(task, num_samples, processes) for num_samples in NUMBERS_OF_SAMPLES]


def test_rows_are_written_before_the_last_batch_is_predicted(tmp_path: Path) -> None:
    """1,000 samples in batches of eight are 125 batches, two pools of 50 and a half."""
    writer = Largest(Output(tmp_path / "p.csv"), lambda: tmp_path)
    trainer = quiet_trainer(callbacks=[writer], **forked(1))
    trainer.predict(model_of("classification"), datamodule=Samples(1000, "classification"), return_predictions=False)
    assert (tmp_path / "p.csv").read_bytes().count(b"\n") == 1001
    assert writer.largest == 50


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_write_many_rows_in_order(processes: int, tmp_path: Path, programs: Programs) -> None:
    alone = predicted("classification", 1000, 1, tmp_path)
    assert alone.count(b"\n") == 1001
    several = programs.call(predicted, "classification", 1000, processes, tmp_path, folder=tmp_path)
    assert several == alone


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_processes_write_the_same_bytes(task: TaskName, processes: int, tmp_path: Path, programs: Programs) -> None:
    alone = all_predicted(task, 1, tmp_path)
    assert [len(content.splitlines()) - 1 for content in alone] == list(NUMBERS_OF_SAMPLES)
    assert programs.call(all_predicted, task, processes, tmp_path, folder=tmp_path) == alone


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_processes_measure_the_same(task: TaskName, processes: int, tmp_path: Path, programs: Programs) -> None:
    several = programs.call(all_measured, task, processes, folder=tmp_path)
    for num_samples, metrics in zip(NUMBERS_OF_SAMPLES, several, strict=True):
        alone = measured(task, num_samples, 1)
        if task == "classification":
            assert metrics == alone, num_samples
        assert metrics["test/loss"] == alone["test/loss"], num_samples
        assert metrics == pytest.approx(alone, rel=1e-15), num_samples  # scores in float64, summed in another order
