"""Settings of single layers, what is left out with a word about it, and what the user decides."""

import json
from pathlib import Path
from typing import Any

import pytest

from lit_models.keras.architecture import exported_layers, understand
from lit_models.keras.files import Refused
from lit_models.keras.layers import Layer
from lit_models.keras.models import random_inputs
from lit_models.keras_import import read_file, with_training
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
        ("activation", ["relu"], "with activation ['relu'], which is no name of Keras' own, and code is never run"),
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


def test_linear_outputs_that_were_trained_as_labels_of_their_own_are_refused(tmp_path: Path) -> None:
    import keras

    model = sequential((5,), named(dense(3)))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        for loss, name in (
            (keras.losses.BinaryCrossentropy(from_logits=True), "BinaryCrossentropy"),
            ("binary_crossentropy", "binary_crossentropy"),
        ):
            model.compile("adam", loss)
            text = (
                f"was trained with {name} on the 3 linear outputs of the layer 'it' (Dense): each is a label of its own"
            )
            assert refusal(model, path) == f"{path} {text}, and LitMLP gives one class of several"
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.save(path)
        assert read_file(path, None, None)[0].settings["num_classes"] == 3


@pytest.mark.parametrize(
    ("shape", "layers", "scale"),
    [
        ((13,), [dense(4, "relu")], 1 / 255),
        ((5,), [embed(), cell("LSTM", 3)], 1 / 255),
        ((6, 6), [FLAT], float("nan")),
    ],
    ids=["a table", "tokens", "no number"],
)
def test_a_scale_of_anything_but_images_is_refused(
    shape: tuple[int, ...], layers: list[tuple[str, dict[str, Any]]], scale: float
) -> None:
    description = saved_json(named(("Rescaling", {"scale": 1.0})), *layers, OUT, shape=shape)
    description["config"]["layers"][1]["config"]["scale"] = scale
    with pytest.raises(Refused) as caught:
        understand(description)
    text = "that does not bring an input of 0 to 255 to 0 to 1, as images have here"
    assert str(caught.value) == f"has the layer 'it' (Rescaling) {text}"


def test_a_row_that_is_an_image_for_a_moment_stays_a_row() -> None:
    form = ("Reshape", {"target_shape": (2, 2, 3)})
    architecture = understand(saved_json(form, FLAT, dense(4, "relu"), OUT, shape=(12,)))
    assert architecture.settings["num_features"] == 12
    assert [layer.kind for layer in architecture.layers] == ["InputLayer", "Dense", "Dense"]
    assert architecture.layers[0].settings["batch_shape"] == (None, 12)


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


@pytest.mark.parametrize(("shape", "samples"), [((5,), 32), ((1024, 2048, 1), 8), ((4096, 4096), 1)])
def test_large_inputs_are_compared_on_fewer_samples(shape: tuple[int, ...], samples: int) -> None:
    """2**24 numbers at most: 2**24 / 2**21 = 8, 2**24 / 2**24 = 1."""
    inputs = [Layer("InputLayer", {"batch_shape": (None, *shape)})]
    assert random_inputs(inputs, "float32").shape == (samples, *shape)


def test_inputs_as_large_as_memory_are_refused() -> None:
    text = "inputs of 400,000,000 numbers are too large to compare outputs on: at most 16,777,216"
    with pytest.raises(ValueError, match=f"^{text}$"):
        random_inputs([Layer("InputLayer", {"batch_shape": (None, 20000, 20000, 1)})], "float32")


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
        "frozen in Keras, and trained on here: 'out'",
        "regularizers and constraints are not taken over: 'regular'",
        "the file's optimizer 'sgd' is not taken over: training goes on with keras_adam, lr 0.001",
    ]


