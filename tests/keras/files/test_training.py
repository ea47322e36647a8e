"""How training continues after an import: the file's optimizer, learning rate and loss, and notes on differences."""

from pathlib import Path
from typing import Any

import pytest

from lit_models.keras.architecture import understand
from lit_models.keras.files.training import Training, read_training
from lit_models.keras.importing import import_model
from tests.keras.stacks import dense, embed, keras_tests, named, saved_json, sequential

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

OUT = dense(3, "softmax")
OTHER = "keras_rmsprop"


def training_of(compiled: dict[str, Any]) -> Training:
    return read_training(compiled, default_optimizer=OTHER)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_settings_of_an_optimizer_are_taken_over(suffix: str, tmp_path: Path) -> None:
    import keras

    optimizers, path = keras.optimizers, tmp_path / f"model{suffix}"
    model, loss = sequential((5,), OUT), "sparse_categorical_crossentropy"
    odd = {"beta_1": 0.5, "epsilon": 1e-3, "clipnorm": 1.0, "amsgrad": True, "weight_decay": 0.1}
    centered: dict[str, Any] = {"rho": 0.99, "centered": True}
    averaged: dict[str, Any] = {"clipvalue": 2.0, "use_ema": True}
    for optimizer, name, lr, settings in (
        (optimizers.Adam(0.01), "keras_adam", 0.01, {}),
        (optimizers.RMSprop(0.02), "keras_rmsprop", 0.02, {}),
        (optimizers.SGD(0.03), "sgd", 0.03, {}),
        (optimizers.Adam(0.01, **odd), "keras_adam", 0.01, odd),
        (optimizers.AdamW(0.01), "keras_adamw", 0.01, {}),
        (optimizers.AdamW(0.01, weight_decay=0.1), "keras_adamw", 0.01, {"weight_decay": 0.1}),
        (optimizers.RMSprop(0.02, **centered), "keras_rmsprop", 0.02, centered),
        (optimizers.SGD(0.03, momentum=0.9, nesterov=True), "keras_sgd", 0.03, {"momentum": 0.9, "nesterov": True}),
        (optimizers.SGD(0.03, **averaged), "keras_sgd", 0.03, averaged),
    ):
        model.compile(optimizer, loss)
        model.save(path)
        imported = import_model(path)
        assert (imported.settings["optimizer"], imported.settings["lr"]) == (name, lr)
        assert imported.settings.get("optimizer_settings", {}) == settings
        averages = "the averages of the weights go on, but do not replace the weights at the end of a fit as in Keras"
        assert imported.notes == ([averages] if "use_ema" in settings else [])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_learning_rate_schedule_is_taken_over(suffix: str, tmp_path: Path) -> None:
    import keras

    model = sequential((5,), OUT)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.save(path := tmp_path / f"model{suffix}")
    imported = import_model(path)
    assert imported.notes == []
    assert (imported.settings["optimizer"], imported.settings["lr"]) == ("keras_adam", 1.0)
    decay = {"initial_learning_rate": 0.01, "decay_steps": 10, "decay_rate": 0.9, "staircase": False}
    assert imported.settings["optimizer_settings"] == {"learning_rate": {"kind": "ExponentialDecay", **decay}}


@pytest.mark.parametrize(
    "schedule",
    [
        {"class_name": "Warmup", "registered_name": "mine>Warmup", "config": {"initial_learning_rate": 0.1}},
        {"class_name": "ExponentialDecay", "registered_name": "mine>Decay", "config": {}},
        {"class_name": "ExponentialDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 1}},
        {"class_name": "ExponentialDecay", "config": {"initial_learning_rate": 0.1}},
    ],
)
def test_an_optimizer_with_another_schedule_is_replaced(schedule: dict[str, Any]) -> None:
    training = training_of({"optimizer": {"class_name": "Adam", "config": {"learning_rate": schedule}}})
    name = f"the file's optimizer 'adam' with learning rate {schedule['class_name']!r}"
    assert training == (OTHER, 0.001, {}, [f"{name} is replaced by {OTHER}, lr 0.001"], "")


@pytest.mark.parametrize("kind", ["Adafactor", "Muon", "ScheduleFreeAdamW"])
def test_an_optimizer_without_a_counterpart_is_replaced(kind: str) -> None:
    training = training_of({"optimizer": {"class_name": kind, "config": {"learning_rate": 0.1}}})
    note = f"the file's optimizer {kind.lower()!r} is replaced by {OTHER}, lr 0.001"
    assert training == (OTHER, 0.001, {}, [note], "")


def test_a_setting_that_does_not_exist_here_is_dropped_with_a_note() -> None:
    config = {"learning_rate": 0.1, "decay": 0.01, "momentum": 0.5}
    training = training_of({"optimizer": {"class_name": "SGD", "config": config}})
    note = "settings of the file's optimizer 'sgd' are dropped: decay 0.01"
    assert training == ("keras_sgd", 0.1, {"momentum": 0.5}, [note], "sgd")


def test_a_learning_rate_of_float64_is_not_rounded() -> None:
    """0.1 in float32 is 0.10000000149011612 in float64; 2^-16 is the same number in both."""
    for rate, wanted in ((0.1 / 3, 0.1 / 3), (0.10000000149011612, 0.1), (2**-16, 2**-16)):
        config = {"learning_rate": rate}
        assert training_of({"optimizer": {"class_name": "SGD", "config": config}}).lr == wanted


def test_an_optimizer_by_name_alone_has_keras_default_rate() -> None:
    """Keras' defaults are 0.01 for SGD and 0.001 for Adam and RMSprop."""
    assert training_of({"optimizer": "SGD"}) == ("sgd", 0.01, {}, [], "sgd")
    assert training_of({"optimizer": "adam"}) == ("keras_adam", 0.001, {}, [], "adam")


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ({"class_name": "Adam", "registered_name": "mine>Adam", "module": "keras.optimizers"}, "mine>Adam"),
        ({"class_name": "Adam", "registered_name": None, "module": "mine"}, "Adam"),
        ({"class_name": "mine>Adam"}, "mine>Adam"),
    ],
)
def test_a_custom_optimizer_is_replaced(own: dict[str, Any], name: str) -> None:
    training = training_of({"optimizer": {**own, "config": {"learning_rate": 0.3}}})
    note = f"the file's optimizer {name!r} is replaced by {OTHER}, lr 0.001"
    assert training == (OTHER, 0.001, {}, [note], "")


