"""turn a checkpoint into a file for another program"""

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import MissingFileError, UserError
from lit_models import startup
from lit_models.cli import registry, stored
from lit_models.cli.flags import FlagParser
from lit_models.cli.messages import nearest
from lit_models.export.formats import FORMATS

if TYPE_CHECKING:
    from lit_models.tasks.task import LitTask


def parser() -> FlagParser:
    """The flags of the command."""
    formats = "; ".join(f"{name}: {known.summary}" for name, known in FORMATS.items())
    flags = FlagParser(
        __name__,
        "--format FORMAT --ckpt_path FILE [options]",
        needed=("--format", "--ckpt_path"),
        examples=("export --format keras --ckpt_path last.ckpt",),
    )
    flags.add_argument("--format", metavar="FORMAT", type=format_name, help=formats)
    flags.add_argument("--ckpt_path", metavar="FILE", help="checkpoint with the model")
    flags.add_argument("--output", metavar="FILE", help="a new file; in the run folder unless given")
    return flags


def format_name(text: str) -> str:
    """Checks the name of a format.

    Raises:
        argparse.ArgumentTypeError: the format does not exist.
    """
    if text not in FORMATS:
        raise argparse.ArgumentTypeError(f"no format {text!r}{nearest(text, FORMATS)} (known: {', '.join(FORMATS)})")
    return text


def main(words: list[str]) -> int:
    """Writes the model of a checkpoint in the given format; returns the exit status, 0.

    Raises:
        UserError: a flag or the file is wrong, or the model has no counterpart in the format.
    """
    settings, _ = parser().read(words)
    startup.begin()
    from lit_models.runs.progress import say
    from lit_models.runs.quiet import quiet_libraries

    quiet_libraries()
    chosen = FORMATS[settings.format]
    checkpoint = Path(settings.ckpt_path)
    module = load_model(checkpoint)
    path = output_path(settings.output, checkpoint, name=chosen.file)
    try:
        lines = chosen.write(module, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    for line in lines:
        say(line)
    say(f"{type(module).__name__} in {path}")
    return 0


def output_path(output: str | None, checkpoint: Path, *, name: str) -> Path:
    """The new file: `output` if it is given, otherwise `name` in the checkpoint's run folder, with a number if needed.

    Raises:
        UserError: `output` exists already.
        MissingFileError: the folder of `output` does not exist.
    """
    from lit_models.runs import folder

    if output is None:
        return folder.new_file(folder.of_checkpoint(checkpoint) or checkpoint.parent, name)
    path = Path(output)
    if path.exists():
        raise UserError(f"{path} exists already and is not overwritten; give --output another name")
    if not path.parent.is_dir():
        raise MissingFileError(f"no folder {path.parent} for {path.name}; create it, or give --output another path")
    return path


def load_model(path: Path) -> "LitTask":
    """The model of a checkpoint, on the CPU.

    Raises:
        UserError: the file is not a checkpoint of a model of this package.
    """
    from lit_models.runs import checkpoint_files, checkpoints

    content = checkpoint_files.read_checkpoint(path)
    name = str((stored.read_config(path, content).get("model") or {}).get("class_path", ""))
    entry = next(
        (e for e in registry.models() if name in (e.name, f"lit_models.{e.name}", f"{e.module}.{e.name}")), None
    )
    if entry is None:
        problem = f"{path} is a checkpoint of {name}" if name else f"{path} does not say which model it is of"
        raise UserError(f"{problem}; these models can be loaded: {', '.join(registry.model_names())}")
    model_class = getattr(importlib.import_module(entry.module), entry.name)
    try:
        fresh = model_class(**content.get("hyper_parameters", {}))
    except Exception as error:  # a wrong value in the file can raise any error in the constructor
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: its hyper-parameters do not fit {entry.name}: {reason}") from error
    checkpoints.check_weights(path, content, fresh)
    module: LitTask = model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    return module.eval()
