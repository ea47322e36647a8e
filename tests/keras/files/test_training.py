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
def test_settings_of_an_optimizer_that_are_dropped_are_noted(suffix: str, tmp_path: Path) -> None:
    import keras

    optimizers, path = keras.optimizers, tmp_path / f"model{suffix}"
    model, loss = sequential((5,), OUT), "sparse_categorical_crossentropy"
    odd = optimizers.Adam(0.01, beta_1=0.5, epsilon=1e-3, clipnorm=1.0, amsgrad=True, weight_decay=0.1)
    for optimizer, name, lr, others in (
        (optimizers.Adam(0.01), "keras_adam", 0.01, None),
        (optimizers.RMSprop(0.02), "keras_rmsprop", 0.02, None),
        (optimizers.SGD(0.03), "sgd", 0.03, None),
        (odd, "keras_adam", 0.01, "weight_decay 0.1, clipnorm 1.0, beta_1 0.5, epsilon 0.001, amsgrad True"),
        (optimizers.RMSprop(0.02, rho=0.99, centered=True), "keras_rmsprop", 0.02, "rho 0.99, centered True"),
        (optimizers.SGD(0.03, clipvalue=2.0, use_ema=True), "sgd", 0.03, "clipvalue 2.0, use_ema True"),
    ):
        model.compile(optimizer, loss)
        model.save(path)
        imported = import_model(path)
        assert (imported.settings["optimizer"], imported.settings["lr"]) == (name, lr)
        kind = name.removeprefix("keras_")
        notes = [f"settings of the file's optimizer {kind!r} are dropped: {others}"] if others else []
        assert imported.notes == notes


def test_an_optimizer_with_a_learning_rate_schedule_is_replaced(tmp_path: Path) -> None:
    import keras

    model = sequential((5,), OUT)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    for suffix in (".keras", ".h5"):
        model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
        model.save(path := tmp_path / f"model{suffix}")
        (note,) = import_model(path).notes
        optimizer = "the file's optimizer 'adam' with learning rate 'ExponentialDecay'"
        assert note == f"{optimizer} is replaced by keras_adam, lr 0.001"


def test_an_optimizer_by_name_alone_has_keras_default_rate() -> None:
    """Keras' defaults are 0.01 for SGD and 0.001 for Adam and RMSprop."""
    assert training_of({"optimizer": "SGD"}) == ("sgd", 0.01, [])
    assert training_of({"optimizer": "adam"}) == ("keras_adam", 0.001, [])


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
    assert training == (OTHER, 0.001, [f"the file's optimizer {name!r} is replaced by {OTHER}, lr 0.001"])


def test_the_optimizer_of_tensorflow_2_11_is_keras_own() -> None:
    config = {"name": "Adam", "learning_rate": 0.3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "decay": 0.0}
    config |= {"jit_compile": True, "is_legacy_optimizer": False}
    assert training_of({"optimizer": {"class_name": "Custom>Adam", "config": config}}) == ("keras_adam", 0.3, [])


def test_an_infinite_learning_rate_is_replaced() -> None:
    compiled = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": float("inf")}}}
    assert training_of(compiled) == (OTHER, 0.001, [f"the file's optimizer 'adam' is replaced by {OTHER}, lr 0.001"])


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


def test_training_settings_inside_a_bidirectional_are_noted() -> None:
    import keras

    inner = keras.layers.LSTM(3, kernel_regularizer="l2", trainable=False)
    layer = ("Bidirectional", {"layer": inner, "name": "both"})
    assert understand(saved_json(embed(), layer, OUT, shape=(9,))).notes == [
        "layers that are frozen in Keras are trainable here: 'both'",
        "regularizers and constraints of layers are dropped: 'both'",
    ]


def test_a_name_in_a_note_is_one_line_of_plain_characters() -> None:
    content = saved_json(named(dense(4, "relu")), OUT)
    content["config"]["layers"][1]["config"] |= {"name": "a\x1b[31m\nb", "trainable": False}
    assert understand(content).notes == ["layers that are frozen in Keras are trainable here: 'a\\x1b[31m\\nb'"]
