"""`--model.help` and `--data.help`: the settings of a class, or the classes that there are."""

from typing import Any

from jsonargparse._actions import _ActionHelpClassPath

import lit_models
from datamodules.errors import UserError
from lit_models.cli import registry
from lit_models.cli.diagnosis import BASES, class_problem, find_class
from lit_models.cli.help import section


class ClassHelpAction(_ActionHelpClassPath):
    """`--model.help` and `--data.help`. Without a class, they list the classes."""

    def print_help(self, call_args: Any) -> None:
        parser, settings, value, flag = call_args
        part = flag.removeprefix("--").partition(".")[0]
        if part in BASES and self._help_types[0] is BASES[part]:
            if value is None:
                entries = registry.models() if part == "model" else registry.data()
                rows = ((e.name, e.summary) for e in entries)
                print("\n".join(section(f"{flag} CLASS shows the settings of", rows)[1:]))
                print("or of a class of your own: file.Class")
                parser.exit()
            if value in lit_models.NAMES:  # LitKeras is public, and none of the models that `--model` knows
                value = f"{lit_models.NAMES[value]}.{value}"
            if "." not in value and find_class(part, value) is None:
                raise UserError(class_problem(part, value))
        super().print_help((parser, settings, value, flag))  # type: ignore[no-untyped-call]
