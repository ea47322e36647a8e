"""check_model: for each rule, a class that breaks it is found. tests/test_models.py has the models that keep them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_models import LitClassifier, LitTask, UserError
from lit_models.tasks.targets import num_logits
from lit_models.testing import MODEL_CHECKS, ContractError, check_model


class Good(LitTask):
    """Keeps the contract; each class below breaks one rule of it."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features"})

    def __init__(self, *, num_features: int = 4, num_classes: int = 3, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.network: nn.Module = nn.Sequential(nn.Linear(num_features, 5), nn.Tanh(), nn.Linear(5, self.num_outputs))


class ForgetsSettings(LitClassifier):
    accepts: ClassVar[frozenset[str]] = frozenset({"features"})

    def __init__(self, num_features: int = 4, num_classes: int = 3) -> None:
        super().__init__(num_classes=num_classes)
        self.network = nn.Linear(num_features, self.num_outputs)
        del self.hparams["num_features"]


class KeepsAPath(Good):
    def __init__(self, *, folder: str = "here", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hparams["folder"] = Path(folder)


class ChangesASetting(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hparams["num_features"] += 1


class Seeds(Good):
    def __init__(self, **kwargs: Any) -> None:
        torch.manual_seed(7)
        super().__init__(**kwargs)


class DrawsFromNumpy(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        np.random.rand()


class DrawsFromAGeneratorOfItsOwn(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        generator = torch.Generator()
        generator.seed()
        for weight in self.parameters():
            nn.init.normal_(weight, generator=generator)


class HasARandomBuffer(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.register_buffer("noise", torch.rand(2))


class HasARandomSetting(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hparams["draw"] = torch.rand(()).item()


class HasNoNetwork(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = self.network
        del self.network


class HasALossInside(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network.loss = nn.MSELoss()


class HasAWeightOutside(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Any) -> Tensor:
        return super().forward(inputs) * self.scale


class Changed(Good):
    """A model whose network's outputs are changed by a function."""

    change: Callable[[Tensor], Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network.register_forward_hook(lambda _, __, outputs: type(self).change(outputs))


class LearnsNothing(Changed):
    change = staticmethod(lambda x: x * 0 + torch.ones_like(x) * x.mean().detach())


class HasAWiderOutput(Changed):
    change = staticmethod(lambda x: torch.cat([x, x], dim=1))


class SqueezesOneSample(Changed):
    change = staticmethod(torch.squeeze)


class GivesNaN(Changed):
    change = staticmethod(lambda x: x / 0 * 0)


class Drops(Changed):
    change = staticmethod(lambda x: nn.functional.dropout(x, 0.5))


class MixesSamples(Changed):
    change = staticmethod(lambda x: x - x.mean(dim=0))


class PredictsOneNumber(Good):
    def predictions(self, outputs: Tensor) -> Tensor:
        return super().predictions(outputs)[:, :1]


class PredictsNaN(Good):
    def predictions(self, outputs: Tensor) -> Tensor:
        return super().predictions(outputs) * torch.nan


class PredictsLogits(Good):
    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs


class PredictsSigmoids(Good):
    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()


class HasAnUnusedWeight(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network.unused = nn.Parameter(torch.ones(2))

    def forward(self, inputs: Any) -> Tensor:
        return self.network[2](self.network[1](self.network[0](inputs)))  # type: ignore[index, no-any-return]


class HasANaNGradient(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        next(self.parameters()).register_hook(lambda gradient: gradient * torch.nan)  # type: ignore[no-untyped-call]


class ForgetsAWeight(Good):
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(list(self.parameters())[1:], lr=0.1)


class ChangesFrozenWeights(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        next(self.parameters()).requires_grad_(False)

    def on_train_batch_end(self, *_: Any) -> None:
        next(self.parameters()).add_(1)


class Diverges(Good):
    def on_train_epoch_end(self) -> None:
        next(self.parameters()).data.mul_(torch.nan)


class Bag(LitTask):
    """A bag of words; `mask` says how the padding is left out."""

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})
    smallest = 1

    def __init__(self, *, vocab_size: int = 20, num_classes: int = 3, padding_id: int = 0, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.padding_id = padding_id
        self.network = nn.Sequential(nn.Embedding(vocab_size, 5), nn.Linear(5, self.num_outputs))

    def mask(self, tokens: Tensor) -> Tensor:
        return (tokens != self.padding_id).float()

    def forward(self, inputs: Any) -> Tensor:
        real = self.mask(inputs)[:, :, None]  # (B, T, 1)
        outputs: Tensor = (self.network(inputs) * real).sum(dim=1)  # (B, C)
        return outputs / real.sum(dim=1).clamp(min=self.smallest)


class ReadsPadding(Bag):
    def mask(self, tokens: Tensor) -> Tensor:
        return torch.ones(tokens.shape)


class DividesByNoToken(Bag):
    smallest = 0


class Thing:
    """What no checkpoint may hold."""


class SavesAThing(Good):
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["thing"] = Thing()


class LoadsOtherWeights(Good):
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"]["network.0.bias"] = torch.zeros(5)


class HasStateInAnAttribute(Good):
    scale = 1.0

    def forward(self, inputs: Any) -> Tensor:
        return super().forward(inputs) * self.scale

    def on_train_epoch_end(self) -> None:
        self.scale = 2.0


class ClassifiesOnly(Good):
    def __init__(self, *, num_classes: int = 3, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.network = nn.Linear(4, num_logits(num_classes))


class Raises(Good):
    def forward(self, inputs: Any) -> Tensor:
        raise ZeroDivisionError("no forward today")


BROKEN: list[tuple[type[LitTask], str, str]] = [
    (
        ForgetsSettings,
        "hyper_parameters_are_plain",
        "hparams lack num_features: call self.save_hyperparameters() in the constructor",
    ),
    (
        KeepsAPath,
        "hyper_parameters_are_plain",
        "the setting folder is a PosixPath: use strings, numbers, lists or dicts",
    ),
    (
        ChangesASetting,
        "hyper_parameters_are_plain",
        "a model built from hparams has other weight names or shapes: save each setting as given",
    ),
    (
        Seeds,
        "the_constructor_draws_only_weights",
        "the constructor sets torch's seed: leave that to --seed_everything",
    ),
    (
        DrawsFromNumpy,
        "the_constructor_draws_only_weights",
        "the constructor draws from Python's or numpy's generator: use torch's",
    ),
    (
        DrawsFromAGeneratorOfItsOwn,
        "the_constructor_draws_only_weights",
        "network.0.weight differs between two models of the same seed: draw it from torch's generator",
    ),
    (
        HasARandomBuffer,
        "the_constructor_draws_only_weights",
        "the buffer noise is random: only parameters may be",
    ),
    (
        HasARandomSetting,
        "the_constructor_draws_only_weights",
        "hparams depend on the seed: only parameters may be random",
    ),
    (
        HasNoNetwork,
        "the_network_trains_without_lightning",
        "there is no network: set self.network in the constructor",
    ),
    (
        HasALossInside,
        "the_network_trains_without_lightning",
        "network.loss is a MSELoss: keep losses and metrics outside of it",
    ),
    (
        HasAWeightOutside,
        "the_network_trains_without_lightning",
        "scale is outside the network: make it a part of self.network",
    ),
    (
        LearnsNothing,
        "the_network_trains_without_lightning",
        "a step of a bare loop changes no weight of the network",
    ),
    (
        HasAWiderOutput,
        "outputs_have_one_row_per_sample",
        "forward returns (4, 6) for 4 samples: expected (4, 3), as self.num_outputs says",
    ),
    (
        SqueezesOneSample,
        "outputs_have_one_row_per_sample",
        "forward returns (3,) for 1 samples: expected (1, 3), as self.num_outputs says",
    ),
    (GivesNaN, "outputs_have_one_row_per_sample", "forward returns NaN or infinity for 4 samples"),
    (PredictsOneNumber, "predictions_are_in_range", "predictions are (4, 1): expected (B, 3)"),
    (PredictsNaN, "predictions_are_in_range", "predictions are NaN or infinite"),
    (
        PredictsLogits,
        "predictions_are_in_range",
        "predictions are not from 0 to 1: apply a sigmoid or softmax in predictions()",
    ),
    (PredictsSigmoids, "predictions_are_in_range", "the probabilities of the classes do not sum to 1"),
    (
        HasAnUnusedWeight,
        "every_parameter_gets_a_gradient",
        "network.unused gets no gradient: use it in forward, or set requires_grad to False",
    ),
    (HasANaNGradient, "every_parameter_gets_a_gradient", "the gradient of network.0.weight is NaN or infinite"),
    (
        ForgetsAWeight,
        "training_changes_every_weight",
        "training does not change network.0.weight: give it to the optimizer",
    ),
    (ChangesFrozenWeights, "training_changes_every_weight", "training changes network.0.weight, which is frozen"),
    (Diverges, "training_changes_every_weight", "training makes network.0.weight NaN or infinite"),
    (
        Drops,
        "evaluation_is_deterministic",
        "two evaluations of the same inputs differ: is dropout on in evaluation mode?",
    ),
    (
        MixesSamples,
        "samples_do_not_depend_on_their_batch",
        "sample 0 has different outputs alone and in its batch: do not mix samples",
    ),
    (
        ReadsPadding,
        "padding_is_ignored",
        "padding after a text changes its outputs: mask the tokens that equal padding_id",
    ),
    (
        DividesByNoToken,
        "padding_is_ignored",
        "a text that is only padding gives NaN: leave one of its tokens unmasked",
    ),
    (
        SavesAThing,
        "a_checkpoint_loads_anywhere",
        "weights_only=True refuses the checkpoint: Weights only load failed. ",
    ),
    (
        LoadsOtherWeights,
        "a_checkpoint_loads_anywhere",
        "network.0.bias differs after loading: do not change weights in the loading hooks",
    ),
    (
        HasStateInAnAttribute,
        "a_checkpoint_loads_anywhere",
        "the loaded model has different outputs: keep all state in parameters, buffers and hparams",
    ),
    (
        ClassifiesOnly,
        "each_task_trains",
        "with {'num_targets': 2, 'task': 'regression'}: forward returns (4, 3) for 4 samples: expected (4, 2), as "
        "self.num_outputs says",
    ),
    (Raises, "outputs_have_one_row_per_sample", "ZeroDivisionError: no forward today"),
]


@pytest.mark.parametrize("model", [Good, Bag])
def test_the_classes_that_the_broken_ones_come_from_keep_the_contract(model: type[LitTask]) -> None:
    assert check_model(model).passed


@pytest.mark.parametrize(("model", "check", "message"), BROKEN, ids=lambda x: getattr(x, "__name__", None))
def test_a_broken_rule_is_found_by_its_check(model: type[LitTask], check: str, message: str) -> None:
    (kind,) = model.accepts
    with pytest.raises(ContractError) as caught:
        check_model(model, settings={"num_classes": 3} | ({"num_features": 4} if model is ForgetsSettings else {}))
    assert caught.value.check == check
    assert str(caught.value).startswith(f"{model.__name__}: {check} [{kind}]: {message}")


def test_each_check_can_fail() -> None:
    assert {check for _, check, _ in BROKEN} == {check.__name__ for check in MODEL_CHECKS}


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
def test_each_check_says_what_it_asks(check: Callable[..., None]) -> None:
    assert check.__doc__


def test_errors_of_the_constructor_are_raised_as_they_are() -> None:
    with pytest.raises(UserError, match=r"^num_classes must be at least 2, got 1$"):
        check_model(Good, settings={"num_classes": 1})
    with pytest.raises(TypeError, match=r"^Good has no setting width$"):
        check_model(Good, settings={"width": 1})


class Sizeless(LitClassifier):
    accepts: ClassVar[frozenset[str]] = frozenset({"features"})

    def __init__(self) -> None:
        super().__init__(num_classes=2)
        self.network = nn.Linear(3, 1)


def test_a_class_whose_inputs_are_unknown_needs_a_batch() -> None:
    with pytest.raises(UserError) as caught:
        check_model(Sizeless)
    assert str(caught.value) == (
        "Sizeless was not checked: its settings do not say the size of features: it needs a batch, "
        "check_model(…, batch=…)"
    )
    report = check_model(Sizeless, batch=(torch.rand(5, 3), torch.tensor([0, 1, 0, 1, 1])))
    assert len(report.passed) == len(MODEL_CHECKS) - 2
    assert report.skipped == {
        "padding_is_ignored": "only for models of tokens that take padding_id",
        "each_task_trains": "only for a LitTask that takes num_classes, and whose batches are made from its settings",
    }


class Autoencoder(L.LightningModule):
    """A module that knows nothing of this package."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(6, width), nn.Linear(width, 6))

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layers(x)
        return outputs

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self(batch), batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TwoNetworks(L.LightningModule):
    """Manual optimisation with two optimizers, and no forward."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.one, self.two = nn.Linear(3, 1), nn.Linear(3, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        for network, optimizer in zip((self.one, self.two), self.optimizers(), strict=True):
            optimizer.zero_grad()
            self.manual_backward(network(batch).square().mean())
            optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.one, self.two)]


class UnusedEncoder(Autoencoder):
    def __init__(self, width: int = 2) -> None:
        super().__init__(width)
        self.unused = nn.Linear(2, 2)


OF_ANY_MODULE = [
    "hyper_parameters_are_plain",
    "the_constructor_draws_only_weights",
    "every_parameter_gets_a_gradient",
    "training_changes_every_weight",
    "evaluation_is_deterministic",
    "samples_do_not_depend_on_their_batch",
    "a_checkpoint_loads_anywhere",
]


def test_a_module_that_is_not_ours_is_checked_as_far_as_it_can_be() -> None:
    report = check_model(Autoencoder, settings={"width": 3}, batch=torch.rand(5, 6))
    assert report.passed == OF_ANY_MODULE
    assert report.skipped["predictions_are_in_range"] == "the class is not a LitTask"
    without = check_model(Autoencoder)
    assert without.passed == OF_ANY_MODULE[:2]
    assert without.skipped["training_changes_every_weight"] == (
        "it needs a batch: check_model(…, batch=…), as training_step takes it"
    )
    with pytest.raises(ContractError, match=r": every_parameter_gets_a_gradient: unused\.weight gets no gradient: "):
        check_model(UnusedEncoder, batch=torch.rand(5, 6))


def test_manual_optimization_without_forward_is_checked_too() -> None:
    report = check_model(TwoNetworks, batch=torch.rand(5, 3))
    assert {"every_parameter_gets_a_gradient", "training_changes_every_weight"} <= set(report.passed)
    assert report.skipped["evaluation_is_deterministic"] == "the class has no forward"


class Lazy(Autoencoder):
    """A layer whose size follows from the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 6))


def test_a_module_with_a_lazy_layer_is_checked() -> None:
    report = check_model(Lazy, batch=torch.rand(5, 6))
    assert report.passed == OF_ANY_MODULE


class OfMappings(Autoencoder):
    """`forward` takes a tensor, and `training_step` a mapping."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self(batch["x"]), batch["x"])


def test_checks_of_forward_are_skipped_if_it_does_not_take_the_batch() -> None:
    report = check_model(OfMappings, batch={"x": torch.rand(5, 6)})
    assert "training_changes_every_weight" in report.passed
    assert report.skipped["evaluation_is_deterministic"] == ("forward does not take the inputs of the batch: TypeError")
