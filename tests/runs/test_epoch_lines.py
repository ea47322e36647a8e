"""The table of the epochs: it fits 80 columns, loses no metric, and says how long the other epochs take."""

from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch

from lit_models.runs.epoch_lines import EPOCHS_PER_HEADER, EpochLines, time_left


def trainer(values: dict[str, float], *, epoch: int = 0, **limits: Any) -> L.Trainer:
    """What the lines read of a Trainer."""
    metrics = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    settings = {"max_epochs": 30, "max_steps": -1, "global_step": 0, "num_training_batches": 5} | limits
    plain = SimpleNamespace(
        callback_metrics=metrics, lightning_module=L.LightningModule(), current_epoch=epoch, **settings
    )
    return cast(L.Trainer, plain)


def printed(epochs: list[L.Trainer], capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines, module = EpochLines(), L.LightningModule()
    for each in epochs:
        lines.on_train_epoch_start(each, module)
        lines.on_train_batch_end(each, module, None, None, 0)
        lines.on_train_epoch_end(each, module)
        lines.on_train_end(each, module)
    return capsys.readouterr().out.splitlines()


def test_an_epoch_is_one_line_under_the_names_of_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"val/loss": 0.25, "val/acc": 0.5, "train/loss": 1.0, "train/acc": 0.75}
    header, first = printed([trainer(values)], capsys)
    assert header.split() == ["train/loss", "train/acc", "val/loss", "val/acc", "time", "left"]
    assert first.split() == ["epoch", "1/30", "1.0000", "0.7500", "0.2500", "0.5000", "0.0", "s", "00:00"]
    assert len(header) == len(first) <= 80


def test_more_metrics_than_fit_follow_below_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    values = {f"{split}/{name}": 0.5 for split in ("train", "val") for name in ("loss", "acc", "f1", "auroc", "recall")}
    header, *rows = printed([trainer(values)], capsys)
    shown = header.split()[:-2]
    assert {"train/loss", "train/acc", "val/loss", "val/acc"} <= set(shown)  # the first ones of each split
    below = " ".join(rows[1:])
    assert sorted([*shown, *(name for name in values if f"{name} 0.5000" in below)]) == sorted(values)
    assert max(map(len, [header, *rows])) <= 80
    assert all(row.startswith("            ") for row in rows[1:])


def test_a_metric_of_a_later_epoch_gets_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = trainer({"train/loss": 1.0}), trainer({"train/loss": 1.0, "val/loss": 2.0}, epoch=1)
    lines = [line.split() for line in printed([first, second, trainer({"train/loss": 1.0}, epoch=2)], capsys)]
    assert [line[0] for line in lines] == ["train/loss", "epoch", "train/loss", "epoch", "epoch"]
    assert lines[3][2:4] == ["1.0000", "2.0000"]
    assert lines[4][2:4] == ["1.0000", "-"]


def test_a_value_that_is_too_long_for_its_column_is_shorter(capsys: pytest.CaptureFixture[str]) -> None:
    (_, row) = printed([trainer({"train/loss": 123_456_789.0, "val/loss": float("inf")})], capsys)
    assert row.split()[2:4] == ["1.23e+08", "inf"]


def test_the_names_are_repeated_in_a_long_training(capsys: pytest.CaptureFixture[str]) -> None:
    epochs = [trainer({"loss": 1.0}, epoch=i) for i in range(EPOCHS_PER_HEADER + 1)]
    lines = printed(epochs, capsys)
    assert [i for i, line in enumerate(lines) if "loss" in line] == [0, EPOCHS_PER_HEADER + 1]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_epochs": 5}, 2 * 3.0),  # 2 epochs of (1 + 2 + 6) / 3 seconds
        ({"max_epochs": 3}, 0.0),
        ({"max_epochs": -1}, None),
        ({"max_epochs": None}, None),
        ({"max_epochs": -1, "max_steps": 40, "global_step": 30}, 3.0),  # 10 steps of 10 an epoch
        ({"max_epochs": 5, "max_steps": 40, "global_step": 30}, 3.0),
    ],
)
def test_the_time_left_is_that_of_the_other_epochs(limits: dict[str, Any], expected: float | None) -> None:
    assert time_left(trainer({}, epoch=2, **limits), [1.0, 2.0, 6.0]) == expected


def test_the_first_batch_does_not_count_in_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 10.0, 14.0])  # the epoch begins, its first batch is done, the other four are done
    monkeypatch.setattr("lit_models.runs.epoch_lines.time.perf_counter", lambda: next(times))
    lines, module, one = EpochLines(), L.LightningModule(), trainer({}, max_epochs=3)
    lines.on_train_epoch_start(one, module)
    lines.on_train_batch_end(one, module, None, None, 0)
    lines.on_train_batch_end(one, module, None, None, 1)
    lines.on_train_epoch_end(one, module)
    assert (lines.seconds, lines.left) == ([14.0], 10.0)  # two epochs of five seconds


def test_only_recent_epochs_say_how_long_the_others_take() -> None:
    assert time_left(trainer({}, epoch=28), [100.0, 1.0, 1.0, 1.0, 1.0, 1.0]) == 1.0
