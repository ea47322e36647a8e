"""LitBERT holds exactly the Hugging Face model: logits, loading, the head's story, freezing, padding, checkpoints."""

import shutil
import time
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from lit_models import LitBERT
from lit_models.bert import BERT
from lit_models.testing.examples import quiet_trainer

SENTENCES = ["i love the film !", "it is a very very boring story of an actor , and the plot is bad .", "fine"]

SMALL = [{"vocab_size": 20, "num_classes": 3, "max_length": 8, "hidden_size": 8, "num_layers": 1}]
"""Settings of small models, which `tests/test_models.py` checks."""


def encoded(checkpoint: Path) -> tuple[Tensor, Tensor, int]:
    """Token ids and attention mask of `SENTENCES`, both int64 `(3, T)`, by Hugging Face, and the id that pads."""
    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token_id is None:
        tokenizer.add_special_tokens({"pad_token": "<|endoftext|>"})
    tokenizer.padding_side = "right"
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"], int(tokenizer.pad_token_id)


def load_theirs(checkpoint: Path) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_logits_are_those_of_hugging_face(kind: str, request: pytest.FixtureRequest) -> None:
    checkpoint = request.getfixturevalue(f"{kind}_checkpoint")
    tokens, mask, padding_id = encoded(checkpoint)
    theirs = load_theirs(checkpoint)
    theirs.config.pad_token_id = padding_id  # GPT-2 refuses a batch without it
    ours = LitBERT(checkpoint=str(checkpoint), padding_id=padding_id).eval()
    with torch.no_grad():
        expected = theirs(input_ids=tokens, attention_mask=mask).logits
        torch.testing.assert_close(ours(tokens), expected, rtol=0, atol=1e-6)  # the same operations in float32
        torch.testing.assert_close(
            ours.predictions(ours(tokens)), expected.softmax(dim=1), rtol=0, atol=1e-6
        )  # two columns are a softmax


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_sentences_logits_do_not_depend_on_the_batchs_padding(kind: str, request: pytest.FixtureRequest) -> None:
    checkpoint = request.getfixturevalue(f"{kind}_checkpoint")
    tokens, mask, padding_id = encoded(checkpoint)
    ours = LitBERT(checkpoint=str(checkpoint), padding_id=padding_id).eval()
    with torch.no_grad():
        together = ours(tokens)
        alone = torch.cat([ours(row[real.bool()][None]) for row, real in zip(tokens, mask, strict=True)])
    assert (mask.sum(dim=1) < mask.shape[1]).any()
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)  # float32 sums in another order


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_text_of_no_token_has_finite_logits(kind: str, request: pytest.FixtureRequest) -> None:
    checkpoint = request.getfixturevalue(f"{kind}_checkpoint")
    tokens, _, padding_id = encoded(checkpoint)
    ours = LitBERT(checkpoint=str(checkpoint), padding_id=padding_id).eval()
    tokens[0] = padding_id
    with torch.no_grad():
        assert ours(tokens).isfinite().all()


def test_a_complete_checkpoint_keeps_its_head_and_another_number_of_classes_makes_one(bert_checkpoint: Path) -> None:
    complete = LitBERT(checkpoint=str(bert_checkpoint))
    assert not cast(BERT, complete.network).new_head
    assert complete.untrained is None
    three = LitBERT(checkpoint=str(bert_checkpoint), num_classes=3)
    assert cast(BERT, three.network).new_head
    assert three.untrained == f"the classification head on {bert_checkpoint}"
    tokens, _, _ = encoded(bert_checkpoint)
    assert three(tokens).shape == (3, 3)
    theirs = load_theirs(bert_checkpoint).state_dict()
    ours = cast(Any, three.network).model.state_dict()
    for name, weight in theirs.items():  # the encoder is the checkpoint's; only the head is new
        assert torch.equal(ours[name], weight) != name.startswith("classifier"), name


def test_a_pretrained_encoder_without_head_says_that_its_head_is_new(bert_checkpoint: Path, tmp_path: Path) -> None:
    load_theirs(bert_checkpoint).bert.save_pretrained(tmp_path)
    assert LitBERT(checkpoint=str(tmp_path)).untrained == f"the classification head on {tmp_path}"


def test_a_loaded_model_trains_with_its_dropout_on(bert_checkpoint: Path) -> None:
    ours = LitBERT(checkpoint=str(bert_checkpoint))
    assert all(module.training for module in ours.modules())
    tokens, _, _ = encoded(bert_checkpoint)
    assert not torch.equal(ours(tokens), ours(tokens))


def test_weights_saved_in_bfloat16_are_loaded_in_float32(bert_checkpoint: Path, tmp_path: Path) -> None:
    load_theirs(bert_checkpoint).to(torch.bfloat16).save_pretrained(tmp_path)
    ours = LitBERT(checkpoint=str(tmp_path))
    assert {w.dtype for w in ours.parameters()} == {torch.float32}
    again = LitBERT(config=ours.hparams["config"])
    assert {w.dtype for w in again.parameters()} == {torch.float32}


