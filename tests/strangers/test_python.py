"""LitCLI from Python, as Lightning documents LightningCLI: links, hooks, own arguments, callbacks, no command."""

import shlex

import pytest
import yaml

from .conftest import Stranger


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("programs.py", "plain.py", "points.py", "hyper.py")


def said(stranger: Stranger, program: str, *words: str) -> str:
    """The output of one of the programs, which must end well."""
    done = stranger.python("programs.py", program, *words)
    assert (done.status, done.err) == (0, ""), done.err
    return done.out


def test_a_subclass_links_two_arguments_and_has_hooks(stranger: Stranger) -> None:
    out = said(stranger, "linked", "fit", "--trainer.max_epochs=1", "--data.batch_size=4", "--data.num_classes=3")
    assert out.splitlines()[-1] == "linked 4 4 3"
    hooks = [line for line in out.splitlines() if line.startswith(("before_", "after_"))]
    assert hooks == ["before_instantiate_classes", "after_instantiate_classes Trained", "before_fit 0", "after_fit 1"]
    results = stranger.results("Trained-Points")
    assert results["steps"] == 96 // 4
    assert results["parameters"] == 2 * 3 + 3  # three classes
    assert set(results["metrics"]) == {"train_loss", "val_loss", "test_loss"}
    # The run's config and checkpoint work with the same program.
    folder = "runs/Trained-Points/version_0"
    said(stranger, "linked", "fit", "--config", f"{folder}/config.yaml")
    assert stranger.results("Trained-Points", version=1)["metrics"] == results["metrics"]
    done = stranger.python("programs.py", "linked", "test", "--ckpt_path", f"{folder}/checkpoints/last.ckpt")
    assert done.status == 0, done.err
    assert stranger.results("Trained-Points", "test.json")["metrics"]["test_loss"] == results["metrics"]["test_loss"]


def test_a_link_takes_the_default_of_its_source(stranger: Stranger) -> None:
    assert said(stranger, "linked", "fit", "--trainer.max_epochs=1").splitlines()[-1] == "linked 8 8 2"
    assert "built 8 8 3" in said(stranger, "built", "--trainer.max_epochs=1", "--data.num_classes=3")
    out = said(stranger, "summed", "fit", "--trainer.max_epochs=1", "--data.batch_size=4")
    assert out.splitlines()[-1] == "summed 6"  # four, and two by default


def test_the_next_commands_are_those_of_the_program(stranger: Stranger) -> None:
    stranger.writes(
        "mine.py",
        "from plain import Trained\nfrom points import Points\n"
        "from lit_models import LitCLI\n\nLitCLI(Trained, Points)\n",
    )
    done = stranger.python("mine.py", "fit", "--trainer.max_epochs=1", "--data.batch_size=4")
    assert (done.status, done.err) == (0, ""), done.err
    text = done.out.partition("\nnext\n")[2].replace("\\\n", "")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]
    assert [words[:2] + words[2:3] for words in commands[:3]] == [
        ["python", "mine.py", command] for command in ("test", "predict", "fit")
    ]
    for words in commands[:3]:
        again = stranger.python(*words[1:])
        assert again.status == 0, again.err
    assert commands[3][:4] == ["python", "-m", "lit_models", "report"]
    results = stranger.results("Trained-Points")
    assert (results["program"], results["arguments"][0]) == ("python mine.py", "fit")


def test_a_linked_argument_cannot_be_set(stranger: Stranger) -> None:
    done = stranger.python("programs.py", "linked", "fit", "--model.batch_size=4")
    assert done.status == 1  # the program gives `args`
    expected = 'Linked "model.batch_size" must be given via "data.batch_size".'
    assert done.err.splitlines()[-1] == f"datamodules.errors.UserError: {expected}"


def test_without_a_command_model_data_and_trainer_are_built(stranger: Stranger) -> None:
    out = said(stranger, "built", "--trainer.max_epochs=2", "--data.batch_size=8", "--trainer.logger=false")
    assert out.splitlines()[-2:] == ["built 8 8 2", "trained 2"]
    assert not (stranger.folder / "runs").exists()


def test_a_subclass_adds_a_callback_an_argument_an_optimizer_and_a_schedule(stranger: Stranger) -> None:
    words = ("--stopping.patience=3", "--note=mine", "--optimizer.lr=0.01", "--lr_scheduler.gamma=0.9")
    out = said(stranger, "extended", "fit", "--trainer.max_epochs=1", *words)
    assert out.splitlines()[-1] == "extended [3] mine Adam"
    stored = yaml.safe_load((stranger.folder / "runs/Plain-Points/version_0/config.yaml").read_text())
    assert (stored["note"], stored["stopping"]["patience"], stored["optimizer"]["lr"]) == ("mine", 3, 0.01)


