"""Metrics and prediction files do not depend on the number of processes, for any number of samples."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from datamodules import DataModule, TensorTable
from datamodules.spec import TaskName
from lit_models import LitMLP, LitTask
from lit_models.runs.predictions import PredictionWriter
from lit_models.testing.examples import quiet_trainer

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


def trainer_of(processes: int, **settings: Any) -> L.Trainer:
    several: dict[str, Any] = {"strategy": "ddp_fork"} if processes > 1 else {}
    return quiet_trainer(
        devices=processes,
        **several | settings,
    )


def predicted(task: TaskName, num_samples: int, processes: int, folder: Path) -> bytes:
    """The file of predictions."""
    writer = PredictionWriter(folder, "csv")
    trainer_of(processes, callbacks=[writer]).predict(
        model_of(task), datamodule=Samples(num_samples, task), return_predictions=False
    )
    (file,) = folder.glob("predictions.csv")
    content = file.read_bytes()
    file.unlink()
    return content


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_processes_write_the_same_bytes(task: TaskName, processes: int, tmp_path: Path) -> None:
    for num_samples in (1, 2, 11, 97):
        alone = predicted(task, num_samples, 1, tmp_path)
        assert len(alone.splitlines()) == num_samples + 1
        assert predicted(task, num_samples, processes, tmp_path) == alone, num_samples


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_processes_measure_the_same(task: TaskName, processes: int) -> None:
    for num_samples in (1, 2, 11, 97):
        data = Samples(num_samples, task)
        ((alone),) = trainer_of(1).test(model_of(task), datamodule=data, verbose=False)
        ((several),) = trainer_of(processes).test(model_of(task), datamodule=data, verbose=False)
        if task == "classification":
            assert several == alone, num_samples
        assert several["test/loss"] == alone["test/loss"], num_samples
        assert several == pytest.approx(alone, rel=1e-15), num_samples  # scores in float64, summed in another order
