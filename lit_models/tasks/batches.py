"""Batches against the model's settings: data that do not fit are refused, with both shapes or with the wrong value.

The sizes of the first batch are checked before it is computed. Targets can be wrong in any batch, and some of them have
a loss all the same, such as class 2 for a sigmoid. A look at each batch would make a GPU wait in each step, so the
targets of some batches are looked at together.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.tasks.targets import Target, shape_of

BATCHES = 50
"""Batches whose targets are looked at together."""


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


class TargetCheck:
    """Finds a wrong target in any batch of an epoch, at most `BATCHES` batches later.

    Args:
        target: what one target should be.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batches: list[tuple[str, int, Tensor]] = []
        """What was not looked at yet: the split, the index of the batch and its target."""

    def add(self, split: str, batch_idx: int, target: Tensor) -> None:
        """Keeps the target of a batch, and looks at all that were kept if they are many.

        Raises:
            UserError: a target is wrong.
        """
        self.batches.append((split, batch_idx, target))
        if len(self.batches) == BATCHES:
            self.look()

    def look(self) -> None:
        """Looks at the targets that were kept.

        Raises:
            UserError: a target is wrong; names the batch.
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
