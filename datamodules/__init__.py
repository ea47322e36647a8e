"""The datasets that the networks are trained on: one file for each family of datasets.

The public names are imported when they are first used: `import datamodules` alone does not import torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datamodules.public_names import public_names
from datamodules.storage.locations import offline

if TYPE_CHECKING:  # the table of public names; a new datamodule is one line here
    from datamodules.base import DataModule as DataModule
    from datamodules.base import TensorTable as TensorTable
    from datamodules.errors import MissingFileError as MissingFileError
    from datamodules.errors import UserError as UserError
    from datamodules.images import ImageFolderDataModule as ImageFolderDataModule
    from datamodules.imdb import IMDBDataModule as IMDBDataModule
    from datamodules.mnist import MNISTDataModule as MNISTDataModule
    from datamodules.spec import DataSpec as DataSpec
    from datamodules.spec import HasChecksums as HasChecksums
    from datamodules.spec import HasContents as HasContents
    from datamodules.spec import HasFixedSettings as HasFixedSettings
    from datamodules.spec import HasKind as HasKind
    from datamodules.spec import HasPredictNames as HasPredictNames
    from datamodules.spec import HasSpec as HasSpec
    from datamodules.spec import HasTokenizer as HasTokenizer
    from datamodules.spec import HasValidation as HasValidation
    from datamodules.table import TableDataModule as TableDataModule
    from datamodules.text import TextDataModule as TextDataModule
    from datamodules.xor import XORDataModule as XORDataModule

NAMES = public_names(__file__)
"""The module of each public name."""
DATA = {name: module for name, module in NAMES.items() if name.endswith("DataModule") and name != "DataModule"}
"""The datamodules that `--data NAME` knows."""
__all__ = sorted(NAMES)

if offline():
    os.environ["HF_HUB_OFFLINE"] = "1"  # the hub's library reads this variable when it is imported


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *NAMES])
