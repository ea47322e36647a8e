"""Exact resume: a run that was stopped at any step goes on as if it had never been stopped.

Lightning's checkpoints have weights, optimizers, schedules and counters. This file adds what else a step depends on:
the states of the random generators, of the metrics, and of the order of the batches. Lightning calls its callbacks in
the middle of a step or of an epoch's end, where its counters disagree. Here, the loops are stopped only *between*
two steps and *between* two epochs, where all of them agree and nothing is pending.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torchmetrics import Metric

from datamodules.base import GlobalBatchSampler
from lit_models.runs.early_stopping import goes_on

KEY = "resume"
"""Name of these states in a checkpoint."""


class BetweenSteps:
    """Calls a function between every two steps and epochs of a Trainer, and brings a checkpoint's state back there.

    Args:
        trainer: whose training loop is followed.
        act: called between two steps, and after each epoch; the argument says whether an epoch has just ended.
    """

    def __init__(self, trainer: L.Trainer, act: Callable[[bool], None]) -> None:
        self.trainer, self.act = trainer, act
        self.loaded: dict[str, Any] | None = None
        """The state of a checkpoint until it is restored."""
        self.pending_results: dict[str, dict[str, Tensor]] = {}
        self.iterator_state: dict[str, Any] = {}
        """States of the random generators before the epoch's iterator was made."""
        self.first_fetch_state: dict[str, Any] = {}
        """The same before the epoch's first batch was fetched."""
        self.iterator_from_setup = False
        """Whether Lightning made the iterator with the loaders, before the epoch began."""
        fit, epoch = cast(Any, trainer).fit_loop, cast(Any, trainer).fit_loop.epoch_loop
        for loop, name, wrapper in (
            (fit, "setup_data", self._setup_data),
            (fit, "on_advance_start", self._start_epoch),
            (epoch, "on_run_start", self._start_batches),
            (epoch, "advance", self._advance),
            (fit, "on_advance_end", self._end_epoch),
        ):
            setattr(loop, name, partial(wrapper, getattr(loop, name)))

    @property
    def _fit(self) -> Any:
        return cast(Any, self.trainer).fit_loop

    @property
    def _epoch(self) -> Any:
        return self._fit.epoch_loop

    @property
    def done_in_epoch(self) -> int:
        """Batches of the current epoch that are completed."""
        return cast(int, self._epoch.batch_progress.current.completed)

    @property
    def inside_window(self) -> bool:
        """Whether gradients of earlier batches wait for the optimizer's step."""
        return self.done_in_epoch % self.trainer.accumulate_grad_batches != 0

    # What a checkpoint adds

    def state(self, *, between_epochs: bool) -> dict[str, Any]:
        """What this process adds to a checkpoint."""
        module = self.trainer.lightning_module
        state: dict[str, Any] = {
            "between_epochs": between_epochs,
            "random": self._random_state(),
            "metrics": metric_states(module),
            "callback_metrics": {n: v.detach().cpu() for n, v in self.trainer.callback_metrics.items()},
            "accumulate_grad_batches": self.trainer.accumulate_grad_batches,
            "should_stop": self.trainer.should_stop,
        }
        if not self.trainer.is_global_zero:  # the first process has these in the checkpoint itself
            state |= {"callbacks": callback_states(self.trainer), "buffers": buffers(module)}
        if not between_epochs:
            state |= {
                "iterator": self.iterator_state,
                "first_fetch": self.first_fetch_state,
                "iterator_from_setup": self.iterator_from_setup,
                "results": result_states(self._epoch._results),
            }
        return state

    def _random_state(self) -> dict[str, Any]:
        """States of the random generators of this process, and of those that its dataloaders have for themselves."""
        return random_state() | {"loaders": [generator.get_state() for generator in self._generators()]}

    def _set_random_state(self, state: dict[str, Any]) -> None:
        """Brings the random generators to a state of `_random_state`."""
        set_random_state(state)
        states = state.get("loaders", [])  # empty before there are loaders
        for generator, value in zip(self._generators(), states, strict=False):
            generator.set_state(value)

    def _generators(self) -> list[torch.Generator]:
        loaders = self._fit._combined_loader.flattened if self._fit._combined_loader is not None else []
        holders = [holder for loader in loaders for holder in (loader, getattr(loader, "sampler", None))]
        found = [getattr(holder, "generator", None) for holder in holders]
        return [generator for generator in found if isinstance(generator, torch.Generator)]

    # The loops, in the order in which they are called

    def _setup_data(self, setup_data: Callable[[], None]) -> None:
        first = self._fit._combined_loader is None
        if first and self.loaded is not None:
            self.trainer.should_stop = self.loaded["should_stop"] and not goes_on(self.trainer)
            if any(isinstance(c, GradientAccumulationScheduler) for c in cast(Any, self.trainer).callbacks):
                self.trainer.accumulate_grad_batches = self.loaded[
                    "accumulate_grad_batches"
                ]  # set at the epoch's start
            self.trainer.callback_metrics.update(self.loaded["callback_metrics"])
            set_buffers(self.trainer.lightning_module, self.loaded.get("buffers", {}))
            if self.loaded["between_epochs"]:  # nothing is left to finish, also where training has a number of steps
                self._fit._restarting = self._epoch._restarting = False
            elif self.loaded["iterator_from_setup"]:
                self._set_random_state(self.loaded["iterator"])
        if first:
            fix_order_of_sums(self.trainer)
        state = self._random_state() if first else {}
        setup_data()
        if first:
            self.iterator_state, self.iterator_from_setup = state, True

    def _start_epoch(self, on_advance_start: Callable[[], None]) -> None:
        if self.loaded is not None and self.loaded["between_epochs"]:
            self._set_random_state(self.loaded["random"])
        on_advance_start()

    def _start_batches(self, on_run_start: Callable[[Any], None], data_fetcher: Any) -> None:
        loaded = self.loaded
        if loaded is None:
            if self.trainer.current_epoch > 0:
                self.iterator_state, self.iterator_from_setup = self._random_state(), False
            on_run_start(data_fetcher)
            return
        if loaded["between_epochs"]:
            self.iterator_state, self.iterator_from_setup = self._random_state(), False
            if self.trainer.current_epoch > 0:
                iter(data_fetcher)  # Lightning has made one before the samplers knew the epoch
        else:
            self._fast_forward(loaded, data_fetcher)
        on_run_start(data_fetcher)

    def _fast_forward(self, loaded: dict[str, Any], data_fetcher: Any) -> None:
        """Brings the data to the batch at which the epoch goes on."""
        loaders, done = self._fit._combined_loader.flattened, self.done_in_epoch
        self.iterator_state, self.first_fetch_state = loaded["iterator"], loaded["first_fetch"]
        self.iterator_from_setup = loaded["iterator_from_setup"]
        if any(hasattr(loader, "load_state_dict") for loader in loaders):
            return  # Lightning restores these
        samplers = [getattr(loader, "sampler", None) for loader in loaders]
        ours = all(isinstance(sampler, GlobalBatchSampler) for sampler in samplers)
        for sampler in samplers if ours else ():
            cast(GlobalBatchSampler, sampler).skip = done
        if ours or not self.iterator_from_setup:
            self._set_random_state(self.iterator_state)
            iter(data_fetcher)
        if not ours:
            self._set_random_state(self.first_fetch_state)
            for _ in range(done):
                next(data_fetcher)
            data_fetcher.fetched -= done  # Lightning adds them

    def _advance(self, advance: Callable[[Any], None], data_fetcher: Any) -> None:
        if self.loaded is not None and not self.loaded["between_epochs"]:
            self._restore_step()
        else:
            self._add_results()
            if self.done_in_epoch == 0:
                self.first_fetch_state = self._random_state()
            if self.loaded is None:
                self.act(False)
        self.loaded = None
        advance(data_fetcher)

    def _restore_step(self) -> None:
        """The state between two steps of an epoch."""
        assert self.loaded is not None
        # Lightning would run the step's validation or its schedules again, or skip those at the epoch's end.
        self._fit._restarting = self._epoch._restarting = self._epoch.val_loop._restarting = False
        set_metric_states(self.trainer.lightning_module, self.loaded["metrics"])
        self.pending_results = self.loaded["results"]
        self._set_random_state(self.loaded["random"])

    def _end_epoch(self, on_advance_end: Callable[[], None]) -> None:
        self._add_results()
        on_advance_end()
        self.act(True)

    def _add_results(self) -> None:
        """Adds what the module has logged in this epoch before the stop to what it has logged since. Lightning resets
        these sums at the first batch, so they are added after it."""
        results = self._epoch._results
        for name, state in self.pending_results.items():
            if name in results:
                add_result(results[name], state)
        self.pending_results = {}


