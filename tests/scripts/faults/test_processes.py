"""Two real processes train: one is killed, is stopped or runs out of memory, or both finish."""

from pathlib import Path

import pytest

from scripts.faults.processes import FIT, ONE_EPOCH, faults, row, two_processes
from scripts.faults.processes import End as HowItEnded

CASES = [
    pytest.param("lightning", "stop", "1", "training", marks=pytest.mark.slow),
    pytest.param("lightning", "kill", "0", "saving", marks=pytest.mark.slow),
    pytest.param("lightning", "memory", "1", "validation", marks=pytest.mark.slow),
    pytest.param("lightning", "stop", "1", "start", marks=pytest.mark.slow),
    pytest.param("torchrun", "kill", "1", "training", marks=pytest.mark.slow),
    pytest.param("torchrun with two nodes", "stop", "0", "training", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("launcher", "kind", "rank", "place"), CASES)
def test_a_fault_of_one_process_ends_the_run_and_is_named(
    tmp_path: Path, launcher: str, kind: str, rank: str, place: str
) -> None:
    end = two_processes(launcher, tmp_path, *FIT, FAULT_RANK=rank, FAULT_KIND=kind, FAULT_PLACE=place)
    assert all(end.statuses), end.errors
    assert end.left == 0
    assert end.seconds < 30
    assert end.named is not None, end.errors
    assert end.named.startswith(f"error: process {rank} (rank {rank}, pid ")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "torchrun with two nodes"])
def test_torchrun_says_how_many_nodes_and_processes_there_are(tmp_path: Path, launcher: str) -> None:
    end = two_processes(launcher, tmp_path, *FIT, *ONE_EPOCH)
    assert not any(end.statuses), end.errors
    assert '"processes": 2' in next(tmp_path.glob("runs/*/*/results.json")).read_text()


@pytest.mark.slow
def test_a_number_of_nodes_that_torchrun_denies_is_one_line(tmp_path: Path) -> None:
    end = two_processes("torchrun", tmp_path, *FIT, "--trainer.num_nodes", "2")
    assert all(end.statuses)
    message = "error: trainer.num_nodes is 2, but torchrun was started with --nnodes 1: leave it out\n"
    assert end.errors.count(message) == 1


def test_a_row_counts_what_ended_as_it_should() -> None:
    good = HowItEnded((1,), 5.04, "error: process 1 …", 0, "")
    slow = HowItEnded((1,), 31.0, None, 0, "")
    assert row("SIGKILL", [good, slow], ends_well=False) == {
        "tried": "SIGKILL",
        "times": 2,
        "good": 1,
        "ended": "1 ended in under 30 s with another status than 0; 1 named the process",
        "longest_seconds": 31.0,
    }
    assert row("none", [HowItEnded((0, 0), 9.0, None, 0, ""), good], ends_well=True)["good"] == 1


def test_every_place_and_kind_is_tried() -> None:
    assert len(faults("torchrun")) == 4 * 3 * 2
    assert len(faults("lightning")) == 4 * 3 * 2 - 3  # at the start, rank 0 alone is there
