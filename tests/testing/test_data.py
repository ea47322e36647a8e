"""check_data: every data module passes on small data, and for each rule a class that breaks it is found."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import datamodules
from datamodules import DATA, DataModule, DataSpec, TensorTable, UserError
from datamodules.base import Batch, GlobalBatchSampler
from datamodules.spec import Kind, TaskName
from lit_models.testing import DATA_CHECKS, PREDICT_CHECKS, ContractError, check_data
from lit_models.testing.data import DataCase, predictions_have_names

SPLITS = ("train", "val", "test", "predict")


def small(name: str, folder: Path) -> list[dict[str, Any]]:
    """Settings of small data, from the test file of the data module; files that they need are written to `folder`."""
    package, _, module = DATA[name].rpartition(".")
    settings: list[dict[str, Any]] = import_module(f"tests.{package}.test_{module}").small(folder)
    return settings


class Points(DataModule):
    """Keeps the contract; each class below breaks one rule of it."""

    kind: ClassVar[Kind] = "features"
    task: ClassVar[TaskName] = "classification"

    def __init__(self, *, num_samples: int = 10, batch_size: int = 4, seed: int = 0) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        self.num_samples = num_samples

    def spec(self) -> DataSpec:
        return DataSpec(num_features=3, num_classes=2)

    def setup(self, stage: str) -> None:
        self.train_table = self.val_table = self.test_table = self.predict_table = self.table()

    def table(self) -> Any:
        return TensorTable(self.inputs_of(self.num_samples), self.target_of(self.num_samples))

    def inputs_of(self, size: int) -> Any:
        return torch.arange(size * 3).reshape(size, 3) / 10

    def target_of(self, size: int) -> Tensor:
        return torch.arange(size) % 2


class Labels(Points):
    """Unknown labels in the split for prediction, as the contract allows."""

    def spec(self) -> DataSpec:
        return DataSpec(task="multilabel", num_features=3, num_classes=2, class_names=["a", "b"])

    def target_of(self, size: int) -> Tensor:
        return (torch.arange(size * 2).reshape(size, 2) % 3 == 0).float()

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.predict_table = TensorTable(self.inputs_of(3), torch.full((3, 2), torch.nan))


class Numbers(Points):
    """Two numbers, and inputs that are mappings."""

    def spec(self) -> DataSpec:
        return DataSpec(task="regression", num_targets=2)

    def inputs_of(self, size: int) -> Any:
        return {"left": torch.rand(size, 2, generator=torch.Generator().manual_seed(self.seed))}

    def target_of(self, size: int) -> Tensor:
        return torch.arange(size * 2).reshape(size, 2) / 7


class HasAnotherKind(Points):
    kind: ClassVar[Any] = "sounds"


class HasADictAsSpec(Points):
    def spec(self) -> Any:
        return {"num_classes": 2}


class ChangesItsSpec(Points):
    def spec(self) -> DataSpec:
        return DataSpec(num_classes=2 if self.train_table is None else 3)


class NamesTooManyClasses(Points):
    def spec(self) -> DataSpec:
        return DataSpec(num_classes=2, class_names=["a", "b", "c"])


class Table(TensorTable):
    """A table whose batches are changed by `change`."""

    def __init__(self, change: Callable[[Any, Tensor, Tensor], Any]) -> None:
        good = Points()
        super().__init__(good.inputs_of(10), good.target_of(10))
        self.change = change

    def __getitem__(self, indices: Tensor, /) -> Batch:
        changed: Batch = self.change(*super().__getitem__(indices), indices)
        return changed


class HasNoTarget(Points):
    def table(self) -> Table:
        return Table(lambda inputs, target, indices: inputs)


class HasATargetOfAnotherType(Points):
    def table(self) -> Table:
        return Table(lambda inputs, target, indices: (inputs, target.int()))


class LosesATarget(Points):
    def table(self) -> Table:
        return Table(lambda inputs, target, indices: (inputs, target[1:]))


class HasIntegers(Points):
    def table(self) -> Table:
        return Table(lambda inputs, target, indices: (inputs.long(), target))


class HasBytes(Points):
    kind: ClassVar[Kind] = "images"

    def inputs_of(self, size: int) -> Tensor:
        return torch.full((size, 1, 2, 2), 255.0)


class HasNoSample(Points):
    def table(self) -> TensorTable:
        return TensorTable(torch.empty(0, 3))


class HasAnotherSize(Points):
    def spec(self) -> DataSpec:
        return DataSpec(num_features=4, num_classes=2)


class HasMoreClasses(Points):
    def target_of(self, size: int) -> Tensor:
        return torch.arange(size) % 3


class HasLongerTexts(Points):
    kind: ClassVar[Kind] = "tokens"

    def spec(self) -> DataSpec:
        return DataSpec(num_classes=2, vocab_size=9, max_length=2)

    def inputs_of(self, size: int) -> Tensor:
        return torch.ones(size, 3, dtype=torch.int64)


class WithSampler(Points):
    """Points in an order that `reorder` makes of the batches of indices of one process."""

    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        return batches

    def _loader(self, *args: Any, **kwargs: Any) -> DataLoader[Batch]:
        loader = super()._loader(*args, **kwargs)
        sampler = loader.sampler
        assert isinstance(sampler, GlobalBatchSampler)
        of_rank = sampler.batches_of

        def batches_of(rank: int) -> Iterator[Tensor]:
            return iter(self.reorder(list(of_rank(rank)), sampler))

        sampler.batches_of = batches_of  # type: ignore[method-assign]
        return loader


class DropsTheLastBatch(WithSampler):
    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        return batches[:-1]


class RepeatsASample(WithSampler):
    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        return [torch.zeros_like(batch) for batch in batches]


class HasNoise(Points):
    def table(self) -> Table:
        generator = torch.Generator()
        generator.seed()
        return Table(lambda inputs, target, i: (inputs + torch.rand(inputs.shape, generator=generator), target))


class StopsEarly(WithSampler):
    """Has a step less in epoch 1 of a data module that read an epoch before."""

    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        self.read = getattr(self, "read", 0) + 1
        return batches[:-1] if sampler.epoch and self.read > 1 else batches


class GivesAllToEach(WithSampler):
    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        return list(sampler.global_batches())


class LosesEmptySlices(WithSampler):
    def reorder(self, batches: list[Tensor], sampler: GlobalBatchSampler) -> list[Tensor]:
        return [batch for batch in batches if len(batch)]


class LoadsItself(Points):
    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(self.inputs_of(10), self.target_of(10)), batch_size=4)


class DrawsFromTorch(Points):
    def setup(self, stage: str) -> None:
        torch.rand(1)
        super().setup(stage)


class DrawsFromNumpy(Points):
    def setup(self, stage: str) -> None:
        np.random.rand()
        super().setup(stage)


class HasALambda(Points):
    def table(self) -> Table:
        return Table(lambda inputs, target, indices: (inputs, target))


class ForgettingTable(TensorTable):
    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"inputs": torch.zeros_like(self.inputs)}


class ForgetsItsInputs(Points):
    def table(self) -> TensorTable:
        return ForgettingTable(self.inputs_of(10), self.target_of(10))


class NamesTooFew(Points):
    def predict_names(self) -> list[str]:
        return ["a", "b"]


class NamesByNumbers(Points):
    def predict_names(self) -> Any:
        return range(self.num_samples)


BROKEN: list[tuple[type[DataModule], str, str]] = [
    (
        HasAnotherKind,
        "the_kind_is_known",
        "the_kind_is_known: kind is 'sounds': expected one of features, images, tokens",
    ),
    (
        HasADictAsSpec,
        "the_spec_is_the_same_twice",
        "the_spec_is_the_same_twice: spec() returns a dict: return a datamodules.DataSpec",
    ),
    (
        ChangesItsSpec,
        "the_spec_is_the_same_twice",
        f"the_spec_is_the_same_twice: spec() changes: {DataSpec(num_classes=2)} before setup and "
        f"{DataSpec(num_classes=3)} after it",
    ),
    (
        NamesTooManyClasses,
        "the_spec_is_the_same_twice",
        "the_spec_is_the_same_twice: spec(): 3 names for 2 outputs of classification: ['a', 'b', 'c']",
    ),
    (
        HasNoSample,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [val]: the loader yields no batch",
    ),
    (
        HasNoTarget,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [train]: a batch is a Tensor: expected (inputs, target), the target a tensor",
    ),
    (
        HasATargetOfAnotherType,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [train]: the target is torch.int32: classes are int64, labels and numbers "
        "are floating-point",
    ),
    (
        LosesATarget,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [train]: a batch has 4 inputs and 3 targets",
    ),
    (
        HasIntegers,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [train]: inputs are torch.int64 (4, 3), and features are float (B, F)",
    ),
    (
        HasBytes,
        "batches_have_the_documented_form",
        "batches_have_the_documented_form [train]: pixels are not from 0 to 1: scale them in the table",
    ),
    (
        HasAnotherSize,
        "the_spec_agrees_with_the_batches",
        "the_spec_agrees_with_the_batches [train]: spec() and a batch disagree: the data give float32 (B, 3), and the "
        "model expects 4 numbers a sample: set --model.num_features 3",
    ),
    (
        HasMoreClasses,
        "the_spec_agrees_with_the_batches",
        "the_spec_agrees_with_the_batches [train]: spec() and a batch disagree: the data's target is class 2, and the "
        "model has the classes 0 to 1: set --model.num_classes 3 or more",
    ),
    (
        HasLongerTexts,
        "the_spec_agrees_with_the_batches",
        "the_spec_agrees_with_the_batches [train]: a text has 3 tokens, and spec() says at most 2",
    ),
    (
        DropsTheLastBatch,
        "an_epoch_has_each_sample_once",
        "an_epoch_has_each_sample_once [train]: an epoch has 8 samples of 10: keep the last batch, and repeat no "
        "sample",
    ),
    (
        RepeatsASample,
        "an_epoch_has_each_sample_once",
        "an_epoch_has_each_sample_once [train]: an epoch repeats some samples and leaves out others",
    ),
    (
        HasNoise,
        "the_order_depends_on_seed_and_epoch_alone",
        "the_order_depends_on_seed_and_epoch_alone [train]: two data modules give different batches in epoch 1: draw "
        "all random numbers from seed and epoch",
    ),
    (
        StopsEarly,
        "the_order_depends_on_seed_and_epoch_alone",
        "the_order_depends_on_seed_and_epoch_alone [train]: two data modules give different batches in epoch 1",
    ),
    (
        GivesAllToEach,
        "processes_share_the_same_batches",
        "processes_share_the_same_batches [train]: step 0 with 2 processes has other samples than with one process",
    ),
    (
        LosesEmptySlices,
        "processes_share_the_same_batches",
        "processes_share_the_same_batches [train]: 3 processes have [3, 3, 2] steps: expected 3 each",
    ),
    (
        LoadsItself,
        "processes_share_the_same_batches",
        "processes_share_the_same_batches [train]: the sampler is a SequentialSampler: fill tables in setup, and leave "
        "the loaders to DataModule",
    ),
    (
        DrawsFromTorch,
        "the_global_generators_are_left_alone",
        "the_global_generators_are_left_alone [train]: reading draws from a global generator: use "
        "torch.Generator().manual_seed(self.seed)",
    ),
    (
        DrawsFromNumpy,
        "the_global_generators_are_left_alone",
        "the_global_generators_are_left_alone [train]: reading draws from a global generator",
    ),
    (HasALambda, "tables_pickle_for_workers", "tables_pickle_for_workers [train]: "),
    (
        ForgetsItsInputs,
        "tables_pickle_for_workers",
        "tables_pickle_for_workers [train]: a pickled copy of the dataset gives different samples: pickle everything "
        "that they depend on",
    ),
    (
        NamesTooFew,
        "predictions_have_names",
        "predictions_have_names [predict]: predict_names() has 2 names for 10 samples: expected a string for each",
    ),
    (
        NamesByNumbers,
        "predictions_have_names",
        "predictions_have_names [predict]: predict_names() has 10 names for 10 samples: expected a string for each",
    ),
]


@pytest.mark.parametrize("name", DATA)
def test_our_data_keep_the_contract(tmp_path: Path, name: str) -> None:
    for settings in small(name, tmp_path):
        report = check_data(getattr(datamodules, name), settings=settings)
        splits = [split for split in SPLITS if split not in report.skipped]
        wanted = [check.__name__ for check in DATA_CHECKS]
        wanted += [f"{check.__name__} [{split}]" for split in splits for check in PREDICT_CHECKS[:-1]]
        wanted += [f"{PREDICT_CHECKS[-1].__name__} [predict]"] * ("predict" in splits)
        assert report.passed == wanted
        assert "train" in splits
        assert report.skipped.keys() <= {"val", "test", "predict"}  # a split that is not there


@pytest.mark.parametrize("data", [Points, Labels, Numbers])
def test_small_data_of_each_task_keep_the_contract(data: type[DataModule]) -> None:
    report = check_data(data)
    assert len(report.passed) == len(DATA_CHECKS) + 4 * (len(PREDICT_CHECKS) - 1) + 1
    assert not report.skipped


@pytest.mark.parametrize(("data", "check", "message"), BROKEN, ids=lambda x: getattr(x, "__name__", None))
def test_a_broken_rule_is_found_by_its_check(data: type[DataModule], check: str, message: str) -> None:
    settings = {"num_samples": 10} if data is not LosesEmptySlices else {"num_samples": 10, "batch_size": 4}
    with pytest.raises(ContractError) as caught:
        check_data(data, settings=settings)
    assert caught.value.check == check
    assert str(caught.value).startswith(f"{data.__name__}: {message}")


def test_each_check_can_fail() -> None:
    assert {check for _, check, _ in BROKEN} == {check.__name__ for check in (*DATA_CHECKS, *PREDICT_CHECKS)}


@pytest.mark.parametrize("check", [*DATA_CHECKS, *PREDICT_CHECKS], ids=lambda check: check.__name__)
def test_each_check_says_what_it_asks(check: Callable[..., None]) -> None:
    assert check.__doc__


def test_errors_of_the_constructor_and_of_training_data_are_raised_as_they_are() -> None:
    with pytest.raises(UserError, match=r"^batch_size must be at least 1, got 0$"):
        check_data(Points, settings={"batch_size": 0})
    with pytest.raises(UserError, match=r"^the words are unknown: give --data\.train_file"):
        check_data(datamodules.TextDataModule, settings={"class_names": ["a", "b"], "test_file": "missing.csv"})


class Plain(L.LightningDataModule):
    """A data module that knows nothing of this package."""

    def __init__(self, drop_last: bool = False) -> None:
        super().__init__()
        self.drop_last = drop_last

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = TensorDataset(torch.rand(5, 3), torch.arange(5))
        return DataLoader(dataset, batch_size=2, shuffle=True, drop_last=self.drop_last)

    def test_dataloader(self) -> list[int]:
        return [1, 2]


def test_data_that_are_not_ours_are_checked_as_far_as_they_can_be() -> None:
    report = check_data(Plain)
    assert report.passed == [
        "batches_have_the_documented_form [train]",
        "an_epoch_has_each_sample_once [train]",
        "tables_pickle_for_workers [train]",
    ]
    assert report.skipped["the_kind_is_known"] == "the class has no kind"
    assert report.skipped["the_spec_is_the_same_twice"] == "the class has no spec"
    assert report.skipped["processes_share_the_same_batches [train]"] == "the class is not a datamodules.DataModule"
    assert report.skipped["test"] == "the loader is not a DataLoader"
    assert "predict" in report.skipped
    with pytest.raises(ContractError, match=r"_once \[train\]: an epoch has 4 samples of 5: "):
        check_data(Plain, settings={"drop_last": True})


class InputsAlone(Points):
    """Its loader for prediction gives tensors without targets."""

    def predict_dataloader(self) -> Any:
        return DataLoader(self.inputs_of(self.num_samples), batch_size=4)

    def predict_names(self) -> list[str]:
        return [f"row {i}" for i in range(self.num_samples)]


def test_names_are_counted_for_a_loader_of_inputs_alone() -> None:
    predictions_have_names(DataCase(InputsAlone, {}, split="predict"))
    with pytest.raises(ContractError, match=r"10 names for 9 samples"):
        predictions_have_names(DataCase(TooManyNames, {}, split="predict"))


class TooManyNames(InputsAlone):
    def predict_dataloader(self) -> Any:
        return DataLoader(self.inputs_of(self.num_samples - 1), batch_size=4)
