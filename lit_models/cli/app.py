"""LitCLI: Lightning's command line with config names, data that tell the model, run folders and results."""

import inspect
import secrets
import sys
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.model_helpers import is_overridden

from datamodules.errors import UserError
from lit_models import kernels
from lit_models.cli import registry, trust
from lit_models.cli.arguments import (
    add_command_arguments,
    add_run_arguments,
    check_trainer_numbers,
    experiment_name,
)
from lit_models.cli.building import Builder, missing_package, not_restored
from lit_models.cli.diagnosis import find_class
from lit_models.cli.help import TRAINER_COMMANDS
from lit_models.cli.messages import is_raised_in, is_raised_while_restoring
from lit_models.cli.pairing import (
    changed_settings,
    changed_training,
    check_pair,
    dropped_settings,
    without_derived,
)
from lit_models.cli.parser import LitArgumentParser, extended_parser, take_debug
from lit_models.cli.plain_errors import plain_errors
from lit_models.runs.checkpoint_files import epochs_done
from lit_models.runs.checkpoints import SaveConfig, check_weights
from lit_models.runs.progress import say
from lit_models.runs.quiet import quiet_libraries
from lit_models.runs.resume import KEY
from lit_models.runs.run import Run, RunSettings
from lit_models.runs.save_every import SaveEvery
from lit_models.tasks.task import LitTask

TRAINER_DEFAULTS = {"max_epochs": 10, "num_sanity_val_steps": 0, "enable_model_summary": False}
LATE_HOOKS = ("setup", "configure_model")
"""Hooks in which a module may still build layers."""


def main(words: list[str], *, debug: bool = False) -> int:
    """Runs a command with our models and data.

    Args:
        words: the command and its flags.
        debug: let a user's mistake keep its traceback.

    Returns:
        Exit status: 0; 2 after a mistake of the user's; 143 after SIGTERM.
    """
    try:
        with plain_errors(debug=lambda: debug):
            LitCLI(args=words)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


