"""Collects targets and predictions of the evaluated samples for the report, and the weights at some steps.

Nothing is computed in a training step. In an evaluation, the outputs that the metrics count are kept as they are, up to
`MOST_SAMPLES` samples. They are the same with any number of processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from datamodules.base import GlobalBatchSampler
from lit_models.report.evaluation import Array, Evaluation, most_samples
from lit_models.runs.loaders import EvenBatches
from lit_models.runs.progress import say, warn
from lit_models.runs.showing import Source, with_inputs
from lit_models.tasks.metrics import SplitMetrics
from lit_models.tasks.task import LitTask

MOST_WEIGHTS = 10_000
"""Parameters of a network whose weights are kept at several steps."""


@dataclass(frozen=True)
class Part:
    """The samples that one process has evaluated.

    Args:
        indices: their numbers in the split, `(n,)`.
        targets: `(n,)` or `(n, L)`.
        predictions: `(n, columns)`.
        total: samples that the process has evaluated, of which n were kept.
    """

    indices: Array
    targets: Array
    predictions: Array
    total: int


class EvaluatedSamples(Callback):
    """Collects the samples of the last evaluation of a LitTask: that of the test split, or of the validation part if
    nothing was tested. For other modules, it collects nothing."""

    def __init__(self) -> None:
        self.evaluation: Evaluation | None = None
        """The samples of the last evaluation, in the first process."""
        self.stages = Stages()
        self.loader: DataLoader[Any] | None = None
        """The loader of the last evaluation that was listened to."""
        self._metrics: SplitMetrics | None = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._listen(trainer, pl_module, "val", trainer.val_dataloaders)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_listening()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._listen(trainer, pl_module, "test", trainer.test_dataloaders)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_listening()
        self.finish(trainer, pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop_listening()

    def _listen(self, trainer: L.Trainer, module: L.LightningModule, split: str, loaders: Any) -> None:
        self._stop_listening()
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []  # places, outputs and targets
        self.total, self.known, self.split, self.loader = 0, True, split, None
        loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
        if not isinstance(module, LitTask) or len(loaders) != 1 or not isinstance(loaders[0], DataLoader):
            return
        self.loader, self.step = loaders[0], trainer.global_step
        self.places = places_of(self.loader, trainer.global_rank, trainer.world_size)
        self.most = most_samples(len(module.target.names))
        self._metrics = cast(SplitMetrics, getattr(module, f"{split}_metrics"))
        self._metrics.listeners.append(self._add)

    def _stop_listening(self) -> None:
        if self._metrics is not None:
            self._metrics.listeners.remove(self._add)
            self._metrics = None

    def _add(self, outputs: Tensor, target: Tensor) -> None:
        """Keeps a batch, as far as its samples are among the first ones of the split."""
        places = next(self.places, None) if self.places is not None else None
        if self.places is None:
            places = torch.arange(self.total, self.total + len(target))
        self.total += len(target)
        self.known = self.known and places is not None and len(places) == len(target)
        if not self.known or places is None:
            self.batches = []
            return
        kept = places < self.most
        if bool(kept.all()):
            self.batches.append((places, outputs.clone(), target.clone()))
        elif bool(kept.any()):
            on_device = kept.to(outputs.device)
            self.batches.append((places[kept], outputs[on_device], target[on_device]))

    def finish(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Joins the samples of all processes, and adds the mistakes. Every process of the run calls this."""
        if not isinstance(module, LitTask) or self.loader is None:
            return
        try:
            part = self._part(module)
        except Exception as error:  # of the user's own `predictions` or targets; the run goes on without samples
            warn(f"the report has no samples: {type(error).__name__}: {first_line(error)}")
            part = None
        parts: list[Part | None] = [part]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, part)
        self.batches = []
        if not trainer.is_global_zero:
            return
        try:
            evaluation = self.evaluation = joined(parts, module, split=self.split, step=self.step)
        except Exception as error:  # such as targets of different shapes in the processes
            warn(f"the report has no samples: {type(error).__name__}: {first_line(error)}")
            return
        if evaluation is None:
            return
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)  # this process has all weights
        if self.step < trainer.global_step:  # the weights have changed since
            whole = False
            later = f"The training went on to step {trainer.global_step:,} after this evaluation at step {self.step:,}."
            evaluation = self.evaluation = replace(evaluation, notes=(*evaluation.notes, later))
        source = Source(trainer, module, self.loader, numbered=is_numbered(self.loader), can_compute=whole)
        try:
            self.evaluation = with_inputs(evaluation, source, self.stages.kept())
        except Exception as error:  # a data set that cannot be read again; the numbers stay
            say(f"note: the report has no mistakes: {type(error).__name__}: {first_line(error)}")

    def _part(self, module: LitTask) -> Part | None:
        """The samples of this process; None if they are unknown, or the module predicts something else than its target
        says."""
        columns = len(module.target.names)
        with torch.no_grad():
            predictions = [module.predictions(outputs).cpu() for _, outputs, _ in self.batches]
        if not self.known or any(
            p.shape != (len(b[0]), columns) for p, b in zip(predictions, self.batches, strict=True)
        ):
            return None
        wide = any(p.dtype == torch.float64 for p in predictions)
        classes = task_of(module) == "classification"
        shape = (0,) if classes else (0, columns)
        targets = [b[2].cpu() if classes else b[2].cpu().reshape(-1, columns) for b in self.batches]
        return Part(
            torch.cat([torch.empty(0, dtype=torch.int64), *(b[0] for b in self.batches)]).numpy(),
            torch.cat([torch.empty(shape, dtype=targets[0].dtype if targets else torch.float32), *targets]).numpy(),
            torch.cat([torch.empty(0, columns), *predictions]).to(torch.float64 if wide else torch.float32).numpy(),
            self.total,
        )


