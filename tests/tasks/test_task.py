"""The training logic: losses, scores, metrics and gradients by arithmetic, and over several processes."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.utilities import dim_zero_sum

from datamodules.errors import UserError
from datamodules.spec import TaskName
from lit_models.tasks.metrics import SplitMetrics
from lit_models.tasks.targets import Classification, LossName, num_logits
from lit_models.tasks.task import LitClassifier, LitTask
from lit_models.testing.examples import quiet_trainer

Batch = tuple[Tensor, Tensor]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),  # lists of whole batches
    pytest.mark.filterwarnings(
        "ignore:You defined a `validation_step` but have no"
    ),  # as the faithful configs have none
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # fewer than Lightning's logging interval
]


class LitLine(LitClassifier):
    """A dense layer on two numbers."""

    def __init__(self, *, num_classes: int = 3, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        torch.manual_seed(0)
        self.network = nn.Linear(2, num_logits(num_classes))


def batches(*sizes: int, num_classes: int = 3) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 2, generator=generator), torch.randint(num_classes, (n,), generator=generator)) for n in sizes
    ]


def loader(made: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(made, batch_size=None)  # type: ignore[arg-type]


def counted() -> SplitMetrics:
    """Loss and accuracy of two classes."""
    return SplitMetrics(Classification(2), [])


def in_process(model: LitTask, *, world_size: int, samples: int) -> list[str]:
    """Makes `model` believe that it is one of `world_size` processes whose batches hold `samples` together."""
    asked: list[str] = []

    def reduce(count: Tensor, reduce_op: str) -> Tensor:
        assert count.shape == ()
        asked.append(reduce_op)
        return torch.tensor(samples)

    fake = SimpleNamespace(
        world_size=world_size,
        global_rank=0,
        current_epoch=0,
        accumulate_grad_batches=1,
        num_training_batches=1,
        train_dataloader=None,
        strategy=SimpleNamespace(reduce=reduce, broadcast=lambda seed: seed),
    )
    model.trainer = cast(L.Trainer, fake)
    return asked


def test_two_classes_share_one_logit() -> None:
    assert [num_logits(n) for n in (2, 3, 10)] == [1, 3, 10]


@pytest.mark.parametrize("num_classes", [1, 0, -1])
def test_fewer_than_two_classes_are_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=rf"^num_classes must be at least 2, got {num_classes}$"):
        num_logits(num_classes)
    with pytest.raises(ValueError, match=rf"^num_classes must be at least 2, got {num_classes}$"):
        LitClassifier(num_classes=num_classes)


def test_one_logit_has_the_binary_cross_entropy() -> None:
    losses = LitLine(num_classes=2).target.sample_losses(torch.tensor([[0.0], [2.0], [-1.0]]), torch.tensor([1, 0, 0]))
    # -ln s(0), -ln(1 - s(2)), -ln(1 - s(-1))
    wanted = torch.tensor([math.log(2), math.log(1 + math.exp(2)), math.log(1 + math.exp(-1))])
    torch.testing.assert_close(losses, wanted, rtol=1e-6, atol=0)  # a few roundings in float32


def test_one_logit_far_off_has_a_finite_loss() -> None:
    losses = LitLine(num_classes=2).target.sample_losses(torch.tensor([[1000.0], [-1000.0]]), torch.tensor([0, 1]))
    assert losses.tolist() == [1000.0, 1000.0]  # ln(1 + e^1000) = 1000 to float32's last digit


def test_several_logits_have_the_cross_entropy() -> None:
    losses = LitLine().target.sample_losses(torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), torch.tensor([0, 1]))
    wanted = torch.tensor([math.log(3), math.log(math.e + math.e**2 + math.e**3) - 2])
    torch.testing.assert_close(losses, wanted, rtol=1e-6, atol=0)  # a few roundings in float32


def test_half_squared_error_of_one_logit_is_that_of_its_sigmoid() -> None:
    model = LitLine(num_classes=2, loss="half_squared_error")
    logits = torch.tensor([[0.0], [math.log(3)], [math.log(3)]])  # sigmoids 1/2, 3/4, 3/4
    losses = model.target.sample_losses(logits, torch.tensor([1, 0, 1]))
    wanted = torch.tensor([(1 / 2) ** 2 / 2, (3 / 4) ** 2 / 2, (1 / 4) ** 2 / 2])
    torch.testing.assert_close(losses, wanted, rtol=1e-6, atol=0)  # a few roundings in float32


def test_half_squared_error_of_many_logits_is_against_the_one_hot_target() -> None:
    model = LitLine(loss="half_squared_error")
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(3), 0.0, -math.log(3)]])  # 1/2 each; 3/4, 1/2, 1/4
    losses = model.target.sample_losses(logits, torch.tensor([2, 0]))
    wanted = torch.tensor([3 * (1 / 2) ** 2 / 2, ((1 / 4) ** 2 + (1 / 2) ** 2 + (1 / 4) ** 2) / 2])
    torch.testing.assert_close(losses, wanted, rtol=1e-6, atol=0)  # a few roundings in float32


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_one_logit_scores_both_classes(loss: LossName) -> None:
    scores = LitLine(num_classes=2, loss=loss).predictions(torch.tensor([[0.0], [math.log(3)]]))
    torch.testing.assert_close(scores, torch.tensor([[1 / 2, 1 / 2], [1 / 4, 3 / 4]]))  # float32's default tolerance


def test_several_logits_score_by_softmax() -> None:
    scores = LitLine().predictions(torch.tensor([[0.0, math.log(2), math.log(5)]]))
    torch.testing.assert_close(scores, torch.tensor([[1 / 8, 2 / 8, 5 / 8]]))  # float32's default tolerance


def test_several_logits_under_squared_error_score_by_independent_sigmoids() -> None:
    scores = LitLine(loss="half_squared_error").predictions(torch.tensor([[0.0, math.log(3), -math.log(3)]]))
    torch.testing.assert_close(scores, torch.tensor([[1 / 2, 3 / 4, 1 / 4]]))  # float32's default tolerance


def test_prediction_is_the_scores_of_the_logits() -> None:
    model = LitLine()
    inputs, target = batches(4)[0]
    assert torch.equal(model.predict_step((inputs, target), 0), model(inputs).softmax(dim=1))


def test_last_partial_batch_counts_by_its_size() -> None:
    metrics = counted()
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [1.0, 5.0]])
    metrics.update(torch.tensor([1.0, 2.0, 3.0]), logits[:3], torch.tensor([0, 0, 0]))  # right, wrong, right
    metrics.update(torch.tensor([10.0]), logits[3:], torch.tensor([0]))  # wrong
    # (1 + 2 + 3 + 10) / 4, where the mean of the batches' means would be (2 + 10) / 2
    assert {name: value.item() for name, value in metrics.compute().items()} == {"loss": 4.0, "acc": 0.5}


def test_one_logit_is_right_on_the_side_of_its_class() -> None:
    metrics = counted()
    # above 0 is class 1; 0 itself, a sigmoid of exactly 1/2, is class 0, as in Keras
    metrics.update(torch.zeros(4), torch.tensor([[0.1], [-0.1], [0.0], [9.0]]), torch.tensor([1, 0, 0, 0]))
    assert metrics.compute()["acc"].item() == 3 / 4


def test_reset_forgets_the_last_epoch() -> None:
    metrics = counted()
    metrics.update(torch.tensor([7.0]), torch.zeros(1, 2), torch.tensor([1]))
    metrics.reset()
    metrics.update(torch.tensor([1.0]), torch.zeros(1, 2), torch.tensor([0]))
    assert {name: value.item() for name, value in metrics.compute().items()} == {"loss": 1.0, "acc": 1.0}


def test_a_nan_loss_is_not_dropped_from_the_epochs() -> None:
    metrics = counted()
    metrics.update(torch.tensor([1.0, math.nan]), torch.zeros(2, 2), torch.tensor([0, 0]))
    metrics.update(torch.tensor([1.0]), torch.zeros(1, 2), torch.tensor([0]))
    assert math.isnan(metrics.compute()["loss"].item())


def test_metrics_of_processes_add_up() -> None:
    """Torchmetrics sums the states over processes; here that sum is made by hand."""
    alone, parts = counted(), [counted() for _ in range(3)]
    for (logits, target), losses in zip(batches(7, 5, 1, num_classes=2), torch.rand(3, 7), strict=True):
        alone.update(losses[: len(target)], logits, target)
        for rank, part in enumerate(parts):
            part.update(losses[: len(target)][rank::3], logits[rank::3], target[rank::3])
    assert all(fx is dim_zero_sum for fx in alone._reductions.values())
    for name in ("loss_sum", "score_sum", "count"):
        total = torch.stack([getattr(part, name) for part in parts]).sum(dim=0)
        # 13 float32 numbers below 1, summed in another order
        torch.testing.assert_close(total, getattr(alone, name), rtol=1e-6, atol=0)


def reference(model: LitLine, made: list[Batch], loss: LossName) -> dict[str, float]:
    """Loss and accuracy as means over all samples of all batches."""
    inputs, target = (torch.cat(column) for column in zip(*made, strict=True))
    line = cast(nn.Linear, model.network)
    logits = inputs @ line.weight.T + line.bias
    right = (logits.argmax(dim=1) == target).double().mean()
    if loss == "half_squared_error":
        mean = ((1 / (1 + (-logits).exp()) - torch.eye(3)[target]) ** 2).sum() / 2 / len(target)
    else:
        mean = (logits.exp().sum(dim=1).log() - logits[torch.arange(len(target)), target]).mean()
    return {"loss": mean.item(), "acc": right.item()}


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_each_splits_metrics_are_means_over_its_samples(loss: LossName) -> None:
    # a learning rate below float32's resolution leaves the weights as they are
    model = LitLine(loss=loss, optimizer="sgd", lr=1e-30)
    train, val, test = batches(5, 5, 2), batches(3, 1), batches(4, 4, 4, 1)
    fitted = quiet_trainer(max_epochs=1)  # Lightning's sanity check of validation comes first, and counts nothing
    fitted.fit(model, loader(train), loader(val))
    logged = {name: value.item() for name, value in fitted.callback_metrics.items()}
    fitted.test(model, loader(test), verbose=False)
    logged |= {name: value.item() for name, value in fitted.callback_metrics.items()}
    wanted = {
        f"{split}/{name}": value
        for split, made in (("train", train), ("val", val), ("test", test))
        for name, value in reference(model, made, loss).items()
    }
    assert logged == pytest.approx(wanted, rel=1e-5)  # a dozen float32 numbers in another order


def test_nothing_of_an_epoch_is_carried_into_the_next() -> None:
    sums: list[float] = [0.0, 0.0]

    class Record(L.Callback):
        def on_train_batch_end(
            self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            sums[trainer.current_epoch] += outputs["loss"].item() * len(batch[1])

    model, train, val = LitLine(optimizer="sgd", lr=1.0), batches(5, 2), batches(3)
    fitted = quiet_trainer(max_epochs=2, callbacks=[Record()])  # with Lightning's sanity check before the first epoch
    fitted.fit(model, loader(train), loader(val))
    logged = {name: value.item() for name, value in fitted.callback_metrics.items() if name != "train/acc"}
    wanted = {f"val/{name}": value for name, value in reference(model, val, "cross_entropy").items()}
    assert abs(sums[0] - sums[1]) > 0.1  # the epochs differ by more than rounding
    # a few float32 numbers in another order
    assert logged == pytest.approx(wanted | {"train/loss": sums[1] / (5 + 2)}, rel=1e-5)


class LitPair(LitTask):
    """A dense layer on two numbers, for two labels or two numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_classes=2, num_targets=2, **kwargs)
        torch.manual_seed(0)
        self.network = nn.Linear(2, self.num_outputs)


