"""What there is: models, data, configs. Read from the source files, so that nothing has to import torch for it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lit_models.errors import nearest

PACKAGE = Path(__file__).parent
DATA_PACKAGE = PACKAGE.parent / "datamodules"


@dataclass(frozen=True)
class Entry:
    """A model or a datamodule.

    Args:
        name: of the class.
        module: that it lies in.
        summary: first line of its docstring.
        kinds: kinds of data that a model accepts, or the one that data gives.
    """

    name: str
    module: str
    summary: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Config:
    """A config that comes with the program.

    Args:
        name: as `--config` takes it, such as "mnist_cnn" or "overlays/gpu".
        path: of the file.
        header: first line of the comment that the file begins with.
    """

    name: str
    path: Path
    header: str


@cache
def models() -> tuple[Entry, ...]:
    """The classes `Lit*` of this package, by name."""
    found = (c for c in _classes(PACKAGE, "accepts") if c.name.startswith("Lit") and c.name != "LitClassifier")
    return tuple(sorted(found, key=lambda c: c.name))


@cache
def data() -> tuple[Entry, ...]:
    """The classes `*DataModule` of the package `datamodules`, by name."""
    found = (c for c in _classes(DATA_PACKAGE, "kind") if c.name.endswith("DataModule") and c.name != "DataModule")
    return tuple(sorted(found, key=lambda c: c.name))


def model_names() -> list[str]:
    """Names of the models' classes."""
    return [c.name for c in models()]


def data_names() -> list[str]:
    """Names of the datamodules' classes."""
    return [c.name for c in data()]


def models_for(kind: str) -> list[str]:
    """Names of the models that accept data of `kind`."""
    return [c.name for c in models() if kind in c.kinds]


def config_dir() -> Path:
    """The folder of the configs that come with the program: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def configs() -> list[Config]:
    """The configs that come with the program, by name; overlays last."""
    folder = config_dir()
    paths = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*/*.yaml"))]
    return [Config(p.relative_to(folder).with_suffix("").as_posix(), p, _header(p)) for p in paths]


def find_config(name: str) -> Path:
    """The file that `--config` means: an existing path, or the name of a config that comes with the program, with or
    without `.yaml`. An overlay is found with and without `overlays/` before it.

    Raises:
        FileNotFoundError: neither; names the nearest.
    """
    path = Path(name).expanduser()
    if path.exists() and not path.is_dir():
        return path
    shipped = {c.name: c.path for c in configs()}
    bare = name.removesuffix(".yaml")
    for wanted in (bare, f"overlays/{bare}"):
        if wanted in shipped:
            return shipped[wanted]
    hint = nearest(bare.removeprefix("configs/"), shipped)
    raise FileNotFoundError(
        f"no config file {name!r}, and none of that name comes with the program{hint or '; see `list`'}"
    )


def _classes(folder: Path, attribute: str) -> Iterator[Entry]:
    """The public classes of a package that set `attribute`, in the order of its files."""
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and (kinds := _strings(node, attribute)):
                summary = (ast.get_docstring(node) or "").partition("\n")[0]
                yield Entry(node.name, f"{folder.name}.{path.stem}", summary, kinds)


def _strings(node: ast.ClassDef, attribute: str) -> frozenset[str]:
    """The strings in the value of a class attribute; none where the class does not set it."""
    for statement in node.body:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        value = getattr(statement, "value", None)
        if value and any(isinstance(t, ast.Name) and t.id == attribute for t in targets):
            constants = (n.value for n in ast.walk(value) if isinstance(n, ast.Constant))
            return frozenset(c for c in constants if isinstance(c, str))
    return frozenset()


def _header(path: Path) -> str:
    """First line of the comment that a config begins with."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


MODEL_MODULES = tuple(dict.fromkeys(c.module for c in models()))
DATA_MODULES = tuple(dict.fromkeys(c.module for c in data()))
