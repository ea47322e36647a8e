"""What a person reads after a mistake: one line that says what is wrong, where, and what to type instead."""

import difflib
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from datamodules.errors import UserError

UNUSABLE_PLACES = (PermissionError, NotADirectoryError, IsADirectoryError)
"""Errors of the operating system about a place that the user named."""

OURS = ("lit_models", "datamodules")
"""Our packages."""
RESTORING = {
    "lightning.pytorch.trainer.connectors.checkpoint_connector": ("restore", "_restore", "resume_start"),
    "lit_models.runs.resume": ("_restore", "set_", "_add_results", "add_result"),
}
"""Functions that bring back the state in a checkpoint: beginnings of their names, by module."""
OTHER_FORMS = ("<class 'NoneType'>", "dot import path string", "path but ")
"""Beginnings of what jsonargparse also tries for a value, and a person does not think of."""


def nearest(name: str, names: Iterable[str]) -> str:
    """`, did you mean X?` for the closest of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


def is_users(error: BaseException) -> bool:
    """Whether an exception is a mistake that the user can mend; every other one keeps its traceback. A place that
    cannot be used is the user's mistake where the program uses it, and a fault of their own code elsewhere."""
    if isinstance(error, UNUSABLE_PLACES):
        return _is_raised_for_us(error)
    exceptions = sys.modules.get("lightning.fabric.utilities.exceptions")  # not imported here: it takes seconds
    return isinstance(error, (UserError, *([exceptions.MisconfigurationException] if exceptions else [])))


def is_raised_in(package: str, error: BaseException) -> bool:
    """Whether code of a package has raised an exception itself."""
    return _modules_of(error)[-1].partition(".")[0] == package


def is_raised_while_restoring(error: BaseException) -> bool:
    """Whether an exception was raised while the state in a checkpoint was brought back."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_name) for frame in frames]
    return any(module in RESTORING and name.startswith(RESTORING[module]) for module, name in places)


def _is_raised_for_us(error: BaseException) -> bool:
    """Whether our code called what raised an exception, and no code of the user's was called in between."""
    for module in reversed(_modules_of(error)):
        package = module.partition(".")[0]
        if package in OURS:
            return True
        if package not in sys.stdlib_module_names and not _is_installed(package):
            return False
    return False


def _is_installed(package: str) -> bool:
    """Whether a module comes from an installed package, and not from a file of the user's."""
    path = getattr(sys.modules.get(package), "__file__", None) or ""
    return any(Path(path).is_relative_to(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))


def _modules_of(error: BaseException) -> list[str]:
    """Names of the modules in an exception's traceback, the one that raised it last."""
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]


def one_line(error: Exception) -> str:
    """An error as one line; for a file that the system refused, its name and why."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}"
    return f"error: {' '.join(str(error).split())}"


def unknown_class(part: str, name: str, names: Iterable[str]) -> str:
    """The sentence for a class name that does not exist."""
    names = list(names)
    return f"{part}: no class {name!r}{nearest(name, names)} (known: {', '.join(names)}; your own: file.Class)"


def shorten_parser_error(message: str) -> str:
    """The heart of a jsonargparse message, which lists every type that was tried, on one line."""
    keys = [k for k in re.findall(r'Parser key "([^"]+)"', message) if k]
    key = keys[0] if keys else ""
    if len(keys) > 1 and not keys[-1].startswith(key):
        key = f"{key}.{keys[-1]}"
    values = re.findall(r"Got value: (.+)|Given value: (.+)", message)
    value = next((a or b for a, b in values), None)
    expected = re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", message, re.MULTILINE)
    kinds = list(dict.fromkeys(_plain_type(e) for e in expected if not e.startswith(OTHER_FORMS)))
    if key and kinds and value is not None and not value.startswith(("Namespace", "NestedArg")):
        return f"{key}: {value} is not valid, expected {' or '.join(kinds)}"
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    useful = [
        x for x in lines if not x.startswith(("Does not validate", "Subtypes", "Errors:", "Given value", "Parser key"))
    ]
    text = "; ".join(dict.fromkeys(u for u in useful if u != "Expected a <class 'NoneType'>")) or message.strip()
    return " ".join((f"{key}: {text}" if key and key not in text else text).split())


def _plain_type(text: str) -> str:
    """A type of jsonargparse's message in plain words: a class's name, or the choices of a Literal."""
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", text):
        return choices[1].replace("'", "")
    return re.sub(r"<class '([^']+)'>", r"\1", text).rsplit(".", 1)[-1]
