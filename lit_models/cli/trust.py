"""Rules for the classes and functions that a config file or a checkpoint may name. Other names are never imported.

The rules hold for every class path and every import path:

- Any file may name the models and data of this program, and the parts of torch, Lightning, torchmetrics and torchvision
  in `ALLOWED`.
- A file may name a module of the user if the user has named it too: in a flag (`--model my_file.LitMine`), or with
  `--trust my_file`. It may also name modules in the same folder that this module has imported.
- A config file in the current folder, or below it, may name modules that are there too.
- A checkpoint may name modules that this user has run before. The state folder remembers the full path of each file, so
  a checkpoint from somebody else cannot import a file that came with it.

jsonargparse applies these rules when it resolves an import path. It also checks the module that defines the object:
`my_file.os.system` is `posix.system`, which no rule allows.
"""

import importlib
import itertools
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import set_parsing_settings
from jsonargparse._common import denying_import_path_entry, parsing_settings
from jsonargparse._loaders_dumpers import loaders

from lit_models.cli import registry, state, strict_yaml
from lit_models.cli.configs import Config

CLASS_FLAGS = ("model", "data", "optimizer", "lr_scheduler")
CLASS_SETTINGS = ("callbacks", "logger", "strategy", "plugins", "profiler", "accelerator")
"""Settings of the Trainer whose values are objects of a class."""
OURS = ("lit_models", "datamodules")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax", "selu", "celu", "rrelu", "sin", "cos", "exp", "log", "square")
DTYPES = ("bfloat16", "float16", "float32", "float64", "int64")
ALLOWED = (
    *(f"torch.{name}" for name in (*ACTIVATIONS, *DTYPES, "device", "dtype", "Tensor")),
    *(f"torch._VariableFunctionsClass.{name}" for name in ACTIVATIONS),  # where they are defined
    "torch.nn",
    "torch._C._nn",  # where functions of torch.nn.functional are defined
    "torch.optim",
    *(f"lightning.pytorch.{part}" for part in ("accelerators", "callbacks", "loggers", "plugins", "profilers")),
    "lightning.pytorch.strategies",
    "lightning.pytorch.cli.ReduceLROnPlateau",
    *(f"lightning.fabric.{part}" for part in ("accelerators", "loggers", "plugins", "strategies")),
    "torchmetrics",
    *(f"torchvision.{part}" for part in ("datasets", "models", "ops", "transforms", "tv_tensors")),
    *(
        "lightning.Callback",
        "lightning.LightningModule",
        "lightning.LightningDataModule",
    ),  # base classes in annotations of types
    *("lightning.pytorch.core.module.LightningModule", "lightning.pytorch.core.datamodule.LightningDataModule"),
    "datetime.timedelta",
    "lit_models.runs.progress.ErrorLines",
    *(
        "lit_models.LitKeras",
        "lit_models.tasks.keras_graph.LitKeras",
    ),  # no `--model` of its own: import-keras writes it
)
"""Names that any file may use, with everything below them."""
DENIED = (
    "lightning.pytorch.callbacks.LambdaCallback",  # runs any function that it is given
    "lightning.pytorch.callbacks.lambda_function",
    "torchmetrics.utilities",
    "torchvision.datasets.utils",  # downloads and unpacks files
)
"""Exceptions from `ALLOWED`."""


LIBRARIES = {entry.partition(".")[0] for entry in ALLOWED} - set(OURS)
"""Packages of which only the parts in `ALLOWED` may be named."""


