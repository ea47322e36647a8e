"""One run of one command: its folder, the callbacks and loggers that write to it, and its results."""

import inspect
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.model_helpers import is_overridden

from datamodules.errors import UserError
from datamodules.spec import HasChecksums, HasSkipped, HasValidation
from datamodules.storage.downloads import sha256
from datamodules.storage.inputs import STANDARD_INPUT
from lit_models import kernels
from lit_models.runs import folder as folders
from lit_models.runs import processes, results, torchrun
from lit_models.runs.checkpoint_files import with_checkpoint_files
from lit_models.runs.checkpoints import Checkpoints
from lit_models.runs.class_scores import ClassScores
from lit_models.runs.data_lines import DataLines
from lit_models.runs.early_stopping import more_patience, say_stopped
from lit_models.runs.environment import environment
from lit_models.runs.epoch_lines import EpochLines
from lit_models.runs.finite import FiniteGuard, check_metrics
from lit_models.runs.loaders import has_test_loader, missing_part, prepare_loaders
from lit_models.runs.logged import check_is_logged, direction_of, in_split, log_one_of_each_name, logged, table
from lit_models.runs.metrics_file import MetricsFile
from lit_models.runs.network_summary import NetworkSummary
from lit_models.runs.next_steps import command_line, next_steps
from lit_models.runs.predictions import PredictionWriter, report_skipped
from lit_models.runs.progress import Bar, NoProfiler, say, show, trainable, warn
from lit_models.runs.reporting import Reporter
from lit_models.runs.schedules import ScheduleLengths
from lit_models.runs.settings import RunSettings
from lit_models.runs.steps import shorten_steps
from lit_models.runs.stopping import Stopped
from lit_models.runs.weights import explain_weights
from lit_models.tasks.task import LitTask


