"""One full run of a ported program or of its counterpart here, for `scripts/parity.py`.

A *side* is who computes: "ours" is the command line's `fit`; "nudged" the same with the start moved by a rounding
error; "paired" the original from our start and in our batch order; "original" the original with its own randomness.
"""

import csv
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules import IMDBDataModule, MNISTDataModule
from datamodules.base import GlobalBatchSampler, TensorTable
from lit_models import LitCNN, LitMLP, LitRNN
from lit_models.__main__ import main as command_line
from lit_models.classifier import LitClassifier
from lit_models.keras.weights import to_keras_weights
from tests.parity.originals import XOR_INPUTS, NumpyXOR, keras_cnn, keras_rnn

Side = Literal["ours", "nudged", "paired", "original"]
TRACED_STEPS = 300  # first steps whose loss is kept one by one
NUDGE = 1e-7  # relative; float32 resolves 6e-8 to 1.2e-7
Arrays = tuple[Any, Any]
EpochLine = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Program:
    """A ported program.

    Args:
        config: name of the config of its counterpart.
        epochs: that both sides train.
        batch_size: samples a step.
        seeds: how many runs of each side are published.
        backend: of Keras; None for numpy.
        margin: largest difference of mean test accuracy, as a fraction, that counts as the same result.
        nudged: whether a nudged run is published: where the original of seed 0 leaves our curve in the traced steps.
    """

    config: str
    epochs: int
    batch_size: int
    seeds: int
    backend: str | None
    margin: float
    nudged: bool = False


# Margins were chosen before any run of `scripts/parity.py`, from the spread between seeds that was known then: five
# points of percentage for the SimpleRNN, whose last epoch swings most.
PROGRAMS = {
    p.config: p
    for p in (
        Program("xor_mlp", epochs=10, batch_size=4, seeds=3, backend=None, margin=0.0, nudged=True),
        Program("mnist_cnn", epochs=5, batch_size=64, seeds=5, backend="tensorflow", margin=0.003, nudged=True),
        Program("imdb_rnn", epochs=10, batch_size=128, seeds=5, backend="jax", margin=0.05, nudged=True),
        Program("imdb_lstm", epochs=10, batch_size=128, seeds=3, backend="jax", margin=0.02),
        Program("imdb_gru", epochs=10, batch_size=128, seeds=3, backend="jax", margin=0.02),
    )
}


class Trace(Callback):
    """Keeps the loss of each of the first steps; may move the start by a rounding error.

    Args:
        nudge: relative size of a random change of every weight before the first step, 0 for none.
    """

    losses: ClassVar[list[float]] = []

    def __init__(self, *, nudge: float = 0.0) -> None:
        self.nudge = nudge

    @torch.no_grad()
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        generator = torch.Generator().manual_seed(0)
        for weight in pl_module.parameters():
            if self.nudge and weight.requires_grad:
                weight.mul_(1 + self.nudge * torch.randn(weight.shape, generator=generator))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if len(self.losses) < TRACED_STEPS:
            self.losses.append(float(outputs["loss"]))


def ours(program: Program, *, seed: int, nudge: float = 0.0) -> dict[str, Any]:
    """Trains and tests by the command line, as a person does."""
    callbacks = [{"class_path": f"{Trace.__module__}.Trace", "init_args": {"nudge": nudge}}]
    with tempfile.TemporaryDirectory() as runs:
        flags = {
            "config": program.config,
            "seed_everything": str(seed),
            "runs_dir": runs,
            "test_weights": "last",
            "trainer.accelerator": "cpu",
            "trainer.enable_progress_bar": "false",
            "trainer.callbacks": json.dumps(callbacks),
        }
        status = command_line(["fit", *(word for name, value in flags.items() for word in (f"--{name}", value))])
        if status:
            raise SystemExit(status)
        folder = Path(runs) / program.config / "version_0"
        results = json.loads((folder / "results.json").read_text())
        rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        found: dict[str, Any] = {
            "epochs": by_epoch(rows),
            "test": {name[5:]: value for name, value in results["metrics"].items() if name.startswith("test/")},
            "seconds": results["seconds"]["fit"],
            "steps": Trace.losses,
        }
        if program.backend is None:
            found |= xor_state(folder / "checkpoints" / "last.ckpt")
        return found


