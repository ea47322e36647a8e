"""The available models, data and configs. They are read from source files, so that help screens do not import torch.

The names are those of the tables `lit_models.MODELS` and `datamodules.DATA`. The summary and the kinds of data are read
from the source of each class.
"""

import ast
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import datamodules
import lit_models

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Entry:
    """A model or a datamodule.

    Args:
        name: name of the class.
        module: name of its module.
        summary: first line of its docstring.
        kinds: kinds of data that a model accepts, or the kind of the data.
    """

    name: str
    module: str
    summary: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class ConfigEntry:
    """A config of the program.

    Args:
        name: name for `--config`, such as "mnist_cnn" or "overlays/gpu".
        path: path of the file.
        header: first line of the comment at the beginning of the file.
    """

    name: str
    path: Path
    header: str


@cache
def models() -> tuple[Entry, ...]:
    """The models, by name."""
    return tuple(_entry(name, module, "accepts") for name, module in sorted(lit_models.MODELS.items()))


@cache
def data() -> tuple[Entry, ...]:
    """The datamodules, by name."""
    return tuple(_entry(name, module, "kind") for name, module in sorted(datamodules.DATA.items()))


def model_names() -> list[str]:
    """Class names of the models."""
    return [entry.name for entry in models()]


def data_names() -> list[str]:
    """Class names of the datamodules."""
    return [entry.name for entry in data()]


def models_for(kind: str) -> list[str]:
    """Names of the models that accept data of `kind`."""
    return [entry.name for entry in models() if kind in entry.kinds]


def modules() -> list[str]:
    """Modules of all models and datamodules."""
    return list(dict.fromkeys(entry.module for entry in (*models(), *data())))


def import_all() -> None:
    """Imports all models and datamodules, so that the parser finds their classes by their short names."""
    for module in modules():
        import_module(module)


def config_dir() -> Path:
    """The folder of the program's configs: inside an installed package, or beside the package in a checkout."""
    inside = ROOT / "lit_models" / "configs"
    return inside if inside.is_dir() else ROOT / "configs"


def configs() -> list[ConfigEntry]:
    """The configs of the program, by name; overlays last."""
    folder = config_dir()
    paths = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*/*.yaml"))]
    return [ConfigEntry(p.relative_to(folder).with_suffix("").as_posix(), p, _header(p)) for p in paths]


def _entry(name: str, module: str, attribute: str) -> Entry:
    """Reads the entry of a class from its source."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            return Entry(name, module, summary, _strings(node, attribute))
    raise AssertionError(f"{path} has no class {name}")


def _strings(node: ast.ClassDef, attribute: str) -> frozenset[str]:
    """The strings in the value of a class attribute; empty if the class does not set it."""
    for statement in node.body:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        value = getattr(statement, "value", None)
        if value and any(isinstance(t, ast.Name) and t.id == attribute for t in targets):
            constants = (n.value for n in ast.walk(value) if isinstance(n, ast.Constant))
            return frozenset(c for c in constants if isinstance(c, str))
    return frozenset()


def _header(path: Path) -> str:
    """First line of the comment at the beginning of a config."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""
