"""LitCLI: Lightning's command line with config names, model sizes from the data, run folders and results."""

import secrets
import sys
from collections.abc import Callable
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
    clear_clashes,
    experiment_name,
)
from lit_models.cli.building import Builder, missing_package, not_restored
from lit_models.cli.diagnosis import check_model_of_checkpoint, find_class, keyword_problem
from lit_models.cli.help import TRAINER_COMMANDS
from lit_models.cli.messages import is_raised_in, is_raised_while_restoring
from lit_models.cli.pairing import (
    changed_settings,
    changed_training,
    check_optimizer,
    check_pair,
    dropped_settings,
    without_derived,
)
from lit_models.cli.parser import CommandParsers, LitArgumentParser, extended_parser, take_debug
from lit_models.cli.plain_errors import plain_errors
from lit_models.cli.run_settings import default_of, program_name, run_settings
from lit_models.runs.checkpoint_files import epochs_done
from lit_models.runs.checkpoints import SaveConfig, check_weights
from lit_models.runs.predictions import STANDARD_OUTPUT
from lit_models.runs.progress import be_quiet, own_stream, say, say_on_standard_error
from lit_models.runs.quiet import quiet_libraries
from lit_models.runs.run import Run
from lit_models.tasks.task import LitTask

TRAINER_DEFAULTS = {"max_epochs": 10, "num_sanity_val_steps": 0, "enable_model_summary": False}
LATE_HOOKS = ("setup", "configure_model")
"""Hooks in which a module may build further layers."""


def main(words: list[str], *, debug: bool = False) -> int:
    """Runs a command with our models and data.

    Args:
        words: the command and its flags.
        debug: show the traceback of a mistake.

    Returns:
        The exit status: 0; 2 after a mistake; 3 if some inputs to predict cannot be read; 143 after SIGTERM.
    """
    try:
        with plain_errors(debug=lambda: debug):
            return LitCLI(args=words).exit_status
    except SystemExit as stop:
        return int(stop.code or 0)


