"""The folders for data: where datasets are looked for, and where the program keeps what it makes from them."""

import os
from pathlib import Path

import platformdirs


def data_cache() -> Path:
    """The folder for files that are made from data: `LIT_MODELS_CACHE`, or `lit-models` in the user's cache folder. It
    exists once something was written."""
    path = os.environ.get("LIT_MODELS_CACHE")
    return Path(path).expanduser() if path else platformdirs.user_cache_path("lit-models")


def default_data_dir() -> Path:
    """The folder where datasets are looked for: `LIT_MODELS_DATA`, or `data` in the cache."""
    path = os.environ.get("LIT_MODELS_DATA")
    return Path(path).expanduser() if path else data_cache() / "data"


def resolve_data_dir(data_dir: str | None) -> Path:
    """The folder `data_dir`, with `~` replaced; the default folder when it is not given."""
    return Path(data_dir).expanduser() if data_dir else default_data_dir()


def offline() -> bool:
    """Whether nothing may be downloaded: `LIT_MODELS_OFFLINE` is set, and not to 0."""
    return os.environ.get("LIT_MODELS_OFFLINE", "").lower() not in ("", "0", "false", "no")
