"""The page of the benchmark: targets, ratios, equal work, missing rivals, and that it is what its results give."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark.arithmetic import cnn_epoch, encoder_forward, rnn_epoch
from scripts.benchmark.figures import digits
from scripts.benchmark.page import write_page
from scripts.benchmark.results import append, read

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "benchmarks" / "results.jsonl"
MACHINE: dict[str, Any] = {"commit": "0123456789abcdef+", "cpu": "a CPU", "gpu": None, "cores": 2, "threads": 2}
MACHINE["versions"] = {"python": "3.11"}


def cell(workload: str, rival: str, repetition: int, **numbers: Any) -> dict[str, Any]:
    where = {"device": "cpu", "size": "full", "workload": workload, "rival": rival, "repetition": repetition}
    return {**where, "seconds": 30.0, "gigabytes": 0.5, **numbers, **MACHINE}


def page_of(tmp_path: Path, records: list[dict[str, Any]]) -> str:
    path = tmp_path / "benchmarks" / "results.jsonl"
    for record in records:
        append(path, record)
    page = write_page(read(path), path)
    assert page == tmp_path / "benchmarks.md"
    return page.read_text()


def cnn_cells() -> list[dict[str, Any]]:
    """Ours takes 5, 4 and 5 s an epoch; Keras' backends 10, 10, 9 and 20 s."""
    work = {"parameters": 93_322, "steps": 938, "accuracy": 0.98, "accuracy_after": 2}
    ours = [
        cell("cnn", "ours", i, epochs=[s], precision="32-true", kernels={"fast": [], "plain": {}}, **work)
        for i, s in ((1, 5.0), (2, 4.0), (3, 5.0))
    ]
    keras = [
        cell("cnn", "keras-tensorflow", i, epochs=[s], precision="float32", first_step=6.0, **work)
        for i, s in ((1, 10.0), (2, 10.0), (3, 9.0))
    ]
    keras.append(cell("cnn", "keras-jax", 1, epochs=[20.0], precision="float32", **work))
    return ours + keras


def test_a_target_stands_beside_its_result(tmp_path: Path) -> None:
    page = page_of(tmp_path, cnn_cells())
    # The ratios beside the faster backend are 10 / 5, 10 / 4 and 9 / 5.
    row = "2.00 (1.80 to 2.50), ours beside keras-tensorflow | **met** |"
    assert f"| cnn | 1.25 times as fast as the best Keras backend | 1.8 times | {row}" in page
    assert "| cnn | at most 1.03 times the best bare PyTorch loop | - | no rival was measured | - |" in page
    assert "| xor | 2 s in `fit` | the time of numpy | not measured | - |" in page
    assert (tmp_path / "benchmarks" / "cpu_full.png").stat().st_size > 5_000


def test_a_missed_target_says_so(tmp_path: Path) -> None:
    cells = [cell("xor", "ours", i, fit=s) for i, s in ((1, 3.0), (2, 1.0), (3, 2.5))]
    page = page_of(tmp_path, cells)
    assert "| xor | 2 s in `fit` | the time of numpy | 2.50 (1.00 to 3.00) | **missed** |" in page


def test_the_faster_of_our_precisions_counts(tmp_path: Path) -> None:
    cells = [cell("encoder-train", name, 1, epochs=[s]) for name, s in (("ours", 10.0), ("ours, bf16", 5.0))]
    cells.append(cell("encoder-train", "trainer", 1, epochs=[20.0]))
    page = page_of(tmp_path, cells)
    assert "4.00 (4.00 to 4.00), ours, bf16 beside trainer | **met** |" in page  # 20 / 5


def test_a_line_of_a_rival(tmp_path: Path) -> None:
    rate = cell("machine", "torch.mm", 1, float32=400e9, bfloat16=800e9)
    page = page_of(tmp_path, [*cnn_cells(), rate])
    # Whole program: 30 s with one measured epoch of 10 s, and four more. The rate: 0.982e12 / 10 s of 400e9 a second.
    line = "| keras-tensorflow | 10.0 | 9.00 to 10.0 | 3 | 2.00 times (1.80 to 2.50) | 6.00 | 70.0 | 0.500 | 25% |"
    assert line in page
    assert "| ours | 5.00 | 4.00 to 5.00 | 3 | - | - | 45.0 | 0.500 | 49% |" in page  # 30 s with two epochs, three more
    assert "- rate of matrix products: float32 400 GFLOP/s, bfloat16 800 GFLOP/s" in page
    assert "commit 012345678+ (+: with uncommitted changes)" in page


