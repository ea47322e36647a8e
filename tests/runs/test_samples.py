"""The samples that a report is made of: exact, the same with any number of processes, and without an effect on the
run."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from datamodules import DataModule, TensorTable
from datamodules.spec import TaskName
from lit_models import LitMLP, LitTask
from lit_models.report import evaluation as files
from lit_models.report.evaluation import read_evaluation, write_evaluation
from lit_models.runs import samples
from lit_models.runs.loaders import prepare_loaders
from lit_models.runs.resume import random_state
from lit_models.runs.samples import EvaluatedSamples, Stages, next_stage
from lit_models.testing.examples import quiet_trainer
from tests.programs import Programs, forked

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:It is recommended to use .self.log.*sync_dist=True"),
]


class Points(DataModule):
    """Samples with two numbers, in batches of eight."""

    kind = "features"

    def __init__(self, task: TaskName = "classification", num_samples: int = 53) -> None:
        super().__init__(batch_size=8)
        self.task, self.num_samples = task, num_samples

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.num_samples, 2, generator=generator)
        target = torch.randint(3, (self.num_samples,), generator=generator)
        if self.task == "multilabel":
            target = torch.nn.functional.one_hot(target, 3).float()
        if self.task == "regression":
            target = torch.randn(self.num_samples, 1, generator=generator)
        self.train_table = self.val_table = self.test_table = TensorTable(inputs, target)


class ByLength(TensorTable):
    """Samples whose order in an evaluation is not that of the table."""

    @property
    def lengths(self) -> Tensor:
        return torch.arange(len(self)) % 7


class Sorted(Points):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        assert isinstance(self.test_table, TensorTable)
        self.test_table = ByLength(self.test_table.inputs, self.test_table.target)


class Loaders(L.LightningDataModule):
    """The same samples by a plain DataLoader."""

    def __init__(self, *, shuffle: bool = False) -> None:
        super().__init__()
        self.shuffle = shuffle

    def test_dataloader(self) -> Any:
        points = Points()
        points.setup("test")
        assert isinstance(points.test_table, TensorTable)
        return DataLoader(TensorDataset(points.test_table.inputs, points.test_table.target), 8, shuffle=self.shuffle)


class Written(EvaluatedSamples):
    """Writes the samples to a file at the end of the test, as the first of several processes is not this one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_test_end(trainer, pl_module)
        if self.evaluation is not None:
            write_evaluation(self.evaluation, self.path)


def model_of(task: TaskName = "classification") -> LitTask:
    torch.manual_seed(0)
    sizes: Any = {"num_targets": 1} if task == "regression" else {"num_classes": 3}
    return LitMLP(task=task, num_features=2, hidden_sizes=[16], lr=0.01, **sizes)


def samples_of_a_test(
    data: L.LightningDataModule, path: Path, processes: int = 1, task: TaskName = "classification"
) -> bytes:
    """The file of the samples of a test."""
    trainer = quiet_trainer(callbacks=[Written(path)], **forked(processes))
    prepare_loaders(trainer)
    trainer.test(model_of(task), datamodule=data, verbose=False)
    return path.read_bytes()


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_the_samples_are_those_of_the_split_in_order(task: TaskName, tmp_path: Path) -> None:
    data, path = Points(task), tmp_path / "e.npz"
    samples_of_a_test(data, path, task=task)
    evaluation, table = read_evaluation(path), data.test_table
    assert isinstance(table, TensorTable)
    with torch.no_grad():
        module = model_of(task).eval()
        expected = module.predictions(module(table.inputs))
    np.testing.assert_allclose(evaluation.predictions, expected.numpy(), atol=1e-6)  # batches of another size
    np.testing.assert_array_equal(evaluation.targets, table.target.numpy())
    assert evaluation.indices.tolist() == list(range(53))
    assert (evaluation.total, evaluation.split, evaluation.task) == (53, "test", task)
    assert len(evaluation.mistakes) == 12
    first = evaluation.mistakes[0]
    assert first.words == tuple(f"{x:.4g}" for x in table.inputs[first.index].tolist())


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_keep_the_same_bytes(processes: int, tmp_path: Path, programs: Programs) -> None:
    path = tmp_path / "e.npz"

    def in_several(data: L.LightningDataModule) -> bytes:
        content: bytes = programs.call(samples_of_a_test, data, path, processes, folder=tmp_path)
        return content

    alone = samples_of_a_test(Sorted(), path)
    assert read_evaluation(path).indices.tolist() == list(range(53))
    assert in_several(Sorted()) == alone
    plain = samples_of_a_test(Loaders(), path)
    assert read_evaluation(path).targets.tolist() == read_back(alone, tmp_path).targets.tolist()
    assert np.array_equal(read_back(in_several(Loaders()), tmp_path).indices, np.arange(53))
    assert read_back(plain, tmp_path).mistakes == read_back(alone, tmp_path).mistakes