def xor_state(checkpoint: Path) -> dict[str, Any]:
    """The trained weights, in Keras' order, and the four outputs."""
    module = LitMLP.load_from_checkpoint(checkpoint, weights_only=True).eval()
    with torch.no_grad():
        outputs = module(torch.from_numpy(XOR_INPUTS)).sigmoid()[:, 0].tolist()
    flat: list[float] = np.concatenate([a.ravel() for a in to_keras_weights(module.network)]).tolist()
    return {"weights": flat, "outputs": outputs}


def by_epoch(rows: Sequence[dict[str, str]]) -> list[dict[str, float]]:
    """`metrics.csv` as a record an epoch: loss, acc, and val_loss, val_acc where there is a validation part."""
    epochs: dict[int, dict[str, float]] = {}
    for row in rows:
        for name, value in row.items():
            split, _, metric = name.partition("/")
            if metric and value and split in ("train", "val"):
                epochs.setdefault(int(row["epoch"]), {})[metric if split == "train" else f"val_{metric}"] = float(value)
    return [epochs[i] for i in sorted(epochs)]


def start(program: Program, *, seed: int) -> LitClassifier:
    """Our module as `fit` makes it for a seed, before the first step."""
    L.seed_everything(seed, workers=True, verbose=False)
    if program.config == "xor_mlp":
        return LitMLP().double()  # as the Trainer's precision "64-true" makes it
    if program.config == "mnist_cnn":
        return LitCNN()
    cell = cast(Literal["simple", "lstm", "gru"], program.config.removeprefix("imdb_").replace("rnn", "simple"))
    return LitRNN(cell=cell)


def numpy_side(program: Program, *, seed: int, paired: bool) -> dict[str, Any]:
    """The numpy loop, from our start or from its own."""
    if paired:
        w1, b1, w2, b2 = (a.astype("float64") for a in to_keras_weights(start(program, seed=seed).network))
        net = NumpyXOR(w1, b1[None], w2, b2[None])
    else:
        net = NumpyXOR.drawn(seed)
    begun = time.perf_counter()
    errors = net.train(passes=1000 * program.epochs)
    outputs = net.forward(XOR_INPUTS)[:, 0]
    return {
        "epochs": [{"loss": float(part.mean() / len(XOR_INPUTS))} for part in np.split(errors, program.epochs)],
        "test": {"acc": float(((outputs > 0.5) == [0, 1, 1, 0]).mean())},
        "seconds": round(time.perf_counter() - begun, 3),
        "steps": errors[:TRACED_STEPS].tolist(),
        "weights": np.concatenate([a.ravel() for a in net.weights()]).tolist(),
        "outputs": outputs.tolist(),
    }


def splits(program: Program, *, seed: int) -> dict[str, Arrays]:
    """The arrays that the original programs read: "train", "val" (IMDB's last fifth) and "test"."""
    data = MNISTDataModule(seed=seed) if program.config == "mnist_cnn" else IMDBDataModule(seed=seed)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    tables = {"train": data.train_table, "val": data.val_table, "test": data.test_table}
    return {name: as_keras(table) for name, table in tables.items() if isinstance(table, TensorTable)}


def as_keras(table: TensorTable) -> Arrays:
    """Images float32 `(N, 28, 28, 1)` in 0 to 1 with one-hot targets, or ids int32 `(N, T)` with targets 0 and 1."""
    if table.inputs.dtype == torch.uint8:
        images = table.inputs.numpy()[..., None].astype("float32") / 255
        return images, np.eye(10, dtype="float32")[table.target.numpy()]
    return table.inputs.numpy(), table.target.numpy().astype("float32")


