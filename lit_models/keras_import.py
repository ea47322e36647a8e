"""`import-keras`: a trained Keras file becomes a run folder with a checkpoint, if both compute the same."""

import argparse
import importlib
import math
import sys
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback

from datamodules.sources import sha256
from lit_models import catalog
from lit_models.arguments import build_parser, parse
from lit_models.classifier import LitClassifier
from lit_models.cli import import_class, quiet_libraries
from lit_models.export.keras import network_outputs
from lit_models.keras.architecture import LAYERS, Architecture, loss_of, understand
from lit_models.keras.arrays import network_arrays, shape_check
from lit_models.keras.chain import saved_layers
from lit_models.keras.files import Array, Refused, read_model, read_weights
from lit_models.keras.layers import plain
from lit_models.keras.models import PROBABILITY, compare_outputs, require_keras
from lit_models.keras.weights import load_keras_weights
from lit_models.pairing import WISHES, as_stored, check_pair, init_args, prepare_data_args, unknown_class
from lit_models.runs import checkpoints, folder, results
from lit_models.runs.progress import say

OPTIMIZERS = {"adam": "keras_adam", "rmsprop": "keras_rmsprop", "sgd": "sgd"}
RULES: dict[str, dict[str, float]] = {
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7},
    "sgd": {},
}
"""What Keras' optimizers have, and those here too; any other setting is off in both."""
NO_RULE = {"name", "learning_rate", "lr", "ema_momentum", "ema_overwrite_frequency", "jit_compile"}
NO_RULE |= {"is_legacy_optimizer"}
CROSS_ENTROPIES = ("categoricalcrossentropy", "sparsecategoricalcrossentropy", "binarycrossentropy")


def import_keras(settings: argparse.Namespace, data_flags: list[str]) -> None:
    """Reads a Keras file, compares its outputs with the network's, and writes a run folder.

    Args:
        settings: the flags of `import-keras`.
        data_flags: `--data.NAME=VALUE`.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, or a file with no counterpart here; in one line.
    """
    require_keras("import-keras")
    quiet_libraries()
    path = Path(settings.file)
    experiment = path.stem if settings.experiment is None else settings.experiment
    check_settings(settings, experiment)
    architecture, arrays = read_file(path, settings.model, settings.dropout)
    config, class_names = run_config(path, architecture, settings.data, data_flags, experiment)
    module = build(path, architecture, arrays, class_names)
    apart = compare_outputs(
        architecture.layers, arrays, network_outputs(module), dtype=architecture.dtype, saved=architecture.saved
    )
    place = folder.reserve(Path(settings.runs_dir), experiment)
    try:
        checkpoint = write_run(place, module, config)
        write_source(place, path, module, apart)
    except BaseException:
        folder.remove_empty(place)
        raise
    report(path, architecture, module, apart, checkpoint)


def check_settings(settings: argparse.Namespace, experiment: str) -> None:
    """Checks the flags that need no file.

    Raises:
        ValueError: a class that is not there, a number out of its range, or a name that is a path.
    """
    if settings.model in set(catalog.model_names()) - set(LAYERS):
        raise ValueError(f"{settings.model} has no counterpart among Keras' layers; {', '.join(LAYERS)} have")
    for part, name, names in (("model", settings.model, list(LAYERS)), ("data", settings.data, catalog.data_names())):
        if name is not None and name not in names and (part == "model" or "." not in name):
            raise ValueError(unknown_class(part, name, names))
    if settings.dropout is not None and not 0 <= settings.dropout < 1:
        raise ValueError(f"dropout must be 0 to below 1, got {settings.dropout}")
    if Path(experiment).name != experiment or experiment in ("", ".", ".."):
        raise ValueError(f"experiment names one folder, so it can be no path: {experiment!r}")


