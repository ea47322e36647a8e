"""The prepared data of a job, as numpy arrays."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.benchmark.cells import Job

Array = NDArray[Any]
Arrays = dict[str, Array]


def load(job: Job, name: str) -> Arrays:
    """`train_inputs`, `train_target` and those of "val" or "test", cut to the settings "batches" and "val_batches".

    Args:
        job: the job.
        name: "mnist" (uint8 images `(N, 28, 28)`) or "imdb" (int32 ids `(N, 500)`).
    """
    batch = job.settings["batch_size"]
    most = {"train": job.settings.get("batches"), "val": job.settings.get("val_batches")}
    most["test"] = job.settings.get("test_batches")
    with np.load(Path(job.data) / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return {
        key: array[: most[key.partition("_")[0]] * batch] if most[key.partition("_")[0]] else array
        for key, array in arrays.items()
    }


def texts(job: Job, part: str) -> tuple[list[str], list[int]]:
    """Reviews and their labels: 0 negative, 1 positive.

    Args:
        job: the job; its setting "texts" cuts the training and the prediction part.
        part: "train", "test" or "predict".
    """
    with (Path(job.data) / f"{part}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[: job.settings["texts"]]
    return [row["text"] for row in rows], [int(row["label"] == "pos") for row in rows]
