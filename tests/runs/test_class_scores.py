"""Precision, recall, F1 and count of each class equal scikit-learn's, over all batches."""

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitMLP
from lit_models.runs.class_scores import MOST_CLASSES, ClassScores
from lit_models.testing.examples import quiet_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
]


def scores_after_a_test(module: LitMLP, inputs: Tensor, target: Tensor, *, split: str = "test") -> dict[str, float]:
    scores = ClassScores(split)
    quiet_trainer(callbacks=[scores]).test(
        module, DataLoader(TensorDataset(inputs, target), batch_size=7), verbose=False
    )
    assert not module.test_metrics.listeners
    return scores.values


def column(values: dict[str, float], score: str) -> list[float]:
    return [value for name, value in values.items() if name.split("/")[1] == score]


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_scores_of_classes_are_scikit_learns(num_classes: int) -> None:
    L.seed_everything(0, verbose=False)
    module = LitMLP(num_features=3, num_classes=num_classes)
    inputs, target = torch.randn(50, 3), torch.randint(num_classes, (50,))
    values = scores_after_a_test(module, inputs, target)
    predicted = module.predictions(module(inputs)).argmax(dim=1)
    expected = precision_recall_fscore_support(target, predicted, labels=range(num_classes), zero_division=np.nan)
    for score, theirs in zip(("precision", "recall", "f1", "count"), expected, strict=True):
        np.testing.assert_allclose(column(values, score), theirs, rtol=1e-12)  # the same divisions of counts


def test_the_scores_of_labels_are_scikit_learns() -> None:
    L.seed_everything(0, verbose=False)
    module = LitMLP(num_features=3, num_classes=3, task="multilabel")
    inputs, target = torch.randn(50, 3), torch.randint(2, (50, 3)).float()
    values = scores_after_a_test(module, inputs, target)
    predicted = module.predictions(module(inputs)) > 0.5
    expected = precision_recall_fscore_support(target.int(), predicted.int(), zero_division=np.nan)
    for score, theirs in zip(("precision", "recall", "f1", "count"), expected, strict=True):
        np.testing.assert_allclose(column(values, score), theirs, rtol=1e-12)


def test_names_have_the_split_the_score_and_the_class() -> None:
    module = LitMLP(num_features=3, num_classes=2, class_names=["cat", "a/b"])
    values = scores_after_a_test(module, torch.zeros(4, 3), torch.tensor([0, 0, 0, 1]))
    assert list(values)[3:5] == ["test/count/cat", "test/precision/a/b"]
    assert values["test/count/cat"] == 3


@pytest.mark.parametrize(
    "module",
    [
        LitMLP(num_features=3, num_classes=MOST_CLASSES + 1),
        LitMLP(num_features=3, task="regression"),
    ],
)
def test_many_classes_and_numbers_have_no_such_table(module: LitMLP) -> None:
    target = torch.zeros(4, dtype=torch.int64 if module.hparams["task"] == "classification" else torch.float32)
    assert scores_after_a_test(module, torch.zeros(4, 3), target) == {}


def test_another_split_is_not_counted() -> None:
    module = LitMLP(num_features=3, num_classes=2)
    assert scores_after_a_test(module, torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), split="val") == {}


class Other(LitMLP):
    """Predicts something else than one probability a class."""

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs[:, :1]


def test_predictions_of_another_shape_are_not_counted() -> None:
    assert (
        scores_after_a_test(Other(num_features=3, num_classes=4), torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
        == {}
    )


class Broken(LitMLP):
    """Cannot predict."""

    def predictions(self, outputs: Tensor) -> Tensor:
        raise RuntimeError("no predictions")


def test_a_test_needs_no_predictions() -> None:
    assert scores_after_a_test(Broken(num_features=3, num_classes=4), torch.zeros(4, 3), torch.zeros(4).long()) == {}
