"""The layers of a model in the order in which they compute, from the JSON of all versions of Keras."""

from typing import Any

import pytest

from lit_models.keras.architecture import understand
from lit_models.keras.files.errors import KerasFileError
from tests.keras.stacks import FLAT, conv, dense, keras_tests, saved_json

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

IMAGE, OUT = (12, 12, 1), dense(3, "softmax")


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(KerasFileError) as caught:
        understand(content)
    return str(caught.value)


@pytest.mark.parametrize("as_list", [True, False])
def test_a_sequential_model_without_an_input_layer_has_its_shape_in_the_first(as_list: bool) -> None:
    """Before Keras 2.2, the config was only the list of layers."""
    content = saved_json(conv(2), FLAT, OUT, shape=IMAGE)
    _, first, *rest = content["config"]["layers"]
    first["config"]["batch_input_shape"] = [None, *IMAGE]
    content["config"] = [first, *rest] if as_list else {"name": "old", "layers": [first, *rest]}
    assert understand(content).settings["image_size"] == 12


@pytest.mark.parametrize("shape", [[None, 14, 1], [14, None, 1], [14, 14, None]])
def test_images_of_any_size_are_refused(shape: list[int | None]) -> None:
    content = saved_json(conv(2), FLAT, OUT, shape=IMAGE)
    content["config"]["layers"][0]["config"]["batch_shape"] = [None, *shape]
    assert refusal(content) == f"the input has shape {tuple(shape)}; LitCNN needs images of one size: (28, 28, 1)"


def test_a_model_without_any_shape_is_refused() -> None:
    content = saved_json(dense(3, "softmax"))
    content["config"] = {"layers": content["config"]["layers"][1:]}
    text = "layer 'input' (InputLayer) has batch_shape None; expected a shape"
    assert refusal(content) == text


def test_two_layers_of_one_name_are_refused() -> None:
    content = saved_json(dense(4, "relu"), dense(3, "softmax"))
    first, second = content["config"]["layers"][1:]
    second["config"]["name"] = first["config"]["name"]
    assert refusal(content) == "two layers have the same name"


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([], "layer 'mask' must read the layer before it and nothing else; only a plain chain of layers is supported"),
        ([[["x"]]], "the connections of layer 'mask' are not those of a Keras model"),
    ],
    ids=["none", "short"],
)
def test_nodes_of_another_form_are_refused(nodes: list[Any], text: str) -> None:
    entries = [
        {"class_name": "InputLayer", "name": "in", "config": {"batch_shape": [None, 9], "name": "in"}},
        {"class_name": "NotEqual", "name": "mask", "config": {"name": "mask"}, "inbound_nodes": nodes},
        {"class_name": "Embedding", "name": "words", "config": {"mask_zero": True}, "inbound_nodes": nodes},
    ]
    config = {"layers": entries, "input_layers": [["in", 0, 0]], "output_layers": [["words", 0, 0]]}
    assert refusal({"class_name": "Functional", "config": config}) == text


def test_a_model_with_two_outputs_is_refused() -> None:
    import keras

    keras.utils.clear_session()
    inputs = keras.Input((5,), name="in")
    hidden = keras.layers.Dense(4, name="hidden")(inputs)
    outputs = keras.layers.Dense(3, name="out")(hidden)
    content = keras.saving.serialize_keras_object(keras.Model(inputs, [hidden, outputs]))
    text = "the model's output layers are [['hidden', 0, 0], ['out', 0, 0]]; only a plain chain of layers is supported"
    assert refusal(content) == text
