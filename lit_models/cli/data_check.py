"""Builds the data of a command line, and says what is in them."""

import shlex
from pathlib import Path
from typing import Any

import lightning as L

from datamodules.contents.facts import Contents
from datamodules.contents.loaders import inspect_loaders
from datamodules.errors import UserError
from datamodules.spec import HasContents
from lit_models.cli.app import LitCLI
from lit_models.cli.building import Builder
from lit_models.cli.diagnosis import keyword_problem
from lit_models.cli.help import PROGRAM
from lit_models.cli.pairing import check_pair
from lit_models.runs.data_lines import content_lines
from lit_models.runs.durable import replaced
from lit_models.runs.progress import say


class DataBuilder(Builder):
    """Builds the data only. The model decides settings of the data, such as the tokenizer, and is not built."""

    def build_model(self, class_type: type, *args: Any, **kwargs: Any) -> Any:
        """Returns an empty module."""
        return L.LightningModule()

    def build_part(self, class_type: type, *args: Any, **kwargs: Any) -> Any:
        """Builds no callback and no logger."""
        return None


class DataCLI(LitCLI):
    """Builds the data of a `fit`. It has no Trainer, and runs nothing."""

    data_needed = False
    builder_class = DataBuilder

    def _check_settings(self) -> None:
        if problem := keyword_problem(self.settings.as_dict()):
            raise UserError(problem)
        model, data = self.class_of("model"), self.class_of("data")
        if data is None:
            raise UserError("data-check needs data: use --config, or --data (`list` shows them)")
        if model is not None:
            check_pair(model, data)

    def _add_configure_optimizers_method_to_model(self, subcommand: str | None) -> None:
        """Does nothing."""

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Builds no Trainer."""
        return None

    def _run_subcommand(self, subcommand: str) -> None:
        """Does nothing."""


def check(words: list[str], typed: list[str], *, output: Path | None, start: float) -> int:
    """Prints what is in the data, and writes the page.

    Args:
        words: the flags of `fit`.
        typed: the flags that were typed, for the page.
        output: the page; None if none is wanted.
        start: `time.perf_counter()` when the work began.

    Returns:
        The exit status: 0, or 2 if something is surely a mistake.

    Raises:
        UserError: a wrong flag, or a mistake in the data that ends the reading.
    """
    data = DataCLI(args=["fit", *words]).datamodule
    assert data is not None, "the settings were checked"
    contents = data.inspect() if isinstance(data, HasContents) else inspect_loaders(data)
    for line in content_lines(contents, each_part=True):
        say(line)
    if output is not None:
        command = shlex.join([*PROGRAM.split(), "data-check", *typed])
        write_page(contents, output, name=type(data).__name__, command=command, start=start)
        say(f"page in {output}")
    return 2 if contents.mistakes else 0


def write_page(contents: Contents, output: Path, *, name: str, command: str, start: float) -> None:
    """Writes the page."""
    from lit_models.report.data_page import data_page

    text = data_page(contents, name=name, command=command, start=start)
    with replaced(output) as part:
        part.write_text(text, encoding="utf-8")
