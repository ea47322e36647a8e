"""Any Hugging Face sequence-classification model: BERT, DistilBERT, RoBERTa, GPT-2 and others.

Sources: the ported Hugging Face program (`bert-base-uncased`, two classes); Devlin et al., arXiv:1810.04805, for the
fine-tuning recipe: AdamW, warm-up over the first tenth of the steps, linear decay to 0.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from datamodules.errors import UserError, require_at_least
from lit_models.huggingface import build_fresh, build_pretrained, checkpoint_labels, freeze_layers, small_config
from lit_models.tasks.targets import Classification
from lit_models.tasks.task import LitTask

FRESH = {"hidden_size": 128, "num_layers": 2, "num_heads": 2}


class BERT(nn.Module):
    """A Hugging Face model with a classification head: pretrained, or small with random weights. Padding is masked.

    Args:
        num_outputs: outputs of the classification head.
        checkpoint: name on the hub, or a folder. The data then use the tokenizer of the checkpoint. If not given, a
            small BERT with random weights is built.
        vocab_size: number of token ids of the small model, at least 1; set by the data.
        max_length: maximum length of a text in tokens, at least 1, and at most the limit of the checkpoint; set by the
            data.
        padding_id: the id of the padding token; set by the data. GPT-2 has no padding token, and uses this id to find
            the last real token.
        frozen_layers: number of lower encoder layers that are not trained, together with the embeddings; 0 trains all
            layers.
        hidden_size: width of the small model, a multiple of `num_heads`; 128 when None.
        num_layers: encoder layers of the small model, at least 1; 2 when None.
        num_heads: attention heads of the small model, at least 1; 2 when None.
        config: architecture of a trained model, so that its checkpoint loads without the hub; set by the program.

    Raises:
        UserError: a number out of its range, or sizes of a small model together with a checkpoint.
        MissingFileError: the checkpoint cannot be loaded.
    """

    def __init__(
        self,
        num_outputs: int = 2,
        *,
        checkpoint: str | None = None,
        vocab_size: int = 10_000,
        max_length: int | None = None,
        padding_id: int = 0,
        frozen_layers: int = 0,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        num_heads: int | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        sizes = small_sizes(checkpoint, config, hidden_size=hidden_size, num_layers=num_layers, num_heads=num_heads)
        require_at_least(1, vocab_size=vocab_size, max_length=1 if max_length is None else max_length, **sizes)
        if sizes["hidden_size"] % sizes["num_heads"]:
            heads = sizes["num_heads"]
            raise UserError(f"hidden_size must be a multiple of num_heads, got {sizes['hidden_size']} and {heads}")
        self.new_head = False
        if checkpoint is not None and config is None:
            self.model, self.new_head = build_pretrained(checkpoint, num_outputs)
            longest = getattr(self.model.config, "max_position_embeddings", None)
            if longest and max_length and max_length > longest:
                raise UserError(
                    f"{checkpoint} takes {longest} tokens, and the data give {max_length}: --data.max_length"
                )
        else:
            small = small_config(vocab_size, max_length or 512, num_outputs=num_outputs, **sizes)
            self.model = build_fresh(config or small)
        self.padding_id = padding_id
        self.model.config.pad_token_id = padding_id
        freeze_layers(self.model.base_model, frozen_layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: int64 `(B, T)`; returns `(B, num_outputs)`, float32 unless autocast."""
        mask = (tokens != self.padding_id).long()  # (B, T)
        mask[:, 0] |= (mask.sum(dim=1) == 0).long()  # attention over an empty sequence would be NaN
        outputs: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return outputs


class LitBERT(LitTask, network=BERT, optimizer="adamw", lr=5e-5, weight_decay=0.01, schedule="linear", warmup=0.1):
    """Hugging Face sequence classifier: BERT, DistilBERT, RoBERTa, GPT-2, pretrained or small.

    The defaults are those of BERT's fine-tuning. If the data do not set the classes, they are those of the checkpoint.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})

    @classmethod
    def resolve(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Takes the number of classes from the checkpoint if it is not set."""
        if settings["num_classes"] is not None or settings["checkpoint"] is None or settings["config"] is not None:
            return settings
        return settings | {"num_classes": len(checkpoint_labels(settings["checkpoint"]))}

    @classmethod
    def tokenizer_of(cls, settings: Mapping[str, Any]) -> str | None:
        """The pretrained checkpoint, whose token ids the data must have; None for a model without one."""
        return settings.get("checkpoint")

    @classmethod
    def restored_settings(cls, hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Settings from a Lightning checkpoint: the architecture, so that the hub is not needed."""
        return {"config": hyper_parameters.get("config")}

    def on_network_built(self) -> None:
        network = cast(BERT, self.network)
        config = network.model.config
        if self.hparams["checkpoint"] and self.hparams["config"] is None and not network.new_head:
            self.hparams["class_names"] = self.hparams["class_names"] or list(config.id2label.values())
            self.target.names = list(self.hparams["class_names"])
        self.hparams["config"], self.hparams["vocab_size"] = config.to_dict(), config.vocab_size

    @property
    def num_outputs(self) -> int:
        """One output per class, also for two classes, as in Hugging Face."""
        return len(self.target.names) if isinstance(self.target, Classification) else self.target.num_outputs

    @property
    def untrained(self) -> str | None:
        if self.hparams["checkpoint"] is None:
            return super().untrained
        return f"the classification head on {self.hparams['checkpoint']}" if cast(BERT, self.network).new_head else None


def small_sizes(checkpoint: str | None, config: dict[str, Any] | None, **sizes: int | None) -> dict[str, int]:
    """Sizes of a small model: the given ones, otherwise those of `FRESH`.

    Raises:
        UserError: a size is set for a pretrained model, which has its own sizes.
    """
    wanted = {name: size for name, size in sizes.items() if size is not None}
    wrong: list[str] = []
    if checkpoint is not None:
        wrong = [] if wanted == FRESH else list(wanted)  # a config with all settings contains the defaults
    elif config is not None:
        own = {"hidden_size": "hidden_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads"}
        wrong = [name for name, size in wanted.items() if size != config.get(own[name])]
    if wrong:
        model = "this model" if checkpoint is None else repr(checkpoint)
        raise UserError(f"leave out {', '.join(wrong)}: sizes are for a small model, and {model} has its own")
    return FRESH | wanted
