"""The data cache: files that are made from data once, verified on each use, and made again if they are damaged."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.errors import UserError
from datamodules.storage.downloads import part_of, sha256
from datamodules.storage.locations import data_cache

FORMAT = 2  # of the cached files; raise it when their layout changes


def cached_file(kind: str, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """The file in the data cache that `build` makes from `settings`, which name everything that its content depends on.

    Its name ends in the SHA-256 of its content. A file whose content has changed is made again.

    Args:
        kind: first part of the file's name.
        settings: values that JSON can hold.
        build: writes the file to the path that it is given.

    Raises:
        UserError: the data cache cannot be written.
    """
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True)
    stem = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    folder = data_cache() / "tokens"
    for path in sorted(folder.glob(f"{stem}-*.arrow")):
        if sha256(path) == path.stem.rpartition("-")[2]:
            return path
        path.unlink(missing_ok=True)
    try:
        with part_of(folder / f"{stem}.arrow") as part:
            build(part)
            path = folder / f"{stem}-{sha256(part)}.arrow"
            os.replace(part, path)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(f"cannot write to the data cache {folder}: set LIT_MODELS_CACHE to another folder") from error
    return path
