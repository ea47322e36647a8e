"""The published comparison of whole trainings: what it runs, how it resumes, and what its page says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts import parity, parity_page
from scripts.parity_sides import PROGRAMS, batch_order, by_epoch, start
from tests.parity.originals import XOR_INPUTS, NumpyXOR

ROOT = Path(__file__).parent.parent.parent


def record(program: str, side: str, seed: int, *, acc: float = 0.99, steps: tuple[float, ...] = (0.5,) * 100) -> Any:
    return {
        "program": program,
        "side": side,
        "seed": seed,
        "epochs": [{"loss": 0.5, "acc": 0.8}, {"loss": 0.25, "acc": 0.9}],
        "test": {"loss": 0.3, "acc": acc},
        "seconds": 60.0,
        "steps": list(steps),
        "commit": "0123456789abcdef",
        "machine": "a machine",
        "versions": {"python": "3.11"},
    }


def accuracies(ours: list[float], theirs: list[float]) -> parity_page.Results:
    runs = [record("mnist_cnn", "ours", i, acc=a) for i, a in enumerate(ours)]
    runs += [record("mnist_cnn", "original", i, acc=a) for i, a in enumerate(theirs)]
    return parity_page.Results(PROGRAMS["mnist_cnn"], runs)


class TestVerdict:
    """MNIST's margin is 0.003; the spread of these values is 0.0001, so that five of each are plenty."""

    spread = np.array([-1, -0.5, 0, 0.5, 1]) * 1e-4

    def test_close_means_are_equivalent(self) -> None:
        found = accuracies([*(0.99 + self.spread)], [*(0.991 + self.spread)])
        assert parity_page.verdict(found).startswith("**Equivalent**: ours less Keras is between -0.00")

    @pytest.mark.parametrize("shift", [-0.003, 0.003])
    def test_means_a_whole_margin_apart_are_not(self, shift: float) -> None:
        found = accuracies([*(0.99 + self.spread)], [*(0.99 + shift + self.spread)])
        assert parity_page.verdict(found).startswith("**Not shown**")

    def test_two_wild_seeds_show_nothing(self) -> None:
        assert parity_page.verdict(accuracies([0.98, 0.99], [0.981, 0.991])).startswith("**Not shown**")

    def test_one_run_is_no_test(self) -> None:
        assert parity_page.verdict(accuracies([0.99], [0.99])) == "Too few runs for a test."

    def test_interval_and_p_value_agree(self) -> None:
        """Two one-sided tests at 5 % reject just where the 90 % interval lies within the margin."""
        for shift in np.linspace(0, 0.004, 30):
            sentence = parity_page.verdict(accuracies([*(0.99 + 10 * self.spread)], [*(0.99 + shift + self.spread)]))
            low = float(sentence.split("between ")[1].split()[0])
            inside = low > -PROGRAMS["mnist_cnn"].margin
            if abs(low + PROGRAMS["mnist_cnn"].margin) > 1e-4:  # four places are printed
                assert sentence.startswith("**Equivalent**") == inside, sentence


