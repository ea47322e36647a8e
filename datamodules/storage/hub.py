"""Checkpoints and datasets of the Hugging Face hub, or of a folder. No code of theirs is run.

A hub that does not answer is given up after some seconds, where its library would try again and again. With
LIT_MODELS_OFFLINE it is not asked at all.
"""

import os
import sys
from pathlib import Path
from typing import Any

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.locations import offline

HUB_TIMEOUT = 5  # seconds until the hub's first answer


def obey_offline() -> None:
    """Keeps the hub's library from asking the hub if LIT_MODELS_OFFLINE is set. The library reads its own variable
    only when it is imported."""
    if offline():
        os.environ["HF_HUB_OFFLINE"] = "1"
        if constants := sys.modules.get("huggingface_hub.constants"):
            vars(constants)["HF_HUB_OFFLINE"] = True


def checkpoint_folder(name: str) -> Path:
    """The folder with the configuration and the tokenizer of a checkpoint: `name` itself if it is a folder, otherwise
    downloaded from the hub.

    Raises:
        MissingFileError: no such folder; no such name on the hub, or no network.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    needed = "put config.json, the tokenizer files and the weights in a folder and give that folder"
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or not name.strip():
        raise MissingFileError(f"no checkpoint folder {name!r}: {needed}")
    obey_offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        patterns = ["*.json", "*.txt", "*.model"]
        return Path(snapshot_download(name, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT))
    except (OSError, HFValidationError, RuntimeError) as error:
        raise MissingFileError(
            f"cannot get the checkpoint {name!r}: no network, or no such name on the hub; {needed}"
        ) from error


def dataset_splits(dataset: str) -> Any:
    """Every split of a dataset of the hub, or of a folder, by name.

    Raises:
        UserError: the package `datasets` is missing.
        MissingFileError: the dataset cannot be found or downloaded.
    """
    obey_offline()
    try:
        import datasets
    except ImportError as error:
        raise UserError("a dataset of the hub needs the package datasets: pip install 'lit-models[hub]'") from error
    online = Path(dataset).is_dir() or hub_answers(dataset)
    config = getattr(datasets, "config", None)
    before = getattr(config, "HF_HUB_OFFLINE", False)
    try:
        if config is not None and not online:
            config.HF_HUB_OFFLINE = True  # what was downloaded before still loads
        return datasets.load_dataset(dataset)
    except Exception as error:  # the library raises errors of many types for this one mistake
        raise MissingFileError(
            f"cannot get the dataset {dataset!r}: no network, or no such name on the hub; save it as a .csv or "
            ".parquet file and give --data.train_file"
        ) from error
    finally:
        if config is not None:
            config.HF_HUB_OFFLINE = before


def hub_answers(dataset: str) -> bool:
    """Whether the hub can be asked for a dataset now."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(dataset, timeout=HUB_TIMEOUT)
    except HfHubHTTPError:
        return True  # the answer is no, and the library's error says why
    except Exception:  # a missing network raises errors of many types
        return False
    return True
