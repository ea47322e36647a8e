"""How a Keras model was trained: its optimizer, its loss, and settings of its layers that matter only for training."""

import math
from typing import Any, NamedTuple

from lit_models.keras.files.chain import SavedLayer
from lit_models.keras.files.layers import plain

OPTIMIZERS = {"adam": "keras_adam", "rmsprop": "keras_rmsprop", "sgd": "sgd"}
"""Keras' optimizers, and the names of the same optimizers here."""
RULES: dict[str, dict[str, float]] = {
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7},
    "sgd": {},
}
"""Settings of Keras' optimizers that have the same values here. Any other setting that changes steps is off here."""
NO_STEPS = {"name", "learning_rate", "lr", "ema_momentum", "ema_overwrite_frequency", "jit_compile"}
NO_STEPS |= {"is_legacy_optimizer"}
"""Settings of Keras' optimizers that do not change the steps, and the learning rate."""
CROSS_ENTROPIES = ("categoricalcrossentropy", "sparsecategoricalcrossentropy", "binarycrossentropy")
DEFAULT_LR = 0.001
KERAS_DEFAULT_LR = {"sgd": 0.01}
"""Keras' default learning rates; 0.001 for the other optimizers."""


class Training(NamedTuple):
    """Settings for further training.

    Args:
        optimizer: name of the optimizer here.
        lr: its learning rate.
        notes: one sentence for each difference from the file.
    """

    optimizer: str
    lr: float
    notes: list[str]


def read_training(compiled: dict[str, Any], *, default_optimizer: str, classifies: bool = True) -> Training:
    """Optimizer and learning rate of the file; `default_optimizer` at 0.001 if that optimizer does not exist here.

    Args:
        compiled: the model's `compile_config`; empty if it was not compiled.
        default_optimizer: name of an optimizer here.
        classifies: whether the loss here is cross-entropy; notes then say how the file's loss differs from it.
    """
    kind, config = file_optimizer(compiled)
    lr, notes = config.get("learning_rate", config.get("lr")), loss_notes(compiled) if classifies else []
    if kind in OPTIMIZERS and isinstance(lr, float | int) and 0 < lr < math.inf and not config.get("momentum"):
        if others := other_rules(kind, config):
            notes.append(f"settings of the file's optimizer {kind!r} are dropped: {', '.join(others)}")
        return Training(OPTIMIZERS[kind], float(f"{lr:.7g}"), notes)  # the file has a float32
    if kind:
        schedule = f" with learning rate {lr.get('class_name')!r}" if isinstance(lr, dict) else ""
        notes.append(f"the file's optimizer {kind!r}{schedule} is replaced by {default_optimizer}, lr {DEFAULT_LR}")
    return Training(default_optimizer, DEFAULT_LR, notes)


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


def other_rules(kind: str, config: dict[str, Any]) -> list[str]:
    """The settings of an optimizer that change its steps and have another value here, such as `beta_1 0.5`."""
    others = []
    for key, value in config.items():
        known = RULES[kind].get(key)
        if isinstance(value, float | int) and known is not None:
            same = math.isclose(value, known, rel_tol=1e-6)  # the file has a float32
        else:
            same = key in NO_STEPS or value is None or value is False or value == 0
        if not same:
            others.append(f"{key} {plain(value)!r}")
    return others


def loss_of(compiled: Any) -> str:
    """Name of the loss that a model was compiled with; empty if there is none."""
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    if isinstance(loss, dict) and "class_name" not in loss and len(loss) == 1:  # one loss by the output's name
        (loss,) = loss.values()
    if isinstance(loss, list) and len(loss) == 1:
        (loss,) = loss
    if isinstance(loss, dict):
        loss = loss["config"] if isinstance(loss.get("config"), str) else loss.get("class_name")
    return str(loss or "")


def loss_notes(compiled: dict[str, Any]) -> list[str]:
    """How the loss that a model was compiled with differs from cross-entropy: one sentence, or none."""
    name = loss_of(compiled)
    if name and name.lower().replace("_", "") not in CROSS_ENTROPIES:
        return [f"the file's loss {name!r} is replaced by cross-entropy"]
    loss = compiled.get("loss")
    config = loss.get("config") if isinstance(loss, dict) else None
    smoothing = config.get("label_smoothing") if isinstance(config, dict) else None
    return [f"a setting of the file's loss {name!r} is dropped: label_smoothing {smoothing!r}"] if smoothing else []


def layer_notes(layers: list[SavedLayer]) -> list[str]:
    """Settings of layers that matter only for training and have no counterpart here: one sentence for each kind."""
    configs = [(repr(layer.name), config) for layer in layers for config in configs_of(layer)]
    frozen = dict.fromkeys(name for name, config in configs if config.get("trainable") is False)
    notes = [f"layers that are frozen in Keras are trainable here: {', '.join(frozen)}"] if frozen else []
    return notes + limit_notes(layers)


def limit_notes(layers: list[SavedLayer]) -> list[str]:
    """The penalties and constraints of layers, which have no counterpart here: one sentence, or none."""
    configs = [(repr(layer.name), config) for layer in layers for config in configs_of(layer)]
    limits = ("_regularizer", "_constraint")
    limited = dict.fromkeys(
        name for name, config in configs if any(v and k.endswith(limits) for k, v in config.items())
    )
    return [f"regularizers and constraints of layers are dropped: {', '.join(limited)}"] if limited else []


def configs_of(layer: SavedLayer) -> list[dict[str, Any]]:
    """The settings of a layer, and those of the directions inside it."""
    inner = [layer.config.get(key) for key in ("layer", "backward_layer")]
    return [layer.config, *(entry["config"] for entry in inner if isinstance(entry, dict))]
