"""Metrics of a split: loss and score from exact sums, and torchmetrics' metrics by name.

A metric's name is one of `CLASSIFICATION` or `REGRESSION`. For classes and labels, a suffix chooses the average:
"f1_macro", "f1_micro", "f1_weighted", or "f1_per_class" for one number per class, logged as `val/f1/CLASS`. Without a
suffix, a metric of two classes is that of the second class (the positive one). With more classes, and with labels, it
is the macro average, as in torchmetrics.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torchmetrics
import torchmetrics.classification
from torch import Tensor, nn
from torchmetrics import Metric

from datamodules.errors import UserError
from lit_models.tasks.targets import Classification, MultiLabel, Target

CLASSIFICATION = {
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "average_precision": "AveragePrecision",
    "calibration_error": "CalibrationError",
    "cohen_kappa": "CohenKappa",
    "exact_match": "ExactMatch",
    "f1": "F1Score",
    "hamming_distance": "HammingDistance",
    "jaccard": "JaccardIndex",
    "matthews": "MatthewsCorrCoef",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
}
REGRESSION: dict[str, tuple[type[Metric], dict[str, Any]]] = {
    "explained_variance": (torchmetrics.ExplainedVariance, {}),
    "mae": (torchmetrics.MeanAbsoluteError, {}),
    "mape": (torchmetrics.MeanAbsolutePercentageError, {}),
    "mse": (torchmetrics.MeanSquaredError, {}),
    "pearson": (torchmetrics.PearsonCorrCoef, {}),
    "r2": (torchmetrics.R2Score, {}),
    "rmse": (torchmetrics.MeanSquaredError, {"squared": False}),
    "spearman": (torchmetrics.SpearmanCorrCoef, {}),
}
AVERAGES = {"_macro": "macro", "_micro": "micro", "_weighted": "weighted", "_per_class": "none"}
BATCHES = 50
"""Batches whose scores are computed together."""
CORRELATIONS = {"explained_variance", "pearson", "r2", "spearman"}  # undefined for fewer than two samples


def build_metric(name: str, target: Target) -> Metric:
    """Builds the torchmetrics metric `name` for a kind of target.

    Raises:
        UserError: there is no such metric, or it is not defined for this kind of target.
    """
    if not isinstance(target, Classification | MultiLabel):
        if name not in REGRESSION:
            raise UserError(f"metrics: {name!r} is not a metric of regression: use {', '.join(REGRESSION)}")
        metric, settings = REGRESSION[name]
        outputs = {"num_outputs": target.num_outputs} if "num_outputs" in inspect.signature(metric).parameters else {}
        if target.num_outputs > 1 and name in ("mae", "mape", "mse", "rmse"):
            outputs = {}  # one mean over all numbers
        return metric(**settings, **outputs)
    suffix = next((s for s in AVERAGES if name.endswith(s)), "")
    kind = CLASSIFICATION.get(name.removesuffix(suffix))
    if kind is None:
        raise UserError(
            f"metrics: {name!r} is not a metric of {kind_of(target)}: use {', '.join(names_for(target))}; "
            f"{', '.join(AVERAGES)} after the name chooses an average"
        )
    size = len(target.names)
    if isinstance(target, MultiLabel):
        prefix, settings = "Multilabel", {"num_labels": size}
    elif size == 2 and not suffix and hasattr(torchmetrics.classification, f"Binary{kind}"):
        prefix, settings = "Binary", {}
    else:
        prefix, settings = "Multiclass", {"num_classes": size}
    metric_class = getattr(torchmetrics.classification, f"{prefix}{kind}", None)
    if metric_class is None or name.removesuffix(suffix) not in names_for(target):
        raise UserError(f"metrics: {name!r} is not defined for {kind_of(target)}: use {', '.join(names_for(target))}")
    if suffix:
        if "average" not in inspect.signature(metric_class).parameters:
            raise UserError(f"metrics: {name!r} has no average: use {name.removesuffix(suffix)!r}")
        if suffix == "_micro" and prefix == "Multiclass" and kind in ("AUROC", "AveragePrecision"):
            raise UserError(f"metrics: {name!r} is not defined for classes: use {name.removesuffix(suffix)}_macro")
        settings["average"] = AVERAGES[suffix]
    return cast(Metric, metric_class(**settings, validate_args=False))


def names_for(target: Target) -> list[str]:
    """Names of the metrics for classes or labels. For classes, `exact_match` is left out, because it is the
    accuracy."""
    labels = isinstance(target, MultiLabel)
    prefix = "Multilabel" if labels else "Multiclass"
    defined = [name for name, kind in CLASSIFICATION.items() if hasattr(torchmetrics.classification, prefix + kind)]
    return [name for name in defined if labels or name != "exact_match"]


def kind_of(target: Target) -> str:
    """The kind of target in words, for a message."""
    return "labels" if isinstance(target, MultiLabel) else "classes"


class SplitMetrics(Metric):
    """Metrics of one split, exact over batches of different sizes and over processes.

    Args:
        target: the kind of target.
        names: torchmetrics' metrics in addition to loss and score.
    """

    loss_sum: Tensor
    score_sum: Tensor
    count: Tensor

    def __init__(self, target: Target, names: list[str]) -> None:
        super().__init__(compute_on_cpu=False)
        self.target = target
        self.loss_dtype = torch.float32
        # Sums are float64: the order of the batches and the number of processes do not change the float32 result.
        wide = torch.float32 if torch.backends.mps.is_available() else torch.float64  # MPS has no float64
        self.add_state("loss_sum", torch.zeros((), dtype=wide), dist_reduce_fx="sum")
        self.add_state("score_sum", torch.zeros((), dtype=target.score_dtype), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        others = [name for name in names if name != target.score]  # the score is always measured, in float64
        self.more = nn.ModuleDict({name: build_metric(name, target) for name in others})
        self.waiting: list[tuple[Tensor, Tensor]] = []
        """Outputs and targets of batches whose scores are not in the sums yet."""
        self.listeners: list[Callable[[Tensor, Tensor], None]] = []
        """They receive outputs and targets of each batch that is measured."""

    def update(self, losses: Tensor, outputs: Tensor, target: Tensor) -> None:
        """Adds a batch: its `losses` `(B,)`, `outputs` and `target`."""
        self._add(losses.sum(), outputs, target)
        self.count_waiting()

    def add(self, loss: Tensor, outputs: Tensor, target: Tensor) -> None:
        """Adds a batch whose losses have the sum `loss`. Several batches are scored together, because the scores of a
        small batch take as much time as those of a large one. `compute`, `sync` and `metric_state` add what waits."""
        own = vars(self)  # without the checks of nn.Module, which take as long as the sums
        own["_update_count"] += 1
        own["_computed"] = None
        self._add(loss.detach(), outputs.detach(), target)

    def _add(self, loss: Tensor, outputs: Tensor, target: Tensor) -> None:
        for listener in self.listeners:
            listener(outputs.detach(), target)
        self.loss_sum.add_(loss)
        if self.loss_dtype != loss.dtype:
            self.loss_dtype = loss.dtype
        if self.target.score_dtype.is_floating_point:  # the order of such sums changes the result
            self._score(outputs, target)
        else:
            self.waiting.append((outputs.clone(), target.clone()))  # as others may change them in place
        if len(self.waiting) == BATCHES:
            self.count_waiting()
        if len(self.more):
            self._update_more(self.target.predictions(outputs), target)

    def count_waiting(self) -> None:
        """Adds the scores of the batches that wait."""
        if not self.waiting:
            return
        waiting, self.waiting = self.waiting, []
        if len({(outputs.shape[1:], target.shape[1:], target.dtype) for outputs, target in waiting}) == 1:
            outputs, targets = zip(*waiting, strict=True)
            waiting = [(torch.cat(outputs), torch.cat(targets))]
        for output, target in waiting:
            self._score(output, target)

    def _score(self, outputs: Tensor, target: Tensor) -> None:
        self.score_sum.add_(self.target.scores(outputs, target).sum())
        self.count.add_(len(target))

    @property
    def names(self) -> list[str]:
        """Names of the values that `compute` returns."""
        names = ["loss", self.target.score]
        for name, _ in self._more():
            bare = name.removesuffix("_per_class")
            names += [name] if bare == name else [f"{bare}/{label}" for label in self.target.names]
        return names

    def so_far(self) -> dict[str, float]:
        """Mean loss and mean score since the last reset, of this process; empty before the first batch."""
        self.count_waiting()
        if not self.count:
            return {}
        return {"loss": float(self.loss_sum / self.count), self.target.score: float(self.score_sum / self.count)}

    def sync(self, *args: Any, **kwargs: Any) -> None:
        self.count_waiting()
        super().sync(*args, **kwargs)

    @property
    def metric_state(self) -> dict[str, Any]:
        """The sums, with all batches."""
        self.count_waiting()
        return super().metric_state

    def _update_more(self, predictions: Tensor, target: Tensor) -> None:
        for name, metric in self._more():
            if not len(target) and not any(isinstance(state, list) for state in metric.metric_state.values()):
                continue  # only lists need a tensor of the right type to be joined over processes
            if isinstance(self.target, Classification):
                binary = type(metric).__name__.startswith("Binary")
                metric.update(predictions[:, 1] if binary else predictions, target)
            elif isinstance(self.target, MultiLabel):
                metric.update(predictions, target.long())
            elif name in ("mae", "mape", "mse", "rmse") or self.target.num_outputs > 1:
                metric.update(predictions.contiguous(), target.reshape(predictions.shape).to(predictions.dtype))
            else:
                metric.update(predictions[:, 0], target.reshape(-1).to(predictions.dtype))

    def compute(self) -> dict[str, Tensor]:
        """Mean loss, mean score and the other metrics over all samples since the last reset."""
        self.count_waiting()
        loss = (self.loss_sum / self.count).to(self.loss_dtype)
        values = {"loss": loss, self.target.score: self.score_sum / self.count}
        for name, metric in self._more():
            if name in CORRELATIONS and self.count < 2:
                continue
            value = metric.compute()
            if value.ndim or name.endswith("_per_class"):
                bare, each = name.removesuffix("_per_class"), value.reshape(-1)
                values |= {f"{bare}/{label}": v for label, v in zip(self.target.names, each, strict=True)}
            else:
                values[name] = value
        return values

    def reset(self) -> None:
        self.waiting = []
        super().reset()
        for _, metric in self._more():
            metric.reset()

    def _more(self) -> Iterator[tuple[str, Metric]]:
        return ((name, cast(Metric, metric)) for name, metric in self.more.items())