def read_file(path: Path, wanted: str | None, dropout: float | None) -> tuple[Architecture, list[Array]]:
    """What the file's model is here, and its arrays in the order of Keras' `get_weights`.

    Raises:
        ValueError, FileNotFoundError: it cannot be read, or has no counterpart; names file and layer.
    """
    model = read_model(path)
    try:
        architecture = understand(model, wanted=wanted, dropout=dropout)
        names = [(layer.kind, layer.name) for layer in saved_layers(model)]
        found = read_weights(path, names, shape_check(architecture.layers))
        return with_training(architecture, model), [array for arrays in found for array in arrays]
    except Refused as error:
        raise ValueError(f"{path} {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} has an architecture that is no Keras model's") from error


def with_training(architecture: Architecture, model: dict[str, Any]) -> Architecture:
    """The architecture with the settings of further training: cross-entropy, and the file's optimizer and learning rate
    where they are here, with a note where they are not."""
    compiled = model.get("compile_config") or {}
    kind, config = file_optimizer(compiled)
    lr, notes = config.get("learning_rate", config.get("lr")), loss_notes(compiled)
    if kind in OPTIMIZERS and isinstance(lr, float | int) and 0 < lr < math.inf and not config.get("momentum"):
        settings = {"optimizer": OPTIMIZERS[kind], "lr": float(f"{lr:.7g}")}  # a float32 in the file
        if others := other_rules(kind, config):
            notes.append(f"of the file's optimizer {kind!r} is not taken over: {', '.join(others)}")
    else:
        settings = {"optimizer": "keras_rmsprop" if architecture.model == "LitRNN" else "keras_adam", "lr": 0.001}
        if kind:
            schedule = f" with the learning rate {lr.get('class_name')!r}" if isinstance(lr, dict) else ""
            instead = f"training goes on with {settings['optimizer']}, lr {settings['lr']}"
            notes.append(f"the file's optimizer {kind!r}{schedule} is not taken over: {instead}")
    if architecture.model == "LitMLP":
        settings |= {"init": "keras", "loss": "cross_entropy"}
    return architecture._replace(settings=architecture.settings | settings, notes=architecture.notes + notes)


