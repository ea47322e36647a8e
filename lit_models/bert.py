"""Any Hugging Face sequence-classification model: BERT, DistilBERT, RoBERTa, GPT-2 and others.

Sources: the ported Hugging Face program (`bert-base-uncased`, two classes); Devlin et al., arXiv:1810.04805, for the
recipe of fine-tuning: AdamW, warm-up over the first tenth of the steps, linear decay to 0.
"""

from typing import Any, ClassVar, Literal, cast

from torch import Tensor, nn

from lit_models.classifier import LitClassifier, OptimizerName
from lit_models.huggingface import build_fresh, build_pretrained, encoder_layers, small_config

FRESH = {"hidden_size": 128, "num_layers": 2, "num_heads": 2}


class BERT(nn.Module):
    """A Hugging Face model with a classification head; padding is masked.

    Args:
        model: made by `AutoModelForSequenceClassification`.
        padding_id: the token that pads. GPT-2 has none of its own; its config is told this one, so that it finds the
            last real token.
    """

    def __init__(self, model: nn.Module, *, padding_id: int = 0) -> None:
        super().__init__()
        self.model = model
        self.padding_id = padding_id
        cast(Any, model).config.pad_token_id = padding_id

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: int64 `(B, T)`; returns logits `(B, C)`, float32 unless autocast."""
        mask = (tokens != self.padding_id).long()  # (B, T)
        mask[:, 0] |= (mask.sum(dim=1) == 0).long()  # a text of no token: attention over nothing is no number
        logits: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return logits


class LitBERT(LitClassifier):
    """Hugging Face sequence classifier: BERT, DistilBERT, RoBERTa, GPT-2, pretrained or small and fresh.

    Fine-tuning follows BERT's recipe: AdamW at 5e-5, weight decay 0.01, warm-up over a tenth of the steps, linear
    decay.

    Args:
        checkpoint: name on the hub, or a folder; without one, a small BERT with random weights. The data then uses the
            checkpoint's own tokenizer.
        num_classes: number of classes; the data decides it. Where there are no data that know it, the checkpoint's.
        class_names: one name a class; the data decides it. Otherwise those of the checkpoint's trained head.
        vocab_size: number of token ids; the data decides it.
        max_length: longest text, in tokens; the data decides it.
        padding_id: the token that pads; the data decides it.
        tokenizer: whose token ids the data has ("words" or a checkpoint); the data decides it.
        frozen_layers: the embeddings and this many encoder layers, from below, are not trained; 0 trains everything.
        hidden_size: width of the fresh model, a multiple of `num_heads`; 128 when not given.
        num_layers: encoder layers of the fresh model, at least 1; 2 when not given.
        num_heads: attention heads of the fresh model, at least 1; 2 when not given.
        config: architecture of a trained model; its checkpoint carries it, so that loading needs no hub.

    Raises:
        ValueError: a number out of its range, token ids that are not the checkpoint's, or sizes beside a checkpoint.
        FileNotFoundError: the checkpoint cannot be had.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def __init__(
        self,
        *,
        checkpoint: str | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        vocab_size: int = 10_000,
        max_length: int = 512,
        padding_id: int = 0,
        tokenizer: str | None = None,
        frozen_layers: int = 0,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        num_heads: int | None = None,
        config: dict[str, Any] | None = None,
        optimizer: OptimizerName = "adamw",
        lr: float = 5e-5,
        weight_decay: float = 0.01,
        schedule: Literal["constant", "linear", "cosine"] = "linear",
        warmup: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if checkpoint and tokenizer and tokenizer != checkpoint:
            raise ValueError(f"{checkpoint!r} needs its own token ids, and the data has those of {tokenizer!r}")
        sizes = fresh_sizes(checkpoint, config, hidden_size=hidden_size, num_layers=num_layers, num_heads=num_heads)
        if min(vocab_size, max_length, *sizes.values()) < 1 or sizes["hidden_size"] % sizes["num_heads"]:
            raise ValueError("hidden_size must be a multiple of num_heads, and every size at least 1")
        new_head, model = False, None
        if checkpoint is not None and config is None:
            model, new_head = build_pretrained(checkpoint, num_classes)
            num_classes = cast(int, model.config.num_labels)
            names = model.config.id2label
            class_names = class_names or (None if new_head else [str(names[i]) for i in range(num_classes)])
        num_classes = num_classes or 2
        super().__init__(
            num_classes=num_classes,
            class_names=class_names,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            **kwargs,
        )
        self.new_head = new_head
        longest = None if model is None else getattr(model.config, "max_position_embeddings", None)
        if tokenizer and longest and max_length > longest:
            raise ValueError(f"{checkpoint} takes {longest} tokens, and the data gives {max_length}: --data.max_length")
        if model is None:
            model = build_fresh(config or small_config(vocab_size, max_length, num_classes=num_classes, **sizes))
        self.network = BERT(model, padding_id=padding_id)
        self.hparams["config"] = model.config.to_dict()
        self._freeze(frozen_layers)

    @property
    def untrained(self) -> str | None:
        if self.hparams["checkpoint"] is None:
            return super().untrained
        return f"no classification head on {self.hparams['checkpoint']}" if self.new_head else None

    def _freeze(self, frozen_layers: int) -> None:
        if frozen_layers == 0:
            return
        base = cast(Any, self.network).model.base_model
        layers = encoder_layers(base)
        if not 0 <= frozen_layers <= len(layers):
            raise ValueError(f"frozen_layers must be 0 to {len(layers)}, got {frozen_layers}")
        tables = [m for m in base.modules() if isinstance(m, nn.Embedding)]  # GPT-2 has no part of that name
        for part in [getattr(base, "embeddings", None) or nn.ModuleList(tables), *layers[:frozen_layers]]:
            part.requires_grad_(False)


def fresh_sizes(checkpoint: str | None, config: dict[str, Any] | None, **sizes: int | None) -> dict[str, int]:
    """Sizes of a fresh model: as given, or else those of `FRESH`.

    Raises:
        ValueError: a size is given beside a model that has its own.
    """
    given = {name: size for name, size in sizes.items() if size is not None}
    wrong: list[str] = []
    if checkpoint is not None:
        wrong = [] if given == FRESH else list(given)  # a file of every setting may name the defaults
    elif config is not None:
        own = {"hidden_size": "hidden_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads"}
        wrong = [name for name, size in given.items() if size != config.get(own[name])]
    if wrong:
        whose = "this model" if checkpoint is None else repr(checkpoint)
        raise ValueError(f"leave out {', '.join(wrong)}: sizes are for a fresh model, and {whose} has its own")
    return FRESH | given
