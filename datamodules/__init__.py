"""The datasets that the networks are trained on: one file for each family of datasets.

The public names are imported when they are first used: `import datamodules` alone does not import torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datamodules.storage.locations import offline

if TYPE_CHECKING:
    from datamodules.base import DataModule, TensorTable
    from datamodules.errors import MissingFileError, UserError
    from datamodules.imdb import IMDBDataModule
    from datamodules.mnist import MNISTDataModule
    from datamodules.spec import (
        DataSpec,
        HasChecksums,
        HasFixedSettings,
        HasKind,
        HasPredictNames,
        HasSpec,
        HasTokenizer,
        HasValidation,
    )
    from datamodules.text import TextDataModule
    from datamodules.xor import XORDataModule

__all__ = [
    "DataModule",
    "DataSpec",
    "HasChecksums",
    "HasFixedSettings",
    "HasKind",
    "HasPredictNames",
    "HasSpec",
    "HasTokenizer",
    "HasValidation",
    "IMDBDataModule",
    "MNISTDataModule",
    "MissingFileError",
    "TensorTable",
    "TextDataModule",
    "UserError",
    "XORDataModule",
]

DATA = {
    "IMDBDataModule": "datamodules.imdb",
    "MNISTDataModule": "datamodules.mnist",
    "TextDataModule": "datamodules.text",
    "XORDataModule": "datamodules.xor",
}
"""The datamodules that `--data NAME` knows, and the module of each. A new one is one line here."""
OTHERS = {
    "DataModule": "datamodules.base",
    "DataSpec": "datamodules.spec",
    "HasChecksums": "datamodules.spec",
    "HasFixedSettings": "datamodules.spec",
    "HasKind": "datamodules.spec",
    "HasPredictNames": "datamodules.spec",
    "HasSpec": "datamodules.spec",
    "HasTokenizer": "datamodules.spec",
    "HasValidation": "datamodules.spec",
    "MissingFileError": "datamodules.errors",
    "TensorTable": "datamodules.base",
    "UserError": "datamodules.errors",
}


if offline():
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's library is imported, which reads it only then


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module((DATA | OTHERS)[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
