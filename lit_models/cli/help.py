"""The help screens: the commands, and the common settings of each. They import no torch and fit 80 columns."""

import shutil
import textwrap
from collections.abc import Iterable

from lit_models.cli import own_flags, registry
from lit_models.cli.commands import summaries
from lit_models.cli.flags import FlagParser
from lit_models.cli.metadata import version

PROGRAM = "python -m lit_models"
TRAINER_COMMANDS = {
    "fit": "train, then test; leaves a run folder in runs/",
    "validate": "measure a checkpoint on the validation part",
    "test": "measure a checkpoint on the test part",
    "predict": "predictions for your own sentences, images or tables",
}
COMMANDS = TRAINER_COMMANDS | summaries()
EXAMPLES = {
    "fit": (
        "fit --config digits_cnn",
        "fit --config mnist_cnn --model LitMLP",
        "fit --config text_rnn --data.train_file my.csv",
    ),
    "validate": ("validate --ckpt_path best.ckpt",),
    "test": ("test --ckpt_path runs/x/version_0/checkpoints/last.ckpt",),
    "predict": (
        "predict --ckpt_path best.ckpt --inputs 'What a film!'",
        "predict --ckpt_path last.ckpt --inputs *.png",
    ),
}
COMMON_FLAGS = (
    ("--config FILE_OR_NAME", "a YAML file or a config's name; the last one wins"),
    ("--model CLASS", "the model, and --model.NAME VALUE for each setting"),
    ("--data CLASS", "the data, and --data.NAME VALUE for each setting"),
    own_flags.CKPT_PATH.row,
    ("--trainer.accelerator NAME", "auto, cpu, gpu or mps; --trainer.devices N uses N of them"),
    ("--seed_everything N", "seed of weights, order and dropout; 0 if not set"),
    *(flag.row for flag in own_flags.RUN),
    ("--trust MODULE", "a module of yours that files may name; repeatable"),
    ("--debug", "show the traceback of an error"),
)
MAX_EPOCHS = ("--trainer.max_epochs N", "passes over the training part")


def width() -> int:
    """Columns of the screen, at most 100; 80 without a screen."""
    return min(shutil.get_terminal_size((80, 24)).columns, 100)


def help_screen() -> str:
    """The help screen of the program: its commands, examples, and where to find more."""
    title = f"lit-models {version()}: classic neural networks behind one Lightning command line"
    lines = [*textwrap.wrap(title, width()), "", f"usage: {PROGRAM} COMMAND [options]"]
    lines += [*section("commands", COMMANDS.items()), "", "examples"]
    lines += [f"  {PROGRAM} {EXAMPLES[command][0]}" for command in ("fit", "test")]
    return "\n".join([*lines, "", f"next: `{PROGRAM} list`, and `{PROGRAM} COMMAND --help`"])


def trainer_help(command: str) -> str:
    """The help screen of a Trainer command: common flags, models and data."""
    more = [
        ("--model.help LitCNN", "every setting of a model; --data.help of data"),
        ("--help-all", "every option, those of the Trainer too"),
    ]
    lines = [f"usage: {PROGRAM} {command} [options]", f"{command}: {COMMANDS[command]}"]
    lines += section("models", ((m.name, m.summary) for m in registry.models()), shorten=True)
    lines += section("data", ((d.name, d.summary) for d in registry.data()), shorten=True)
    own = [flag.row for flag in own_flags.OF_COMMAND.get(command, ())]
    lines += section("options", (*COMMON_FLAGS, *([MAX_EPOCHS] if command == "fit" else []), *own, *more))
    return "\n".join([*lines, "", "examples", *(f"  {PROGRAM} {example}" for example in EXAMPLES[command])])


def flags_help(parser: FlagParser) -> str:
    """The help screen of a command that does not use the Trainer."""
    command = parser.prog
    lines = [f"usage: {PROGRAM} {command} {parser.usage}".rstrip(), f"{command}: {COMMANDS[command]}"]
    lines += section("options", [*parser.rows(), COMMON_FLAGS[-1]])
    if parser.examples:
        lines += ["", "examples", *(f"  {PROGRAM} {example}" for example in parser.examples)]
    return "\n".join(lines)


def section(title: str, rows: Iterable[tuple[str, str]], *, shorten: bool = False) -> list[str]:
    """A blank line, a title and a table under it."""
    return ["", title, *table(rows, shorten=shorten)]


def table(rows: Iterable[tuple[str, str]], *, shorten: bool = False, indent: str = "  ") -> list[str]:
    """Two columns within the screen's width. The second is wrapped, or shortened to its first clauses."""
    rows = list(rows)
    first = len(indent) + max((len(name) for name, _ in rows), default=0) + 2
    room = max(20, width() - first)
    lines = []
    for name, text in rows:
        parts = [shortened(text, room)] if shorten else textwrap.wrap(text, room) or [""]
        lines += [f"{indent + name:{first}}{parts[0]}".rstrip(), *(" " * first + part for part in parts[1:])]
    return lines


def shortened(text: str, room: int) -> str:
    """Shortens `text` to the clauses that fit."""
    text = text.removesuffix(".")
    if len(text) <= room:
        return text
    for separators in ((". ", ": ", "; "), (", ",)):
        if (end := max(text.rfind(s, 0, room) for s in separators)) > 0:
            return text[:end]
    return f"{text[: room - 1].rstrip()}…"
