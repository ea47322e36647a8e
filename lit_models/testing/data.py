"""The contract of data: one function for each rule that `check_data` checks."""

import pickle
from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.base import DataModule, GlobalBatchSampler
from datamodules.errors import UserError
from datamodules.spec import DataSpec, HasKind, HasPredictNames, HasSpec, Kind
from lit_models.tasks.batches import check_batch
from lit_models.tasks.targets import TARGETS
from lit_models.testing.examples import count
from lit_models.testing.report import ContractError, Report, SkipCheckError, generator_states, same_conditions

Split = Literal["train", "val", "test", "predict"]
FORMS: dict[Kind, tuple[str, int, bool]] = {
    "features": ("float (B, F)", 2, True),
    "images": ("float (B, C, H, W)", 4, True),
    "tokens": ("int64 (B, T)", 2, False),
}
STAGES: dict[Split, str] = {"train": "fit", "val": "validate", "test": "test", "predict": "predict"}


@dataclass(frozen=True)
class DataCase:
    """A data module's class with its settings, and one split.

    Args:
        data: the class.
        settings: arguments of its constructor.
        split: the split to check.
    """

    data: type[L.LightningDataModule]
    settings: Mapping[str, Any]
    split: Split = "train"

    @property
    def kind(self) -> Kind | None:
        """The type of one sample; None if the class does not define it."""
        data: type = self.data
        return data.kind if isinstance(data, HasKind) else None

    def build(self) -> L.LightningDataModule:
        """A new data module, not set up."""
        return self.data(**self.settings)

    def ready(self, *, rank: int = 0, processes: int = 1) -> L.LightningDataModule:
        """A new data module, set up for the split in process `rank` of several."""
        data = self.build()
        data.prepare_data()
        data.setup(STAGES[self.split])
        if processes > 1:  # the loaders read only these two numbers
            data.trainer = cast(L.Trainer, SimpleNamespace(global_rank=rank, world_size=processes))
        return data

    def loader(self, *, rank: int = 0, processes: int = 1) -> DataLoader[Any]:
        """The split's loader; the first one if there are several."""
        returned = getattr(self.ready(rank=rank, processes=processes), f"{self.split}_dataloader")()
        loaders = returned if isinstance(returned, list | tuple) else [returned]
        if not loaders:
            raise SkipCheckError("there is no such split")
        if not isinstance(loaders[0], DataLoader):
            raise SkipCheckError("the loader is not a DataLoader")
        return loaders[0]

    def require_data_module(self) -> None:
        """Skips a check that other classes than DataModule do not have to pass."""
        if not issubclass(self.data, DataModule):
            raise SkipCheckError("the class is not a datamodules.DataModule")

    def first_batch(self) -> tuple[Any, Tensor]:
        """The split's first batch."""
        batch = next(iter(self.loader()), None)
        if batch is None:
            raise ContractError("the loader yields no batch")
        if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
            return batch[0], batch[1]
        if self.kind is not None:
            raise ContractError(f"a batch is a {type(batch).__name__}: expected (inputs, target), the target a tensor")
        raise SkipCheckError(f"a batch is a {type(batch).__name__}, not (inputs, target)")


def the_kind_is_known(case: DataCase) -> None:
    """`kind`, a ClassVar, is "features", "images" or "tokens"."""
    if case.kind is None:
        raise SkipCheckError("the class has no kind")
    if case.kind not in get_args(Kind):
        raise ContractError(f"kind is {case.kind!r}: expected one of {', '.join(get_args(Kind))}")


def the_spec_is_the_same_twice(case: DataCase) -> None:
    """`spec()` returns an equal DataSpec each time, before `setup` too, with one name for each class or number."""
    specs = [read_spec(case.build()), read_spec(case.ready())]
    if specs[0] != specs[1]:
        raise ContractError(f"spec() changes: {specs[0]} before setup and {specs[1]} after it")
    make_target(specs[0])


def read_spec(data: L.LightningDataModule) -> DataSpec:
    """The sizes that `spec()` returns."""
    if not isinstance(data, HasSpec):
        raise SkipCheckError("the class has no spec")
    spec: Any = data.spec()
    if not isinstance(spec, DataSpec):
        raise ContractError(f"spec() returns a {type(spec).__name__}: return a datamodules.DataSpec")
    return spec


