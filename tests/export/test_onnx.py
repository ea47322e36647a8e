"""ONNX files in ONNX Runtime: outputs for any length, names and metadata, and what is said of a file that differs."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models import LitBERT, LitMLP, LitRNN, LitTransformer
from lit_models.export import onnx as export
from lit_models.export.source import make_source
from tests.export.sources import SIZES, predicted, source_of, texts

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning"
)  # of torch and onnxscript

TEXT: dict[str, Any] = {"vocab_size": 30, "num_classes": 3}
CELLS = [
    LitRNN(**TEXT, cell=cell, embedding_size=4, hidden_size=5, bidirectional=both, mask_padding=mask, upper_sizes=[3])
    for cell in ("simple", "lstm", "gru")
    for both in (False, True)
    for mask in (False, True)
]
OTHERS = [
    LitTransformer(**TEXT, max_length=23, width=8, num_heads=2, num_layers=1),
    LitBERT(**TEXT, max_length=23, hidden_size=8, num_layers=1),
]


class Recurrent(L.LightningModule):
    """All recurrent layers of PyTorch, in both directions, two layers each, and time first."""

    def __init__(self) -> None:
        super().__init__()
        settings: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
        self.embedding = nn.Embedding(30, 4)
        self.layers = nn.ModuleList(
            [
                nn.LSTM(4, 5, **settings),
                nn.GRU(10, 6, **settings),
                nn.RNN(12, 5, **settings),
                nn.RNN(10, 5, nonlinearity="relu", bias=False, **settings),
            ]
        )
        self.example_input_array = texts(3, 6)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        x = self.embedding(tokens).transpose(0, 1)  # (B, T, E) -> (T, B, E)
        for layer in self.layers:
            x, state = layer(x)
        return {"outputs": x.transpose(0, 1), "last": state[-1]}


def run(folder: Path, inputs: Tensor) -> list[Any]:
    """The outputs of the file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    outputs: list[Any] = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return outputs


def test_every_recurrent_layer_takes_any_length(tmp_path: Path) -> None:
    module = Recurrent().eval()
    lines = export.write(make_source(module, None), tmp_path / "model")
    assert not [line for line in lines if line.startswith("note: the file")]
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
    assert [output.name for output in session.get_outputs()] == ["outputs", "last"]
    assert session.get_inputs()[0].shape == ["batch", "length"]
    for batch, length in SIZES:
        with torch.no_grad():
            theirs = module(texts(batch, length)).values()
        for ours, expected in zip(run(tmp_path / "model", texts(batch, length)), theirs, strict=True):
            np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-5)  # the order of sums in float32


def check(module: Any, folder: Path) -> None:
    """A text model gives the same outputs in ONNX Runtime, for texts of several lengths with padding anywhere."""
    source = source_of(module)
    export.write(source, folder)
    for batch, length in SIZES:
        for ours, theirs in zip(
            run(folder, texts(batch, length)), predicted(module, texts(batch, length)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


def test_a_masked_network_of_both_directions_takes_any_length(tmp_path: Path) -> None:
    check(CELLS[7], tmp_path / "model")
    names = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(names["class_names"]) == ["0", "1", "2"]
    assert json.loads(names["settings"])["cell"] == "lstm"
    assert names["model"] == "LitRNN"


@pytest.mark.slow
@pytest.mark.parametrize("module", [*CELLS, *OTHERS], ids=lambda module: f"{type(module).__name__}")
def test_every_text_network_takes_any_length(module: Any, tmp_path: Path) -> None:
    check(module, tmp_path / "model")


def test_a_file_that_differs_is_not_kept_and_the_value_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter is made to change a weight, as a wrong conversion would."""
    convert = export._convert

    def wrong(*arguments: Any) -> Any:
        program = convert(*arguments)
        weight = program.model.graph.initializers["network.hidden.0.weight"]
        weight.const_value = type(program.model.graph.initializers["network.hidden.0.weight"].const_value)(
            torch.full(weight.shape.numpy(), 0.5)
        )
        return program

    monkeypatch.setattr(export, "_convert", wrong)
    source = source_of(LitMLP(num_features=4, num_classes=3, hidden_sizes=[5, 6]))
    with pytest.raises(UserError) as caught:
        export.write(source, tmp_path / "model")
    text = str(caught.value)
    assert text.startswith("the outputs of the file differ from the model's on inputs (32, 4) in ONNX Runtime ")
    assert "nothing was written; the first value that differs is linear, by " in text
    assert not list(tmp_path.iterdir())