def read_back(content: bytes, folder: Path) -> files.Evaluation:
    (folder / "back.npz").write_bytes(content)
    return read_evaluation(folder / "back.npz")


@pytest.mark.filterwarnings("ignore:Your `test_dataloader`'s sampler has shuffling enabled")
def test_a_shuffled_loader_has_numbers_and_no_mistakes(tmp_path: Path) -> None:
    samples_of_a_test(Loaders(shuffle=True), tmp_path / "e.npz")
    evaluation = read_evaluation(tmp_path / "e.npz")
    assert len(evaluation.targets) == 53
    assert evaluation.mistakes == ()
    assert evaluation.notes == ("The loader does not say which sample is which, so no mistakes are shown.",)


def first_samples_of_a_test(path: Path, processes: int) -> bytes:
    """The file with the first 20 samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "most_samples", lambda columns: 20)
        return samples_of_a_test(Sorted(), path, processes)


def test_a_large_split_is_cut_and_counted(tmp_path: Path, programs: Programs) -> None:
    one = first_samples_of_a_test(tmp_path / "e.npz", 1)
    evaluation = read_evaluation(tmp_path / "e.npz")
    assert (evaluation.indices.tolist(), evaluation.total) == (list(range(20)), 53)
    assert programs.call(first_samples_of_a_test, tmp_path / "e.npz", 2, folder=tmp_path) == one


def trained(*callbacks: Any) -> tuple[LitTask, dict[str, Any]]:
    """A short training with a validation in each epoch, and a test."""
    module = model_of()
    trainer = quiet_trainer(callbacks=list(callbacks), max_epochs=2, limit_val_batches=3)
    trainer.fit(module, datamodule=Points())
    trainer.test(module, datamodule=Points(), verbose=False)
    return module, random_state()


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_collecting_changes_no_weight_and_no_random_number() -> None:
    collected = EvaluatedSamples()
    (with_samples, state), (without, other) = trained(collected, collected.stages), trained()
    for name, weight in without.state_dict().items():
        assert torch.equal(with_samples.state_dict()[name], weight), name
    assert torch.equal(state["torch"], other["torch"])
    assert torch.equal(state["numpy"]["key"], other["numpy"]["key"])
    assert with_samples.test_metrics.listeners == []
    assert collected.evaluation is not None
    surface = collected.evaluation.surface
    assert surface is not None
    assert surface.steps.tolist() == [0, 1, 3, 10, 14]  # two epochs of seven batches
    assert surface.values.shape == (5, 61, 61, 3)


def test_stages_are_powers_of_the_square_root_of_ten() -> None:
    steps = [0]
    while steps[-1] < 10_000:
        steps.append(next_stage(steps[-1]))
    assert steps == [0, 1, 3, 10, 32, 100, 316, 1000, 3162, 10_000]


def test_stages_survive_a_checkpoint() -> None:
    stages, again = Stages(), Stages()
    stages.steps, stages.weights = [0, 1], [{"w": torch.zeros(1)}, {"w": torch.ones(1)}]
    again.load_state_dict(stages.state_dict())
    assert again.kept() == stages.kept()
    assert Stages().state_dict() == {}


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_an_evaluation_before_the_last_step_says_at_which_step_it_was() -> None:
    collected, model = EvaluatedSamples(), model_of()
    trainer = quiet_trainer(max_epochs=3, check_val_every_n_epoch=2, callbacks=[collected])
    trainer.fit(model, datamodule=Points())  # seven batches in an epoch
    collected.finish(trainer, model)
    assert collected.evaluation is not None
    assert collected.evaluation.step == 14
    assert "The training went on to step 21 after this evaluation at step 14." in collected.evaluation.notes
