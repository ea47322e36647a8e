"""Metrics by name: which exist for which targets, and their values on a whole split against scikit-learn's."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.classification
from sklearn import metrics as sklearn
from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.metrics import (
    AVERAGES,
    BATCHES,
    CLASSIFICATION,
    CORRELATIONS,
    REGRESSION,
    SplitMetrics,
    build_metric,
)
from lit_models.tasks.targets import Classification, MultiLabel, Regression, Target

pytestmark = pytest.mark.filterwarnings("ignore:Metric `Spearman")  # it keeps all samples, and says so

SIZES = [7, 1, 5]  # ragged batches
NAMES = ["ant", "bee", "cat"]
WITH_AVERAGE = {
    "accuracy", "auroc", "average_precision", "f1", "hamming_distance", "jaccard", "precision", "recall", "specificity",
}  # fmt: skip
ONLY_FOR_LABELS = {"exact_match"}  # of one class, it is the accuracy
ONLY_FOR_CLASSES = {"calibration_error", "cohen_kappa"}  # torchmetrics has no multilabel form


def kinds() -> list[Any]:
    return [
        pytest.param(Classification(2), id="two classes"),
        pytest.param(Classification(3, NAMES), id="three classes"),
        pytest.param(MultiLabel(3, NAMES), id="labels"),
    ]


def split(target: Target) -> tuple[Tensor, Tensor]:
    """Outputs and targets of 13 samples."""
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(sum(SIZES), target.num_outputs, generator=generator)
    if isinstance(target, Classification):
        return outputs, torch.arange(sum(SIZES)) % len(target.names)  # every class is there
    if isinstance(target, MultiLabel):
        return outputs, torch.randint(2, outputs.shape, generator=generator).float()
    return outputs, outputs / 2 + torch.randn(outputs.shape, generator=generator)


def measured(target: Target, *names: str) -> dict[str, float]:
    """Metrics of the split, fed in ragged batches; without loss and score."""
    metrics, (outputs, wanted) = SplitMetrics(target, list(names)), split(target)
    for o, y in zip(torch.split(outputs, SIZES), torch.split(wanted, SIZES), strict=True):
        metrics.update(torch.zeros(len(o)), o, y)
    return {name: float(v) for name, v in metrics.compute().items() if name not in ("loss", target.score)}


def fitting(target: Target) -> str:
    """The end of a message: what the target is, and the metrics that torchmetrics has for it."""
    if isinstance(target, MultiLabel):
        return (
            "labels: use accuracy, auroc, average_precision, exact_match, f1, hamming_distance, jaccard, matthews, "
            "precision, recall, specificity"
        )
    return (
        "classes: use accuracy, auroc, average_precision, calibration_error, cohen_kappa, f1, hamming_distance, "
        "jaccard, matthews, precision, recall, specificity"
    )


@pytest.mark.parametrize("target", kinds())
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_metric_of_classes_or_labels_is_built_where_torchmetrics_has_it(name: str, target: Target) -> None:
    if name in (ONLY_FOR_CLASSES if isinstance(target, MultiLabel) else ONLY_FOR_LABELS):
        with pytest.raises(UserError) as caught:
            build_metric(name, target)
        assert str(caught.value) == f"metrics: {name!r} is not defined for {fitting(target)}"
        return
    prefix = "Multilabel" if isinstance(target, MultiLabel) else "Binary" if len(target.names) == 2 else "Multiclass"
    assert type(build_metric(name, target)).__name__ == prefix + CLASSIFICATION[name]
    assert list(measured(target, name)) == [name]


@pytest.mark.parametrize("target", kinds())
@pytest.mark.parametrize("suffix", AVERAGES)
@pytest.mark.parametrize("name", sorted(CLASSIFICATION.keys() - WITH_AVERAGE))
def test_a_suffix_on_a_metric_without_an_average_is_refused(name: str, suffix: str, target: Target) -> None:
    with pytest.raises(UserError) as caught:
        build_metric(name + suffix, target)
    if name in (ONLY_FOR_CLASSES if isinstance(target, MultiLabel) else ONLY_FOR_LABELS):
        assert str(caught.value) == f"metrics: '{name}{suffix}' is not defined for {fitting(target)}"
    else:
        assert str(caught.value) == f"metrics: '{name}{suffix}' has no average: use '{name}'"


@pytest.mark.parametrize("target", kinds())
@pytest.mark.parametrize("suffix", ["_macro", "_micro", "_weighted"])
@pytest.mark.parametrize("name", sorted(WITH_AVERAGE))
def test_a_metric_with_an_average_takes_each_suffix(name: str, suffix: str, target: Target) -> None:
    if suffix == "_micro" and name in ("auroc", "average_precision") and isinstance(target, Classification):
        with pytest.raises(UserError):  # torchmetrics has no micro average of them for classes
            build_metric(name + suffix, target)
        return
    assert build_metric(name + suffix, target).average == suffix[1:]
    values = measured(target, name + suffix)
    assert list(values) == [name + suffix]
    assert math.isfinite(values[name + suffix])


@pytest.mark.parametrize("target", kinds())
@pytest.mark.parametrize("name", sorted(WITH_AVERAGE))
def test_values_per_class_are_named_after_the_classes(name: str, target: Target) -> None:
    assert list(measured(target, f"{name}_per_class")) == [f"{name}/{c}" for c in target.names]


def test_the_value_of_a_single_label_is_named_after_it() -> None:
    assert list(measured(MultiLabel(1, ["spam"]), "f1_per_class")) == ["f1/spam"]


def test_the_values_of_several_numbers_are_named_after_the_numbers() -> None:
    assert list(measured(Regression(2, ["x", "y"]), "pearson")) == ["pearson/x", "pearson/y"]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_a_metric_of_regression_is_built_for_each_number_of_targets(name: str, size: int) -> None:
    target = Regression(size)
    assert type(build_metric(name, target)) is REGRESSION[name][0]
    metrics, (outputs, wanted) = SplitMetrics(target, [name]), split(target)
    metrics.update(torch.zeros(len(outputs)), outputs, wanted)
    values = metrics.compute()
    several = size > 1 and name in ("pearson", "spearman")  # torchmetrics has no average of them
    names = [f"{name}/{label}" for label in target.names] if several else [name]
    assert set(values) == {"loss", "mae", *names}
    assert all(math.isfinite(v) for v in values.values())


@pytest.mark.parametrize("target", kinds())
@pytest.mark.parametrize("name", ["f2", "f1_mean", "_macro", "rmse", ""])
def test_an_unknown_metric_of_classes_or_labels_is_refused(name: str, target: Target) -> None:
    with pytest.raises(UserError) as caught:
        build_metric(name, target)
    assert str(caught.value) == (
        f"metrics: {name!r} is not a metric of {fitting(target)}; "
        "_macro, _micro, _weighted, _per_class after the name chooses an average"
    )


@pytest.mark.parametrize("name", ["f1", "mse_macro", ""])
def test_an_unknown_metric_of_regression_is_refused(name: str) -> None:
    with pytest.raises(UserError) as caught:
        build_metric(name, Regression(2))
    assert str(caught.value) == (f"metrics: {name!r} is not a metric of regression: use {', '.join(REGRESSION)}")


def test_two_classes_are_measured_on_the_second_one() -> None:
    target = Classification(2)
    outputs, classes = (t.numpy() for t in split(target))
    predicted, scores = (outputs[:, 0] > 0).astype(int), outputs[:, 0]
    wanted = {
        "accuracy": sklearn.accuracy_score(classes, predicted),
        "auroc": sklearn.roc_auc_score(classes, scores),
        "average_precision": sklearn.average_precision_score(classes, scores),
        "f1": sklearn.f1_score(classes, predicted),
        "precision": sklearn.precision_score(classes, predicted),
        "recall": sklearn.recall_score(classes, predicted),
    }
    assert measured(target, *wanted) == pytest.approx(wanted, rel=1e-5)  # float32


def test_averages_of_two_classes() -> None:
    target = Classification(2)
    outputs, classes = (t.numpy() for t in split(target))
    predicted = (outputs[:, 0] > 0).astype(int)
    wanted = {f"f1_{a}": sklearn.f1_score(classes, predicted, average=a) for a in ("macro", "micro", "weighted")}
    wanted |= {f"f1/{c}": sklearn.f1_score(classes, predicted, pos_label=c) for c in (0, 1)}
    names = ["f1_macro", "f1_micro", "f1_weighted", "f1_per_class"]
    assert measured(target, *names) == pytest.approx(wanted, rel=1e-5)  # float32


def test_several_classes_are_measured_by_the_macro_average() -> None:
    target = Classification(3)
    outputs, classes = split(target)
    probabilities, predicted = outputs.double().softmax(dim=1).numpy(), outputs.argmax(dim=1).numpy()
    one_hot = np.eye(3)[classes]
    wanted = {
        "accuracy": sklearn.balanced_accuracy_score(classes, predicted),  # the mean of the classes' recalls
        "accuracy_micro": sklearn.accuracy_score(classes, predicted),
        "auroc": sklearn.roc_auc_score(classes, probabilities, multi_class="ovr"),
        "average_precision": sklearn.average_precision_score(one_hot, probabilities, average="macro"),
        "f1": sklearn.f1_score(classes, predicted, average="macro"),
        "f1_weighted": sklearn.f1_score(classes, predicted, average="weighted"),
    }
    assert measured(target, *wanted) == pytest.approx(wanted, rel=1e-5)  # float32


def test_values_per_class_are_those_of_each_class_against_the_others() -> None:
    target = Classification(3, NAMES)
    outputs, classes = split(target)
    predicted, one_hot = outputs.argmax(dim=1).numpy(), np.eye(3)[classes]
    f1 = sklearn.f1_score(classes, predicted, average=None)
    ap = sklearn.average_precision_score(one_hot, outputs.double().softmax(dim=1).numpy(), average=None)
    wanted = {f"f1/{n}": v for n, v in zip(NAMES, f1, strict=True)}
    wanted |= {f"average_precision/{n}": v for n, v in zip(NAMES, ap, strict=True)}
    assert measured(target, "f1_per_class", "average_precision_per_class") == pytest.approx(wanted, rel=1e-5)  # float32


def test_labels_are_measured_each_on_its_own() -> None:
    target = MultiLabel(3, NAMES)
    outputs, labels = (t.numpy() for t in split(target))
    predicted = (outputs > 0).astype(int)
    wanted = {
        "accuracy": (predicted == labels).mean(axis=0).mean(),
        "auroc": sklearn.roc_auc_score(labels, outputs, average="macro"),
        "average_precision": sklearn.average_precision_score(labels, outputs, average="macro"),
        "f1": sklearn.f1_score(labels, predicted, average="macro"),
        "exact_match": sklearn.accuracy_score(labels, predicted),
    }
    wanted |= {f"f1/{n}": v for n, v in zip(NAMES, sklearn.f1_score(labels, predicted, average=None), strict=True)}
    ours = measured(target, "accuracy", "auroc", "average_precision", "f1", "exact_match", "f1_per_class")
    assert ours == pytest.approx(wanted, rel=1e-5)  # float32


@pytest.mark.parametrize("size", [1, 3])
def test_numbers_are_measured_over_the_whole_split(size: int) -> None:
    target = Regression(size)
    outputs, wanted_numbers = (t.double().numpy() for t in split(target))
    wanted = {
        "explained_variance": sklearn.explained_variance_score(wanted_numbers, outputs),
        "mape": sklearn.mean_absolute_percentage_error(wanted_numbers, outputs),
        "mse": sklearn.mean_squared_error(wanted_numbers, outputs),
        "r2": sklearn.r2_score(wanted_numbers, outputs),  # the mean over the numbers
        "rmse": sklearn.mean_squared_error(wanted_numbers, outputs) ** 0.5,  # over all numbers
    }
    assert measured(target, *wanted) == pytest.approx(wanted, rel=1e-4)  # float32; r2 subtracts nearly equal sums


def test_a_target_without_a_second_dimension_is_measured_alike() -> None:
    target = Regression(1)
    outputs, numbers = split(target)
    flat, deep = (SplitMetrics(target, ["r2", "rmse", "spearman"]) for _ in range(2))
    flat.update(torch.zeros(len(outputs)), outputs, numbers[:, 0])
    deep.update(torch.zeros(len(outputs)), outputs, numbers)
    assert flat.compute() == deep.compute()


def test_the_mean_absolute_error_by_name_keeps_the_scores_precision() -> None:
    target = Regression(1)
    metrics, (outputs, numbers) = SplitMetrics(target, ["mae"]), split(target)
    metrics.update(torch.zeros(len(outputs)), outputs, numbers)
    assert metrics.compute()["mae"].dtype == torch.float64


@pytest.mark.parametrize("name", sorted(REGRESSION))
@pytest.mark.parametrize("size", [1, 2])
def test_a_metric_that_needs_two_samples_is_left_out_for_one(name: str, size: int) -> None:
    metrics = SplitMetrics(Regression(size), [name])
    metrics.update(torch.ones(1), torch.ones(1, size), 3 * torch.ones(1, size))
    values = metrics.compute()
    assert set(values) == ({"loss", "mae"} if name in CORRELATIONS else {"loss", "mae", name})
    metrics.update(torch.ones(1), torch.zeros(1, size), torch.ones(1, size))
    assert len(metrics.compute()) == len({"loss", "mae", name}) + (size > 1 and name in ("pearson", "spearman"))


@pytest.mark.parametrize(
    "target", [Classification(3), MultiLabel(3), Regression(2)], ids=["classes", "labels", "numbers"]
)
def test_batches_that_wait_are_counted_as_if_they_had_not(target: Target) -> None:
    """The same bits, also where the sums are read in between, as a checkpoint does."""
    at_once, waiting, read = (SplitMetrics(target, []) for _ in range(3))
    for i in range(2 * BATCHES + 3):
        outputs, wanted = split(target)
        part, losses = slice(0, 1 + i % len(outputs)), torch.rand(1 + i % len(outputs))
        at_once.update(losses, outputs[part], wanted[part])
        for metrics in (waiting, read):
            metrics.add(losses.sum(), outputs[part], wanted[part])
        assert not i % 7 or all(map(torch.equal, read.metric_state.values(), at_once.metric_state.values()))
    assert bool(waiting.waiting) is isinstance(target, Classification)
    assert waiting.compute() == read.compute() == at_once.compute()
    assert waiting.update_count == at_once.update_count


def test_a_step_may_change_what_it_gave_in_place() -> None:
    metrics, loss = SplitMetrics(Classification(2), []), torch.tensor(2.0)
    outputs, classes = torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 0])
    metrics.add(loss, outputs, classes)
    loss += 1
    outputs *= -1
    classes.fill_(7)
    assert metrics.compute() == {"loss": 1, "acc": 1}  # 2 over two samples, both right


def test_batches_whose_targets_have_other_shapes_are_left_to_the_check_of_targets() -> None:
    metrics = SplitMetrics(Classification(2), [])
    for classes in (torch.zeros(4).long(), torch.zeros(4, 1).long()):
        metrics.add(torch.zeros(()), torch.zeros(4, 1), classes)
    metrics.count_waiting()
    assert metrics.count == 8


CASES: list[tuple[Callable[[], Target], str]] = [
    (lambda: Classification(2), "auroc"),
    (lambda: Classification(3), "f1"),
    (lambda: MultiLabel(3), "jaccard"),
    (lambda: Regression(1), "r2"),
]


@pytest.mark.parametrize(("build", "name"), CASES, ids=[name for _, name in CASES])
def test_reset_forgets_the_last_epoch(build: Callable[[], Target], name: str) -> None:
    target = build()
    metrics, (outputs, wanted) = SplitMetrics(target, [name]), split(target)
    metrics.update(torch.ones(len(outputs)), -outputs, wanted)  # another epoch
    before = metrics.compute()
    metrics.reset()
    assert metrics.count == 0
    metrics.update(torch.zeros(len(outputs)), outputs, wanted)
    after = metrics.compute()
    assert before[name] != after[name]
    assert float(after["loss"]) == 0
    # float32, summed in another order than in ragged batches
    assert float(after[name]) == pytest.approx(measured(target, name)[name], rel=1e-5)


def test_metrics_are_beside_loss_and_score() -> None:
    target = Classification(3)
    metrics, (outputs, classes) = SplitMetrics(target, ["f1", "auroc"]), split(target)
    for o, y in zip(torch.split(outputs, SIZES), torch.split(classes, SIZES), strict=True):
        metrics.update(torch.arange(len(o)).float(), o, y)
    values = metrics.compute()
    assert list(values) == ["loss", "acc", "f1", "auroc"]
    assert float(values["loss"]) == pytest.approx((21 + 0 + 10) / 13)  # 0 + … + 6, 0, 0 + … + 4
    assert float(values["acc"]) == pytest.approx(float((outputs.argmax(dim=1) == classes).float().mean()))


def test_a_metric_of_torchmetrics_exists_for_each_name() -> None:
    for kind in CLASSIFICATION.values():
        assert hasattr(torchmetrics.classification, f"Multiclass{kind}"), kind
