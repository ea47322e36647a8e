"""What the data tell a model, and which settings a checkpoint fixes."""

from typing import Any

import lightning as L
import pytest
from jsonargparse import Namespace

from datamodules import DataSpec, IMDBDataModule, TextDataModule, UserError, XORDataModule
from lit_models import LitBERT, LitClassifier, LitMLP, LitRNN
from lit_models.cli.pairing import (
    Derived,
    changed_settings,
    check_pair,
    data_settings,
    model_settings,
    without_derived,
)


class Numbers(L.LightningDataModule):
    """Data of a stranger's with a spec."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self._spec = spec

    def spec(self) -> DataSpec:
        return self._spec


def namespace(content: dict[str, Any]) -> Namespace:
    """Nested mappings as the parser has them."""
    return Namespace(**{k: namespace(v) if isinstance(v, dict) else v for k, v in content.items()})  # type: ignore[no-untyped-call]


def told(model: type, settings: dict[str, Any], spec: DataSpec, **typed: Any) -> dict[str, Any]:
    return model_settings(model, settings | typed, typed, Numbers(spec), advice="leave it out")


def test_a_model_receives_the_sizes_that_its_constructor_names() -> None:
    spec = DataSpec(num_features=3, num_classes=4, vocab_size=9)
    assert told(LitMLP, {"num_features": 784, "num_classes": 10, "lr": 1.0}, spec) == {
        "num_features": 3,
        "num_classes": 4,
    }
    assert model_settings(LitMLP, {"num_features": 784}, {}, L.LightningDataModule(), advice="") == {}


def test_a_value_that_was_set_and_disagrees_is_refused_unless_it_is_recommended() -> None:
    spec = DataSpec(num_features=3, mask_padding=True, class_names=["a" * 80, "b"])
    assert told(LitMLP, {}, spec, num_features=3) == {"num_features": 3}
    with pytest.raises(UserError) as caught:
        told(LitMLP, {}, spec, num_features=784)
    assert str(caught.value) == "model.num_features is 784, but the data say 3: leave it out"
    assert "mask_padding" not in told(LitRNN, {}, spec, mask_padding=False)
    with pytest.raises(UserError) as caught:
        told(LitMLP, {}, spec, class_names=["c"])
    shown = f"{str(['a' * 80, 'b'])[:56]} …"  # a long value is cut
    assert str(caught.value) == f"model.class_names is ['c'], but the data say {shown!r}: leave it out"


def test_a_models_own_argument_of_that_name_is_left_alone() -> None:
    class Stranger(L.LightningModule):
        """Its tokenizer, config and checkpoint are its own matter."""

    settings = {"tokenizer": "mine", "config": {"a": 1}, "checkpoint": "x.pt"}
    assert told(Stranger, settings, DataSpec(tokenizer="words", num_classes=2)) == {}
    pair = (Stranger, settings)
    assert data_settings(TextDataModule, {"tokenizer": "words"}, {}, set(), pair) == {}


def test_data_take_the_tokenizer_of_a_pretrained_model_unless_it_is_set() -> None:
    pair = (LitBERT, {"checkpoint": "bert-base-uncased"})
    assert data_settings(TextDataModule, {"tokenizer": "words"}, {}, set(), pair) == {"tokenizer": "bert-base-uncased"}
    assert data_settings(TextDataModule, {"tokenizer": "words"}, {"tokenizer": "words"}, set(), pair) == {}
    assert data_settings(IMDBDataModule, {}, {}, set(), pair) == {}
    with pytest.raises(UserError) as caught:
        told(LitBERT, {"checkpoint": "gpt2"}, DataSpec(tokenizer="words"))
    assert str(caught.value) == "'gpt2' needs its own token ids, and the data have those of 'words'"


def test_targets_that_a_classifier_cannot_learn_are_refused() -> None:
    class LitMine(LitClassifier):
        """Classifies."""

    with pytest.raises(UserError) as caught:
        told(LitMine, {"num_classes": 2}, DataSpec(task="regression", num_targets=1))
    assert str(caught.value) == "Numbers has targets for regression, and LitMine classifies"
    assert told(LitMLP, {"task": "classification"}, DataSpec(task="regression")) == {"task": "regression"}


def test_the_folder_of_the_environment_is_for_our_data_and_below_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_DATA", "somewhere")
    pair: tuple[type, dict[str, Any]] = (LitRNN, {})
    settings = {"data_dir": None}
    assert data_settings(IMDBDataModule, settings, {}, set(), pair) == {"data_dir": "somewhere"}
    assert data_settings(IMDBDataModule, settings, {"data_dir": "c"}, set(), pair) == {"data_dir": "somewhere"}
    assert data_settings(IMDBDataModule, settings, {}, {"--data.data_dir"}, pair) == {}
    assert data_settings(L.LightningDataModule, settings, {}, set(), pair) == {}
    assert data_settings(XORDataModule, {}, {}, set(), pair) == {}


def test_a_pair_that_declares_nothing_is_not_refused() -> None:
    check_pair(L.LightningModule, XORDataModule)
    check_pair(LitMLP, L.LightningDataModule)
    with pytest.raises(UserError, match=r"LitRNN reads tokens, but XORDataModule gives features: models that fit are"):
        check_pair(LitRNN, XORDataModule)


def test_a_setting_that_the_weights_depend_on_cannot_change() -> None:
    stored = {"data": {"class_path": "x", "init_args": {"num_words": 50, "batch_size": 8, "inputs": None}}}
    section = {"class_path": "x", "init_args": {"num_words": 50, "batch_size": 9, "inputs": ["a"]}}
    now = namespace({"data": section})
    note = "note: data.batch_size is 9, and was 8 when the checkpoint was made"
    assert changed_settings(stored, now, IMDBDataModule) == [note]
    now.data.init_args.num_words = 60
    with pytest.raises(UserError) as caught:
        changed_settings(stored, now, IMDBDataModule)
    assert str(caught.value) == "data.num_words is 60, but the checkpoint was trained with 50: leave it out"
    assert len(changed_settings(stored, now, L.LightningDataModule)) == 2


def test_a_stored_config_leaves_out_what_was_derived() -> None:
    model = {"class_path": "m", "init_args": {"num_classes": 3, "lr": 0.1}}
    data = {"class_path": "d", "init_args": {"seed": 3}}
    config = namespace({"model": model, "data": data, "ckpt_path": "x.ckpt", "config": ["a.yaml"]})
    stored = without_derived(config, Derived(model={"num_classes"}, data={"seed"}))
    assert vars(stored.model.init_args) == {"lr": 0.1}
    assert vars(stored.data.init_args) == {}
    assert stored.ckpt_path is None
    assert "config" not in stored