def make_target(spec: DataSpec) -> Any:
    """The kind of target that the spec describes; None if the number of classes is unknown."""
    numbers = spec.task == "regression"
    size, names = (spec.num_targets or 1, spec.target_names) if numbers else (spec.num_classes, spec.class_names)
    if size is None:
        return None
    try:
        return TARGETS[spec.task](size, names)
    except UserError as error:
        raise ContractError(f"spec(): {error}") from error


def batches_have_the_documented_form(case: DataCase) -> None:
    """A batch is `(inputs, target)`. Features are float `(B, F)`, images float `(B, C, H, W)` in 0 to 1, tokens int64
    `(B, T)`. The target is int64 `(B,)`, or float `(B, L)` or `(B, D)`."""
    inputs, target = case.first_batch()
    if target.dtype != torch.int64 and not target.is_floating_point():
        raise ContractError(f"the target is {target.dtype}: classes are int64, labels and numbers are floating-point")
    if case.kind is None or not isinstance(inputs, Tensor):  # only the data and the network know the form of a mapping
        return
    if len(inputs) != len(target):
        raise ContractError(f"a batch has {len(inputs)} inputs and {len(target)} targets")
    form, ndim, floating = FORMS[case.kind]
    if inputs.ndim != ndim or not (inputs.is_floating_point() if floating else inputs.dtype == torch.int64):
        raise ContractError(f"inputs are {inputs.dtype} {tuple(inputs.shape)}, and {case.kind} are {form}")
    if case.kind == "images" and not 0 <= float(inputs.min()) <= float(inputs.max()) <= 1:
        raise ContractError("pixels are not from 0 to 1: scale them in the table")


def the_spec_agrees_with_the_batches(case: DataCase) -> None:
    """The sizes of `spec()` are those of a real batch: features, pixels, token ids, text length, classes."""
    data = case.ready()
    spec = read_spec(data)
    inputs, target = case.first_batch()
    form = make_target(spec)
    if case.split == "predict":  # unknown targets are -1 or NaN
        target = target.nan_to_num(0.0) if target.is_floating_point() else target.clamp(min=0)
    try:
        if form is not None:
            check_batch(spec.for_model(), form, inputs, target)
    except UserError as error:
        raise ContractError(f"spec() and a batch disagree: {error}") from error
    if spec.max_length and spec.vocab_size and inputs.shape[1] > spec.max_length:
        raise ContractError(f"a text has {inputs.shape[1]} tokens, and spec() says at most {spec.max_length}")


def an_epoch_has_each_sample_once(case: DataCase) -> None:
    """An epoch contains each sample of the split exactly once, in a last short batch too."""
    loader = case.loader()
    if not isinstance(loader.dataset, Sized):
        raise SkipCheckError("the dataset has no length")
    samples = sum(count(batch[0] if isinstance(batch, tuple | list) else batch) for batch in loader)
    expected = len(loader.dataset)
    if samples != expected:
        raise ContractError(f"an epoch has {samples} samples of {expected}: keep the last batch, and repeat no sample")
    if isinstance(loader.sampler, GlobalBatchSampler):
        indices = torch.cat(list(loader.sampler)).sort().values
        if not torch.equal(indices, torch.arange(expected)):
            raise ContractError("an epoch repeats some samples and leaves out others")


def the_order_depends_on_seed_and_epoch_alone(case: DataCase) -> None:
    """Two data modules with the same settings give the same batches in an epoch, whatever was drawn or read before."""
    case.require_data_module()
    first = case.loader()
    read_epoch(first, 0)
    earlier = read_epoch(first, 1)
    torch.default_generator.manual_seed(1)
    later = read_epoch(case.loader(), 1)
    if len(earlier) != len(later) or not all(map(same, earlier, later)):
        raise ContractError(
            "two data modules give different batches in epoch 1: draw all random numbers from seed and epoch"
        )


def read_epoch(loader: DataLoader[Any], epoch: int) -> list[Any]:
    """The batches of an epoch."""
    if isinstance(loader.sampler, DistributedSampler):
        loader.sampler.set_epoch(epoch)
    return list(loader)


def same(ours: Any, theirs: Any) -> bool:
    """Whether two batches are equal, bit for bit."""
    try:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    except AssertionError:
        return False
    return True