def fix_order_of_sums(trainer: L.Trainer) -> None:
    """Lets DDP arrange the gradients now, which it otherwise does after its first step. The arrangement decides in
    which order three or more processes add a gradient; the first step after a resume would add in another one. On GPUs,
    DDP's own arrangement stays: this one leaves it less to do during the backward pass."""
    ddp = cast(Any, trainer.strategy.model)
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if isinstance(ddp, DistributedDataParallel) and trainer.world_size > 2 and on_cpu:
        ddp.reducer._push_all_rebuilt_params()
        ddp.reducer._rebuild_buckets()


def random_state() -> dict[str, Any]:
    """States of all random generators of this process, as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(numbers, dtype=torch.int64), gauss],
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Brings the random generators to a state of `random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    key, numpy_state = state["numpy"]["key"].numpy().astype(np.uint32), state["numpy"]
    inner = {"key": key, "pos": numpy_state["pos"]}
    others = {name: numpy_state[name] for name in ("has_gauss", "gauss")}
    np.random.set_state({"bit_generator": "MT19937", "state": inner, **others})
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


def callback_states(trainer: L.Trainer) -> dict[str, Any]:
    """What the callbacks of this process hold. Those of another process may hold other values: EarlyStopping compares
    metrics that a module does not gather."""
    states = {callback.state_key: callback.state_dict() for callback in cast(Any, trainer).callbacks}
    return {key: state for key, state in states.items() if state}


def buffers(module: L.LightningModule) -> dict[str, Tensor]:
    """The buffers of this process. BatchNorm's differ between processes from one step to the next."""
    names = module.state_dict().keys()
    return {name: buffer.detach().cpu() for name, buffer in module.named_buffers() if name in names}