def test_without_a_checkpoint_it_is_a_small_bert_of_the_sizes_given() -> None:
    ours = LitBERT(vocab_size=50, max_length=20, num_classes=3, hidden_size=16, num_layers=1, num_heads=4)
    theirs = BertForSequenceClassification(
        BertConfig(  # type: ignore[call-arg]
            vocab_size=50,
            max_position_embeddings=20,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
            num_labels=3,
        )
    )
    shapes = {name: weight.shape for name, weight in cast(Any, ours.network).model.state_dict().items()}
    assert shapes == {name: weight.shape for name, weight in theirs.state_dict().items()}
    assert cast(Any, ours.network).model.config.num_attention_heads == 4
    assert ours.untrained == "LitBERT"
    assert ours(torch.randint(1, 50, (2, 20))).shape == (2, 3)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_freezes_the_embeddings_and_that_many_layers_and_nothing_else(
    frozen: int, bert_checkpoint: Path
) -> None:
    ours = LitBERT(checkpoint=str(bert_checkpoint), frozen_layers=frozen)
    model = cast(Any, ours.network).model
    names = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    embeddings = {f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    embeddings |= {"bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.bias"}
    layers = {
        name
        for i in range(frozen)
        for name, _ in model.named_parameters()
        if name.startswith(f"bert.encoder.layer.{i}.")
    }
    assert names == (embeddings | layers if frozen else set())


def test_frozen_layers_of_gpt2_are_its_blocks(gpt2_checkpoint: Path) -> None:
    ours = LitBERT(checkpoint=str(gpt2_checkpoint), frozen_layers=1)
    model = cast(Any, ours.network).model
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    expected = {name for name, _ in model.named_parameters() if name.startswith("transformer.h.0.")}
    assert frozen == expected | {"transformer.wte.weight", "transformer.wpe.weight"}


@pytest.mark.parametrize("frozen", [-1, 3])
def test_frozen_layers_out_of_range_is_refused(frozen: int, bert_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=f"^frozen_layers must be 0 to 2, got {frozen}$"):
        LitBERT(checkpoint=str(bert_checkpoint), frozen_layers=frozen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 15}, "hidden_size must be a multiple of num_heads, got 15 and 2"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"num_heads": 0}, "num_heads must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        LitBERT(**settings)


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ({"hidden_size": 64}, "hidden_size"),
        ({"hidden_size": 128}, "hidden_size"),
        ({"num_layers": 1, "num_heads": 4}, "num_layers, num_heads"),
    ],
)
def test_sizes_beside_a_model_that_has_its_own_are_refused(
    sizes: dict[str, int], names: str, bert_checkpoint: Path
) -> None:
    message = f"leave out {names}: sizes are for a small model, and '{bert_checkpoint}' has its own"
    loaded = LitBERT(checkpoint=str(bert_checkpoint))
    for config in (None, loaded.hparams["config"]):
        with pytest.raises(ValueError, match=f"^{message}$"):
            LitBERT(checkpoint=str(bert_checkpoint), config=config, **sizes)  # type: ignore[arg-type]


def save(module: LitBERT, path: Path, **hyper_parameters: Any) -> Path:
    """A Lightning checkpoint of an untrained module, some of its hyper-parameters changed."""
    trainer = quiet_trainer()
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= hyper_parameters
    torch.save(content, path)
    return path


def test_a_file_with_the_default_sizes_in_it_loads(bert_checkpoint: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 128, "num_layers": 2, "num_heads": 2}
    pretrained = LitBERT(checkpoint=str(bert_checkpoint))
    fresh = LitBERT(vocab_size=50, max_length=20)
    for ours in (pretrained, fresh):
        path = save(ours, tmp_path / "model.ckpt", **sizes)
        again = LitBERT.load_from_checkpoint(path, weights_only=True)
        for name, weight in ours.state_dict().items():
            assert torch.equal(again.state_dict()[name], weight), name
    assert fresh.hparams["config"]["hidden_size"] == 128
    assert fresh.hparams["config"]["num_hidden_layers"] == fresh.hparams["config"]["num_attention_heads"] == 2


def test_a_fresh_models_file_loads_with_its_own_sizes_and_no_others(tmp_path: Path) -> None:
    module = LitBERT(vocab_size=50, max_length=20, hidden_size=16, num_layers=1, num_heads=4)
    path = save(module, tmp_path / "model.ckpt")
    assert LitBERT.load_from_checkpoint(path, weights_only=True, num_heads=4).hparams["num_heads"] == 4
    with pytest.raises(
        ValueError, match=r"^leave out num_heads: sizes are for a small model, and this model has its own$"
    ):
        LitBERT.load_from_checkpoint(path, weights_only=True, num_heads=2)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nobody/no-such-model"])
def test_a_checkpoint_that_cannot_be_had_is_one_line_at_once(name: str) -> None:
    start = time.perf_counter()
    with pytest.raises(FileNotFoundError) as caught:
        LitBERT(checkpoint=name)
    assert time.perf_counter() - start < 5  # the hub's library would try again for a minute
    assert len(str(caught.value).splitlines()) == 1
    assert name in str(caught.value)
    assert "folder" in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_trained_model_loads_without_the_folder_that_it_came_from(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    original = request.getfixturevalue(f"{kind}_checkpoint")
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    tokens, _, padding_id = encoded(folder)
    module = LitBERT(checkpoint=str(folder), num_classes=3, padding_id=padding_id)
    save(module, tmp_path / "model.ckpt")
    shutil.rmtree(folder)
    again = LitBERT.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    with torch.no_grad():
        assert torch.equal(again(tokens), module.eval()(tokens))
    assert again.untrained is None
