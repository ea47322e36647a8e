"""The command line: config files and flags to data, model and Trainer; what the data tells the model; one-line errors.

`run` takes a command and its arguments. The parser is Lightning's own (`LightningArgumentParser`); config files are
those of LightningCLI. In order of precedence, lowest first: defaults, the checkpoint's config, config files in their
order, the environment (of which only `LIT_MODELS_DATA` is read), flags.
"""

import importlib
import logging
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from transformers.utils import logging as transformers_logging

from datamodules.sources import sha256
from lit_models import catalog
from lit_models.arguments import (
    build_parser,
    check_flags,
    check_numbers,
    join_inputs,
    named_configs,
    parse,
    with_checkpoint,
)
from lit_models.classifier import LitClassifier
from lit_models.errors import is_library, is_users, one_line, read_config
from lit_models.pairing import (
    as_stored,
    changed_settings,
    check_pair,
    dropped_settings,
    fill_from_data,
    init_args,
    prepare_data_args,
)
from lit_models.runs import checkpoints, folder, results
from lit_models.runs.predictions import PredictionWriter
from lit_models.runs.progress import EpochLines, NoProfiler, say


def main(argv: list[str]) -> int:
    """Runs `argv`, a command and its arguments.

    Returns:
        Exit status: 0; 2 after a mistake of the user's; 143 after SIGTERM.
    """
    debug = "--debug" in argv
    arguments = [a for a in argv if a != "--debug"]
    try:
        run(arguments[0], arguments[1:])
    except SystemExit as stop:
        if isinstance(stop, SIGTERMException):
            print("terminated; of a fit, the run folder keeps the last whole epoch", file=sys.stderr)
            return 143
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning has closed its files and asks to leave
            raise stop.__context__ from None
        return int(stop.code or 0)
    except Exception as error:
        if debug or not is_users(error):
            raise
        if not getattr(rank_zero_only, "rank", 0):
            print(one_line(error), file=sys.stderr)
        return 2
    return 0


def run(command: str, arguments: list[str]) -> None:
    """Trains, evaluates or predicts.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in one line.
    """
    quiet_libraries()
    for name in (*catalog.MODEL_MODULES, *catalog.DATA_MODULES):
        importlib.import_module(name)  # the parser finds a class by its short name once it is imported
    parser = build_parser(command)
    arguments, configs = named_configs(join_inputs(arguments))
    arguments, checkpoint = with_checkpoint(command, arguments, configs)
    typed, config = parse(parser, arguments, configs)
    check_flags(command, arguments, config)
    check_numbers(config.trainer)
    config.experiment = experiment_name(config, configs)
    session = Session(command, parser, config)
    session.build(typed, arguments, checkpoint)
    for note in dropped_settings([read_config(path) for path in configs], config):
        say(note)
    session.start()


