"""Networks that cannot be written as Keras layers, and files that cannot be written."""

from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import UserError
from lit_models import LitMLP
from lit_models.keras.exporting import export_model, exported_layers

NONE = "has no counterpart in Keras; these networks have one: LitRNN, LitCNN, LitMLP"


@pytest.mark.parametrize(
    ("model", "settings", "text"),
    [
        ("LitBERT", {}, f"LitBERT {NONE}"),
        ("LitTransformer", {}, f"LitTransformer {NONE}"),
        (
            "LitMLP",
            {"num_classes": 3, "loss": "half_squared_error"},
            "with loss half_squared_error, the 3 outputs of LitMLP are independent; export to Keras supports "
            "probabilities of classes that sum to 1",
        ),
        (
            "LitMLP",
            {"num_classes": 2, "loss": None, "task": "regression"},
            "LitMLP has targets for regression; export to Keras supports classification",
        ),
        (
            "LitRNN",
            {"num_classes": 2, "loss": "cross_entropy", "mask_padding": True, "padding_id": 5},
            "LitRNN cannot be exported: padding_id is 5 with mask_padding, but Keras masks only token 0",
        ),
    ],
)
def test_a_network_without_a_counterpart_in_keras_is_refused(model: str, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as caught:
        exported_layers(model, settings)
    assert str(caught.value) == text


def test_a_file_with_another_ending_is_refused(tmp_path: Path) -> None:
    module, path = LitMLP(), tmp_path / "mine.h5"
    with pytest.raises(UserError) as caught:
        export_model(module.network, path, model="LitMLP", settings=dict(module.hparams))
    assert str(caught.value) == f"{path} does not end in .keras: give the file another name"
    assert not path.exists()
