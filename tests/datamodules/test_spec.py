"""The typed description of a dataset, and the optional answers of a data module."""

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import ClassVar

import lightning as L
import pytest

import datamodules
from datamodules import (
    DataModule,
    DataSpec,
    HasChecksums,
    HasFixedSettings,
    HasKind,
    HasPredictNames,
    HasSpec,
    HasTokenizer,
    HasValidation,
    IMDBDataModule,
    TextDataModule,
    XORDataModule,
)
from datamodules.spec import Kind

OURS: list[type[DataModule]] = [getattr(datamodules, name) for name in datamodules.DATA]

ANSWERS: list[type] = [HasSpec, HasValidation, HasChecksums, HasPredictNames]
CLASS_ANSWERS: list[type] = [HasKind, HasTokenizer, HasFixedSettings]


def test_a_model_receives_the_fields_that_are_known_but_never_the_tokenizer() -> None:
    assert DataSpec().for_model() == {"task": "classification"}
    spec = DataSpec(task="regression", num_targets=1, padding_id=0, mask_padding=False, tokenizer="words")
    assert spec.for_model() == {"task": "regression", "num_targets": 1, "padding_id": 0, "mask_padding": False}


def test_a_subclass_may_have_further_fields() -> None:
    @dataclass(frozen=True, kw_only=True)
    class SoundSpec(DataSpec):
        sample_rate: int | None = None

    assert SoundSpec(sample_rate=8000).for_model() == {"task": "classification", "sample_rate": 8000}


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DataSpec().num_classes = 3  # type: ignore[misc]


def test_recommended_fields_are_fields() -> None:
    assert {f.name for f in fields(DataSpec)} > DataSpec.RECOMMENDED == {"mask_padding"}


@pytest.mark.parametrize("data", OURS)
def test_our_data_answer_everything(data: type[DataModule]) -> None:
    assert isinstance(data, HasKind)
    made = data()  # type: ignore[call-arg]  # ours need no argument
    for protocol in ANSWERS:
        assert isinstance(made, protocol)


def test_a_model_decides_the_tokenizer_of_texts_alone() -> None:
    assert [isinstance(data, HasTokenizer) for data in (TextDataModule, IMDBDataModule)] == [True, False]
    fixed = [isinstance(data, HasFixedSettings) for data in (TextDataModule, IMDBDataModule, XORDataModule)]
    assert fixed == [True, True, False]


def test_the_tokenizers_setting_is_an_argument() -> None:
    assert TextDataModule.tokenizer_setting == "tokenizer"
    assert TextDataModule(**{TextDataModule.tokenizer_setting: "bert"}, class_names=["a", "b"]).tokenizer == "bert"  # type: ignore[arg-type]


def test_plain_data_answer_nothing() -> None:
    for protocol in ANSWERS:
        assert not isinstance(L.LightningDataModule(), protocol)
    for protocol in CLASS_ANSWERS:
        assert not isinstance(L.LightningDataModule, protocol)


def test_data_of_a_strangers_may_answer_without_our_base_class() -> None:
    class Mine(L.LightningDataModule):
        kind: ClassVar[Kind] = "features"
        tokenizer_setting: ClassVar[str] = "vocabulary"
        fixed_settings: ClassVar[frozenset[str]] = frozenset({"vocabulary"})
        has_validation = False

        def spec(self) -> DataSpec:
            return DataSpec(num_features=3)

        def predict_names(self) -> Sequence[str]:
            return ["a"]

        def checksums(self) -> dict[str, str]:
            return {}

    for protocol in CLASS_ANSWERS:
        assert isinstance(Mine, protocol)
    for protocol in ANSWERS:
        assert isinstance(Mine(), protocol)
