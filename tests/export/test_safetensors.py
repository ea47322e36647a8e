"""Weights in a safetensors file: bits, names and metadata."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from datamodules.errors import UserError
from lit_models import LitRNN
from lit_models.export import safetensors as export
from tests.export.sources import source_of


def test_the_file_has_all_bits_and_says_what_they_are(tmp_path: Path) -> None:
    source = source_of(LitRNN(vocab_size=30, num_classes=2, class_names=["no", "yes"], hidden_size=5))
    (line,) = export.write(source, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    weights, theirs = load_file(file), source.module.network.state_dict()  # type: ignore[union-attr]
    assert line == (
        f"{len(theirs)} tensors with {sum(w.numel() for w in theirs.values()):,} numbers, "
        "all bits the same when the file is loaded"
    )
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(weights[name], theirs[name]) for name in theirs)
    with safe_open(file, framework="pt") as opened:
        about = opened.metadata()
    assert json.loads(about["class_names"]) == ["no", "yes"]
    assert LitRNN(**json.loads(about["settings"])).hparams == source.module.hparams


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetensors.torch.load_file", lambda path: {k: v + 1 for k, v in load_file(path).items()})
    with pytest.raises(UserError, match=r"the weights in the file differ from the model's: embedding\.weight, "):
        export.write(source_of(LitRNN(vocab_size=30, num_classes=2, hidden_size=5)), tmp_path / "model")
    assert not list(tmp_path.iterdir())
