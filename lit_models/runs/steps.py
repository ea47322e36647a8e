"""Training steps the short way: Lightning's loop, without its calls that do nothing.

Lightning calls each hook of each callback and of the module in each step, most of which are empty, and asks each time
for settings that do not change within an epoch. Here, the hooks that a callback or the module has are found once an
epoch. They are called in Lightning's order and with Lightning's arguments, so that the numbers are the same.

A run that needs more (several processes, 16-bit loss scaling, manual optimization, a profiler, hooks that replace the
step) uses Lightning's own steps.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.optimization.automatic import Closure, ClosureResult
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.optim import Optimizer

from lit_models.runs.progress import NOTHING, NoProfiler

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Hooks of a step; Lightning calls those of the callbacks, then the module's."""
REPLACING = ("on_train_batch_start", "optimizer_step", "optimizer_zero_grad")
"""Hooks by which a module can skip or replace a part of the step."""
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def is_own(hook: str, owner: object, base: type) -> bool:
    """Whether `owner` has a hook of its own, and not the empty one of `base`."""
    found = getattr(owner, hook)
    return getattr(found, "__func__", found) is not getattr(base, hook)


class TrainingLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with short steps where they suffice.

    Args:
        trainer: that trains.
        min_steps: as in Lightning.
        max_steps: as in Lightning.
    """

    def __init__(self, trainer: L.Trainer, min_steps: int | None = None, max_steps: int = -1) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.short: ShortStep | None = None
        """None in an epoch that needs Lightning's own steps."""

    def run(self, data_fetcher: _DataFetcher) -> None:
        self.short = None if reason_against(self.trainer, data_fetcher) else ShortStep(self)
        super().run(data_fetcher)

    @property
    def done(self) -> bool:
        if self.short is None or self.restarting or self.trainer.should_stop:
            return super().done
        steps = self.automatic_optimization.optim_progress.optimizer_steps
        return self._num_ready_batches_reached() or -1 < self.max_steps <= steps

    def advance(self, data_fetcher: _DataFetcher) -> None:
        if self.short is None or self.restarting:
            super().advance(data_fetcher)
        else:
            self.val_loop.restarting = False
            self.short.run(data_fetcher)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self.short is None or self._has_more_to_do(self.short, data_fetcher):
            super().on_advance_end(data_fetcher)
        elif not self._should_accumulate():
            self._batches_that_stepped += 1

    def _has_more_to_do(self, short: "ShortStep", data_fetcher: _DataFetcher) -> bool:
        """Whether something other than the counter changes after this step, such as a validation."""
        trainer = self.trainer
        if self._skip_next_val or trainer.should_stop or trainer.received_sigterm or trainer.lr_scheduler_configs:
            return True
        return short.validates and self._should_check_val_fx(data_fetcher)


def shorten_steps(trainer: L.Trainer) -> None:
    """Gives a Trainer the loop with short steps. Called before anything else changes its loops."""
    loop = trainer.fit_loop.epoch_loop
    if type(loop) is _TrainingEpochLoop:
        trainer.fit_loop.epoch_loop = TrainingLoop(trainer, loop.min_steps, loop.max_steps)


def reason_against(trainer: L.Trainer, data_fetcher: _DataFetcher) -> str | None:
    """Why an epoch needs Lightning's own steps; None where the short ones do the same."""
    module, strategy, precision = trainer.lightning_module, trainer.strategy, trainer.precision_plugin
    if type(strategy) is not SingleDeviceStrategy or strategy.model is not module:
        return "strategy"
    if type(precision) not in (Precision, DoublePrecision, HalfPrecision, MixedPrecision):
        return "precision"
    if getattr(precision, "scaler", None) is not None:
        return "loss scaling"
    if type(cast(Any, trainer).profiler) not in (NoProfiler, PassThroughProfiler):
        return "profiler"
    if isinstance(data_fetcher, _DataLoaderIterDataFetcher):
        return "dataloader_iter"
    if not module.automatic_optimization or len(trainer.optimizers) != 1:
        return "optimizers"
    if trainer.fit_loop._skip_backward:
        return "backward is skipped"
    if any(is_own(hook, module, L.LightningModule) for hook in REPLACING):
        return "hooks"
    return None


