"""Hugging Face sequence classifiers: from a checkpoint, or fresh from a configuration; and their layers."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn


def build_pretrained(checkpoint: str, num_classes: int | None) -> tuple[Any, bool]:
    """The model of a checkpoint's name or folder, in float32, and whether its head was made anew. Without
    `num_classes` it has the checkpoint's own number.

    Raises:
        FileNotFoundError: no such folder, or no network and not downloaded before.
    """
    from transformers import AutoModelForSequenceClassification

    if checkpoint.startswith((".", "/", "~")) and not Path(checkpoint).expanduser().is_dir():
        raise FileNotFoundError(
            f"no folder {checkpoint}: a checkpoint is a hub name, or a folder with config and weights"
        )
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            str(Path(checkpoint).expanduser()) if checkpoint.startswith("~") else checkpoint,
            **({} if num_classes is None else {"num_labels": num_classes}),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"cannot load the checkpoint {checkpoint!r}: {str(error).strip().splitlines()[0]} Without a network, put "
            "config.json, the weights and the tokenizer's files in a folder and give that folder."
        ) from error
    new_head = bool(info["missing_keys"]) or bool(info["mismatched_keys"])
    return model.train(), new_head  # loading leaves it in evaluation mode, where dropout would stay off in training


def build_fresh(config: dict[str, Any]) -> Any:
    """An untrained model of `config`, as `PretrainedConfig.to_dict` gives it."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    plain = {k: v for k, v in config.items() if k not in ("model_type", "transformers_version", "dtype")}
    made = AutoConfig.for_model(config["model_type"], **plain)
    build: Any = AutoModelForSequenceClassification.from_config
    model: nn.Module = build(made, dtype=torch.float32)
    return model.train()


def small_config(
    vocab_size: int, max_length: int, hidden_size: int, num_layers: int, num_heads: int, num_classes: int
) -> dict[str, Any]:
    """Configuration of a small BERT, feed-forward layers four times as wide as `hidden_size`."""
    from transformers import BertConfig

    made = cast(Any, BertConfig)(
        vocab_size=vocab_size,
        max_position_embeddings=max_length,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * hidden_size,
        num_labels=num_classes,
    )
    config: dict[str, Any] = made.to_dict()
    return config


def encoder_layers(base: Any) -> nn.ModuleList:
    """The list of encoder (or decoder) blocks of a Hugging Face base model.

    Raises:
        ValueError: the architecture has no such list, as ALBERT, whose layers share their weights.
    """
    count = base.config.num_hidden_layers
    lists = (m for m in base.modules() if isinstance(m, nn.ModuleList) and len(m) == count)
    if (found := next(lists, None)) is None:
        raise ValueError(f"frozen_layers cannot tell the layers of {type(base).__name__}: leave it at 0")
    return found
