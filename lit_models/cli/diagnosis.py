"""Why words or a config could not be parsed: the class or setting that does not exist, and the nearest one."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from typing import Any

import lightning as L
import torch
from jsonargparse._typehints import ActionTypeHint
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from lit_models.cli import registry, trust
from lit_models.cli.configs import Config
from lit_models.cli.messages import nearest, unknown_class

BASES: dict[str, type] = {"model": L.LightningModule, "data": L.LightningDataModule}
PARTS: dict[str, type] = {
    "optimizer": torch.optim.Optimizer,
    "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
    "trainer.callbacks": Callback,
    "trainer.logger": Logger,
}
"""Other settings that are objects of a class."""


def class_problem(part: str, name: str) -> str | None:
    """Why `name` cannot be the class of "model" or "data"; None where it can."""
    names = registry.model_names() if part == "model" else registry.data_names()
    if "." not in name:
        known = [*names, *(c.__name__ for c in all_subclasses(BASES[part]))]
        return None if name in known else unknown_class(part, name, names)
    if not trust.allows(name):
        return f"{part}: {trust.refusal(name)}"
    module, _, attribute = name.rpartition(".")
    try:
        content = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            place = "looked in the current folder and among the installed packages"
            return f"{part}: no module {module!r} for {name} ({place})"
        raise
    classes = [k for k, v in vars(content).items() if isinstance(v, type)]
    if not hasattr(content, attribute):
        return f"{part}: {module} has no class {attribute!r}{nearest(attribute, classes)}"
    found = getattr(content, attribute)
    if not (isinstance(found, type) and issubclass(found, BASES[part])):
        return f"{part}: {name} is not a {BASES[part].__name__}"
    return None


def part_problem(message: str) -> str | None:
    """Why the parser does not take an optimizer, a callback, a logger, or settings of any class; None where its message
    is about something else.

    Args:
        message: of the parser, which lists every type that it tried.
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if keys and (denied := re.search(r"Importing '([^']+)' is not allowed", message)):
        return f"{keys[-1]}: {trust.refusal(denied[1])}"
    if len(keys) != 1:  # of two, the second is a setting whose value is of the wrong type
        return None
    key = keys[0]
    if (base := PARTS.get(key)) and (unknown := re.search(r"Expected a dot import path string: (\w+)$", message, re.M)):
        names = [c.__name__ for c in all_subclasses(base) if not c.__name__.startswith("_")]
        return f"{key}: no class {unknown[1]!r}{nearest(unknown[1], names)} (your own: file.Class)"
    faults = "the following arguments are required|Option"
    problem = re.search(rf"Problem with given class_path '(.+)':\n +({faults})(.+)", message)
    if not problem:
        return None
    name, names = problem[1].rpartition(".")[2], re.findall(r"\w+", problem[3])
    if problem[2] != "Option":
        return f"{key}: {name} needs {', '.join(names)}: add --{key}.{names[0]}"
    module, _, short = problem[1].rpartition(".")
    cls = getattr(sys.modules.get(module), short, None)
    hint = nearest(names[0], settings_of(cls)) if isinstance(cls, type) else ""
    return f"{key}: {name} has no setting {names[0]!r}{hint}"


def find_class(part: str, name: str) -> type | None:
    """The class that a name means, if it is imported."""
    module, _, short = name.rpartition(".")
    if module:
        found = getattr(sys.modules.get(module), short, None)
        return found if isinstance(found, type) else None
    return next((c for c in all_subclasses(BASES[part]) if c.__name__ == short), None)


def setting_problem(part: str, class_name: str | None, setting: str) -> str | None:
    """Why a class has no such setting; None where it has."""
    if class_name is None or (cls := find_class(part, class_name)) is None:
        flag = f"--{part} CLASS"
        return f"{part}.{setting} is set, but no {part}: add {flag} before it, or a config" if not class_name else None
    names = settings_of(cls)
    if setting in names:
        return None
    return f"{cls.__name__} has no setting {setting!r}{nearest(setting, names)}"


def settings_of(cls: type) -> list[str]:
    """Names of the settings of a class and of the classes that it extends."""
    names: set[str] = set()
    for ancestor in cls.__mro__:
        init = vars(ancestor).get("__init__")
        names |= set(inspect.signature(init).parameters) if inspect.isfunction(init) else set()
    return sorted(names - {"self", "args", "kwargs"})


def unknown_setting(parser: Any, config: Config, base: Any) -> str | None:
    """What a config file names that does not exist, with `file:line`; None where it names nothing of the kind.

    Args:
        parser: the parser of the command.
        config: the file.
        base: the settings so far, which say the class of a section that has only `init_args`.
    """
    known = {action.dest for action in parser._actions}
    objects = {action.dest for action in parser._actions if isinstance(action, ActionTypeHint)}
    tops = sorted({dest.partition(".")[0] for dest in known} - {"help", "print_config", "==SUPPRESS=="})
    for key, value in config.content.items():
        names = [dest.removeprefix(f"{key}.") for dest in known if dest.startswith(f"{key}.")]
        if key not in tops:
            return f"{config.place(key)}: a config has no setting {key!r}{nearest(str(key), tops)}"
        if key in BASES and key in objects:
            if problem := _class_section_problem(key, value, base):
                where, text = problem
                return f"{config.place(where)}: {text}"
        elif names and value is None and key not in objects:
            return f"{config.place(key)}: {key} is empty: write its settings under it, or leave it out"
        elif names and isinstance(value, dict) and key not in objects:
            unknown = next((name for name in value if name not in names), None)
            if unknown is not None:
                text = f"{key} has no setting {unknown!r}{nearest(str(unknown), names)}"
                return f"{config.place(f'{key}.{unknown}')}: {text}"
    return None


def _class_section_problem(part: str, section: Any, base: Any) -> tuple[str, str] | None:
    """The place and the sentence for a class or a setting that does not exist in "model" or "data"."""
    name = section.get("class_path") if isinstance(section, dict) else section
    if name is not None:
        if not isinstance(name, str):
            return part, f"{part} is {name!r}, expected the name of a class"
        if problem := class_problem(part, name):
            return f"{part}.class_path", problem
    elif (current := base.get(part)) is not None:
        name = current.get("class_path")
    if not isinstance(section, dict):
        return None
    for key in section:
        if key not in ("class_path", "init_args", "dict_kwargs"):
            hint = nearest(str(key), ["class_path", "init_args"]) or "; settings of the class go under init_args"
            return f"{part}.{key}", f"{part} has no key {key!r}{hint}"
    for setting in section.get("init_args") or {}:
        if problem := setting_problem(part, name, str(setting)):
            return f"{part}.init_args.{setting}", problem
    return None


def all_subclasses(base: type) -> list[type]:
    """Every class below `base` that is imported."""
    found: list[type] = []
    children: Iterable[type] = base.__subclasses__()
    for child in children:
        found += [child, *all_subclasses(child)]
    return found