class TestPage:
    def test_paired_differences_are_the_original_less_ours(self, tmp_path: Path) -> None:
        ours = record("mnist_cnn", "ours", 0, acc=0.99)
        theirs = record("mnist_cnn", "paired", 0, acc=0.98, steps=(0.75, *(0.5,) * 98, 1.0))
        page = parity_page.write_page([ours, theirs], tmp_path / "parity.jsonl").read_text()
        assert "| original less ours | 0 | +2.5e-01 | 1 | +0.0e+00 | +0.0e+00 | 0.9900 → 0.9800 |" in page
        assert (tmp_path / "parity" / "mnist_cnn.png").stat().st_size > 5_000
        assert page.count("No pair of runs has ended yet.") == len(PROGRAMS) - 1
        assert "commits 012345678 (+: with changes); a machine\n- 0.0 hours of training in 2 runs" in page

    def test_the_step_at_which_two_runs_part_is_told(self, tmp_path: Path) -> None:
        ours = record("mnist_cnn", "ours", 0)
        theirs = record("mnist_cnn", "paired", 0, steps=(*(0.5,) * 41, 0.5005, *(0.5011,) * 58))
        nudged = record("mnist_cnn", "nudged", 0)
        page = parity_page.write_page([ours, theirs, nudged], tmp_path / "parity.jsonl").read_text()
        assert "| original less ours | 0 | +0.0e+00 | 43 |" in page  # the first that is more than 0.001 off
        assert "| ours nudged less ours | 0 | +0.0e+00 | after 100 |" in page

    def test_steps_that_only_one_side_kept_are_left_out(self, tmp_path: Path) -> None:
        """The original's steps of a short epoch end before ours."""
        runs = [record("imdb_gru", "ours", 0), record("imdb_gru", "paired", 0, steps=(*(0.5,) * 9, 0.75))]
        page = parity_page.write_page(runs, tmp_path / "parity.jsonl").read_text()
        assert "| original less ours | 0 | +0.0e+00 | 10 |" in page
        runs[1]["steps"].pop()
        page = parity_page.write_page(runs, tmp_path / "parity.jsonl").read_text()
        assert "| original less ours | 0 | +0.0e+00 | after 9 |" in page

    def test_accuracies_are_shown_before_there_is_a_pair(self, tmp_path: Path) -> None:
        page = parity_page.write_page([record("imdb_rnn", "ours", 0, acc=0.75)], tmp_path / "parity.jsonl").read_text()
        assert "| ours | 1 | 0.7500 | 0.7500 | 0.7500 |" in page
        assert page.count("No pair of runs has ended yet.") == len(PROGRAMS)

    def test_every_planned_run_is_published(self) -> None:
        published = [(r["program"], r["side"], r["seed"]) for r in parity.read(ROOT / "docs" / "parity.jsonl")]
        assert sorted(published) == sorted(parity.planned())

    def test_the_published_page_is_what_its_results_give(self, tmp_path: Path) -> None:
        results = ROOT / "docs" / "parity.jsonl"
        copy = tmp_path / "parity.jsonl"
        copy.write_text(results.read_text())
        assert parity_page.write_page(parity.read(copy), copy).read_text() == (ROOT / "docs" / "parity.md").read_text()