def set_buffers(module: L.LightningModule, values: dict[str, Tensor]) -> None:
    """Brings the buffers of this process to values of `buffers`."""
    ours = dict(module.named_buffers())
    for name, value in values.items():
        ours[name].copy_(value)


def metric_states(module: L.LightningModule) -> dict[str, dict[str, Any]]:
    """States of the torchmetrics in a module that have counted something, by name."""
    states = {}
    for name, metric in module.named_modules():
        if isinstance(metric, Metric) and metric.update_called:
            values = {key: _plain(value) for key, value in metric.metric_state.items()}
            states[name] = {"values": values, "updates": metric.update_count}
    return states


def _plain(value: Any) -> Any:
    return [v.detach().cpu() for v in value] if isinstance(value, list) else value.detach().cpu()


def set_metric_states(module: L.LightningModule, states: dict[str, dict[str, Any]]) -> None:
    """Brings the torchmetrics in a module to states of `metric_states`."""
    modules = dict(module.named_modules())
    for name, state in states.items():
        metric = modules[name]
        assert isinstance(metric, Metric), "the checkpoint's weights fit, so the modules do"
        metric.reset()
        for key, value in state["values"].items():
            on_device = [v.to(metric.device) for v in value] if isinstance(value, list) else value.to(metric.device)
            setattr(metric, key, on_device)
        metric._update_count = state["updates"]
        metric._computed = None


def result_states(results: Any) -> dict[str, dict[str, Tensor]]:
    """Sums of the values that the module has logged in this epoch."""
    return {
        name: {key: value.detach().cpu() for key, value in metric.metric_state.items() if isinstance(value, Tensor)}
        for name, metric in results.items()
        if metric.is_tensor and metric.update_called
    }


def add_result(metric: Any, state: dict[str, Tensor]) -> None:
    """Adds earlier sums to a logged value, which has counted later batches."""
    earlier = {key: value.to(metric.value.device) for key, value in state.items()}
    if metric.meta.is_mean_reduction or metric.meta.is_sum_reduction:
        for key, value in earlier.items():
            setattr(metric, key, value + getattr(metric, key))
    elif metric.meta.on_epoch:
        metric.value = metric.meta.reduce_fx(earlier["value"], metric.value)
    metric._computed = None
