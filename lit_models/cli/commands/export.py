"""turn a checkpoint into a file for another program"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli.flags import FlagParser
from lit_models.cli.messages import nearest
from lit_models.export.files import require
from lit_models.export.formats import FORMATS
from lit_models.runs.new_files import named_file, new_file

if TYPE_CHECKING:
    from lit_models.export.source import Source


def parser() -> FlagParser:
    """The flags of the command."""
    formats = "; ".join(f"{name}: {known.summary}" for name, known in FORMATS.items())
    flags = FlagParser(
        __name__,
        "--format FORMAT --ckpt_path FILE [options]",
        needed=("--format", "--ckpt_path"),
        passes_on=("--data", "--model", "--trust"),
        examples=("export --format onnx --ckpt_path best.ckpt", "export --format html --ckpt_path best.ckpt"),
    )
    flags.add_argument("--format", metavar="FORMAT", type=format_name, choices=tuple(FORMATS), help=formats)
    flags.add_argument("--ckpt_path", metavar="FILE", help="checkpoint with the model")
    flags.add_argument(
        "--output",
        metavar="PATH",
        help="a new file, or a new folder if the format is one; in the run folder unless given",
    )
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
        UserError: a flag or the file is wrong, the model cannot be written in the format, or its outputs differ.
    """
    settings, rest = parser().read(words)
    chosen = FORMATS[settings.format]
    require(settings.format, *chosen.packages)
    startup.begin()
    from lit_models.runs.folder import of_checkpoint
    from lit_models.runs.progress import say
    from lit_models.runs.quiet import quiet_libraries

    quiet_libraries()
    checkpoint = Path(settings.ckpt_path)
    source = read_source(checkpoint, rest)
    place = of_checkpoint(checkpoint) or checkpoint.parent
    path = named_file(settings.output) if settings.output else new_file(place, chosen.file)
    try:
        lines = chosen.write(source, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    for line in lines:
        say(line)
    say(f"{source.name} in {path}")
    return 0


def read_source(checkpoint: Path, words: list[str]) -> "Source":
    """The model of a checkpoint on the CPU, with samples of its data.

    Args:
        checkpoint: the file.
        words: flags of model and data, and `--trust`.

    Raises:
        UserError: the file is damaged, or names a class that may not be imported.
    """
    import torch

    from lit_models.cli.loading import LoadCLI, load_checkpoint
    from lit_models.export.source import make_source
    from lit_models.runs.progress import say

    class ExportCLI(LoadCLI):
        """A command line that also takes a model without data."""

        data_needed = False

        def _check_settings(self) -> None:
            if not self.settings.get("model"):
                raise UserError(f"{checkpoint} does not say which model it is of: add --model CLASS")
            super()._check_settings()

    cli = load_checkpoint(checkpoint, ["--trainer.accelerator", "cpu", *words], program=ExportCLI)
    cli.load_late_layers()
    if short := {p.dtype for p in cli.model.parameters() if p.dtype in (torch.bfloat16, torch.float16)}:
        say(f"note: the weights are {str(short.pop()).removeprefix('torch.')}, and the file has them in float32")
        cli.model.float()
    return make_source(cli.model, cli.datamodule)
