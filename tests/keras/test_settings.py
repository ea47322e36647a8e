"""Settings of single layers, what is left out with a word about it, and what the user decides."""

import json
from pathlib import Path
from typing import Any

import pytest

from lit_models.keras.architecture import exported_layers, understand
from lit_models.keras.files import Refused
from lit_models.keras_import import read_file
from tests.keras.stacks import FLAT, cell, conv, dense, drop, embed, keras_tests, named, refusal, sequential

pytestmark = keras_tests

IMAGE, OUT = (12, 12, 1), dense(3, "softmax")


def saved_json(*layers: tuple[str, dict[str, Any]], shape: tuple[int | None, ...] = (5,)) -> dict[str, Any]:
    """The JSON of a model as `.keras` has it."""
    import keras

    keras.utils.clear_session()
    serialized = keras.saving.serialize_keras_object(sequential(shape, *layers))
    description: dict[str, Any] = json.loads(json.dumps(serialized))
    return description


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("units", 0, "with units 0, which is no whole number above 0"),
        ("units", "9", "with units '9', which is no whole number above 0"),
        ("units", True, "with units True, which is no whole number above 0"),
        ("units", None, "with units None, which is no whole number above 0"),
        ("activation", ["relu"], "with activation 'relu', which is no name of Keras' own, and code is never run"),
        ("lora_rank", 4, "with lora_rank 4, a setting that is not known here"),
        ("dtype", "int8", "in int8; float32 and float64 can be read"),
    ],
)
def test_a_setting_of_another_form_is_refused(key: str, value: Any, text: str) -> None:
    description = saved_json(named(dense(3, "softmax")))
    description["config"]["layers"][1]["config"][key] = value
    with pytest.raises(Refused) as caught:
        understand(description)
    assert str(caught.value) == f"has the layer 'it' (Dense) {text}"


def test_a_setting_that_is_off_or_missing() -> None:
    description = saved_json(named(dense(3, "softmax")))
    config = description["config"]["layers"][1]["config"]
    config |= {"a_new_switch": False, "a_new_object": None, "a_new_number": 0}
    assert understand(description).settings["num_classes"] == 3
    del config["units"]
    with pytest.raises(Refused, match=r"^has the layer 'it' \(Dense\) without the setting units$"):
        understand(description)


def test_the_softmax_of_old_tensorflow_is_a_softmax() -> None:
    description = saved_json(dense(3, "softmax"))
    description["config"]["layers"][1]["config"]["activation"] = "softmax_v2"
    assert understand(description).layers[-1].settings["activation"] == "softmax"


@pytest.mark.parametrize("as_list", [True, False])
def test_a_sequential_model_without_an_input_layer_has_its_shape_in_the_first(as_list: bool) -> None:
    """As before Keras 2.2, whose config was the list of layers alone."""
    description = saved_json(conv(2), FLAT, OUT, shape=IMAGE)
    _, first, *rest = description["config"]["layers"]
    first["config"]["batch_input_shape"] = [None, *IMAGE]
    description["config"] = [first, *rest] if as_list else {"name": "old", "layers": [first, *rest]}
    assert understand(description).settings["image_size"] == 12


def test_a_model_without_any_shape_is_refused() -> None:
    description = saved_json(dense(3, "softmax"))
    description["config"] = {"layers": description["config"]["layers"][1:]}
    with pytest.raises(Refused) as caught:
        understand(description)
    text = (
        "has the layer 'input' (InputLayer) with batch_shape None, which is no shape that the model says of its input"
    )
    assert str(caught.value) == text


def test_two_layers_of_one_name_are_refused() -> None:
    description = saved_json(dense(4, "relu"), dense(3, "softmax"))
    first, second = description["config"]["layers"][1:]
    second["config"]["name"] = first["config"]["name"]
    with pytest.raises(Refused, match=r"^has two layers of one name$"):
        understand(description)


def test_a_linear_output_that_was_trained_to_measure_is_refused(tmp_path: Path) -> None:
    model = sequential((5,), named(dense(1)))
    for suffix in (".keras", ".h5"):
        model.compile("adam", "mse")
        path = tmp_path / f"model{suffix}"
        text = f"{path} was trained with mse on the linear layer 'it' (Dense), and LitMLP classifies"
        assert refusal(model, path) == text
        import keras

        model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        model.save(path)
        assert read_file(path, None, None)[0].settings["num_classes"] == 2


def test_another_model_than_the_one_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = sequential(IMAGE, conv(2), FLAT, OUT)
    assert (
        refusal(model, path, wanted="LitRNN")
        == f"{path} has layers of the class Conv2D, so it is a LitCNN and no LitRNN"
    )
    assert read_file(path, "LitCNN", None)[0].model == "LitCNN"


def test_one_rate_in_place_of_the_files_is_the_users_word(tmp_path: Path) -> None:
    model = sequential(
        (9,),
        embed(),
        ("SpatialDropout1D", {"rate": 0.2}),
        cell("LSTM", 4, dropout=0.2, recurrent_dropout=0.1),
        drop(0.7),
        OUT,
    )
    model.save(path := tmp_path / "model.keras")
    architecture, _ = read_file(path, None, 0.4)
    assert architecture.settings["dropout"] == 0.4
    assert architecture.notes == ["dropout is 0.4 at LitRNN's own places, whatever the file has"]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    import keras

    keras.utils.clear_session()
    regular = named(dense(4, "relu", kernel_regularizer="l2"), "regular")
    model = sequential(
        (28, 28), ("Rescaling", {"scale": 1 / 255, "name": "scale"}), FLAT, regular, named(dense(2, "softmax"), "out")
    )
    model.get_layer("out").trainable = False
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.save(path := tmp_path / "model.keras")
    assert read_file(path, None, None)[0].notes == [
        "the layer 'scale' (Rescaling) is left out: images are 0 to 1 here already",
        "the layer 'out' (Dense) has two outputs, and here one, their difference: the same probabilities",
        "frozen in Keras, and trained on here: out",
        "regularizers and constraints are not taken over: regular",
        "the file's optimizer sgd is not taken over: training goes on with keras_adam",
    ]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "LitBERT"}, "LitBERT has no counterpart among Keras' layers; LitMLP, LitCNN, LitRNN have"),
        (
            {"name": "LitTransformer"},
            "LitTransformer has no counterpart among Keras' layers; LitMLP, LitCNN, LitRNN have",
        ),
        (
            {"name": "LitMLP", "num_classes": 3, "loss": "half_squared_error"},
            "3 classes with loss half_squared_error are independent outputs: no classes for Keras",
        ),
        (
            {"name": "LitRNN", "num_classes": 2, "loss": "cross_entropy", "mask_padding": True, "padding_id": 5},
            "mask_padding works in Keras for the padding token 0, and here it is 5",
        ),
    ],
)
def test_a_network_without_a_counterpart_in_keras_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        exported_layers(settings.pop("name"), settings)
