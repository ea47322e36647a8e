"""Compares batches with the model's settings, and refuses data that do not fit. The message has both shapes, or the
wrong value.

The sizes are checked in the first batch, before it is computed. Targets can be wrong in any batch, and a wrong one may
have a loss, such as class 2 for a sigmoid. A check in every step would slow a GPU down, so the targets of several
batches are checked together.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.targets import Target, shape_of

BATCHES = 50
"""Number of batches whose targets are checked together."""


def num_samples(inputs: Any) -> int:
    """Number of samples in the inputs of a batch: a tensor `(B, ...)` or a mapping of such tensors."""
    return len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)


def parts_of(batch: Any) -> tuple[Any, Tensor]:
    """The inputs and the target of a batch.

    Raises:
        UserError: the batch has another form.
    """
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    if isinstance(batch, Mapping):
        given = f"a mapping with {', '.join(map(str, batch))}"
    elif isinstance(batch, tuple | list):
        given = f"{len(batch)} parts" if len(batch) != 2 else f"a target of type {type(batch[1]).__name__}"
    else:
        given = shape_of(batch) if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
    raise UserError(f"the data give {given}, and the model reads batches (inputs, target)")


def check_batch(
    settings: Mapping[str, Any],
    target: Target,
    inputs: Any,
    wanted: Tensor | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Compares a batch with the sizes of the model.

    Args:
        settings: the model's hyper-parameters; `image_size`, `num_features` and `vocab_size` are compared if present.
        target: the model's kind of target.
        inputs: inputs of the batch. The parts of a mapping are not checked.
        wanted: target of the batch, if there is one.
        dtype: of the model's weights.

    Raises:
        UserError: they do not fit; the message has both shapes and the flags that correct it.
    """
    sized = settings.keys() & {"image_size", "num_features", "vocab_size"} and not settings.get("checkpoint")
    if sized and isinstance(inputs, Mapping):
        raise UserError(f"the data give a mapping with {', '.join(inputs)} as inputs, and the model reads a tensor")
    if isinstance(inputs, Tensor) and len(inputs):
        for check in (_images, _features, _tokens):
            if problem := check(settings, inputs):
                raise UserError(problem)
        if inputs.dtype == torch.float64 and dtype != torch.float64:
            mend = "give float32, or set --trainer.precision 64-true"
            raise UserError(
                f"the data give {shape_of(inputs)}, and the model computes in {str(dtype).removeprefix('torch.')}: {mend}"
            )
    if wanted is not None and (problem := target.mismatch(wanted)):
        raise UserError(f"the data's target is {problem}")


class TargetCheck:
    """Detects a wrong target in any batch of an epoch, at most `BATCHES` batches later.

    Args:
        target: the model's kind of target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batches: list[tuple[str, int, Tensor]] = []
        """Targets that are not checked yet: the split, the index of the batch, and its target."""

    def add(self, split: str, batch_idx: int, target: Tensor) -> None:
        """Adds the target of a batch, and checks all added targets if there are `BATCHES` of them.

        Raises:
            UserError: a target is wrong.
        """
        self.batches.append((split, batch_idx, target))
        if len(self.batches) == BATCHES:
            self.look()

    def look(self) -> None:
        """Checks the targets that were added.

        Raises:
            UserError: a target is wrong; the message names the batch.
        """
        batches, self.batches = self.batches, []
        targets = [target for *_, target in batches]
        alike = len({(target.dtype, target.device, target.shape[1:]) for target in targets}) == 1
        if not batches or (alike and self.target.mismatch(torch.cat(targets)) is None):
            return
        for split, batch_idx, target in batches:
            if problem := self.target.mismatch(target):
                raise UserError(f"the data's target in {split} batch {batch_idx + 1} is {problem}")


def _images(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    if "image_size" not in settings or "num_channels" not in settings:
        return None
    channels, size = settings["num_channels"], settings["image_size"]
    height, width = size if isinstance(size, list | tuple) else (size, size)
    expected = f"the model expects images (B, {channels}, {height}, {width})"
    if inputs.ndim != 4 or not inputs.is_floating_point():
        return f"the data give {shape_of(inputs)}, and {expected}"
    if tuple(inputs.shape[1:]) == (channels, height, width):
        return None
    depth, high, wide = inputs.shape[1:]
    flag = str(high) if high == wide else f'"[{high},{wide}]"'
    mend = f"set --model.num_channels {depth} --model.image_size {flag}"
    if wide in (1, 3, 4) and depth > 4:
        mend = "put the channels first"
    return f"the data give images (B, {depth}, {high}, {wide}), and {expected}: {mend}"


def _features(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    wanted = settings.get("num_features")
    if wanted is None:
        return None
    size = inputs[0].numel()
    if size == wanted and inputs.is_floating_point():
        return None
    mend = f": set --model.num_features {size}" if size != wanted else ", and the model reads floating-point numbers"
    return f"the data give {shape_of(inputs)}, and the model expects {wanted} numbers a sample{mend}"


def _tokens(settings: Mapping[str, Any], inputs: Tensor) -> str | None:
    size = settings.get("vocab_size")
    if size is None or settings.get("checkpoint"):  # a pretrained model has its own vocabulary
        return None
    if inputs.ndim != 2 or inputs.is_floating_point():
        return f"the data give {shape_of(inputs)}, and the model expects token ids, int64 (B, T)"
    smallest, largest = int(inputs.min()), int(inputs.max())
    if smallest < 0:
        return f"the data give the token id {smallest}, and the model has the ids 0 to {size - 1}"
    if largest < size:
        return None
    return f"the data give the token id {largest}, and the model has {size}: set --model.vocab_size {largest + 1}"
