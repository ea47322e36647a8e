"""The parser of one command. It reads config files and the checkpoint's config first, wherever they are typed."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from jsonargparse import Namespace
from jsonargparse._actions import ActionConfigFile, _ActionHelpClassPath, _ActionPrintConfig
from jsonargparse._link_arguments import skip_apply_links
from jsonargparse._typehints import ActionTypeHint
from jsonargparse._util import merge_config
from jsonargparse.typing import register_type
from lightning.pytorch.callbacks.timer import Interval
from lightning.pytorch.cli import LightningArgumentParser

from datamodules.base import DataModule
from datamodules.errors import UserError
from datamodules.spec import DataSpec, HasSpec
from lit_models.cli import own_flags, stored, trust
from lit_models.cli.class_help import ClassHelpAction
from lit_models.cli.configs import Config, find_config, look_where_runs_started, read_config, unreadable_place
from lit_models.cli.diagnosis import (
    BASES,
    base_problem,
    class_problem,
    class_settings,
    find_class,
    parser_settings,
    part_problem,
    setting_problem,
    unknown_setting,
)
from lit_models.cli.help import PROGRAM, width
from lit_models.cli.hints import hint
from lit_models.cli.messages import shorten_parser_error
from lit_models.cli.pairing import section_settings
from lit_models.cli.stored import Stored
from lit_models.runs.checkpoint_files import read_checkpoint
from lit_models.runs.folder import checkpoint_to_resume, newest_config

yaml.SafeDumper.add_representer(Interval, lambda dumper, value: dumper.represent_str(value.value))  # as of Timer
register_type(torch.device, fail_already_registered=False)  # for "cpu" in a config, as for StochasticWeightAveraging


class ClassAction(ActionTypeHint):
    """`--model`, `--data` and their settings. It records the flags that were typed, and reports unknown names on one
    line."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args:
            return super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]
        parser, settings, value, flag = args
        parser.flags.add(flag)
        part, _, setting = flag.removeprefix("--").partition(".")
        if setting in ("", "class_path"):
            if problem := base_problem(part, str(value)):
                raise UserError(problem)
            parser.forget_other_class(settings, part, value)
        try:
            return super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]
        except (TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(self._problem(parser, settings, value, flag) or shorten_parser_error(str(error))) from error

    def _problem(self, parser: Any, settings: Namespace, value: Any, flag: str) -> str | None:
        part, _, setting = flag.removeprefix("--").partition(".")
        setting = setting.removeprefix("init_args.").rstrip("+")
        if setting in ("", "class_path"):
            return class_problem(part, str(value))
        current = settings.get(part)
        others = [*parser_settings(parser), *class_settings(settings)]
        class_name = current.get("class_path") if current else None
        return setting_problem(part, class_name, setting.partition(".")[0], others=others, prefix="--")


class SectionsAction(ActionConfigFile):
    """`--config` before the command. The file has a section for each command, as in Lightning's documentation."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._note(args[0], str(args[2])) if args else super().__call__(**kwargs)  # type: ignore[no-untyped-call]

    @staticmethod
    def _note(parser: "LitArgumentParser", name: str) -> None:
        config = read_config(find_config(name))
        for key in config.content:
            if key not in parser.commands:
                place = f"{config.place(str(key))}: {key!r} is not a command"
                advice = f"a config without a section for each command comes after it: COMMAND --config {name}"
                raise UserError(f"{place}; {advice}")
        parser.sectioned.append(config)


class CommandParsers(Mapping[str, LightningArgumentParser]):
    """The parsers of the commands. A parser without arguments gets them when it is looked up.

    Args:
        built: the parsers.
        unbuilt: a function that builds the parser with arguments, for each command whose parser has none.
    """

    def __init__(
        self, built: dict[str, LightningArgumentParser], unbuilt: dict[str, Callable[[], LightningArgumentParser]]
    ) -> None:
        self.built, self.unbuilt = built, unbuilt

    def __getitem__(self, name: str) -> LightningArgumentParser:
        if name in self.unbuilt:
            self.built[name] = self.unbuilt.pop(name)()
        return self.built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.built)

    def __len__(self) -> int:
        return len(self.built)


class LitArgumentParser(LightningArgumentParser):
    """Parses a command line into settings; every mistake in it is a UserError.

    `--config` and `--ckpt_path` are read before all other flags, so that these override them in any position.
    """

    typed: Namespace
    """The settings that a checkpoint, a config or a flag has set; without defaults."""
    configs: list[Config]
    """The config files, in order."""
    checkpoint: dict[str, Any] | None
    """The content of the checkpoint that `--ckpt_path` names."""
    resumes = False
    """Whether `--resume` was given."""
    restarted: Path | None = None
    """The folder of a run that starts again, because it was stopped before its first checkpoint."""
    stored: Stored
    """The config in that checkpoint; empty without a checkpoint."""
    flags: set[str]
    """The flags of model and data that were typed, such as "--data.data_dir"."""
    reads_words = False
    """Whether this is the parser of a program or a command, and not one that jsonargparse makes for a class."""
    commands: "Mapping[str, LightningArgumentParser]"
    """The parsers of the program's commands, by name."""
    sectioned: list[Config]
    """The config files before the command, which have a section for each command."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if Path(sys.argv[0]).name == "__main__.py":
            kwargs.setdefault("prog", PROGRAM)
        super().__init__(*args, **kwargs)
        self.typed = Namespace()  # type: ignore[no-untyped-call]
        self.configs, self.checkpoint, self.flags, self.commands, self.sectioned = [], None, set(), {}, []
        self.stored = Stored()

    def add_lightning_class_args(self, lightning_class: Any, nested_key: str, *args: Any, **kwargs: Any) -> list[str]:
        added = super().add_lightning_class_args(lightning_class, nested_key, *args, **kwargs)
        for action in self._actions:
            if action.dest == nested_key and nested_key in BASES and isinstance(action, ActionTypeHint):
                action.__class__ = ClassAction
            if isinstance(action, _ActionHelpClassPath):
                action.__class__ = ClassHelpAction
        return added

    def format_help(self, formatter: Any = None) -> str:
        """The help text, wrapped to the screen."""
        lines = super().format_help(formatter).splitlines()
        return "\n".join(part for line in lines for part in _wrapped(line)) + "\n"

    def add_commands(self, commands: "CommandParsers") -> None:
        """Passes the parsers of all commands to each of them."""
        for action in self._actions:
            if isinstance(action, ActionConfigFile):
                action.__class__ = SectionsAction
        for parser in (self, *commands.built.values()):
            if isinstance(parser, LitArgumentParser):
                parser.commands, parser.sectioned = commands, self.sectioned

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises a UserError for a mistake in the command line. jsonargparse also makes parsers of this class for the
        settings of a class; their errors become part of the error of this parser."""
        if isinstance(ex, UserError):
            raise ex
        if not self.reads_words:
            super().error(message, ex)
        raise UserError(part_problem(message) or shorten_parser_error(message)) from ex

    def dump(self, namespace: Namespace, *args: Any, **kwargs: Any) -> str:
        """The settings as text, as `--print_config` shows them. Settings that follow from the data or the seed are left
        out unless they were set, so that the text can be used as a config."""
        settings = namespace.clone()
        name = section_of(settings, "data").get("class_path")
        data = find_class("data", name) if name else None
        decided = {"data": {"seed"} if data and issubclass(data, DataModule) else set()}
        decided["model"] = DataSpec.model_fields() if data and isinstance(data, HasSpec) else set()
        for part, names in decided.items():
            arguments = section_of(settings, part).get("init_args")
            unset = names - section_settings(self.typed.get(part)).keys()
            for name in unset & vars(arguments).keys() if arguments else ():
                arguments.pop(name)
        return str(super().dump(settings, *args, **kwargs))

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Namespace | None = None,
        env: bool | None = None,
        defaults: bool = True,
        **kwargs: Any,
    ) -> Namespace:
        """Parses a command line. In a program with commands, the parser of the command gives the settings that were
        set, and the main parser adds the defaults.

        Raises:
            UserError: there is a mistake in a flag, a config or a checkpoint.
        """
        words = list(sys.argv[1:] if args is None else args)
        if self._subcommands_action is not None:
            self.sectioned.clear()
            return super().parse_args(words, namespace, env, defaults, **kwargs)
        try:
            sources, rest = self._source_parser().parse_known_args(words)
        except argparse.ArgumentError as error:
            raise UserError(f"{error.argument_name or 'a flag'}: {error.message}") from error
        sections = [config.section_of(getattr(self, "subcommand", "")) for config in self.sectioned]
        self.configs = [config for config in sections if config is not None]
        self.configs += [read_config(find_config(name)) for name in sources.config]
        base = namespace or Namespace()  # type: ignore[no-untyped-call]
        checkpoint = sources.ckpt_path or next((c for f in self.configs if (c := f.content.get("ckpt_path"))), None)
        if sources.ckpt_path == "null" and self._is_command:  # as `--print_config` shows it
            checkpoint, rest = None, [*rest, "--ckpt_path=null"]
        if sources.resume:
            if checkpoint is not None:
                raise UserError("resume and ckpt_path both name a checkpoint: leave one out")
            run, checkpoint = Path(sources.resume).expanduser(), checkpoint_to_resume(sources.resume)
            self.resumes, self.restarted = True, run if checkpoint is None else None
            if run.is_dir():
                self.configs.insert(0, read_config(newest_config(run)))
        look_where_runs_started([config.path for config in self.configs])
        trust.allow_names([*sources.trust, *trust.typed_names(rest)])
        for config in self.configs:
            trust.allow_config(config)
        if checkpoint is not None and self._is_command:
            base = self._with_stored(base, Path(checkpoint))
            base["ckpt_path"] = str(checkpoint)
            if self.resumes and Path(sources.resume).expanduser().is_dir():
                self.stored.left_out.clear()  # the user's own config.yaml of the run sets them
        for config in self.configs:
            base = self._with_config(base, config)
        kwargs["_namespace_as_config"] = True
        # A link may need the default of its source, and these settings have no defaults.
        with _ActionPrintConfig.skip_print_config(), skip_apply_links():
            typed: Namespace = super().parse_args(rest, base, env, False, **kwargs)
        self.typed = typed.clone()
        trust.remember(name for _, name in trust.class_paths(typed.as_dict()))
        if hasattr(self, "subcommand"):
            return typed
        settings: Namespace = self.parse_object(typed, env=env, defaults=defaults)
        return settings

    def _with_config(self, base: Namespace, config: Config) -> Namespace:
        """The settings, overridden by those of a config file. Settings for other commands are left out."""
        own = {dest.partition(".")[0] for dest in (action.dest for action in self._actions)}
        content = {k: v for k, v in config.content.items() if k in own or not self._of_another_command(k)}
        config = Config(config.path, content, config.section)
        if problem := unknown_setting(self, config, base):
            raise UserError(problem)
        if problem := unreadable_place(content):
            raise UserError(f"{config.path}: {problem}, which a config may not name")
        for part in BASES.keys() & content.keys():
            self.forget_other_class(base, part, content[part])
        try:
            return self._merged(base, content)
        except UserError as error:
            raise UserError(f"{config.place_of_message(str(error))}: {error}") from error

    def _of_another_command(self, setting: str) -> bool:
        return any(setting == action.dest for parser in self.commands.values() for action in parser._actions)

    def forget_other_class(self, settings: Namespace, part: str, value: Any) -> None:
        """Drops the checkpoint's settings of "model" or "data" if another class is named, because they may have another
        meaning there."""
        name = value.get("class_path") if isinstance(value, dict) else value
        stored = section_of(settings, part).get("class_path") if self.checkpoint is not None else None
        if stored and isinstance(name, str) and find_class(part, name) is not find_class(part, stored):
            settings.pop(part)

    def _merged(self, base: Namespace, content: dict[str, Any]) -> Namespace:
        settings = self.parse_object(
            content, base, env=False, defaults=False, _skip_validation=True, _skip_required=True
        )
        merged: Namespace = merge_config(self, settings, base)
        return merged

    def _with_stored(self, base: Namespace, path: Path) -> Namespace:
        """The settings, overridden by those that are taken over from a checkpoint's config.

        Raises:
            UserError: the file is missing or damaged, its config is not valid, or names a class that is not allowed.
        """
        self.checkpoint = read_checkpoint(path)
        content = stored.read_config(path, self.checkpoint)
        fit = self.subcommand == "fit" if hasattr(self, "subcommand") else True
        self.stored = stored.settings_of(path, content, fit=fit, runs_dir=self.get_default("runs_dir"))
        try:
            return self._merged(base, self.stored.taken)
        except UserError as error:
            raise UserError(f"{path}: in its config, {error}") from error

    @property
    def _is_command(self) -> bool:
        """Whether it has Lightning's arguments of a command, such as `--ckpt_path`."""
        return hasattr(self, "subcommand")

    def ours(self, settings: Namespace) -> dict[str, Any]:
        """The settings that this program adds to the command. Another of the same name is the user's own."""
        names = own_flags.of(getattr(self, "subcommand", ""))
        return {name: value for name, value in vars(settings).items() if name in names}

    def _source_parser(self) -> argparse.ArgumentParser:
        """The parser of configs, checkpoint and trusted modules. It leaves all other words, and the program's flags."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument("-c", "--config", action="append", default=[])
        parser.set_defaults(ckpt_path=None, resume=None, trust=[])
        own = self._option_string_actions
        if self._is_command or "--ckpt_path" not in own:
            parser.add_argument("--ckpt_path")
        if "resume" in own_flags.of(getattr(self, "subcommand", "")):
            parser.add_argument("--resume")
        if "--trust" not in own:
            parser.add_argument("--trust", action="append", default=[])
        return parser

    def _parse_known_args_internal(self, *args: Any, **kwargs: Any) -> Any:
        """Refuses words that belong to no flag.

        Raises:
            UserError: the message names the nearest flag, or the command that has the flag.
        """
        settings, unknown = super()._parse_known_args_internal(*args, **kwargs)
        if unknown and self._subcommands_action is None:
            raise UserError(self._flag_problem(unknown[0], settings))
        return settings, unknown

    def _flag_problem(self, word: str, settings: Namespace) -> str:
        flag = word.partition("=")[0]
        if not flag.startswith("-"):
            return f"{flag!r} belongs to no flag; several words are one value in quotes"
        owners = [name for name, parser in self.commands.items() if flag in parser._option_string_actions]
        if owners:
            command = getattr(self, "subcommand", "this command")
            return f"{flag} belongs to {' and '.join(owners)}, and {command} does not use it: leave it out"
        names = [*parser_settings(self), *class_settings(settings)]
        return f"unknown flag {flag}{hint(flag.lstrip('-'), names, prefix='--')}"


def _wrapped(line: str) -> list[str]:
    """Wraps a line of a help screen to the width of the screen."""
    indent = " " * min(width() // 2, len(line) - len(line.lstrip()))
    return textwrap.wrap(line, width(), subsequent_indent=indent) if len(line) > width() else [line]


def section_of(settings: Namespace, part: str) -> Namespace:
    """The settings of "model" or "data"; empty if there are none."""
    section: Namespace = settings.get(part) or Namespace()  # type: ignore[no-untyped-call]
    return section


def extended_parser(parser_class: type[LightningArgumentParser]) -> type[LightningArgumentParser]:
    """The parser class of a program, extended by LitArgumentParser."""
    if issubclass(parser_class, LitArgumentParser):
        return parser_class
    if issubclass(LitArgumentParser, parser_class):
        return LitArgumentParser
    return type(parser_class.__name__, (LitArgumentParser, parser_class), {})


def take_debug(words: list[str]) -> tuple[bool, list[str]]:
    """Whether the words contain `--debug`, and the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true")
    options, rest = parser.parse_known_args(words)
    return options.debug, rest