def pairs(task: TaskName, *sizes: int) -> list[Batch]:
    """Batches of two labels, or of two numbers."""
    generator = torch.Generator().manual_seed(1)
    drawn = [(torch.randn(n, 2, generator=generator), torch.randn(n, 2, generator=generator)) for n in sizes]
    return [(x, (y > 0).float() if task == "multilabel" else y) for x, y in drawn]


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_labels_and_numbers_are_measured_over_their_samples_too(task: TaskName) -> None:
    model = LitPair(task=task, optimizer="sgd", lr=1e-30)  # the weights stay as they are
    train, val = pairs(task, 5, 5, 2), pairs(task, 3, 1)
    fitted = quiet_trainer(max_epochs=1)
    fitted.fit(model, loader(train), loader(val))
    wanted = {}
    for split, made in (("train", train), ("val", val)):
        inputs, target = (torch.cat(column) for column in zip(*made, strict=True))
        outputs = model(inputs).detach()
        if task == "multilabel":
            p = 1 / (1 + (-outputs).exp())
            wanted[f"{split}/loss"] = -(target * p.log() + (1 - target) * (1 - p).log()).mean().item()
            wanted[f"{split}/acc"] = ((p > 0.5) == (target > 0.5)).double().mean().item()
        else:
            wanted[f"{split}/loss"] = (outputs - target).square().mean().item()
            wanted[f"{split}/mae"] = (outputs - target).abs().mean().item()
    logged = {name: value.item() for name, value in fitted.callback_metrics.items()}
    assert logged == pytest.approx(wanted, rel=1e-5)  # a dozen float32 numbers in another order