@contextmanager
def enforced(program: type, *classes: Any) -> Iterator[None]:
    """Enforces the rules, and restores the settings of jsonargparse afterwards. Values are parsed within the limits of
    `strict_yaml`, and nothing is fetched from another machine.

    Args:
        program: class of the command line.
        classes: classes of model and data, if the program fixes them.
    """
    before, read = dict(parsing_settings), loaders["yaml"]
    own = [f"{entry.module.partition('.')[0]}.{entry.name}" for entry in (*registry.models(), *registry.data())]
    try:
        set_parsing_settings(
            config_read_mode_urls_enabled=False,
            config_read_mode_fsspec_enabled=False,
            import_path_denylist=["*", *DENIED],
            import_path_allowlist=[*ALLOWED, *registry.modules(), *own, *program_modules(program, *classes)],
        )
        loaders["yaml"] = lambda text: read(_bounded(text))
        yield
    finally:
        parsing_settings.clear()
        parsing_settings.update(before)
        loaders["yaml"] = read


def _bounded(text: str) -> str:
    """Returns a value that may be parsed as YAML: a short one without aliases.

    Raises:
        yaml.YAMLError: the value has aliases or is too large.
    """
    if len(text) > strict_yaml.MAX_BYTES or ("&" in text and "*" in text and strict_yaml.has_aliases(text)):
        raise yaml.YAMLError("a value with aliases, or a very long one, is not read as YAML")
    return text


def program_modules(program: type, *classes: Any) -> set[str]:
    """Modules of the program's command line and classes, and the modules that it has imported from its own files."""
    own = {cls.__module__ for cls in (program, *classes) if isinstance(cls, type)} | {"__main__"}
    own |= _own_modules().keys()
    return {name.partition(".")[0] for name in own} - {*OURS, *LIBRARIES} - sys.stdlib_module_names


def allows(name: str) -> bool:
    """Whether a file may name a class path. A name without a dot is a class that is already imported."""
    return "." not in name or denying_import_path_entry(name) is None


def module_of(name: str) -> str:
    """The value of `--trust` that allows a class path: its top module, or the whole path if it belongs to a library."""
    top = name.partition(".")[0]
    return name if top in LIBRARIES else top


def can_be_trusted(name: str) -> bool:
    """Whether the user could allow a name. Parts of Python and of this program cannot be allowed."""
    return name.partition(".")[0] not in {*OURS, *sys.stdlib_module_names}


def refusal(name: str) -> str:
    """The message for a name that is not allowed, with advice."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return f"{name} is a part of Python that no setting may name"
    if name.partition(".")[0] in OURS:
        return f"{name} is not one of the classes that a setting may name (see `list`)"
    return f"{name} is not imported, as you have not named it: if you trust its code, add --trust {module_of(name)}"


def allow_names(names: Iterable[str]) -> None:
    """Allows the names that the user has typed: a module, or a class with its module. For a library in `LIBRARIES`,
    such as torch, only the class itself is allowed."""
    for name in names:
        top = name.partition(".")[0]
        if top in OURS or top in sys.stdlib_module_names or not all(part.isidentifier() for part in name.split(".")):
            continue
        entries = {name} if top in LIBRARIES else {top}
        module = _import(name)
        cls = getattr(module, name.rpartition(".")[2], None)
        if isinstance(cls, type):
            entries.add(f"{cls.__module__}.{cls.__qualname__.partition('.')[0]}")
        if top not in LIBRARIES:
            entries |= _beside(sys.modules.get(top))
        set_parsing_settings(import_path_allowlist=sorted(entries - {""}))


def allow_config(config: Config) -> None:
    """Allows the modules that a config names, if both the config and their files lie in the current folder or below."""
    here = Path.cwd().resolve()
    if not config.path.resolve().is_relative_to(here):
        return
    names = [name for _, name in class_paths(config.content)]
    names += [text for text in _texts(config.content) if not Path(text).exists()]
    for name in dict.fromkeys(names):
        file = module_file(name)
        if file is not None and file.is_relative_to(here) and not _is_installed(file):
            allow_names([name])


def allow_remembered(names: Iterable[str]) -> None:
    """Allows the modules of class paths that this user has run before."""
    remembered = state.modules()
    allow_names(name for name in names if not allows(name) and str(module_file(name)) in remembered)


def remember(names: Iterable[str]) -> None:
    """Remembers the files of the user's allowed modules, so that checkpoints may name them from now on."""
    files = {module_file(name) for name in names if "." in name and name.partition(".")[0] not in OURS and allows(name)}
    state.add_modules(str(file) for file in files if file is not None and not _is_installed(file))


