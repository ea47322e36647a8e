"""A cell's process: what is measured from outside, rivals that cannot run, and a whole tiny benchmark."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark.cells import Cell, Entry, Job
from scripts.benchmark.process import environment, run_cell
from scripts.benchmark.results import read
from scripts.benchmark.rivals import ours
from scripts.benchmark.workloads import load

ROOT = Path(__file__).parents[3]
WORKLOADS = load()
XOR = WORKLOADS["xor"]
SETTINGS: Any = {"device": "cpu", "size": "short", "threads": 1}


def job(folder: Path, workload: str, **changes: Any) -> Job:
    settings = WORKLOADS[workload].settings_of("full")
    given: Any = {"options": {}, "settings": settings, "device": "cpu", **changes}
    return Job(workload, "ours", "ours", threads=1, repetition=3, data="/data", folder=str(folder), **given)


def test_a_process_is_measured_from_outside(tmp_path: Path) -> None:
    code = "import sys, time; print('a'); time.sleep(0.3); print('b')"
    code += "; block = b'x' * 200_000_000; print('c', file=sys.stderr)"
    # Linux counts the memory of the process that starts another one, so a small one does it, as in a benchmark.
    measured = (
        "import json, os, sys; from pathlib import Path; from scripts.benchmark.process import measure;"
        "print(json.dumps(measure([sys.executable, '-u', '-c', sys.argv[1]], os.environ, Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", measured, code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    numbers, lines, errors = json.loads(done.stdout)
    assert numbers["status"] == 0
    assert [line for _, line in lines] == ["a\n", "b\n"]
    assert lines[1][0] - lines[0][0] >= 0.3
    assert numbers["seconds"] >= lines[1][0]
    assert 0.2 < numbers["gigabytes"] < 0.4  # 200 MB and Python's own
    assert errors == "c\n"


def test_a_rival_without_its_packages_is_missing(tmp_path: Path) -> None:
    entry = Entry("rival", "nothing", packages=("a_package_that_nobody_has", "json"))
    numbers = run_cell(Cell(XOR, entry, 1), data=tmp_path, **SETTINGS)
    assert numbers == {"missing": "not installed: a_package_that_nobody_has"}


def test_bfloat16_is_left_out_where_the_processor_has_none(tmp_path: Path) -> None:
    for entry in WORKLOADS["cnn-bf16"].entries:
        assert "bfloat16" in run_cell(Cell(XOR, entry, 1), data=tmp_path, has_bfloat16=False, **SETTINGS)["missing"]


def test_a_process_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    numbers = run_cell(Cell(XOR, Entry("rival", "a_file_that_is_not_there"), 1), data=tmp_path, **SETTINGS)
    assert numbers["failed"].startswith("ModuleNotFoundError: No module named 'scripts.benchmark.rivals.a_file_th")


def test_a_cell_does_not_take_settings_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "MALLOC_ARENA_MAX", "LIT_MODELS_KERNELS"):
        monkeypatch.setenv(name, "1")
    found = environment(job(tmp_path, "cnn"), {"KERAS_BACKEND": "jax"})
    assert not found.keys() & {"GOMP_SPINCOUNT", "MALLOC_ARENA_MAX", "LIT_MODELS_KERNELS"}
    assert (found["OMP_NUM_THREADS"], found["KERAS_BACKEND"], found["CUDA_VISIBLE_DEVICES"]) == ("1", "jax", "")


def test_ours_is_the_command_that_a_user_types(tmp_path: Path) -> None:
    words = ours.command(job(tmp_path, "rnn-gru"))
    assert words[:7] == [sys.executable, "-m", "lit_models", "fit", "--config", "imdb_gru", "--seed_everything"]
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert (flags["--trainer.max_epochs"], flags["--kernels"], flags["--trainer.accelerator"]) == ("2", "auto", "cpu")
    plain = job(tmp_path, "cnn", options={"kernels": "plain", "clock": True, "steps": 100}, device="cuda")
    words = ours.command(plain)
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert (flags["--trainer.max_steps"], flags["--kernels"], flags["--trainer.accelerator"]) == ("100", "plain", "gpu")
    assert flags["--trainer.callbacks+"] == "scripts.benchmark.step_clock.StepClock"


def test_an_epoch_is_the_time_between_two_of_our_lines(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mnist_cnn" / "version_0"
    folder.mkdir(parents=True)
    report = {"metrics": {"test/acc": 0.5}, "seconds": {"fit": 9.5}, "parameters": 7, "precision": "32-true"}
    report |= {"steps": 30, "epochs": 3, "kernels": {"fast": ["GRU"], "plain": {}}, "device": "a CPU"}
    (folder / "results.json").write_text(json.dumps(report))
    lines = [(3.0, "LitCNN: 7 trainable parameters\n"), (5.0, "epoch 1/3  train/loss 1.0\n")]
    lines += [(7.5, "epoch 2/3  train/loss 1.0\n"), (10.0, "epoch 3/3  train/loss 1.0\n"), (10.1, "epoch\n")]
    numbers = ours.read(replace(job(tmp_path, "cnn")), lines)
    assert numbers["epochs"] == [2.5, 2.5]
    assert (numbers["fit"], numbers["steps"], numbers["accuracy"]) == (9.5, 10, 0.5)


@pytest.mark.slow
def test_a_whole_tiny_benchmark_writes_its_page(tmp_path: Path) -> None:
    """XOR in our command line and in numpy; it needs no data."""
    results = tmp_path / "benchmarks" / "results.jsonl"
    command = [sys.executable, "-m", "scripts.benchmark", "--short", "--workload", "xor", "--rival", "numpy"]
    command += ["--repetitions", "1", "--threads", "1", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("2 cells, 0 of them done\n")
    assert "[2/2] xor, numpy, 1: " in done.stdout
    program, numpy = read(results)
    assert (program["rival"], program["parameters"], program["steps"]) == ("ours", 17, 1000)
    assert len(program["epochs"]) == 1  # of two, the first is not counted
    assert 0 < program["epochs"][0] < program["fit"] < program["seconds"]
    assert (numpy["rival"], numpy["parameters"], numpy["steps"]) == ("numpy", 17, 2000)
    assert "| numpy | " in (tmp_path / "benchmarks.md").read_text()
