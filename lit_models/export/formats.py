"""`export`: a checkpoint to a file for another program, by format."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from lit_models import catalog
from lit_models.classifier import LitClassifier
from lit_models.cli import quiet_libraries
from lit_models.export.keras import export_keras
from lit_models.runs import checkpoints, folder
from lit_models.runs.progress import say


class Format(NamedTuple):
    """A kind of file.

    Args:
        file: its name in the run folder.
        write: writes a module to a new path, and returns a sentence about it.
    """

    file: str
    write: Callable[[LitClassifier, Path], str]


FORMATS = {"keras": Format("model.keras", export_keras)}


def export(settings: argparse.Namespace) -> None:
    """Writes the model of a checkpoint in the format that is asked for.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, or a model that has no counterpart; in one line.
    """
    quiet_libraries()
    made = FORMATS[settings.format]
    checkpoint = Path(settings.ckpt_path)
    module = load_model(checkpoint)
    if settings.output is None:
        path = folder.new_file(folder.of_checkpoint(checkpoint) or checkpoint.parent, made.file)
    else:
        path = Path(settings.output)
        if path.exists():
            raise ValueError(f"{path} is there already, and nothing is overwritten: give --output another name")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} for {path.name}")
    try:
        sentence = made.write(module, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error
    say(sentence)
    say(f"{type(module).__name__} in {path}")


def load_model(path: Path) -> LitClassifier:
    """The model of a checkpoint, on the CPU.

    Raises:
        FileNotFoundError, ValueError: no checkpoint of a model that comes with the program.
    """
    content = checkpoints.read_checkpoint(path)
    name = class_path(path, content.get("config") or "")
    entry = next(
        (e for e in catalog.models() if name in (e.name, f"lit_models.{e.name}", f"{e.module}.{e.name}")), None
    )
    if entry is None:
        says = f"is a checkpoint of {name}" if name else "does not say which model it is"
        raise ValueError(f"{path} {says}; of the program's own are {', '.join(catalog.model_names())}")
    made = getattr(importlib.import_module(entry.module), entry.name)
    try:
        fresh = made(**content.get("hyper_parameters", {}))
    except Exception as error:  # any value may stand there, and a constructor may fail on it in many ways
        says = str(error).partition("\n")[0]
        raise ValueError(f"{path} has hyper-parameters that are not {entry.name}'s: {says}") from error
    checkpoints.check_weights(path, content, fresh)
    module: LitClassifier = made.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    return module.eval()


def class_path(path: Path, config: str) -> str:
    """The model's class in the text of a checkpoint's config, or nothing.

    Raises:
        ValueError: the text is no config.
    """
    try:
        content = yaml.safe_load(config) or {}
        return str((content.get("model") or {}).get("class_path", ""))
    except (yaml.YAMLError, AttributeError) as error:
        raise ValueError(f"{path} has a config that is no mapping with a model in it") from error