def file_optimizer(compiled: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the optimizer that a model was compiled with, in small letters if it is Keras' own, and its settings;
    nothing if none."""
    optimizer = compiled.get("optimizer") or {}
    if isinstance(optimizer, str):  # a name alone has Keras' own rate
        return optimizer.lower(), {"learning_rate": 0.01 if optimizer.lower() == "sgd" else 0.001}
    kind, config = str(optimizer.get("class_name") or ""), optimizer.get("config") or {}
    module, registered = optimizer.get("module"), optimizer.get("registered_name")
    package, _, name = kind.rpartition(">")
    foreign = module is not None and str(module).split(".")[0] not in ("keras", "tf_keras")
    # In TensorFlow 2.11, Keras' own are registered as Custom.
    if foreign or package not in ("", "keras", "Custom") or registered not in (None, kind, name):
        return str(registered or kind), config
    return name.lower(), config


def other_rules(kind: str, config: dict[str, Any]) -> list[str]:
    """The settings of an optimizer that change its steps, and that the one here has otherwise."""
    found = []
    for key, value in config.items():
        known = RULES[kind].get(key)
        if isinstance(value, float | int) and known is not None:
            same = math.isclose(value, known, rel_tol=1e-6)  # a float32 in the file
        else:
            same = key in NO_RULE or value is None or value is False or value == 0
        if not same:
            found.append(f"{key} {plain(value)!r}")
    return found


def loss_notes(compiled: dict[str, Any]) -> list[str]:
    """What differs between the loss that a model was compiled with and cross-entropy: a sentence, or none."""
    name = loss_of(compiled)
    if name and name.lower().replace("_", "") not in CROSS_ENTROPIES:
        return [f"the file's loss {name!r} is not taken over: training goes on with cross-entropy"]
    loss = compiled.get("loss")
    config = loss.get("config") if isinstance(loss, dict) else None
    smoothing = config.get("label_smoothing") if isinstance(config, dict) else None
    return [f"of the file's loss {name!r} is not taken over: label_smoothing {smoothing!r}"] if smoothing else []


def run_config(
    path: Path, architecture: Architecture, data: str | None, data_flags: list[str], experiment: str
) -> tuple[str, list[str] | None]:
    """The text of `config.yaml`, and the classes' names if the data say them. Without data, the config has none.

    Raises:
        ValueError: data that do not fit.
    """
    entry = next(entry for entry in catalog.models() if entry.name == architecture.model)
    model = {"class_path": f"{entry.module}.{entry.name}", "init_args": architecture.settings}
    content: dict[str, Any] = {"seed_everything": 0, "experiment": experiment, "model": model}
    if architecture.dtype == "float64":
        content["trainer"] = {"precision": "64-true"}
    text = yaml.safe_dump(content, sort_keys=False)
    if data is None:
        return text, None
    for name in (*catalog.MODEL_MODULES, *catalog.DATA_MODULES):
        importlib.import_module(name)  # the parser finds a class by its short name once it is imported
    parser = build_parser("fit")
    typed, config = parse(parser, [f"--config={text}", "--data", data, *data_flags], [])
    made = import_class(config.data.class_path)
    check_pair(import_class(config.model.class_path), made)
    prepare_data_args(config, typed, data_flags)
    module = made(**vars(init_args(config, "data")))
    told = module.model_args() if hasattr(module, "model_args") else {}
    for name in told.keys() & architecture.settings.keys() - WISHES:
        theirs, ours = told[name], architecture.settings[name]
        if ours != theirs:
            raise ValueError(f"{path} has {name} {ours}, and {made.__name__} says {theirs}: they do not fit")
    return str(parser.dump(as_stored(config, typed, told), skip_validation=True)), told.get("class_names")


def build(path: Path, architecture: Architecture, arrays: list[Array], class_names: list[str] | None) -> LitClassifier:
    """The network with the file's weights, ready to compute."""
    entry = next(entry for entry in catalog.models() if entry.name == architecture.model)
    made = getattr(importlib.import_module(entry.module), entry.name)
    try:
        module: LitClassifier = made(**architecture.settings, class_names=class_names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if architecture.dtype == "float64":
        module.double()
    load_keras_weights(module.network, network_arrays(architecture, arrays))
    return module.eval()


class Untrained(Callback):
    """Says in a checkpoint that no epoch has been trained here."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["epoch"] = -1


def write_run(place: Path, module: LitClassifier, config: str) -> Path:
    """Writes `config.yaml` and `checkpoints/last.ckpt`; returns the latter's path."""
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoints.SaveConfig(place, config), Untrained()],
    )
    trainer.strategy.connect(module)
    path = place / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    (place / "config.yaml").write_text(config, encoding="utf-8")
    return path


def write_source(place: Path, path: Path, module: LitClassifier, apart: float) -> None:
    """Writes `import-keras.json`: where the weights come from."""
    content = {
        "command": "import-keras",
        "arguments": sys.argv[1:],
        "model": type(module).__name__,
        "file": str(path),
        "file_sha256": sha256(path),
        "metrics": {"largest_difference": apart},
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "versions": results.versions(),
        "commit": results.commit(),
    }
    results.write_results(place, "import-keras.json", content)


def report(path: Path, architecture: Architecture, module: LitClassifier, apart: float, checkpoint: Path) -> None:
    """Says what was made, and what is not as in the file."""
    sizes = ", ".join(f"{name} {value}" for name, value in architecture.settings.items())
    say(f"{path} is a {architecture.model}: {sizes}")
    for note in architecture.notes:
        say(f"note: {note}")
    say(f"largest difference of a probability from Keras' on random inputs: {apart:.1e} (allowed: {PROBABILITY:.0e})")
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    say(f"{parameters:,} parameters in {checkpoint}")
