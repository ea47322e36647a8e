"""The measures of a page against scikit-learn's and against sums by hand, on the same arrays."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, precision_score, r2_score, recall_score, roc_auc_score

from lit_models.report import measures
from tests.report.samples import classes, labels, numbers, of


def test_classes_are_measured_as_scikit_learn_does() -> None:
    evaluation = classes()
    rows = measures.by_class(evaluation)
    truth, predicted = evaluation.targets, evaluation.predictions.argmax(axis=1)
    settings = {"average": None, "labels": [0, 1, 2]}
    assert [row.precision for row in rows] == pytest.approx(precision_score(truth, predicted, **settings))
    assert [row.recall for row in rows] == pytest.approx(recall_score(truth, predicted, **settings))
    assert [row.f1 for row in rows] == pytest.approx(f1_score(truth, predicted, **settings))
    areas = [roc_auc_score(truth == i, evaluation.predictions[:, i]) for i in range(3)]
    assert [row.auroc for row in rows] == pytest.approx(areas)
    assert [row.samples for row in rows] == np.bincount(truth).tolist()
    shown = dict(measures.headline(evaluation))
    assert shown["accuracy"] == pytest.approx((truth == predicted).mean())
    assert shown["F1, macro"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert shown["AUROC, macro"] == pytest.approx(np.mean(areas))


def test_labels_are_measured_one_by_one() -> None:
    evaluation = labels()
    rows = measures.by_class(evaluation)
    for i, row in enumerate(rows):
        truth, scores = evaluation.targets[:, i], evaluation.predictions[:, i]
        assert row.f1 == pytest.approx(f1_score(truth, scores > 0.5))
        assert row.auroc == pytest.approx(roc_auc_score(truth, scores))
    right = (evaluation.targets == (evaluation.predictions > 0.5)).all(axis=1)
    assert dict(measures.headline(evaluation))["all labels right"] == pytest.approx(right.mean())


def test_a_single_label_is_measured_too() -> None:
    evaluation = labels(("red",))
    (row,) = measures.by_class(evaluation)
    assert row.f1 == pytest.approx(f1_score(evaluation.targets[:, 0], evaluation.predictions[:, 0] > 0.5))
    assert row.samples == int(evaluation.targets.sum())


def test_numbers_are_measured_as_scikit_learn_does() -> None:
    evaluation = numbers(("a", "b"))
    for i, row in enumerate(measures.of_numbers(evaluation)):
        true, predicted = evaluation.targets[:, i], evaluation.predictions[:, i]
        assert row["mae"] == pytest.approx(mean_absolute_error(true, predicted))
        assert row["rmse"] == pytest.approx(((true - predicted) ** 2).mean() ** 0.5)
        assert row["r2"] == pytest.approx(r2_score(true, predicted))
        assert row["bias"] == pytest.approx((predicted - true).mean())


def test_a_class_without_samples_has_no_numbers() -> None:
    evaluation = of(
        ("a", "b", "c"), np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), task="classification"
    )
    missing = measures.by_class(evaluation)[2]
    assert np.isnan([missing.precision, missing.recall, missing.f1, missing.auroc]).all()
    assert missing.samples == 0


def test_the_calibration_error_is_the_mean_distance_over_the_bins() -> None:
    # Four samples are 0.9 sure and three of them right: |0.75 - 0.9| = 0.15. Two are 0.6 sure and none is right: 0.6.
    # Over six samples: (4 * 0.15 + 2 * 0.6) / 6 = 0.3.
    sure = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    evaluation = of(("a", "b"), np.array([0, 0, 0, 1, 1, 1]), sure, task="classification")
    found = measures.calibration(evaluation)
    assert found.error == pytest.approx(0.3)
    assert found.probability.tolist() == pytest.approx([0.6, 0.9])
    assert found.frequency.tolist() == pytest.approx([0.0, 0.75])
    assert (found.counts.sum(), found.counts[8], found.counts[13]) == (6, 0, 4)  # 0.9 is in the bin from 13/15
    assert found.counts[9] == 2  # and 0.6 in the one from 9/15


def test_the_confusion_matrix_has_a_row_per_true_class() -> None:
    evaluation = of(
        ("a", "b"), np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), task="classification"
    )
    assert measures.confusion(evaluation).tolist() == [[1, 1], [0, 1]]


def test_a_probability_just_above_1_is_not_taken_for_a_logit() -> None:
    evaluation = classes()
    predictions = evaluation.predictions.copy()
    predictions[0] = [1.0, 0.0, 0.0]
    exact = measures.calibration(replace(evaluation, predictions=predictions)).error
    predictions[0, 0] = 1 + 2e-7
    assert measures.calibration(replace(evaluation, predictions=predictions)).error == exact
