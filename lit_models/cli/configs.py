"""Config files: finds them by name, reads them strictly, and gives `file:line` for messages."""

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
        path: path of the file.
        content: the content of the file, or of one section.
        section: the command of this section; empty for a whole file.
    """

    path: Path
    content: dict[str, Any]
    section: str = ""

    def place(self, key: str) -> str:
        """`file:line` of a dotted key, or only the file if it does not contain the key."""
        return line_of(self.path, f"{self.section}.{key}" if self.section else key)

    def section_of(self, command: str) -> "Config | None":
        """The section of one command; None if the file has no such section.

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
        """`file:line` of the setting at the beginning of a parser's message, or only the file."""
        key = message.partition(":")[0]
        place = next((place for place in _places(self.content, key) if _holds(self.content, place)), "")
        return self.place(place) if place else str(self.path)


def find_config(name: str) -> Path:
    """The file of a `--config`: an existing path, or the name of a config of the program, with or without `.yaml`. For
    an overlay, `overlays/` may be left out.

    Raises:
        MissingFileError: neither exists; the message has the nearest name.
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
    """Reads a YAML config file.

    Raises:
        MissingFileError: no such file.
        UserError: it is not a file, UTF-8 or YAML, is too large, has a key twice, or is not a mapping; with
            `file:line`.
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
    """The first key that is not a string, such as a number, in a config, its sections or their settings; None if there
    is none."""
    sections = [content, *(part for part in content.values() if isinstance(part, dict))]
    sections += [part["init_args"] for part in sections[1:] if isinstance(part.get("init_args"), dict)]
    return next((repr(key) for section in sections for key in section if not isinstance(key, str)), None)


def unreadable_place(content: Any) -> str | None:
    r"""The problem of a string in a config that names a pipe, a device or another machine; None if there is none.

    The parser and libraries may open such a path. Reading a pipe might never end. For a path such as
    `\\machine\folder`, Windows sends the user's name and a hash of the password to that machine.
    """
    if isinstance(content, dict | list):
        parts = content.values() if isinstance(content, dict) else content
        return next((problem for part in parts if (problem := unreadable_place(part))), None)
    if not isinstance(content, str) or "\0" in content or "\n" in content:
        return None
    if re.match(r"[\\/]{2}[^\\/]", content):
        return f"{content} names a place on another machine"
    with suppress(OSError):  # a string may be too long for a path
        path = Path(content)
        if path.exists() and not path.is_file() and not path.is_dir():
            return f"{content} is a pipe or a device"
    return None


def look_where_runs_started(configs: list[Path]) -> None:
    """Adds the folder in which the run of a `config.yaml` was started to the end of the import path, so that the config
    works in any folder.

    A config may come from anybody, and libraries search the import path for optional packages. So the folder is added
    only if this user has run a module from it before.
    """
    from lit_models.runs.folder import start_folder  # imports torch, which help screens do not need

    files = map(Path, state.modules())
    own = {file.parent.parent if file.name == "__init__.py" else file.parent for file in files}
    for path in configs:
        folder = start_folder(path)
        if folder is not None and folder.resolve() in own and str(folder) not in sys.path:
            sys.path.append(str(folder))


def line_of(path: Path, dotted: str) -> str:
    """`file:line` of a key, or only the file if it does not contain the key."""
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
    """The dotted keys in a config that a message may mean by `key`."""
    yield key
    for part in content:
        yield f"{part}.{key}"
        yield f"{part}.init_args.{key}"
    if "." in key:
        part, _, name = key.partition(".")
        yield f"{part}.init_args.{name}"


def _holds(content: Any, dotted: str) -> bool:
    """Whether a mapping contains a dotted key."""
    for step in dotted.split("."):
        if not isinstance(content, dict) or step not in content:
            return False
        content = content[step]
    return True
