"""`import-keras`: a trained Keras file becomes a run folder with a checkpoint, if both compute the same."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback

from datamodules.errors import UserError
from datamodules.storage.downloads import sha256
from lit_models.cli import registry
from lit_models.cli.app import LitCLI
from lit_models.cli.building import Builder
from lit_models.cli.messages import nearest
from lit_models.keras.adapters import ADAPTERS, adapter_of
from lit_models.keras.comparison import PROBABILITY
from lit_models.keras.importing import ImportedModel, check_outputs, import_model, load_weights
from lit_models.keras.live import require_keras
from lit_models.runs import checkpoints, folder, results
from lit_models.runs.progress import say, trainable
from lit_models.tasks.task import LitTask


class ImportBuilder(Builder):
    """Builds the model of a Keras file; its errors begin with the file's name."""

    advice = "use data that fit"

    def build_model(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        links = applied_instantiation_links
        try:
            return super().build_model(class_type, *args, applied_instantiation_links=links, **kwargs)
        except UserError as error:
            self.failure = UserError(f"{cast(ImportCLI, self.cli).path}: {error}")
            raise self.failure from error


class ImportCLI(LitCLI):
    """Builds the model of a Keras file, and data if there are any, as `fit` would. It has no Trainer and runs nothing.

    Args:
        path: the Keras file, for messages.
        words: the command line.
    """

    data_needed = False
    builder_class = ImportBuilder

    def __init__(self, path: Path, words: list[str]) -> None:
        self.path = path
        super().__init__(args=words)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """None, so nothing is prepared to run."""
        return None

    def _run_subcommand(self, subcommand: str) -> None:
        """Does nothing."""


def import_keras(settings: argparse.Namespace, data_words: list[str]) -> None:
    """Reads a Keras file, compares its outputs with the network's, and writes a run folder.

    Args:
        settings: the flags of `import-keras`.
        data_words: `--data.NAME VALUE`, as typed.

    Raises:
        UserError: a wrong flag, or a file that has no counterpart here.
    """
    require_keras("import-keras")
    chosen_data = ["--data", settings.data] if settings.data else []
    path = Path(settings.file)
    experiment = path.stem if settings.experiment is None else settings.experiment
    check_flags(settings, experiment)
    imported = import_model(path, model=settings.model, dropout=settings.dropout)
    cli = build(path, imported, [*chosen_data, *data_words], experiment=experiment)
    module = cast(LitTask, cli.model).eval()
    load_weights(imported, module.network)
    difference = check_outputs(imported, module.network)
    run_folder = folder.reserve(Path(settings.runs_dir), experiment)
    try:
        checkpoint = write_run(run_folder, module, cli.stored_config())
        write_source(run_folder, path, module, difference)
    except BaseException:
        folder.remove_empty(run_folder)
        raise
    report(path, imported, module, difference=difference, checkpoint=checkpoint)


def check_flags(settings: argparse.Namespace, experiment: str) -> None:
    """Checks the flags that can be checked without the file.

    Raises:
        UserError: an unknown model, a number out of its range, or an experiment that is a path.
    """
    if settings.model in registry.model_names():
        adapter_of(settings.model)
    elif settings.model is not None:
        hint = nearest(settings.model, ADAPTERS)
        raise UserError(f"--model: no network {settings.model!r}{hint} (known: {', '.join(ADAPTERS)})")
    if settings.dropout is not None and not 0 <= settings.dropout < 1:
        raise UserError(f"--dropout must be 0 to below 1, got {settings.dropout}")
    if Path(experiment).name != experiment or experiment in ("", ".", ".."):
        raise UserError(f"--experiment must be the name of one folder, not a path: {experiment!r}")


def build(path: Path, imported: ImportedModel, data_words: list[str], *, experiment: str) -> ImportCLI:
    """The model with the settings of a Keras file, and data if `data_words` name some.

    Raises:
        UserError: data that do not fit, or a setting of the file that the model refuses.
    """
    model = {"class_path": f"lit_models.{imported.adapter.name}", "init_args": imported.settings}
    content: dict[str, Any] = {"seed_everything": 0, "experiment": experiment, "model": model}
    if imported.dtype == "float64":
        content["trainer"] = {"precision": "64-true"}
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "model.yaml"
        config.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return ImportCLI(path, ["fit", "--config", str(config), *data_words])


class Untrained(Callback):
    """Says in a checkpoint that no epoch has been trained here."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["epoch"] = -1


def write_run(run_folder: Path, module: LitTask, config: str) -> Path:
    """Writes `config.yaml` and `checkpoints/last.ckpt`; returns the path of the checkpoint."""
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoints.SaveConfig(None, None, folder=run_folder, text=config), Untrained()],
    )
    trainer.strategy.connect(module)
    path = run_folder / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    (run_folder / "config.yaml").write_text(config, encoding="utf-8")
    return path


def write_source(run_folder: Path, path: Path, module: LitTask, difference: float) -> None:
    """Writes `import-keras.json`: where the weights come from."""
    content = {
        "command": "import-keras",
        "arguments": sys.argv[1:],
        "model": type(module).__name__,
        "file": str(path),
        "file_sha256": sha256(path),
        "metrics": {"largest_difference": difference},
        "parameters": trainable(module),
        "versions": results.versions(),
        "commit": results.commit(),
    }
    results.write_results(run_folder, "import-keras.json", content)


def report(path: Path, imported: ImportedModel, module: LitTask, *, difference: float, checkpoint: Path) -> None:
    """Prints what was created, and what is not as in the file."""
    settings = ", ".join(f"{name} {value}" for name, value in imported.settings.items())
    say(f"{path} is a {imported.adapter.name}: {settings}")
    for note in imported.notes:
        say(f"note: {note}")
    say(f"largest difference in probability from Keras on random inputs: {difference:.1e} (allowed: {PROBABILITY:.0e})")
    say(f"{trainable(module):,} parameters in {checkpoint}")
