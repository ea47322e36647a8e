"""The front door: help screens, and the way to each command. It imports no torch; the commands do that."""

import gc
import os
import sys
from collections.abc import Callable

from lit_models.errors import nearest

PROGRAM = "python -m lit_models"
TRAINER_COMMANDS = {
    "fit": "train, then test; leaves a run folder in runs/",
    "validate": "measure a checkpoint on the validation part",
    "test": "measure a checkpoint on the test part",
    "predict": "label and probability of your own sentences, images or tables",
}
FILE_COMMANDS = {
    "import-keras": "a trained Keras file (.keras, .h5) becomes a checkpoint and a config",
    "export": "a checkpoint becomes a file for another program",
}
OTHER_COMMANDS = {
    "list": "models, data, the pairs that fit, and the configs that come with the program",
    "doctor": "whether a run can work here: versions, GPU, disk, data",
}
COMMANDS = TRAINER_COMMANDS | FILE_COMMANDS | OTHER_COMMANDS

EXAMPLES = {
    "fit": (
        "fit --config digits_cnn",
        "fit --config mnist_cnn --model LitMLP --trainer.max_epochs 3",
        "fit --model LitTransformer --data TextDataModule --data.train_file my.csv",
    ),
    "validate": ("validate --ckpt_path runs/mnist_mlp/version_0/checkpoints/best.ckpt",),
    "test": ("test --ckpt_path runs/digits_cnn/version_0/checkpoints/last.ckpt",),
    "predict": (
        "predict --ckpt_path runs/imdb_lstm/version_0/checkpoints/best.ckpt --data.inputs 'What a film!'",
        "predict --ckpt_path runs/mnist_cnn/version_0/checkpoints/last.ckpt --data.inputs digits/*.png",
    ),
    "import-keras": (
        "import-keras model.keras",
        "import-keras model.h5 --model LitCNN --data MNISTDataModule --experiment my_cnn",
    ),
    "export": ("export --format keras --ckpt_path runs/mnist_cnn/version_0/checkpoints/last.ckpt",),
}
COMMON_FLAGS = (
    ("--config FILE_OR_NAME", "a YAML file, or a config by name (`list` shows them); several add up, the last wins"),
    ("--model CLASS", "the network, and --model.NAME VALUE for each of its settings"),
    ("--data CLASS", "what it is trained on, and --data.NAME VALUE for each of its settings"),
    ("--ckpt_path FILE", "weights to start from; alone it is enough: the run's own config supplies the rest"),
    ("--trainer.accelerator NAME", "auto, cpu, gpu or mps; --trainer.devices N takes N of them"),
    ("--seed_everything N", "seed of weights, order and dropout; 0 unless given"),
    ("--experiment NAME", "the run's folder is RUNS_DIR/NAME/version_N; --runs_dir DIR moves all of them"),
    ("--debug", "show where an error comes from"),
)
FLAGS = {
    "fit": (
        ("--trainer.max_epochs N", "passes over the training part"),
        ("--test_weights WHICH", "weights to test after training: last, best or none"),
    ),
    "predict": (
        ("--data.inputs VALUE ...", "what to predict: sentences, images, a table or a folder"),
        ("--output FORMAT", "format of the file of predictions: csv or jsonl"),
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Runs `argv` (the process's own arguments when not given).

    Returns:
        Exit status: 0; 1 where `doctor` found a fault; 2 after a mistake of the user's; 130 when interrupted.
    """
    try:
        status = dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # here, where a closed pipe is caught
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # a reader such as `head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def dispatch(argv: list[str]) -> int:
    """Finds the command and runs it; returns the exit status."""
    command, arguments = (argv[0], argv[1:]) if argv else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(help_screen())
        return 0
    if command == "--version":
        from lit_models.metadata import version

        print(f"lit-models {version()}")
        return 0
    if command.startswith("-"):
        return refuse(f"the command comes before its options: {PROGRAM} {' '.join(command_first(argv))}")
    if command not in COMMANDS:
        hint = nearest(command, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        return refuse(f"unknown command {command!r}{hint}")
    if command in TRAINER_COMMANDS:
        return run_trainer_command(command, arguments)
    if command in FILE_COMMANDS:
        return run_file_command(command, arguments)
    if arguments in (["-h"], ["--help"]):
        print(f"usage: {PROGRAM} {command}\n\n{command}: {COMMANDS[command]}")
        return 0
    if arguments:
        return refuse(f"{command} takes no arguments, got {' '.join(arguments)}")
    return other_command(command)()


def refuse(message: str) -> int:
    """Prints one line on standard error; returns the exit status of a user's mistake."""
    print(f"error: {message}", file=sys.stderr)
    return 2


def command_first(argv: list[str]) -> list[str]:
    """The same words with the command before the options; `fit` where there is none."""
    command = next((word for word in argv if word in COMMANDS), "fit")
    rest = list(argv)
    if command in rest:
        rest.remove(command)
    return [command, *rest]


def run_trainer_command(command: str, arguments: list[str]) -> int:
    """Prints the command's help screen, or hands over to the command line that imports torch."""
    if "--help" in arguments or "-h" in arguments:
        print(command_help(command))
        return 0
    find_users_modules()
    gc.disable()  # importing torch and Lightning makes millions of objects that stay: no need to look through them
    try:
        from lit_models.cli import main as run
    finally:
        gc.enable()
    return run([command, *("--help" if word == "--help-all" else word for word in arguments)])


def find_users_modules() -> None:
    """Looks for modules in the current folder, as `-m` does, so that the script finds a user's my_model.py too."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def run_file_command(command: str, arguments: list[str]) -> int:
    """Prints the command's help screen, or runs it."""
    from lit_models.file_commands import PARSERS
    from lit_models.file_commands import main as run

    if "--help" in arguments or "-h" in arguments:
        parser = PARSERS[command]()
        examples = [f"  {PROGRAM} {example}" for example in EXAMPLES[command]]
        lines = [f"usage: {PROGRAM} {command} {parser.usage}", f"{command}: {COMMANDS[command]}"]
        lines += [*section("options", [*parser.rows(), COMMON_FLAGS[-1]]), "", "examples", *examples]
        print("\n".join(lines))
        return 0
    find_users_modules()
    return run(command, arguments)


def other_command(command: str) -> Callable[[], int]:
    """The function that a command without settings runs."""
    if command == "doctor":
        from lit_models.doctor import main as doctor

        return doctor
    from lit_models.listing import main as listing

    return listing


def help_screen() -> str:
    """What the program is, its commands, and where to go on; fits 24 lines of 100 columns."""
    from lit_models.metadata import version

    return "\n".join(
        [
            f"lit-models {version()}: classic neural networks, each in one readable file, behind one command line",
            "",
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "commands",
            *(f"  {name:14}{text}" for name, text in COMMANDS.items()),
            "",
            "examples",
            *(f"  {PROGRAM} {EXAMPLES['fit'][i]}" for i in (0, 1)),
            f"  {PROGRAM} {EXAMPLES['test'][0]}",
            "",
            f"next: `{PROGRAM} list`, and `{PROGRAM} COMMAND --help`.",
        ]
    )


def command_help(command: str) -> str:
    """The flags that are used most, our models and data; fits 40 lines."""
    from lit_models import catalog
    from lit_models.listing import table

    screens = [
        f"usage: {PROGRAM} {command} [options]",
        f"{command}: {COMMANDS[command]}",
        *section("models", [(m.name, m.summary) for m in catalog.models()]),
        *section("data", [(d.name, d.summary) for d in catalog.data()]),
        *section("options", [*COMMON_FLAGS, *FLAGS.get(command, ())]),
        "",
        "examples",
        *(f"  {PROGRAM} {example}" for example in EXAMPLES[command]),
        "",
        *table(
            [
                (f"{command} --model.help {catalog.model_names()[0]}", "every setting of a model"),
                (f"{command} --data.help {catalog.data_names()[0]}", "every setting of a datamodule"),
                (f"{command} --help-all", "every option there is, the Trainer's too"),
            ],
            indent="",
        ),
    ]
    return "\n".join(screens)


def section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    """A blank line, a title and a table under it."""
    from lit_models.listing import table

    return ["", title, *table(rows)]


if __name__ == "__main__":
    sys.exit(main())
