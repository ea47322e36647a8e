"""Your own table of numbers and categories: classes, labels or numbers are predicted from the other columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.base import DataModule, TensorTable
from datamodules.columns.cells import NO_ROW, Columns, is_missing, joined, read_columns, read_inputs
from datamodules.columns.encoders import CategoryColumn, Encoder, Fill, NumberColumn, as_plain, from_plain, learn
from datamodules.columns.targets import Labels, Numbers, TargetColumns, require_columns
from datamodules.contents.columns import Used, facts_of
from datamodules.contents.counting import TargetCounts, counted
from datamodules.contents.facts import Contents, with_drawn
from datamodules.errors import UserError, listed
from datamodules.preprocessing import Preprocessing, of_columns
from datamodules.spec import UNITS, DataSpec, Kind
from datamodules.splits import PURPOSES, Split, check_drawn, digest_of, draw_parts, require_shares
from datamodules.storage.checksums import note, recorded_sha256
from datamodules.storage.dialects import make_dialect
from datamodules.storage.inputs import Skipped, kept
from datamodules.storage.lines import file_paths

NO_TRAINING = "no rows to train on were given: use --data.train_file with a table, or --ckpt_path"


class TableDataModule(DataModule):
    """Rows of numbers and categories, from your own table files.

    A column is numeric if each of its values is a number. Numbers are standardised: less the mean of the training
    part, divided by its standard deviation. Any other column has categories, and each category of the training part
    becomes one input. A category that is not in the training part has zeros there, and a note names it. Columns with
    one value are left out, and a note names them. A checkpoint contains these numbers and categories.

    The target is a class (`label_column`), a set of labels (with `label_separator`), or numbers (`target_columns`).
    A part without a file is drawn from the training file; each class gives its share. The tables are kept in memory.

    Args:
        train_file: a table such as `.csv`, `.tsv`, `.jsonl` or `.parquet` with named columns, or a list of tables with
            the same columns.
        val_file: the same for validation.
        test_file: the same for testing.
        label_column: name of the column with the class: a name, or an integer.
        label_separator: text between the labels of a row, such as ";"; if given, a row has any number of labels.
        target_columns: names of the columns with the numbers to predict; instead of `label_column`.
        feature_columns: names of the columns that are used; all others if not given.
        drop_columns: names of columns that are left out.
        category_columns: names of columns whose numbers are categories, such as codes.
        fill_missing: what replaces a missing number: the "mean" or "median" of the training part, or "zero". A missing
            category has zeros. If not given, missing values are refused. In numeric columns, an empty cell, NA, NaN,
            null, None and ? are missing.
        delimiter: character between the cells of `.csv` files, or "tab"; found in the header if not given, and said.
        encoding: encoding of `.csv` and `.tsv` files, such as "utf-8", "utf-16" or "cp1252"; found if not given, and
            said.
        val_fraction: fraction of the training file for validation without `val_file`, 0 or more and below 1.
        test_fraction: the same for testing without `test_file`.
        split_seed: seed of the drawn parts. It is not the seed of the run, so that all runs have the same test part.
        batch_size: rows in a step, over all processes, at least 1.
        seed: seed of the order; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches, 0 or more; with 0, the training process prepares them.
        inputs: table files to predict, folders or patterns of them, rows such as "5.1,red", or "-" for such rows on
            standard input; the test part if not given.

    Raises:
        UserError: a number out of its range, or a mistake in a file, with its line.
        MissingFileError: a file does not exist.
    """

    kind: ClassVar[Kind] = "features"
    fixed_settings: ClassVar[frozenset[str]] = frozenset(
        {"category_columns", "drop_columns", "feature_columns", "fill_missing", "label_separator", "target_columns"}
        | {"val_fraction", "test_fraction", "split_seed"}
    )

    def __init__(
        self,
        *,
        train_file: str | list[str] | None = None,
        val_file: str | list[str] | None = None,
        test_file: str | list[str] | None = None,
        label_column: str = "label",
        label_separator: str | None = None,
        target_columns: str | list[str] | None = None,
        feature_columns: str | list[str] | None = None,
        drop_columns: str | list[str] = [],  # noqa: B006  (read, never changed)
        category_columns: str | list[str] = [],  # noqa: B006
        fill_missing: Fill | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 32,
        seed: int = 0,
        num_workers: int = 0,
        inputs: str | list[str] | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers, inputs=inputs)
        require_shares(val_fraction, test_fraction)
        files: dict[Split, str | list[str] | None] = {"train": train_file, "val": val_file, "test": test_file}
        self.files = {split: file_paths(names) for split, names in files.items()}
        numbers = None if target_columns is None else as_list(target_columns)
        self.target: TargetColumns = make_target(label_column, label_separator, numbers)
        self.feature_columns = as_list(feature_columns or [])
        self.drop_columns, self.category_columns = as_list(drop_columns), as_list(category_columns)
        self.fill_missing, self.dialect = fill_missing, make_dialect(delimiter, encoding)
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self._parts: dict[Split, Columns] = {}
        self._drawn: str | None = None
        self._drawn_in_training: str | None = None
        self._encoders: list[Encoder] | None = None
        self._constant: list[str] = []

    def spec(self) -> DataSpec:
        """Reads the training file, unless a checkpoint has the columns."""
        encoders = self._known_encoders()
        return self.target.spec(num_features=sum(encoder.width for encoder in encoders))

    @property
    def has_validation(self) -> bool:
        return bool(self.files["val"]) or self.val_fraction > 0

    def setup(self, stage: str) -> None:
        if stage == "predict" and self.inputs is not None:
            encoders = self._known_encoders()
            skipped = Skipped(strict=self.strict_inputs)
            given = read_inputs(self.inputs, [encoder.name for encoder in encoders], skipped, self.dialect)
            rows, encoded = self._readable(list(given), skipped)
            skipped.report(found=bool(rows.places), nothing=NO_ROW)
            self._note_unknown(rows)
            self.input_names, self.num_skipped = rows.places, skipped.count
            self.predict_table = TensorTable(encoded, self.target.unknown(len(rows.places)))
            return
        if stage == "fit" and self.train_table is None:
            self.train_table = self._table("train")
        if stage in ("fit", "validate") and self.val_table is None and self._part("val") is not None:
            self.val_table = self._table("val")
        missing = stage == "test" and self._part("test") is None
        if stage in ("test", "predict") and self.test_table is None and not missing:
            self.test_table = self.predict_table = self._table("test")
        check_drawn(self._drawn_in_training, self._drawn, source=self._named("train"), stage=stage)

    def predict_names(self) -> Sequence[str]:
        """The row, or its file and line."""
        if self.input_names is None:
            part = self._part("test")
            self.input_names = [] if part is None else part.places
        return self.input_names

    def contents(self, spec: DataSpec) -> Contents:
        """What is in the parts that are set up, with the kinds of the columns, and the missing numbers."""
        contents, encoders, rows = super().contents(spec), self._known_encoders(), self._part("train")
        kinds = Counter(type(encoder) for encoder in encoders)
        inputs = sum(encoder.width for encoder in encoders)
        columns = f"{kinds[NumberColumn]} of numbers, {kinds[CategoryColumn]} of categories: {inputs} inputs"
        facts = [*contents.facts, ("columns", columns)]
        numbers = [encoder.name for encoder in encoders if isinstance(encoder, NumberColumn)] if rows else []
        counts = {name: sum(map(is_missing, rows.cells[name])) for name in numbers} if rows else {}
        if filled := ", ".join(f"{name} {count:,}" for name, count in counts.items() if count):
            facts.append(("missing numbers", f"replaced ({self.fill_missing}): {filled}"))
        parts = with_drawn(contents.parts, {split: len(rows.places) for split, rows in self._parts.items()})
        return replace(contents, parts=parts, facts=tuple(facts), notes=(*contents.notes, *self._left_out()))

    def _left_out(self) -> list[str]:
        """A note about the columns with one value."""
        return [f"columns with one value are left out: {listed(self._constant)}"] if self._constant else []

    def inspect(self) -> Contents:
        """Reads all rows. Columns that cannot be used are mistakes in the contents."""
        parts: dict[str, Columns] = {split: rows for split in PURPOSES if (rows := self._part(split)) is not None}
        if "train" not in parts:
            raise UserError(NO_TRAINING)
        self.target.learn(parts["train"])
        spec = self.target.spec(num_features=0)
        targets: dict[str, TargetCounts] = {}
        for split, rows in parts.items():
            targets[split] = TargetCounts(spec, len(rows.places))
            targets[split].add(self.target.encode(rows))
        contents = counted(spec, targets, unit=UNITS[self.kind])
        features = self._feature_names(parts["train"])
        facts = facts_of(parts, Used(features, self.target.columns, self.category_columns, self.fill_missing))
        if not facts.mistakes:
            self._known_encoders()
        notes = (*contents.notes, *self._left_out(), *facts.notes)
        return replace(contents, notes=notes, mistakes=tuple(facts.mistakes), columns=tuple(facts.columns))

    def preprocessing(self) -> Preprocessing:
        return of_columns([as_plain(encoder) for encoder in self._known_encoders()])

    def checksums(self) -> dict[str, str]:
        files = [file for files in self.files.values() for file in files]
        return {str(file): recorded_sha256(file) for file in files if file.is_file()}

    def state_dict(self) -> dict[str, Any]:
        """Columns and classes, so that a checkpoint can predict without the training file."""
        if self._encoders is None:
            return {}
        columns = [as_plain(encoder) for encoder in self._encoders]
        drawn = self._drawn or self._drawn_in_training
        return {"columns": columns, "target_names": self.target.known_names(), "drawn": drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not state_dict or state_dict | {"drawn": None} == self.state_dict() | {"drawn": None}:
            return
        self._drawn_in_training = state_dict["drawn"]
        self._encoders = [from_plain(values) for values in state_dict["columns"]]
        self.target.names = [str(name) for name in state_dict["target_names"]]
        self.train_table = self.val_table = self.test_table = self.predict_table = None

    def _part(self, split: Split) -> Columns | None:
        """The rows of a part; None if there is none."""
        if split not in self._parts and self.files[split]:
            rows = self._read(split)
            self._parts |= self._split(rows) if split == "train" else {split: rows}
        elif split not in self._parts and self.files["train"] and self._fraction(split):
            self._part("train")
        return self._parts.get(split)

    def _named(self, split: Split) -> str:
        """The files of a part, for messages."""
        return ", ".join(map(str, self.files[split]))

    def _read(self, split: Split) -> Columns:
        """The columns of the files of a part that are used."""
        tables = [read_columns(file, dialect=self.dialect) for file in self.files[split]]
        for file, rows in zip(self.files[split], tables, strict=True):
            self.target.require(rows, file)
            require_columns(rows, file, [*self.feature_columns, *self.drop_columns, *self.category_columns])
            if others := tables[0].cells.keys() ^ rows.cells.keys():
                only = f"only one of {self.files[split][0]} and {file} has the column {min(others)!r}"
                raise UserError(f"{only}: all files of a part need the same columns")
        if both := [name for name in self.feature_columns if name in (*self.target.columns, *self.drop_columns)]:
            raise UserError(f"feature_columns contain {both[0]!r}, which is a target or in drop_columns: choose one")
        return tables[0] if len(tables) == 1 else joined(tables, list(tables[0].cells))

    def _fraction(self, split: Split) -> float:
        """The share of the training file that is drawn for a part."""
        fractions = {"train": 0.0, "val": self.val_fraction, "test": self.test_fraction}
        return 0.0 if self.files[split] else fractions[split]

    def _split(self, rows: Columns) -> dict[Split, Columns]:
        """Draws the parts that have no file."""
        fractions = {"val_fraction": self._fraction("val"), "test_fraction": self._fraction("test")}
        groups = self.target.groups(rows)
        drawn = draw_parts(groups, **fractions, seed=self.split_seed, unit="rows")
        parts: dict[Split, Tensor] = {"train": drawn.train, "val": drawn.val, "test": drawn.test}
        if any(fractions.values()):
            cells = [values for _, values in sorted(rows.cells.items())]
            self._drawn = digest_of(repr([column[i] for column in cells]) for i in [*drawn.val, *drawn.test])
        return {split: rows.part(part.tolist()) for split, part in parts.items() if len(part)}

    def _known_encoders(self) -> list[Encoder]:
        """The columns of the inputs: from a checkpoint, or learned from the training part."""
        if self._encoders is None:
            rows = self._part("train")
            if rows is None:
                raise UserError(NO_TRAINING)
            self.target.learn(rows)
            names = self._feature_names(rows)
            if unused := [name for name in self.category_columns if name not in names]:
                raise UserError(f"category_columns contain {unused[0]!r}, which is not used as a feature: leave it out")
            learned = {
                name: learn(rows.column(name), as_category=name in self.category_columns, fill=self.fill_missing)
                for name in names
            }
            self._encoders = [encoder for encoder in learned.values() if encoder is not None]
            if not self._encoders:
                raise UserError(f"{self._named('train')}: no column with different values is left to predict from")
            self._constant = [name for name, encoder in learned.items() if encoder is None]
        return self._encoders

    def _feature_names(self, rows: Columns) -> list[str]:
        """Names of the columns of the inputs."""
        others = (name for name in rows.cells if name not in (*self.target.columns, *self.drop_columns))
        return self.feature_columns or list(others)

    def _table(self, split: Split) -> TensorTable:
        encoders, rows = self._known_encoders(), self._part(split)
        if rows is None:
            raise UserError(f"there is nothing to {PURPOSES[split]}: give --data.{split}_file")
        require_columns(rows, self._named(split), [encoder.name for encoder in encoders])
        self._note_unknown(rows)
        return TensorTable(self._encoded(rows), self.target.encode(rows))

    def _readable(self, given: list[Columns], skipped: Skipped) -> tuple[Columns, Tensor]:
        """The rows whose cells can be read, and the numbers in them. Of a file with a mistake, all rows are skipped."""
        names = [encoder.name for encoder in self._known_encoders()]
        try:
            rows = joined(given, names)
            return rows, self._encoded(rows)
        except UserError:
            rows = joined([rows for rows, _ in kept(iter(given), self._encoded, skipped)], names)
            return rows, self._encoded(rows)

    def _encoded(self, rows: Columns) -> Tensor:
        """The inputs, `(N, F)`."""
        parts = [encoder.encode(rows.column(encoder.name)) for encoder in self._known_encoders()]
        return torch.cat(parts, dim=1).to(torch.get_default_dtype())

    def _note_unknown(self, rows: Columns) -> None:
        """Names the categories that are not in the training part."""
        for encoder in self._known_encoders():
            if isinstance(encoder, CategoryColumn) and (unknown := encoder.unknown(rows.column(encoder.name))):
                shown = listed(unknown)
                note(f"the column {encoder.name!r} has categories that are not in the training part: {shown}")


def as_list(names: str | list[str]) -> list[str]:
    """Names of columns; one name may stand alone."""
    return [names] if isinstance(names, str) else names


def make_target(label: str, separator: str | None, numbers: Sequence[str] | None) -> TargetColumns:
    """The target that the settings describe.

    Raises:
        UserError: settings for labels and for numbers, or an empty setting.
    """
    if numbers is None:
        if separator == "":
            raise UserError("label_separator must not be empty: give a text such as ';', or leave it out")
        return Labels(label, separator)
    if not numbers or len(set(numbers)) < len(numbers):
        raise UserError(f"target_columns must be one or more different names, got {list(numbers)}")
    if separator is not None or label != "label":
        raise UserError("give either target_columns for numbers, or label_column and label_separator")
    return Numbers(list(numbers))
