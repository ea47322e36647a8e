"""A setting is declared in one place: the constructor of a Lit class joins those of its network and of its task."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from lit_models.cnn import CNN, LitCNN
from lit_models.tasks.settings import joined_signature, split_settings
from lit_models.tasks.task import LitClassifier, LitTask


class Small(nn.Module):
    """A dense layer.

    Args:
        num_features: numbers in one sample.
        num_outputs: outputs of the layer.
        sizes: a list, as a mutable default.
    """

    def __init__(self, num_features: int = 2, num_outputs: int = 1, *, sizes: list[int] = [3, 4]) -> None:  # noqa: B006
        super().__init__()
        self.sizes = sizes
        self.line = nn.Linear(num_features, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs`: float `(B, F)`; returns `(B, num_outputs)`."""
        outputs: Tensor = self.line(inputs)
        return outputs


class LitSmall(LitTask, network=Small, num_classes=5, lr=0.25, sizes=[7]):
    """A dense layer of five classes."""


class LitPlain(LitClassifier):
    """A subclass that forwards its settings."""

    def __init__(self, *, num_classes: int = 3, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.network = Small(2, self.num_outputs)


def settings_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters by name, without `self` and `**unknown`."""
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if n != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD}


def test_the_settings_are_the_networks_without_num_outputs_and_then_the_tasks() -> None:
    of_network = [name for name in settings_of(CNN.__init__) if name != "num_outputs"]
    assert list(settings_of(LitCNN.__init__)) == [*of_network, *settings_of(LitTask.__init__)]


def test_defaults_and_types_are_those_of_network_and_task() -> None:
    declared = settings_of(CNN.__init__) | settings_of(LitTask.__init__)
    for name, parameter in settings_of(LitCNN.__init__).items():
        assert parameter.annotation == declared[name].annotation, name
        if name != "num_classes":  # the class statement replaces it
            assert parameter.default == declared[name].default, name


def test_every_setting_is_keyword_only() -> None:
    assert {p.kind for p in settings_of(LitCNN.__init__).values()} == {inspect.Parameter.KEYWORD_ONLY}
    build: Any = LitCNN
    with pytest.raises(TypeError) as caught:
        build(3)
    assert str(caught.value) == "LitCNN.__init__() takes 1 positional argument but 2 were given"


def test_the_help_text_of_a_constructor_is_the_networks() -> None:
    assert LitCNN.__init__.__doc__ == CNN.__doc__
    assert LitSmall.__init__.__doc__ == Small.__doc__


def test_a_constructor_is_named_after_its_class() -> None:
    assert (LitCNN.__init__.__name__, LitCNN.__init__.__qualname__) == ("__init__", "LitCNN.__init__")


def test_the_class_statement_replaces_defaults_of_network_and_task() -> None:
    replaced = {name: settings_of(LitSmall.__init__)[name].default for name in ("num_classes", "lr", "sizes")}
    assert replaced == {"num_classes": 5, "lr": 0.25, "sizes": [7]}
    model = LitSmall()
    assert (model.num_outputs, model.hparams["lr"]) == (5, 0.25)
    assert cast(Small, model.network).sizes == [7]


def test_a_replaced_default_leaves_network_and_task_as_they_are() -> None:
    assert settings_of(Small.__init__)["sizes"].default == [3, 4]
    assert settings_of(LitTask.__init__)["lr"].default == 1e-3
    assert settings_of(LitTask.__init__)["num_classes"].default is None


def test_a_given_setting_goes_before_a_default() -> None:
    model = LitSmall(num_features=6, num_classes=3, lr=0.5, sizes=[1, 2])
    assert tuple(model(torch.zeros(1, 6)).shape) == (1, 3)
    assert model.hparams["lr"] == 0.5
    assert cast(Small, model.network).sizes == [1, 2]


@pytest.mark.parametrize("lit", [LitCNN, LitSmall])
def test_an_unknown_setting_of_a_generated_constructor_is_named(lit: type[LitTask]) -> None:
    with pytest.raises(TypeError) as caught:
        lit(learning_rate=0.1)
    assert str(caught.value) == "got an unexpected keyword argument 'learning_rate'"


def test_num_outputs_is_not_a_setting() -> None:
    with pytest.raises(TypeError) as caught:
        LitCNN(num_outputs=3)
    assert str(caught.value) == "got an unexpected keyword argument 'num_outputs'"


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: LitTask(learning_rate=0.1), "LitTask has no setting learning_rate"),
        (lambda: LitClassifier(num_classes=3, learning_rate=0.1), "LitClassifier has no setting learning_rate"),
        (lambda: LitPlain(learning_rate=0.1, size=3), "LitPlain has no setting learning_rate, size"),
    ],
)
def test_an_unknown_setting_of_a_task_is_named(build: Callable[[], LitTask], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        build()
    assert str(caught.value) == text


def test_hyper_parameters_hold_every_setting_with_its_default() -> None:
    defaults = {name: p.default for name, p in settings_of(LitCNN.__init__).items()}
    assert dict(LitCNN().hparams) == defaults


def test_hyper_parameters_hold_what_was_given() -> None:
    model = LitSmall(num_features=6, lr=0.5)
    defaults = {name: p.default for name, p in settings_of(LitSmall.__init__).items()}
    assert dict(model.hparams) == defaults | {"num_features": 6, "lr": 0.5}


def test_a_setting_of_both_network_and_task_is_refused() -> None:
    class Clash(nn.Module):
        def __init__(self, num_outputs: int = 1, *, lr: float = 0.1, loss: str = "mine") -> None:
            super().__init__()

    with pytest.raises(TypeError) as caught:
        type("LitClash", (LitTask,), {}, network=Clash)
    assert str(caught.value) == "Clash and its task both have the settings ['loss', 'lr']"


def test_a_default_of_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError) as caught:
        type("LitWrong", (LitTask,), {}, network=Small, width=3, depth=2)
    assert str(caught.value) == "Small and its task have no settings ['depth', 'width']"


def test_a_default_of_num_outputs_is_refused() -> None:
    with pytest.raises(TypeError) as caught:
        joined_signature(LitTask.__init__, Small, {"num_outputs": 3})
    assert str(caught.value) == "Small and its task have no settings ['num_outputs']"


def test_settings_are_split_into_the_networks_and_the_tasks() -> None:
    given = {"num_features": 2, "lr": 0.1, "sizes": [1], "task": "regression"}
    assert split_settings(given, Small) == (
        {"num_features": 2, "sizes": [1]},
        {"lr": 0.1, "task": "regression"},
    )


def test_a_model_loads_with_its_settings_and_weights_and_runs_no_code_of_the_checkpoint(tmp_path: Path) -> None:
    model = LitSmall(num_features=3, lr=0.5, sizes=[8])
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "small.ckpt")
    loaded = LitSmall.load_from_checkpoint(tmp_path / "small.ckpt", weights_only=True)
    assert dict(loaded.hparams) == dict(model.hparams)
    assert cast(Small, loaded.network).sizes == [8]
    inputs = torch.ones(2, 3)
    assert torch.equal(loaded(inputs), model(inputs))


@pytest.mark.parametrize(
    ("lit", "name"),
    [
        (LitCNN, "filters"),
        (LitCNN, "pool_size"),
        (LitCNN, "dense_sizes"),
        (LitCNN, "metrics"),
        (LitSmall, "sizes"),  # a default of the class statement
        (LitPlain, "metrics"),  # a constructor that is not generated
    ],
)
def test_mutable_defaults_are_not_shared_between_models(lit: Callable[[], LitTask], name: str) -> None:
    changed, other = lit(), lit()
    before = list(changed.hparams[name])
    changed.hparams[name].append(1)
    try:
        assert other.hparams[name] == before
        assert lit().hparams[name] == before
    finally:
        changed.hparams[name].pop()  # other tests read this list if it is the default itself


def test_a_list_that_is_given_is_not_shared_between_models() -> None:
    sizes = [1, 2]
    changed, other = LitSmall(sizes=sizes), LitSmall(sizes=sizes)
    cast(Small, changed.network).sizes.append(3)
    assert cast(Small, other.network).sizes == sizes == [1, 2]