def test_what_directions_say_of_training_is_said() -> None:
    import keras

    inner = keras.layers.LSTM(3, kernel_regularizer="l2", trainable=False)
    both = ("Bidirectional", {"layer": inner, "name": "both"})
    assert understand(saved_json(embed(), both, OUT, shape=(9,))).notes == [
        "frozen in Keras, and trained on here: 'both'",
        "regularizers and constraints are not taken over: 'both'",
    ]


def test_a_name_in_a_note_is_one_line_of_plain_characters() -> None:
    description = saved_json(dense(4, "relu"), OUT)
    description["config"]["layers"][1]["config"] |= {"name": "a\x1b[31m\nb", "trainable": False}
    assert understand(description).notes == ["frozen in Keras, and trained on here: 'a\\x1b[31m\\nb'"]


def test_a_linear_output_without_a_loss_is_said_to_be_logits() -> None:
    description = saved_json(dense(4, "relu"), named(dense(3)))
    text = "the file names no loss: the linear output of the layer 'it' (Dense) is read as logits of classes"
    assert understand(description).notes == [text]
    assert understand({**description, "compile_config": {"loss": "categorical_crossentropy"}}).notes == []


def test_a_dropout_without_a_place_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        understand(saved_json(OUT), dropout=0.3)
    text = "has no hidden layer, and LitMLP has dropout behind those alone: --dropout 0.3 has no place"
    assert str(caught.value) == text
    assert understand(saved_json(OUT), dropout=0.0).settings["dropout"] == 0.0


@pytest.mark.parametrize("nodes", [[], [[["x"]]]], ids=["none", "short"])
def test_nodes_of_another_form_are_refused(nodes: list[Any]) -> None:
    entries = [
        {"class_name": "InputLayer", "name": "in", "config": {"batch_shape": [None, 9], "name": "in"}},
        {"class_name": "NotEqual", "name": "mask", "config": {"name": "mask"}, "inbound_nodes": nodes},
        {"class_name": "Embedding", "name": "words", "config": {"mask_zero": True}, "inbound_nodes": nodes},
    ]
    config = {"layers": entries, "input_layers": [["in", 0, 0]], "output_layers": [["words", 0, 0]]}
    with pytest.raises(Refused, match=r"^(is no plain chain: the|has nodes of the) layer 'mask' (reads|that are) "):
        understand({"class_name": "Functional", "config": config})


@pytest.mark.parametrize(
    ("key", "value", "known"), [("activation", None, "tanh"), ("use_bias", None, True)], ids=["linear", "no bias"]
)
def test_a_null_with_a_meaning_is_no_default(key: str, value: Any, known: Any) -> None:
    description = saved_json(embed(), named(cell("SimpleRNN", 3)), OUT, shape=(9,))
    description["config"]["layers"][2]["config"][key] = value
    with pytest.raises(Refused) as caught:
        understand(description)
    assert str(caught.value) == f"has the layer 'it' (SimpleRNN) with {key} None; only {known!r} is known here"


@pytest.mark.parametrize("limit", [0.0, 6.0])
def test_a_relu_with_a_limit_is_refused(limit: float) -> None:
    with pytest.raises(Refused) as caught:
        understand(saved_json(dense(4), named(("ReLU", {"max_value": limit})), OUT))
    assert str(caught.value) == f"has the layer 'it' (ReLU) with max_value {limit}; only None is known here"


