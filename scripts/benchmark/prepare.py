"""`python -m scripts.benchmark.prepare FOLDER DEVICE NEED…`: reads the data once, and writes what the rivals load.

It also fills the data cache of our command line and compiles our layers, because this happens only once on a machine.
"""

import csv
import json
import os
import platform
import random
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmark.encoder import HELD_OUT, LENGTH, MOST_TRAIN, PREDICTED, checkpoint_folder

SLOWER = 3
"""If bfloat16 takes this many times as long as float32, the processor has no instructions for it."""
PACKAGES = (
    "torch",
    "lightning",
    "numpy",
    "numba",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "transformers",
    "accelerate",
    "onnxruntime",
)


def main() -> None:
    """Prepares the requested data, and writes `machine.json`."""
    folder, device, needs = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if "mnist" in needs:
        prepare_mnist(folder)
    if "imdb" in needs:
        prepare_imdb(folder)
    if "reviews" in needs:
        prepare_reviews(folder)
    if "layers" in needs:
        compile_layers()
    (folder / "machine.json").write_text(json.dumps(machine(device)), encoding="utf-8")


def prepare_mnist(folder: Path) -> None:
    """All images, uint8 `(N, 28, 28)`, and their labels."""
    from datamodules import MNISTDataModule

    data: Any = MNISTDataModule()
    arrays: dict[str, Any] = {}
    for part, table in tables(data, "train", "test"):
        arrays |= {f"{part}_inputs": table.inputs.numpy(), f"{part}_target": table.target.numpy()}
    np.savez(folder / "mnist.npz", **arrays)


def prepare_imdb(folder: Path) -> None:
    """Token ids, int32 `(N, 500)`: the 20,000 training reviews, then the 5,000 of the validation part."""
    from datamodules import IMDBDataModule

    data: Any = IMDBDataModule()
    arrays: dict[str, Any] = {}
    for part, table in tables(data, "train", "val"):
        arrays |= {f"{part}_inputs": table.inputs.numpy().astype("int32"), f"{part}_target": table.target.numpy()}
    np.savez(folder / "imdb.npz", **arrays)


def tables(data: Any, *parts: str) -> list[tuple[str, Any]]:
    """The tables of a data module."""
    data.prepare_data()
    data.setup("fit")
    if "test" in parts:
        data.setup("test")
    return [(part, getattr(data, f"{part}_table")) for part in parts]


def prepare_reviews(folder: Path) -> None:
    """Reviews as text with their labels: some to train, some to test, some to predict. `tokens.json` has the number of
    the encoder's tokens in each file, without padding."""
    from tokenizers import Tokenizer

    from datamodules.storage.locations import resolve_data_dir
    from datamodules.words.reviews import PARTS, find_source, read_reviews

    source, encoder = find_source(resolve_data_dir(None)), checkpoint_folder()
    if source is None or source.suffix == ".npz" or encoder is None:
        return  # the rivals say what is missing
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for review in read_reviews(source):
        split, label = PARTS[review.part]
        splits[split].append((review.text, label))
    for rows in splits.values():
        random.Random(0).shuffle(rows)  # noqa: S311  (no secret)
    test = splits["test"]
    parts = {"train": splits["train"][:MOST_TRAIN], "test": test[:HELD_OUT]}
    parts["predict"] = test[HELD_OUT : HELD_OUT + PREDICTED]
    parts["predict_short"] = parts["predict"][: PREDICTED // 4]
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    for name, rows in parts.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    counts = {name: [len(tokenizer.encode(text).ids) for text, _ in rows] for name, rows in parts.items()}
    (folder / "tokens.json").write_text(json.dumps(counts), encoding="utf-8")


def compile_layers() -> None:
    """Compiles the loops of our layers, if they are not compiled yet."""
    from lit_models.kernels.compiled import LOOPS, time_loop

    for mode in LOOPS:
        time_loop(mode)


def machine(device: str) -> dict[str, Any]:
    """Commit, versions and hardware."""
    import torch

    from lit_models.runs.results import commit
    from scripts.benchmark.rivals.matrices import SMALL, seconds_of, square

    installed = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions()}
    versions = {name: installed[name] for name in PACKAGES if name in installed}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    products = [seconds_of(*square(SMALL, dtype, "cpu")) for dtype in (torch.float32, torch.bfloat16) for _ in range(3)]
    return {
        "has_bfloat16": device == "cuda" or min(products[3:]) < SLOWER * min(products[:3]),
        "commit": commit(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": gpu,
        "versions": {"python": platform.python_version(), **versions},
    }


def cpu_name() -> str:
    """The processor's name as Linux has it, or its architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
