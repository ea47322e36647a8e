"""Errors as a person reads them: one line that says what is wrong, where, and the nearest right name."""

import difflib
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

PLACES = (PermissionError, NotADirectoryError, IsADirectoryError)  # a place that the user named and cannot be used
PACKAGES = (Path(__file__).parent, Path(__file__).parent.parent / "datamodules")


def nearest(name: str, names: Iterable[str]) -> str:
    """`, did you mean X?` for the closest of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


def is_library(error: BaseException) -> bool:
    """Whether an exception was raised inside an installed library, and not in our own code or a user's."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and "site-packages" in Path(frames[-1].filename).parts
    return inside and not any(Path(frames[-1].filename).is_relative_to(folder) for folder in PACKAGES)


def is_users(error: BaseException) -> bool:
    """Whether an exception is a mistake of the user's that this program found and worded itself: a ValueError or a
    FileNotFoundError raised in our own files, or Lightning's MisconfigurationException."""
    if type(error).__name__ == "MisconfigurationException" or isinstance(error, PLACES):
        return True
    if isinstance(error, RuntimeError) and str(error).startswith("Early stopping conditioned on"):
        return True
    if type(error) not in (ValueError, FileNotFoundError, UnreadableConfig):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(Path(frames[-1].filename).is_relative_to(folder) for folder in PACKAGES)


def one_line(error: Exception) -> str:
    """What a person reads of a mistake; of a file that the system refused, its name and why."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}"
    return f"error: {' '.join(str(error).split())}"


class UnreadableConfig(ValueError):
    """A config file with a mistake; the message names file and line."""


class _StrictLoader(yaml.SafeLoader):
    """Reads YAML as YAML 1.1 does, but refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> dict[str, Any]:
    """A YAML config file's content.

    Raises:
        UnreadableConfig: not UTF-8, not YAML, a key twice, or no mapping; with `file:line`.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UnreadableConfig(f"{path}{line}: {error.problem}") from error
    except RecursionError as error:
        raise UnreadableConfig(f"{path}: a part of it contains itself") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableConfig(f"{path}: no YAML text: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UnreadableConfig(f"{path}: {error.strerror}") from error
    if not isinstance(content, dict):
        raise UnreadableConfig(f"{path}: a config is a mapping (key: value), this is {type(content).__name__}")
    return content


def _plain_type(text: str) -> str:
    """A type of jsonargparse's message in plain words: a class's name, or the choices of a Literal."""
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", text):
        return choices[1].replace("'", "")
    return re.sub(r"<class '([^']+)'>", r"\1", text).rsplit(".", 1)[-1]


def line_of(path: Path, dotted: str) -> str:
    """`file:line` of a key, or the file alone where the key is not found."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in dotted.split("."):
        if not isinstance(node, yaml.MappingNode):
            break
        found = [(k, v) for k, v in node.value if k.value == part]
        if not found:
            return f"{path}:{line + 1}" if line is not None else str(path)
        line, node = found[0][0].start_mark.line, found[0][1]
    return f"{path}:{line + 1}" if line is not None else str(path)


def shorten_parser_error(message: str) -> str:
    """The heart of a jsonargparse message, which lists every type that it tried, on one line."""
    keys = [k for k in re.findall(r'Parser key "([^"]+)"', message) if k]
    key = keys[0] if keys else ""
    if len(keys) > 1 and not keys[-1].startswith(key):
        key = f"{key}.{keys[-1]}"
    if refused := re.search(r"Problem with given class_path '([^']+)':\s+Option '([^']+)' is not accepted", message):
        return f"{refused[1].rsplit('.', 1)[-1]} has no setting {refused[2]!r}"
    if refused := re.search(r"Group '([^']+)' does not accept option '([^']+)'", message):
        return f"{refused[1]} has no setting {refused[2]!r}"
    if refused := re.search(r"^\s*Option '([^'.]+)[^']*' is not accepted", message):
        return f"a config has no setting {refused[1]!r}"
    given = re.findall(r"Got value: (.+)|Given value: (.+)", message)
    value = next((a or b for a, b in given), None)
    expected = re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", message, re.MULTILINE)
    kinds = list(
        dict.fromkeys(_plain_type(e) for e in expected if e not in ("<class 'NoneType'>", "dot import path string"))
    )
    if key and kinds and value is not None and not value.startswith(("Namespace", "NestedArg")):
        return f"{key}: {value} is not valid, expected {' or '.join(kinds)}"
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    useful = [
        x for x in lines if not x.startswith(("Does not validate", "Subtypes", "Errors:", "Given value", "Parser key"))
    ]
    text = "; ".join(dict.fromkeys(u for u in useful if u != "Expected a <class 'NoneType'>")) or message.strip()
    return " ".join((f"{key}: {text}" if key and key not in text else text).split())
