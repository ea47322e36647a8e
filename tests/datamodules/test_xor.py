"""XOR and parity: rows, passes, noise, and rows of a user's own."""

import hashlib
import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.errors import UserError
from datamodules.spec import DataSpec
from datamodules.xor import XORDataModule

XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def small(_: Path) -> list[dict[str, Any]]:
    """Settings that `tests/testing/test_data.py` checks."""
    return [{"passes": 3}, {"num_bits": 3, "passes": 2, "noise": 0.1, "batch_size": 3}]


@pytest.fixture
def double() -> Iterator[None]:
    """The default type that the precision 64-true sets."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def ready(data: XORDataModule, stage: str = "fit") -> XORDataModule:
    data.setup(stage)
    return data


def steps(data: XORDataModule) -> tuple[Tensor, Tensor]:
    """Inputs `(steps, rows, bits)` and targets `(steps, rows)` of an epoch."""
    inputs, target = zip(*data.train_dataloader(), strict=True)
    return torch.stack(inputs), torch.stack(target)


def test_every_step_is_the_four_rows_in_order() -> None:
    inputs, target = steps(ready(XORDataModule(passes=5)))
    assert inputs.tolist() == [XOR] * 5
    assert target.tolist() == [[0, 1, 1, 0]] * 5
    assert (inputs.dtype, target.dtype) == (torch.float32, torch.int64)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_rows_have_the_default_precision(noise: float) -> None:
    inputs, _ = steps(ready(XORDataModule(passes=2, noise=noise)))
    assert inputs.dtype == torch.float64


@pytest.mark.parametrize("num_bits", [2, 3, 5, 12])
def test_the_target_is_one_where_an_odd_number_of_bits_is(num_bits: int) -> None:
    data = ready(XORDataModule(num_bits=num_bits, passes=1))
    inputs, target = steps(data)
    rows = list(product([0, 1], repeat=num_bits))
    assert inputs.tolist() == [[list(map(float, row)) for row in rows]]
    assert target.tolist() == [[row.count(1) % 2 for row in rows]]
    assert data.spec() == DataSpec(num_features=num_bits, num_classes=2, class_names=["0", "1"])


def test_a_smaller_batch_splits_the_passes() -> None:
    inputs, _ = zip(*ready(XORDataModule(passes=2, batch_size=3)).train_dataloader(), strict=True)
    assert [part.tolist() for part in inputs] == [XOR[:3], [XOR[3], *XOR[:2]], XOR[2:]]


def test_noise_is_gaussian_around_the_rows_and_new_in_each_pass() -> None:
    inputs, target = steps(ready(XORDataModule(passes=5000, noise=0.25)))
    noise = inputs - torch.tensor(XOR)
    n = noise.numel()  # 40,000
    assert abs(noise.mean().item()) < 5 * 0.25 / math.sqrt(n)  # 5 standard errors
    assert abs(noise.std().item() - 0.25) < 5 * 0.25 / math.sqrt(2 * n)
    assert len(set(noise.flatten().tolist())) > 0.9 * n  # float32 sums near 1 coincide now and then
    assert target.tolist() == [[0, 1, 1, 0]] * 5000


def test_noise_is_the_same_in_each_epoch_and_follows_the_seed() -> None:
    data = ready(XORDataModule(passes=3, noise=0.25, seed=1))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, _ = steps(data)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(steps(data)[0], first)
    assert torch.equal(steps(ready(XORDataModule(passes=3, noise=0.25, seed=1)))[0], first)
    assert not torch.equal(steps(ready(XORDataModule(passes=3, noise=0.25, seed=2)))[0], first)


def test_there_is_no_noise_in_evaluation_and_no_validation() -> None:
    data = ready(XORDataModule(noise=0.25))
    assert (data.has_validation, data.val_dataloader()) == (False, [])
    for loader in (data.test_dataloader(), data.predict_dataloader()):
        ((inputs, target),) = loader
        assert (inputs.tolist(), target.tolist()) == (XOR, [0, 1, 1, 0])
    assert data.predict_names() == ["0,0", "0,1", "1,0", "1,1"]


@pytest.mark.parametrize("given", ["1,0", ["1,0"]])
def test_one_row_to_predict(given: str | list[str]) -> None:
    data = ready(XORDataModule(inputs=given), "predict")
    ((inputs, target),) = data.predict_dataloader()
    assert (inputs.tolist(), target.tolist()) == ([[1.0, 0.0]], [-1])
    assert data.predict_names() == ["1,0"]


def test_rows_to_predict_may_be_any_numbers() -> None:
    data = ready(XORDataModule(inputs=["0.5, 1", "-1,2e-1", "0,0"]), "predict")
    ((inputs, _),) = data.predict_dataloader()
    assert torch.equal(inputs, torch.tensor([[0.5, 1.0], [-1.0, 0.2], [0.0, 0.0]]))
    assert data.predict_names() == ["0.5,1", "-1,0.2", "0,0"]


@pytest.mark.parametrize("row", ["1", "1,0,1", "a,b", "", "1;0", "nan,1", "1,inf"])
def test_a_row_that_is_none_is_refused(row: str) -> None:
    with pytest.raises(UserError) as caught:
        XORDataModule(inputs=[row]).setup("predict")
    assert str(caught.value) == f"a row has 2 numbers with commas, such as 0,1; got {row!r}"


def test_a_row_of_parity_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"^a row has 3 numbers with commas, such as 0,1,0; got '0,1'$"):
        XORDataModule(num_bits=3, inputs="0,1").setup("predict")


def test_an_empty_list_of_rows_is_refused() -> None:
    with pytest.raises(UserError, match=r"^inputs contain no row: give rows such as 0,1$"):
        XORDataModule(inputs=[]).setup("predict")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: XORDataModule(num_bits=1), "num_bits must be 2 to 12, got 1"),
        (lambda: XORDataModule(num_bits=13), "num_bits must be 2 to 12, got 13"),
        (lambda: XORDataModule(passes=0), "passes must be at least 1, got 0"),
        (lambda: XORDataModule(noise=-0.1), "noise must be 0 or a positive number, got -0.1"),
        (lambda: XORDataModule(noise=math.inf), "noise must be 0 or a positive number, got inf"),
        (lambda: XORDataModule(noise=math.nan), "noise must be 0 or a positive number, got nan"),
        (lambda: XORDataModule(batch_size=-1), "batch_size must be 0 (every row) or more, got -1"),
    ],
)
def test_a_number_out_of_its_range_is_refused(made: Callable[[], XORDataModule], message: str) -> None:
    with pytest.raises(UserError) as caught:
        made()
    assert str(caught.value) == message


def test_the_checksum_is_that_of_the_rows() -> None:
    rows, target = np.array(XOR, dtype=np.float32), np.array([0, 1, 1, 0])
    wanted = hashlib.sha256(rows.tobytes() + target.tobytes()).hexdigest()
    assert ready(XORDataModule()).checksums() == {"rows": wanted}


def test_a_row_that_is_none_is_left_out_among_others_and_lists_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    given: list[Any] = ["0,1", "x", [1, 0]]
    data = ready(XORDataModule(inputs=given), "predict")
    assert (data.predict_names(), data.num_skipped) == (["0,1", "1,0"], 1)
    expected = "a row has 2 numbers with commas, such as 0,1; got 'x'"
    assert capsys.readouterr().err == f"skipped: {expected}\n"
