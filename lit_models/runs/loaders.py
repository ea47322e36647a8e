"""Lets Lightning build a DataLoader again whose arguments were given by position, such as `DataLoader(samples, 16)`.

Lightning replaces the sampler of a user's DataLoader to predict, and to share the samples among processes. It then
calls the constructor with the recorded positional arguments and its own keyword arguments, and both may set one name.
"""

from functools import partial
from typing import Any, cast

import lightning as L


def allow_positional_arguments(trainer: L.Trainer) -> None:
    """Makes `trainer` read the positional arguments of a DataLoader by their names."""
    connector = cast(Any, trainer)._data_connector
    connector._prepare_dataloader = partial(_prepare, connector._prepare_dataloader)


def _prepare(prepare: Any, dataloader: object, *args: Any, **kwargs: Any) -> object:
    recorded = vars(dataloader) if hasattr(dataloader, "__pl_saved_args") else {}
    names, values = recorded.get("__pl_saved_arg_names", ()), recorded.get("__pl_saved_args", ())
    if len(names) == len(values):  # `*args` of a class of the user's have no names
        for name, value in zip(names, values, strict=True):
            recorded["__pl_saved_kwargs"][name] = value
        recorded |= {"__pl_saved_args": (), "__pl_saved_arg_names": ()} if recorded else {}
    return prepare(dataloader, *args, **kwargs)
