"""`lit_models.load`: the command `predict` as a function of Python, with the same checks and numbers."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning as L
import numpy as np
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from datamodules.base import DataModule, GlobalBatchSampler
from datamodules.errors import MissingFileError, UserError
from datamodules.storage.inputs import Text
from lit_models.cli.app import LATE_HOOKS, LitCLI
from lit_models.cli.plain_errors import errors_in_python
from lit_models.runs.checkpoint_files import CheckpointFiles
from lit_models.runs.loaders import prepare_loaders
from lit_models.runs.prediction_rows import probabilities_in, rows_of
from lit_models.runs.predictions import in_order, plain
from lit_models.runs.weights import explain_weights

CHECKPOINTS = ("best.ckpt", "last.ckpt")
"""Checkpoints of a run folder, the preferred one first."""


class Prediction(NamedTuple):
    """The class of one sample.

    Args:
        label: the most probable class.
        probability: its probability, 0 to 1.
        probabilities: the probability of each class, by name.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class LabelsPrediction(NamedTuple):
    """The labels of one sample.

    Args:
        labels: the labels with a probability above 0.5.
        probabilities: the probability of each label, by name.
    """

    labels: list[str]
    probabilities: dict[str, float]


class NumbersPrediction(NamedTuple):
    """The numbers of one sample.

    Args:
        values: each number, by name.
    """

    values: dict[str, float]


class Predictor:
    """A trained model with the data settings of its run, such as the tokenizer.

    Args:
        model: the module, with the weights of the checkpoint.
        data: the data of its run; None if it has none.
        trainer: computes the predictions.
        checkpoint: the file, for a module that builds layers in a hook of the Trainer.
    """

    def __init__(
        self, model: L.LightningModule, data: L.LightningDataModule | None, trainer: L.Trainer, checkpoint: Path | None
    ) -> None:
        self.model, self.data = model, data
        self._trainer, self._checkpoint = trainer, checkpoint

    def predict(self, inputs: Any, *, top_k: int | None = None, batch_size: int | None = None) -> list[Any]:
        """Predicts in the order of the inputs, with the numbers of the command `predict`.

        Args:
            inputs: one input or a list. For texts: strings, which are always texts, and paths (`pathlib.Path`) of
                files. For images: paths, PIL images, or arrays `(H, W)` or `(H, W, 3)`, uint8 or floats in 0 to 1. For
                rows of numbers: lists, arrays, or strings such as "0,1".
            top_k: number of classes in `probabilities`, the most probable first; all of them if None.
            batch_size: samples that are computed at once; that of the run if None.

        Returns:
            A Prediction, LabelsPrediction or NumbersPrediction for each sample. For a module with other predictions,
            what its `predict_step` returns for each sample.

        Raises:
            UserError: an input cannot be read, or a number is out of its range.
        """
        for name, value in (("top_k", top_k), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}")
        if not isinstance(self.data, DataModule) or "inputs" not in inspect.signature(type(self.data)).parameters:
            name = type(self.data).__name__ if self.data is not None else "a module without data"
            raise UserError(f"{name} takes no inputs to predict: call `model` with a batch, as in plain PyTorch")
        data = self.data.with_inputs([_input(item, self.data.kind) for item in _listed(inputs, self.data.kind)])
        data.batch_size = batch_size or data.batch_size
        with errors_in_python():
            outputs = cast(list[Any], self._trainer.predict(self.model, datamodule=data, ckpt_path=self._checkpoint))
            sampler = cast(Any, self._trainer.predict_dataloaders).sampler
        assert isinstance(sampler, GlobalBatchSampler), "a DataModule has this sampler"
        batches = ([(0, index) for index in batch.tolist()] for batch in sampler.batches_of(0))
        _, predictions = in_order([(places, plain(p)) for places, p in zip(batches, outputs, strict=True)])
        rows = rows_of(self.model, predictions)
        if rows is None:
            return list(predictions)
        return [_prediction(rows.row(numbers), top_k) for numbers in predictions.tolist()]


def _listed(inputs: Any, kind: str) -> list[Any]:
    """The inputs as a list. A batch of images or rows is one input for each."""
    if isinstance(inputs, str | Path) or not isinstance(inputs, Iterable) or isinstance(inputs, Mapping):
        return [inputs]
    if isinstance(inputs, np.ndarray | Tensor) and (inputs.ndim < 3 or (inputs.ndim == 3 and inputs.shape[-1] == 3)):
        if inputs.ndim == 1 and not np.issubdtype(np.asarray(inputs).dtype, np.number):  # of texts
            return list(map(str, inputs))
        return list(inputs) if kind == "features" and inputs.ndim == 2 else [inputs]  # rows; a row, or an image
    return list(inputs)


