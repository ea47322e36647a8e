"""Explains why a command line or a config cannot be parsed: a class or a setting does not exist."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from typing import Any, get_args

import lightning as L
import torch
from jsonargparse._typehints import ActionTypeHint
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from datamodules.errors import UserError
from lit_models.cli import registry, trust
from lit_models.cli.configs import Config
from lit_models.cli.hints import hint, setting_meant
from lit_models.cli.messages import nearest, unknown_class
from lit_models.tasks.optim import OptimizerName, ScheduleName

BASES: dict[str, type] = {"model": L.LightningModule, "data": L.LightningDataModule}
PARTS: dict[str, type] = {
    "optimizer": torch.optim.Optimizer,
    "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
    "trainer.callbacks": Callback,
    "trainer.logger": Logger,
}
"""Other settings whose values are objects of a class."""
BASE_CLASSES = {"DataModule", "LightningDataModule", "LightningModule", "LitClassifier", "LitTask"}
"""Classes that others are derived from."""
OWN_NAMES = {"optimizer": ("optimizer", get_args(OptimizerName)), "lr_scheduler": ("schedule", get_args(ScheduleName))}
"""For a class of Lightning's command line, the model's own setting and its values."""


def class_problem(part: str, name: str) -> str | None:
    """Why `name` cannot be the class of "model" or "data"; None if it can."""
    names = registry.model_names() if part == "model" else registry.data_names()
    if problem := base_problem(part, name):
        return problem
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
    value = getattr(content, attribute)
    if not (isinstance(value, type) and issubclass(value, BASES[part])):
        return f"{part}: {name} is not a {BASES[part].__name__}{nearest(attribute, names)}"
    return None


def part_problem(message: str) -> str | None:
    """Explains an error of the parser about an optimizer, a callback, a logger, or settings of any class; None for
    other errors.

    Args:
        message: message of the parser, which lists every type that it tried.
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if keys and (denied := re.search(r"Importing '([^']+)' is not allowed", message)):
        return f"{keys[-1]}: {trust.refusal(denied[1])}"
    if len(keys) != 1:  # a second key is a setting with a value of the wrong type
        return None
    key = keys[0]
    if (base := PARTS.get(key)) and (unknown := re.search(r"Expected a dot import path string: (\w+)$", message, re.M)):
        own, values = OWN_NAMES.get(key, ("", ()))
        if unknown[1] in values:
            return f"{key}: no class {unknown[1]!r}, did you mean model.{own}? (--model.{own} {unknown[1]})"
        names = [c.__name__ for c in all_subclasses(base) if not c.__name__.startswith("_")]
        return f"{key}: no class {unknown[1]!r}{nearest(unknown[1], names)} (your own: file.Class)"
    faults = "the following arguments are required|Option"
    problem = re.search(rf"Problem with given class_path '(.+)':\n +({faults})(.+)", message)
    if not problem:
        return None
    name, names = problem[1].rpartition(".")[2], re.findall(r"\w+", problem[3])
    if names and names[0] != "init_args" and (level := nearest(names[0], ["class_path", "init_args"], cutoff=0.8)):
        return f"{key}: no key {names[0]!r}{level}"
    if problem[2] != "Option":
        return f"{key}: {name} needs {', '.join(names)}: add --{key}.{names[0]}"
    module, _, short = problem[1].rpartition(".")
    cls = getattr(sys.modules.get(module), short, None)
    if key in OWN_NAMES and cls is PARTS[key]:
        return f"{key} names no class: add --{key} CLASS, or use model.{OWN_NAMES[key][0]}"
    hint = nearest(names[0], settings_of(cls)) if isinstance(cls, type) else ""
    return f"{key}: {name} has no setting {names[0]!r}{hint}"


def base_problem(part: str, name: str) -> str | None:
    """The message for a class that others are derived from; None for other names."""
    if name.rpartition(".")[2] not in BASE_CLASSES or name.partition(".")[0] not in (*trust.OURS, "lightning", name):
        return None
    what, names = ("models", registry.model_names()) if part == "model" else ("data", registry.data_names())
    return f"{part}: {name} is only a base of {what}: use {', '.join(names)}, or a class of your own: file.Class"


def find_class(part: str, name: str) -> type | None:
    """The class of a name, if it is imported."""
    module, _, short = name.rpartition(".")
    if module:
        value = getattr(sys.modules.get(module), short, None)
        return value if isinstance(value, type) else None
    return next((c for c in all_subclasses(BASES[part]) if c.__name__ == short), None)


def check_model_of_checkpoint(stored: dict[str, Any], settings: Any) -> None:
    """Refuses a checkpoint of another model.

    Raises:
        UserError: the model in its config is of another class.
    """
    was, now = (stored.get("model") or {}).get("class_path"), (settings.get("model") or {}).get("class_path")
    if was and now and find_class("model", was) is not find_class("model", now):
        raise UserError(f"{settings.ckpt_path} is a checkpoint of {was}, not of {now}")


