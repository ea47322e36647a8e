"""The order of the cells, and that finished ones are not run again."""

from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark import runs
from scripts.benchmark.cells import OURS, Cell
from scripts.benchmark.plan import chosen, missing_cells, planned, seconds_left
from scripts.benchmark.results import append, forget, has_numbers, key, read
from scripts.benchmark.runs import run_missing, without_data
from scripts.benchmark.workloads import load

WORKLOADS = load()


def cells(names: list[str], rivals: list[str] | None = None, repetitions: int = 2) -> list[Cell]:
    return planned(chosen(WORKLOADS, names, rivals, "cpu"), rivals, "cpu", repetitions)


def shown(found: list[Cell]) -> list[tuple[str, int]]:
    return [(cell.entry.name, cell.repetition) for cell in found]


def record(cell: Cell, **numbers: Any) -> dict[str, Any]:
    names = ("device", "size", "workload", "rival", "repetition")
    return dict(zip(names, cell.key("cpu", "full"), strict=True)) | {"seconds": 7.0, **numbers}


def test_the_first_repetition_of_everything_comes_before_the_second() -> None:
    rivals = [OURS, "ours, --kernels plain", "numpy", "jax, one scan"]
    checks = [("check", 0), ("check, plain", 0), ("check, nudged", 0)]
    both = [(name, 1) for name in rivals] + [
        (name, 2) for name in rivals if "plain" not in name
    ]  # it decides no target
    assert shown(cells(["xor"])) == checks + both


def test_a_workload_with_products_brings_the_rate_of_the_machine() -> None:
    assert shown(cells(["cnn"], ["torch-loop"], 1)) == [("torch.mm", 1), (OURS, 1), ("torch-loop", 1)]
    assert "torch.mm" not in dict(shown(cells(["xor"])))


def test_slow_rivals_have_fewer_repetitions_and_optional_ones_must_be_named() -> None:
    counts = [name for name, _ in shown(cells(["rnn-lstm"], repetitions=5))]
    assert (counts.count("keras-jax"), counts.count("keras-tensorflow"), counts.count("keras-torch")) == (5, 2, 0)
    assert ("keras-torch", 5) in shown(cells(["rnn-lstm"], ["keras-torch"], 5))


def test_each_name_of_a_workload_and_of_its_rivals_is_used_once() -> None:
    for workload in WORKLOADS.values():
        names = [entry.name for entry in workload.entries]
        assert len(set(names)) == len(names)
        for target in workload.targets:
            place = WORKLOADS[target.workload] if target.workload else workload
            assert set(target.of) <= set(names), target
            assert set(target.against) <= {entry.name for entry in place.entries}, target


def test_all_workloads_run_in_about_two_hours() -> None:
    """On two slow cores, with five repetitions, by the forecast; without bfloat16, it is ten minutes less."""
    assert 90 < seconds_left(cells(list(WORKLOADS), repetitions=5), [], "cpu", "full") / 60 < 120


def test_finished_cells_are_not_run_again_and_failed_or_missing_ones_are() -> None:
    planned_cells = cells(["xor"], ["numpy", "jax, one scan"], 1)
    records = [record(planned_cells[0], fit=1.0), record(planned_cells[1], failed="x"), record(planned_cells[2])]
    records[2] = {**records[2], "missing": "not installed: jax"}
    assert missing_cells(planned_cells, records, "cpu", "full") == planned_cells[1:]
    assert missing_cells(planned_cells, records, "cpu", "short") == planned_cells
    assert missing_cells(planned_cells, records, "cuda", "full") == planned_cells


def test_what_a_rival_took_is_its_next_forecast() -> None:
    first, second = cells(["xor"], ["numpy"], 1), cells(["xor"], ["numpy"], 2)[2:]
    assert seconds_left(second, [record(cell) for cell in first], "cpu", "full") == 14.0
    assert seconds_left(second, [], "cpu", "full") == sum(cell.forecast("full") for cell in second)


def test_a_stopped_benchmark_goes_on_and_a_missing_rival_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    def run_cell(cell: Cell, **settings: Any) -> dict[str, Any]:
        started.append(cell)
        if cell.entry.name == "jax, one scan":
            return {"missing": "not installed: jax"}
        if len(started) == 4:
            raise KeyboardInterrupt
        return {"seconds": 2.0, "fit": 1.0}

    monkeypatch.setattr(runs, "run_cell", run_cell)
    monkeypatch.setattr(runs, "prepare", lambda *_: {"commit": None, "fit": "of the machine"})
    path, wanted = tmp_path / "new" / "results.jsonl", cells(["xor"], ["numpy", "jax, one scan"], 2)
    with pytest.raises(KeyboardInterrupt):
        run_missing(wanted, path, device="cpu", size="full", threads=1)
    assert started == wanted[:4]
    assert [(r["rival"], r["fit"]) for r in read(path) if has_numbers(r)] == [(OURS, 1.0), ("numpy", 1.0)]
    del started[:]

    def fail(cell: Cell, **settings: Any) -> dict[str, Any]:
        started.append(cell)
        return {"failed": "x", "errors": "y"}

    monkeypatch.setattr(runs, "run_cell", fail)
    assert not run_missing(wanted, path, device="cpu", size="full", threads=1)
    assert started == wanted[2:]
    printed = capsys.readouterr().out
    assert "xor, jax, one scan, 1: missing (not installed: jax); about" in printed
    assert "6 cells, 2 of them done" in printed


def test_the_newest_line_of_a_cell_counts_and_an_incomplete_one_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    (cell, other) = cells(["xor"], ["numpy"], 1)
    append(path, record(cell, fit=1.0))
    append(path, record(cell, fit=2.0))
    with path.open("a") as file:
        file.write('{"device": "c')
    append(path, record(other, fit=3.0))
    assert [r["fit"] for r in read(path)] == [2.0, 3.0]
    forget(path, lambda r: key(r) == cell.key("cpu", "full"))
    assert [r["fit"] for r in read(path)] == [3.0]


def test_workloads_without_their_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [WORKLOADS[name] for name in ("cnn", "rnn-gru", "xor")]
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    assert without_data(wanted) == {"cnn": "mnist", "rnn-gru": "imdb"}
    (tmp_path / "aclImdb").mkdir()
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path))
    assert without_data(wanted) == {"cnn": "mnist"}
