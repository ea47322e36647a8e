"""Batches against a model's settings: what is refused, with which message, and what is left alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.batches import BATCHES, TargetCheck, check_batch, parts_of
from lit_models.tasks.targets import Classification, MultiLabel, Regression, Target

IMAGES = {"num_channels": 1, "image_size": 28}
FEATURES = {"num_features": 4}
TOKENS = {"vocab_size": 100}


def message(settings: dict[str, Any], inputs: Any, wanted: Tensor | None = None, target: Target | None = None) -> str:
    """The error of one batch."""
    with pytest.raises(UserError) as caught:
        check_batch(settings, target or Classification(3), inputs, wanted)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        (IMAGES, torch.zeros(2, 1, 28, 28)),
        (FEATURES, torch.zeros(2, 4)),
        (FEATURES, torch.zeros(2, 2, 2)),  # 4 numbers a sample, over two dimensions
        (TOKENS, torch.tensor([[0, 99]])),
        (TOKENS | {"checkpoint": None}, torch.tensor([[0, 99]])),
        ({}, torch.zeros(2, 5, 6, 7)),  # a model without sizes reads everything
    ],
)
def test_a_batch_that_fits_is_taken(settings: dict[str, Any], inputs: Tensor) -> None:
    check_batch(settings, Classification(3), inputs, torch.tensor([0, 2]))


def test_images_of_another_size_are_refused_with_both_shapes_and_the_flags() -> None:
    assert message(IMAGES, torch.zeros(2, 3, 32, 32)) == (
        "the data give images (B, 3, 32, 32), and the model expects images (B, 1, 28, 28): "
        "set --model.num_channels 3 --model.image_size 32"
    )


@pytest.mark.parametrize(
    ("channels", "side"), [(3, 28), (1, 32)], ids=["only the channels differ", "only the size differs"]
)
def test_one_different_number_of_an_image_is_enough(channels: int, side: int) -> None:
    assert message(IMAGES, torch.zeros(2, channels, side, side)) == (
        f"the data give images (B, {channels}, {side}, {side}), and the model expects images (B, 1, 28, 28): "
        f"set --model.num_channels {channels} --model.image_size {side}"
    )


@pytest.mark.parametrize(("height", "width"), [(28, 32), (32, 28)])
def test_images_that_are_not_square_are_refused_with_height_and_width(height: int, width: int) -> None:
    assert message(IMAGES, torch.zeros(2, 1, height, width)) == (
        f"the data give images (B, 1, {height}, {width}), and the model expects images (B, 1, 28, 28): "
        f'set --model.num_channels 1 --model.image_size "[{height},{width}]"'
    )


def test_height_and_width_are_compared_in_this_order() -> None:
    settings = {"num_channels": 3, "image_size": [28, 20]}
    check_batch(settings, Classification(3), torch.zeros(2, 3, 28, 20))
    assert message(settings, torch.zeros(2, 3, 20, 28)) == (
        "the data give images (B, 3, 20, 28), and the model expects images (B, 3, 28, 20): "
        'set --model.num_channels 3 --model.image_size "[20,28]"'
    )


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (torch.zeros(2, 784), "float32 (B, 784)"),
        (torch.zeros(2, 28, 28), "float32 (B, 28, 28)"),
        (torch.zeros(2, dtype=torch.float64), "float64 (B,)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "uint8 (B, 1, 28, 28)"),
    ],
)
def test_inputs_that_are_no_images_are_refused_by_a_model_of_images(inputs: Tensor, shape: str) -> None:
    assert message(IMAGES, inputs) == f"the data give {shape}, and the model expects images (B, 1, 28, 28)"


@pytest.mark.parametrize(
    ("inputs", "shape", "numbers"),
    [
        (torch.zeros(2, 5), "float32 (B, 5)", 5),
        (torch.zeros(2, 1, 3, 3), "float32 (B, 1, 3, 3)", 9),
        (torch.zeros(2, 5, dtype=torch.int64), "int64 (B, 5)", 5),
    ],
)
def test_another_number_of_features_is_refused_with_the_flag(inputs: Tensor, shape: str, numbers: int) -> None:
    assert message(FEATURES, inputs) == (
        f"the data give {shape}, and the model expects 4 numbers a sample: set --model.num_features {numbers}"
    )


def test_integer_features_are_refused() -> None:
    assert message(FEATURES, torch.zeros(2, 4, dtype=torch.int64)) == (
        "the data give int64 (B, 4), and the model expects 4 numbers a sample, "
        "and the model reads floating-point numbers"
    )


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (torch.zeros(2, 5), "float32 (B, 5)"),
        (torch.zeros(2, dtype=torch.int64), "int64 (B,)"),
        (torch.zeros(2, 5, 3, dtype=torch.int64), "int64 (B, 5, 3)"),
    ],
)
def test_inputs_that_are_no_token_ids_are_refused_by_a_model_of_tokens(inputs: Tensor, shape: str) -> None:
    assert message(TOKENS, inputs) == f"the data give {shape}, and the model expects token ids, int64 (B, T)"


@pytest.mark.parametrize("largest", [100, 5000])
def test_a_token_id_outside_the_vocabulary_is_refused_with_the_flag(largest: int) -> None:
    assert message(TOKENS, torch.tensor([[0, 3], [largest, 2]])) == (
        f"the data give the token id {largest}, and the model has 100: set --model.vocab_size {largest + 1}"
    )


def test_a_negative_token_id_is_named_and_no_larger_vocabulary_is_advised() -> None:
    text = message(TOKENS, torch.tensor([[-1, 3]]))
    assert "the token id -1" in text
    assert "--model.vocab_size" not in text


def test_token_ids_of_a_pretrained_model_are_its_own_matter() -> None:
    check_batch(TOKENS | {"checkpoint": "bert-tiny"}, Classification(3), torch.tensor([[5000]]))


@pytest.mark.parametrize("settings", [IMAGES, FEATURES, TOKENS])
def test_a_mapping_of_inputs_is_for_pretrained_models_and_own_networks(settings: dict[str, Any]) -> None:
    inputs, target = {"input_ids": torch.zeros(2, 5, 7)}, torch.tensor([0, 1])
    with pytest.raises(UserError) as caught:
        check_batch(settings, Classification(3), inputs, target)
    assert str(caught.value) == "the data give a mapping with input_ids as inputs, and the model reads a tensor"
    check_batch(TOKENS | {"checkpoint": "bert-tiny"}, Classification(3), inputs, target)
    check_batch({}, Classification(3), inputs, target)


@pytest.mark.parametrize(
    ("batch", "given"),
    [
        ({"x": torch.zeros(2), "y": torch.zeros(2)}, "a mapping with x, y"),
        ((torch.zeros(2), torch.zeros(2), torch.zeros(2)), "3 parts"),
        (torch.zeros(2, 3), "float32 (B, 3)"),
        ((torch.zeros(2), [1, 2]), "a target of type list"),
        (None, "a NoneType"),
    ],
)
def test_a_batch_is_inputs_and_target(batch: Any, given: str) -> None:
    with pytest.raises(UserError) as caught:
        parts_of(batch)
    assert str(caught.value) == f"the data give {given}, and the model reads batches (inputs, target)"


def test_inputs_have_the_precision_of_the_weights() -> None:
    numbers, target = torch.zeros(2, 8, dtype=torch.float64), torch.tensor([0, 1])
    with pytest.raises(UserError) as caught:
        check_batch({"num_features": 8}, Classification(3), numbers, target)
    text = "the data give float64 (B, 8), and the model computes in float32"
    assert str(caught.value) == f"{text}: give float32, or set --trainer.precision 64-true"
    check_batch({"num_features": 8}, Classification(3), numbers, target, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_a_class_is_int64(dtype: torch.dtype) -> None:
    target = torch.tensor([0, 1]).to(dtype)
    with pytest.raises(UserError) as caught:
        check_batch({}, Classification(3), torch.zeros(2, 8), target)
    name = str(dtype).removeprefix("torch.")
    assert str(caught.value) == f"the data's target is {name} (B,), and a class is int64 (B,)"
    check_batch({}, Classification(2), torch.zeros(2, 8), target)  # a single output takes any type


def test_images_with_the_channel_last_are_named() -> None:
    with pytest.raises(UserError, match=r"images \(B, 28, 28, 1\), and .* \(B, 1, 28, 28\): put the channels first$"):
        check_batch({"image_size": 28, "num_channels": 1}, Classification(3), torch.zeros(2, 28, 28, 1))


@pytest.mark.parametrize("settings", [IMAGES, FEATURES, TOKENS])
def test_an_empty_batch_is_left_alone(settings: dict[str, Any]) -> None:
    check_batch(settings, Classification(3), torch.zeros(0, 7, 8), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("target", "wanted", "text"),
    [
        (
            Classification(3),
            torch.tensor([0, 5]),
            "the data's target is class 5, and the model has the classes 0 to 2: set --model.num_classes 6 or more",
        ),
        (
            MultiLabel(3),
            torch.tensor([0, 1]),
            "the data's target is int64 (B,), and labels are float (B, L) of 0 and 1: see --model.task",
        ),
        (
            Regression(1),
            torch.zeros(2, 2),
            "the data's target is 2 numbers, and the model has 1: set --model.num_targets 2",
        ),
    ],
)
def test_a_target_that_does_not_fit_is_refused(target: Target, wanted: Tensor, text: str) -> None:
    assert message(FEATURES, torch.zeros(2, 4), wanted, target) == text


def test_the_target_is_compared_for_a_mapping_too() -> None:
    text = message({}, {"input_ids": torch.zeros(1, 2)}, torch.tensor([3]))
    assert (
        text == "the data's target is class 3, and the model has the classes 0 to 2: set --model.num_classes 4 or more"
    )


def test_inputs_are_compared_before_the_target() -> None:
    text = message(FEATURES, torch.zeros(1, 5), torch.tensor([3]))
    assert text == (
        "the data give float32 (B, 5), and the model expects 4 numbers a sample: set --model.num_features 5"
    )


def test_inputs_are_compared_without_a_target() -> None:
    assert message(TOKENS, torch.tensor([[100]])) == (
        "the data give the token id 100, and the model has 100: set --model.vocab_size 101"
    )


CLASSES = torch.tensor([0, 1])


def test_a_wrong_target_in_a_later_batch_is_refused_at_the_next_look() -> None:
    check = TargetCheck(Classification(2))
    for batch_idx, target in enumerate([CLASSES, CLASSES, torch.tensor([1, 2]), CLASSES]):
        check.add("train", batch_idx, target)
    with pytest.raises(UserError) as caught:
        check.look()
    says = "class 2, and the model has the classes 0 to 1: set --model.num_classes 3 or more"
    assert str(caught.value) == f"the data's target in train batch 3 is {says}"
    check.look()  # nothing is looked at twice


def test_many_targets_are_looked_at_without_being_asked() -> None:
    check = TargetCheck(Classification(2))
    for batch_idx in range(BATCHES - 1):
        check.add("test", batch_idx, torch.tensor([7]))
    with pytest.raises(UserError, match=r"^the data's target in test batch 1 is class 7"):
        check.add("test", BATCHES - 1, CLASSES)
    assert not check.batches


@pytest.mark.parametrize(
    ("target", "good", "bad", "says"),
    [
        (Classification(3), torch.tensor([2]), torch.tensor([-1]), "class -1, and the model has the classes 0 to 2"),
        (MultiLabel(2), torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.5]]), "other numbers than 0 and 1"),
        (MultiLabel(2), torch.tensor([[0, 1]]), torch.tensor([[0, -1]]), "other numbers than 0 and 1"),
        (
            MultiLabel(1),
            torch.tensor([[1.0]]),
            torch.tensor([[1.0, 0.0]]),  # another shape than the first one
            "2 labels, and the model has 1: set --model.num_classes",
        ),
        (
            Regression(1),
            torch.tensor([0.5]),
            torch.tensor([[0.5, 1.0]]),
            "2 numbers, and the model has 1: set --model.num_targets 2",
        ),
    ],
)
def test_each_kind_of_target_is_checked_in_later_batches(target: Target, good: Tensor, bad: Tensor, says: str) -> None:
    check = TargetCheck(target)
    check.add("val", 0, good)
    check.look()
    check.add("val", 1, good)
    check.add("val", 2, bad)
    with pytest.raises(UserError) as caught:
        check.look()
    assert str(caught.value) == f"the data's target in val batch 3 is {says}"


def test_targets_of_several_shapes_that_all_fit_are_taken() -> None:
    check = TargetCheck(Regression(1))
    for batch_idx, target in enumerate([torch.zeros(2), torch.zeros(3, 1), torch.zeros(0, dtype=torch.float64)]):
        check.add("train", batch_idx, target)
    check.look()
