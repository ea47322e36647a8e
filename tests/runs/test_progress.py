"""What the bar shows, and where the lines of a quiet command go."""

from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch

from datamodules.storage.checksums import note
from lit_models import LitMLP
from lit_models.runs.progress import Bar, be_quiet, own_stream, say, say_on_standard_error, show, warn


def bar_of(values: dict[str, float], outputs: Any = None) -> tuple[Bar, L.Trainer]:
    bar = Bar()
    bar.outputs = outputs
    plain: Any = SimpleNamespace(progress_bar_metrics=values, loggers=[])
    return bar, cast(L.Trainer, plain)


def test_the_bar_has_loss_and_score_of_the_epoch_so_far() -> None:
    module = LitMLP(num_features=2, num_classes=3)
    bar, trainer = bar_of({})
    assert bar.get_metrics(trainer, module) == {}  # before the first batch
    outputs = torch.tensor([[9.0, 0, 0], [0, 9.0, 0]])
    module.train_metrics.add(torch.tensor(3.0), outputs, torch.tensor([0, 0]))
    module.train_metrics.add(torch.tensor(5.0), outputs, torch.tensor([0, 1]))
    assert bar.get_metrics(trainer, module) == {"loss": 2.0, "acc": 0.75}  # (3 + 5) / 4 samples, 3 of 4 right


def test_the_bar_of_another_module_has_what_it_logs_or_the_loss_of_the_step() -> None:
    outputs = {"loss": torch.tensor(0.5)}
    assert Bar.get_metrics(*bar_of({"psnr": 1.5}, outputs), L.LightningModule()) == {"psnr": 1.5}
    assert Bar.get_metrics(*bar_of({}, outputs), L.LightningModule()) == {"loss": 0.5}
    assert Bar.get_metrics(*bar_of({}, None), L.LightningModule()) == {}


@pytest.mark.parametrize(
    ("quiet", "to_error", "out", "err"),
    [
        (False, False, ["said", "warning: w", "shown"], ["note: n"]),
        (True, False, ["shown"], ["warning: w"]),
        (False, True, [], ["said", "warning: w", "shown", "note: n"]),
        (True, True, [], ["warning: w", "shown"]),
    ],
)
def test_a_quiet_command_prints_warnings_and_the_result(
    quiet: bool, to_error: bool, out: list[str], err: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with own_stream():
        if to_error:
            say_on_standard_error()
        if quiet:
            be_quiet()
        say("said")
        warn("w")
        show("shown")
        note("n")
    captured = capsys.readouterr()
    assert (captured.out.splitlines(), captured.err.splitlines()) == (out, err)
    say("said")
    note("n")
    assert tuple(capsys.readouterr()) == ("said\n", "note: n\n")
