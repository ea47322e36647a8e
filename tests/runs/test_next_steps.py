"""The commands after a training are whole, and fit the screen."""

import shlex

import pytest

from lit_models.runs.next_steps import command_line, wrapped


@pytest.mark.parametrize(
    "words",
    [
        ("report", "runs/x/version_0"),
        ("predict", "--ckpt_path", "runs/a_long_name_of_an_experiment/version_12/checkpoints/best.ckpt"),
        ("fit", "--resume", "runs/my run; rm -rf 'x'/version_0", "--trainer.max_epochs", "20"),
        ("test", "--ckpt_path", "x" * 100),
    ],
)
def test_the_lines_of_a_command_are_the_command(words: tuple[str, ...]) -> None:
    lines = wrapped(command_line(*words))
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == ["python", "-m", "lit_models", *words]
    assert all(len(line) <= 78 for line in lines if "x" * 100 not in line)
    assert all(line.endswith(" \\") for line in lines[:-1])


def test_a_flag_is_on_the_line_of_its_value() -> None:
    command = command_line("fit", "--resume", "runs/some_experiment/version_0", "--trainer.max_epochs", "20")
    assert wrapped(command)[1:] == ["    --trainer.max_epochs 20"]
