"""Checkpoints and datasets from the Hugging Face hub or from a folder. Code that they contain is not run.

If the hub does not answer, the program stops after some seconds; the library alone would keep trying. With
LIT_MODELS_OFFLINE, no request is sent.
"""

import os
import sys
from pathlib import Path
from typing import Any

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.locations import offline

HUB_TIMEOUT = 5  # seconds until the hub's first answer


def obey_offline() -> None:
    """Keeps the hub's library offline if LIT_MODELS_OFFLINE is set. The library reads its own variable only when it is
    imported."""
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
    """All splits of a dataset from the hub or a folder, by name.

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
            config.HF_HUB_OFFLINE = True  # earlier downloads still load
        return datasets.load_dataset(dataset)
    except Exception as error:  # the library raises many types of errors
        raise MissingFileError(
            f"cannot get the dataset {dataset!r}: no network, or no such name on the hub; save it as a .csv or "
            ".parquet file and give --data.train_file"
        ) from error
    finally:
        if config is not None:
            config.HF_HUB_OFFLINE = before


def hub_answers(dataset: str) -> bool:
    """Whether the hub can be reached now."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(dataset, timeout=HUB_TIMEOUT)
    except HfHubHTTPError:
        return True  # the hub answers; the library's own error gives the reason
    except Exception:  # without a network, many types of errors are raised
        return False
    return True