def training_of(compiled: dict[str, Any]) -> tuple[Any, Any, list[str]]:
    """Optimizer, learning rate and notes of a perceptron with such a `compile_config`."""
    description = {**saved_json(dense(4, "relu"), dense(3, "softmax")), "compile_config": compiled}
    architecture = with_training(understand(description), description)
    return architecture.settings["optimizer"], architecture.settings["lr"], architecture.notes


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_setting_of_an_optimizer_that_is_not_taken_over_is_said(suffix: str, tmp_path: Path) -> None:
    import keras

    made, path = keras.optimizers, tmp_path / f"model{suffix}"
    model, loss = sequential((5,), dense(3, "softmax")), "sparse_categorical_crossentropy"
    odd = made.Adam(0.01, beta_1=0.5, epsilon=1e-3, clipnorm=1.0, amsgrad=True, weight_decay=0.1)
    for optimizer, name, lr, others in (
        (made.Adam(0.01), "keras_adam", 0.01, None),
        (made.RMSprop(0.02), "keras_rmsprop", 0.02, None),
        (made.SGD(0.03), "sgd", 0.03, None),
        (odd, "keras_adam", 0.01, "weight_decay 0.1, clipnorm 1.0, beta_1 0.5, epsilon 0.001, amsgrad True"),
        (made.RMSprop(0.02, rho=0.99, centered=True), "keras_rmsprop", 0.02, "rho 0.99, centered True"),
        (made.SGD(0.03, clipvalue=2.0, use_ema=True), "sgd", 0.03, "clipvalue 2.0, use_ema True"),
    ):
        model.compile(optimizer, loss)
        model.save(path)
        architecture, _ = read_file(path, None, None)
        assert (architecture.settings["optimizer"], architecture.settings["lr"]) == (name, lr)
        kind = name.removeprefix("keras_")
        told = [f"of the file's optimizer {kind!r} is not taken over: {others}"] if others else []
        assert architecture.notes == told


def test_a_learning_rate_schedule_is_not_taken_over(tmp_path: Path) -> None:
    import keras

    model = sequential((5,), dense(3, "softmax"))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    for suffix in (".keras", ".h5"):
        model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
        model.save(path := tmp_path / f"model{suffix}")
        (note,) = read_file(path, None, None)[0].notes
        text = "the file's optimizer 'adam' with the learning rate 'ExponentialDecay' is not taken over"
        assert note == f"{text}: training goes on with keras_adam, lr 0.001"


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ({"class_name": "Adam", "registered_name": "mine>Adam", "module": "keras.optimizers"}, "mine>Adam"),
        ({"class_name": "Adam", "registered_name": None, "module": "mine"}, "Adam"),
        ({"class_name": "mine>Adam"}, "mine>Adam"),
    ],
)
def test_an_optimizer_of_the_users_is_not_keras_own(own: dict[str, Any], name: str) -> None:
    optimizer, lr, notes = training_of({"optimizer": {**own, "config": {"learning_rate": 0.3}}})
    assert (optimizer, lr) == ("keras_adam", 0.001)
    assert notes == [f"the file's optimizer {name!r} is not taken over: training goes on with keras_adam, lr 0.001"]


def test_the_optimizer_of_tensorflow_2_11_is_keras_own() -> None:
    config = {"name": "Adam", "learning_rate": 0.3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "decay": 0.0}
    config |= {"jit_compile": True, "is_legacy_optimizer": False}
    assert training_of({"optimizer": {"class_name": "Custom>Adam", "config": config}}) == ("keras_adam", 0.3, [])


def test_a_learning_rate_without_end_is_not_taken_over() -> None:
    compiled = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": float("inf")}}}
    note = "the file's optimizer 'adam' is not taken over: training goes on with keras_adam, lr 0.001"
    assert training_of(compiled) == ("keras_adam", 0.001, [note])


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        (["hinge"], "hinge"),
        ({"dense_1": "mse"}, "mse"),
        ({"class_name": "CategoricalFocalCrossentropy", "config": {"gamma": 2.0}}, "CategoricalFocalCrossentropy"),
    ],
)
def test_a_loss_that_is_not_taken_over_is_said(loss: Any, name: str) -> None:
    note = f"the file's loss {name!r} is not taken over: training goes on with cross-entropy"
    assert training_of({"loss": loss})[2] == [note]


def test_cross_entropy_is_taken_over_without_its_smoothing() -> None:
    assert training_of({"loss": "categorical_crossentropy"})[2] == []
    smooth = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}}
    note = "of the file's loss 'CategoricalCrossentropy' is not taken over: label_smoothing 0.1"
    assert training_of({"loss": smooth})[2] == [note]


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
