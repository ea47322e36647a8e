"""Builds Hugging Face sequence classifiers, from a checkpoint or small from a configuration, and freezes their layers.

No code of a checkpoint is run: modules that its configuration names are not loaded, and pickles are read as data.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch import nn

from datamodules.errors import MissingFileError, UserError


def build_pretrained(checkpoint: str, num_outputs: int) -> tuple[Any, bool]:
    """The model of a checkpoint, in float32, and whether its classification head has new random weights.

    Raises:
        MissingFileError: the folder does not exist, or the checkpoint was not downloaded before and the hub cannot be
            reached.
        UserError: the weights are a pickle that contains more than tensors.
    """
    from transformers import AutoModelForSequenceClassification, PretrainedConfig

    path = checkpoint_path(checkpoint)
    try:
        refuse_code(PretrainedConfig.get_config_dict(path)[0])
        model, info = AutoModelForSequenceClassification.from_pretrained(
            path,
            num_labels=num_outputs,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except UserError:
        raise
    except UnpicklingError as error:
        problem = f"the checkpoint {checkpoint!r} has pickled weights that hold more than tensors"
        raise UserError(f"{problem}, and is not loaded: use one with model.safetensors") from error
    except (OSError, ValueError) as error:
        raise cannot_load(checkpoint, error) from error
    new_head = bool(info["missing_keys"]) or bool(info["mismatched_keys"])
    return model.train(), new_head  # the library returns it in evaluation mode, without dropout


def checkpoint_labels(checkpoint: str) -> list[str]:
    """Names of the classes of a checkpoint's head.

    Raises:
        MissingFileError: the same as for `build_pretrained`.
    """
    from transformers import AutoConfig

    path = checkpoint_path(checkpoint)
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise cannot_load(checkpoint, error) from error
    return [str(name) for name in config.id2label.values()]


def checkpoint_path(checkpoint: str) -> str:
    """The hub name, or the path of the folder.

    Raises:
        MissingFileError: the folder does not exist.
    """
    if checkpoint.startswith((".", "/", "~")) and not Path(checkpoint).expanduser().is_dir():
        raise MissingFileError(
            f"no folder {checkpoint}: a checkpoint is a hub name, or a folder with config and weights"
        )
    return str(Path(checkpoint).expanduser()) if checkpoint.startswith("~") else checkpoint


def cannot_load(checkpoint: str, error: Exception) -> MissingFileError:
    """The error for a checkpoint that the library cannot load."""
    return MissingFileError(
        f"cannot load the checkpoint {checkpoint!r}: {str(error).strip().splitlines()[0]} Without a network, put "
        "config.json, the weights and the tokenizer's files in a folder and give that folder."
    )


def build_fresh(config: dict[str, Any]) -> Any:
    """A model with random weights from `config`, as `PretrainedConfig.to_dict` gives it."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    refuse_code(config)
    plain = {k: v for k, v in config.items() if k not in ("model_type", "transformers_version", "dtype")}
    architecture = AutoConfig.for_model(config["model_type"], **plain)
    build: Any = AutoModelForSequenceClassification.from_config
    model: nn.Module = build(architecture, dtype=torch.float32)
    return model.train()


def small_config(
    vocab_size: int, max_length: int, hidden_size: int, num_layers: int, num_heads: int, num_outputs: int
) -> dict[str, Any]:
    """Configuration of a small BERT whose feed-forward layers are four times as wide as `hidden_size`."""
    from transformers import BertConfig

    config: dict[str, Any] = cast(Any, BertConfig)(
        vocab_size=vocab_size,
        max_position_embeddings=max_length,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * hidden_size,
        num_labels=num_outputs,
    ).to_dict()
    return config


def refuse_code(config: Any) -> None:
    """Refuses a configuration that names an attention kernel of the hub: its code would be downloaded and run.

    Raises:
        UserError: the configuration names such a kernel.
    """
    if isinstance(config, dict):
        for name, value in config.items():
            texts = value.values() if isinstance(value, dict) else [value]
            kernel = next((text for text in texts if isinstance(text, str) and "/" in text), None)
            if kernel and str(name).endswith("_implementation"):
                raise UserError(f"the checkpoint's {name} is code of the hub, {kernel}, which is not run")
            refuse_code(value)


def freeze_layers(base: Any, count: int) -> None:
    """Excludes the embeddings and the first `count` encoder layers of a base model from training; 0 changes nothing.

    Raises:
        UserError: the model has fewer layers, or no list of layers.
    """
    if count == 0:
        return
    layers = encoder_layers(base)
    if not 0 <= count <= len(layers):
        raise UserError(f"frozen_layers must be 0 to {len(layers)}, got {count}")
    tables = [m for m in base.modules() if isinstance(m, nn.Embedding)]  # GPT-2 has no module called embeddings
    for part in [getattr(base, "embeddings", None) or nn.ModuleList(tables), *layers[:count]]:
        part.requires_grad_(False)


def encoder_layers(base: Any) -> nn.ModuleList:
    """The list of encoder (or decoder) blocks of a Hugging Face base model.

    Raises:
        UserError: the model has no such list. ALBERT, for example, has one layer that it uses several times.
    """
    num_layers = base.config.num_hidden_layers
    lists = (m for m in base.modules() if isinstance(m, nn.ModuleList) and len(m) == num_layers)
    if (layers := next(lists, None)) is None:
        raise UserError(f"frozen_layers cannot find the layers of {type(base).__name__}: leave it at 0")
    return layers
