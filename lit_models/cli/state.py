"""Remembers between two runs which module files the user has run.

The list is a text file with one full path per line. It is ignored if it belongs to another user, or if others can write
to it.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import platformdirs

MAX_BYTES = 2**20
"""Maximum size of the list in bytes: about 10,000 paths."""


def state_dir() -> Path:
    """The folder `LIT_MODELS_STATE`, or `lit-models` in the user's state folder."""
    path = os.environ.get("LIT_MODELS_STATE")
    return Path(path).expanduser() if path else platformdirs.user_state_path("lit-models")


def modules() -> set[str]:
    """The full paths of the remembered files."""
    path = state_dir() / "modules.txt"
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
                return set()
            return set(file.read(MAX_BYTES).splitlines())
    except (OSError, UnicodeDecodeError):
        return set()


def add_modules(paths: Iterable[str]) -> None:
    """Remembers files. If the folder cannot be written, nothing is remembered, and the user has to name the modules
    again."""
    new = sorted({path for path in paths if len(path.splitlines()) == 1} - modules())
    if not new:
        return
    folder = state_dir()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(folder / "modules.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size < MAX_BYTES:
                os.write(file, "".join(f"{path}\n" for path in new).encode())
        finally:
            os.close(file)