def test_arguments_may_be_a_mapping(stranger: Stranger) -> None:
    assert said(stranger, "mapping").startswith("mapping 3 16\n")
    assert stranger.results("Trained-Points")["steps"] == 96 // 16


def test_lightnings_callback_saves_the_config_and_so_does_a_subclass(stranger: Stranger) -> None:
    words = ("fit", "--trainer.max_epochs=1", "--data.batch_size=6")
    said(stranger, "theirs", *words)
    folder = stranger.folder / "runs/Trained-Points"
    assert yaml.safe_load((folder / "version_0/own.yaml").read_text())["data"]["batch_size"] == 6
    assert not (folder / "version_0/config.yaml").exists()
    assert "saves config.yaml 6\n" in said(stranger, "telling", *words)
    assert yaml.safe_load((folder / "version_1/config.yaml").read_text())["data"]["batch_size"] == 6


def test_a_program_has_defaults_with_callbacks_of_its_own(stranger: Stranger) -> None:
    # The second epoch is not 100 better than the first, and that was the patience.
    assert said(stranger, "defaults", "fit").splitlines()[-1] == "defaults 2 7"
    assert said(stranger, "defaults", "fit", "--trainer.max_epochs=1").splitlines()[-1] == "defaults 1 7"


PROGRAM = """
from lit_models import LitCLI
from plain import Trained
from points import Points

LitCLI(Trained, Points)
"""


def test_a_mistake_in_the_words_of_a_program_is_one_line(stranger: Stranger) -> None:
    stranger.writes("mine.py", PROGRAM)
    done = stranger.python("mine.py", "fit", "--data.batch_sise=4")
    assert done == (2, "", "error: unknown flag --data.batch_sise, did you mean --data.batch_size?\n")
    debugged = stranger.python("mine.py", "fit", "--debug", "--data.batch_sise=4")
    assert debugged.status == 1
    assert debugged.err.startswith("Traceback ")
    assert debugged.err.splitlines()[-1].startswith("datamodules.errors.UserError: unknown flag --data.batch_sise")


def test_a_program_reads_a_config_with_a_section_for_each_command(stranger: Stranger) -> None:
    stranger.writes("mine.py", PROGRAM)
    sections = {"fit": {"trainer": {"max_epochs": 2}, "data": {"batch_size": 12}}, "test": {"data": {"batch_size": 24}}}
    stranger.writes("both.yaml", yaml.safe_dump(sections))
    done = stranger.python("mine.py", "--config=both.yaml", "fit", "--trainer.max_epochs=1")
    assert done.status == 0, done.err
    assert stranger.results("both")["steps"] == 96 // 12


def test_a_subclass_has_a_command_and_a_debug_argument_of_its_own(stranger: Stranger) -> None:
    words = ("--trainer.max_epochs=1", "--trainer.logger=false", "--debug", "3", "--times=2")
    done = stranger.python("programs.py", "commanded", "fit_twice", *words)
    assert done.status == 0, done.err
    said = [line for line in done.out.splitlines() if line.startswith(("debug", "fitted"))]
    assert said == ["debug 3", "fitted 1", "fitted 1"]
    assert not (stranger.folder / "runs").exists()
    done = stranger.python("programs.py", "commanded", "fit", "--trainer.max_epochs=x", "--debug", "3")
    assert (done.status, done.err) == (2, "error: trainer.max_epochs: x is not valid, expected int\n")


def test_a_parser_class_of_a_strangers_adds_its_arguments(stranger: Stranger) -> None:
    out = said(stranger, "greeting", "fit", "--trainer.max_epochs=1", "--greeting=hi")
    assert out.splitlines()[-1] == "greeting hi"


def test_a_fault_in_a_trainer_class_keeps_its_traceback(stranger: Stranger) -> None:
    done = stranger.python("programs.py", "greedy", "fit")
    assert (done.status, done.err.splitlines()[-1]) == (1, "TypeError: object of type 'int' has no len()")
    done = stranger.python("programs.py", "greedy", "fit", "--trainer.precision", "7")
    assert (done.status, len(done.err.splitlines())) == (2, 1), done.err
