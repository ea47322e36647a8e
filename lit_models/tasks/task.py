"""LitTask: the training, evaluation and prediction steps that every network here shares."""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from datamodules.errors import UserError
from datamodules.seeds import seed_from
from datamodules.spec import TaskName
from lit_models.kernels.dropout import RepeatableDraws, Rows, drawn_for
from lit_models.tasks.batches import TargetCheck, check_batch, num_samples, parts_of
from lit_models.tasks.metrics import SplitMetrics
from lit_models.tasks.optim import OptimizerName, ScheduleName, build_optimizer, build_schedule, check_settings
from lit_models.tasks.settings import joined_signature, split_settings
from lit_models.tasks.targets import TARGETS, LossName, Target
from lit_models.tasks.windows import Windows

Inputs = Tensor | Mapping[str, Tensor]
Batch = tuple[Inputs, Tensor]
BAD_BATCH = (IndexError, RuntimeError, ValueError)
"""What torch raises about a batch that it cannot compute. Only the first batch of a split is checked before."""


class LitTask(L.LightningModule):
    """Trains a network on classes, labels or numbers, and measures it.

    There are two ways to write a subclass. `class LitMine(LitTask, network=Mine, lr=0.01)` takes the settings of the
    network `Mine` and those of LitTask, and builds `Mine` with `num_outputs`. Or the subclass has a constructor, which
    calls `super().__init__(…)` and sets `self.network`, a network with `self.target.num_outputs` outputs.

    Each sample has the same weight in the loss of an epoch, for any sizes of batches and any number of processes. The
    same holds for an optimizer step: `accumulate_grad_batches` batches have the gradient of one large batch.

    The random numbers of a training step, such as dropout, depend on the seed, the epoch, the batch and a sample's
    place in it. They do not depend on the number of processes or on earlier random numbers. A checkpoint keeps the
    seed.

    Args:
        task: the kind of target: a class, a set of labels ("multilabel"), or numbers ("regression"); set by the data.
        num_classes: number of classes, at least 2, or of labels, at least 1; set by the data. 2 if not set.
        class_names: one name per class or label, for predictions; set by the data.
        num_targets: numbers in one target of a regression, at least 1; set by the data.
        target_names: one name per number, for predictions; set by the data.
        loss: "cross_entropy" or "half_squared_error" for classes, "cross_entropy" for labels, "squared_error",
            "absolute_error" or "huber" for numbers; the first one of these if not set.
        metrics: torchmetrics' metrics to log in addition to loss and accuracy (or mean absolute error), such as "f1",
            "auroc", "f1_macro", "recall_per_class", or "rmse", "r2" for numbers.
        optimizer: name of the optimizer.
        lr: learning rate, above 0.
        weight_decay: each step subtracts this fraction of each weight, times `lr`; 0 or more; for "adamw" and "sgd".
        schedule: "constant", or "linear" or "cosine" decay of the learning rate to 0 at the last step.
        warmup: fraction of all steps over which the learning rate rises from 0; 0 or more and below 1.

    Raises:
        UserError: a value out of its range, or settings that do not fit together.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images", "tokens"})
    """Kinds of data that the network can read."""
    network: nn.Module

    def __init_subclass__(cls, *, network: type[nn.Module] | None = None, **defaults: Any) -> None:
        super().__init_subclass__()
        if network is None:
            return
        signature = joined_signature(LitTask.__init__, network, defaults)

        def build(self: LitTask, **given: Any) -> None:
            arguments = signature.bind(self, **given)
            arguments.apply_defaults()
            given = {name: value for name, value in arguments.arguments.items() if name != "self"}
            settings = cls.resolve(deepcopy(given))  # no model shares a default list with another
            of_network, of_task = split_settings(settings, network)
            LitTask.__init__(self, **of_task)
            self.network = network(num_outputs=self.num_outputs, **of_network)
            self.save_hyperparameters(of_network)
            self.on_network_built()

        build.__name__, build.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
        build.__signature__ = signature  # type: ignore[attr-defined]
        build.__doc__ = network.__doc__  # documents the network's settings for the help screen
        cls.__init__ = build  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        task: TaskName = "classification",
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        num_targets: int = 1,
        target_names: list[str] | None = None,
        loss: LossName | None = None,
        metrics: list[str] = [],  # noqa: B006  (read, never changed)
        optimizer: OptimizerName = "keras_adam",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: ScheduleName = "constant",
        warmup: float = 0.0,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(unknown)}")
        check_settings(optimizer, lr=lr, weight_decay=weight_decay)
        if not 0 <= warmup < 1:
            raise UserError(f"warmup is a fraction of all steps, from 0 to below 1, got {warmup}")
        num_classes = 2 if num_classes is None else num_classes
        metrics = list(metrics)  # no model shares the default list with another
        size, names = (num_targets, target_names) if task == "regression" else (num_classes, class_names)
        self.target: Target = TARGETS[task](size, names, loss=loss)
        self.save_hyperparameters()
        self.train_metrics = SplitMetrics(self.target, metrics)
        self.val_metrics = SplitMetrics(self.target, metrics)
        self.test_metrics = SplitMetrics(self.target, metrics)
        self._targets = TargetCheck(self.target)
        self._seed: int | None = None
        self._windows: Windows | None = None
        self._rows = Rows(1)

    @classmethod
    def resolve(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings after those that follow from others are filled in. Override this if a model has such
        settings."""
        return settings

    def on_network_built(self) -> None:
        """Called at the end of a constructor that builds its network."""

    @property
    def num_outputs(self) -> int:
        """Outputs that the network needs."""
        return self.target.num_outputs

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets plain values that change in each step without nn.Module's checks. Lightning sets the name of the running
        hook about 40 times a step."""
        if name in ("_current_fx_name", "_rows"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """The metric that determines the best epoch, and whether lower or higher is better."""
        return self.target.monitor

    @property
    def untrained(self) -> str | None:
        """Name of the part with random weights, which make predictions meaningless without a checkpoint; None if none
        is."""
        return type(self).__name__

    def logged_names(self) -> list[str] | None:
        """Names of the metrics that a training logs; None if a subclass has steps or hooks of its own, which may log
        others."""
        own = [name for cls in type(self).__mro__ for name in vars(cls) if not issubclass(LitTask, cls)]
        if any(name.endswith("_step") or name.startswith("on_") for name in own if name != "on_network_built"):
            return None
        return [f"{split}/{name}" for split in ("train", "val") for name in self.train_metrics.names]

    def forward(self, inputs: Inputs) -> Tensor:
        """The network's outputs, `(B, num_outputs)`."""
        return cast(Tensor, self.network(inputs))

    def predictions(self, outputs: Tensor) -> Tensor:
        """Probabilities of the classes or labels, or the numbers of a regression, from the network's outputs."""
        return self.target.predictions(outputs)

    def on_fit_start(self) -> None:
        """Forgets the batches of an earlier fit."""
        self._windows = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        target, windows, trainer = parts_of(batch)[1], self._current_windows(), self.trainer
        size = self._global_batch_size(target, batch_idx)
        seed = seed_from(self._common_seed(), windows.epoch, batch_idx)
        self._rows = rows = Rows(size, trainer.global_rank, trainer.world_size)
        if not len(target):  # no sample of a short last batch is left for this process, so its gradients are zero
            return cast(Tensor, sum(p.sum() * 0 for p in self.parameters() if p.requires_grad))
        with RepeatableDraws(seed, self.device, rows):
            loss = self._measure("train", batch, batch_idx)
        weight = 1 if self.target.sums_over_batch else windows.share(batch_idx, size) / size
        # Lightning divides the loss by the batches of a window, and processes average their gradients.
        factor = weight * rows.num_replicas * windows.length
        return loss if factor == 1 else loss * factor

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self._rows.num_replicas == 1:
            super().backward(loss, *args, **kwargs)
            return
        with drawn_for(self._rows):
            super().backward(loss, *args, **kwargs)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("val", batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("test", batch, batch_idx)

    def predict_step(self, batch: Batch | Inputs, batch_idx: int) -> Tensor:
        """Predictions, `(B, columns)`; see `predictions`."""
        inputs = batch[0] if not isinstance(batch, Tensor | Mapping) else batch
        if batch_idx == 0:
            self._check(inputs)
        try:
            return self.predictions(self._outputs(inputs))
        except BAD_BATCH:
            self._check(inputs)
            raise

    def on_train_epoch_end(self) -> None:
        """Logs the epoch.

        Raises:
            UserError: the loss of the epoch is not finite; a run that diverged must not end as a success.
        """
        if (
            not self.train_metrics.update_called
        ):  # no batch was trained, for example with --trainer.limit_train_batches 0
            return
        loss = self._log_epoch("train")
        if not math.isfinite(loss):
            lr = self.hparams["lr"]
            raise UserError(f"train/loss is {loss} in epoch {self.current_epoch + 1}: try a lower lr than {lr}")

    def on_validation_epoch_end(self) -> None:
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        self._log_epoch("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks the remaining targets, and saves the seed."""
        self._targets.look()
        if self._seed is not None:
            checkpoint["draws_seed"] = self._seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the precision of the checkpoint's weights, such as XOR's float64, so that no bit is lost. In a Trainer
        of another precision, the Trainer decides."""
        self._seed = checkpoint.get("draws_seed")
        dtypes = (w.dtype for w in checkpoint["state_dict"].values() if w.is_floating_point())
        dtype = next(dtypes, torch.get_default_dtype())
        if not self._attached() or (dtype == torch.float64 and self.trainer.precision == "64-true"):
            self.to(dtype)

    def _common_seed(self) -> int:
        """The seed for the random numbers of training steps: that of the checkpoint from which training continues, or
        otherwise the seed with which the processes were started."""
        if self._seed is None:
            self._seed = int(self.trainer.strategy.broadcast(torch.initial_seed()))
        return self._seed

    def _current_windows(self) -> Windows:
        """The batches of this epoch."""
        if self._windows is None or self._windows.epoch != self.trainer.current_epoch:
            self._windows = Windows(self.trainer)
        return self._windows

    def _attached(self) -> bool:
        """Whether a Trainer runs this module."""
        try:
            return bool(self.trainer)
        except RuntimeError:  # Lightning raises this without a Trainer
            return False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        p = self.hparams
        weights = [w for w in self.parameters() if w.requires_grad]
        optimizer = build_optimizer(p["optimizer"], weights, lr=p["lr"], weight_decay=p["weight_decay"])
        if p["schedule"] == "constant" and not p["warmup"]:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise UserError("schedule and warmup need a last step: set trainer.max_epochs or trainer.max_steps")
        schedule = build_schedule(p["schedule"], optimizer, steps=int(steps), warmup=p["warmup"])
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]  # type: ignore[return-value]

    def _measure(self, split: str, batch: Batch, batch_idx: int) -> Tensor:
        """Adds the batch to the metrics of the split. Returns the sum of the samples' losses."""
        inputs, target = parts_of(batch)
        if batch_idx == 0:
            self._check(inputs, target)
        try:
            outputs = self._outputs(inputs)
            loss = self.target.sample_losses(outputs, target).sum()
            cast(SplitMetrics, getattr(self, f"{split}_metrics")).add(loss, outputs, target)
        except BAD_BATCH:
            self._check(inputs, target)
            raise
        self._targets.add(split, batch_idx, target)
        return loss

    def _check(self, inputs: Inputs, target: Tensor | None = None) -> None:
        dtype = next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)
        check_batch(self.hparams, self.target, inputs, target, dtype=dtype)

    def _outputs(self, inputs: Inputs) -> Tensor:
        """The network's outputs; empty in a process that has no sample of the split."""
        if not num_samples(inputs):
            return next(self.parameters()).new_zeros(0, self.num_outputs)
        return cast(Tensor, self(inputs))

    def _log_epoch(self, split: str) -> float:
        self._targets.look()
        metrics = cast(SplitMetrics, getattr(self, f"{split}_metrics"))
        values = metrics.compute()
        metrics.reset()
        # The values are equal in all processes; Lightning asks for a reduction, also for one process with the strategy
        # ddp. The mean of equal numbers can be another number, and their maximum cannot.
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()}, sync_dist=several, reduce_fx="max")
        return float(values["loss"])

    def _global_batch_size(self, target: Tensor, batch_idx: int) -> int:
        """Samples of this step over all processes."""
        if self.trainer.world_size == 1:
            return len(target)
        if (known := self._current_windows().batch_size(batch_idx)) is not None:
            return known
        count = torch.tensor(len(target), device=self.device)
        return int(self.trainer.strategy.reduce(count, reduce_op="sum"))


class LitClassifier(LitTask):
    """A LitTask whose targets are classes: a base class for your own classifiers."""

    def __init__(self, *, num_classes: int, **kwargs: Any) -> None:
        super().__init__(task="classification", num_classes=num_classes, **kwargs)
        del self.hparams["task"]  # a checkpoint passes all hyper-parameters to this constructor
