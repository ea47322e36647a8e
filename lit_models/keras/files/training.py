"""How a Keras model was trained: its optimizer, its loss, and settings of its layers that matter only for training."""

import math
from typing import Any, NamedTuple

import numpy as np

from datamodules.errors import UserError
from lit_models.keras.files.chain import SavedLayer
from lit_models.keras.files.layers import plain
from lit_models.keras.files.limits import limits_of
from lit_models.keras.rules.keras_optimizer import COMMON, PREFIX, checked_settings
from lit_models.keras.rules.schedules import check_schedule
from lit_models.keras.rules.updates import RULES

NO_STEPS = {"name", "learning_rate", "lr", "jit_compile", "is_legacy_optimizer", "loss_scale_factor"}
"""Settings of Keras' optimizers that do not change the steps, and the learning rate."""
AVERAGE = ("use_ema", "ema_momentum", "ema_overwrite_frequency")
AVERAGE_NOTE = "the averages of the weights go on, but do not replace the weights at the end of a fit as in Keras"
CROSS_ENTROPIES = ("categoricalcrossentropy", "sparsecategoricalcrossentropy", "binarycrossentropy")
SAME_LOSS = {"axis": -1, "delta": 1.0}
"""Settings of Keras' losses that have the same value here."""
MEANS = ("sum_over_batch_size", "auto", "mean")
"""Reductions of Keras that are the mean over the samples."""
DEFAULT_LR = 0.001
KERAS_DEFAULT_LR = {"sgd": 0.01}
"""Keras' default learning rates; 0.001 for the other optimizers."""


class Training(NamedTuple):
    """Settings for further training.

    Args:
        optimizer: name of the optimizer here.
        lr: its learning rate, or 1 if `settings` has a schedule.
        settings: Keras' settings that differ from Keras' defaults.
        notes: one sentence for each difference from the file.
        rule: Keras' name of the optimizer, in lower case; empty if it is replaced by another one.
    """

    optimizer: str
    lr: float
    settings: dict[str, Any]
    notes: list[str]
    rule: str = ""


def read_training(compiled: dict[str, Any], *, default_optimizer: str, classifies: bool = True) -> Training:
    """Optimizer and learning rate of the file; `default_optimizer` at 0.001 if that optimizer does not exist here.

    Args:
        compiled: the model's `compile_config`; empty if it was not compiled.
        default_optimizer: name of an optimizer here.
        classifies: whether the loss here is cross-entropy; notes then say how the file's loss differs from it.
    """
    kind, config = file_optimizer(compiled)
    rate, notes = config.get("learning_rate", config.get("lr")), loss_notes(compiled, classifies=classifies)
    if kind in RULES and (known := learning_rate(rate)):
        lr, schedule = known
        settings, others = optimizer_settings(kind, config)
        if others:
            notes.append(f"settings of the file's optimizer {kind!r} are dropped: {', '.join(others)}")
        if "use_ema" in settings:
            notes.append(AVERAGE_NOTE)
        settings |= {"learning_rate": schedule} if schedule else {}
        return Training("sgd" if kind == "sgd" and not settings else PREFIX + kind, lr, settings, notes, kind)
    if kind:
        name = f" with learning rate {rate.get('class_name')!r}" if isinstance(rate, dict) else ""
        notes.append(f"the file's optimizer {kind!r}{name} is replaced by {default_optimizer}, lr {DEFAULT_LR}")
    return Training(default_optimizer, DEFAULT_LR, {}, notes)


def learning_rate(value: Any) -> tuple[float, dict[str, Any]] | None:
    """The learning rate of a file, and its schedule, if there is one; None if it is not one of Keras'."""
    if isinstance(value, dict):
        config = value.get("config")
        if not isinstance(config, dict) or value.get("registered_name") not in (None, value.get("class_name")):
            return None
        schedule = {"kind": value.get("class_name"), **{name: x for name, x in config.items() if name != "name"}}
        try:
            check_schedule(schedule)
        except UserError:
            return None
        return 1.0, schedule
    if not isinstance(value, float | int) or not 0 < value < math.inf:
        return None
    return without_float32_digits(value), {}


def without_float32_digits(value: float) -> float:
    """A number as it was written, before Keras made it a float32: 0.001 instead of 0.0010000000474974513."""
    short = float(f"{value:.15g}") == value
    return float(f"{value:.7g}") if not short and float(np.float32(value)) == value else float(value)