def task_of(module: LitTask) -> Any:
    """The name of the task. A LitClassifier has no such hyper-parameter."""
    return module.hparams.get("task", "classification")


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [""])[0]


def places_of(loader: "DataLoader[Any]", rank: int, processes: int) -> Iterator[Tensor] | None:
    """The numbers of the samples in each batch of a process; None if one process reads them one after the other. It
    ends early if the numbers are unknown."""
    sampler, batches = loader.sampler, loader.batch_sampler
    if isinstance(sampler, GlobalBatchSampler):
        return sampler.batches_of(rank)
    if isinstance(batches, EvenBatches):
        own = torch.arange(rank, len(batches.sampler), processes)
        split = iter(torch.split(own, batches.batch_size))
        return (next(split, own[:0]) for _ in range(len(batches)))
    return None if processes == 1 else iter(())


def is_numbered(loader: "DataLoader[Any]") -> bool:
    """Whether `dataset[i]` is the sample number i."""
    batches = loader.batch_sampler
    if batches is not None and type(batches) not in (BatchSampler, EvenBatches):
        return False  # a batch sampler of the user's, which may have any order
    sampler = batches.sampler if isinstance(batches, EvenBatches) else loader.sampler
    return isinstance(sampler, GlobalBatchSampler | SequentialSampler) and hasattr(loader.dataset, "__getitem__")


def joined(parts: list[Part | None], module: LitTask, *, split: str, step: int) -> Evaluation | None:
    """The samples of all processes in the order of the split; None if a process does not know them. Samples without a
    known target are left out."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    filled = [part for part in known if len(part.indices)] or known[:1]
    indices = np.concatenate([part.indices for part in filled])
    order = np.argsort(indices, kind="stable")
    targets = np.concatenate([part.targets for part in filled])[order]
    unknown = targets < 0 if targets.ndim == 1 else np.isnan(targets).any(axis=1)
    order = order[~unknown]
    return Evaluation(
        split=split,
        task=task_of(module),
        names=tuple(map(str, module.target.names)),
        targets=targets[~unknown],
        predictions=np.concatenate([part.predictions for part in filled])[order],
        indices=indices[order],
        total=sum(part.total for part in known),
        step=step,
    )


class Stages(Callback):
    """Keeps the weights of a small network with two inputs at some steps: 0, 1, 3, 10, 32, 100 and so on. A checkpoint
    contains them, so that a resumed run has them, too."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.weights: list[dict[str, Tensor]] = []
        self.next: float = float("inf")
        self.calls = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, LitTask) or pl_module.hparams.get("num_features") != 2:
            return
        if sum(p.numel() for p in pl_module.network.state_dict().values()) > MOST_WEIGHTS:
            return
        self.calls = trainer.global_step
        self.next = next_stage(trainer.global_step)
        if trainer.global_step == 0:
            self._keep(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.calls += 1  # there are at least as many batches as steps, and Lightning takes long to count the steps
        if self.calls >= self.next and trainer.global_step >= self.next:
            self._keep(trainer, pl_module)
            self.next = next_stage(trainer.global_step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.next < float("inf") and self.steps[-1:] != [trainer.global_step]:
            self._keep(trainer, pl_module)

    def _keep(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        state = cast(LitTask, module).network.state_dict()
        self.steps.append(trainer.global_step)
        self.weights.append({name: value.detach().cpu().clone() for name, value in state.items()})

    def kept(self) -> list[tuple[int, dict[str, Tensor]]]:
        """Steps and weights, in order."""
        return list(zip(self.steps, self.weights, strict=True))

    def state_dict(self) -> dict[str, Any]:
        return {"steps": list(self.steps), "weights": list(self.weights)} if self.steps else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.weights = list(state_dict["steps"]), list(state_dict["weights"])


def next_stage(step: int) -> int:
    """The next step after `step` at which weights are kept: powers of the square root of ten, rounded."""
    power = 0
    while round(10 ** (power / 2)) <= step:
        power += 1
    return round(10 ** (power / 2))
