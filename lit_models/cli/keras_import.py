"""Turns a trained Keras file into a run folder with a checkpoint, after both outputs are compared."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from datamodules.errors import UserError
from datamodules.storage.downloads import sha256
from lit_models.cli.app import LitCLI
from lit_models.cli.building import Builder
from lit_models.keras.importing import Imported, import_any
from lit_models.keras.live import require_keras
from lit_models.keras.proof import LayerProof
from lit_models.runs import checkpoints, folder, results
from lit_models.runs.next_steps import command_line
from lit_models.runs.progress import say, trainable
from lit_models.runs.reporting import SOURCE
from lit_models.tasks.task import LitTask


class ImportBuilder(Builder):
    """Builds the model of a Keras file. Its errors begin with the name of the file."""

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
    """Builds the model of a Keras file, and data if they are given, as `fit` does. It has no Trainer and runs nothing.

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
        """Builds no Trainer."""
        return None

    def _run_subcommand(self, subcommand: str) -> None:
        """Does nothing."""


def import_file(
    path: Path, *, model: str | None, dropout: float | None, data_words: list[str], runs_dir: Path, experiment: str
) -> None:
    """Reads a Keras file, compares its outputs with those of the network, and writes a run folder.

    Args:
        path: the file.
        model: name of the network; recognised by its layers if None.
        dropout: replaces all dropout rates of the file; None keeps them.
        data_words: `--data CLASS` and `--data.NAME VALUE`, as typed; empty without data.
        runs_dir: folder of all runs.
        experiment: name of the run's folder.

    Raises:
        UserError: Keras is not installed, or the file has no counterpart here.
    """
    require_keras("import-keras")
    imported = import_any(path, model=model, dropout=dropout)
    cli = build(path, imported, data_words, experiment=experiment)
    module = cast(LitTask, cli.model).eval()
    difference = imported.transfer(module.network)
    run_folder = folder.reserve(runs_dir, experiment)
    try:
        checkpoint = write_run(run_folder, module, cli.stored_config(), optimizer_of(imported, module))
        write_source(run_folder, path, module, difference, imported.proof)
    except BaseException:
        folder.remove_empty(run_folder)
        raise
    report(path, imported, module, difference=difference, checkpoint=checkpoint)


def build(path: Path, imported: Imported, data_words: list[str], *, experiment: str) -> ImportCLI:
    """Builds the model with the settings of a Keras file, and the data in `data_words`, if any.

    Raises:
        UserError: the data do not fit, or the model refuses a setting of the file.
    """
    model = {"class_path": f"lit_models.{imported.name}", "init_args": imported.settings}
    content: dict[str, Any] = {"seed_everything": 0, "experiment": experiment, "model": model}
    if imported.dtype == "float64":
        content["trainer"] = {"precision": "64-true"}
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "model.yaml"
        config.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return ImportCLI(path, ["fit", "--config", str(config), *data_words])


class Untrained(Callback):
    """Counts no epoch in the checkpoint, because nothing was trained here."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["epoch"] = -1


def optimizer_of(imported: Imported, module: LitTask) -> torch.optim.Optimizer | None:
    """The optimizer with the state that it has in a Keras file; None if it has none."""
    if not imported.steps:
        return None
    optimizer = cast(torch.optim.Optimizer, module.configure_optimizers())
    imported.load_state(optimizer, module.network)
    return optimizer


def write_run(run_folder: Path, module: LitTask, config: str, optimizer: torch.optim.Optimizer | None) -> Path:
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
    trainer.strategy.optimizers = [] if optimizer is None else [optimizer]
    path = run_folder / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    (run_folder / "config.yaml").write_text(config, encoding="utf-8")
    return path


def write_source(run_folder: Path, path: Path, module: LitTask, difference: float, proof: Sequence[LayerProof]) -> None:
    """Writes the source of the weights and the comparison with Keras to `import-keras.json`."""
    content = {
        "command": "import-keras",
        "arguments": sys.argv[1:],
        "model": type(module).__name__,
        "file": str(path),
        "file_sha256": sha256(path),
        "metrics": {"largest_difference": difference},
        "layers": [row._asdict() for row in proof],
        "parameters": trainable(module),
        "versions": results.versions(),
        "commit": results.commit(),
    }
    results.write_results(run_folder, SOURCE, content)


def report(path: Path, imported: Imported, module: LitTask, *, difference: float, checkpoint: Path) -> None:
    """Prints what was written, and the differences from the file."""
    say(f"{path} is a {imported.name}: {imported.described()}")
    for note in imported.notes:
        say(f"note: {note}")
    say(f"largest difference {imported.compared} from Keras on random inputs: {difference:.1e} ({imported.allowed})")
    worst = max((row for row in imported.proof if row.output), key=lambda row: row.output or 0, default=None)
    if worst is not None:
        say(f"{len(imported.proof)} layers compared; the largest difference is {worst.output:.1e}, in {worst.name!r}")
        say(f"all of them: {command_line('report', str(checkpoint.parents[1]))}")
    if imported.steps:
        say(f"the optimizer {module.hparams['optimizer']} goes on after Keras' step {imported.steps:,}")
    say(f"{trainable(module):,} parameters in {checkpoint}")