def module_file(name: str) -> Path | None:
    """The file of the top module of a class path; None if there is none. The module is not imported."""
    top = name.partition(".")[0]
    if "." not in name or not top.isidentifier():
        return None
    spec = PathFinder.find_spec(top)
    return Path(spec.origin).resolve() if spec and spec.origin and spec.has_location else None


def class_paths(content: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted name of a class in a configuration, with its place."""
    if isinstance(content, list):
        for part in content:
            yield from class_paths(part, place)
        return
    if not isinstance(content, dict):
        if isinstance(content, str) and "." in content and _is_class_place(place):
            yield place, content
        return
    for key, value in content.items():
        inner = f"{place}.{key}" if place else str(key)
        if key == "class_path" and isinstance(value, str):
            if "." in value:
                yield inner, value
        else:
            yield from class_paths(value, inner)


def _is_class_place(place: str) -> bool:
    parts = [part for part in place.split(".") if part != "init_args"]
    return (len(parts) == 1 and parts[0] in CLASS_FLAGS) or (
        len(parts) == 2 and parts[0] == "trainer" and parts[1] in CLASS_SETTINGS
    )


def typed_names(words: list[str]) -> list[str]:
    """The dotted names that were typed as classes: `--model my_file.LitMine`, and class paths in YAML or JSON."""
    flags = {*CLASS_FLAGS, *(f"trainer.{name}" for name in CLASS_SETTINGS)}
    names: list[str] = []
    for word, following in itertools.pairwise([*words, ""]):
        flag, equals, value = word.partition("=")
        setting = flag.removeprefix("--").removesuffix("+")
        if not flag.startswith("--") or not (setting in flags or setting.endswith(".class_path")):
            continue
        text = value if equals else following
        try:
            content = strict_yaml.load(text)
        except yaml.YAMLError:
            continue
        place = setting.removesuffix(".class_path") if isinstance(content, str) else setting
        typed = [content] if isinstance(content, str) and "." in content else []
        names += typed or [name for _, name in class_paths(content, place)]
    return names


def _texts(content: Any) -> Iterator[str]:
    """Every dotted text of a configuration that could be an import path."""
    if isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from _texts(part)
    elif isinstance(content, str) and "." in content and all(part.isidentifier() for part in content.split(".")):
        yield content


def _import(name: str) -> Any:
    """Imports the module of a class path, or the module of that name; None if there is none."""
    for module in filter(None, (name.rpartition(".")[0], name)):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and not f"{name}.".startswith(f"{error.name}."):
                raise
    return None


def _beside(module: Any) -> set[str]:
    """Loaded modules of the user in the folder of a module's file."""
    own = _own_modules()
    name = getattr(module, "__name__", None)
    if name not in own:
        return set()
    folder = own[name].parent
    return {name.partition(".")[0] for name, file in own.items() if file.is_relative_to(folder)} - set(OURS)


def _own_modules() -> dict[str, Path]:
    """The imported modules that do not belong to an installed package, with their files."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    own = {name: file for name, file in files.items() if isinstance(file, str) and not file.startswith(_installed())}
    paths = {name: Path(file).resolve() for name, file in own.items() if os.path.isabs(file)}
    return {name: path for name, path in paths.items() if not _is_installed(path)}


@cache
def _installed() -> tuple[str, ...]:
    """The folders of Python and of installed packages, with and without links resolved."""
    places = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(f"{folder}{os.sep}" for place in places for folder in (place, os.path.realpath(place)))


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return str(file).startswith(_installed()) or bool({"site-packages", "dist-packages"} & set(file.parts))
