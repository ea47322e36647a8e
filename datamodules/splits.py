"""Draws validation and test parts, so that each part has the classes in the same proportions."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from datamodules.errors import UserError, require_fraction
from datamodules.seeds import seed_from
from datamodules.storage.checksums import note

Split = Literal["train", "val", "test"]
PURPOSES: dict[Split, str] = {"train": "train on", "val": "validate on", "test": "test or predict"}
"""What each part is for, for messages."""
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The names of splits in folders and tables, in lower case."""


class Parts(NamedTuple):
    """Positions of the samples of each part, int64, in increasing order."""

    train: Tensor
    val: Tensor
    test: Tensor


def digest_of(names: Iterable[str]) -> str:
    """SHA-256 over names in their order."""
    return hashlib.sha256("".join(f"{len(name)}:{name}" for name in names).encode(errors="surrogatepass")).hexdigest()


def check_drawn(trained: str | None, now: str | None, *, source: object, stage: str) -> None:
    """Compares the drawn parts with those of the training. They differ if samples were added, removed or changed, and a
    new test part then has samples that were trained on.

    Args:
        trained: `digest_of` the drawn samples of the training; None if nothing was drawn.
        now: the same for this command.
        source: the file or the folder.
        stage: the stage of `setup`. A training may continue with other data, and prints a note.

    Raises:
        UserError: the parts differ, and the stage is not "fit".
    """
    if trained is None or now is None or trained == now:
        return
    problem = f"{source} has changed since the training, so other samples are drawn for validation and testing"
    if stage == "fit":
        note(f"{problem}; the model may have been trained on some of them")
        return
    raise UserError(f"{problem}: restore the data, or keep test samples in a file or folder of their own")


def require_shares(val_fraction: float, test_fraction: float) -> None:
    """Checks the shares of the validation and the test part.

    Raises:
        UserError: a share is out of its range, or no sample is left for training.
    """
    require_fraction(val_fraction=val_fraction, test_fraction=test_fraction)
    if val_fraction + test_fraction >= 1:
        raise UserError(f"val_fraction and test_fraction add up to {val_fraction + test_fraction:g}, not below 1")


def draw_parts(groups: Sequence[int], *, val_fraction: float, test_fraction: float, seed: int, unit: str) -> Parts:
    """Draws a validation and a test part. Each group, such as a class, gives its share, and keeps at least one sample
    for training.

    Args:
        groups: the group of each sample.
        val_fraction: fraction of the samples for validation, 0 or more; 0 means none.
        test_fraction: the same for testing.
        seed: seed of the draw.
        unit: name of the samples, for messages.

    Raises:
        UserError: there are too few samples.
    """
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    generator = torch.Generator().manual_seed(seed_from(seed, len(groups)))
    orders = []
    for group in sorted(members):
        positions = torch.tensor(members[group])
        orders.append(positions[torch.randperm(len(positions), generator=generator)])
    left = [len(order) for order in orders]
    taken: dict[str, list[Tensor]] = {"test": [], "val": []}
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        counts = _shares([len(order) for order in orders], left, fraction)
        if fraction and not sum(counts):
            flags = "--data.val_fraction 0 --data.test_fraction 0"
            raise UserError(f"{len(groups)} {unit} are too few for a {name} part: add some, or set {flags}")
        for i, (order, count) in enumerate(zip(orders, counts, strict=True)):
            taken[name].append(order[left[i] - count : left[i]])
            left[i] -= count
    train = [order[:count] for order, count in zip(orders, left, strict=True)]
    none = torch.empty(0, dtype=torch.int64)
    return Parts(*(torch.cat([none, *part]).sort().values for part in (train, taken["val"], taken["test"])))


def _shares(sizes: list[int], left: list[int], fraction: float) -> list[int]:
    """How many samples each group gives: its fraction, rounded so that the sum is right, and at most all but one."""
    total = sum(sizes)
    wanted = max(1, round(total * fraction)) if fraction else 0
    counts = [min(int(size * fraction), rest - 1) for size, rest in zip(sizes, left, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (int(sizes[i] * fraction) - sizes[i] * fraction, -sizes[i]))
    for i in by_remainder:
        if sum(counts) < wanted and counts[i] < left[i] - 1:
            counts[i] += 1
    return counts
