"""Messages after a mistake: one line that says what is wrong, where, and what to type instead."""

import difflib
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from datamodules.errors import UserError

UNUSABLE_PLACES = (PermissionError, NotADirectoryError, IsADirectoryError)
"""Errors of the operating system about a path that the user named."""

OURS = ("lit_models", "datamodules")
"""Our packages."""
RESTORING = {
    "lightning.pytorch.trainer.connectors.checkpoint_connector": ("restore", "_restore", "resume_start"),
    "lit_models.runs.resume": ("_restore", "set_", "_add_results", "add_result"),
}
"""Functions that restore the state of a checkpoint: prefixes of their names, by module."""
NOT_FINITE = ("nan", "inf", "infinity")
OTHER_FORMS = ("<class 'NoneType'>", "dot import path string", "path but ")
"""Prefixes of types that jsonargparse also tries for a value, but that do not help a user."""


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The text `, did you mean X?` with the closest of `names`; empty if none is as similar as `cutoff`, 0 to 1."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f", did you mean {close[0]}?" if close else ""


def is_users(error: BaseException) -> bool:
    """Whether an exception is a mistake of the user; any other one keeps its traceback. A path that cannot be used is a
    mistake of the user if this program uses it, and a fault of the user's own code otherwise."""
    if isinstance(error, UNUSABLE_PLACES):
        return _is_raised_for_us(error)
    exceptions = sys.modules.get("lightning.fabric.utilities.exceptions")  # importing it here would take seconds
    return isinstance(error, (UserError, *([exceptions.MisconfigurationException] if exceptions else [])))


def is_raised_in(package: str, error: BaseException) -> bool:
    """Whether an exception was raised by code of a package."""
    return _modules_of(error)[-1].partition(".")[0] == package


def is_raised_while_restoring(error: BaseException) -> bool:
    """Whether an exception was raised while the state of a checkpoint was restored, and not by the user's code."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_name) for frame in frames]
    for i, (module, name) in enumerate(places):
        if module in RESTORING and name.startswith(RESTORING[module]):
            return not any(_is_of_the_user(later) for later, _ in places[i:])
    return False


def _is_raised_for_us(error: BaseException) -> bool:
    """Whether this program called the function that raised an exception, without code of the user in between."""
    for module in reversed(_modules_of(error)):
        if module.partition(".")[0] in OURS:
            return True
        if _is_of_the_user(module):
            return False
    return False


def _is_of_the_user(module: str) -> bool:
    """Whether a module is neither ours, nor Python's, nor of an installed package."""
    package = module.partition(".")[0]
    return package not in (*OURS, *sys.stdlib_module_names) and not _is_installed(package)


def _is_installed(package: str) -> bool:
    """Whether a module belongs to an installed package, and not to the user's files."""
    path = getattr(sys.modules.get(package), "__file__", None) or ""
    return any(Path(path).is_relative_to(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))


def _modules_of(error: BaseException) -> list[str]:
    """Names of the modules in the traceback of an exception; the last one raised it."""
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]


def one_line(error: Exception) -> str:
    """An error on one line. For an error of the operating system, the file and the reason."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}"
    return f"error: {' '.join(str(error).split())}"


def unknown_class(part: str, name: str, names: Iterable[str]) -> str:
    """The message for the name of a class that does not exist."""
    names = list(names)
    return f"{part}: no class {name!r}{nearest(name, names)} (known: {', '.join(names)}; your own: file.Class)"


def shorten_parser_error(message: str) -> str:
    """Shortens a message of jsonargparse, which lists every type that it tried, to one line."""
    keys = [k for k in re.findall(r'Parser key "([^"]+)"', message) if k]
    key = keys[0] if keys else ""
    if len(keys) > 1 and not keys[-1].startswith(key):
        key = f"{key}.{keys[-1]}"
    values = re.findall(r"Got value: (.+)|Given value: (.+)", message)
    value = next((a or b for a, b in values), None)
    expected = re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", message, re.MULTILINE)
    kinds = list(dict.fromkeys(_plain_type(e) for e in expected if not e.startswith(OTHER_FORMS)))
    if key and kinds and value is not None and not value.startswith(("Namespace", "NestedArg")):
        if value.strip("'\"+-").lower() in NOT_FINITE and {"int", "float"} & set(kinds):
            return f"{key}: {value} is not valid, expected a finite number"
        return f"{key}: {value} is not valid, expected {' or '.join(kinds)}"
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    useful = [
        x for x in lines if not x.startswith(("Does not validate", "Subtypes", "Errors:", "Given value", "Parser key"))
    ]
    text = "; ".join(dict.fromkeys(u for u in useful if u != "Expected a <class 'NoneType'>")) or message.strip()
    return " ".join((f"{key}: {text}" if key and key not in text else text).split())


def _plain_type(text: str) -> str:
    """A type in a message of jsonargparse in plain words: the name of a class, or the choices of a Literal."""
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", text):
        return choices[1].replace("'", "")
    return re.sub(r"<class '([^']+)'>", r"\1", text).rsplit(".", 1)[-1]
