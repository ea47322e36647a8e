"""The formats that a model can be exported to. The help screen shows this table, so it does not import torch."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lit_models.tasks.task import LitTask


class Format(NamedTuple):
    """A format.

    Args:
        file: default name of the file in the run folder.
        summary: one line for the help screen.
        module: name of the module with the function `write(module, path)`, which writes a new file and returns lines
            about it.
    """

    file: str
    summary: str
    module: str

    def write(self, module: "LitTask", path: Path) -> list[str]:
        """Writes a model on the CPU to a new file; returns lines for the screen.

        Raises:
            UserError: the model cannot be written in this format.
            OSError: the file cannot be written.
        """
        lines: list[str] = import_module(self.module).write(module, path)
        return lines


FORMATS = {"keras": Format("model.keras", "one .keras file", "lit_models.export.keras")}
