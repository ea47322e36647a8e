"""The folders for data: the folder of the datasets, and the cache for files that are made from them."""

import os
from pathlib import Path

import platformdirs


def data_cache() -> Path:
    """The folder for files that are made from data: `LIT_MODELS_CACHE`, or `lit-models` in the user's cache folder. It
    is created when the first file is written."""
    path = os.environ.get("LIT_MODELS_CACHE")
    return Path(path).expanduser() if path else platformdirs.user_cache_path("lit-models")


def default_data_dir() -> Path:
    """The default folder of the datasets: `LIT_MODELS_DATA`, or `data` in the cache."""
    path = os.environ.get("LIT_MODELS_DATA")
    return Path(path).expanduser() if path else data_cache() / "data"


def resolve_data_dir(data_dir: str | None) -> Path:
    """The folder `data_dir` with `~` expanded, or the default folder if it is not given."""
    return Path(data_dir).expanduser() if data_dir else default_data_dir()


def offline() -> bool:
    """Whether downloads are forbidden: `LIT_MODELS_OFFLINE` is set to a value other than 0."""
    return os.environ.get("LIT_MODELS_OFFLINE", "").lower() not in ("", "0", "false", "no")