def processes_share_the_same_batches(case: DataCase) -> None:
    """With 2 and 3 processes, the parts of each training step add up to the batch of a single process, and all
    processes have the same number of steps. In evaluation, one of the processes gets the whole batch."""
    case.require_data_module()
    alone = list(indices_of(case.loader()))
    for processes in (2, 3):
        samplers = [indices_of(case.loader(rank=rank, processes=processes)) for rank in range(processes)]
        parts = [list(sampler.batches_of(rank)) for rank, sampler in enumerate(samplers)]
        if case.split == "train" and {len(part) for part in parts} != {len(alone)}:
            steps = [len(part) for part in parts]
            raise ContractError(f"{processes} processes have {steps} steps: expected {len(alone)} each")
        for step, batch in enumerate(alone):
            own = (
                [part[step] for part in parts]
                if case.split == "train"
                else [parts[step % processes][step // processes]]
            )
            together = torch.cat(own)
            if not torch.equal(together.sort().values, batch.sort().values):
                raise ContractError(f"step {step} with {processes} processes has other samples than with one process")


def indices_of(loader: DataLoader[Any]) -> GlobalBatchSampler:
    """The sampler, which yields the indices of the batches."""
    if not isinstance(loader.sampler, GlobalBatchSampler):
        sampler = type(loader.sampler).__name__
        raise ContractError(f"the sampler is a {sampler}: fill tables in setup, and leave the loaders to DataModule")
    return loader.sampler


def the_global_generators_are_left_alone(case: DataCase) -> None:
    """Building, setting up and reading draw no number from the global generators of Python, numpy and torch."""
    case.require_data_module()
    before = generator_states()
    list(case.loader())
    if generator_states() != before:
        raise ContractError("reading draws from a global generator: use torch.Generator().manual_seed(self.seed)")


def tables_pickle_for_workers(case: DataCase) -> None:
    """The dataset of a loader can be sent to a worker process, and gives the same samples there."""
    loader = case.loader()
    copy = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301  (its own bytes)
    indices = next(iter(loader.sampler))
    if isinstance(loader.sampler, GlobalBatchSampler) and not same(copy[indices], loader.dataset[indices]):
        raise ContractError(
            "a pickled copy of the dataset gives different samples: pickle everything that they depend on"
        )


def predictions_have_names(case: DataCase) -> None:
    """`predict_names` has one string for each sample of the loader for prediction, in its order."""
    data = case.ready()
    if not isinstance(data, HasPredictNames):
        raise SkipCheckError("the class has no predict_names")
    names = data.predict_names()
    samples = sum(count(batch[0] if isinstance(batch, tuple | list) else batch) for batch in data.predict_dataloader())
    if len(names) != samples or not all(isinstance(name, str) for name in names):
        raise ContractError(f"predict_names() has {len(names)} names for {samples} samples: expected a string for each")


DATA_CHECKS = (the_kind_is_known, the_spec_is_the_same_twice)
SPLIT_CHECKS = (
    batches_have_the_documented_form,
    the_spec_agrees_with_the_batches,
    an_epoch_has_each_sample_once,
    the_order_depends_on_seed_and_epoch_alone,
    processes_share_the_same_batches,
    the_global_generators_are_left_alone,
    tables_pickle_for_workers,
)
PREDICT_CHECKS = (*SPLIT_CHECKS, predictions_have_names)


def check_data(data: type[L.LightningDataModule], *, settings: Mapping[str, Any] | None = None) -> Report:
    """Checks that a data module keeps the contract that the data modules of this package keep.

    It reads whole epochs, so choose settings for small data.

    Args:
        data: a subclass of DataModule, or any LightningDataModule, for which only the checks that apply run.
        settings: arguments of the constructor.

    Returns:
        the checks that passed and those that do not apply, such as those of a missing split.

    Raises:
        ContractError: a check failed.
        UserError: there is nothing to train on. Errors of the constructor and of `setup` are raised as they are.
    """
    report = Report(data.__name__)
    case = DataCase(data, settings or {})
    with same_conditions():
        case.ready()
    report.run(DATA_CHECKS, case)
    for split in STAGES:
        case = replace(case, split=split)
        try:
            with same_conditions():
                case.loader()
        except SkipCheckError as reason:
            report.skipped[split] = str(reason)
        except (UserError, MisconfigurationException) as error:
            if split == "train":
                raise
            report.skipped[split] = str(error)
        else:
            report.run(PREDICT_CHECKS if split == "predict" else SPLIT_CHECKS, case, part=split)
    return report