class Session:
    """One command: the data, the model, the Trainer, and the folder that they write to.

    Args:
        command: "fit", "validate", "test" or "predict".
        parser: made by `build_parser`.
        config: the whole configuration.
    """

    def __init__(self, command: str, parser: LightningArgumentParser, config: Namespace) -> None:
        self.command, self.parser, self.config = command, parser, config
        self.checkpoint = Path(config.ckpt_path) if config.ckpt_path else None

    def build(self, typed: Namespace, arguments: list[str], checkpoint: dict[str, Any] | None) -> None:
        """Makes data and model; the data tells the model what it decides."""
        config = self.config
        if not 0 <= config.seed_everything < 2**32:
            raise ValueError(f"seed_everything must be 0 to 4,294,967,295, got {config.seed_everything}")
        stored = yaml.safe_load((checkpoint or {}).get("config") or "{}")
        was = (stored.get("model") or {}).get("class_path", config.model.class_path)
        if was != config.model.class_path:
            raise ValueError(f"{self.checkpoint} is a checkpoint of {was}, not of {config.model.class_path}")
        check_pair(import_class(config.model.class_path), import_class(config.data.class_path))
        prepare_data_args(config, typed, arguments)
        L.seed_everything(config.seed_everything, workers=True, verbose=False)
        self.data: L.LightningDataModule = self._make("data")
        if checkpoint and (state := checkpoint.get(type(self.data).__qualname__)):
            self.data.load_state_dict(state)
        told = self.data.model_args() if hasattr(self.data, "model_args") else {}
        self.stored = str(self.parser.dump(as_stored(config, typed, told), skip_validation=True))
        fill_from_data(config, typed, told)
        if checkpoint and "config" in init_args(config, "model"):  # a Hugging Face architecture: no hub is asked again
            config.model.init_args["config"] = checkpoint.get("hyper_parameters", {}).get("config")
        self.model: L.LightningModule = self._make("model")
        if checkpoint and self.checkpoint:
            self._check_epochs(checkpoint)
            checkpoints.check_weights(self.checkpoint, checkpoint, self.model)
            for note in changed_settings(stored, config):
                say(note)
        if self.command != "fit" and not self.checkpoint and (part := getattr(self.model, "untrained", None)):
            say(f"warning: {part} was ever trained, so these numbers are chance; train it (fit) or give --ckpt_path")

    def _check_epochs(self, checkpoint: dict[str, Any]) -> None:
        """Refuses to train a checkpoint on that has had all its epochs."""
        done, wanted = checkpoint.get("epoch", -1) + 1, self.config.trainer.max_epochs
        if self.command == "fit" and wanted is not None and 0 <= wanted <= done:
            raise ValueError(f"{self.checkpoint} has had {done} of {wanted} epochs: raise --trainer.max_epochs")

    def _make(self, part: str) -> Any:
        """What the config says of "data", "model" or "trainer", as objects; a constructor's own error comes through,
        where jsonargparse buries it in a list of every type that it tried."""
        section = self.config.clone()
        for other in set(vars(self.config)) - {part}:
            section.pop(other)
        try:
            return self.parser.instantiate(section)[part]
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            if isinstance(cause, ValueError | FileNotFoundError) and not is_library(cause):
                raise type(cause)(str(cause)) from error  # a constructor's own word, also a user's class's
            raise

    def start(self) -> None:
        """Runs the command in its folder; a folder that stayed empty because of an error is taken away again."""
        own = folder.of_checkpoint(self.checkpoint) if self.checkpoint and self.command != "fit" else None
        self.folder = own or folder.reserve(Path(self.config.runs_dir), self.config.experiment)
        try:
            self.trainer = self._trainer()
            {"fit": self._fit, "predict": self._predict}.get(self.command, self._evaluate)()
        except BaseException:
            folder.remove_empty(self.folder)
            raise

    def _trainer(self) -> L.Trainer:
        """The Trainer of the config, with the run's callbacks and loggers."""
        settings = dict(self._make("trainer"))
        given = settings["callbacks"] or []
        settings["callbacks"] = [*self._callbacks(settings), *(given if isinstance(given, list) else [given])]
        settings["logger"] = self._loggers(settings["logger"])
        settings["profiler"] = settings["profiler"] or NoProfiler()
        settings["default_root_dir"] = settings["default_root_dir"] or self.folder
        settings["enable_checkpointing"] = self.command == "fit" and settings["enable_checkpointing"] is not False
        try:
            return L.Trainer(**settings)
        except (ValueError, TypeError) as error:
            raise ValueError(f"trainer: {str(error).splitlines()[0]}") from error

    def _callbacks(self, settings: dict[str, Any]) -> list[Callback]:
        made: list[Callback] = [TQDMProgressBar(leave=False)] if settings["enable_progress_bar"] else []
        if self.command == "predict":
            return [*made, PredictionWriter(self.folder, self.config.output)]
        if self.command != "fit":
            return made
        made += [checkpoints.SaveConfig(self.folder, self.stored), EpochLines()]
        if settings["enable_checkpointing"] is not False and not settings["fast_dev_run"]:
            files = self.folder / "checkpoints"
            made.append(checkpoints.LastCheckpoint(files))
            if isinstance(self.model, LitClassifier) and getattr(self.data, "has_validation", True):
                made.append(checkpoints.BestCheckpoint(files))
        return made

    def _loggers(self, given: Any) -> Any:
        """`metrics.csv` and TensorBoard events in the run folder, beside a logger of the config's."""
        if self.command != "fit" or given is False:
            return given or False
        runs, experiment, version = self.folder.parent.parent, self.folder.parent.name, self.folder.name
        place: dict[str, Any] = {"save_dir": runs, "name": experiment, "version": version}
        mine = [CSVLogger(**place), TensorBoardLogger(**place, default_hp_metric=False)]
        return [*mine, *(given if isinstance(given, list) else [given] if given not in (None, True) else [])]

    def _fit(self) -> None:
        weights = self.config.test_weights
        if weights == "best" and not getattr(self.data, "has_validation", True):
            raise ValueError(
                "test_weights best needs a validation part (data.num_val, data.val_fraction), or take last"
            )
        if self.checkpoint:
            say(f"going on from {self.checkpoint} in {self.folder}; best.ckpt will be the best of the new epochs")
        start = time.perf_counter()
        self._train()
        content = self._record({"fit": time.perf_counter() - start})
        self.folder = Path(self.trainer.strategy.broadcast(str(self.folder)))  # only the first process has made it
        if weights == "best" and not (self.folder / "checkpoints" / "best.ckpt").is_file():
            say("note: no best.ckpt was written, so the last weights are tested")
            weights = "last"
        if weights != "none" and self._has_test_loader():
            best = str(self.folder / "checkpoints" / "best.ckpt") if weights == "best" else None
            start = time.perf_counter()
            self.trainer.test(self.model, datamodule=self.data, ckpt_path=best, verbose=False, weights_only=True)
            content["seconds"]["test"] = round(time.perf_counter() - start, 3)
            tested = {name: value for name, value in self._metrics().items() if name.startswith("test/")}
            content["metrics"] |= tested
            content["test_weights"] = weights if tested else "none"
        if content["test_weights"] == "none" != weights:
            say(f"note: {type(self.data).__name__} has no test split here, so nothing was tested")
        self._conclude("results.json", content)

    def _train(self) -> None:
        """Trains.

        Raises:
            ValueError: `trainer.val_check_interval` is more batches than an epoch has, which shows only here.
        """
        try:
            self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.config.ckpt_path, weights_only=True)
        except ValueError as error:
            if not str(error).lstrip().startswith("`val_check_interval`"):
                raise
            raise ValueError(f"trainer: {str(error).lstrip()}") from error

    def _evaluate(self) -> None:
        evaluate = getattr(self.trainer, self.command)
        start = time.perf_counter()
        evaluate(self.model, datamodule=self.data, ckpt_path=self.config.ckpt_path, verbose=False, weights_only=True)
        content = self._record({self.command: time.perf_counter() - start})
        if not content["metrics"] and self.command == "test":
            raise ValueError(f"{type(self.data).__name__} has no test split here")
        if not content["metrics"]:
            raise ValueError(
                f"{type(self.data).__name__} has no validation part here (see its num_val or val_fraction)"
            )
        self._conclude(f"{self.command}.json", content)

    def _predict(self) -> None:
        self.trainer.predict(
            self.model,
            datamodule=self.data,
            ckpt_path=self.config.ckpt_path,
            return_predictions=False,
            weights_only=True,
        )

    def _has_test_loader(self) -> bool:
        """Whether there may be a test split; Lightning refuses data that never speak of one."""
        return type(self.data).test_dataloader is not L.LightningDataModule.test_dataloader

    def _metrics(self) -> dict[str, float]:
        return {k: float(v) for k, v in self.trainer.callback_metrics.items() if "/" in k}

    def _record(self, seconds: dict[str, float]) -> dict[str, Any]:
        """What `results.json` says of the run, as far as it has come."""
        return {
            "command": self.command,
            "arguments": sys.argv[1:],
            "model": type(self.model).__name__,
            "data": type(self.data).__name__,
            "metrics": self._metrics(),
            "epochs": self.trainer.current_epoch,
            "steps": self.trainer.global_step,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "seed": self.config.seed_everything,
            "test_weights": "none",
            "parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "processes": self.trainer.world_size,
            "device": results.device_name(self.trainer.strategy.root_device),
            "precision": str(self.trainer.precision),
            "versions": results.versions(),
            "commit": results.commit(),
        }

    def _conclude(self, name: str, content: dict[str, Any]) -> None:
        """Prints the table and writes the results; the first process only."""
        if not self.trainer.is_global_zero:
            return
        content["data_sha256"] = self.data.checksums() if hasattr(self.data, "checksums") else {}
        files = sorted((self.folder / "checkpoints").glob("*.ckpt")) if self.command == "fit" else []
        content["checkpoint_sha256"] = {f.name: sha256(f) for f in files}
        path = results.write_results(self.folder, name, content)
        seconds = ", ".join(f"{word} {value:.1f} s" for word, value in content["seconds"].items())
        say()
        say(results.table(content["metrics"]))
        about = f"{content['model']}, {content['parameters']:,} parameters"
        say(f"{about}; {seconds}; seed {content['seed']}; {content['device']}")
        say(f"results in {path}")


