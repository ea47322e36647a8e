"""`--early_stopping METRIC:EPOCHS`: its form, its direction, and what a wrong one says."""

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from datamodules import UserError
from lit_models import LitMLP
from lit_models.runs.early_stopping import EarlyStop, Patience, goes_on, more_patience
from lit_models.runs.logged import check_is_logged
from lit_models.testing.examples import quiet_trainer


@pytest.mark.parametrize(
    ("text", "mode"), [("val/loss:3", "min"), ("val/acc:3", "max"), ("val/f1/a:b:3", "max"), ("val_loss:3", "min")]
)
def test_the_metric_says_the_direction(text: str, mode: str) -> None:
    stop = EarlyStop.parse(text)
    assert stop is not None
    callback = stop.callback(None, [])
    assert (callback.monitor, callback.patience, callback.mode) == (text.removesuffix(":3"), 3, mode)


@pytest.mark.parametrize("text", ["val/loss", "val/loss:", ":3", "3", "val/loss:0", "val/loss:-1", "val/loss:1.5", ""])
def test_another_form_is_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        EarlyStop.parse(text)
    assert str(caught.value) == f"early_stopping must be METRIC:EPOCHS, such as val/loss:3, got {text!r}"


def test_nothing_stops_without_the_setting() -> None:
    assert EarlyStop.parse(None) is None


def test_an_unknown_direction_is_one_line_with_the_flags() -> None:
    with pytest.raises(UserError) as caught:
        EarlyStop("val/things", 3).callback(None, [])
    text = "early_stopping: it is unknown whether lower or higher 'val/things' is better"
    assert str(caught.value) == f"{text}: add --monitor val/things --monitor_mode min or max"
    assert EarlyStop("val/things", 3).callback("max", []).mode == "max"


def test_two_that_watch_the_same_are_refused() -> None:
    with pytest.raises(UserError, match=r"^early_stopping and a callback EarlyStopping both watch val/loss: leave one"):
        EarlyStop("val/loss", 3).callback(None, [EarlyStopping("val/loss")])
    EarlyStop("val/loss", 3).callback(None, [EarlyStopping("val/acc", mode="max")])


def stopped(patience: int) -> Patience:
    """A callback that has waited too long."""
    callback = EarlyStop("val/loss", patience).callback(None, [])
    for _ in range(patience + 1):
        callback._evaluate_stopping_criteria(torch.tensor(1.0))
    return callback


@pytest.mark.parametrize(("patience", "expected"), [(1, False), (2, False), (3, True)])
def test_a_run_that_has_stopped_goes_on_only_with_more_patience(patience: int, expected: bool) -> None:
    callback = EarlyStop("val/loss", patience).callback(None, [])
    callback.load_state_dict(stopped(2).state_dict())
    trainer = quiet_trainer(callbacks=[callback])
    assert (callback.patience, callback.wait_count, goes_on(trainer)) == (patience, 2, expected)
    assert more_patience(trainer) == (None if expected else ("--early_stopping", f"val/loss:{2 * patience}"))


def test_a_metric_that_will_not_be_logged_is_refused_with_those_that_will() -> None:
    module = LitMLP(num_features=2, num_classes=3, metrics=["f1", "recall_per_class"])
    check_is_logged("monitor", "val/recall/2", module, has_validation=True)
    check_is_logged("monitor", "train/f1", module, has_validation=False)
    with pytest.raises(UserError) as caught:
        check_is_logged("early_stopping", "val/auroc", module, has_validation=True)
    names = ["loss", "acc", "f1", "recall/0", "recall/1", "recall/2"]
    both = [f"{split}/{name}" for split in ("train", "val") for name in names]
    assert str(caught.value) == f"early_stopping: 'val/auroc' is not logged; logged are {', '.join(both)}"
    with pytest.raises(UserError) as caught:
        check_is_logged("monitor", "test/loss", module, has_validation=False)
    assert str(caught.value) == f"monitor: 'test/loss' is not logged; logged are {', '.join(both[:6])}"


class Logs(LitMLP):
    """May log anything."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/other", 1.0)


class Plain(LitMLP):
    """Logs what every LitMLP does."""

    size = 3


def test_a_module_with_hooks_of_its_own_may_log_other_metrics() -> None:
    check_is_logged("monitor", "val/other", Logs(num_features=2), has_validation=True)
    with pytest.raises(UserError, match="is not logged"):
        check_is_logged("monitor", "val/other", Plain(num_features=2), has_validation=True)
