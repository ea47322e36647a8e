"""A program in a process that was forked after the imports ends, prints and trains as in a new interpreter."""

import json
import re
from pathlib import Path

import pytest

from tests.programs import Programs, Result, fresh

PROGRAM = """
import atexit, os, sys
atexit.register(print, "at the end")
print(__name__, sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(sys.argv[0])), os.getcwd())
print("an error", file=sys.stderr)
if "fault" in sys.argv:
    raise ValueError("a fault")
sys.exit({"three": 3, "text": "a message"}.get(sys.argv[1]))
"""
FIT = ("-m", "lit_models", "fit", "--config", "digits_cnn", "--trainer.limit_train_batches", "3")


@pytest.mark.parametrize("word", ["three", "text", "fault", "none"])
def test_a_script_has_the_same_status_and_output(programs: Programs, tmp_path: Path, word: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/program.py").write_text(PROGRAM)
    forked = programs.run("program.py", word, folder=tmp_path / "work")
    new = fresh("program.py", word, folder=tmp_path / "work")
    assert (forked.status, forked.out) == (new.status, new.out)
    assert forked.err.splitlines()[-1:] == new.err.splitlines()[-1:]  # a traceback has the lines of the server too
    assert forked.err.startswith("an error\n")


def without_seconds(result: Result) -> Result:
    return result._replace(out=re.sub(r"\d+\.\d s", "SECONDS", result.out))


@pytest.mark.slow
def test_a_command_has_the_same_status_output_and_numbers(programs: Programs, tmp_path: Path) -> None:
    results = {}
    for name in ("forked", "new"):
        (tmp_path / name).mkdir()
        words = (*FIT, "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu")
        run = programs.run if name == "forked" else fresh
        results[name] = without_seconds(run(*words, folder=tmp_path / name))
    assert results["forked"] == results["new"]
    assert results["new"].status == 0
    files = [tmp_path / name / "runs/digits_cnn/version_0/results.json" for name in results]
    contents = [json.loads(path.read_text()) for path in files]
    assert contents[0]["metrics"] == contents[1]["metrics"]


@pytest.mark.slow
def test_a_mistake_has_the_same_status_and_line(programs: Programs, tmp_path: Path) -> None:
    (folder := tmp_path / "work").mkdir()
    words = (*FIT, "--model.lrr", "1")
    assert programs.run(*words, folder=folder) == fresh(*words, folder=folder)


def test_processes_of_one_run_know_their_rank_and_the_first_status_counts(programs: Programs, tmp_path: Path) -> None:
    (folder := tmp_path / "work").mkdir()
    program = "import os, sys\nprint(rank := os.environ['LOCAL_RANK'], os.environ['WORLD_SIZE'])\nsys.exit(int(rank))"
    (folder / "program.py").write_text(program)
    done = programs.run("program.py", folder=folder, processes=3)
    assert (done.status, sorted(done.out.splitlines())) == (1, ["0 3", "1 3", "2 3"])
