"""What the networks are trained on: one dataset family a file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.imdb import IMDBDataModule
    from datamodules.mnist import MNISTDataModule
    from datamodules.text import TextDataModule
    from datamodules.xor import XORDataModule

__all__ = ["IMDBDataModule", "MNISTDataModule", "TextDataModule", "XORDataModule"]

_FILES = {"IMDBDataModule": "imdb", "MNISTDataModule": "mnist", "TextDataModule": "text", "XORDataModule": "xor"}


def __getattr__(name: str) -> Any:
    """Imports a class when it is asked for, so that importing the package does not import torch."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
