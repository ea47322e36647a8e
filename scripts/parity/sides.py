"""Computes one run of one side: our command line, the numpy program, or the Keras program."""

import csv
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import lightning as L
import numpy as np
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules import IMDBDataModule, MNISTDataModule
from datamodules.base import GlobalBatchSampler, TensorTable
from lit_models import LitCNN, LitMLP, LitRNN
from lit_models.__main__ import main as command_line
from lit_models.keras.rules.weights import to_keras_weights
from lit_models.tasks.task import LitTask
from scripts.parity.programs import TRACED_STEPS, Program, Side
from scripts.processes import ROOT
from scripts.rounding import NUDGE, nudge
from tests.parity.originals import XOR_INPUTS, NumpyXOR, keras_cnn, keras_rnn

Arrays = tuple[Any, Any]
"""Inputs and target."""


def run(program: Program, side: Side, seed: int) -> dict[str, Any]:
    """The result of one run: metrics of each epoch and of the test part, seconds of training, losses of the first
    steps."""
    if side in ("ours", "nudged"):
        return run_ours(program, seed=seed, size=NUDGE if side == "nudged" else 0.0)
    if program.backend is None:
        return run_numpy(program, seed=seed, paired=side == "paired")
    return run_keras(program, seed=seed, paired=side == "paired")


class Trace(Callback):
    """Records the loss of each of the first steps. Can change the initial weights slightly.

    Args:
        nudge: relative size of a random change of each weight before the first step, 0 for none.
    """

    losses: ClassVar[list[float]] = []

    def __init__(self, *, nudge: float = 0.0) -> None:
        self.nudge = nudge

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        nudge(pl_module, self.nudge)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if len(self.losses) < TRACED_STEPS:
            self.losses.append(float(outputs["loss"]))


def run_ours(program: Program, *, seed: int, size: float = 0.0) -> dict[str, Any]:
    """Trains and tests on the command line, as a user does."""
    callbacks = [{"class_path": f"{Trace.__module__}.Trace", "init_args": {"nudge": size}}]
    with tempfile.TemporaryDirectory() as runs:
        flags = {
            "config": program.config,
            "seed_everything": str(seed),
            "runs_dir": runs,
            "test_weights": "last",
            "report": "none",
            "trainer.accelerator": "cpu",
            "trainer.enable_progress_bar": "false",
            "trainer.callbacks": json.dumps(callbacks),
        }
        status = command_line(["fit", *(word for name, value in flags.items() for word in (f"--{name}", value))])
        if status:
            raise SystemExit(status)
        folder = Path(runs) / program.config / "version_0"
        report = json.loads((folder / "results.json").read_text())
        rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        result: dict[str, Any] = {
            "epochs": by_epoch(rows),
            "test": {name[5:]: value for name, value in report["metrics"].items() if name.startswith("test/")},
            "seconds": report["seconds"]["fit"],
            "steps": Trace.losses,
        }
        if program.backend is None:
            result |= xor_state(folder / "checkpoints" / "last.ckpt")
        return result


def xor_state(checkpoint: Path) -> dict[str, Any]:
    """The trained weights, in Keras' layout, and the four outputs."""
    module = LitMLP.load_from_checkpoint(checkpoint, weights_only=True).eval()
    with torch.no_grad():
        outputs = module(torch.from_numpy(XOR_INPUTS)).sigmoid()[:, 0].tolist()
    flat: list[float] = np.concatenate([a.ravel() for a in to_keras_weights(module.network)]).tolist()
    return {"weights": flat, "outputs": outputs}


def by_epoch(rows: Sequence[dict[str, str]]) -> list[dict[str, float]]:
    """The metrics of each epoch from the rows of `metrics.csv`: loss and acc, and val_loss and val_acc if present."""
    epochs: dict[int, dict[str, float]] = {}
    for row in rows:
        for name, value in row.items():
            split, _, metric = name.partition("/")
            if metric and value and split in ("train", "val"):
                epochs.setdefault(int(row["epoch"]), {})[metric if split == "train" else f"val_{metric}"] = float(value)
    return [epochs[i] for i in sorted(epochs)]


def initial_module(program: Program, *, seed: int) -> LitTask:
    """Our module before the first step, as `fit` builds it for a seed."""
    config = yaml.safe_load((ROOT / "configs" / f"{program.config}.yaml").read_text())
    settings = config["model"].get("init_args", {})
    L.seed_everything(seed, workers=True, verbose=False)
    if program.config == "xor_mlp":
        module = LitMLP(**settings, num_features=2, num_classes=2)  # XOR's data decide these two
        return module.double()  # as with the Trainer's precision "64-true"
    return LitCNN(**settings) if program.config == "mnist_cnn" else LitRNN(**settings)


def run_numpy(program: Program, *, seed: int, paired: bool) -> dict[str, Any]:
    """Runs the numpy program, from our initial weights if `paired`."""
    if paired:
        w1, b1, w2, b2 = (a.astype("float64") for a in to_keras_weights(initial_module(program, seed=seed).network))
        net = NumpyXOR(w1, b1[None], w2, b2[None])
    else:
        net = NumpyXOR.drawn(seed)
    began = time.perf_counter()
    errors = net.train(passes=1000 * program.epochs)
    outputs = net.forward(XOR_INPUTS)[:, 0]
    return {
        "epochs": [{"loss": float(part.mean() / len(XOR_INPUTS))} for part in np.split(errors, program.epochs)],
        "test": {"acc": float(((outputs > 0.5) == [0, 1, 1, 0]).mean())},
        "seconds": round(time.perf_counter() - began, 3),
        "steps": errors[:TRACED_STEPS].tolist(),
        "weights": np.concatenate([a.ravel() for a in net.weights()]).tolist(),
        "outputs": outputs.tolist(),
    }


