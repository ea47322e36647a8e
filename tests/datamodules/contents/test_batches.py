"""What is counted in batches: constant and infinite inputs, unknown words, samples to look at."""

import numpy as np
import torch

from datamodules.contents.batches import Words, histogram, inspected, picture
from datamodules.contents.repeats import Keys
from datamodules.spec import DataSpec

TWO = DataSpec(num_classes=2, class_names=["no", "yes"])


def test_constant_and_infinite_inputs_and_repeats_are_notes() -> None:
    inputs = torch.tensor([[1.0, 7.0], [2.0, 7.0], [1.0, 7.0], [torch.inf, 7.0]])
    parts = {"train": [(inputs[:2], torch.tensor([0, 1])), (inputs[2:], torch.tensor([0, 0]))]}
    contents = inspected(parts, TWO, kind="features", unit="rows")
    assert contents.notes == (
        "1 of 4 train rows repeat an earlier one (train[2] = train[0])",
        "1 of 4 train rows have numbers that are NaN or infinite",
        "inputs with the same number in each of the train rows: 1",
    )
    assert contents.samples[0]._asdict() | {"text": "1, 7"} == contents.samples[0]._asdict()
    assert [sample.label for sample in contents.samples] == ["no", "yes", "no", "no"]


def test_the_share_of_unknown_words_is_of_the_words_alone() -> None:
    spec = DataSpec(num_classes=2, vocab_size=10)
    tokens = torch.tensor([[0, 1, 5, 2], [1, 6, 7, 8]])  # 0 pads, 1 starts, 2 is unknown
    parts = {"train": [(tokens, torch.tensor([0, 1]))]}
    contents = inspected(parts, spec, kind="tokens", unit="texts", words=Words(2, (0, 1)))
    assert contents.facts == (("unknown words", "20.0 % of train"),)
    known = {"train": Keys(str)}
    assert inspected(parts, spec, kind="tokens", unit="texts", keys=known, words=Words(None, ())).facts == ()


def test_mappings_and_batches_without_targets_are_counted() -> None:
    batch = {"b": torch.arange(2), "a": torch.zeros(2, 3)}
    contents = inspected({"train": [(batch, None), (batch, None)]}, DataSpec(), kind=None, unit="samples")
    assert [(part.rows, part.counts) for part in contents.parts] == [(4, None)]
    assert contents.notes == ("2 of 4 train samples repeat an earlier one (train[2] = train[0], train[3] = train[1])",)


def test_batches_in_other_forms_are_counted_too() -> None:
    parts = {"train": [(torch.arange(3.0), torch.tensor(1.0)), (["text"], None), (torch.arange(2.0), torch.zeros(5))]}
    contents = inspected(parts, DataSpec(), kind=None, unit="samples")
    assert contents.notes == ("2 of 5 train samples repeat an earlier one (train[3] = train[0], train[4] = train[1])",)


def test_a_large_image_is_reduced_and_a_small_one_is_not() -> None:
    assert picture(torch.zeros(3, 256, 64, dtype=torch.uint8)).shape == (128, 32, 3)
    small = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3)
    assert picture(small).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_histogram_has_whole_bins_and_puts_outliers_into_the_last() -> None:
    bars = histogram("tokens", np.array([1, 2, 2, 4]), limit=3, limit_name="max_length")
    assert (bars.edges.tolist(), bars.counts.tolist()) == ([1, 2, 3, 4, 5], [1, 2, 0, 1])
    assert (bars.limit, bars.clipped) == (3, False)
    assert histogram("tokens", np.array([1, 2]), limit=100).limit is None
    bars = histogram("tokens", np.array([1] * 999 + [500]))
    assert (bars.counts.tolist(), bars.clipped) == ([1000], True)
