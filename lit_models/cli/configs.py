"""Config files: found by name, read strictly, and checked against the parser with `file:line`."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.lines import require_file
from lit_models.cli import registry, state, strict_yaml
from lit_models.cli.messages import nearest


@dataclass(frozen=True)
class Config:
    """A config file.

    Args:
        path: of the file.
        content: what it holds, or what one section of it holds.
        section: the command whose section this is; empty for a whole file.
    """

    path: Path
    content: dict[str, Any]
    section: str = ""

    def place(self, key: str) -> str:
        """`file:line` of a dotted key, or the file alone where the key is not found."""
        return line_of(self.path, f"{self.section}.{key}" if self.section else key)

    def section_of(self, command: str) -> "Config | None":
        """The section of one command; None where the file has none.

        Raises:
            UserError: the section is not a mapping.
        """
        if command not in self.content:
            return None
        content = self.content[command]
        if not isinstance(content, dict):
            raise UserError(f"{self.place(command)}: {command} is not a section: write settings under it")
        return Config(self.path, content, command)

    def place_of_message(self, message: str) -> str:
        """`file:line` of the setting that a parser's message begins with, or the file alone."""
        key = message.partition(":")[0]
        place = next((place for place in _places(self.content, key) if _holds(self.content, place)), "")
        return self.place(place) if place else str(self.path)


def find_config(name: str) -> Path:
    """The file that `--config` means: an existing path, or the name of a config that comes with the program, with or
    without `.yaml`. An overlay is found with and without `overlays/` before it.

    Raises:
        MissingFileError: neither exists; names the nearest.
    """
    path = Path(name).expanduser()
    if path.exists() and not path.is_dir():
        return path
    shipped = {c.name: c.path for c in registry.configs()}
    bare = name.removesuffix(".yaml")
    for wanted in (bare, f"overlays/{bare}"):
        if wanted in shipped:
            return shipped[wanted]
    hint = nearest(bare.removeprefix("configs/"), shipped)
    raise MissingFileError(
        f"no config file {name!r}, and the program has no config of that name{hint or '; see `list`'}"
    )


def read_config(path: Path) -> Config:
    """A YAML config file.

    Raises:
        MissingFileError: no such file.
        UserError: not a file, not UTF-8, not YAML, a key twice, too large, or not a mapping; with `file:line`.
    """
    require_file(path)
    try:
        with path.open(encoding="utf-8") as file:
            content = strict_yaml.load(file.read(strict_yaml.MAX_BYTES + 1))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML text: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a config is a mapping (key: value), this is {type(content).__name__}")
    if (key := strange_key(content)) is not None:
        raise UserError(f"{path}: {key} is not the name of a setting")
    return Config(path, content)


def strange_key(content: dict[Any, Any]) -> str | None:
    """The first key that is not a text, such as a number, in a config, its sections or their settings; None if all are
    texts."""
    sections = [content, *(part for part in content.values() if isinstance(part, dict))]
    sections += [part["init_args"] for part in sections[1:] if isinstance(part.get("init_args"), dict)]
    return next((repr(key) for section in sections for key in section if not isinstance(key, str)), None)


def unreadable_place(content: Any) -> str | None:
    r"""What is wrong with a text in a config that names a pipe, a device or another machine; None if none does.

    The parser and libraries may open what a text names. Reading a pipe might never end, and Windows sends the user's
    name and a form of the password to the machine in a path such as `\\machine\folder`.
    """
    if isinstance(content, dict | list):
        parts = content.values() if isinstance(content, dict) else content
        return next((problem for part in parts if (problem := unreadable_place(part))), None)
    if not isinstance(content, str) or "\0" in content or "\n" in content:
        return None
    if re.match(r"[\\/]{2}[^\\/]", content):
        return f"{content} names a place on another machine"
    with suppress(OSError):  # a text that is too long for a path
        path = Path(content)
        if path.exists() and not path.is_file() and not path.is_dir():
            return f"{content} is a pipe or a device"
    return None


def look_where_runs_started(configs: list[Path]) -> None:
    """Looks for a user's modules also in the folder in which the run of a `config.yaml` was started, after all other
    places, so that the config works in any folder.

    A config may come from anybody, and a library looks in these places for packages that it can do without. So the
    folder counts only if this user has run a module that lies in it.
    """
    from lit_models.runs.folder import start_folder  # imports torch, which a help screen does without

    files = map(Path, state.modules())
    own = {file.parent.parent if file.name == "__init__.py" else file.parent for file in files}
    for path in configs:
        folder = start_folder(path)
        if folder is not None and folder.resolve() in own and str(folder) not in sys.path:
            sys.path.append(str(folder))


def line_of(path: Path, dotted: str) -> str:
    """`file:line` of a key, or the file alone where the key is not found."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in dotted.split("."):
        if not isinstance(node, yaml.MappingNode):
            break
        pairs = [(k, v) for k, v in node.value if k.value == part]
        if not pairs:
            break
        line, node = pairs[0][0].start_mark.line, pairs[0][1]
    return f"{path}:{line + 1}" if line is not None else str(path)


def _places(content: dict[str, Any], key: str) -> Iterator[str]:
    """The dotted places in a config at which a setting may stand that a message calls `key`."""
    yield key
    for part in content:
        yield f"{part}.{key}"
        yield f"{part}.init_args.{key}"
    if "." in key:
        part, _, name = key.partition(".")
        yield f"{part}.init_args.{name}"


def _holds(content: Any, dotted: str) -> bool:
    """Whether a mapping has a dotted key."""
    for step in dotted.split("."):
        if not isinstance(content, dict) or step not in content:
            return False
        content = content[step]
    return True