class Run:
    """One run of "fit", "validate", "test" or "predict".

    Args:
        command: its name.
        settings: what it is asked for.
        folder: where it writes.
        module: the model.
        has_validation: whether the data have a validation part.
        continues: whether a fit goes on in the folder of the run that wrote its checkpoint.
        exists: whether the folder exists. A prediction creates one only for what cannot be printed.
    """

    trainer: L.Trainer

    def __init__(
        self,
        command: str,
        settings: RunSettings,
        folder: Path,
        module: L.LightningModule,
        *,
        has_validation: bool,
        continues: bool = False,
        exists: bool = True,
    ) -> None:
        self.command, self.settings, self.folder, self.module = command, settings, folder, module
        self.has_validation, self.continues = has_validation, continues
        self.exists, self.exit_status = exists, 0
        self.checkpoints: Checkpoints | None = None
        self.patience: tuple[str, ...] | None = None
        self.scores = ClassScores("val" if command == "validate" else "test")
        wanted = settings.report == "html" and command in ("fit", "test")
        self.reporter = Reporter(command) if wanted else None
        self.claim = folders.Claim(folder) if command == "fit" else None

    @classmethod
    def open(cls, command: str, settings: RunSettings, module: L.LightningModule, data: object) -> "Run":
        """A run in a folder of its own; a command on a checkpoint of a run writes into that run's folder.

        Raises:
            UserError: the best weights are asked for, and the data have no validation part; or the direction of the
                monitored metric is unknown.
        """
        has_validation = data.has_validation if isinstance(data, HasValidation) else True
        if settings.test_weights == "best" and not has_validation:
            raise UserError(
                "test_weights best needs a validation part: set data.num_val or data.val_fraction, or take last"
            )
        if settings.monitor_mode and not settings.monitor:
            raise UserError("monitor_mode needs monitor: name the metric that it is about")
        if settings.monitor and not has_validation:
            raise UserError("monitor needs a validation part: set data.num_val or data.val_fraction, or leave it out")
        early = settings.early_stopping
        for name, metric in (("monitor", settings.monitor), ("early_stopping", early.monitor if early else None)):
            if metric is not None:
                check_is_logged(name, metric, module, has_validation=has_validation)
        if settings.monitor and not settings.monitor_mode:
            direction_of(settings.monitor)
        part = module.untrained if isinstance(module, LitTask) else None
        if command != "fit" and not settings.checkpoint and part:
            warn(f"{part} is untrained, so these numbers mean nothing; train it (fit) or give --ckpt_path")
        own = folders.of_checkpoint(settings.checkpoint) if settings.checkpoint else None
        if command == "fit" and settings.checkpoint and not settings.resumes:
            own = None
        folder, exists = own or settings.restarted, True
        if folder is None and command == "predict":
            folder, exists = settings.runs_dir / settings.experiment, False
        folder = folder or folders.reserve(settings.runs_dir, settings.experiment)
        continues = command == "fit" and own is not None
        return cls(command, settings, folder, module, has_validation=has_validation, continues=continues, exists=exists)

    def close(self) -> None:
        """Gives the folder free, and removes it if nothing was written."""
        if self.claim is not None:
            self.claim.release()
        if self.exists:
            folders.remove_empty(self.folder)

    def own_folder(self) -> Path:
        """The folder of the run, which is created if it does not exist yet."""
        if not self.exists:
            self.folder, self.exists = folders.reserve(self.settings.runs_dir, self.settings.experiment), True
        return self.folder

    @property
    def can_be_finished(self) -> bool:
        """Whether the run has had all its epochs, but was stopped before it had its results."""
        return self.continues and not (self.folder / "results.json").exists()

    def say_finished(self) -> None:
        """Says that there is nothing to resume. A report that was interrupted is made now."""
        say(f"{self.folder} is finished: see {self.folder}/results.json; --trainer.max_epochs trains it longer")
        if self.reporter:
            self.reporter.write_missing(self.folder)

    def trainer_settings(self, config: dict[str, Any]) -> dict[str, Any]:
        """The Trainer's settings, with the run's callbacks and loggers before the user's."""
        given = config["callbacks"] or []
        given = given if isinstance(given, list) else [given]
        shown = config["enable_progress_bar"] and not self.settings.quiet
        has_bar = any(isinstance(callback, ProgressBar) for callback in given)  # a Trainer takes only one
        bar: list[Callback] = [Bar()] if shown and not has_bar else []
        checkpointing = config["enable_checkpointing"] is not False and not config["fast_dev_run"]
        self.settings.check_trainer(config, checkpointing=checkpointing)
        return {
            **config,
            **torchrun.places(config, os.environ),
            "callbacks": [*bar, *self._callbacks(checkpointing, given), *given],
            "enable_progress_bar": shown or has_bar,
            "logger": self._loggers(config["logger"]),
            "profiler": config["profiler"] or NoProfiler(),
            "default_root_dir": config["default_root_dir"] or self.folder,
            "enable_checkpointing": self._has_checkpoint_callback(given, config["enable_checkpointing"]),
            "plugins": with_checkpoint_files(config["plugins"]),
        }

    def attach(self, trainer: L.Trainer) -> None:
        """Takes the Trainer that does the work."""
        shorten_steps(trainer)
        prepare_loaders(trainer)
        explain_weights(trainer, self.settings.checkpoint)
        processes.attend(trainer)
        self.trainer = trainer

    def _has_checkpoint_callback(self, given: list[Callback], enabled: bool | None) -> bool:
        """What the Trainer should be told: it refuses callbacks for checkpoints where they are turned off, and adds one
        of its own where there is none."""
        theirs = any(isinstance(callback, Checkpoint) for callback in given)
        return enabled is not False if theirs else self.command == "fit"

    def _callbacks(self, checkpointing: bool, given: list[Callback]) -> list[Callback]:
        if self.command == "predict":
            return [PredictionWriter(self.settings.output, self.own_folder)]
        reporting = self.reporter.callbacks(self.module) if self.reporter else []
        if self.command != "fit":
            return [self.scores, *reporting]
        settings = self.settings
        wanted: dict[str, Any] = {"monitor": settings.monitor, "mode": settings.monitor_mode}
        saved = settings.saved if checkpointing else "none"
        place = self.folder / "checkpoints"
        self.checkpoints = Checkpoints(
            place, saved=saved, every=settings.save_every, continues=self.continues, **wanted
        )
        lines: list[Callback] = [DataLines(), NetworkSummary(), EpochLines(), self.scores]
        if (early := settings.early_stopping) is not None:
            mode = settings.monitor_mode if early.monitor == settings.monitor else None
            lines.append(early.callback(mode, given))
        return [FiniteGuard(place), *lines, ScheduleLengths(), *reporting, self.checkpoints]

    def _loggers(self, given: Any) -> Any:
        """`metrics.csv` and TensorBoard events in the run folder, beside the user's loggers."""
        if self.command != "fit" or given is False:
            return given or False
        runs, experiment, version = self.folder.parent.parent, self.folder.parent.name, self.folder.name
        events = TensorBoardLogger(
            runs,
            name=experiment,
            version=version,
            default_hp_metric=False,
            purge_step=self.settings.resumed_step if self.continues else None,
        )
        ours = [MetricsFile(self.folder, continues=self.continues), events]
        return [*ours, *(given if isinstance(given, list) else [given] if given not in (None, True) else [])]

    def fit(
        self, model: L.LightningModule, datamodule: L.LightningDataModule | None = None, ckpt_path: str | None = None
    ) -> None:
        """Trains, tests, and writes `results.json`.

        Raises:
            UserError: neither the model nor the command line has an optimizer.
            Stopped: a signal has stopped the training or the test after it.
        """
        if not is_overridden("configure_optimizers", model):
            example = "--optimizer Adam --optimizer.lr 0.001"
            raise UserError(f"{type(model).__name__} has no configure_optimizers: set an optimizer, such as {example}")
        if ckpt_path:
            say(f"{'resuming' if self.continues else 'starting from'} {ckpt_path} in {self.folder}")
        log_one_of_each_name(model, datamodule)
        self._match_precision(model)
        with self._stopping():
            with self._explained():
                self.trainer.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
            say_stopped(self.trainer)
            self.patience = more_patience(self.trainer)  # the test restores the callbacks of another epoch
            assert self.checkpoints is not None, "a fit has this callback"
            content = self._record(model, datamodule, {"fit": self.checkpoints.seconds})
            content["weights_sha256"] = results.weights_sha256(model.state_dict())
            self.folder = Path(self.trainer.strategy.broadcast(str(self.folder)))  # only the first process created it
            self._test_after_fit(model, datamodule, content)
            if self.reporter and "test" not in content["seconds"]:
                self.reporter.take_validation(self.trainer, model, datamodule, resumed=self.continues)
        self._conclude("results.json", datamodule, content)

    def _test_after_fit(
        self, model: L.LightningModule, datamodule: L.LightningDataModule | None, content: dict[str, Any]
    ) -> None:
        weights = self.settings.test_weights
        best = self.folder / "checkpoints" / "best.ckpt"
        if weights == "best" and not best.is_file():
            say("note: no best.ckpt was written, so the last weights are tested")
            weights = "last"
        if weights == "none":
            return
        if not is_overridden("test_step", model) or not has_test_loader(model, datamodule):
            say("note: nothing was tested: model and data need a test_step and a test_dataloader")
            return
        start = time.perf_counter()
        path = str(best) if weights == "best" else None
        self.trainer.test(model, datamodule=datamodule, ckpt_path=path, verbose=False, weights_only=True)
        seconds = round(time.perf_counter() - start, 3)
        if problem := missing_part(self.trainer, "test", datamodule or model):
            say(f"note: nothing was tested: {problem}")
            return
        if not (tested := in_split(logged(self.trainer), "test")):
            say("note: test_step has run, and has logged no metric")
        content["metrics"] |= tested
        content["seconds"]["test"], content["test_weights"] = seconds, weights

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns Lightning's errors about a setting that only shows during training into a user's mistake.

        Raises:
            UserError: EarlyStopping waits for a metric that is not logged, or validation is rarer than an epoch's end.
        """
        try:
            yield
        except RuntimeError as error:
            if traceback.extract_tb(error.__traceback__)[-1].filename != inspect.getfile(EarlyStopping):
                raise
            names = logged(self.trainer)
            for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, EarlyStopping) and callback.strict and callback.monitor not in names:
                    text = f"EarlyStopping: {callback.monitor!r} is not logged; logged are {', '.join(names)}"
                    raise UserError(text) from error
            raise
        except ValueError as error:
            interval, batches = self.trainer.val_check_interval, self.trainer.num_training_batches
            if isinstance(error, UserError) or not isinstance(interval, int) or interval <= batches:
                raise
            text = f"trainer.val_check_interval is {interval} batches, and an epoch has {batches}"
            raise UserError(f"{text}: set a smaller number, or a fraction of an epoch such as 1.0") from error

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Adds to Stopped how the run goes on."""
        try:
            yield
        except Stopped as stop:
            resume = command_line("fit", "--resume", str(self.folder), program=self.settings.program)
            stop.advice = f"go on with: {resume}"
            if not stop.saved:
                stop.advice = f"the last checkpoint is in {self.folder}; {stop.advice}"
            raise

    def evaluate(
        self, model: L.LightningModule, datamodule: L.LightningDataModule | None = None, ckpt_path: str | None = None
    ) -> None:
        """Measures the model on the validation or the test part, and writes `validate.json` or `test.json`.

        Raises:
            UserError: the data lack such a part.
        """
        start = time.perf_counter()
        self._match_precision(model)
        evaluate = getattr(self.trainer, self.command)
        evaluate(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False, weights_only=True)
        content = self._record(model, datamodule, {self.command: time.perf_counter() - start})
        content["metrics"] = in_split(content["metrics"], "val" if self.command == "validate" else "test")
        if problem := missing_part(self.trainer, self.command, datamodule or model):
            raise UserError(problem)
        if not content["metrics"]:
            say(f"note: {'test' if self.command == 'test' else 'validation'}_step has run, and has logged no metric")
        self._conclude(f"{self.command}.json", datamodule, content)

    def predict(
        self, model: L.LightningModule, datamodule: L.LightningDataModule | None = None, ckpt_path: str | None = None
    ) -> None:
        """Prints and writes the predictions.

        Raises:
            UserError: there is no sample, or several processes would read standard input.
        """
        if self.trainer.world_size > 1 and STANDARD_INPUT in (getattr(datamodule, "inputs", None) or []):
            raise UserError("standard input can be read by one process only: add --trainer.devices 1, or give a file")
        self._match_precision(model)
        settings: dict[str, Any] = {"datamodule": datamodule, "ckpt_path": ckpt_path, "weights_only": True}
        self.trainer.predict(model, return_predictions=False, **settings)
        if not any(self.trainer.num_predict_batches):
            raise UserError("nothing was predicted: the data have no sample, or trainer.limit_predict_batches is 0")
        data: object = datamodule
        if isinstance(data, HasSkipped) and data.num_skipped:
            self.exit_status = report_skipped(data.num_skipped)

    def _match_precision(self, model: L.LightningModule) -> None:
        """Takes double precision before a checkpoint is loaded, so that its weights lose no bit."""
        if self.trainer.precision == "64-true":
            model.double()

    def _record(
        self, model: L.LightningModule, data: L.LightningDataModule | None, seconds: dict[str, float]
    ) -> dict[str, Any]:
        """What the results say of the run so far."""
        return {
            "command": self.command,
            "program": self.settings.program,
            "arguments": self.settings.words,
            "model": type(model).__name__,
            "data": type(data).__name__ if data else None,
            "metrics": logged(self.trainer),
            "epochs": self.trainer.current_epoch,
            "steps": self.trainer.global_step,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "seed": self.settings.seed,
            "test_weights": "none",
            "parameters": trainable(model),
            "processes": self.trainer.world_size,
            **environment(self.trainer.strategy.root_device),
            "precision": str(self.trainer.precision),
            "kernels": kernels.used(),
            "commit": results.commit(),
        }

    def _conclude(self, name: str, data: object, content: dict[str, Any]) -> None:
        """Prints the table and writes the results; the first process only."""
        if not self.trainer.is_global_zero:
            return
        content["data_sha256"] = data.checksums() if isinstance(data, HasChecksums) else {}
        files = sorted((self.folder / "checkpoints").glob("*.ckpt")) if self.command == "fit" else []
        content["checkpoint_sha256"] = {f.name: sha256(f) for f in files}
        if self.reporter:
            self.reporter.save_samples(self.folder, content)
        path = results.write_results(self.folder, name, content)
        say()
        show(table(self.scores.values | content["metrics"], self.trainer.lightning_module))
        show(results.about(content))
        show(f"results in {path}")
        check_metrics(content["metrics"])
        if self.reporter:
            self.reporter.write(path, self.settings.config)
        if self.command == "fit":
            tested = "test" in content["seconds"]
            known: dict[str, Any] = {"program": self.settings.program, "tested": tested, "patience": self.patience}
            say("\n".join(["", *next_steps(self.trainer, self.folder, **known)]))
