"""The command line as a LightningCLI: configs, their order, what is printed, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel, DemoModel

from datamodules import UserError
from lit_models import LitCLI
from lit_models.cli import help, own_flags
from lit_models.cli.schema import Parsers

from .conftest import Run

XOR = ("fit", "--config", "xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "1")
LAST = "runs/xor_mlp/version_0/checkpoints/last.ckpt"


def test_it_is_a_lightning_cli() -> None:
    assert issubclass(LitCLI, LightningCLI)


def test_classes_without_arguments_are_built_as_in_lightning() -> None:
    cli = LitCLI(DemoModel, BoringDataModule, run=False, args={"model": {"out_dim": 3}})
    assert isinstance(cli.datamodule, BoringDataModule)
    assert isinstance(cli.model, DemoModel)
    assert cli.model.l1.out_features == 3
    cli = LitCLI(BoringModel, BoringDataModule, run=False, args=[])
    assert isinstance(cli.model, BoringModel)


@pytest.mark.parametrize("config", ["xor_mlp", "digits_cnn"])
def test_a_printed_config_is_complete_and_runs(run: Run, capsys: pytest.CaptureFixture[str], config: str) -> None:
    status, out, err = run("fit", "--config", config, "--print_config")
    assert (status, err) == (0, "")
    content = yaml.safe_load(out)
    assert content["trainer"]["precision"] == (64 if config == "xor_mlp" else None) or config == "xor_mlp"
    assert content["model"]["init_args"]["warmup"] == 0.0  # a default
    assert "num_classes" not in content["model"]["init_args"]  # the data decide it
    assert "seed" not in content["data"]["init_args"]
    Path("printed.yaml").write_text(out)
    assert run("fit", "--config", "printed.yaml", "--config", "smoke", "--trainer.accelerator", "cpu")[0] == 0
    assert not Path("runs/xor_mlp").exists()


def test_flags_win_over_configs_and_checkpoints_wherever_they_are_typed(run: Run) -> None:
    assert run("fit", "--model.lr", "0.25", *XOR[1:])[0] == 0
    stored = yaml.safe_load(Path("runs/xor_mlp/version_0/config.yaml").read_text())
    assert stored["model"]["init_args"]["lr"] == 0.25
    status, out, err = run("test", "--model.lr", "0.5", "--data.num_bits", "2", "--ckpt_path", LAST)
    assert status == 0, err
    assert "note: model.lr is 0.5, and was 0.25 when the checkpoint was made" in out


def test_a_checkpoint_may_stand_in_a_config(run: Run) -> None:
    assert run(*XOR)[0] == 0
    Path("mine.yaml").write_text(f"ckpt_path: {LAST}\n")
    status, _, err = run("test", "--config", "mine.yaml")
    assert (status, err) == (0, "")
    assert Path("runs/xor_mlp/version_0/test.json").is_file()


def test_test_loss_is_the_same_to_the_last_bit_from_the_checkpoint(run: Run) -> None:
    assert run(*XOR, "--data.passes", "50")[0] == 0
    assert run("test", "--ckpt_path", LAST)[0] == 0
    in_fit, again = (
        json.loads(Path(f"runs/xor_mlp/version_0/{name}.json").read_text())["metrics"]["test/loss"]
        for name in ("results", "test")
    )
    assert in_fit == again  # float64: 16 digits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer:\n", "mine.yaml:1: trainer is empty: write its settings under it, or leave it out"),
        ("model: {init_arg: {lr: 1}}\n", "mine.yaml:1: model has no key 'init_arg', did you mean init_args?"),
        ("model: {lr: 1}\n", "mine.yaml:1: model has no key 'lr'; settings of the class go under init_args"),
        ("model: 3\n", "mine.yaml:1: model is 3, expected the name of a class"),
        (
            "model: datamodules.XORDataModule\n",
            "mine.yaml:1: model: datamodules.XORDataModule is not a LightningModule",
        ),
        ("data: lit_models.LitMLP\n", "mine.yaml:1: data: lit_models.LitMLP is not a LightningDataModule"),
        ("model:\n  init_args:\n    lr: fast\n", "mine.yaml:3: model.lr: fast is not valid, expected float"),
        ("trainer:\n  max_epochs: many\n", "mine.yaml:2: trainer.max_epochs: many is not valid, expected int"),
    ],
)
def test_a_mistake_in_a_config_is_one_line_with_its_place(run: Run, text: str, message: str) -> None:
    Path("mine.yaml").write_text(text)
    status, out, err = run(*XOR, "--config", "mine.yaml")
    assert (status, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith(f"error: {message}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model.lr", "0.1", "--data", "XORDataModule"), "model.lr is set, but no model: add --model CLASS"),
        (("--config",), "-c/--config: expected one argument"),
        (("--config", "xor_mlp", "--monitor_mode", "up"), "monitor_mode: up is not valid, expected min, max"),
        (("--config", "xor_mlp", "--model.metrics", "[rmse]"), "metrics: 'rmse' is not a metric of classes"),
        (("--config", "xor_mlp", "--inputs", "1,0"), "--inputs belongs to predict, and fit does not use it"),
        (("--config", "xor_mlp", "--trainer.logger", "WandbLogger"), "WandbLogger needs a package that is not"),
        (("--model", "LitMLP", "--data", "XORDataModule", "--model.task", "regression"), "model.task is 'regression'"),
    ],
)
def test_a_mistake_in_the_words_is_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    status, out, err = run("fit", *words)
    assert (status, out) == (2, ""), err
    assert err.startswith(f"error: {message}")
    assert len(err.splitlines()) == 1
    assert not Path("runs").exists()


def test_from_python_a_mistake_is_an_error_and_does_not_leave_the_process() -> None:
    with pytest.raises(UserError, match=r"unknown flag --modl, did you mean --model\?"):
        LitCLI(args=["fit", "--modl", "LitMLP"])


def test_a_value_error_of_ours_that_is_not_a_users_mistake_keeps_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("lit_models.mlp.MLP.forward", broken)
    with pytest.raises(ValueError, match="a fault"):
        run(*XOR)
    monkeypatch.undo()
    monkeypatch.setattr("lit_models.mlp.init_normal", broken)
    with pytest.raises(ValueError, match="a fault"):
        run(*XOR)


class WithArgument(LitCLI):
    """A program with one argument of its own, in some of the commands."""

    flag, commands = "", ("fit", "predict")

    def add_arguments_to_parser(self, parser: Any) -> None:
        if self.first_word in self.commands:
            parser.add_argument(self.flag, type=str | None, default=None)


def with_argument(flag: str, *words: str) -> LitCLI:
    program: type[LitCLI] = type("Program", (WithArgument,), {"flag": flag})
    return program(BoringModel, BoringDataModule, args=[*words, "--trainer.accelerator=cpu", "--trainer.logger=false"])


@pytest.mark.parametrize(
    "name", ["experiment", "quiet", "save", "monitor", "report", "kernels", "early_stopping", "resume", "ckpt_path"]
)
def test_an_argument_with_the_name_of_ours_is_one_line(name: str, empty_folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        with_argument(f"--{name}", "fit")
    assert str(caught.value) == (f"--{name} is a flag of LitCLI: give the argument of your program another name")


@pytest.mark.parametrize(
    ("flag", "command"), [("--trust", "fit"), ("--resume", "predict"), ("--output", "fit"), ("--save", "predict")]
)
def test_an_argument_that_ours_does_not_need_in_this_command_is_the_programs(
    flag: str, command: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = ["--trainer.max_epochs=1"] if command == "fit" else []
    cli = with_argument(flag, command, f"{flag}=-", *fast)
    assert cli.settings[flag.removeprefix("--")] == "-"
    assert "66 trainable" in capsys.readouterr().out or command == "predict"  # `--output -` of ours would clear it


def test_a_program_without_commands_has_its_own_checkpoint_flag(empty_folder: Path) -> None:
    program = type("Program", (WithArgument,), {"flag": "--ckpt_path", "commands": ("--ckpt_path=mine",)})
    cli = program(BoringModel, BoringDataModule, run=False, args=["--ckpt_path=mine"])
    assert cli.settings.ckpt_path == "mine"


def test_the_reserved_flags_stand_in_the_docstring_and_in_the_parsers() -> None:
    assert LitCLI.__doc__ is not None
    assert all(f"`{flag}`" in LitCLI.__doc__ for flag in own_flags.RESERVED)
    for command, parser in Parsers(args=[]).by_command().items():
        helps = {action.dest: action.help for action in parser._actions}
        rows = help.trainer_help(command)
        for flag in (*own_flags.RUN, *own_flags.OF_COMMAND.get(command, ()), own_flags.CKPT_PATH):
            assert helps[flag.name] == flag.text
            assert "  ".join(flag.row) in re.sub("(?<=[^ ])  +", "  ", rows) or flag.text in " ".join(rows.split())
        assert own_flags.of(command) <= helps.keys()
