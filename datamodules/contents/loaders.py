"""Counts what is in the loaders of any LightningDataModule, which may not say anything of itself."""

from collections.abc import Iterable, Iterator
from typing import Any

import lightning as L
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from datamodules.contents.batches import inspected
from datamodules.contents.facts import Contents
from datamodules.spec import UNITS, DataSpec, HasKind, HasSpec


def inspect_loaders(data: L.LightningDataModule) -> Contents:
    """Sets up the data, reads the batches of all loaders, and says what can be counted.

    A batch of two parts is taken for inputs and target. Loaders that are not DataLoaders are left out.
    """
    data.prepare_data()
    parts: dict[str, Iterable[tuple[Any, Any]]] = {}
    for name, stage in (("train", "fit"), ("val", "validate"), ("test", "test")):
        method = f"{name}_dataloader"
        if is_overridden(method, data):
            data.setup(stage)
            loader = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}[name]()
            loaders = loader if isinstance(loader, list | tuple) else [loader]
            for i, each in enumerate(loaders):
                if isinstance(each, DataLoader):
                    parts[name if len(loaders) == 1 else f"{name}{i}"] = _pairs(each)
    kind = data.kind if isinstance(type(data), HasKind) and isinstance(data, HasKind) else None
    spec = data.spec() if isinstance(data, HasSpec) else DataSpec()
    return inspected(parts, spec, kind=kind, unit=UNITS[kind])


def _pairs(loader: "DataLoader[Any]") -> Iterator[tuple[Any, Any]]:
    """The batches as inputs and target; the target is None if a batch has none."""
    for batch in loader:
        if not isinstance(batch, list | tuple):
            yield batch, None
        elif len(batch) == 2:
            yield batch[0], batch[1]
        else:
            yield dict(enumerate(batch)), None