def splits(program: Program, *, seed: int) -> dict[str, Arrays]:
    """The arrays of the original programs: "train", "val" (IMDB only: the last fifth) and "test"."""
    data = MNISTDataModule(seed=seed) if program.config == "mnist_cnn" else IMDBDataModule(seed=seed)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    tables = {"train": data.train_table, "val": data.val_table, "test": data.test_table}
    return {name: as_keras(table) for name, table in tables.items() if isinstance(table, TensorTable)}


def as_keras(table: TensorTable) -> Arrays:
    """Images float32 `(N, 28, 28, 1)` in 0 to 1 with one-hot targets, or token ids int32 `(N, T)` with targets 0 and
    1."""
    if table.inputs.dtype == torch.uint8:
        images = table.inputs.numpy()[..., None].astype("float32") / 255
        return images, np.eye(10, dtype="float32")[table.target.numpy()]
    return table.inputs.numpy(), table.target.numpy().astype("float32")


def compiled_model(program: Program) -> Any:
    """The program's Keras model, compiled with the program's settings."""
    if program.config == "mnist_cnn":
        model = keras_cnn()
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
        return model
    model = keras_rnn(cast(Any, program.config.removeprefix("imdb_").replace("rnn", "simple")))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def run_keras(program: Program, *, seed: int, paired: bool) -> dict[str, Any]:
    """Runs the Keras program: with our initial weights and order of batches if `paired`, else with its own."""
    import keras

    arrays = splits(program, seed=seed)
    keras.utils.set_random_seed(seed)
    steps: list[float] = []
    weights = to_keras_weights(initial_module(program, seed=seed).network) if paired else None
    order = batch_order(len(arrays["train"][0]), program, seed=seed) if paired else None
    if weights is not None and order is not None:
        steps = first_losses(program, weights, arrays["train"], order(0))
    model = compiled_model(program)
    if weights is not None:
        model.set_weights(weights)
    began = time.perf_counter()
    epochs = fit(model, program, arrays, order)
    seconds = time.perf_counter() - began
    loss, acc = (float(value) for value in model.evaluate(*arrays["test"], batch_size=500, verbose=0))
    return {"epochs": epochs, "test": {"loss": loss, "acc": acc}, "seconds": round(seconds, 3), "steps": steps}


def batch_order(num_samples: int, program: Program, *, seed: int) -> Callable[[int], Tensor]:
    """Returns a function that gives the order of our samples in an epoch, numbered from 0."""
    sampler = GlobalBatchSampler(num_samples, batch_size=program.batch_size, train=True, shuffle=True, seed=seed)

    def order(epoch: int) -> Tensor:
        sampler.set_epoch(epoch)
        return torch.cat(list(sampler.global_batches()))

    return order


def first_losses(program: Program, weights: list[Any], train: Arrays, order: Tensor) -> list[float]:
    """Loss of each of the first steps. Computed with a separate model, because `fit` only reports running means."""
    model = compiled_model(program)
    model.set_weights(weights)
    losses = []
    for batch in torch.split(order, program.batch_size)[:TRACED_STEPS]:
        model.reset_metrics()
        losses.append(float(model.train_on_batch(train[0][batch], train[1][batch])[0]))
    return losses


def fit(
    model: Any, program: Program, arrays: dict[str, Arrays], order: Callable[[int], Tensor] | None
) -> list[dict[str, float]]:
    """Trains with Keras' `fit` and prints one line for each epoch. With an `order`, the samples come in that order."""
    import keras

    lines = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print_epoch(program, epoch, logs))
    settings: dict[str, Any] = {"batch_size": program.batch_size, "verbose": 0, "callbacks": [lines]}
    inputs, target = arrays["train"]
    if order is None:
        if "val" in arrays:  # `fit` splits the last part off again
            inputs, target = (np.concatenate([arrays[name][i] for name in ("train", "val")]) for i in (0, 1))
            settings["validation_split"] = 0.2
        history = model.fit(inputs, target, epochs=program.epochs, **settings).history
        return [{our_name(k): float(v[i]) for k, v in history.items()} for i in range(program.epochs)]
    epochs = []
    for epoch in range(program.epochs):
        indices = order(epoch)
        history = model.fit(
            inputs[indices],
            target[indices],
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            validation_data=arrays.get("val"),
            **settings,
        ).history
        epochs.append({our_name(k): float(v[0]) for k, v in history.items()})
    return epochs


def our_name(name: str) -> str:
    """Our name for a Keras metric."""
    return name.replace("accuracy", "acc")


def print_epoch(program: Program, epoch: int, logs: dict[str, Any]) -> None:
    """Prints a line like those of our command line."""
    metrics = "  ".join(f"{our_name(name)} {float(value):.4f}" for name, value in logs.items())
    print(f"epoch {epoch + 1}/{program.epochs}  {metrics}", flush=True)
