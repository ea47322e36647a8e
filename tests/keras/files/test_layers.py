"""The settings of single layers: which values are read, which are ignored, and which are refused."""

from typing import Any

import pytest

from lit_models.keras.architecture import understand
from lit_models.keras.files.errors import KerasFileError
from tests.keras.stacks import cell, dense, embed, keras_tests, named, saved_json

pytestmark = keras_tests

OUT = dense(3, "softmax")


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(KerasFileError) as caught:
        understand(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("units", 0, "has units 0; expected a whole number above 0"),
        ("units", "9", "has units '9'; expected a whole number above 0"),
        ("units", True, "has units True; expected a whole number above 0"),
        ("units", None, "has units None; expected a whole number above 0"),
        (
            "activation",
            ["relu"],
            "has activation ['relu']; expected the name of a Keras function (code in a file is never run)",
        ),
        ("lora_rank", 4, "has lora_rank 4; this setting is not supported"),
        ("dtype", "int8", "computes in int8; float32 and float64 are supported"),
        ("use_bias", {"class_name": "mine"}, "has use_bias 'mine', an object; only True is supported"),
    ],
)
def test_a_setting_of_another_form_is_refused(key: str, value: Any, text: str) -> None:
    content = saved_json(named(dense(3, "softmax")))
    content["config"]["layers"][1]["config"][key] = value
    assert refusal(content) == f"layer 'it' (Dense) {text}"


@pytest.mark.parametrize(
    ("layer", "key", "value", "text"),
    [
        (("Dropout", {"rate": 0.5}), "rate", 1.5, "a number from 0 to below 1"),
        (("Rescaling", {"scale": 1.0}), "scale", "x", "a number"),
        (embed(), "mask_zero", 1, "true or false"),
        (("Reshape", {"target_shape": (5,)}), "target_shape", [], "a shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_setting_of_each_kind_says_what_it_expects(
    layer: tuple[str, dict[str, Any]], key: str, value: Any, text: str
) -> None:
    content = saved_json(named(layer), dense(4, "relu"), OUT)
    content["config"]["layers"][1]["config"][key] = value
    assert refusal(content) == f"layer 'it' ({layer[0]}) has {key} {value!r}; expected {text}"


def test_a_setting_that_is_off_is_ignored_and_a_missing_one_refused() -> None:
    content = saved_json(named(dense(3, "softmax")))
    config = content["config"]["layers"][1]["config"]
    config |= {"a_new_switch": False, "a_new_object": None, "a_new_number": 0}
    assert understand(content).settings["num_classes"] == 3
    del config["units"]
    assert refusal(content) == "layer 'it' (Dense) has no setting units"


def test_the_softmax_of_old_tensorflow_is_a_softmax() -> None:
    content = saved_json(dense(3, "softmax"))
    content["config"]["layers"][1]["config"]["activation"] = "softmax_v2"
    assert understand(content).layers[-1].settings["activation"] == "softmax"


@pytest.mark.parametrize(
    ("key", "value", "supported"), [("activation", None, "tanh"), ("use_bias", None, True)], ids=["linear", "no bias"]
)
def test_a_null_with_a_meaning_is_refused(key: str, value: Any, supported: Any) -> None:
    content = saved_json(embed(), named(cell("SimpleRNN", 3)), OUT, shape=(9,))
    content["config"]["layers"][2]["config"][key] = value
    assert refusal(content) == f"layer 'it' (SimpleRNN) has {key} None; only {supported!r} is supported"


@pytest.mark.parametrize("limit", [0.0, 6.0])
def test_a_relu_with_a_limit_is_refused(limit: float) -> None:
    content = saved_json(dense(4), named(("ReLU", {"max_value": limit})), OUT)
    assert refusal(content) == f"layer 'it' (ReLU) has max_value {limit}; only None is supported"


def bidirectional_json(**settings: Any) -> dict[str, Any]:
    """A model with a Bidirectional LSTM, with some of its settings replaced."""
    import keras

    layer = ("Bidirectional", {"layer": keras.layers.LSTM(3), "name": "it"})
    content = saved_json(embed(), layer, OUT, shape=(9,))
    content["config"]["layers"][2]["config"] |= settings
    return content


def test_a_bidirectional_with_an_unknown_setting_or_another_layer_inside_is_refused() -> None:
    text = "layer 'it' (Bidirectional) has a_new_switch True; this setting is not supported"
    assert refusal(bidirectional_json(a_new_switch=True)) == text
    inner = {"class_name": "Dense", "config": {"name": "inside", "units": 3}}
    text = "layer 'it' (Bidirectional) wraps Dense; only SimpleRNN, LSTM, GRU are supported"
    assert refusal(bidirectional_json(layer=inner)) == text


@pytest.mark.parametrize(
    ("shape", "layers", "scale"),
    [
        ((13,), [dense(4, "relu")], 1 / 255),
        ((5,), [embed(), cell("LSTM", 3)], 1 / 255),
        ((6, 6), [("Flatten", {})], float("nan")),
    ],
    ids=["a table", "tokens", "NaN"],
)
def test_a_rescaling_of_anything_but_images_is_refused(
    shape: tuple[int, ...], layers: list[tuple[str, dict[str, Any]]], scale: float
) -> None:
    content = saved_json(named(("Rescaling", {"scale": 1.0})), *layers, OUT, shape=shape)
    content["config"]["layers"][1]["config"]["scale"] = scale
    text = "layer 'it' (Rescaling) is supported only at the input of images, to scale 0…255 to 0…1"
    assert refusal(content) == text
