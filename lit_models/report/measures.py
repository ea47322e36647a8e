"""The measures of a page, by scikit-learn and torchmetrics, from targets and predictions.

Letters: N samples, C classes, L labels or numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_models.report.evaluation import Array, Evaluation

BINS = 15
"""Bins of the calibration, of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""


@dataclass(frozen=True)
class ByClass:
    """The measures of one class or label.

    Args:
        name: its name.
        precision: fraction of the samples predicted as this class that belong to it; NaN if there is none.
        recall: fraction of the samples of this class that are predicted as it; NaN if there is none.
        f1: harmonic mean of both; NaN if both are.
        auroc: area under the ROC curve of this class against the others; NaN if one of the two is missing.
        samples: samples of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    auroc: float
    samples: int


@dataclass(frozen=True)
class Calibration:
    """How often predictions of a given probability are right.

    Args:
        error: the expected calibration error (ECE) over `BINS` bins.
        probability: mean probability in each bin that has samples.
        frequency: fraction of these samples that are right.
        counts: samples in each of the `BINS` bins.
    """

    error: float
    probability: Array
    frequency: Array
    counts: Array


def by_class(evaluation: Evaluation) -> list[ByClass]:
    """Precision, recall, F1 and area under the ROC curve of each class or label."""
    from sklearn.metrics import precision_recall_fscore_support

    labels = list(range(len(evaluation.names))) if evaluation.task == "classification" else None
    targets = evaluation.targets.astype(int)
    predicted = evaluation.predicted.astype(int)
    if evaluation.task == "multilabel" and targets.shape[1] == 1:  # scikit-learn would take one column for classes
        targets, predicted, labels = targets[:, 0], predicted[:, 0], [1]
    precision, recall, f1, counts = precision_recall_fscore_support(
        targets, predicted, labels=labels, average=None, zero_division=np.nan
    )
    curves = roc_curves(evaluation)
    return [
        ByClass(name, float(p), float(r), float(f), curves[i][2] if i in curves else math.nan, int(n))
        for i, (name, p, r, f, n) in enumerate(zip(evaluation.names, precision, recall, f1, counts, strict=True))
    ]


def roc_curves(evaluation: Evaluation) -> dict[int, tuple[Array, Array, float]]:
    """False and true positive rates of each class against the others, or of each label, and the area under the curve.
    Classes that every sample or no sample has are left out."""
    from sklearn.metrics import auc, roc_curve

    curves = {}
    for i in range(len(evaluation.names)):
        truth = evaluation.targets == i if evaluation.task == "classification" else evaluation.targets[:, i] > 0.5
        if truth.any() and not truth.all():
            false, true, _ = roc_curve(truth, evaluation.predictions[:, i])
            curves[i] = (false, true, float(auc(false, true)))
    return curves


def confusion(evaluation: Evaluation) -> Array:
    """The confusion matrix of classes, `(C, C)`: a row per true class, a column per predicted class."""
    from sklearn.metrics import confusion_matrix

    labels = list(range(len(evaluation.names)))
    return np.asarray(confusion_matrix(evaluation.targets, evaluation.predicted, labels=labels))


def calibration(evaluation: Evaluation) -> Calibration:
    """The calibration of the predicted class, or of every answer about a label."""
    import torch
    from sklearn.calibration import calibration_curve
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    # Beyond 1, by rounding, torchmetrics would take them for logits.
    predictions = torch.from_numpy(evaluation.predictions.astype(np.float64).clip(0, 1))
    if evaluation.task == "classification":
        probabilities, right = evaluation.confidence, evaluation.correct
        targets = torch.from_numpy(evaluation.targets.astype(np.int64))
        size = len(evaluation.names)
        error = multiclass_calibration_error(predictions, targets, num_classes=size, n_bins=BINS, norm="l1")
    else:
        probabilities, right = evaluation.predictions.ravel(), evaluation.targets.ravel() > 0.5
        error = binary_calibration_error(predictions.flatten(), torch.from_numpy(right), n_bins=BINS, norm="l1")
    probabilities = np.clip(probabilities.astype(np.float64), 0, 1)
    frequency, mean = calibration_curve(right, probabilities, n_bins=BINS, strategy="uniform")
    counts, _ = np.histogram(probabilities, bins=BINS, range=(0, 1))
    return Calibration(float(error), mean, frequency, counts)


def of_numbers(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Mean absolute error, root of the mean squared error, R² and mean residual of each number of a regression."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rows = []
    for i, name in enumerate(evaluation.names):
        true, predicted = evaluation.targets[:, i], evaluation.predictions[:, i]
        rows.append(
            {
                "name": name,
                "mae": float(mean_absolute_error(true, predicted)),
                "rmse": float(root_mean_squared_error(true, predicted)),
                "r2": float(r2_score(true, predicted)) if len(true) > 1 else math.nan,
                "bias": float((predicted - true).mean()),
            }
        )
    return rows


def headline(evaluation: Evaluation) -> list[tuple[str, float]]:
    """The measures of the whole split, by name."""
    if evaluation.task == "regression":
        rows = of_numbers(evaluation)
        return [
            (title, float(np.mean([row[key] for row in rows])))
            for key, title in (("mae", "mean absolute error"), ("rmse", "RMSE"), ("r2", "R²"))
        ]
    rows_by_class = by_class(evaluation)
    means = [
        (title, _mean([getattr(row, key) for row in rows_by_class]))
        for key, title in (("f1", "F1, macro"), ("auroc", "AUROC, macro"))
    ]
    accuracy = float(evaluation.correct.mean())
    first = "accuracy" if evaluation.task == "classification" else "all labels right"
    return [(first, accuracy), *means, ("calibration error (ECE)", calibration(evaluation).error)]


def _mean(values: list[float]) -> float:
    """The mean of the numbers that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