class LitCLI(LightningCLI):
    """LightningCLI with a run folder for each run, data that tell the model its sizes, and plain errors.

    It takes the arguments of LightningCLI; what Lightning documents of that class holds. `fit` also tests the model and
    writes `results.json`.

    A program that gives no `args` is a command line: it reads the process's arguments, and ends after a mistake in them
    with one line and status 2; `--debug` shows the traceback. With `args`, a mistake raises a UserError.

    Args:
        model_class: class of the model; when None, `--model` names one.
        datamodule_class: class of the data; when None, `--data` names one.
        save_config_callback: writes the run's config; None writes none.
        **settings: the other arguments of LightningCLI.
    """

    data_needed = True
    """Whether a model of ours must come with data; a model of the user's may have dataloaders of its own."""
    builder_class = Builder
    model: L.LightningModule
    datamodule: L.LightningDataModule | None

    def __init__(
        self,
        model_class: Any = None,
        datamodule_class: Any = None,
        save_config_callback: type[SaveConfigCallback] | None = SaveConfig,
        **settings: Any,
    ) -> None:
        quiet_libraries()
        registry.import_all()
        shown = {"enable_progress_bar": sys.stderr.isatty()}
        settings["trainer_defaults"] = TRAINER_DEFAULTS | shown | (settings.get("trainer_defaults") or {})
        settings["parser_kwargs"] = {"allow_abbrev": False} | (settings.get("parser_kwargs") or {})
        self.debug = settings.get("args") is not None
        self.words = settings["args"] if isinstance(settings.get("args"), list) else sys.argv[1:]
        self.current_run: Run | None = None
        self.keeps_hyperparameters = settings.setdefault("load_from_checkpoint_support", False)
        settings["parser_class"] = extended_parser(settings.get("parser_class", LitArgumentParser))
        settings.setdefault("seed_everything_default", 0)
        with plain_errors(debug=lambda: self.debug), trust.enforced(type(self), model_class, datamodule_class):
            super().__init__(model_class, datamodule_class, save_config_callback, **settings)

    # The parser

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = super().init_parser(**kwargs)
        if isinstance(parser, LitArgumentParser):
            parser.reads_words = True
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Reads the arguments. In a command line, `--debug` is ours unless the program has an argument of that name."""
        parsers = (parser, *getattr(self, "_subcommand_parsers", {}).values())
        if args is None and not any("--debug" in each._option_string_actions for each in parsers):
            self.debug, args = take_debug(self.words)
            self.words = args
        super().parse_arguments(parser, args)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_default_arguments_to_parser(parser)
        add_run_arguments(parser)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds Trainer, data and model. Data come before the model, as they are built first."""
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        defaults = {f"trainer.{k}": v for k, v in self.trainer_defaults.items() if k != "callbacks"}
        parser.set_defaults(defaults)
        for part, base, by_name, needed in (
            ("data", self._datamodule_class, self.subclass_mode_data, self.datamodule_class is not None),
            ("model", self._model_class, self.subclass_mode_model, False),
        ):
            parser.add_lightning_class_args(base, part, subclass_mode=by_name, required=needed)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's commands. Checkpoints are always read as plain data, so `--weights_only` is left out."""
        ours = {"weights_only", "verbose", "return_predictions"}
        return {command: skipped | ours for command, skipped in LightningCLI.subcommands().items()}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        if isinstance(parser, LitArgumentParser):
            parser.add_commands(self._subcommand_parsers)  # type: ignore[arg-type]

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        add_command_arguments(parser, subcommand)
        return parser

    def _parse_ckpt_path(self) -> None:
        """Does nothing: the parser has read the checkpoint's own config, and imports nothing that a file names."""

    @property
    def words_parser(self) -> LitArgumentParser:
        """The parser that has read the words of this command."""
        parser = self._parser(self.subcommand)
        assert isinstance(parser, LitArgumentParser), "parser_class extends LitArgumentParser"
        return parser

    @property
    def settings(self) -> Namespace:
        """The whole configuration of this command."""
        section: Namespace = self.config[self.subcommand] if self.subcommand else self.config
        return section

    def _set_seed(self) -> None:
        seed = self.settings.seed_everything
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise UserError(f"seed_everything must be 0 to 4,294,967,295, got {seed}")
        if seed is True:
            seed = secrets.randbelow(2**32)
        if seed is not False:
            self.settings.seed_everything = L.seed_everything(seed, workers=True, verbose=False)

    # Model, data and Trainer

    def instantiate_classes(self) -> None:
        """Builds data, model and Trainer. The data tell the model its sizes; a pair that cannot work is refused before
        anything is read.

        Raises:
            UserError: a setting out of its range, or model, data and checkpoint that do not fit together.
        """
        self._check_settings()
        kernels.choose(self.settings.kernels)
        self.builder = self.builder_class(self)
        self.builder.register()
        try:
            super().instantiate_classes()
        except Exception:
            if self.builder.failure is not None:
                raise self.builder.failure from None
            raise

    def _check_settings(self) -> None:
        settings, checkpoint = self.settings, self.words_parser.checkpoint
        check_trainer_numbers(settings.trainer)
        if self.subclass_mode_model and not settings.get("model"):
            command = self.subcommand or "this program"
            if not self.words_parser.typed.get("data") and not self.words_parser.configs:
                raise UserError(
                    f"{command} needs a config, such as --config digits_cnn, or --model and --data; see `list`"
                )
            raise UserError("model is not set: use --config, or --model and --data (`list` shows them)")
        model, data = self.class_of("model"), self.class_of("data")
        if checkpoint is not None:
            self._check_checkpoint_class(self.words_parser.stored.content)
        self._check_optimizer(model)
        if model and data:
            check_pair(model, data)
        elif model and self.data_needed and self.subclass_mode_model and model.__module__ in registry.modules():
            raise UserError("data is not set: use --config, or --model and --data (`list` shows them)")
        inputs = self.words_parser.flags & {"--data.inputs", "--data.init_args.inputs"}
        if inputs and self.subcommand != "predict" and data and data.__module__ in registry.modules():
            raise UserError(f"{min(inputs)} belongs to predict, and {self.subcommand} does not use it: leave it out")

    def _check_optimizer(self, model: type | None) -> None:
        """Refuses `--optimizer` and `--lr_scheduler` where they would have no effect."""
        for name, ours in (("optimizer", "optimizer"), ("lr_scheduler", "schedule")):
            if self.settings.get(name) and model and issubclass(model, LitTask):
                raise UserError(f"{model.__name__} has its own {ours}s: use --model.{ours} NAME, not --{name}")
        if self.settings.get("lr_scheduler") and "optimizer" in self.settings and not self.settings.get("optimizer"):
            raise UserError("lr_scheduler needs an optimizer from the command line: add --optimizer NAME")

    def _check_checkpoint_class(self, stored: dict[str, Any]) -> None:
        was, now = (stored.get("model") or {}).get("class_path"), (self.settings.get("model") or {}).get("class_path")
        if was and now and find_class("model", was) is not find_class("model", now):
            raise UserError(f"{self.settings.ckpt_path} is a checkpoint of {was}, not of {now}")

    def class_of(self, part: str) -> type | None:
        """The class of "model" or "data"; None where there is none."""
        fixed, by_name = (
            (self._model_class, self.subclass_mode_model)
            if part == "model"
            else (self._datamodule_class, self.subclass_mode_data)
        )
        if not by_name:
            return fixed if isinstance(fixed, type) else None
        section = self.settings.get(part)
        return find_class(part, section.class_path) if section else None

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """The Trainer, with the run's folder, callbacks and loggers; Lightning's own for commands of a subclass."""
        if self.subcommand not in TRAINER_COMMANDS:
            return super().instantiate_trainer(**kwargs)
        config = dict(self._get(self.config_init, "trainer"))
        data = type(self.datamodule).__name__ if self.datamodule else ""
        name = experiment_name(self.settings.experiment, self.words_parser.configs, type(self.model).__name__, data)
        self.settings.experiment = name
        stored = self.stored_config()
        self.current_run = Run.open(self.subcommand, self._run_settings(stored), self.model, self.datamodule)
        try:
            if self.subcommand != "fit":
                self.save_config_callback = None
            elif self.save_config_callback and issubclass(self.save_config_callback, SaveConfig):
                self.save_config_kwargs = {"folder": self.current_run.folder, "text": stored} | self.save_config_kwargs
            return super().instantiate_trainer(**self.current_run.trainer_settings(config) | kwargs)
        except BaseException as error:
            self.current_run.close()
            if isinstance(error, ValueError | TypeError) and is_raised_in("lightning", error):
                raise UserError(f"trainer: {str(error).strip().splitlines()[0]}") from error
            raise

    def _add_configure_optimizers_method_to_model(self, subcommand: str | None) -> None:
        """Builds the optimizer and the scheduler of the command line.

        Raises:
            UserError: a setting of theirs is out of its range.
        """
        try:
            super()._add_configure_optimizers_method_to_model(subcommand)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            sections = [self.settings.get(name) for name in ("optimizer", "lr_scheduler")]
            names = [s.class_path.rpartition(".")[2] for s in sections if s and "class_path" in s]
            raise UserError(f"{' and '.join(names) or 'optimizer'}: {error} (--debug shows where)") from error

    def stored_config(self) -> str:
        """The configuration that a run keeps, YAML. Null is written where the default is something else."""
        stored = without_derived(self.settings, self.builder.derived)
        for name in [name for name, value in stored.items() if value is None and self._default(name) is None]:
            stored.pop(name)
        return str(self.words_parser.dump(stored, skip_validation=True, skip_none=False))

    def _default(self, name: str) -> Any:
        """What a setting is where nothing sets it; None where that is unknown."""
        part, _, argument = name.partition(".init_args.")
        if argument:
            owner = self.class_of(part) if part in ("model", "data") else None
            parameter = inspect.signature(owner).parameters.get(argument) if owner else None
            return parameter.default if parameter and parameter.default is not parameter.empty else None
        known = any(action.dest == name for action in self.words_parser._actions)
        return self.words_parser.get_default(name) if known else None

    def _run_settings(self, stored: str) -> RunSettings:
        settings, checkpoint = self.settings, self.words_parser.checkpoint or {}
        return RunSettings(
            words=list(self.words),
            runs_dir=Path(settings.runs_dir),
            experiment=settings.experiment,
            seed=settings.seed_everything,
            checkpoint=Path(settings.ckpt_path) if settings.get("ckpt_path") else None,
            restarted=self.words_parser.restarted,
            resumed_step=checkpoint.get("global_step") if KEY in checkpoint else None,
            config=stored,
            test_weights=settings.get("test_weights", "none"),
            monitor=settings.get("monitor"),
            monitor_mode=settings.get("monitor_mode"),
            saved=settings.get("save", "both"),
            save_every=SaveEvery.parse(settings.get("save_every", "1min")),
            output=settings.get("output", "csv"),
        )

    # The commands

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command in its folder; a folder that stayed empty because of an error is removed."""
        run = self.current_run
        if run is None:  # a command that a subclass has added
            super()._run_subcommand(subcommand)
            return
        try:
            if self._check_run():
                run.attach(self.trainer)
                super()._run_subcommand(subcommand)
        except ModuleNotFoundError as error:
            if error.name is not None and not error.name.startswith("lightning"):
                raise
            raise missing_package("a callback or logger", error) from error
        except Exception as error:
            if isinstance(error, UserError) or not is_raised_while_restoring(error):
                raise
            raise not_restored(self.settings.ckpt_path, error) from error
        finally:
            run.close()

    def _check_run(self) -> bool:
        """Compares the checkpoint with what was built, and says what was changed.

        Returns:
            Whether there is something to do: a run that is resumed may be finished.

        Raises:
            UserError: the checkpoint's weights are another model's, or a setting that it depends on was changed.
        """
        parser, settings = self.words_parser, self.settings
        for note in dropped_settings(parser.configs, settings):
            say(note)
        if parser.checkpoint is not None:
            done, wanted = epochs_done(parser.checkpoint), settings.trainer.max_epochs
            finished = self.subcommand == "fit" and wanted is not None and 0 <= wanted <= done
            if finished and not self._run().can_be_finished:
                if parser.resumes:
                    folder = self._run().folder
                    say(f"{folder} is finished: see {folder}/results.json; --trainer.max_epochs trains it longer")
                    return False
                raise UserError(f"{settings.ckpt_path} has had {done} of {wanted} epochs: raise --trainer.max_epochs")
            if isinstance(self.model, LitTask) and not any(is_overridden(hook, self.model) for hook in LATE_HOOKS):
                check_weights(Path(settings.ckpt_path), parser.checkpoint, self.model)
            notes = changed_settings(parser.stored.content, settings, self.class_of("data"))
            if self.subcommand == "fit":
                notes += changed_training(parser.stored.content, settings)
            for note in filter(None, [parser.stored.note(), *notes]):
                say(note)
        return True

    def fit(self, model: L.LightningModule, **settings: Any) -> None:
        """Trains, then tests, and writes the results."""
        self._run().fit(model, **settings)

    def validate(self, model: L.LightningModule, **settings: Any) -> None:
        """Measures the model on the validation part."""
        self._run().evaluate(model, **settings)

    def test(self, model: L.LightningModule, **settings: Any) -> None:
        """Measures the model on the test part."""
        self._run().evaluate(model, **settings)

    def predict(self, model: L.LightningModule, **settings: Any) -> None:
        """Writes the model's predictions."""
        self._run().predict(model, **settings)

    def _run(self) -> Run:
        assert self.current_run is not None, "a command has a run"
        return self.current_run