class TestRuns:
    def test_a_line_that_a_crash_cut_off_is_run_again_and_spoils_nothing(self, tmp_path: Path) -> None:
        results = tmp_path / "results.jsonl"
        results.write_text(json.dumps(record("xor_mlp", "ours", 0)) + '\n{"program": "xor_m')
        assert [r["side"] for r in parity.read(results)] == ["ours"]
        parity.one("xor_mlp", "original", 0, results)
        assert [r["side"] for r in parity.read(results)] == ["ours", "original"]
        assert [r.get("computed_by") for r in parity.read(results)] == [None, "numpy"]

    def test_only_what_is_missing_runs_and_a_failure_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = tmp_path / "results.jsonl"
        results.write_text(json.dumps(record("xor_mlp", "ours", 0)) + "\n")
        ran = []

        def child(run: parity.Run, path: Path, *, core: int) -> bool:
            ran.append(run)
            return run[1] != "original"

        monkeypatch.setattr(parity, "child", child)
        wanted = [("xor_mlp", side, 0) for side in ("ours", "paired", "original")]
        with pytest.raises(SystemExit, match="failed: xor_mlp original 0"):
            parity.do(wanted, results, jobs=1)
        assert ran == wanted[1:]
        assert "3 runs, 1 of them done" in capsys.readouterr().out

    def test_xor_runs_in_processes_of_its_own_to_a_page_that_shows_equal_weights(self, tmp_path: Path) -> None:
        """The whole command, with 10,000 passes; a second time, there is nothing to do. It needs no data."""
        results = tmp_path / "new" / "parity.jsonl"
        words = [sys.executable, "scripts/parity.py", "--results", str(results), "--only", "xor_mlp", "--seeds", "1"]
        environment = {k: v for k, v in os.environ.items() if k != "LIT_MODELS_DATA"}
        first, again = (
            subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=280)
            for _ in range(2)
        )
        assert first.stdout.startswith("4 runs, 0 of them done\n")
        assert "4/4 ended after" in first.stdout
        assert again.stdout == f"4 runs, 4 of them done\nwritten: {results.with_suffix('.md')}\n"
        found = {run["side"]: run for run in parity.read(results)}
        assert found.keys() == {"ours", "paired", "original", "nudged"}
        ours, theirs = found["ours"], found["paired"]
        # In float64, where 10,000 passes leave some 1e-15 of rounding, and another start leaves more than this bound.
        assert np.abs(np.subtract(ours["weights"], theirs["weights"])).max() < 1e-9
        assert np.abs(np.subtract(ours["steps"], theirs["steps"])).max() < 1e-9
        assert np.abs(np.subtract(ours["weights"], found["nudged"]["weights"])).max() > 1e-9, "the bound is a tight one"
        assert len(ours["epochs"]) == len(theirs["epochs"]) == 10
        assert "ours 1 of 1, numpy 1 of 1" in results.with_suffix(".md").read_text()

    def test_each_program_and_side_is_planned_and_the_nudged_ones_come_last(self) -> None:
        runs = parity.planned()
        nudged = [name for name, p in PROGRAMS.items() if p.nudged]
        assert len(runs) == len(set(runs)) == sum(3 * p.seeds for p in PROGRAMS.values()) + len(nudged)
        assert {run[:2] for run in runs[: -len(nudged)]} == {
            (name, side) for name in PROGRAMS for side in ("ours", "paired", "original")
        }
        assert runs[-len(nudged) :] == [(name, "nudged", 0) for name in nudged]
        assert parity.planned(["imdb_gru"], 1) == [("imdb_gru", side, 0) for side in ("ours", "paired", "original")]

    def test_a_process_stays_on_one_core(self) -> None:
        if not hasattr(os, "sched_getaffinity"):
            pytest.skip("this system cannot keep a process on a core")
        cores = sorted(os.sched_getaffinity(0))
        for place in range(len(cores) + 1):
            code = f"import os; from scripts.parity import stay_on; stay_on({place}); print(os.sched_getaffinity(0))"
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
            assert done.stdout == f"{{{cores[place % len(cores)]}}}\n"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--only", "mnist"], "no program mnist; there are xor_mlp, mnist_cnn"),
            (["--jobs", "0"], "--jobs and --seeds must be at least 1"),
            (["--seeds", "0"], "--jobs and --seeds must be at least 1"),
            ([], "LIT_MODELS_DATA must name the folder"),
            (["--page", "--results", "nowhere.jsonl"], "no results in nowhere.jsonl"),
        ],
    )
    def test_bad_flags_are_one_line(
        self, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
        monkeypatch.setattr(sys, "argv", ["parity.py", *words])
        with pytest.raises(SystemExit) as stop:
            parity.main()
        assert stop.value.code == 2
        assert said in capsys.readouterr().err


def test_a_numpy_loop_from_our_start_differs_from_its_own() -> None:
    """So that "paired" and "original" cannot be the same run."""
    program = PROGRAMS["xor_mlp"]
    module = start(program, seed=0)
    with_ours = module.network(torch.from_numpy(XOR_INPUTS)).sigmoid().detach().numpy()
    assert np.abs(NumpyXOR.drawn(0).forward(XOR_INPUTS) - with_ours).max() > 0.01


def test_the_order_of_a_paired_run_is_that_of_fit() -> None:
    from datamodules import MNISTDataModule

    data = MNISTDataModule(dataset="digits", seed=3)
    data.setup("fit")
    sampler: Any = data.train_dataloader().sampler
    order = batch_order(len(data.train_table or ()), PROGRAMS["mnist_cnn"], seed=3)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        assert order(epoch).tolist() == [i for batch in sampler for i in batch.tolist()]


def test_metrics_of_an_epoch_are_joined() -> None:
    rows = [
        {"epoch": "0", "val/loss": "0.5", "val/acc": "0.75", "train/loss": ""},
        {"epoch": "0", "val/loss": "", "val/acc": "", "train/loss": "0.25"},
        {"epoch": "1", "val/loss": "", "val/acc": "", "train/loss": "0.125"},
        {"epoch": "1", "test/loss": "9"},
    ]
    assert by_epoch(rows) == [{"val_loss": 0.5, "val_acc": 0.75, "loss": 0.25}, {"loss": 0.125}]
