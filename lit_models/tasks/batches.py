"""The first batch against the model's settings: data that cannot tell their sizes are refused with both shapes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.targets import Target, shape_of


def num_samples(inputs: Any) -> int:
    """Samples in the inputs of a batch, which are a tensor `(B, ...)` or a mapping of such tensors."""
    return len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)


def check_batch(settings: Mapping[str, Any], target: Target, inputs: Any, wanted: Tensor | None = None) -> None:
    """Compares one batch with the sizes that a model was built with.

    Args:
        settings: the model's hyper-parameters; `image_size`, `num_features` and `vocab_size` are compared if they are
            there.
        target: what one target should be.
        inputs: the batch's inputs. A mapping is the network's own matter.
        wanted: the batch's target, if there is one.

    Raises:
        UserError: they do not fit; names both shapes and the flags that mend it.
    """
    if isinstance(inputs, Tensor) and len(inputs):
        for check in (_images, _features, _tokens):
            if problem := check(settings, inputs):
                raise UserError(problem)
    if wanted is not None and (problem := target.mismatch(wanted)):
        raise UserError(f"the data's target is {problem}")


def _images(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    if "image_size" not in settings or "num_channels" not in settings:
        return None
    channels, size = settings["num_channels"], settings["image_size"]
    expected = f"the model expects images (B, {channels}, {size}, {size})"
    if inputs.ndim != 4 or not inputs.is_floating_point():
        return f"the data give {shape_of(inputs)}, and {expected}"
    if tuple(inputs.shape[1:]) == (channels, size, size):
        return None
    found, height, width = inputs.shape[1:]
    mend = f"set --model.num_channels {found} --model.image_size {height}" if height == width else "make them square"
    return f"the data give images (B, {found}, {height}, {width}), and {expected}: {mend}"


def _features(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    wanted = settings.get("num_features")
    if wanted is None:
        return None
    found = inputs[0].numel()
    if found == wanted and inputs.is_floating_point():
        return None
    mend = f": set --model.num_features {found}" if found != wanted else ", and the model reads floating-point numbers"
    return f"the data give {shape_of(inputs)}, and the model expects {wanted} numbers a sample{mend}"


def _tokens(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    size = settings.get("vocab_size")
    if size is None or settings.get("checkpoint"):  # a pretrained model has a vocabulary of its own
        return None
    if inputs.ndim != 2 or inputs.is_floating_point():
        return f"the data give {shape_of(inputs)}, and the model expects token ids, int64 (B, T)"
    smallest, largest = int(inputs.min()), int(inputs.max())
    if smallest < 0:
        return f"the data give the token id {smallest}, and the model has the ids 0 to {size - 1}"
    if largest < size:
        return None
    return f"the data give the token id {largest}, and the model has {size}: set --model.vocab_size {largest + 1}"
