"""Writes new files and folders whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from datamodules.errors import UserError


def require(format_name: str, *packages: str) -> None:
    """Checks that packages are installed.

    Raises:
        UserError: one is missing; the message says how to install it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise UserError(f"export --format {format_name} needs {package}: pip install 'lit-models[export]'")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path` at the end. After an error, nothing is left.

    Raises:
        OSError: the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
