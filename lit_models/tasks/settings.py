"""Joins the settings of a network and of a task in the constructor of a Lit class, so that each is declared once.

`class LitCNN(LitTask, network=CNN, num_classes=10)` has the constructor `LitCNN(*, num_channels=…, filters=…, lr=…)`.
Names, types, defaults and documentation come from `CNN.__init__` and `LitTask.__init__`; `num_classes=10` replaces a
default. The command line, the help screen and `load_from_checkpoint` read this signature like any other one.
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

KEYWORD = inspect.Parameter.KEYWORD_ONLY


def joined_signature(
    task_init: Callable[..., None], network: type[nn.Module], defaults: dict[str, Any]
) -> inspect.Signature:
    """The settings of a network, without `num_outputs`, and then those of the task. `defaults` replaces default values.

    Raises:
        TypeError: `defaults` has an unknown setting, or network and task have the same setting.
    """
    of_task = _settings(task_init)
    of_network = _settings(network.__init__)
    of_network.pop("num_outputs", None)
    if both := of_task.keys() & of_network.keys():
        raise TypeError(f"{network.__name__} and its task both have the settings {sorted(both)}")
    settings = of_network | of_task
    if unknown := defaults.keys() - settings.keys():
        raise TypeError(f"{network.__name__} and its task have no settings {sorted(unknown)}")
    parameters = [p.replace(kind=KEYWORD, default=defaults.get(name, p.default)) for name, p in settings.items()]
    return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *parameters])


def split_settings(settings: dict[str, Any], network: type[nn.Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separates the settings of the network from those of the task."""
    names = _settings(network.__init__)
    return (
        {name: value for name, value in settings.items() if name in names},
        {name: value for name, value in settings.items() if name not in names},
    )


def _settings(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p for p in parameters if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD}