def compiled(program: Program) -> Any:
    """The program's Keras model, compiled as it compiles it."""
    if program.config == "mnist_cnn":
        model = keras_cnn()
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
        return model
    model = keras_rnn(cast(Any, program.config.removeprefix("imdb_").replace("rnn", "simple")))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def keras_side(program: Program, *, seed: int, paired: bool) -> dict[str, Any]:
    """The Keras program: from our start in our order, or with its own randomness."""
    import keras

    arrays = splits(program, seed=seed)
    keras.utils.set_random_seed(seed)
    steps: list[float] = []
    weights = to_keras_weights(start(program, seed=seed).network) if paired else None
    order = batch_order(len(arrays["train"][0]), program, seed=seed) if paired else None
    if weights is not None and order is not None:
        steps = first_losses(program, weights, arrays["train"], order(0))
    model = compiled(program)
    if weights is not None:
        model.set_weights(weights)
    begun = time.perf_counter()
    epochs = fit(model, program, arrays, order)
    seconds = time.perf_counter() - begun
    loss, acc = (float(value) for value in model.evaluate(*arrays["test"], batch_size=500, verbose=0))
    return {"epochs": epochs, "test": {"loss": loss, "acc": acc}, "seconds": round(seconds, 3), "steps": steps}


def batch_order(num_samples: int, program: Program, *, seed: int) -> Callable[[int], Tensor]:
    """The order of our samples in an epoch, by its number from 0."""
    sampler = GlobalBatchSampler(num_samples, batch_size=program.batch_size, train=True, shuffle=True, seed=seed)

    def of(epoch: int) -> Tensor:
        sampler.set_epoch(epoch)
        return torch.cat(list(sampler.global_batches()))

    return of


def first_losses(program: Program, weights: list[Any], train: Arrays, order: Tensor) -> list[float]:
    """Loss of each of the first steps, by a model that is thrown away: `fit` reports running means only."""
    model = compiled(program)
    model.set_weights(weights)
    losses = []
    for batch in torch.split(order, program.batch_size)[:TRACED_STEPS]:
        model.reset_metrics()
        losses.append(float(model.train_on_batch(train[0][batch], train[1][batch])[0]))
    return losses


def fit(
    model: Any, program: Program, arrays: dict[str, Arrays], order: Callable[[int], Tensor] | None
) -> list[dict[str, float]]:
    """Trains by Keras' `fit`, and prints a line an epoch; with an `order`, unshuffled in that order."""
    import keras

    lines = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print_epoch(program, epoch, logs))
    settings: dict[str, Any] = {"batch_size": program.batch_size, "verbose": 0, "callbacks": [lines]}
    inputs, target = arrays["train"]
    if order is None:
        if "val" in arrays:  # `fit` itself takes the last part off again
            inputs, target = (np.concatenate([arrays[name][i] for name in ("train", "val")]) for i in (0, 1))
            settings["validation_split"] = 0.2
        history = model.fit(inputs, target, epochs=program.epochs, **settings).history
        return [{plain(k): float(v[i]) for k, v in history.items()} for i in range(program.epochs)]
    epochs = []
    for epoch in range(program.epochs):
        places = order(epoch)
        history = model.fit(
            inputs[places],
            target[places],
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            validation_data=arrays.get("val"),
            **settings,
        ).history
        epochs.append({plain(k): float(v[0]) for k, v in history.items()})
    return epochs


def plain(name: str) -> str:
    """Keras' name of a metric in ours."""
    return name.replace("accuracy", "acc")


def print_epoch(program: Program, epoch: int, logs: dict[str, Any]) -> None:
    """A line like those of our own command line."""
    metrics = "  ".join(f"{plain(name)} {float(value):.4f}" for name, value in logs.items())
    print(f"epoch {epoch + 1}/{program.epochs}  {metrics}", flush=True)


def run(program: Program, side: Side, seed: int) -> dict[str, Any]:
    """One side's result: epochs, test, seconds of training, losses of the first steps."""
    if side in ("ours", "nudged"):
        return ours(program, seed=seed, nudge=NUDGE if side == "nudged" else 0.0)
    if program.backend is None:
        return numpy_side(program, seed=seed, paired=side == "paired")
    return keras_side(program, seed=seed, paired=side == "paired")
