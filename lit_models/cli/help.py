"""The help screens: the commands, and the common settings of each. They import no torch and fit 80 columns."""

import shutil
import textwrap
from collections.abc import Iterable

from lit_models.cli import registry
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
    ("--ckpt_path FILE", "weights to start from, with their run's settings"),
    ("--trainer.accelerator NAME", "auto, cpu, gpu or mps; --trainer.devices N uses N of them"),
    ("--seed_everything N", "seed of weights, order and dropout; 0 if not set"),
    ("--experiment NAME", "the run's folder is RUNS_DIR/NAME/version_N; --runs_dir DIR moves it"),
    ("--trust MODULE", "a module of yours that files may name; repeatable"),
    ("--quiet", "print only errors, warnings and the result"),
    ("--debug", "show the traceback of an error"),
)
FLAGS = {
    "fit": (
        ("--resume RUN", "run folder of a stopped training, to continue it"),
        ("--save_every TIME", "interval of saving: 500 (steps), 30s, 5min, epoch"),
        ("--trainer.max_epochs N", "passes over the training part"),
        ("--test_weights WHICH", "weights to test after training: last, best or none"),
        ("--monitor METRIC", "metric that decides which epoch is the best"),
        ("--early_stopping METRIC:N", "stop if METRIC has not improved for N epochs"),
        ("--report none", "leaves out report.html"),
    ),
    "test": (("--report none", "leaves out report.html"),),
    "predict": (
        ("--inputs ITEM ...", "sentences, files, folders, patterns, - for a pipe; status 3: some are unreadable"),
        ("--output FILE", "a new file .csv, .jsonl or .pt; - for JSON Lines on standard output"),
        ("--top_k K", "only the K most probable classes of a sample"),
    ),
}


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
        (f"{command} --model.help LitCNN", "every setting of a model"),
        (f"{command} --data.help MNISTDataModule", "every setting of a datamodule"),
        (f"{command} --help-all", "every option, those of the Trainer too"),
    ]
    lines = [f"usage: {PROGRAM} {command} [options]", f"{command}: {COMMANDS[command]}"]
    lines += section("models", ((m.name, m.summary) for m in registry.models()), shorten=True)
    lines += section("data", ((d.name, d.summary) for d in registry.data()), shorten=True)
    lines += section("options", (*COMMON_FLAGS, *FLAGS.get(command, ())))
    lines += ["", "examples", *(f"  {PROGRAM} {example}" for example in EXAMPLES[command])]
    return "\n".join([*lines, *section("more", more)])


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
