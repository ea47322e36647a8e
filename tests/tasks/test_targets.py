"""Losses, scores, predictions and messages of each kind of target, by arithmetic and against torch's functions."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.targets import (
    TARGETS,
    Classification,
    LossName,
    MultiLabel,
    Regression,
    Target,
    num_logits,
    shape_of,
)

LOG3 = math.log(3)  # its sigmoid is 3/4


def close(ours: Tensor, wanted: list[float]) -> None:
    # a few roundings in float32
    torch.testing.assert_close(ours, torch.tensor(wanted), rtol=1e-6, atol=1e-7)


def test_every_task_has_its_target() -> None:
    assert {"classification": Classification, "multilabel": MultiLabel, "regression": Regression} == TARGETS


@pytest.mark.parametrize(
    ("target", "outputs"),
    [(Classification(2), 1), (Classification(3), 3), (MultiLabel(1), 1), (MultiLabel(2), 2), (Regression(4), 4)],
)
def test_number_of_outputs(target: Target, outputs: int) -> None:
    assert target.num_outputs == outputs


@pytest.mark.parametrize(
    ("target", "score", "dtype", "monitor"),
    [
        (Classification(2), "acc", torch.int64, ("val/acc", "max")),
        (MultiLabel(2), "acc", torch.float64, ("val/loss", "min")),
        (Regression(2), "mae", torch.float64, ("val/loss", "min")),
    ],
)
def test_each_kind_has_its_score_and_the_metric_of_its_best_epoch(
    target: Target, score: str, dtype: torch.dtype, monitor: tuple[str, str]
) -> None:
    assert (target.score, target.score_dtype, target.monitor) == (score, dtype, monitor)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [(Classification, "cross_entropy"), (MultiLabel, "cross_entropy"), (Regression, "squared_error")],
)
def test_the_first_loss_is_the_default(kind: type[Target], loss: LossName) -> None:
    assert kind(3).loss == loss


@pytest.mark.parametrize(
    ("target", "sums"),
    [
        (Classification(3), False),
        (Classification(3, loss="half_squared_error"), True),
        (MultiLabel(3), False),
        (Regression(3, loss="huber"), False),
    ],
)
def test_only_half_squared_error_is_summed_over_a_batch(target: Target, sums: bool) -> None:
    assert target.sums_over_batch is sums


def test_one_output_of_two_classes() -> None:
    target, outputs, classes = Classification(2), torch.tensor([[LOG3], [LOG3], [-LOG3]]), torch.tensor([1, 0, 1])
    close(target.sample_losses(outputs, classes), [-math.log(3 / 4), -math.log(1 / 4), -math.log(1 / 4)])
    assert target.scores(outputs, classes).tolist() == [True, False, False]
    torch.testing.assert_close(
        target.predictions(outputs), torch.tensor([[1 / 4, 3 / 4], [1 / 4, 3 / 4], [3 / 4, 1 / 4]])
    )


def test_an_output_of_zero_is_the_first_class() -> None:
    assert Classification(2).scores(torch.zeros(2, 1), torch.tensor([0, 1])).tolist() == [True, False]


def test_several_outputs_are_a_softmax() -> None:
    target, outputs, classes = Classification(3), torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(target.sample_losses(outputs, classes), F.cross_entropy(outputs, classes, reduction="none"))
    assert torch.equal(target.scores(outputs, classes), outputs.argmax(dim=1) == classes)
    assert torch.equal(target.predictions(outputs), outputs.softmax(dim=1))


def test_half_squared_error_of_one_output() -> None:
    target, outputs, classes = (
        Classification(2, loss="half_squared_error"),
        torch.tensor([[LOG3], [LOG3], [0.0]]),
        torch.tensor([1, 0, 1]),
    )
    # half the squares of 3/4 - 1, of 3/4, and of 1/2 - 1
    close(target.sample_losses(outputs, classes), [1 / 32, 9 / 32, 4 / 32])
    assert target.scores(outputs, classes).tolist() == [True, False, False]
    torch.testing.assert_close(
        target.predictions(outputs), torch.tensor([[1 / 4, 3 / 4], [1 / 4, 3 / 4], [1 / 2, 1 / 2]])
    )


def test_half_squared_error_of_several_outputs_is_against_the_one_hot_target() -> None:
    target, outputs = Classification(3, loss="half_squared_error"), torch.tensor([[LOG3, 0.0, -LOG3]])  # 3/4, 1/2, 1/4
    # class 0: (1/16 + 1/4 + 1/16) / 2; class 2: (9/16 + 1/4 + 9/16) / 2
    close(target.sample_losses(outputs, torch.tensor([0])), [3 / 16])
    close(target.sample_losses(outputs, torch.tensor([2])), [11 / 16])
    close(target.predictions(outputs)[0], [3 / 4, 1 / 2, 1 / 4])  # independent sigmoids: their sum is 3/2
    assert target.scores(outputs, torch.tensor([0])).tolist() == [True]


def test_the_loss_of_labels_is_the_mean_over_the_labels() -> None:
    target, outputs, labels = MultiLabel(2), torch.tensor([[LOG3, -LOG3], [LOG3, 0.0]]), torch.tensor([[1, 1], [0, 1]])
    # first the mean of -ln(3/4) and -ln(1/4), then that of -ln(1/4) and -ln(1/2)
    close(target.sample_losses(outputs, labels), [math.log(16 / 3) / 2, math.log(8) / 2])


def test_the_loss_of_labels_is_torchs() -> None:
    outputs, labels = torch.randn(4, 3), torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])
    losses = [F.binary_cross_entropy_with_logits(o, y) for o, y in zip(outputs, labels, strict=True)]
    torch.testing.assert_close(MultiLabel(3).sample_losses(outputs, labels), torch.stack(losses))


def test_the_score_of_labels_is_the_fraction_that_is_right() -> None:
    outputs = torch.tensor([[1.0, -1.0, 1.0, 0.0], [-1.0, -1.0, -1.0, -1.0]])  # 0 is "not chosen"
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    scores = MultiLabel(4).scores(outputs, labels)
    assert (scores.tolist(), scores.dtype) == ([3 / 4, 0.0], torch.float64)


def test_predictions_of_labels_are_independent_sigmoids() -> None:
    close(MultiLabel(3).predictions(torch.tensor([[LOG3, 0.0, -LOG3]]))[0], [3 / 4, 1 / 2, 1 / 4])


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("squared_error", [1 / 4, 4, 9]),
        ("absolute_error", [1 / 2, 2, 3]),
        ("huber", [1 / 8, 3 / 2, 5 / 2]),  # half the square up to 1, and the distance - 1/2 above
    ],
)
@pytest.mark.parametrize("shape", [(3,), (3, 1)], ids=["(B,)", "(B, 1)"])
def test_losses_of_one_number(loss: LossName, wanted: list[float], shape: tuple[int, ...]) -> None:
    outputs, numbers = torch.tensor([[1.5], [0.0], [5.0]]), torch.tensor([1.0, 2.0, 2.0]).reshape(shape)  # 1/2, 2, 3
    target = Regression(1, loss=loss)
    close(target.sample_losses(outputs, numbers), wanted)
    scores = target.scores(outputs, numbers)  # the absolute error, whatever the loss
    assert (scores.tolist(), scores.dtype) == ([1 / 2, 2.0, 3.0], torch.float64)


@pytest.mark.parametrize(
    ("loss", "function"), [("squared_error", F.mse_loss), ("absolute_error", F.l1_loss), ("huber", F.huber_loss)]
)
def test_losses_of_several_numbers_are_means_over_the_numbers(loss: LossName, function: Callable[..., Tensor]) -> None:
    outputs, numbers = 3 * torch.randn(5, 4), torch.randn(5, 4)
    wanted = torch.stack([function(o, y) for o, y in zip(outputs, numbers, strict=True)])
    torch.testing.assert_close(Regression(4, loss=loss).sample_losses(outputs, numbers), wanted)
    mae = (outputs - numbers).double().abs().mean(dim=1)
    torch.testing.assert_close(Regression(4, loss=loss).scores(outputs, numbers), mae)


def test_predictions_of_a_regression_are_its_outputs() -> None:
    outputs = torch.randn(3, 2)
    assert torch.equal(Regression(2).predictions(outputs), outputs)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (Classification(2), ["0", "1"]),
        (Classification(3), ["0", "1", "2"]),
        (MultiLabel(2), ["0", "1"]),
        (Regression(1), ["value"]),
        (Regression(2), ["0", "1"]),
        (Classification(2, ["cat", "dog"]), ["cat", "dog"]),
        (Regression(1, ["price"]), ["price"]),
    ],
)
def test_names_are_numbers_unless_they_are_given(target: Target, names: list[str]) -> None:
    assert target.names == names


@pytest.mark.parametrize(
    ("target", "prediction", "row", "line"),
    [
        (
            Classification(2, ["cat", "horse"]),
            [0.75, 0.25],
            {"label": "cat", "probability": 0.75, "p(cat)": 0.75, "p(horse)": 0.25},
            "cat    0.7500",  # as wide as the longest name
        ),
        (
            Classification(3, ["a", "two\nlines", "c"]),
            [0.125, 0.75, 0.125],
            {"label": "two\nlines", "probability": 0.75, "p(a)": 0.125, "p(two\nlines)": 0.75, "p(c)": 0.125},
            "two lines  0.7500",
        ),
        (
            MultiLabel(3, ["a", "b", "c"]),
            [0.75, 0.5, 0.625],  # exactly 1/2 is not chosen
            {"labels": "a;c", "p(a)": 0.75, "p(b)": 0.5, "p(c)": 0.625},
            "a 0.7500, c 0.6250",
        ),
        (MultiLabel(2, ["a", "b"]), [0.25, 0.5], {"labels": "", "p(a)": 0.25, "p(b)": 0.5}, "no label"),
        (Regression(1), [2.5], {"value": 2.5}, "value 2.5"),
        (
            Regression(2, ["x", "y"]),
            [1234567.0, -0.125],
            {"x": 1234567.0, "y": -0.125},
            "x 1.23457e+06  y -0.125",  # six digits
        ),
    ],
)
def test_one_prediction_as_a_row_and_as_a_line(
    target: Target, prediction: list[float], row: dict[str, object], line: str
) -> None:
    assert target.row(prediction) == row
    assert list(target.row(prediction)) == list(row)  # the order of the columns
    assert target.line(prediction) == line


@pytest.mark.parametrize("kind", [Classification, MultiLabel, Regression])
def test_another_number_of_values_than_names_is_an_error_of_the_program(kind: type[Target]) -> None:
    with pytest.raises(ValueError, match=r"^zip\(\) argument 2 is longer than argument 1$"):
        kind(2).row([0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: Classification(3, loss="huber"),
            "loss huber does not fit classification: use cross_entropy or half_squared_error",
        ),
        (
            lambda: MultiLabel(3, loss="half_squared_error"),
            "loss half_squared_error does not fit multilabel: use cross_entropy",
        ),
        (
            lambda: Regression(3, loss="cross_entropy"),
            "loss cross_entropy does not fit regression: use squared_error or absolute_error or huber",
        ),
        (lambda: Classification(3, ["a", "b"]), "2 names for 3 outputs of classification: ['a', 'b']"),
        (lambda: Classification(2, ["a"]), "1 names for 2 outputs of classification: ['a']"),
        (lambda: MultiLabel(1, ["a", "b"]), "2 names for 1 outputs of multilabel: ['a', 'b']"),
        (lambda: Regression(2, ["a"]), "1 names for 2 outputs of regression: ['a']"),
        (lambda: Classification(2, []), "0 names for 2 outputs of classification: []"),
        (lambda: Regression(1, []), "0 names for 1 outputs of regression: []"),
        (lambda: Classification(1), "num_classes must be at least 2, got 1"),
        (lambda: num_logits(0), "num_classes must be at least 2, got 0"),
        (lambda: MultiLabel(0), "num_classes must be at least 1 label, got 0"),
        (lambda: Regression(0), "num_targets must be at least 1, got 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(build: Callable[[], object], text: str) -> None:
    with pytest.raises(UserError) as caught:
        build()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("target", "batch"),
    [
        (Classification(2), torch.tensor([0, 1])),
        (Classification(3), torch.tensor([2, 0], dtype=torch.uint8)),
        (Classification(3), torch.zeros(0, dtype=torch.int64)),
        (MultiLabel(2), torch.tensor([[0.0, 1.0]])),
        (MultiLabel(2), torch.tensor([[0, 1]])),
        (Regression(1), torch.zeros(2)),
        (Regression(1), torch.zeros(2, 1)),
        (Regression(3), torch.zeros(2, 3, dtype=torch.float64)),
    ],
)
def test_a_target_that_fits_has_no_mismatch(target: Target, batch: Tensor) -> None:
    assert target.mismatch(batch) is None


@pytest.mark.parametrize(
    ("target", "batch", "text"),
    [
        (Classification(3), torch.zeros(2), "float32 (B,), and a class is int64 (B,): see --model.task"),
        (
            Classification(3),
            torch.zeros(2, 3, dtype=torch.int64),
            "int64 (B, 3), and a class is int64 (B,): see --model.task",
        ),
        (
            Classification(3),
            torch.tensor([0, 3]),
            "class 3, and the model has the classes 0 to 2: set --model.num_classes 4 or more",
        ),
        (Classification(3), torch.tensor([-1, 2]), "class -1, and the model has the classes 0 to 2"),
        (
            Classification(2),
            torch.tensor([-1, 9]),
            "class 9, and the model has the classes 0 to 1: set --model.num_classes 10 or more",
        ),
        (MultiLabel(2), torch.tensor([0, 1]), "int64 (B,), and labels are float (B, L) of 0 and 1: see --model.task"),
        (MultiLabel(2), torch.zeros(2, 3), "3 labels, and the model has 2: set --model.num_classes"),
        (MultiLabel(2), torch.tensor([[0.0, 0.5]]), "other numbers than 0 and 1"),
        (MultiLabel(2), torch.tensor([[0.0, math.nan]]), "other numbers than 0 and 1"),
        (
            Regression(1),
            torch.tensor([0, 1]),
            "int64 (B,), and a target of regression is float (B, D): see --model.task",
        ),
        (
            Regression(1),
            torch.zeros(2, 1, 1),
            "float32 (B, 1, 1), and a target of regression is float (B, D): see --model.task",
        ),
        (Regression(3), torch.zeros(2), "1 numbers, and the model has 3: set --model.num_targets 1"),
        (Regression(1), torch.zeros(2, 4), "4 numbers, and the model has 1: set --model.num_targets 4"),
    ],
)
def test_a_mismatch_says_what_the_data_have_and_which_flag_mends_it(target: Target, batch: Tensor, text: str) -> None:
    assert target.mismatch(batch) == text


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.zeros(5, 3, 32, 32), "float32 (B, 3, 32, 32)"),
        (torch.zeros(5, dtype=torch.int64), "int64 (B,)"),
        (torch.zeros(0, 2, dtype=torch.bool), "bool (B, 2)"),
    ],
)
def test_a_shape_in_words(tensor: Tensor, text: str) -> None:
    assert shape_of(tensor) == text


@pytest.mark.gpu
@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_a_class_that_does_not_exist_leaves_the_gpu_usable(loss: LossName) -> None:
    target, classes = Classification(3, loss=loss), torch.tensor([0, 7, -1], device="cuda")
    losses = target.sample_losses(torch.randn(3, 3, device="cuda"), classes)
    torch.cuda.synchronize()  # where an index out of range would raise
    assert losses.isfinite().all()
    assert (target.mismatch(classes) or "").startswith("class 7, and the model has the classes 0 to 2")