def optimizer_settings(kind: str, config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings of an optimizer that differ from Keras' defaults, and those that do not exist here, as texts such as
    `decay 0.5`."""
    settings: dict[str, Any] = {}
    others = []
    defaults = {**COMMON, **RULES[kind].settings}
    for key, value in config.items():
        if key in NO_STEPS or value is None or (key in AVERAGE and not config.get("use_ema")):
            continue
        if not is_default(value, defaults.get(key)):
            try:
                checked_settings(PREFIX + kind, {key: value})
                settings[key] = value
            except UserError:
                others.append(f"{key} {plain(value)!r}")
    return settings, others


def is_default(value: Any, default: Any) -> bool:
    """Whether a setting has Keras' default. Old files have float32 numbers."""
    if isinstance(value, int | float) and isinstance(default, int | float):
        return math.isclose(value, default, rel_tol=1e-6)
    return value == default or (default is None and not value)


def file_optimizer(compiled: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and settings of the optimizer that a model was compiled with.

    The name is in lower case if the optimizer is Keras' own, and empty if there is none.
    """
    optimizer = compiled.get("optimizer") or {}
    if isinstance(optimizer, str):  # a name alone means Keras' default settings
        name = optimizer.lower()
        return name, {"learning_rate": KERAS_DEFAULT_LR.get(name, DEFAULT_LR)}
    kind, config = str(optimizer.get("class_name") or ""), optimizer.get("config") or {}
    module, registered = optimizer.get("module"), optimizer.get("registered_name")
    package, _, name = kind.rpartition(">")
    foreign = module is not None and str(module).split(".")[0] not in ("keras", "tf_keras")
    # TensorFlow 2.11 registers Keras' own optimizers as Custom.
    if foreign or package not in ("", "keras", "Custom") or registered not in (None, kind, name):
        return str(registered or kind), config
    return name.lower(), config


def loss_of(compiled: Any) -> str:
    """Name of the loss that a model was compiled with; empty if there is none."""
    loss = only_one(compiled.get("loss")) if isinstance(compiled, dict) else None
    if isinstance(loss, dict):
        loss = loss["config"] if isinstance(loss.get("config"), str) else loss.get("class_name")
    return str(loss or "")


def only_one(loss: Any) -> Any:
    """The loss of a model with one output, which may be in a list, or have the output's name."""
    if isinstance(loss, dict) and "class_name" not in loss and len(loss) == 1:
        (loss,) = loss.values()
    return loss[0] if isinstance(loss, list) and len(loss) == 1 else loss


def loss_notes(compiled: dict[str, Any], *, classifies: bool) -> list[str]:
    """How the loss that a model was compiled with differs from the loss here: one sentence for each thing."""
    name, notes = loss_of(compiled), []
    if classifies and name and name.lower().replace("_", "") not in CROSS_ENTROPIES:
        return [f"the file's loss {name!r} is replaced by cross-entropy"]
    others = [f"{key} {plain(value)!r}" for key, value in loss_settings(compiled).items() if changes_loss(key, value)]
    if others:
        one = len(others) == 1
        words = ("a setting", "is") if one else ("settings", "are")
        notes.append(f"{words[0]} of the file's loss {name!r} {words[1]} dropped: {', '.join(others)}")
    if compiled.get("loss_weights"):
        notes.append(f"the factor of the file's loss is dropped: loss_weights {compiled['loss_weights']!r}")
    return notes


def loss_settings(compiled: dict[str, Any]) -> dict[str, Any]:
    """The settings of the loss that a model was compiled with."""
    loss = only_one(compiled.get("loss"))
    config = loss.get("config") if isinstance(loss, dict) else None
    return config if isinstance(config, dict) else {}


def changes_loss(key: str, value: Any) -> bool:
    """Whether a setting makes a loss differ from the one here."""
    if key in ("name", "from_logits", "dtype", "fn") or value is None:
        return False
    return bool(value != SAME_LOSS[key]) if key in SAME_LOSS else bool(value) and value not in MEANS


def layer_notes(layers: list[SavedLayer]) -> list[str]:
    """Settings of layers that matter only for training and have no counterpart here: one sentence for each kind."""
    configs = [(repr(layer.name), config) for layer in layers for config in configs_of(layer)]
    frozen = dict.fromkeys(name for name, config in configs if config.get("trainable") is False)
    notes = [f"layers that are frozen in Keras are trainable here: {', '.join(frozen)}"] if frozen else []
    return notes + limit_notes(layers)


def limit_notes(layers: list[SavedLayer]) -> list[str]:
    """The penalties and constraints of layers, which only LitKeras has: one sentence, or none."""
    configs = [(repr(layer.name), config) for layer in layers for config in configs_of(layer)]
    limits = ("_regularizer", "_constraint")
    limited = dict.fromkeys(
        name for name, config in configs if any(v and k.endswith(limits) for k, v in config.items())
    )
    advice = "--model LitKeras keeps them"
    return [f"regularizers and constraints of layers are dropped ({advice}): {', '.join(limited)}"] if limited else []


def dropped_limits(layers: list[SavedLayer]) -> list[str]:
    """The penalties and constraints of layers that LitKeras does not have: one sentence, or none."""
    dropped = [f"{layer.name!r} {limit}" for layer in layers for limit in limits_of(layer).dropped]
    return [f"regularizers and constraints are dropped: {', '.join(dropped)}"] if dropped else []


def configs_of(layer: SavedLayer) -> list[dict[str, Any]]:
    """The settings of a layer, and those of the directions inside it."""
    inner = [layer.config.get(key) for key in ("layer", "backward_layer")]
    return [layer.config, *(entry["config"] for entry in inner if isinstance(entry, dict))]
