"""The front door as a process of its own: what it says, its exit status, and that it imports no torch."""

import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lit_models import __main__ as front_door
from lit_models.cli import help, registry
from lit_models.cli.commands import load, summaries
from tests.programs import Programs

ROOT = Path(__file__).parents[2]
NO_TORCH = """
import sys
from lit_models.__main__ import main
status = main(sys.argv[1:])
loaded = {"torch", "lightning", "transformers", "numpy"} & set(sys.modules)
sys.exit(f"imported {loaded}" if loaded else status)
"""
SCREENS = [
    [],
    ["--help"],
    ["--version"],
    ["list"],
    *[[command, "--help"] for command in help.COMMANDS],
]


def run(*arguments: str, program: tuple[str, ...] = ("-m", "lit_models")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [*SCREENS, ["doctor"]], ids=" ".join)
def test_a_screen_imports_no_torch(arguments: list[str]) -> None:
    done = run(*arguments, program=("-c", NO_TORCH))
    assert done.returncode in ((0, 1) if arguments == ["doctor"] else (0,)), done.stderr
    assert "imported" not in done.stderr


IMPORTS = """
import sys
from lit_models.__main__ import main
status = main(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["fit", "--help"]], ids=" ".join)
def test_a_screen_imports_few_modules_so_that_it_takes_less_than_a_third_of_a_second(arguments: list[str]) -> None:
    # Almost all of the time are imports. On an idle machine, `--help` takes 0.15 s and `list` 0.19 s with 213 modules.
    # Seconds on a busy machine are two to three times as many, so the modules are counted instead.
    names = run(*arguments, program=("-c", IMPORTS)).stderr.split()
    assert "lit_models.cli.help" in names
    assert len(names) < 260
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert packages & {"numpy", "torch", "lightning", "jsonargparse", "pandas", "pyarrow", "rich"} == set()


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["fit", "--help"]], ids=" ".join)
def test_a_screen_takes_less_than_a_second_of_processor_time(arguments: list[str]) -> None:
    # Processor time, as other processes stretch the time on the clock; twice, as they also slow the processor down.
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1


def test_help_fits_a_screen_and_names_every_command() -> None:
    lines = run("--help").stdout.splitlines()
    assert len(lines) - len(help.COMMANDS) <= 11
    assert max(map(len, lines)) <= 80
    for command in help.COMMANDS:
        assert any(line.strip().startswith(f"{command} ") for line in lines)


def test_no_argument_and_the_short_flag_show_the_same_help() -> None:
    assert run().stdout == run("-h").stdout == run("help").stdout == run("--help").stdout


@pytest.mark.parametrize("command", help.TRAINER_COMMANDS)
def test_command_help_fits_a_screen_and_names_our_classes_and_flags(command: str) -> None:
    text = run(command, "--help").stdout
    assert len(text.splitlines()) - len(registry.models()) - len(registry.data()) <= 37
    assert max(map(len, text.splitlines())) <= 80
    flags = ["--config", "--model", "--data", "--trainer.accelerator", "--trainer.devices", "--seed_everything"]
    flags += ["--ckpt_path", "--experiment", "--runs_dir", "--debug", "--model.help", "--data.help", "--help-all"]
    flags += {"fit": ["--trainer.max_epochs", "--test_weights", "--monitor"], "predict": ["--inputs", "--output"]}.get(
        command, []
    )
    for name in [*registry.model_names(), *registry.data_names(), *flags]:
        assert name in text


def test_help_shows_only_flags_that_the_parser_has() -> None:
    from lit_models.cli.app import LitCLI

    class Parsers(LitCLI):
        def parse_arguments(self, parser: Any, args: Any) -> None:
            raise StopIteration(self._subcommand_parsers)

    with pytest.raises(StopIteration) as stop:
        Parsers(args=[])
    parsers = stop.value.args[0]
    front_doors_own = {"--debug", "--help-all", "--trust"}  # or read before the parser
    for command in help.TRAINER_COMMANDS:
        known = {option for action in parsers[command]._actions for option in action.option_strings}
        shown = {word.strip(";`,") for word in help.trainer_help(command).split() if word.startswith("--")}
        plain = {flag for flag in shown if not flag.startswith(("--model.", "--data."))} - front_doors_own
        assert plain <= known


@pytest.mark.parametrize("command", summaries())
def test_help_of_a_command_without_the_trainer_is_its_parser(command: str) -> None:
    text = run(command, "--help").stdout
    assert text.startswith(f"usage: python -m lit_models {command}")
    assert text.splitlines()[1] == f"{command}: {summaries()[command]}"
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    parser = load(command).parser()
    assert parser.prog == command
    known = {option for action in parser._actions for option in action.option_strings}
    shown = {line.split()[0] for line in text.splitlines() if line.strip().startswith("--")}
    assert shown == known | {"--debug"}
    assert text == run(command, "-h").stdout == run(command, "x.keras", "--help").stdout


@pytest.mark.parametrize("command", summaries())
def test_the_examples_of_a_command_are_read_by_its_parser(command: str) -> None:
    parser = load(command).parser()
    for example in parser.examples:
        name, *words = shlex.split(example)
        assert name == command
        parser.read(words)


@pytest.mark.parametrize("arguments", [["import-keras"], ["export", "--formt", "keras"]], ids=" ".join)
def test_a_mistake_in_the_flags_of_a_command_on_files_imports_no_torch(arguments: list[str]) -> None:
    done = run(*arguments, program=("-c", NO_TORCH))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_help_all_and_class_help_go_to_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    import lit_models.cli.app

    seen: list[list[str]] = []

    def noted(words: list[str], *, debug: bool) -> int:
        seen.append([*words, *(["--debug"] if debug else [])])
        return 7

    monkeypatch.setattr(lit_models.cli.app, "main", noted)
    assert front_door.main(["fit", "--help-all"]) == 7
    assert front_door.main(["test", "--debug", "--model.help", "LitCNN"]) == 7
    assert seen == [["fit", "--help"], ["test", "--model.help", "LitCNN", "--debug"]]


@pytest.mark.parametrize(
    "arguments", [["--model.help", "LitCNN"], ["--data.help", "XORDataModule"], ["--help-all"]], ids=" ".join
)
def test_every_setting_can_be_seen(arguments: list[str], programs: Programs, tmp_path: Path) -> None:
    (folder := tmp_path / "empty").mkdir()
    done = programs.run("-m", "lit_models", "fit", *arguments, folder=folder)
    assert done.status == 0, done.err
    expected = {"LitCNN": "--model.dropout", "XORDataModule": "--data.num_bits"}.get(
        arguments[-1], "--trainer.precision"
    )
    assert expected in done.out


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--model.help", ""),
        ("--data.help", ""),
        ("--model.help", "LitCNN"),
        ("--model.help", "LitBERT"),
        ("--model.help", "LitKeras"),
        ("--data.help", "TextDataModule"),
    ],
)
def test_the_help_of_a_class_fits_80_columns(
    flag: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert front_door.main(["fit", flag, *([name] if name else [])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    if not name:
        entries = registry.models() if flag == "--model.help" else registry.data()
        assert {entry.name for entry in entries} <= {line.split()[0] for line in lines}


def test_the_help_of_an_unknown_class_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.main(["fit", "--model.help", "LitCN"]) == 2
    assert capsys.readouterr().err.startswith("error: model: no class 'LitCN', did you mean LitCNN?")


def test_doctor_and_list_take_no_arguments() -> None:
    assert run("list", "--help").stdout.startswith("usage: python -m lit_models list\n")
    for words in (["doctor", "--fast", "now"], ["list", "now"]):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {words[0]} takes no arguments, got {' '.join(words[1:])}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ft"], "unknown command 'ft', did you mean fit?"),
        (["tests"], "unknown command 'tests', did you mean test?"),
        (
            ["zzz"],
            f"unknown command 'zzz'; there are {', '.join(help.COMMANDS)}",
        ),
        (["-c", "x.yaml"], "the command comes before its options: python -m lit_models fit -c x.yaml"),
        (["-c"], "the command comes before its options: python -m lit_models fit -c"),
        (
            ["--config=x.yaml", "--model", "LitMLP", "test", "--debug"],
            "the command comes before its options: python -m lit_models test --config=x.yaml --model LitMLP --debug",
        ),
        (
            ["--config", "digits_cnn", "zzz"],
            f"unknown command 'zzz'; there are {', '.join(help.COMMANDS)}",
        ),
        (["--model", "LitMLP"], "the command comes before its options: python -m lit_models fit --model LitMLP"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_one_line_with_the_right_one(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_version_is_the_project_files() -> None:
    import tomllib

    import lit_models

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version").stdout == f"lit-models {declared}\n"
    assert lit_models.__version__ == declared


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(front_door, "dispatch", interrupted)
    assert front_door.main(["list"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "interrupted\n"


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "lit_models", "list"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_the_public_names_are_the_classes() -> None:
    import lit_models

    for name in lit_models.__all__:
        assert getattr(lit_models, name).__name__ == name
    assert set(lit_models.__all__) <= set(dir(lit_models))
    assert set(registry.model_names()) <= set(lit_models.__all__)
    with pytest.raises(AttributeError, match="module 'lit_models' has no attribute 'LitGPT'"):
        lit_models.LitGPT  # noqa: B018


def test_each_file_in_the_folder_of_commands_is_a_command_with_a_line_in_the_help() -> None:
    files = [path for path in (ROOT / "lit_models/cli/commands").glob("*.py") if path.stem != "__init__"]
    assert {path.stem.replace("_", "-") for path in files} == help.COMMANDS.keys() - help.TRAINER_COMMANDS.keys()
    for path in files:
        summary = path.read_text(encoding="utf-8").splitlines()[0].removeprefix('"""').removesuffix('"""')
        assert f"  {path.stem.replace('_', '-'):<12}  {summary}" in help.help_screen()
