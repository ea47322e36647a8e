"""XOR, the data of the numpy program, and the parity of n bits. There is nothing to download."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.base import Batch, DataModule, Table, TensorTable
from datamodules.errors import UserError, require_at_least
from datamodules.spec import DataSpec, Kind
from datamodules.storage.checksums import array_checksum
from datamodules.storage.inputs import STANDARD_INPUT, Skipped, input_lines, kept


class NoisyRows:
    """The same rows repeated, with Gaussian noise on the inputs that differs in each pass over the rows.

    Args:
        rows: the rows without noise.
        passes: how many times the table repeats them.
        noise: standard deviation of the noise.
        seed: seed of the noise; pass k has the same noise in each epoch.
    """

    def __init__(self, rows: TensorTable, *, passes: int, noise: float, seed: int) -> None:
        self.rows, self.passes = rows, passes
        generator = torch.Generator().manual_seed(seed)
        shape = (passes if noise else 1, *rows.inputs.shape)
        self.noise = torch.randn(shape, generator=generator, dtype=rows.inputs.dtype) * noise

    def __len__(self) -> int:
        return self.passes * len(self.rows)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        inputs, target = self.rows[indices % len(self.rows)]
        if len(self.noise) == 1:
            return inputs, target
        return inputs + self.noise[indices // len(self.rows), indices % len(self.rows)], target


class XORDataModule(DataModule):
    """XOR's four rows (or parity of n bits), all of them in each step, in order.

    An epoch is `passes` passes over the rows, one step each: 10 epochs of 1,000 passes are the 10,000 passes of the
    numpy program.

    Args:
        num_bits: inputs of a row, 2 to 12; the target is 1 if an odd number of them is 1. 2 is XOR.
        passes: passes over all rows in an epoch, at least 1.
        noise: standard deviation of Gaussian noise on the training inputs, 0 or more.
        batch_size: rows in a step, 0 or more; 0 means all rows.
        seed: seed of the noise; the command line passes `--seed_everything`.
        inputs: rows to predict, each as numbers with commas, such as "0,1", or "-" for such lines on standard input;
            all rows if not given.

    Raises:
        UserError: a number out of its range, or a row of the wrong length.
    """

    kind: ClassVar[Kind] = "features"
    shuffle: ClassVar[bool] = False

    def __init__(
        self,
        *,
        num_bits: int = 2,
        passes: int = 1000,
        noise: float = 0.0,
        batch_size: int = 0,
        seed: int = 0,
        inputs: str | list[str] | None = None,
    ) -> None:
        if not 2 <= num_bits <= 12:
            raise UserError(f"num_bits must be 2 to 12, got {num_bits}")
        require_at_least(1, passes=passes)
        if not 0 <= noise < float("inf"):
            raise UserError(f"noise must be 0 or a positive number, got {noise}")
        if batch_size < 0:
            raise UserError(f"batch_size must be 0 (every row) or more, got {batch_size}")
        super().__init__(batch_size=batch_size or 2**num_bits, seed=seed, inputs=inputs)
        self.num_bits, self.passes, self.noise = num_bits, passes, noise

    def spec(self) -> DataSpec:
        return DataSpec(num_features=self.num_bits, num_classes=2, class_names=["0", "1"])

    @property
    def has_validation(self) -> bool:
        return False

    def setup(self, stage: str) -> None:
        bits = torch.cartesian_prod(*[torch.arange(2)] * self.num_bits)  # (2^n, n), in counting order
        rows = TensorTable(bits.to(torch.get_default_dtype()), bits.sum(dim=1) % 2)
        self.train_table = NoisyRows(rows, passes=self.passes, noise=self.noise, seed=self.seed)
        self.test_table = self.predict_table = rows
        if self.inputs is not None:
            skipped = Skipped(strict=self.strict_inputs)
            rows_read = [row for _, row in kept(self._given(self.inputs, skipped), self._row, skipped)]
            skipped.report(found=bool(rows_read), nothing="inputs contain no row: give rows such as 0,1")
            self.predict_table, self.num_skipped = TensorTable(torch.stack(rows_read)), skipped.count

    @staticmethod
    def _given(inputs: list[Any], skipped: Skipped) -> Iterator[Any]:
        for item in inputs:
            if isinstance(item, str) and item == STANDARD_INPUT:
                yield from (line for _, line in input_lines(skipped))
            else:
                yield item

    def _row(self, given: Any) -> Tensor:
        """A row of a text such as "0,1", or of a list or an array of numbers."""
        try:
            parts = given.split(",") if isinstance(given, str) else given
            row = torch.tensor([float(part) for part in parts])
        except (ValueError, TypeError):
            row = torch.empty(0)
        if len(row) != self.num_bits or not row.isfinite().all():
            example = ",".join("01"[i % 2] for i in range(self.num_bits))
            raise UserError(f"a row has {self.num_bits} numbers with commas, such as {example}; got {given!r}")
        return row.to(torch.get_default_dtype())

    def tables(self) -> dict[str, Table]:
        """The rows without noise. The test part has the same rows, so it is left out."""
        return {"train": self.test_table} if self.test_table is not None else {}

    def predict_names(self) -> list[str]:
        assert isinstance(self.predict_table, TensorTable)
        return [",".join(f"{x:g}" for x in row) for row in self.predict_table.inputs.tolist()]

    def checksums(self) -> dict[str, str]:
        assert isinstance(self.test_table, TensorTable)
        return {"rows": array_checksum(self.test_table.inputs, self.test_table.target)}
