"""The data cache: files that are built once from data, verified on each use, and built again if they are damaged."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.errors import UserError
from datamodules.storage.checksums import recorded_sha256
from datamodules.storage.downloads import sha256
from datamodules.storage.locations import data_cache
from datamodules.storage.writing import disk_problem, make_folder, part_of, publish, sweep

FORMAT = 2  # version of the layout of the cached files


def cached_file(kind: str, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """The file in the data cache that `build` writes. `settings` must contain everything that its content depends on.

    The file name ends with the SHA-256 of the content. A file whose content has changed is built again. If several
    processes need the same file, one builds it and the others wait.

    Args:
        kind: first part of the file's name.
        settings: values that JSON can hold.
        build: writes the file to the path that it is given.

    Raises:
        UserError: the data cache cannot be written, or its disk is full.
    """
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True)
    stem = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    folder = data_cache() / "tokens"
    if (path := _whole(folder, stem)) is not None:
        return path
    try:
        make_folder(folder)
        sweep(folder)
        with part_of(folder / f"{stem}.arrow") as part:
            if (path := _whole(folder, stem)) is not None:
                return path  # another process has built it in the meantime
            for damaged in folder.glob(f"{stem}-*.arrow"):
                damaged.unlink()
            build(part)
            path = folder / f"{stem}-{sha256(part)}.arrow"
            publish(part, path)
    except UserError:
        raise
    except OSError as error:
        move = "set LIT_MODELS_CACHE to another folder"
        raise disk_problem(error, folder, place="the data cache", remedy=move) or error from error
    return path


def _whole(folder: Path, stem: str) -> Path | None:
    """The undamaged file: its name begins with `stem` and ends with its checksum."""
    for path in sorted(folder.glob(f"{stem}-*.arrow")):
        if recorded_sha256(path) == path.stem.rpartition("-")[2]:
            return path
    return None