def test_the_optimizer_of_tensorflow_2_11_is_keras_own() -> None:
    config = {"name": "Adam", "learning_rate": 0.3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "decay": 0.0}
    config |= {"jit_compile": True, "is_legacy_optimizer": False}
    training = training_of({"optimizer": {"class_name": "Custom>Adam", "config": config}})
    assert training == ("keras_adam", 0.3, {}, [], "adam")


def test_an_infinite_learning_rate_is_replaced() -> None:
    compiled = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": float("inf")}}}
    note = f"the file's optimizer 'adam' is replaced by {OTHER}, lr 0.001"
    assert training_of(compiled) == (OTHER, 0.001, {}, [note], "")


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        (["hinge"], "hinge"),
        ({"dense_1": "mse"}, "mse"),
        ({"class_name": "CategoricalFocalCrossentropy", "config": {"gamma": 2.0}}, "CategoricalFocalCrossentropy"),
    ],
)
def test_a_loss_that_is_replaced_is_noted(loss: Any, name: str) -> None:
    assert training_of({"loss": loss}).notes == [f"the file's loss {name!r} is replaced by cross-entropy"]


def test_cross_entropy_is_kept_without_its_smoothing() -> None:
    assert training_of({"loss": "categorical_crossentropy"}).notes == []
    smooth = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}}
    note = "a setting of the file's loss 'CategoricalCrossentropy' is dropped: label_smoothing 0.1"
    assert training_of({"loss": smooth}).notes == [note]


@pytest.mark.parametrize(
    ("kind", "settings", "dropped"),
    [
        ("SparseCategoricalCrossentropy", {"from_logits": True}, None),
        ("SparseCategoricalCrossentropy", {"reduction": "sum"}, "reduction 'sum'"),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "ignore_class 1"),
        ("CategoricalCrossentropy", {"axis": 1}, "axis 1"),
        ("MeanSquaredError", {}, None),
        ("MeanAbsoluteError", {"reduction": "sum"}, "reduction 'sum'"),
    ],
)
def test_settings_of_a_loss_that_are_dropped_are_noted(
    kind: str, settings: dict[str, Any], dropped: str | None
) -> None:
    import keras

    loss = keras.losses.serialize(getattr(keras.losses, kind)(**settings))
    compiled: dict[str, Any] = {"loss": {"out": loss}}
    training = read_training(compiled, default_optimizer=OTHER, classifies="Crossentropy" in kind)
    assert training.notes == ([f"a setting of the file's loss {kind!r} is dropped: {dropped}"] if dropped else [])


def test_a_factor_of_the_loss_is_noted() -> None:
    note = "the factor of the file's loss is dropped: loss_weights [2.0]"
    assert training_of({"loss": "binary_crossentropy", "loss_weights": [2.0]}).notes == [note]


def test_training_settings_inside_a_bidirectional_are_noted() -> None:
    import keras

    inner = keras.layers.LSTM(3, kernel_regularizer="l2", trainable=False)
    layer = ("Bidirectional", {"layer": inner, "name": "both"})
    assert understand(saved_json(embed(), layer, OUT, shape=(9,))).notes == [
        "layers that are frozen in Keras are trainable here: 'both'",
        "regularizers and constraints of layers are dropped (--model LitKeras keeps them): 'both'",
    ]


def test_a_name_in_a_note_is_one_line_of_plain_characters() -> None:
    content = saved_json(named(dense(4, "relu")), OUT)
    content["config"]["layers"][1]["config"] |= {"name": "a\x1b[31m\nb", "trainable": False}
    assert understand(content).notes == ["layers that are frozen in Keras are trainable here: 'a\\x1b[31m\\nb'"]