class LitCLI(LightningCLI):
    """LightningCLI with a run folder for each run, model sizes from the data, and errors on one line.

    It takes the arguments of LightningCLI and works as Lightning's documentation of that class says. In addition, `fit`
    tests the model and writes `results.json`.

    Without `args`, it reads the arguments of the process. A mistake in them is then printed on one line, and the
    process ends with status 2; `--debug` shows the traceback. With `args`, a mistake raises a UserError. If some inputs
    to predict cannot be read, `exit_status` is 3, and without `args`, the process ends with it.

    These flags are taken, each in the commands that have it: `--config`, `-c`, `--print_config`, `--seed_everything`,
    `--ckpt_path`, `--experiment`, `--runs_dir`, `--kernels`, `--quiet`, `--resume`, `--save`, `--save_every`,
    `--test_weights`, `--monitor`, `--monitor_mode`, `--early_stopping`, `--report`, `--inputs`, `--output`, `--top_k`.

    Three things differ from Lightning's documentation on purpose. `--config` reads files and names, and no URL such as
    `s3://…`. `load_from_checkpoint_support` is off. With `default_env`, an environment variable overrides a config.

    Args:
        model_class: class of the model; if None, `--model` chooses it.
        datamodule_class: class of the data; if None, `--data` chooses it.
        save_config_callback: callback that saves the config; None saves no config.
        **settings: the other arguments of LightningCLI.
    """

    data_needed = True
    """Whether a model of this package needs data. A model of the user may have its own dataloaders."""
    builder_class = Builder
    exit_status = 0
    """The status with which a program should end after the command."""
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
        self.first_word = self.words[0] if self.words and isinstance(settings.get("args"), list | None) else None
        self.current_run: Run | None = None
        self.keeps_hyperparameters = settings.setdefault("load_from_checkpoint_support", False)
        settings["parser_class"] = extended_parser(settings.get("parser_class", LitArgumentParser))
        settings.setdefault("seed_everything_default", 0)
        rules = trust.enforced(type(self), model_class, datamodule_class)
        with plain_errors(debug=lambda: self.debug), rules, own_stream():
            super().__init__(model_class, datamodule_class, save_config_callback, **settings)
        if self.exit_status and settings.get("args") is None:
            raise SystemExit(self.exit_status)

    # The parser

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = super().init_parser(**kwargs)
        if isinstance(parser, LitArgumentParser):
            parser.reads_words = True
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the arguments. `--debug` is handled here, unless the program has an argument of that name."""
        parsers = (parser, *getattr(self, "_subcommand_parsers", {}).values())
        if args is None and not any("--debug" in each._option_string_actions for each in parsers):
            self.debug, args = take_debug(self.words)
            self.words = args
        super().parse_arguments(parser, args)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_default_arguments_to_parser(parser)
        add_run_arguments(parser)

    def _add_arguments(self, parser: LightningArgumentParser) -> None:
        with clear_clashes():
            super()._add_arguments(parser)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the arguments of Trainer, data and model. Data come before the model, because they are built first."""
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
        """Lightning's commands, without `--weights_only`, because checkpoints are always read as plain data."""
        ours = {"weights_only", "verbose", "return_predictions"}
        return {command: skipped | ours for command, skipped in LightningCLI.subcommands().items()}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        self._unbuilt: dict[str, Callable[[], LightningArgumentParser]] = {}
        super()._add_subcommands(parser, **kwargs)
        if isinstance(parser, LitArgumentParser):
            parser.add_commands(CommandParsers(self._subcommand_parsers, self._unbuilt))

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """The parser of a command. If the first word names another command, it has no arguments: adding a thousand
        of them takes a tenth of a second."""

        def build() -> LightningArgumentParser:
            with clear_clashes():
                parser = super(LitCLI, self)._prepare_subcommand_parser(klass, subcommand, **kwargs)
                add_command_arguments(parser, subcommand)
            return parser

        if self.first_word != subcommand and self.first_word in self.subcommands():
            self._unbuilt[subcommand] = build
            return self.init_parser(**kwargs)
        return build()

    def _parse_ckpt_path(self) -> None:
        """Does nothing: the parser has read the config of the checkpoint, without importing what it names."""

    @property
    def words_parser(self) -> LitArgumentParser:
        """The parser that has parsed this command."""
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
        """Builds data, model and Trainer. The model gets its sizes from the data. A pair that does not fit is refused
        before anything is read.

        Raises:
            UserError: a setting is out of its range, or model, data and checkpoint do not fit together.
        """
        self._check_settings()
        if self.words_parser.ours(self.settings).get("output") == STANDARD_OUTPUT:
            say_on_standard_error()
        if self.settings.get("quiet"):
            be_quiet()
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
        if not settings.runs_dir:
            raise UserError("runs_dir is empty, expected a folder such as runs")
        if problem := keyword_problem(settings.as_dict()):
            raise UserError(problem)
        if self.subclass_mode_model and not settings.get("model"):
            command = self.subcommand or "this program"
            if not self.words_parser.typed.get("data") and not self.words_parser.configs:
                raise UserError(
                    f"{command} needs a config, such as --config digits_cnn, or --model and --data; see `list`"
                )
            raise UserError("model is not set: use --config, or --model and --data (`list` shows them)")
        model, data = self.class_of("model"), self.class_of("data")
        if checkpoint is not None:
            check_model_of_checkpoint(self.words_parser.stored.content, settings)
        check_optimizer(model, settings)
        if model and data:
            check_pair(model, data)
        elif model and self.data_needed and self.subclass_mode_model and model.__module__ in registry.modules():
            raise UserError("data is not set: use --config, or --model and --data (`list` shows them)")
        inputs = self.words_parser.flags & {"--data.inputs", "--data.init_args.inputs"}
        if inputs and self.subcommand != "predict" and data and data.__module__ in registry.modules():
            raise UserError(f"{min(inputs)} belongs to predict, and {self.subcommand} does not use it: leave it out")

    def class_of(self, part: str) -> type | None:
        """The class of "model" or "data"; None if there is none."""
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
        """Builds the Trainer of the run; for commands of a subclass, Lightning's default one."""
        if self.subcommand not in TRAINER_COMMANDS:
            return super().instantiate_trainer(**kwargs)
        config = dict(self._get(self.config_init, "trainer"))
        data = type(self.datamodule).__name__ if self.datamodule else ""
        name = experiment_name(self.settings.experiment, self.words_parser.configs, type(self.model).__name__, data)
        self.settings.experiment = name
        stored = self.stored_config()
        fixed = type(self) is not LitCLI or self.model_class is not None or self.datamodule_class is not None
        wanted = run_settings(program_name(fixed), self.words, self.settings, self.words_parser, stored)
        self.current_run = Run.open(self.subcommand, wanted, self.model, self.datamodule)
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
        """Builds the optimizer and the scheduler that the command line sets.

        Raises:
            UserError: one of their settings is out of its range.
        """
        try:
            super()._add_configure_optimizers_method_to_model(subcommand)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            sections = [self.settings.get(name) for name in ("optimizer", "lr_scheduler")]
            names = [s.class_path.rpartition(".")[2] for s in sections if s and "class_path" in s]
            raise UserError(f"{' and '.join(names) or 'optimizer'}: {error} (--debug shows where)") from error

    def stored_config(self) -> str:
        """The YAML of the configuration, for the run folder. A null is written if the default is another value."""
        stored = without_derived(self.settings, self.builder.derived)
        stored.pop("quiet", None)  # it belongs to one call
        unset = [name for name, value in stored.items() if value is None]
        for name in (n for n in unset if default_of(n, self.words_parser, self.class_of) is None):
            stored.pop(name)
        return str(self.words_parser.dump(stored, skip_validation=True, skip_none=False))

    # The commands

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command in its folder. A folder that is empty because of an error is removed."""
        run = self.current_run
        if run is None:  # a command of a subclass
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
        """Compares the checkpoint with model and data, and prints the settings that were changed.

        Returns:
            False if the run is resumed and already finished.

        Raises:
            UserError: the checkpoint belongs to another model, or a setting that its weights depend on was changed.
        """
        parser, settings = self.words_parser, self.settings
        idle = [name for name in ("max_epochs", "max_steps") if settings.trainer[name] == 0]
        untrained = [f"note: trainer.{name} is 0, so nothing is trained" for name in idle if self.subcommand == "fit"]
        for note in [*dropped_settings(parser.configs, settings), *untrained]:
            say(note)
        if parser.checkpoint is not None:
            done, wanted = epochs_done(parser.checkpoint), settings.trainer.max_epochs
            finished = self.subcommand == "fit" and wanted is not None and 0 <= wanted <= done
            if finished and not self._run().can_be_finished:
                if parser.resumes:
                    self._run().say_finished()
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
        if self.trainer.num_training_batches == 0:
            say("note: the training data have no batch, so nothing was trained")

    def validate(self, model: L.LightningModule, **settings: Any) -> None:
        """Measures the model on the validation part."""
        self._run().evaluate(model, **settings)

    def test(self, model: L.LightningModule, **settings: Any) -> None:
        """Measures the model on the test part."""
        self._run().evaluate(model, **settings)

    def predict(self, model: L.LightningModule, **settings: Any) -> None:
        """Prints and writes the model's predictions."""
        self._run().predict(model, **settings)
        self.exit_status = self._run().exit_status

    def _run(self) -> Run:
        assert self.current_run is not None, "a command has a run"
        return self.current_run
