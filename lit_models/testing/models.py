"""The contract of a model: one function for each rule that `check_model` checks."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torchmetrics import Metric

from datamodules.errors import UserError
from datamodules.spec import Kind, TaskName
from lit_models.tasks.targets import Classification, MultiLabel
from lit_models.tasks.task import LitClassifier, LitTask
from lit_models.testing.examples import ModelCase, constructor_settings, count, outputs_of, quiet_lightning, rows, train
from lit_models.testing.report import ContractError, Report, SkipCheckError, generator_states, same_conditions

PLAIN = (type(None), bool, int, float, str)


def hyper_parameters_are_plain(case: ModelCase) -> None:
    """`hparams` has each setting of the constructor, as None, a bool, a number, a string, or lists and dicts of those.
    They build a model of the same shape."""
    module = case.build()
    stored = dict(module.hparams)
    if missing := [name for name in case.settings if name not in stored]:
        raise ContractError(f"hparams lack {', '.join(missing)}: call self.save_hyperparameters() in the constructor")
    for name, value in stored.items():
        if not is_plain(value):
            raise ContractError(f"the setting {name} is a {type(value).__name__}: use strings, numbers, lists or dicts")
    known = {name: stored[name] for name in constructor_settings(case.model) if name in stored}
    again = replace(case, settings=known).build()
    if shapes(again) != shapes(module):
        raise ContractError("a model built from hparams has other weight names or shapes: save each setting as given")


def is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold the value without naming a class."""
    if isinstance(value, Mapping):
        return all(type(key) in PLAIN and is_plain(item) for key, item in value.items())
    return all(map(is_plain, value)) if type(value) in (list, tuple) else type(value) in PLAIN


def shapes(module: nn.Module) -> dict[str, Any]:
    """The shape of each entry of the state dict; None for a lazy one, which has no shape before the first batch."""
    return {name: None if is_lazy(value) else value.shape for name, value in module.state_dict().items()}


def the_constructor_draws_only_weights(case: ModelCase) -> None:
    """The constructor draws initial weights from torch's generator and no other random number. It sets no seed."""
    before = generator_states(with_torch=False)
    first, again, other = case.build(), case.build(), case.build(seed=1)
    if torch.initial_seed() != 1:
        raise ContractError("the constructor sets torch's seed: leave that to --seed_everything")
    if generator_states(with_torch=False) != before:
        raise ContractError("the constructor draws from Python's or numpy's generator: use torch's")
    for name, value in first.state_dict().items():
        if not is_lazy(value) and not torch.equal(value, again.state_dict()[name]):
            raise ContractError(f"{name} differs between two models of the same seed: draw it from torch's generator")
    buffers = dict(other.named_buffers())
    for name, value in first.named_buffers():
        if not torch.equal(value, buffers[name]):
            raise ContractError(f"the buffer {name} is random: only parameters may be")
    if dict(first.hparams) != dict(other.hparams):
        raise ContractError("hparams depend on the seed: only parameters may be random")


def outputs_have_one_row_per_sample(case: ModelCase) -> None:
    """`forward` returns finite numbers `(B, num_outputs)`, for a batch of one sample too. For two classes, there may be
    one output or two."""
    module = case.task()
    inputs = case.inputs_for(module)
    for size in (count(inputs), 1):
        outputs = outputs_of(module, rows(inputs, 0, size))
        classes = len(module.target.names) if isinstance(module.target, Classification) else module.num_outputs
        if outputs.shape not in ((size, module.num_outputs), (size, classes)):
            wanted = f"expected ({size}, {module.num_outputs}), as self.num_outputs says"
            raise ContractError(f"forward returns {tuple(outputs.shape)} for {size} samples: {wanted}")
        if not outputs.isfinite().all():
            raise ContractError(f"forward returns NaN or infinity for {size} samples")


def predictions_are_in_range(case: ModelCase) -> None:
    """Predictions of classes are probabilities `(B, C)` that sum to 1, those of labels are probabilities `(B, L)`, and
    those of a regression are finite numbers `(B, D)`."""
    module = case.task()
    outputs = outputs_of(module, case.inputs_for(module))
    predictions = module.predictions(outputs)
    if predictions.ndim != 2 or predictions.shape[1] != len(module.target.names):
        raise ContractError(f"predictions are {tuple(predictions.shape)}: expected (B, {len(module.target.names)})")
    if not predictions.isfinite().all():
        raise ContractError("predictions are NaN or infinite")
    if isinstance(module.target, Classification | MultiLabel) and not ((predictions >= 0) & (predictions <= 1)).all():
        raise ContractError("predictions are not from 0 to 1: apply a sigmoid or softmax in predictions()")
    sums_to_one = isinstance(module.target, Classification) and (
        outputs.shape[1] == 1 or module.target.loss == "cross_entropy"
    )
    if sums_to_one and not torch.allclose(predictions.sum(dim=1), torch.ones(()), rtol=0, atol=1e-5):
        raise ContractError("the probabilities of the classes do not sum to 1")


