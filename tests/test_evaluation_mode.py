"""Validation, test and prediction run in evaluation mode: dropout is off, whatever mode the module was in before."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from lit_models import LitCNN, LitRNN
from lit_models.testing.examples import quiet_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),  # lists of whole batches
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # fewer than Lightning's logging interval
]
SAMPLES, BATCH = 12, 5  # the last batch has two samples


def cnn() -> tuple[L.LightningModule, Tensor, Tensor]:
    """A module with three classes, images and target."""
    module = LitCNN(
        image_size=8, num_classes=3, filters=[4], pool_size=2, dense_sizes=[8], dropout=0.5, pool_dropout=0.5
    )
    return module, torch.rand(SAMPLES, 1, 8, 8), torch.randint(3, (SAMPLES,))


def rnn() -> tuple[L.LightningModule, Tensor, Tensor]:
    """A module with two classes and one logit, tokens and target."""
    module = LitRNN(vocab_size=20, embedding_size=5, hidden_size=8, num_layers=2, dropout=0.5)
    return module, torch.randint(20, (SAMPLES, 6)), torch.randint(2, (SAMPLES,))


def loader(inputs: Tensor, target: Tensor) -> DataLoader[Any]:
    batches: Any = list(zip(torch.split(inputs, BATCH), torch.split(target, BATCH), strict=True))
    return DataLoader(batches, batch_size=None)


@torch.no_grad()
def expected(network: torch.nn.Module, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Loss, accuracy and probabilities of the bare network in evaluation mode, over all samples at once."""
    logits = network.eval()(inputs)
    if logits.shape[1] == 1:  # one logit for two classes: the other class's logit is 0
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    correct = logits.argmax(dim=1) == target
    return {"loss": F.cross_entropy(logits, target), "acc": correct.float().mean(), "scores": logits.softmax(dim=1)}


def assert_metrics(metrics: Any, split: str, wanted: dict[str, Tensor]) -> None:
    for name in ("loss", "acc"):  # float32: a few roundings
        torch.testing.assert_close(torch.tensor(float(metrics[f"{split}/{name}"])), wanted[name], rtol=1e-5, atol=1e-6)


@pytest.fixture(params=[cnn, rnn], ids=["LitCNN", "LitRNN"])
def case(request: pytest.FixtureRequest) -> tuple[Any, Tensor, Tensor]:
    """A module in training mode with inputs and target, on which dropout changes the results."""
    torch.manual_seed(0)
    build: Callable[[], tuple[Any, Tensor, Tensor]] = request.param
    module, inputs, target = build()
    with torch.no_grad():
        module.network.output.weight.mul_(5)  # large logits, so that dropout changes the loss a lot
    assert module.train().training
    assert (module.network(inputs) - module.network(inputs)).abs().max() > 0.1, "dropout changes the logits"
    return module, inputs, target


@pytest.mark.parametrize(("method", "split"), [("validate", "val"), ("test", "test")])
def test_evaluation_reports_the_metrics_of_evaluation_mode(
    case: tuple[Any, Tensor, Tensor], method: str, split: str
) -> None:
    module, inputs, target = case
    (metrics,) = getattr(quiet_trainer(), method)(module, loader(inputs, target), verbose=False)
    assert_metrics(metrics, split, expected(module.network, inputs, target))


def test_prediction_gives_the_probabilities_of_evaluation_mode(case: tuple[Any, Tensor, Tensor]) -> None:
    module, inputs, target = case
    scores = torch.cat(quiet_trainer().predict(module, loader(inputs, target)))  # type: ignore[arg-type]
    torch.testing.assert_close(scores, expected(module.network, inputs, target)["scores"])  # float32's tolerance


def test_validation_during_fit_runs_in_evaluation_mode_and_training_in_training_mode(
    case: tuple[Any, Tensor, Tensor],
) -> None:
    module, inputs, target = case
    modes: list[bool] = []
    module.network.register_forward_pre_hook(lambda network, _: modes.append(network.training))
    fit = quiet_trainer(max_epochs=2, num_sanity_val_steps=0)
    fit.fit(module, loader(inputs, target), loader(inputs, target))
    metrics = dict(fit.callback_metrics)  # of the last validation, which saw the last weights
    assert modes == 2 * ([True] * 3 + [False] * 3)  # three batches an epoch, then three of validation
    assert_metrics(metrics, "val", expected(module.network, inputs, target))
