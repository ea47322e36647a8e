"""The page of the parity study: the equivalence test, the tables, and that the published page matches its results."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.parity.page import verdict, write_page
from scripts.parity.programs import PROGRAMS
from scripts.parity.results import Results
from scripts.parity.runs import planned, read

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "parity.jsonl"


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


def accuracies(ours: list[float], theirs: list[float]) -> Results:
    runs = [record("mnist_cnn", "ours", i, acc=a) for i, a in enumerate(ours)]
    runs += [record("mnist_cnn", "original", i, acc=a) for i, a in enumerate(theirs)]
    return Results(PROGRAMS["mnist_cnn"], runs)


class TestVerdict:
    """MNIST's margin is 0.003. These values spread by 0.0001, so five of each are enough."""

    spread = np.array([-1, -0.5, 0, 0.5, 1]) * 1e-4

    def test_close_means_are_equivalent(self) -> None:
        results = accuracies([*(0.99 + self.spread)], [*(0.991 + self.spread)])
        sentence = "**Equivalent.** The mean of ours minus that of Keras is between -0.00"
        assert verdict(results).startswith(sentence)

    @pytest.mark.parametrize("shift", [-0.003, 0.003])
    def test_means_that_differ_by_the_margin_are_not_equivalent(self, shift: float) -> None:
        results = accuracies([*(0.99 + self.spread)], [*(0.99 + shift + self.spread)])
        assert verdict(results).startswith("**Not shown.**")

    def test_two_seeds_with_a_large_spread_show_nothing(self) -> None:
        assert verdict(accuracies([0.98, 0.99], [0.981, 0.991])).startswith("**Not shown.**")

    def test_one_run_is_not_enough(self) -> None:
        assert verdict(accuracies([0.99], [0.99])) == "There are too few runs for a test."

    def test_the_interval_and_the_p_value_agree(self) -> None:
        """Two one-sided tests at 5 % reject exactly if the 90 % interval lies within the margin."""
        margin = PROGRAMS["mnist_cnn"].margin
        for shift in np.linspace(0, 0.004, 30):
            sentence = verdict(accuracies([*(0.99 + 10 * self.spread)], [*(0.99 + shift + self.spread)]))
            low = float(sentence.split("between ")[1].split()[0])
            if abs(low + margin) > 1e-4:  # four decimals are printed
                assert sentence.startswith("**Equivalent.**") == (low > -margin), sentence


class TestTables:
    def test_paired_differences_are_the_original_minus_ours(self, tmp_path: Path) -> None:
        ours = record("mnist_cnn", "ours", 0, acc=0.99)
        theirs = record("mnist_cnn", "paired", 0, acc=0.98, steps=(0.75, *(0.5,) * 98, 1.0))
        page = write_page([ours, theirs], tmp_path / "parity.jsonl").read_text()
        assert "| original minus ours | 0 | +2.5e-01 | 1 | +0.0e+00 | +0.0e+00 | 0.9900 → 0.9800 |" in page
        assert (tmp_path / "parity" / "mnist_cnn.png").stat().st_size > 5_000
        assert page.count("There is no pair of runs yet.") == len(PROGRAMS) - 1
        assert "commits 012345678 (+: with uncommitted changes); a machine\n- 0.0 hours of training in 2 runs" in page

    def test_the_first_step_at_which_two_runs_diverge_is_shown(self, tmp_path: Path) -> None:
        ours = record("mnist_cnn", "ours", 0)
        theirs = record("mnist_cnn", "paired", 0, steps=(*(0.5,) * 41, 0.5005, *(0.5011,) * 58))
        nudged = record("mnist_cnn", "nudged", 0)
        page = write_page([ours, theirs, nudged], tmp_path / "parity.jsonl").read_text()
        assert "| original minus ours | 0 | +0.0e+00 | 43 |" in page  # the first that differs by more than 0.001
        assert "| nudged minus ours | 0 | +0.0e+00 | none of 100 |" in page

    def test_steps_that_only_one_side_recorded_are_ignored(self, tmp_path: Path) -> None:
        """The original's steps end with the first epoch, which can be before ours."""
        runs = [record("imdb_gru", "ours", 0), record("imdb_gru", "paired", 0, steps=(*(0.5,) * 9, 0.75))]
        page = write_page(runs, tmp_path / "parity.jsonl").read_text()
        assert "| original minus ours | 0 | +0.0e+00 | 10 |" in page
        runs[1]["steps"].pop()
        page = write_page(runs, tmp_path / "parity.jsonl").read_text()
        assert "| original minus ours | 0 | +0.0e+00 | none of 9 |" in page

    def test_accuracies_are_shown_before_there_is_a_pair(self, tmp_path: Path) -> None:
        page = write_page([record("imdb_rnn", "ours", 0, acc=0.75)], tmp_path / "parity.jsonl").read_text()
        assert "| ours | 1 | 0.7500 | 0.7500 | 0.7500 |" in page
        assert page.count("There is no pair of runs yet.") == len(PROGRAMS)


class TestPublishedPage:
    def test_every_planned_run_is_published(self) -> None:
        published = [(r["program"], r["side"], r["seed"]) for r in read(RESULTS)]
        assert sorted(published) == sorted(planned())

    def test_the_page_is_what_its_results_give(self, tmp_path: Path) -> None:
        copy = tmp_path / "parity.jsonl"
        copy.write_text(RESULTS.read_text())
        assert write_page(read(copy), copy).read_text() == RESULTS.with_suffix(".md").read_text()