def experiment_name(config: Namespace, configs: list[Path]) -> str:
    """Name of the run's folder: as given, or the first config's, or model and data.

    Raises:
        ValueError: the name is a path.
    """
    short = [config[part].class_path.rsplit(".", 1)[-1] for part in ("model", "data")]
    name = str(config.experiment or (configs[0].stem if configs else "-".join(short).removesuffix("DataModule")))
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"experiment names one folder, so it can be no path: {name!r}")
    return name


def import_class(path: str) -> type:
    """The class that a dotted path names."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type), "the parser has checked it"
    return found


def quiet_libraries() -> None:
    """Keeps advertisements, and advice that does not apply here, off the screen."""
    noise = (
        "💡 Tip",
        "GPU available",
        "TPU available",
        "`Trainer.fit` stopped",
        "Restor",
        "Loaded model",
        "Using default",
        "Loading `train_dataloader` to estimate",
    )
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).addFilter(lambda record: not record.getMessage().startswith(noise))
    # TensorBoard would import TensorFlow, where it is installed, only to write to a file: ten seconds. Its own switch.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    messages: Any = transformers_logging
    messages.set_verbosity_error()  # LitBERT says itself what was never trained
    if not sys.stderr.isatty():
        messages.disable_progress_bar()
    for message in (
        "The '.*_dataloader' does not have many workers",  # a batch is gathered whole: workers would be slower
        "Checkpoint directory .* exists and is not empty",  # the run's own
        "Experiment logs directory .* exists and is not empty",  # the run's own, made a moment ago
        "The number of training batches",  # one line an epoch does not need the logging interval
        ".*LeafSpec.*",  # of Lightning's own code, under a torch newer than it
        "The dirpath has changed from",  # a resumed run has a folder of its own, and says so
        "Total length of `.*` across ranks is zero",  # no validation part, as in the faithful configs
        "Be aware that when using `ckpt_path`, callbacks",  # testing and predicting need none of them
    ):
        warnings.filterwarnings("ignore", message=message)