def test_rivals_without_numbers_are_named(tmp_path: Path) -> None:
    page = page_of(tmp_path, [*cnn_cells(), cell("cnn", "keras-torch", 1, missing="not installed: keras")])
    assert "- keras-torch: missing: not installed: keras\n" in page
    assert "- torch-loop: not run\n" in page


@pytest.mark.parametrize(
    ("first", "last", "grown", "verdict"),
    [
        (9e-5, 9e-5, 0.0, "equal"),
        (2e-4, 0.0, 1.0, "**not equal**"),  # before rounding errors grow
        (0.0, 0.025, 0.01, "equal"),  # as far apart as rounding explains
        (0.0, 0.035, 0.01, "**not equal**"),
    ],
)
def test_the_work_of_each_is_shown(tmp_path: Path, first: float, last: float, grown: float, verdict: str) -> None:
    losses = {
        "check": [*(0.5,) * 4, 0.5 + first, *(0.5 + last,) * 95],
        "check, plain": [0.5] * 100,
        "check, nudged": [*(0.5,) * 5, *(0.5 - grown,) * 95],
    }
    records = [*cnn_cells(), *(cell("cnn", name, 0, losses=values) for name, values in losses.items())]
    records[0]["kernels"] = {"fast": ["GRU"], "plain": {"LSTM": ["proj_size"]}}
    page = page_of(tmp_path, records)
    assert "| ours | 93,322 | 938 | float32 | 0.9800 | 2 | fast: GRU; plain: LSTM (proj_size) |" in page
    means = [digits(value) for value in ((first + 95 * last) / 100, 95 * grown / 100)]
    assert (
        f"on the same batches: {verdict}. In the first 5 steps, their losses differ by {digits(first)} at most." in page
    )
    assert f"Over 100 steps, they differ by {means[0]} on average." in page
    assert f"The plain code differs from itself by {means[1]} on average" in page


def test_notes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "notes.md").write_text("## Why a target was missed\n")
    assert "## Why a target was missed\n" in page_of(tmp_path, cnn_cells())


def test_short_runs_have_a_part_of_their_own(tmp_path: Path) -> None:
    short = [{**record, "size": "short"} for record in cnn_cells()]
    page = page_of(tmp_path, short)
    assert "## On the CPU, a part of each epoch\n" in page
    assert "## On the CPU\n" not in page
    assert "ours beside keras-tensorflow |\n" in page  # no verdict: a part of the work decides no target
    assert "**met**" not in page


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (9e-5, "9.0e-05")]
)
def test_three_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_operations_of_an_epoch() -> None:
    """Of the CNN: 2 * 26 * 26 * 32 * 9 = 389,376 in the first convolution, whose inputs need no gradient, and
    4,460,544 + 663,552 + 73,728 + 1,280 = 5,199,104 in the others:
    2 * 389,376 + 3 * 5,199,104 = 16,376,064 an image."""
    assert cnn_epoch() == 60_000 * 16_376_064
    # Layers: 2 * 2 * (32 * 32 + 32 * 32) = 8,192 a token; 500 tokens a review; 65,000 = 3 * 20,000 + 5,000 reviews.
    assert rnn_epoch(1) == 65_000 * 500 * 8_192
    assert rnn_epoch(4) == 4 * rnn_epoch(1)
    # Six layers: 4 * 384² + 8 * 384² + 2 * 128 * 384 = 1,867,776 products a token.
    assert encoder_forward(10, 128) == 10 * 2 * 6 * 1_867_776


@pytest.mark.skipif(not RESULTS.is_file(), reason="docs/benchmarks/results.jsonl has not been measured yet")
def test_the_published_page_is_what_its_results_give(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks" / "results.jsonl"
    copy.parent.mkdir()
    copy.write_text(RESULTS.read_text())
    notes = RESULTS.with_name("notes.md")
    if notes.is_file():
        copy.with_name("notes.md").write_text(notes.read_text())
    assert write_page(read(copy), copy).read_text() == (ROOT / "docs" / "benchmarks.md").read_text()
    assert all(json.loads(line)["size"] == "full" for line in RESULTS.read_text().splitlines())