class ShortStep:
    """One step after another of one epoch.

    Args:
        loop: whose counters go on.
    """

    def __init__(self, loop: TrainingLoop) -> None:
        self.loop, self.trainer = loop, loop.trainer
        self.module, self.precision = self.trainer.lightning_module, self.trainer.precision_plugin
        self.connector = cast(Any, self.trainer)._logger_connector
        self.optimizer: Optimizer = self.trainer.optimizers[0]
        self.validates = loop._should_check_val_epoch()
        self.hooks = {name: self._own_hooks(name) for name in HOOKS}
        self.takes_index = is_param_in_hook_signature(self.module.training_step, "batch_idx", min_args=2)
        clips = is_own("configure_gradient_clipping", self.module, L.LightningModule)
        self.clips = clips or self.trainer.gradient_clip_val is not None
        data = cast(Any, self.trainer).datamodule
        owners = [(self.module, L.LightningModule), *([(data, L.LightningDataModule)] if data is not None else [])]
        self.transfers = any(is_own(hook, *owner) for hook in TRANSFERS for owner in owners)
        self.dtype = torch.float64 if isinstance(self.precision, DoublePrecision) else None
        if isinstance(self.precision, HalfPrecision):
            self.dtype = self.precision._desired_input_dtype
        self.device = self.trainer.strategy.root_device
        self.outputs: dict[str, Any] = {}

    def _own_hooks(self, name: str) -> list[Callable[..., Any]]:
        callbacks = cast(Any, self.trainer).callbacks
        hooks = [partial(getattr(c, name), self.trainer, self.module) for c in callbacks if is_own(name, c, Callback)]
        own = is_own(name, self.module, L.LightningModule)
        return [*hooks, getattr(self.module, name)] if own else list(hooks)

    def _call(self, name: str, *args: Any) -> None:
        hooks = self.hooks[name]
        if hooks:
            before, self.module._current_fx_name = self.module._current_fx_name, name
            for hook in hooks:
                hook(*args)
            self.module._current_fx_name = before

    def run(self, data_fetcher: _DataFetcher) -> None:
        """Trains on the next batch."""
        loop, progress = self.loop, self.loop.batch_progress
        batch, *_ = next(data_fetcher)
        progress.is_last_batch = data_fetcher.done
        batch = self._moved(batch)
        batch_idx = progress.current.ready
        progress.increment_ready()
        self.connector.on_batch_start(batch)
        if batch is None:
            loop._warning_cache.warn("the training data gave None as a batch: the step is skipped")
        else:
            self._call("on_train_batch_start", batch, batch_idx)
            progress.increment_started()
            self._optimize(batch, batch_idx)
        progress.increment_processed()
        if self.trainer.lr_scheduler_configs:
            loop.update_lr_schedulers("step", update_plateau_schedulers=False)
            if loop._num_ready_batches_reached():
                loop.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        outputs, self.outputs = self.outputs if batch is not None else None, {}
        self._call("on_train_batch_end", outputs, batch, batch_idx)
        logs = any(not value.has_reset for value in loop._results.values())
        if logs:
            self.connector.on_batch_end()
        loop._results.batch = loop._results.batch_size = None
        progress.increment_completed()
        if logs:
            self.connector.update_train_step_metrics()

    def _moved(self, batch: Any) -> Any:
        """The batch with the device and the floating-point type of the module."""
        if not self.transfers and type(batch) in (tuple, list) and all(map(self._is_here, batch)):
            if self.dtype is None:
                return batch
            return type(batch)(part.to(self.dtype) if part.is_floating_point() else part for part in batch)
        batch = self.precision.convert_input(batch)
        batch = self.module._on_before_batch_transfer(batch, dataloader_idx=0)
        return call._call_strategy_hook(self.trainer, "batch_to_device", batch, dataloader_idx=0)

    def _is_here(self, part: Any) -> bool:
        return isinstance(part, Tensor) and part.device == self.device

    def _optimize(self, batch: Any, batch_idx: int) -> None:
        closure = partial(self._closure, batch, batch_idx)
        if self.loop._should_accumulate():
            closure()
            return
        progress = self.loop.automatic_optimization.optim_progress.optimizer.step
        progress.increment_ready()
        before, self.module._current_fx_name = self.module._current_fx_name, "optimizer_step"
        self.optimizer.step(closure=partial(self._step_closure, closure))
        self.module._current_fx_name = before
        progress.increment_completed()

    def _step_closure(self, closure: Callable[[], Any]) -> Any:
        with torch.enable_grad():  # the optimizer may have turned gradients off
            loss = closure()
        self._call("on_before_optimizer_step", self.optimizer)
        if self.clips:
            value, algorithm = self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm
            self.precision._clip_gradients(self.module, self.optimizer, value, gradient_clip_algorithm=algorithm)
        return loss

    def _closure(self, batch: Any, batch_idx: int) -> Any:
        """Loss and gradients of a batch."""
        loss = self._loss(batch, batch_idx)
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._zero_grad()
        if loss is None:
            Closure.warning_cache.warn("`training_step` returned `None`: the batch is skipped")
            return None
        self._call("on_before_backward", loss)
        before, self.module._current_fx_name = self.module._current_fx_name, "backward"
        self.module.backward(loss)
        self.module._current_fx_name = before
        self._call("on_after_backward")
        return self.outputs["loss"]

    def _loss(self, batch: Any, batch_idx: int) -> Tensor | None:
        module, accumulated = self.module, self.trainer.accumulate_grad_batches
        before, module._current_fx_name = module._current_fx_name, "training_step"
        with self._context():
            output = module.training_step(batch, batch_idx) if self.takes_index else module.training_step(batch)
        module._current_fx_name = before
        if isinstance(output, Tensor) and accumulated == 1:
            self.outputs = {"loss": output.detach()}
            return output
        result = ClosureResult.from_training_step_output(output, accumulated)
        self.outputs = {} if result.loss is None else result.asdict()
        return result.closure_loss

    def _context(self) -> Any:
        if type(self.precision) is Precision:
            return NOTHING
        if type(self.precision) is DoublePrecision:
            return self.precision.tensor_init_context()  # what its own context enters
        return self.precision.train_step_context()

    def _zero_grad(self) -> None:
        progress = self.loop.automatic_optimization.optim_progress.optimizer.zero_grad
        progress.increment_ready()
        self._call("on_before_zero_grad", self.optimizer)
        progress.increment_started()
        if type(self.optimizer).zero_grad is Optimizer.zero_grad:
            for group in self.optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = None
        else:
            self.optimizer.zero_grad()
        progress.increment_completed()
