"""The file of evaluated samples: the same bytes for the same samples, and a damaged or foreign file is refused."""

import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.errors import MissingFileError, UserError
from lit_models.report.evaluation import (
    MOST_SAMPLES,
    Evaluation,
    Surface,
    most_samples,
    read_evaluation,
    to_arrays,
    write_evaluation,
)
from tests.report.samples import classes, labels, numbers, of, with_mistakes


def surface() -> Surface:
    points, targets = np.zeros((4, 2)), np.zeros(4, dtype=np.int64)
    return Surface(np.array([0, 10]), np.zeros((2, 5, 5, 3), np.float32), (0.0, 1.0, -1.0, 1.0), points, targets)


@pytest.mark.parametrize(
    "evaluation",
    [
        replace(with_mistakes(classes()), surface=surface(), notes=("a note",)),
        with_mistakes(labels()),
        numbers(("a", "b")),
        replace(
            with_mistakes(classes()), pictures=np.zeros((len(with_mistakes(classes()).mistakes), 4, 4, 3), np.uint8)
        ),
    ],
)
def test_a_file_gives_back_what_was_written(evaluation: Evaluation, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_evaluation(evaluation, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_evaluation(tmp_path / "a.npz")
    assert again.mistakes == evaluation.mistakes
    assert (again.names, again.notes, again.total) == (evaluation.names, evaluation.notes, evaluation.total)
    ours, theirs = to_arrays(again), to_arrays(evaluation)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def changed(**arrays: Any) -> dict[str, Any]:
    """The arrays of a file, some of them replaced."""
    return to_arrays(classes()) | arrays


def changed_about(**settings: Any) -> dict[str, Any]:
    """The arrays of a file with other plain values."""
    about = json.loads(to_arrays(classes())["about"].tobytes()) | settings
    return changed(about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8))


DRAWN = {
    "about": changed_about(limits=(0, 1, 0, 1))["about"],
    "surface_steps": np.array([0]),
    "surface_values": np.zeros((1, 4, 4, 2)),
    "surface_points": np.zeros((3, 2)),
    "surface_targets": np.zeros(3, dtype=int),
}


def test_an_array_of_another_name_changes_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "evaluation.npz", **changed(**DRAWN, notes=np.zeros(3)))
    read = read_evaluation(tmp_path / "evaluation.npz")
    assert read.notes == ()
    assert read.surface is not None


@pytest.mark.parametrize(
    "arrays",
    [
        {"targets": np.zeros(3)},
        changed(targets=np.full(60, 9)),
        changed(predictions=np.zeros((60, 2))),
        changed(predictions=np.zeros((60, 3), dtype=int)),
        changed(about=np.frombuffer(b"{}", dtype=np.uint8)),
        changed(about=np.frombuffer(b"[" * 100_000, dtype=np.uint8)),
        changed(pictures=np.zeros((60, 4), np.uint8)),
        changed(predictions=np.full((60, 3), 5.0)),
        changed(indices=np.zeros(60, dtype=int)),
        changed_about(total=-5),
        changed_about(mistakes=[{"index": 0, "words": ["a", "b"], "weights": [1.0]}]),
        changed_about(mistakes=[{"index": 0, "words": ["a"], "weights": [float("nan")]}]),
        changed(**DRAWN | {"surface_values": np.zeros((1, 4, 4, 0))}),
        changed(**DRAWN | {"surface_steps": np.array(["x"])}),
        changed(**DRAWN | {"surface_values": np.full((1, 4, 4, 2), np.nan)}),
    ],
)
def test_a_file_that_does_not_fit_is_refused(arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "evaluation.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="evaluation\\.npz is damaged, or does not have the samples of a run"):
        read_evaluation(path)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (print, ("executed",))

    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    content.write(pickle.dumps(Harmful()))
    with zipfile.ZipFile(tmp_path / "evaluation.npz", "w") as archive:
        archive.writestr("about.npy", content.getvalue())
    with pytest.raises(UserError, match="it was not run"):
        read_evaluation(tmp_path / "evaluation.npz")
    with pytest.raises(MissingFileError):
        read_evaluation(tmp_path / "no.npz")


def test_the_surest_mistakes_come_first() -> None:
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    assert of(("a", "b"), np.array([0, 0, 1, 0]), sure, task="classification").worst().tolist() == [3, 1]
    off = of(("x",), np.zeros((3, 1)), np.array([[0.1], [-2.0], [1.0]]), task="regression")
    assert off.worst().tolist() == [1, 2, 0]
    wrong = of(("x", "y"), np.array([[1.0, 0.0]] * 2), np.array([[0.9, 0.6], [0.2, 0.1]]), task="multilabel")
    assert wrong.worst().tolist() == [1, 0]  # 0.8 from the truth, and 0.6


def test_many_classes_have_fewer_samples() -> None:
    assert most_samples(2) == MOST_SAMPLES
    assert most_samples(1_000) == 5_000  # five million numbers
