"""Exports a model to a `.keras` file that computes the same outputs."""

from pathlib import Path

from datamodules.errors import UserError
from lit_models.export.source import Source
from lit_models.keras.comparison import PROBABILITY
from lit_models.keras.exporting import export_model
from lit_models.keras.exporting_graph import export_graph
from lit_models.keras.live import require_keras
from lit_models.keras.network import KerasNetwork
from lit_models.tasks.task import LitTask


def write(source: Source, path: Path) -> list[str]:
    """Writes the network to a new Keras file, after its outputs are compared with those of the Keras model.

    Returns:
        A line about the comparison, and notes about the use of the file.

    Raises:
        UserError: the network has no counterpart in Keras, or Keras is not installed.
    """
    require_keras("export --format keras")
    module = source.module
    if not isinstance(module, LitTask):
        raise UserError(f"{source.name} is not a LitTask, so it has no counterpart in Keras")
    if isinstance(module.network, KerasNetwork):
        exported = export_graph(module.network, path, task=module.hparams["task"])
    else:
        exported = export_model(module.network, path, model=source.name, settings=dict(module.hparams))
    first = f"largest difference in probability on random inputs: {exported.difference:.1e}"
    return [f"{first} (allowed: {PROBABILITY:.0e})", *(f"note: {note}" for note in exported.notes)]