@pytest.mark.parametrize("task", ["multilabel", "regression"])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_average_to_the_gradient_of_labels_and_numbers_too(task: TaskName, world_size: int) -> None:
    model = LitPair(task=task).double()
    inputs, target = (part.double() for part in pairs(task, 7)[0])
    weights = list(model.parameters())
    in_process(model, world_size=1, samples=7)
    alone = torch.autograd.grad(model.training_step((inputs, target), 0), weights)
    in_process(model, world_size=world_size, samples=7)
    parts = [
        torch.autograd.grad(model.training_step((inputs[rank::world_size], target[rank::world_size]), 0), weights)
        for rank in range(world_size)
    ]
    averaged = tuple(torch.stack(grads).mean(dim=0) for grads in zip(*parts, strict=True))
    torch.testing.assert_close(averaged, alone, rtol=1e-13, atol=1e-15)  # float64, at most 7 terms in another order


def test_metrics_by_name_are_logged_for_each_split_and_start_anew_in_each_epoch() -> None:
    model = LitLine(metrics=["f1", "recall_per_class"], class_names=["a", "b", "c"], optimizer="sgd", lr=1e-30)
    made = batches(5, 5, 2)
    fitted = quiet_trainer(max_epochs=2)
    fitted.fit(model, loader(made), loader(made))
    logged = {name: value.item() for name, value in fitted.callback_metrics.items()}
    fitted.test(model, loader(made), verbose=False)
    logged |= {name: value.item() for name, value in fitted.callback_metrics.items()}
    names = ["loss", "acc", "f1", "recall/a", "recall/b", "recall/c"]
    assert set(logged) == {f"{split}/{name}" for split in ("train", "val", "test") for name in names}
    inputs, target = (torch.cat(column) for column in zip(*made, strict=True))
    predicted = model(inputs).argmax(dim=1)
    for i, name in enumerate("abc"):
        recall = (predicted[target == i] == i).double().mean().item()
        for split in ("train", "val", "test"):
            assert logged[f"{split}/recall/{name}"] == pytest.approx(recall, rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_fit_whose_loss_is_nan_ends_as_an_error(bad: float) -> None:
    model, made = LitLine(optimizer="sgd", lr=0.25), batches(2, 2)
    made[0][0][0] = bad  # one sample of four, in the first batch; infinity minus infinity is NaN too
    with pytest.raises(ValueError, match=r"^train/loss is nan in epoch 1: try a lower lr than 0\.25$"):
        quiet_trainer(max_epochs=1).fit(model, loader(made))


def test_a_loss_that_overflows_ends_as_an_error() -> None:
    model = LitLine(num_classes=2, optimizer="sgd", lr=0.25)
    nn.init.constant_(cast(nn.Linear, model.network).weight, 1e38)
    made = [(torch.full((2, 2), 100.0), torch.tensor([0, 0]))]  # a logit of 2e40 is infinite in float32
    with pytest.raises(ValueError, match=r"^train/loss is inf in epoch 1: try a lower lr than 0\.25$"):
        quiet_trainer(max_epochs=1).fit(model, loader(made))


def test_a_step_descends_the_mean_of_the_cross_entropy() -> None:
    model, (batch,) = LitLine(), batches(5)
    in_process(model, world_size=1, samples=0)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(reference(model, [batch], "cross_entropy")["loss"], rel=1e-6)


def test_a_step_descends_the_sum_of_the_half_squared_error() -> None:
    model, (batch,) = LitLine(loss="half_squared_error"), batches(5)
    in_process(model, world_size=1, samples=0)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(5 * reference(model, [batch], "half_squared_error")["loss"], rel=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
@pytest.mark.parametrize("samples", [1, 4, 5, 7])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_average_to_the_gradient_of_the_global_batch(loss: LossName, samples: int, world_size: int) -> None:
    model, (batch,) = LitLine(loss=loss).double(), batches(samples)
    inputs, target = batch[0].double(), batch[1]
    weights = list(model.parameters())
    in_process(model, world_size=1, samples=samples)
    alone = torch.autograd.grad(model.training_step((inputs, target), 0), weights)
    asked = in_process(model, world_size=world_size, samples=samples)
    parts = [
        # a process whose slice of a short batch is empty takes part with a gradient of zeros
        torch.autograd.grad(model.training_step((inputs[rank::world_size], target[rank::world_size]), 0), weights)
        for rank in range(world_size)
    ]
    averaged = tuple(torch.stack(grads).mean(dim=0) for grads in zip(*parts, strict=True))
    torch.testing.assert_close(averaged, alone, rtol=1e-13, atol=1e-15)  # float64, at most 7 terms in another order
    # every process takes part in the count, one with an empty slice too, or the others would wait for it
    assert asked == ["sum"] * world_size


def test_an_empty_slice_adds_nothing_to_the_metrics() -> None:
    model = LitLine()
    in_process(model, world_size=2, samples=1)
    loss = model.training_step((torch.empty(0, 2), torch.empty(0, dtype=torch.int64)), 0)
    assert loss.item() == 0
    assert model.train_metrics.count.item() == 0


def test_frozen_parameters_reach_no_optimizer() -> None:
    model = LitLine()
    line = cast(nn.Linear, model.network)
    line.bias.requires_grad_(False)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(line.weight)]


Schedule = Literal["constant", "linear", "cosine"]
RATES: list[tuple[Schedule, float, list[float]]] = [
    ("constant", 0.0, [1, 1, 1, 1, 1, 1, 1, 1]),
    ("linear", 0.0, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
    ("constant", 0.5, [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1, 1, 1]),
    ("linear", 0.5, [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 3 / 4, 2 / 4, 1 / 4]),
]


@pytest.mark.parametrize(("schedule", "warmup", "factors"), RATES)
def test_the_learning_rate_follows_the_schedule_step_by_step(
    schedule: Schedule, warmup: float, factors: list[float]
) -> None:
    rates: list[float] = []

    class Record(L.Callback):
        def on_before_optimizer_step(
            self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
        ) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    model = LitLine(optimizer="sgd", lr=0.5, schedule=schedule, warmup=warmup)
    quiet_trainer(max_epochs=2, callbacks=[Record()]).fit(model, loader(batches(2, 2, 2, 2)))  # 2 epochs of 4 steps
    assert rates == pytest.approx([0.5 * f for f in factors], rel=1e-12)  # products of two float64 numbers


def test_a_schedule_without_an_end_is_refused() -> None:
    model = LitLine(schedule="linear")
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        quiet_trainer(max_epochs=-1).fit(model, loader(batches(2)))
    assert str(caught.value) == "schedule and warmup need a last step: set trainer.max_epochs or trainer.max_steps"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: LitLine(lr=0.0), "lr must be a positive number, got 0.0"),
        (lambda: LitLine(lr=-1.0), "lr must be a positive number, got -1.0"),
        (lambda: LitLine(lr=math.nan), "lr must be a positive number, got nan"),
        (lambda: LitLine(lr=math.inf), "lr must be a positive number, got inf"),
        (lambda: LitLine(weight_decay=-0.1), "weight_decay must be 0 or a positive number, got -0.1"),
        (lambda: LitLine(weight_decay=math.nan), "weight_decay must be 0 or a positive number, got nan"),
        (lambda: LitLine(weight_decay=math.inf), "weight_decay must be 0 or a positive number, got inf"),
        (
            lambda: LitLine(weight_decay=0.1, optimizer="keras_adam"),
            "weight_decay works with the optimizers adamw and sgd, not with keras_adam; "
            "use --model.optimizer_settings.weight_decay 0.1",
        ),
        (lambda: LitLine(warmup=-0.1), "warmup is a fraction of all steps, from 0 to below 1, got -0.1"),
        (lambda: LitLine(warmup=1.0), "warmup is a fraction of all steps, from 0 to below 1, got 1.0"),
        (lambda: LitLine(warmup=math.nan), "warmup is a fraction of all steps, from 0 to below 1, got nan"),
        (lambda: LitLine(class_names=["a", "b"]), "2 names for 3 outputs of classification: ['a', 'b']"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(made: Callable[[], LitLine], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        made()
    assert str(caught.value) == message


def test_settings_at_the_ends_of_their_ranges_are_taken() -> None:
    model = LitLine(lr=1e-30, weight_decay=0.5, optimizer="adamw", warmup=0.0, class_names=["a", "b", "c"])
    assert model.hparams["class_names"] == ["a", "b", "c"]


def test_without_a_checkpoint_every_weight_is_untrained() -> None:
    assert LitLine().untrained == "LitLine"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_model_has_the_precision_of_its_checkpoint(tmp_path: Path, dtype: torch.dtype) -> None:
    model, made = LitLine(), batches(3)
    made = [(inputs.to(dtype), target) for inputs, target in made]
    fitted = quiet_trainer(max_epochs=1, precision={torch.float32: "32-true", torch.float64: "64-true"}[dtype])
    fitted.fit(model, loader(made))
    fitted.save_checkpoint(tmp_path / "line.ckpt")
    loaded = LitLine.load_from_checkpoint(tmp_path / "line.ckpt", weights_only=True)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert torch.equal(loaded(made[0][0]), model.to(dtype)(made[0][0]))


def one_wrong(target: Tensor) -> list[Batch]:
    """Four batches of good targets, and one with a wrong target in its last sample."""
    made = [(torch.randn(4, 2), torch.zeros_like(target)) for _ in range(4)]
    return [*made[:3], (torch.randn(4, 2), target), made[3]]


@pytest.mark.parametrize("stage", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("settings", "target", "says"),
    [
        ({"num_classes": 2}, torch.tensor([0, 1, 0, 2]), "class 2, and the model has the classes 0 to 1"),
        ({"num_classes": 2, "loss": "half_squared_error"}, torch.tensor([0, 1, 0, -1]), "class -1, and the model has"),
        ({"num_classes": 3}, torch.tensor([0, 1, 2, 3]), "class 3, and the model has the classes 0 to 2"),
        ({"num_classes": 2, "metrics": ["f1"]}, torch.tensor([0, 1, 0, 2]), "class 2, and the model has the classes"),
        ({"num_classes": 2, "task": "multilabel"}, torch.tensor([[0.0, 1.0]] * 3 + [[2.0, 0.0]]), "other numbers than"),
    ],
    ids=["sigmoid", "squared error", "softmax", "f1", "labels"],
)
def test_a_wrong_target_is_refused_in_whatever_batch_it_is(
    stage: str, settings: dict[str, Any], target: Tensor, says: str
) -> None:
    class Line(nn.Module):
        def __init__(self, num_outputs: int = 1) -> None:
            super().__init__()
            self.layer = nn.Linear(2, num_outputs)

        def forward(self, inputs: Tensor) -> Tensor:
            return cast(Tensor, self.layer(inputs))

    class LitOfTask(LitTask, network=Line):
        """A dense layer for any task."""

    good, wrong = [(x, torch.zeros_like(y)) for x, y in one_wrong(target)], one_wrong(target)
    parts = {name: loader(wrong if name == stage else good) for name in ("train", "val", "test")}
    short, module = quiet_trainer(max_epochs=1, num_sanity_val_steps=0), LitOfTask(**settings)
    with pytest.raises(UserError, match=rf"^the data's target (in {stage} batch 4 )?is {says}"):
        short.test(module, parts["test"]) if stage == "test" else short.fit(module, parts["train"], parts["val"])


def test_weights_that_have_learned_from_a_wrong_target_are_not_saved(tmp_path: Path) -> None:
    module = LitLine(num_classes=2)
    short = quiet_trainer(max_epochs=1)
    short.strategy.connect(module)
    module._targets.add("train", 0, torch.tensor([2]))
    with pytest.raises(UserError, match=r"^the data's target in train batch 1 is class 2"):
        short.save_checkpoint(tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())