def every_parameter_gets_a_gradient(case: ModelCase) -> None:
    """Training gives each parameter with `requires_grad` a finite gradient with at least one value that is not 0."""
    training = train(case)
    for name, weight in training.module.named_parameters():
        if weight.requires_grad and name not in training.moved:
            raise ContractError(f"{name} gets no gradient: use it in forward, or set requires_grad to False")


def training_changes_every_weight(case: ModelCase) -> None:
    """A few steps of a Trainer change each parameter with `requires_grad`, and no other."""
    before = case.build().state_dict()
    for name, weight in train(case).module.named_parameters():
        changed = is_lazy(before[name]) or not torch.equal(weight.detach(), before[name])
        if weight.requires_grad and not changed:
            raise ContractError(f"training does not change {name}: give it to the optimizer")
        if changed and not weight.requires_grad:
            raise ContractError(f"training changes {name}, which is frozen")
        if not weight.isfinite().all():
            raise ContractError(f"training makes {name} NaN or infinite")


def evaluation_is_deterministic(case: ModelCase) -> None:
    """In evaluation mode, the same inputs give the same outputs."""
    module = case.build()
    inputs = case.inputs_for(module)
    if not torch.equal(outputs_of(module, inputs), outputs_of(module, inputs)):
        raise ContractError("two evaluations of the same inputs differ: is dropout on in evaluation mode?")


def samples_do_not_depend_on_their_batch(case: ModelCase) -> None:
    """In evaluation mode, a sample has the same outputs alone and in a batch, up to rounding."""
    module = case.build()
    inputs = case.inputs_for(module)
    together = outputs_of(module, inputs)
    if together.shape[:1] != (count(inputs),):
        raise SkipCheckError("forward does not return one row per sample")
    for i in range(len(together)):
        if not close(outputs_of(module, rows(inputs, i, i + 1)), together[i : i + 1]):
            raise ContractError(f"sample {i} has different outputs alone and in its batch: do not mix samples")


def padding_is_ignored(case: ModelCase) -> None:
    """A model of tokens that takes `padding_id` gives the same outputs with more padding after the tokens, and finite
    outputs for a text that is only padding. If the model also takes `mask_padding`, this is tested with it on."""
    settings = constructor_settings(case.model)
    if case.kind != "tokens" or "padding_id" not in settings:
        raise SkipCheckError("only for models of tokens that take padding_id")
    masked = {"mask_padding": True} if "mask_padding" in settings else {}
    module = replace(case, settings={**case.settings, **masked}).task()
    padded = case.inputs_for(module).clone()
    half = padded.shape[1] // 2
    if not half:
        raise SkipCheckError("max_length leaves no room for padding")
    padded[:, half:] = case.sizes(module)["padding_id"]
    if not close(outputs_of(module, padded), outputs_of(module, padded[:, :half])):
        raise ContractError("padding after a text changes its outputs: mask the tokens that equal padding_id")
    padded[0] = padded[0, -1]
    if not outputs_of(module, padded).isfinite().all():
        raise ContractError("a text that is only padding gives NaN: leave one of its tokens unmasked")


