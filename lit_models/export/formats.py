"""The formats that a model can be exported to. The help screen shows this table, so it does not import torch."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lit_models.export.source import Source


class Format(NamedTuple):
    """A format.

    Args:
        file: default name of the file or folder in the run folder.
        summary: one line for the help screen.
        module: name of the module with the function `write(source, path)`, which writes a new file or folder and
            returns lines about it.
        packages: packages that it needs, beside those of the program.
    """

    file: str
    summary: str
    module: str
    packages: tuple[str, ...] = ()

    def write(self, source: "Source", path: Path) -> list[str]:
        """Writes a model on the CPU to a new file or folder; returns lines for the screen.

        Raises:
            UserError: the model cannot be written in this format, or the file computes other outputs.
            OSError: the file cannot be written.
        """
        lines: list[str] = import_module(self.module).write(source, path)
        return lines


FORMATS = {
    "onnx": Format(
        "onnx", "a folder for ONNX Runtime", "lit_models.export.onnx", ("onnx", "onnxscript", "onnxruntime")
    ),
    "torch": Format("torch", "a folder with a program for PyTorch alone", "lit_models.export.torch_export"),
    "safetensors": Format("safetensors", "a folder with the weights", "lit_models.export.safetensors"),
    "keras": Format("model.keras", "one .keras file", "lit_models.export.keras"),
    "html": Format("digits.html", "a page that reads drawn digits", "lit_models.export.html"),
}