def _input(item: Any, kind: str) -> Any:
    return Text(item) if kind == "tokens" and isinstance(item, str) else item


def _prediction(record: dict[str, Any], top_k: int | None) -> Any:
    each = probabilities_in(record)
    if not each:
        if top_k is not None:
            raise UserError("top_k is for classes and labels, and the model predicts numbers: leave it out")
        return NumbersPrediction(record)
    if top_k is not None:
        each = dict(sorted(each.items(), key=lambda pair: -pair[1])[:top_k])
    if "label" in record:
        return Prediction(record["label"], record["probability"], each)
    return LabelsPrediction([name for name, p in probabilities_in(record).items() if p > 0.5], each)


class LoadCLI(LitCLI):
    """Builds model and data of a checkpoint as `predict` does, and loads the weights. It runs nothing."""

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """A Trainer that computes in this process, and prints and writes nothing."""
        config = self._get(self.config_init, "trainer")
        quiet = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
        trainer = L.Trainer(
            accelerator=config["accelerator"],
            devices=1,
            precision=config["precision"],
            plugins=[CheckpointFiles()],
            **cast(Any, dict.fromkeys(quiet, False)),
        )
        prepare_loaders(trainer)
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Checks the checkpoint, and loads its weights."""
        self._check_run()
        explain_weights(self.trainer, Path(self.settings.ckpt_path))
        if self.trainer.precision == "64-true":
            self.model.double()
        self.late = any(is_overridden(hook, self.model) for hook in LATE_HOOKS)
        if not self.late:
            self.load_weights()
        self.model.eval()

    def load_weights(self) -> None:
        """Loads the weights of the checkpoint."""
        content = self.words_parser.checkpoint
        assert content is not None, "`load` names a checkpoint"
        self.model.on_load_checkpoint(content)
        self.model.load_state_dict(content["state_dict"], strict=self.model.strict_loading)

    def load_late_layers(self) -> None:
        """Builds the layers that a module creates in its hooks, and loads the weights into them. The Trainer does this
        when it predicts."""
        if self.late:
            self.model.setup("predict")
            self.model.configure_model()
            self.load_weights()


def load(path: str | Path, *, accelerator: str = "auto", trust: Sequence[str] = ()) -> Predictor:
    """Loads a trained model to predict with it.

    The file is checked as the command line checks it: its checksum, and the classes that it names. Nothing in it is
    executed.

    Args:
        path: a checkpoint, or a run folder. From a folder, `best.ckpt` is loaded, or `last.ckpt` if it does not exist.
        accelerator: "auto", "cpu", "gpu" or "mps".
        trust: modules of your own that the checkpoint may name, as `--trust` does.

    Raises:
        MissingFileError: the file does not exist.
        UserError: the file is damaged, or names a class that you have not named.
    """
    file = checkpoint_in(Path(path).expanduser())
    trusted = [word for module in trust for word in ("--trust", module)]
    cli = load_checkpoint(file, ["--trainer.accelerator", accelerator, *trusted])
    return Predictor(cli.model, cli.datamodule, cli.trainer, file if cli.late else None)


def load_checkpoint(file: Path, words: Sequence[str], *, program: type[LoadCLI] = LoadCLI) -> LoadCLI:
    """Builds model and data of a checkpoint, and loads the weights.

    Args:
        file: the checkpoint.
        words: further flags of `predict`.
        program: the command line that builds them.

    Raises:
        MissingFileError: the file does not exist.
        UserError: the file is damaged, or a flag is wrong.
    """
    with errors_in_python():
        return program(args=["predict", "--ckpt_path", str(file), *words])


def checkpoint_in(path: Path) -> Path:
    """The checkpoint of a run folder, or the file itself.

    Raises:
        MissingFileError: the folder has no checkpoint.
    """
    if not path.is_dir():
        return path
    found = [place / name for place in (path / "checkpoints", path) for name in CHECKPOINTS]
    file = next((file for file in found if file.is_file()), None)
    if file is None:
        raise MissingFileError(f"no {' or '.join(CHECKPOINTS)} in {path}: give a run folder or a checkpoint")
    return file