def close(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two outputs are equal up to the rounding of float32."""
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def the_network_trains_without_lightning(case: ModelCase) -> None:
    """`self.network` is a plain module that holds every parameter, no loss and no metric. It trains in a bare loop."""
    module = case.task()
    if not isinstance(getattr(module, "network", None), nn.Module):
        raise ContractError("there is no network: set self.network in the constructor")
    for name, part in module.network.named_modules():
        if isinstance(part, L.LightningModule | Metric | nn.modules.loss._Loss):
            raise ContractError(f"network.{name} is a {type(part).__name__}: keep losses and metrics outside of it")
    if outside := [name for name, _ in module.named_parameters() if not name.startswith("network.")]:
        raise ContractError(f"{', '.join(outside)} is outside the network: make it a part of self.network")
    optimizer = torch.optim.SGD(module.network.parameters(), lr=0.01)
    before = [weight.detach().clone() for weight in module.network.parameters()]
    cast(Tensor, module.network(case.inputs_for(module))).square().sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if all(torch.equal(a, b) for a, b in zip(before, module.network.parameters(), strict=True)):
        raise ContractError("a step of a bare loop changes no weight of the network")


def a_checkpoint_loads_anywhere(case: ModelCase) -> None:
    """A Trainer's checkpoint loads by `load_from_checkpoint` with `weights_only=True`, from the file alone. The loaded
    model has the same weights and outputs."""
    training = train(case)
    assert training.trainer is not None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        with quiet_lightning():
            training.trainer.save_checkpoint(path)
        try:
            loaded = case.model.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise ContractError(f"weights_only=True refuses the checkpoint: {str(error).splitlines()[0]}") from error
    trained = training.module.state_dict()
    for name, value in loaded.state_dict().items():
        if not torch.equal(value, trained[name]):
            raise ContractError(f"{name} differs after loading: do not change weights in the loading hooks")
    inputs = case.inputs_for(loaded)
    if not torch.equal(outputs_of(loaded, inputs), outputs_of(training.module, inputs)):
        raise ContractError("the loaded model has different outputs: keep all state in parameters, buffers and hparams")


def each_task_trains(case: ModelCase) -> None:
    """A LitTask that takes `task` trains on classes, two classes, labels and numbers; a LitClassifier on classes."""
    settings = constructor_settings(case.model)
    if not issubclass(case.model, LitTask) or case.batch is not None or "num_classes" not in settings:
        raise SkipCheckError("only for a LitTask that takes num_classes, and whose batches are made from its settings")
    tasks: list[tuple[TaskName, dict[str, int]]] = [("classification", {"num_classes": n}) for n in (2, 3)]
    if "task" in settings and not issubclass(case.model, LitClassifier):
        tasks += [("multilabel", {"num_classes": 3}), ("regression", {"num_targets": 2})]
    of_a_task = {"task", "num_classes", "num_targets", "class_names", "target_names", "loss", "metrics"}
    others = {name: value for name, value in case.settings.items() if name not in of_a_task}
    for task, size in tasks:
        chosen = {} if task == "classification" else {"task": task}
        variant = replace(case, settings={**others, **size, **chosen})
        try:
            outputs_have_one_row_per_sample(variant)
            predictions_are_in_range(variant)
            train(variant)
        except ContractError as error:
            raise ContractError(f"with {variant.settings}: {error}") from None


MODEL_CHECKS = (
    hyper_parameters_are_plain,
    the_constructor_draws_only_weights,
    the_network_trains_without_lightning,
    outputs_have_one_row_per_sample,
    predictions_are_in_range,
    every_parameter_gets_a_gradient,
    training_changes_every_weight,
    evaluation_is_deterministic,
    samples_do_not_depend_on_their_batch,
    padding_is_ignored,
    a_checkpoint_loads_anywhere,
    each_task_trains,
)


def check_model(
    model: type[L.LightningModule], *, settings: Mapping[str, Any] | None = None, batch: Any = None
) -> Report:
    """Checks that a model keeps the contract that the models of this package keep.

    Args:
        model: a subclass of LitTask, or any LightningModule, for which only the checks that apply run.
        settings: arguments of the constructor, best with small sizes.
        batch: a batch for `training_step`. If not given, random inputs are made for each kind of data that the class
            accepts, in the sizes that its settings name.

    Returns:
        the checks that passed and those that do not apply.

    Raises:
        ContractError: a check failed.
        UserError: no batch can be made. Errors of the constructor are raised as they are.
    """
    report = Report(model.__name__)
    case = ModelCase(model, settings or {}, batch=batch)
    with same_conditions():
        module = case.build()
    if not isinstance(module, LitTask) or batch is not None:
        report.run(MODEL_CHECKS, case)
        return report
    for kind in get_args(Kind):
        if kind in module.accepts:
            case = replace(case, kind=kind)
            try:
                case.batch_for(module)
            except SkipCheckError as reason:
                report.skipped[kind] = str(reason)
            else:
                report.run(MODEL_CHECKS, case, part=kind)
    if not report.passed:
        raise UserError(f"{model.__name__} was not checked: {'; '.join(report.skipped.values())}")
    return report
