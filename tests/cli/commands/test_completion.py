"""`completion`: real shells complete commands, flags, names and values with the script, and start no Python."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lit_models.cli import registry
from lit_models.cli.completion import script
from lit_models.cli.help import COMMANDS
from tests.cli.conftest import Run

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
ASK = """
ask() {
  COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
  local function
  function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
  $function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
  echo "${COMPREPLY[*]}"
}
"""
"""Calls the function that bash calls when Tab is pressed after some words."""


def bash(lines: list[str], *, source: str = "./script") -> list[list[str]]:
    """What bash proposes for each line; the word after the last blank is completed. There is no python in PATH."""
    asked = "".join(f"ask {' '.join(map(shlex.quote, line.split(' ')))}\n" for line in lines)
    settings = {"PATH": "/usr/bin:/bin", "HOME": os.getcwd()}
    command = ["bash", "--norc", "-c", f"source {source}\n{ASK}{asked}"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


CASES = {
    "lit-models ": list(COMMANDS),
    "python -m lit_models val": ["validate"],
    "lit-models fit --config dig": ["digits_cnn"],
    "lit-models fit --config min": ["mine.yaml"],
    "lit-models fit --kernels ": ["auto", "plain"],
    "python3 -m lit_models fit --test_weights ": ["last", "best", "none"],
    "lit-models fit --data MN": ["MNISTDataModule"],
    "lit-models fit --model LitCNN --model.pool": ["--model.pool_dropout", "--model.pool_size"],
    "lit-models fit --model.optimizer keras_ada": [
        "keras_adadelta",
        "keras_adagrad",
        "keras_adam",
        "keras_adamax",
        "keras_adamw",
    ],
    "lit-models fit --optimizer Adam": ["Adam", "AdamW", "Adamax"],
    "lit-models fit --trainer.max_e": ["--trainer.max_epochs"],
    "lit-models fit --trainer.callbacks Early": ["EarlyStopping"],
    "lit-models fit --quiet --early": ["--early_stopping"],
    "lit-models export --format ": ["onnx", "torch", "safetensors", "keras", "html"],
    "lit-models test --ckpt_path las": ["last.ckpt"],
    "lit-models predict --top": ["--top_k"],
    "lit-models test --top": [],
    "lit-models report --for": ["--force"],
    "lit-models completion ": ["bash", "zsh", "fish"],
    "python other": [],
}


def test_bash_completes_what_comes_next(empty_folder: Path) -> None:
    Path("script").write_text(script("bash"))
    for name in ("mine.yaml", "last.ckpt"):
        Path(name).touch()
    answers = dict(zip(CASES, bash(list(CASES)), strict=True))
    assert {line: sorted(words) for line, words in answers.items()} == {k: sorted(v) for k, v in CASES.items()}
    (models,) = bash(["lit-models fit --model "])
    assert models == registry.model_names()


def test_bash_keeps_what_completes_python(empty_folder: Path) -> None:
    """A function `_python`, as bash-completion has it."""
    Path("script").write_text(f"_python() {{ COMPREPLY=(theirs); }}\n{script('bash')}")
    assert bash(["python oth", "python -m lit", "python -m lit_models tes"]) == [["theirs"], ["theirs"], ["test"]]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_what_comes_next(empty_folder: Path) -> None:
    Path("script").write_text(script("fish"))
    for line in ("lit-models fit --kernels ", "python -m lit_models fit --kernels "):
        words = ["fish", "--no-config", "-c", f"source script; complete -C {shlex.quote(line)}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert [answer.partition("\t")[0] for answer in done.stdout.splitlines()] == ["auto", "plain"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_completes_what_comes_next(empty_folder: Path) -> None:
    """At a prompt, as the completion of zsh needs one."""
    Path("script").write_text(script("zsh"))
    pid, prompt = pty.fork()
    if pid == 0:
        os.execvp("zsh", ["zsh", "-f", "-i"])
    shown = ""
    typed = ["autoload -U compinit; compinit -u -D\n", 'eval "$(<script)"\n', "python -m lit_models fit --test_wei\t\t"]
    for text in typed:
        os.write(prompt, text.encode())
        end = time.monotonic() + 3
        while time.monotonic() < end and not re.search(r"best +last +none", shown):
            if select.select([prompt], [], [], 0.1)[0]:
                shown += os.read(prompt, 65536).decode(errors="replace")
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert re.search(r"best +last +none", shown), shown


@pytest.mark.slow
def test_the_lines_of_readme_switch_it_on(empty_folder: Path) -> None:
    lines = re.findall(r"^\| bash \| `(.+)` \| `(.+)` \|$", README, re.MULTILINE)[0]
    settings = os.environ | {"HOME": str(empty_folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in lines:
        subprocess.run(["bash", "--norc", "-c", line], env=settings, check=True, cwd=empty_folder)
    assert bash(["python -m lit_models fit --report "], source="~/.bashrc") == [["html", "none"]]


def test_another_shell_is_one_line(run: Run) -> None:
    status, out, err = run("completion", "csh")
    assert (status, out) == (2, "")
    assert err.startswith("error: completion: ")
    assert "bash" in err
    assert run("completion")[::2] == (2, "error: completion: not given: SHELL\n")