def setting_problem(
    part: str, class_name: str | None, setting: str, *, others: Iterable[str] = (), prefix: str = ""
) -> str | None:
    """The message for a setting that the class does not have; None if it has the setting.

    Args:
        part: "model" or "data".
        class_name: the class.
        setting: name of the setting.
        others: dotted names of settings in all sections.
        prefix: text before a setting of another section in the message.
    """
    if class_name is None or (cls := find_class(part, class_name)) is None:
        flag = f"--{part} CLASS"
        return f"{part}.{setting} is set, but no {part}: add {flag} before it, or a config" if not class_name else None
    names = settings_of(cls)
    if setting in names:
        return None
    if setting == "init_args":
        return f"{cls.__name__}: init_args is there twice: write the settings under the first one"
    own = {f"{part}.{name}" for name in [*names, "init_args"]}
    meant = setting_meant(f"{part}.{setting}", own | set(others))
    text = f"{cls.__name__} has no setting {setting!r}"
    if meant in own:
        return f"{text}, did you mean {meant.removeprefix(f'{part}.')}?"
    if meant and ("." in meant or meant == setting):  # and not a section that has a similar name
        return f"{text}, did you mean {prefix}{meant}?"
    return f"{text}; it has {', '.join(names)}"


def parser_settings(parser: Any) -> list[str]:
    """Dotted names of the settings of a parser, without those of classes."""
    options = [name.removeprefix("--") for name in parser._option_string_actions if name.startswith("--")]
    return [name for name in options if not name.endswith((".help", ".init_args.inputs"))]


def class_settings(settings: Any) -> list[str]:
    """Dotted names of the settings of the classes that are chosen as "model" and "data"."""
    names: list[str] = []
    for part in BASES:
        section = settings.get(part)
        class_name = section.get("class_path") if hasattr(section, "get") else section
        cls = find_class(part, class_name) if isinstance(class_name, str) else None
        names += [f"{part}.{name}" for name in settings_of(cls)] if cls else []
    return names


def settings_of(cls: type) -> list[str]:
    """Names of the settings of a class and its base classes."""
    names: set[str] = set()
    for ancestor in cls.__mro__:
        init = vars(ancestor).get("__init__")
        names |= set(inspect.signature(init).parameters) if inspect.isfunction(init) else set()
    return sorted(names - {"self", "args", "kwargs"})


def keyword_problem(settings: dict[str, Any]) -> str | None:
    """What an object's `dict_kwargs` name that its class does not take; None where they name nothing of the kind.

    jsonargparse passes these to the class unseen, for classes that take any keyword. Lightning drops those of
    optimizers and schedules.
    """
    for part, section in settings.items():
        for each in section if isinstance(section, list) else [section]:
            if not isinstance(each, dict):
                continue
            keywords, name = each.get("dict_kwargs") or {}, each.get("class_path") or ""
            if keywords and part in ("optimizer", "lr_scheduler"):
                return f"{part}: {min(keywords)} is under dict_kwargs, where it has no effect: write it under init_args"
            module, _, short = name.rpartition(".")
            cls = find_class(part, name) if part in BASES else getattr(sys.modules.get(module), short, None)
            if keywords and isinstance(cls, type):
                parameters = inspect.signature(cls).parameters
                unknown = [key for key in keywords if key not in parameters]
                if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                    return f"{part}: {cls.__name__} has no setting {unknown[0]!r}{nearest(unknown[0], parameters)}"
            if problem := keyword_problem(each):
                return problem
    return None


def unknown_setting(parser: Any, config: Config, base: Any) -> str | None:
    """The message for the first class or setting in a config file that does not exist, with `file:line`; None if all
    exist.

    Args:
        parser: the parser of the command.
        config: the file.
        base: the settings so far, which have the class of a section that has only `init_args`.
    """
    known = {action.dest for action in parser._actions}
    objects = {action.dest for action in parser._actions if isinstance(action, ActionTypeHint)}
    tops = sorted({dest.partition(".")[0] for dest in known} - {"help", "print_config", "==SUPPRESS=="})
    chosen = {part: config.content.get(part) or base.get(part) for part in BASES}
    everywhere = [*tops, *known - {"help"}, *class_settings(base), *class_settings(chosen)]
    for key, value in config.content.items():
        names = [dest.removeprefix(f"{key}.") for dest in known if dest.startswith(f"{key}.")]
        if key not in tops:
            return f"{config.place(key)}: a config has no setting {key!r}{hint(str(key), everywhere)}"
        if key in BASES and key in objects:
            if problem := _class_section_problem(key, value, base, everywhere):
                where, text = problem
                return f"{config.place(where)}: {text}"
        elif names and value is None and key not in objects:
            return f"{config.place(key)}: {key} is empty: write its settings under it, or leave it out"
        elif names and isinstance(value, dict) and key not in objects:
            unknown = next((name for name in value if name not in names), None)
            if unknown is not None:
                meant = setting_meant(f"{key}.{unknown}", everywhere)
                shown = f", did you mean {meant.removeprefix(f'{key}.')}?" if meant else ""
                text = f"{key} has no setting {unknown!r}{shown}"
                return f"{config.place(f'{key}.{unknown}')}: {text}"
    return None


def _class_section_problem(part: str, section: Any, base: Any, everywhere: list[str]) -> tuple[str, str] | None:
    """The place and the message for a class or a setting of "model" or "data" that does not exist."""
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
        if problem := setting_problem(part, name, str(setting), others=everywhere):
            return f"{part}.init_args.{setting}", problem
    return None


def all_subclasses(base: type) -> list[type]:
    """All imported subclasses of `base`."""
    subclasses: list[type] = []
    children: Iterable[type] = base.__subclasses__()
    for child in children:
        subclasses += [child, *all_subclasses(child)]
    return subclasses
