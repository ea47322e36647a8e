"""Examples for the checks of a model: a small module, a batch that fits it, and a short training run."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isqrt
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.spec import Kind
from lit_models.tasks.targets import Classification, MultiLabel
from lit_models.tasks.task import LitTask
from lit_models.testing.report import ContractError, SkipCheckError

BATCH, STEPS = 4, 4


@dataclass(frozen=True)
class ModelCase:
    """A model's class with its settings and one kind of inputs.

    Args:
        model: the class.
        settings: arguments of its constructor.
        kind: kind of the inputs to make; None if `batch` is given or no batch can be made.
        batch: a batch for `training_step`.
    """

    model: type[L.LightningModule]
    settings: Mapping[str, Any]
    kind: Kind | None = None
    batch: Any = None

    def build(self, *, seed: int = 0) -> L.LightningModule:
        """A new module; the same seed gives the same weights."""
        torch.default_generator.manual_seed(seed)
        return self.model(**self.settings)

    def sizes(self, module: L.LightningModule) -> dict[str, Any]:
        """The settings of a module, with the defaults."""
        return constructor_settings(self.model) | dict(module.hparams)

    def task(self) -> LitTask:
        """A new module, for checks that only a LitTask can pass."""
        module = self.build()
        if not isinstance(module, LitTask):
            raise SkipCheckError("the class is not a LitTask")
        return module

    def batch_for(self, module: L.LightningModule) -> Any:
        """The given batch, or a random one of `BATCH` samples that fits the module's settings."""
        if self.batch is not None:
            return self.batch
        if self.kind is None or not isinstance(module, LitTask):
            raise SkipCheckError("it needs a batch: check_model(…, batch=…), as training_step takes it")
        return make_inputs(self.kind, self.sizes(module)), make_target(module)

    def inputs_for(self, module: L.LightningModule) -> Any:
        """The inputs of the batch, as `forward` takes them."""
        batch = self.batch_for(module)
        return batch[0] if isinstance(batch, tuple | list) else batch


@dataclass
class Training(L.Callback):
    """A short fit, and the gradients that the optimizers saw in it.

    Args:
        module: the module that is trained.
        moved: names of the parameters that had a gradient other than 0.

    Raises:
        ContractError: a gradient is not finite.
    """

    module: L.LightningModule
    moved: set[str] = field(default_factory=set)
    trainer: L.Trainer | None = None

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        for name, weight in pl_module.named_parameters():
            if weight.grad is not None and not weight.grad.isfinite().all():
                raise ContractError(f"the gradient of {name} is NaN or infinite")
            if weight.grad is not None and weight.grad.any():
                self.moved.add(name)


def train(case: ModelCase) -> Training:
    """Trains a new module for `STEPS` steps on one batch."""
    training = Training(case.build())
    batches: Any = [case.batch_for(training.module)] * STEPS
    with TemporaryDirectory() as folder, quiet_lightning():
        training.trainer = quiet_trainer(
            max_epochs=1, limit_val_batches=0, default_root_dir=folder, callbacks=[training]
        )
        training.trainer.fit(training.module, DataLoader(batches, batch_size=None))
    return training


def quiet_trainer(**settings: Any) -> L.Trainer:
    """A Trainer on the CPU that writes no files and shows nothing, unless `settings` say otherwise."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**quiet | settings)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides Lightning's notes on the accelerator."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def constructor_settings(model: type[L.LightningModule]) -> dict[str, Any]:
    """The settings that the constructor takes, with their defaults; `**kwargs` adds those of the base class."""
    settings: dict[str, Any] = {}
    for cls in model.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        own = {p.name: p.default for p in parameters if p.name != "self" and p.kind not in variadic}
        settings = own | settings
        if cls is LitTask or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return settings


def make_inputs(kind: Kind, sizes: Mapping[str, Any]) -> Tensor:
    """Random inputs of one kind for a model of these sizes. The first two rows of tokens are padded."""
    generator = torch.Generator().manual_seed(1)
    if kind == "tokens" and "vocab_size" in sizes:
        padding, length = sizes.get("padding_id", 0), min(sizes.get("max_length") or 8, 8)
        ids = torch.tensor([i for i in range(sizes["vocab_size"]) if i != padding])
        tokens = ids[torch.randint(len(ids), (BATCH, length), generator=generator)]  # (B, T)
        for row in (0, 1):
            tokens[row, length - row - 1 :] = padding
        return tokens
    if kind == "images" and {"num_channels", "image_size"} <= sizes.keys():
        size = sizes["image_size"]
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return torch.rand(BATCH, sizes["num_channels"], height, width, generator=generator)
    if kind != "tokens" and "num_features" in sizes:
        numbers = torch.rand(BATCH, sizes["num_features"], generator=generator)
        side = isqrt(numbers.shape[1])
        shape = (1, side, side) if side * side == numbers.shape[1] else (numbers.shape[1], 1, 1)
        return numbers if kind == "features" else numbers.reshape(BATCH, *shape)
    raise SkipCheckError(f"its settings do not say the size of {kind}: it needs a batch, check_model(…, batch=…)")


def make_target(module: LitTask) -> Tensor:
    """A random target for the module's task."""
    generator, size = torch.Generator().manual_seed(2), len(module.target.names)
    if isinstance(module.target, Classification):
        return torch.randint(size, (BATCH,), generator=generator)
    if isinstance(module.target, MultiLabel):
        return torch.randint(2, (BATCH, size), generator=generator).float()
    return torch.randn(BATCH, size, generator=generator)


def rows(inputs: Any, start: int, stop: int) -> Any:
    """Some samples of a batch's inputs."""
    return {k: v[start:stop] for k, v in inputs.items()} if isinstance(inputs, Mapping) else inputs[start:stop]


def count(inputs: Any) -> int:
    """The number of samples in a batch's inputs."""
    return len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)


@torch.no_grad()
def outputs_of(module: L.LightningModule, inputs: Any) -> Tensor:
    """The outputs in evaluation mode. The `forward` of a module that is not ours may take something else."""
    try:
        outputs = module.eval()(inputs)
    except NotImplementedError:
        raise SkipCheckError("the class has no forward") from None
    except Exception as error:
        if isinstance(module, LitTask):
            raise
        raise SkipCheckError(f"forward does not take the inputs of the batch: {type(error).__name__}") from error
    if not isinstance(outputs, Tensor):
        raise SkipCheckError("forward does not return one tensor")
    return outputs
