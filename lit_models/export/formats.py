"""The formats that a model can be exported to. This table imports no torch, so that help screens can show it."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lit_models.tasks.task import LitTask


class Format(NamedTuple):
    """A kind of file.

    Args:
        file: default name of the file in the run folder.
        summary: what is written, for the help screen.
        module: module with the function `write(module, path)`, which writes a new file and returns lines about it.
    """

    file: str
    summary: str
    module: str

    def write(self, module: "LitTask", path: Path) -> list[str]:
        """Writes a model on the CPU to a new file; returns lines to show to a person.

        Raises:
            UserError: the model cannot be written in this format.
            OSError: the file cannot be written.
        """
        lines: list[str] = import_module(self.module).write(module, path)
        return lines


FORMATS = {"keras": Format("model.keras", "one .keras file", "lit_models.export.keras")}
